//! Several people at once, people who may less, a server that goes away, people without scripts or without a mouse.

use fantoccini::key::Key;
use rustix::process::Signal;

use super::{Browser, signed_in, signed_in_with};
use crate::{
    process::{eventually, run, text},
    server::{Server, workload},
};

#[test]
fn the_second_of_two_editors_is_told_and_loses_nothing() {
    let server = Server::new();
    let secret = server.secret("shared", "FIRST=one-value\nSECOND=two-values\n");
    let page = format!("{}/studio/projects/{}/secrets/{secret}", server.url(), server.project());
    let browsers = [signed_in(&server), signed_in(&server)];
    for browser in &browsers {
        browser.open(&page);
        browser.sees("SECOND");
    }
    let [first, second] = &browsers;
    first.fill("New value of FIRST", "changed-by-the-first");
    first.fill("Name", "shared");
    first.fill_nth("Name", 1, "THIRD");
    first.fill("Value", "added-by-the-first");
    first.press("Save");
    first.sees("Version 2 is saved.");

    second.fill("New value of SECOND", "changed-by-the-second");
    second.press("Save");
    second.sees("saved version 2 while you were editing");
    second.sees("THIRD");
    assert!(second.html().contains("changed-by-the-second"), "what was typed is lost");
    second.press("Save");
    second.sees("Version 3 is saved.");
    let shown = server.ok(&["secret", "show", "shared", "--reveal"], "");
    for value in ["changed-by-the-first", "changed-by-the-second", "added-by-the-first"] {
        assert!(shown.contains(value), "{value}: {shown}");
    }
    server.end();
}

#[test]
fn a_clash_is_told_before_it_is_saved_and_a_mistake_beside_its_field() {
    let server = Server::new();
    let first = server.secret("first", "SHARED=a-first-value\n");
    let second = server.secret("second", "OTHER=another-value\n");
    let image = server.registry.image();
    let service = server.service("weather", &format!("image: {image}\nsecrets: [{first}, {second}]"));
    let browser = signed_in(&server);
    let project = format!("{}/studio/projects/{}", server.url(), server.project());
    browser.open(&format!("{project}/secrets/{second}"));
    browser.fill("Paste or drop a .env", "SHARED=' a-blank-before'\n");
    browser.press("Preview");
    browser.sees("In weather, SHARED hides the one of first.");
    browser.sees("SHARED begins or ends with a blank");
    browser.fill("Paste or drop a .env", "FINE=1\nthis is no entry\n");
    browser.press("Save");
    browser.sees("line 2: there is no `=`");
    browser.fill("Paste or drop a .env", "");
    browser.fill_nth("Name", 1, "NOT A NAME");
    browser.fill("Value", "some-value");
    browser.press("Save");
    browser.sees("the name may hold only");

    browser.open(&format!("{project}/services/{service}"));
    browser.fill("Memory", "much");
    browser.press("Save");
    browser.sees("meshkeep.memory");
    let beside =
        browser.js("return document.getElementById('memory').parentElement.querySelector('.wrong')?.innerText", vec![]);
    assert!(beside.as_str().is_some_and(|said| said.contains("meshkeep.memory")), "{beside}");
    browser.fill("Memory", "64Mi");
    browser.fill("Reference", "Not An Image");
    browser.press("Save");
    let beside = browser.js("return document.getElementById('image').getAttribute('aria-invalid')", vec![]);
    assert_eq!(beside, "true");
    browser.press("YAML");
    browser.sees("Manifest");
    browser.js("const at = document.getElementById('yaml'); at.value = at.value.replace('kind: Service', 'kind: Service\\nnonsense: 1')", vec![]);
    browser.press("Save");
    browser.sees("nonsense");
    server.end();
}

#[test]
fn who_may_not_bind_sees_names_and_changes_nothing_of_them() {
    let mut server = Server::new();
    let secret = server.secret("credentials", "TOKEN=some-value\n");
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    let service = server.service("weather", &format!("image: {image}\npull_secret: {pull}\nsecrets: [{secret}]"));
    let key = |role: &str| {
        let made = server.json(&["key", "create", role, "--role", role, "--no-bind"], "");
        made["value"].as_str().expect("a value").to_owned()
    };
    let project = format!("{}/studio/projects/{}", server.url(), server.project());

    let developer = signed_in_with(&server, &key("developer"));
    developer.open(&format!("{project}/services/{service}"));
    let seen = developer.sees("Your key has no bind right");
    assert!(seen.contains(&secret) && !seen.contains("Detach"), "{seen}");
    assert!(!seen.contains("credentials") && !seen.contains("TOKEN"), "who may not bind may not see secrets: {seen}");
    developer.fill("Reference", "127.0.0.1:1/evil/image:1");
    developer.press("Save");
    developer.sees("bind");
    let kept = server.json(&["service", "show", "weather"], "");
    assert_eq!(kept["container"]["image"].as_str(), Some(image.as_str()));
    let navigation = developer.js("return document.querySelector('nav').innerText", vec![]);
    assert_eq!(navigation, "Services\nSessions\nRooms");
    developer.open(&format!("{project}/activity"));
    developer.sees("may not do this");

    let member = signed_in_with(&server, &key("member"));
    member.sees("Sessions");
    for page in ["secrets", "services", "keys", "settings", &format!("secrets/{secret}")] {
        member.open(&format!("{project}/{page}"));
        member.sees("may not do this");
    }
    // Nor anything of another project, whether it is there or not.
    let other = "0198c2f4-7b1e-7c3a-9d55-2f6f0a1b2c3d";
    member.open(&format!("{}/studio/projects/{other}/sessions", server.url()));
    member.sees("This credential does not belong to that project");
    server.launch("lobby");
    server.end();
}

#[test]
fn a_page_outlives_a_restart_of_its_server() {
    // On a port of its own, so that it comes back where the page looks for it.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let mut server = Server::listening(&format!("127.0.0.1:{port}"), &[]);
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    server.service("weather", &format!("image: {image}\npull_secret: {pull}"));
    let session = server.launch("lobby");
    server.until_ready(&session);
    let browser = signed_in(&server);
    browser.open(&format!("{}/studio/projects/{}/sessions/{session}", server.url(), server.project()));
    browser.sees("weather ready");
    server.stop(Signal::KILL);
    browser.sees("The server cannot be reached.");
    server.start();
    eventually("the page's return", || {
        let text = browser.text();
        if text.contains("cannot be reached") { Err(text) } else { Ok(()) }
    });
    // What happens now is seen without a touch.
    server.ok(&["session", "restart", "lobby", "weather"], "");
    browser.sees("weather restarted");
    server.until(&session, "ready again", |session| workload(session, "weather")["state"] == "ready");
    drop(browser);
    server.end();
}

#[test]
fn a_log_of_ten_thousand_lines_is_searched_followed_and_downloaded() {
    let mut server = Server::new();
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    let command = "command: sh -c 'i=0; while [ $i -lt 10000 ]; do i=$((i+1)); echo line $i of many; done; \
                   while ! [ -e /tmp/go ]; do sleep 0.2; echo tick; done'";
    let service = server.service("speaks", &format!("image: {image}\npull_secret: {pull}\n{command}"));
    let session = server.launch("lobby");
    server.log_with(&session, "speaks", "line 10000 of many");
    let browser = signed_in(&server);
    let page =
        format!("{}/studio/projects/{}/sessions/{session}/services/{service}/log", server.url(), server.project());
    browser.open(&page);
    browser.sees("of many");
    assert!(!browser.text().contains("line 1 of many"), "the page begins with the last lines");
    browser.js(
        "document.getElementById('q').value = 'line 4321 '; document.querySelector('form.search').submit()",
        vec![],
    );
    browser.sees("1 lines hold");
    browser.sees("line 4321 of many");
    browser.open(&page);
    browser.press("Follow");
    browser.sees("New lines appear as they come.");
    browser.sees("tick");
    let lines = || browser.js("return document.getElementById('log').textContent.split('\\n').length", vec![]).as_u64();
    let before = lines();
    eventually("new lines", || if lines() > before { Ok(()) } else { Err(String::new()) });
    browser.press("Stop following");
    browser.sees("Not followed any more.");
    let text = browser.js_later(
        "const done = arguments[arguments.length - 1]; \
         fetch(document.querySelector('a[href$=\"download=true\"]').href).then(async r => done([r.headers.get('content-disposition'), (await r.text()).split('\\n').length]))",
        vec![],
    );
    assert!(text[0].as_str().is_some_and(|name| name.starts_with("attachment; filename=")), "{text}");
    assert!(text[1].as_u64() > Some(10_000), "{text}");
    drop(browser);
    server.end();
}

#[test]
fn everything_works_without_scripts() {
    let mut server = Server::new();
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    let browser = Browser::new();
    browser.scripts(false);
    browser.open(&format!("{}/studio", server.url()));
    // The driver's own scripts run all the same; the page's do not.
    browser.fill("API key", server.key());
    browser.press("Sign in");
    browser.sees("Services");
    browser.press("Secrets");
    browser.press("New secret key");
    browser.fill("Name", "credentials");
    browser.fill_nth("Name", 1, "TOKEN");
    browser.fill("Value", "some-long-value");
    browser.fill("Paste or drop a .env", "OTHER='two\nlines'\n");
    browser.press("Preview");
    browser.sees("What saving does");
    browser.press("Save");
    browser.sees("Version 1 is saved.");
    browser.press("Services");
    browser.press("New service");
    browser.fill("Name", "weather");
    browser.fill("Reference", &image);
    browser.choose("Image pull secret", "acme-priv-registry");
    browser.choose("Attach a secret key", "credentials");
    browser.press("Attach");
    browser.sees("OTHER");
    browser.press("YAML");
    browser.sees("Manifest");
    assert!(browser.html().contains(&pull));
    browser.press("Save");
    browser.sees("Saved.");
    browser.press("Sessions");
    browser.fill("Room", "lobby");
    browser.press("Launch");
    browser.sees("Session in lobby");
    let session = browser.url().rsplit('/').next().expect("an id").to_owned();
    server.adopt(&session);
    server.until_ready(&session);
    browser.open(&browser.url());
    browser.sees("weather ready");
    browser.press("Log");
    browser.sees("serving on port 8000");
    browser.open(&format!("{}/studio/projects/{}/sessions/{session}", server.url(), server.project()));
    browser.press("Stop");
    browser.sees("ended");
    let shown = server.ok(&["secret", "show", "credentials", "--reveal", "--json"], "");
    assert!(shown.contains("two\\nlines"), "{shown}");
    drop(browser);
    server.end();
}

#[test]
fn a_secret_is_made_with_the_keyboard_alone() {
    let server = Server::new();
    let browser = Browser::new();
    browser.open(&format!("{}/studio/sign-in", server.url()));
    // The field is focused when the page opens.
    browser.type_keys(server.key());
    browser.type_keys(&Key::Enter.to_string());
    browser.sees("Services");
    browser.tab_to("Secrets");
    browser.type_keys(&Key::Enter.to_string());
    browser.tab_to("New secret key");
    browser.type_keys(&Key::Enter.to_string());
    browser.sees("Entries");
    browser.tab_to("name");
    browser.type_keys("typed");
    browser.tab_to("entry");
    browser.type_keys("TOKEN");
    browser.tab_to("value");
    browser.type_keys("typed-value");
    browser.tab_to("Save");
    let outline = browser.js("return getComputedStyle(document.activeElement).outlineStyle", vec![]);
    assert_eq!(outline, "solid", "the focus is not seen");
    browser.type_keys(&Key::Enter.to_string());
    browser.sees("Version 1 is saved.");
    let output = run(&mut server.command(&["secret", "show", "typed", "--reveal", "--json"]), "");
    assert!(text(&output.stdout).contains("typed-value"));
    server.end();
}
