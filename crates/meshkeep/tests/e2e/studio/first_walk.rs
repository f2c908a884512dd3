//! A person who has never seen it: from the first sign-in to a rotated value.

use super::signed_in;
use crate::{
    registry::{PASSWORD, USER},
    server::{Server, workload},
};

#[test]
fn a_first_service_from_sign_in_to_a_rotated_value() {
    let mut server = Server::new();
    let browser = signed_in(&server);
    let image = server.registry.image();

    browser.press("Secrets");
    browser.press("New secret key");
    browser.fill_nth("Name", 0, "weather-api-credentials");
    browser.fill_nth("Name", 1, "WEATHER_API_KEY");
    browser.fill("Value", "first-value-of-the-key");
    browser.press("Preview");
    assert!(browser.sees("What saving does").contains("added"));
    browser.press("Save");
    browser.sees("Version 1 is saved.");
    assert!(!browser.html().contains("first-value-of-the-key"), "a saved value is on the page");

    browser.press("Secrets");
    browser.press("Image pull secrets");
    browser.press("New image pull secret");
    browser.fill("Name", "acme-priv-registry");
    browser.choose("Registry", "Other");
    browser.fill("Server", &server.registry.host);
    browser.fill("User name", USER);
    browser.fill("Password or token", "wrong-password");
    browser.fill("Image", &image);
    browser.press("Test");
    browser.sees("user name or password");
    browser.fill("Password or token", PASSWORD);
    browser.press("Test");
    browser.sees("to this pull secret");
    browser.press("Save");
    browser.sees("Version 1 is saved.");

    browser.press("Services");
    browser.press("New service");
    browser.fill_nth("Name", 0, "weather");
    browser.fill("Reference", &image);
    browser.sees(&format!("Fetched from {}", server.registry.host));
    browser.choose("Image pull secret", "acme-priv-registry");
    browser.choose("Attach a secret key", "weather-api-credentials");
    browser.press("Attach");
    browser.sees("Detach");
    browser.sees("WEATHER_API_KEY");
    browser.press("Add a port");
    browser.fill("Port", "8000");
    browser.fill("Liveness path", "/healthz");
    browser.press("Save");
    browser.sees("Saved.");

    browser.press("Sessions");
    browser.fill("Room", "lobby");
    browser.press("Launch");
    browser.sees("Session in lobby");
    // Without a look at the page again: it moves by itself.
    browser.sees("What happened");
    browser.sees("weather ready");
    let url = browser.url();
    let session = url.rsplit('/').next().expect("an id").to_owned();
    server.adopt(&session);
    browser.press("Log");
    browser.sees("serving on port 8000");
    assert!(browser.text().contains("WEATHER_API_KEY=[redacted]"), "{}", browser.text());

    browser.press("Secrets");
    browser.press("weather-api-credentials");
    browser.fill("New value of WEATHER_API_KEY", "second-value-of-the-key");
    browser.press("Save");
    browser.sees("Version 2 is saved.");
    browser.sees("1 running session still uses an older version");
    browser.open(&url);
    browser.sees("newest is 2");
    browser.press("Restart with the newest weather");
    server.until(&session, "the restart with version 2", |session| {
        let workload = workload(session, "weather");
        workload["state"] == "ready" && workload["secrets"][0]["version"] == 2
    });
    browser.sees("weather-api-credentials version 2");
    browser.press("Stop");
    browser.sees("ended");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    server.end();
}
