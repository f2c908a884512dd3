//! Services that cannot start say why, each in its own words, while the others run on.

use crate::{
    process::text,
    registry::Nobody,
    server::{Server, workload},
};

#[test]
fn each_reason_has_its_code_and_hint_and_the_others_run() {
    let unreachable = Nobody::new();
    let nobody = unreachable.address.as_str();
    let mut server = Server::with_arguments(&["--insecure-registry", nobody]);
    let good = server.good_pull_secret();
    let wrong = server.pull_secret("wrong", "not-the-password");
    let gone = server.secret("gone", "GONE=value-that-is-gone\n");
    let image = server.registry.image();
    let absent = image.replace(":1.0", ":9.9");
    assert!(server.ok(&["secret", "test", &good, &image], "").contains("sha256:"));
    let tested = server.cli(&["secret", "test", &wrong, &image], "");
    assert_eq!(tested.status.code(), Some(1), "{}", text(&tested.stderr));
    assert!(text(&tested.stderr).contains(&server.registry.host), "{}", text(&tested.stderr));
    server.service("good", &format!("image: {image}\npull_secret: {good}"));
    for (name, container) in [
        ("no-credential", format!("image: {image}")),
        ("wrong-credential", format!("image: {image}\npull_secret: {wrong}")),
        ("not-found", format!("image: {absent}\npull_secret: {good}")),
        ("unreachable", format!("image: {nobody}/acme/weather:1.0")),
        ("unknown-command", format!("image: {image}\npull_secret: {good}\ncommand: no-such-program --flag")),
        ("secret-deleted", format!("image: {image}\npull_secret: {good}\nsecrets: [{gone}]")),
    ] {
        server.service(name, &container);
    }
    let in_use = server.cli(&["secret", "delete", "gone"], "");
    assert_eq!(in_use.status.code(), Some(7), "{}", text(&in_use.stderr));
    assert!(text(&in_use.stderr).contains("secret-deleted"), "{}", text(&in_use.stderr));
    server.ok(&["secret", "delete", "gone", "--force"], "");

    let launched = server.cli(&["session", "launch", "lobby", "--wait", "--timeout", "60"], "");
    assert_eq!(launched.status.code(), Some(10), "{}", text(&launched.stderr));
    let session = server.launch("lobby");
    let shown =
        server.until(&session, "the good one's readiness", |session| workload(session, "good")["state"] == "ready");
    assert_eq!(shown["state"], "degraded");
    for (name, code, words) in [
        ("no-credential", "no_credential", "pull secret"),
        ("wrong-credential", "wrong_credential", server.registry.host.as_str()),
        ("not-found", "not_found_or_no_permission", "9.9"),
        ("unreachable", "registry_unreachable", nobody),
        ("unknown-command", "unknown_command", "no-such-program"),
        ("secret-deleted", "secret_deleted", gone.as_str()),
    ] {
        let workload = workload(&shown, name);
        let reason = &workload["reason"];
        assert_eq!((workload["state"].as_str(), reason["code"].as_str()), (Some("failed"), Some(code)), "{workload}");
        let message = reason["message"].as_str().unwrap();
        assert!(message.contains(words), "{name}: {message}");
        assert!(!reason["hint"].as_str().unwrap().is_empty(), "{name}: {reason}");
        assert!(text(&launched.stdout).contains(code), "{code} is not in: {}", text(&launched.stdout));
    }
    assert!(!shown.to_string().contains("not-the-password") && !server.said().contains("not-the-password"));
    server.log_with(&session, "good", "serving on port 8000");
    server.end();
}

#[test]
fn a_cached_image_is_proven_again_and_running_services_outlive_their_registry() {
    let mut server = Server::new();
    let good = server.good_pull_secret();
    let image = server.registry.image();
    server.service("weather", &format!("image: {image}\npull_secret: {good}"));
    let first = server.launch("first");
    server.until_ready(&first);
    server.registry.end();
    let second = server.launch("second");
    let shown = server.until(&second, "the refusal", |session| session["state"] == "degraded");
    assert_eq!(workload(&shown, "weather")["reason"]["code"], "registry_unreachable", "{shown}");
    assert_eq!(server.session(&first)["state"], "ready");
    server.end();
}
