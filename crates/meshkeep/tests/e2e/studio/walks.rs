//! The ways through Studio that are not in the first walk.

use rustix::process::Signal;

use super::{Browser, signed_in};
use crate::{registry::PASSWORD, server::Server};

#[test]
fn storage_is_made_in_the_editor_and_found_by_the_service() {
    let mut server = Server::new();
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    let command = "command: sh -c 'cat /etc/app.conf; echo kept >/cache/file && cat /cache/file; exec sleep 1000'";
    let service = server.service("stores", &format!("image: {image}\npull_secret: {pull}\n{command}"));
    let browser = signed_in(&server);
    browser.open(&format!("{}/studio/projects/{}/services/{service}", server.url(), server.project()));
    browser.press("Add an empty directory");
    browser.fill("Empty directory", "/proc/x");
    browser.press("Save");
    let beside =
        browser.js("return document.getElementById('dir-1').parentElement.querySelector('.wrong').innerText", vec![]);
    assert!(beside.as_str().is_some_and(|said| said.contains("every container has already")), "{beside}");
    browser.fill("Empty directory", "/cache");
    browser.press("Add a file");
    browser.fill("File", "/etc/app.conf");
    browser.fill("Text", "first line\nsecond line\n");
    browser.press("Save");
    browser.sees("Saved.");
    let session = server.launch("lobby");
    let log = server.log_with(&session, "stores", "kept");
    assert_eq!(log, "first line\nsecond line\nkept\n");
    drop(browser);
    server.end();
}

#[test]
fn the_first_start_prints_a_link_and_no_later_one_does() {
    let mut server = Server::new();
    let printed = server.printed();
    let link = printed.split_whitespace().find(|word| word.contains("/studio/link/")).expect("a link").to_owned();
    assert!(link.starts_with(server.url()), "{printed}");
    let browser = Browser::new();
    browser.open(&link);
    browser.press("Sign in");
    browser.sees("New service");
    drop(browser);
    server.stop(Signal::TERM);
    server.start();
    assert_eq!(server.printed().matches("/studio/link/").count(), 1, "{}", server.printed());
    assert!(!server.said().contains("/studio/link/0"), "{}", server.said());
    server.end();
}

#[test]
fn a_secret_is_rolled_back_and_deleted_with_its_users_in_sight() {
    let server = Server::new();
    let secret = server.secret("credentials", "TOKEN=the-first-value\n");
    server.ok(
        &["secret", "keys", "update", "credentials", "--from-env-file", "-"],
        "TOKEN=the-second-value\nMORE=x-value\n",
    );
    let image = server.registry.image();
    server.service("weather", &format!("image: {image}\nsecrets: [{secret}]"));
    let browser = signed_in(&server);
    browser.press("Secrets");
    browser.press("credentials");
    browser.press("History");
    let seen = browser.sees("Roll back");
    assert!(seen.contains("changed TOKEN") && seen.contains("added MORE"), "{seen}");
    browser.press("Roll back to version 1");
    browser.sees("Version 3 is saved.");
    let shown = server.ok(&["secret", "show", "credentials", "--reveal"], "");
    assert!(shown.contains("the-first-value") && !shown.contains("MORE"), "{shown}");

    browser.press("Delete");
    let seen = browser.sees("weather still uses it.");
    assert!(seen.contains("The next launch of weather fails") && seen.contains("can be restored until"), "{seen}");
    browser.press("Cancel");
    browser.sees("Version 3");
    browser.press("Delete");
    browser.press("Delete all the same");
    browser.sees("A secret key is a named collection");
    assert!(!server.cli(&["secret", "show", "credentials"], "").status.success());

    // Another has its name by now: it is restored under a new one.
    server.secret("credentials", "TOKEN=of-another-secret\n");
    browser.press("Deleted");
    browser.sees("Kept until");
    browser.press("Restore credentials");
    browser.sees("another secret is called credentials by now");
    browser.fill("Restore as", "credentials-again");
    browser.press("Restore credentials");
    browser.sees("Version 3");
    let shown = server.ok(&["secret", "show", "credentials-again", "--reveal"], "");
    assert!(shown.contains("the-first-value"), "{shown}");
    let deleted = server.ok(&["secret", "delete", "credentials-again", "--force"], "");
    assert!(deleted.contains("The next launch of weather fails") && deleted.contains("restored until"), "{deleted}");
    assert!(server.ok(&["secret", "list", "--deleted"], "").contains("credentials-again"));
    server.ok(&["secret", "restore", "credentials-again"], "");
    assert!(server.ok(&["secret", "show", "credentials-again"], "").contains("TOKEN"));
    server.end();
}

#[test]
fn rooms_keys_and_services_are_made_and_removed() {
    let server = Server::new();
    let pull = server.good_pull_secret();
    let of_team = server.pull_secret_for("acme-team", PASSWORD, &format!("{}/acme", server.registry.host));
    let browser = signed_in(&server);
    browser.press("Rooms");
    browser.fill("New room", "Not A Room");
    browser.press("Create");
    browser.sees("name");
    browser.fill("New room", "lobby");
    browser.press("Create");
    browser.sees("lobby");
    browser.press("New service in lobby");
    browser.fill("Name", "local");
    browser.fill("Reference", &server.registry.image());
    browser.press("Save");
    browser.sees("Saved.");
    browser.press("Services");
    browser.sees("room lobby");
    browser.press("local");
    browser.press("Delete");
    browser.press("Delete");
    browser.sees("A service is a container image");

    // A pull secret for another registry is told while the image is typed.
    browser.press("New service");
    browser.choose("Image pull secret", "acme-priv-registry");
    browser.fill("Reference", "registry.example.com/acme/weather:1");
    browser.sees("No image pull secret here is for this registry and path.");
    browser.fill("Reference", "Not An Image");
    browser.sees("This name has a path");
    browser.fill("Reference", &server.registry.image());
    browser.sees(&format!("Fetched from {} with acme-priv-registry", server.registry.host));
    browser.fill("Name", "weather");
    browser.press("Save");
    browser.sees("Saved.");
    browser.choose("Another, for other paths or registries", "acme-team");
    browser.press("Save");
    browser.sees(&format!("Fetched from {} with acme-team", server.registry.host));
    let saved = server.json(&["service", "show", "weather"], "");
    assert_eq!(saved["container"]["pull_secret"], pull.as_str());
    assert_eq!(saved["metadata"]["annotations"]["meshkeep.pull_secrets"], of_team.as_str());
    // The first one is taken away: the other takes its place.
    browser.choose("Image pull secret", "None: the image is public");
    browser.press("Save");
    browser.sees(&format!("Fetched from {} with acme-team", server.registry.host));
    let saved = server.json(&["service", "show", "weather"], "");
    assert_eq!(saved["container"]["pull_secret"], of_team.as_str());
    // One that was deleted is not dropped without a word.
    server.ok(&["secret", "delete", "acme-team", "--force"], "");
    browser.press("Services");
    browser.press("weather");
    browser.sees(&format!("{of_team}, not in this list"));
    browser.press("Save");
    browser.sees("which is no secret of this project");

    browser.press("API keys");
    browser.fill("Name", "short-lived");
    browser.press("Make the key");
    browser.sees("Copy its value now");
    browser.press("API keys");
    let seen = browser.sees("short-lived");
    assert!(!seen.contains("Copy its value"), "a value is shown once");
    browser.js("window.confirm = () => true", vec![]);
    browser.press("Delete short-lived");
    crate::process::eventually("the key's end", || {
        let text = browser.text();
        if text.contains("short-lived") { Err(text) } else { Ok(()) }
    });
    browser.js("window.confirm = () => true", vec![]);
    browser.press("Delete first-admin");
    browser.sees("last admin key");
    server.end();
}
