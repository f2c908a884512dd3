//! Every page with something on it: checked by axe-core (WCAG 2 AA) in both themes, wide and narrow, and weighed.
//! `scripts/screens` has the pictures kept.

use std::{fs, path::PathBuf};

use serde_json::Value;

use super::{Browser, signed_in};
use crate::{image::repository, registry::PASSWORD, server::Server};

/// Bytes of a page that travel at most, without stylesheet and module, which stay in the browser.
const HEAVIEST: usize = 60_000;

/// What is stored; none of it may be on a page.
const VALUES: [&str; 6] =
    ["first-value-of-all", "eu-central-value", "eu-north-value", "another-value", "a-newer-value", "not-the-password"];

const VIEWS: [(&str, u32, u32, bool); 3] =
    [("light", 1280, 900, false), ("dark", 1280, 900, true), ("narrow", 360, 740, false)];

#[test]
fn every_page_is_accessible_in_both_themes_and_light() {
    let mut server = Server::new();
    let pages = furnished(&mut server);
    let axe = axe();
    let kept = screens();
    let outside = Browser::new();
    let browser = signed_in(&server);
    let mut faults = Vec::new();
    for (name, path) in &pages {
        let browser =
            if path.starts_with("/studio/sign-in") || path.starts_with("/studio/link") { &outside } else { &browser };
        for (view, width, height, is_dark) in VIEWS {
            browser.size(width, height);
            browser.dark(is_dark);
            browser.open(&format!("{}{path}", server.url()));
            browser.sees("meshkeep");
            for fault in violations(browser, &axe) {
                faults.push(format!("{name}, {view}: {fault}"));
            }
            let wide = browser.js("return document.documentElement.scrollWidth", vec![]);
            if wide.as_u64() > Some(width.into()) {
                faults.push(format!("{name}, {view}: it is {wide} wide"));
            }
            if let Some(dir) = &kept {
                browser.picture(&dir.join(format!("{name}-{view}.png")));
            }
        }
        let html = browser.html();
        for value in VALUES.iter().chain(&[PASSWORD]) {
            assert!(!html.contains(value), "{name} has the value {value}");
        }
        let size = browser.js("return performance.getEntriesByType('navigation')[0].transferSize", vec![]);
        assert!(size.as_u64() < Some(HEAVIEST as u64), "{name} has {size} bytes");
        // A page that is not there is one of them.
        let complaints = browser.complaints().into_iter().filter(|said| !said.contains("a status of 404"));
        assert_eq!(complaints.collect::<Vec<_>>(), Vec::<String>::new(), "{name}");
    }
    assert_eq!(faults, Vec::<String>::new());
    drop((browser, outside));
    server.end();
}

/// Names and paths of all pages, of a project in which something is and something runs.
fn furnished(server: &mut Server) -> Vec<(&'static str, String)> {
    let weather = server
        .secret("weather-api-credentials", "WEATHER_API_KEY=first-value-of-all\nWEATHER_REGION=eu-central-value\n");
    server.ok(
        &["secret", "keys", "update", "weather-api-credentials", "--from-env-file", "-"],
        "WEATHER_REGION=eu-north-value\n",
    );
    let other = server.secret("analytics", "ANALYTICS_TOKEN=another-value\nWEATHER_REGION=hidden\n");
    let pull = server.good_pull_secret();
    let wrong = server.pull_secret("expired-registry", "not-the-password");
    let of_team = server.pull_secret_for("acme-team", PASSWORD, &format!("{}/acme", server.registry.host));
    let image = server.registry.image();
    let service = server.service_of(
        "weather",
        &format!("annotations: {{ meshkeep.pull_secrets: {of_team} }}"),
        &format!("image: {image}\npull_secret: {pull}\nsecrets: [{weather}, {other}]\nenvironment: [{{name: LOG_LEVEL, value: info}}, {{name: MESHAGENT_TOKEN, token: {{identity: weather-bot, role: agent}}}}]"),
    );
    server.service("cannot-start", &format!("image: {image}\npull_secret: {wrong}"));
    let session = server.launch("lobby");
    server.until(&session, "degraded", |session| session["state"] == "degraded");
    server.until(&session, "ready", |session| crate::server::workload(session, "weather")["state"] == "ready");
    server.ok(&["secret", "keys", "update", "analytics", "--from-env-file", "-"], "ANALYTICS_TOKEN=a-newer-value\n");
    server.secret("retired-credentials", "RETIRED_API_KEY=another-value\n");
    server.ok(&["secret", "delete", "retired-credentials"], "");
    server.ok(&["key", "create", "ci", "--role", "developer"], "");
    let project = format!("/studio/projects/{}", server.project());
    let page = |rest: &str| format!("{project}/{rest}");
    vec![
        ("sign-in", "/studio/sign-in".to_owned()),
        ("operator-link", "/studio/link/0000".to_owned()),
        ("projects", "/studio/projects".to_owned()),
        ("services", page("services")),
        ("service-new", page("services/new")),
        ("service", page(&format!("services/{service}"))),
        ("service-delete", page(&format!("services/{service}/delete"))),
        ("sessions", page("sessions")),
        ("session", page(&format!("sessions/{session}"))),
        ("log", page(&format!("sessions/{session}/services/{service}/log"))),
        ("rooms", page("rooms")),
        ("secrets", page("secrets")),
        ("secret-new", page("secrets/new")),
        ("secret", page(&format!("secrets/{weather}"))),
        ("secret-history", page(&format!("secrets/{weather}/history"))),
        ("secret-delete", page(&format!("secrets/{weather}/delete"))),
        ("secrets-deleted", page("secrets/deleted")),
        ("pull-secrets", page("pull-secrets")),
        ("pull-secret-new", page("pull-secrets/new")),
        ("pull-secret", page(&format!("pull-secrets/{pull}"))),
        ("keys", page("keys")),
        ("activity", page("activity")),
        ("settings", page("settings")),
        ("not-found", page("nothing")),
    ]
}

/// What axe-core finds, each with the element and why.
fn violations(browser: &Browser, axe: &str) -> Vec<String> {
    // Evaluated by the driver: the page's own policy lets no foreign script in.
    browser.js(axe, vec![]);
    let script = "const done = arguments[arguments.length - 1]; \
        axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }) \
        .then(found => done(found.violations), error => done([{ id: String(error), nodes: [] }]))";
    let found = browser.js_later(script, vec![]);
    let nodes = |violation: &Value| {
        let nodes = violation["nodes"].as_array().cloned().unwrap_or_default();
        nodes
            .into_iter()
            .map(|node| format!("{} ({})", node["html"], node["failureSummary"]))
            .collect::<Vec<_>>()
            .join("; ")
    };
    let found = found.as_array().cloned().unwrap_or_default();
    found.iter().map(|violation| format!("{}: {}", violation["id"], nodes(violation))).collect()
}

fn axe() -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../tools/axe-core/axe.min.js");
    let script = fs::read_to_string(&path);
    script.unwrap_or_else(|error| panic!("{}: {error}; `scripts/lib/get-axe` fetches it", path.display()))
}

/// Where pictures are kept, when they are asked for.
#[expect(clippy::disallowed_methods, reason = "the test's own switch, which scripts/screens sets")]
fn screens() -> Option<PathBuf> {
    let dir = repository().join(std::env::var_os("MESHKEEP_SCREENS")?);
    fs::create_dir_all(&dir).expect("the directory can be made");
    Some(dir)
}

#[test]
fn axe_finds_what_is_wrong() {
    let browser = Browser::new();
    browser.open("data:text/html,<html><body><img src=x><input><p style='color:%23ccc'>pale</p></body></html>");
    let found = violations(&browser, &axe());
    for wrong in ["image-alt", "label", "color-contrast", "html-has-lang"] {
        assert!(found.iter().any(|fault| fault.contains(wrong)), "{wrong}: {found:?}");
    }
}

#[test]
fn what_forms_answer_is_accessible_too() {
    let server = Server::new();
    let axe = axe();
    let image = server.registry.image();
    let secret = server.secret("first", "SHARED=a-first-value\n");
    let other = server.secret("second", "OTHER=another-value\n");
    let service = server.service("weather", &format!("image: {image}\nsecrets: [{secret}, {other}]"));
    let browser = signed_in(&server);
    let project = format!("{}/studio/projects/{}", server.url(), server.project());
    let fits = |what: &str| {
        for is_dark in [false, true] {
            browser.dark(is_dark);
            assert_eq!(violations(&browser, &axe), Vec::<String>::new(), "{what}, dark: {is_dark}");
        }
    };
    browser.open(&format!("{project}/secrets/{other}"));
    browser.press("Add an entry");
    browser.fill_nth("Name", 1, "NOT A NAME");
    browser.fill("Value", "some-value");
    browser.fill("Paste or drop a .env", "no equals");
    browser.press("Save");
    browser.sees("line 1: there is no `=`");
    fits("mistakes in a secret key");
    browser.open(&format!("{project}/secrets/{other}"));
    browser.fill("Paste or drop a .env", "SHARED=' blank'\n");
    browser.press("Preview");
    browser.sees("hides the one of first");
    fits("a preview with a clash");
    browser.press("Save");
    browser.sees("Version 2 is saved.");
    fits("a save with remarks");

    browser.open(&format!("{project}/pull-secrets/new"));
    browser.choose("Registry", "Google");
    browser.press("Fill in");
    browser.sees("The user name stays _json_key");
    browser.fill("Image", "not an image");
    browser.press("Test");
    browser.sees("image");
    fits("a test that does not fit");

    browser.open(&format!("{project}/services/{service}"));
    browser.press("Add a variable");
    browser.press("Add a port");
    browser.fill("Port", "no-port");
    browser.fill("Liveness path", "/healthz");
    browser.press("Save");
    browser.sees("must be a port");
    fits("mistakes in a service");
    browser.open(&format!("{project}/services/{service}"));
    browser.press("YAML");
    browser.sees("Manifest");
    fits("a service as YAML");

    browser.open(&format!("{project}/keys"));
    browser.fill("Name", "another");
    browser.press("Make the key");
    browser.sees("Copy its value now");
    fits("a new key");
    browser.open(&format!("{project}/sessions"));
    browser.press("Launch");
    browser.sees("is not chosen");
    fits("a launch without a room");
    assert!(browser.complaints().iter().all(|said| said.contains("a status of 400")), "{:?}", browser.complaints());
    server.end();
}
