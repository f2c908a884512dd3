//! What other pages, other people's names and a service's own output try on who is signed in.

use serde_json::Value;

use super::{Browser, foreign::Foreign, signed_in};
use crate::server::{Server, id};

/// What would run if it were taken for HTML.
const MARKUP: &str = "\"'><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>{{7*7}}";

#[test]
fn a_form_of_another_site_does_nothing() {
    let server = Server::new();
    let secret = server.secret("kept", "KEPT=a-value-that-stays\n");
    let browser = signed_in(&server);
    let delete = format!("{}/studio/projects/{}/secrets/{secret}/delete", server.url(), server.project());
    // What the browser says of it: here all of it is there but the form's own token and the origin.
    let lure = Foreign::page(&format!(
        "<form method=post action='{delete}'><input name=csrf value=guessed><button>Win</button></form>\
         <script>document.forms[0].submit()</script>"
    ));
    browser.open(&lure.url());
    browser.sees("This form did not come from your own open page");
    assert_eq!(browser.url(), delete, "it came to the server");
    server.ok(&["secret", "show", "kept"], "");
    // Nor does the server's own page when the token is another's.
    browser.open(&delete);
    browser.js("document.querySelector('main [name=csrf]').value = 'guessed'", vec![]);
    browser.press("Delete");
    browser.sees("This form did not come from your own open page");
    server.ok(&["secret", "show", "kept"], "");
    // With it, it does.
    browser.open(&delete);
    browser.press("Delete");
    browser.sees("New secret key");
    assert!(!server.cli(&["secret", "show", "kept"], "").status.success());
    server.end();
}

#[test]
fn no_page_is_shown_within_another() {
    let server = Server::new();
    let browser = signed_in(&server);
    for path in ["/studio/sign-in", "/studio/projects", "/studio/assets/none"] {
        let lure = Foreign::page(&format!("<h1>Win</h1><iframe id=f src='{}{path}'></iframe>", server.url()));
        browser.complaints();
        browser.open(&lure.url());
        browser.sees("Win");
        let said = crate::process::eventually("the refusal", || {
            let said = browser.complaints().join("\n");
            if said.contains("frame-ancestors") { Ok(said) } else { Err(said) }
        });
        assert!(said.contains("frame-ancestors"), "{path}: {said}");
    }
    server.end();
}

#[test]
fn signing_in_leads_to_own_pages_with_a_new_session() {
    let server = Server::new();
    let browser = Browser::new();
    // An attacker's token is in the browser before; it must be worth nothing after.
    let fixed = "f".repeat(64);
    let cookie = serde_json::json!({
        "name": "meshkeep_studio", "value": fixed, "url": format!("{}/studio", server.url()), "path": "/studio",
    });
    browser.cdp("Network.setCookie", cookie);
    browser.open(&format!("{}/studio/sign-in?to=//evil.example/studio/", server.url()));
    browser.fill("API key", "ma-not-a-key");
    browser.press("Sign in");
    browser.sees("that is no API key of this server");
    browser.fill("API key", server.key());
    browser.press("Sign in");
    browser.sees("New service");
    assert!(browser.url().starts_with(&format!("{}/studio/projects/", server.url())), "{}", browser.url());
    let cookies = browser.cdp("Network.getCookies", serde_json::json!({ "urls": [browser.url()] }));
    let cookies = cookies["cookies"].as_array().cloned().unwrap_or_default();
    let [cookie] = cookies.as_slice() else { panic!("{cookies:?}") };
    assert_ne!(cookie["value"].as_str(), Some(fixed.as_str()));
    assert_eq!(
        (&cookie["httpOnly"], &cookie["sameSite"], &cookie["path"]),
        (&true.into(), &"Strict".into(), &"/studio".into())
    );
    assert_eq!(browser.js("return document.cookie", vec![]), "", "scripts do not see it");

    // Signed out, the old cookie opens nothing.
    let page = browser.url();
    browser.press("Sign out");
    browser.sees("It begins with ma-");
    browser.cdp("Network.setCookie", serde_json::json!({
        "name": "meshkeep_studio", "value": cookie["value"], "url": format!("{}/studio", server.url()), "path": "/studio",
    }));
    browser.open(&page);
    browser.sees("It begins with ma-");
    server.end();
}

#[test]
fn the_operators_link_works_once_and_opens_all_projects() {
    let server = Server::new();
    let browser = Browser::new();
    let made = crate::process::run(
        &mut server.command(&["studio-link", "--data-dir", &server.data_dir().display().to_string()]),
        "",
    );
    assert!(made.status.success(), "{made:?}");
    let link = crate::process::text(&made.stdout).trim().to_owned();
    assert!(link.starts_with(&format!("{}/studio/link/", server.url())), "{link}");
    // Looking at it does not use it up.
    browser.open(&link);
    browser.open(&link);
    browser.press("Sign in");
    browser.sees("New service");
    browser.press("Switch");
    browser.fill("Name", "second");
    browser.press("Create");
    browser.sees("second");
    browser.press("API keys");
    browser.fill("Name", "first of second");
    browser.tick("Admin: everything in the project");
    browser.press("Make the key");
    let text = browser.sees("Copy its value now");
    let key = text.split_whitespace().find(|word| word.starts_with("ma-")).expect("the key's value").to_owned();
    let answer = crate::process::run(server.command(&["key", "list", "--json"]).env("MESHAGENT_API_KEY", &key), "");
    assert!(answer.status.success(), "{}", crate::process::text(&answer.stderr));
    let keys: Value = serde_json::from_slice(&answer.stdout).expect("JSON");
    assert_eq!(keys["keys"][0]["name"], "first of second");
    browser.press("Activity");
    browser.sees("operator");

    let other = Browser::new();
    other.open(&link);
    other.press("Sign in");
    other.sees("this link was used already");
    assert!(!server.said().contains(link.rsplit('/').next().unwrap()), "the log has the link");
    server.end();
}

#[test]
fn markup_in_names_logs_and_registries_is_only_text() {
    let denied = format!("{{\"errors\":[{{\"code\":\"DENIED\",\"message\":{}}}]}}", serde_json::json!(MARKUP));
    let registry = Foreign::answering(&format!(
        "403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{denied}",
        denied.len()
    ));
    let mut server = Server::with_arguments(&["--insecure-registry", &registry.host]);
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    server.ok(&["key", "create", MARKUP], "");
    let manifest = serde_json::json!({
        "version": "v1", "kind": "Service",
        "metadata": { "name": "speaks", "description": MARKUP },
        "container": {
            "image": image, "pull_secret": pull, "command": "sh -c 'echo \"$SAID\"; printf \"\\033[31mred\\033[0m\\n\"; exec sleep 1000'",
            "environment": [{ "name": "SAID", "value": MARKUP }],
        },
    });
    let service = id(&server.json(&["service", "create", "--file", "-"], &manifest.to_string()));
    let session = server.launch("lobby");
    server.log_with(&session, "speaks", "red");
    let browser = signed_in(&server);
    let project = format!("{}/studio/projects/{}", server.url(), server.project());
    let log = format!("{project}/sessions/{session}/services/{service}/log");
    for path in [
        format!("{project}/services"),
        format!("{project}/services/{service}"),
        format!("{project}/keys"),
        format!("{project}/sessions/{session}"),
        log.clone(),
        format!("{log}?q=%22%3E%3Cimg%20src%3Dx%20onerror%3D%22document.title%3D%27owned%27%22%3E"),
        format!("{project}/secrets?q=%22%3E%3Cscript%3Edocument.title%3D%27owned%27%3C%2Fscript%3E"),
        format!("{}/studio/sign-in?to=%22%3E%3Cscript%3E", server.url()),
    ] {
        browser.open(&path);
        browser.sees("meshkeep");
        assert_eq!(browser.complaints(), Vec::<String>::new(), "{path}");
        assert!(!browser.js("return document.title", vec![]).as_str().unwrap().contains("owned"), "{path}");
    }
    browser.open(&log);
    let text = browser.sees("red");
    assert!(text.contains(MARKUP) && !text.contains("\u{1b}") && !text.contains("[31m"), "{text}");
    browser.press("Follow");
    browser.sees("New lines appear as they come.");
    browser.sees(MARKUP);
    browser.open(&format!("{project}/services/{service}"));
    browser.press("YAML");
    browser.sees("Manifest");
    assert!(browser.html().contains("description:"));
    browser.press("Form");
    browser.sees("Plain variables");
    browser.open(&format!("{project}/pull-secrets/new"));
    browser.fill("Server", &registry.host);
    browser.fill("User name", "somebody");
    browser.fill("Password or token", "something");
    browser.fill("Image", &format!("{}/a/b:1", registry.host));
    browser.press("Test");
    browser.sees("document.title='owned'");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_ne!(browser.js("return document.title", vec![]), "owned");
    drop(browser);
    server.end();
}
