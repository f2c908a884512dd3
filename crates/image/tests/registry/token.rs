//! Bearer tokens: who is asked, with what, and how long an answer is remembered.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use meshkeep_core::secret::PullCredential;
use meshkeep_image::{
    HostSettings, RegistrySettings,
    testing::{Answer, ImageParts, Seen, Server, answer},
};

use crate::support::{BASIC, Shelf, assert_refused, challenge, credential, insecure, scripted, serve_parts, small};

const TOKEN: &str = "tok-1";

/// A registry and its token service in one server. The n-th token is `tok-n`, and `live` says which are accepted.
async fn bearer_registry(
    parts: ImageParts,
    expires_in: u64,
    live: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> (Server, Arc<AtomicUsize>) {
    let given = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&given);
    let server = scripted(move |seen| {
        let host = seen.headers["host"].to_str().unwrap();
        if seen.path.starts_with("/token") {
            return match seen.authorization() {
                Some(BASIC) | None => {
                    let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                    answer(200, &[], format!(r#"{{"access_token":"tok-{number}","expires_in":{expires_in}}}"#))
                }
                Some(_) => answer(401, &[], r#"{"details":"incorrect username or password"}"#),
            };
        }
        let token = seen.authorization().and_then(|value| value.strip_prefix("Bearer tok-")?.parse().ok());
        match token {
            Some(number) if live(number) => serve_parts(&parts, seen),
            _ => challenge(&format!(
                r#"Bearer realm="http://{host}/token?a=b",service="the & service",scope="repository:x:push""#
            )),
        }
    })
    .await;
    (server, given)
}

#[tokio::test]
async fn a_token_is_asked_for_this_repository_only_and_remembered() {
    let (server, given) = bearer_registry(small(), 300, |_| true).await;
    let shelf = Shelf::new(insecure(&[&server.host()])).await;
    let reference = format!("{}/team/app:1", server.host());
    let credential = credential(&server.host());
    shelf.fetch(&reference, Some(&credential)).await.unwrap();
    let seen = server.seen();
    let asked: Vec<&Seen> = seen.iter().filter(|one| one.path.starts_with("/token")).collect();
    assert_eq!(asked.len(), 1);
    // The scope that the registry proposes is not taken over, and what it names is encoded.
    assert_eq!(asked[0].path, "/token?a=b&service=the+%26+service&scope=repository%3Ateam%2Fapp%3Apull");
    assert_eq!(asked[0].authorization(), Some(BASIC));
    // The registry itself never sees the password.
    let bearer = format!("Bearer {TOKEN}");
    let others = seen.iter().filter(|one| !one.path.starts_with("/token"));
    assert!(others.clone().all(|one| one.authorization().is_none_or(|value| value == bearer)));

    server.forget();
    shelf.fetch(&reference, Some(&credential)).await.unwrap();
    assert_eq!(server.lines(), ["HEAD /v2/team/app/manifests/1"]);
    assert_eq!(given.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_token_serves_nobody_else() {
    let (server, given) = bearer_registry(small(), 300, |_| true).await;
    let shelf = Shelf::new(insecure(&[&server.host()])).await;
    let reference = format!("{}/team/app:1", server.host());
    shelf.fetch(&reference, Some(&credential(&server.host()))).await.unwrap();
    let wrong = PullCredential { password: "hunter2".into(), ..credential(&server.host()) };
    let refused = assert_refused(shelf.fetch(&reference, Some(&wrong)).await, "wrong_credential").to_string();
    assert!(refused.contains("incorrect username or password"), "{refused}");
    // Nor another repository: it needs a token of its own.
    let other = format!("{}/team/other:1", server.host());
    assert_refused(shelf.fetch(&other, Some(&credential(&server.host()))).await, "not_found_or_no_permission");
    assert_eq!(given.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_token_that_stops_working_is_replaced_once() {
    let (server, given) = bearer_registry(small(), 300, |number| number != 1).await;
    let shelf = Shelf::new(insecure(&[&server.host()])).await;
    let reference = format!("{}/team/app:1", server.host());
    // The first token is refused although it is fresh.
    assert_refused(shelf.fetch(&reference, None).await, "no_credential");
    // It is remembered, refused again, and replaced.
    shelf.fetch(&reference, None).await.unwrap();
    assert_eq!(given.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_short_lived_token_is_not_kept() {
    let (server, given) = bearer_registry(small(), 1, |_| true).await;
    let shelf = Shelf::new(insecure(&[&server.host()])).await;
    let reference = format!("{}/team/app:1", server.host());
    shelf.fetch(&reference, None).await.unwrap();
    let before = given.load(Ordering::SeqCst);
    server.forget();
    shelf.fetch(&reference, None).await.unwrap();
    assert_eq!(given.load(Ordering::SeqCst), before + 1);
    // The token service is asked at once, without a refused request first.
    assert_eq!(server.lines().len(), 2, "{:?}", server.lines());
}

/// A registry that sends its clients to `realm`.
async fn sends_to(realm: String) -> Server {
    scripted(move |_| challenge(&format!(r#"Bearer realm="{realm}",service="x""#))).await
}

#[tokio::test]
async fn a_foreign_realm_gets_nothing() {
    let attacker = scripted(|_| answer(200, &[], r#"{"token":"x"}"#)).await;
    // `localhost` and `127.0.0.1` are different hosts to everyone but the attacker.
    let foreign = format!("http://localhost:{}/token", attacker.port());
    for realm in
        [foreign.clone(), foreign.replace("http:", "https:"), "http://127.0.0.2:1/latest".into(), "/token".into()]
    {
        let server = sends_to(realm.clone()).await;
        let shelf = Shelf::new(insecure(&[&server.host(), &format!("localhost:{}", attacker.port())])).await;
        let reference = format!("{}/team/app:1", server.host());
        for credential in [Some(credential(&server.host())), None] {
            assert_refused(shelf.fetch(&reference, credential.as_ref()).await, "token_service_refused");
        }
        assert!(server.seen().iter().all(|one| one.authorization().is_none()), "{realm}");
    }
    assert_eq!(attacker.connections(), 0);
}

#[tokio::test]
async fn a_realm_that_the_operator_names_is_asked() {
    let service = scripted(|_| answer(200, &[], r#"{"token":"tok-1"}"#)).await;
    let realm = format!("http://localhost:{}/token", service.port());
    let parts = small();
    let registry = scripted(move |seen| match seen.authorization() {
        Some("Bearer tok-1") => serve_parts(&parts, seen),
        _ => challenge(&format!(r#"Bearer realm="{realm}""#)),
    })
    .await;
    let section = HostSettings {
        insecure: true,
        token_service: Some(format!("localhost:{}", service.port())),
        ..HostSettings::default()
    };
    let hosts = [(registry.host().parse().unwrap(), section)].into();
    let shelf = Shelf::new(RegistrySettings::new(hosts)).await;
    let reference = format!("{}/team/app:1", registry.host());
    shelf.fetch(&reference, Some(&credential(&registry.host()))).await.unwrap();
    assert_eq!(service.seen()[0].authorization(), Some(BASIC));
    assert!(registry.seen().iter().all(|one| one.authorization() != Some(BASIC)));
}

#[tokio::test]
async fn a_token_service_that_is_none_is_refused_at_the_start() {
    let section = HostSettings { token_service: Some("auth example".into()), ..HostSettings::default() };
    let mut config = meshkeep_image::ImagesConfig::new("/nonexistent".into());
    config.registries = RegistrySettings::new([("registry.example.com".parse().unwrap(), section)].into());
    let error = meshkeep_image::Images::open(config).await.err().unwrap();
    assert_eq!(error.code(), "bad_settings");
}

#[tokio::test]
async fn a_token_request_is_never_redirected() {
    let attacker = scripted(|_| answer(200, &[], r#"{"token":"x"}"#)).await;
    for status in [301, 302, 303, 307, 308] {
        let target = format!("http://localhost:{}/token", attacker.port());
        let server = scripted(move |seen| {
            let host = seen.headers["host"].to_str().unwrap();
            if seen.path.starts_with("/token") {
                return answer(status, &[("location", &target)], "");
            }
            challenge(&format!(r#"Bearer realm="http://{host}/token""#))
        })
        .await;
        let shelf = Shelf::new(insecure(&[&server.host(), &format!("localhost:{}", attacker.port())])).await;
        let reference = format!("{}/team/app:1", server.host());
        assert_refused(shelf.fetch(&reference, Some(&credential(&server.host()))).await, "redirect_refused");
    }
    assert_eq!(attacker.connections(), 0);
}

/// What a token service answers, and what comes of it.
async fn with_reply(reply: impl Fn() -> Answer + Send + Sync + 'static, code: &str) {
    let server = scripted(move |seen| {
        let host = seen.headers["host"].to_str().unwrap();
        if seen.path.starts_with("/token") {
            reply()
        } else {
            challenge(&format!(r#"Bearer realm="http://{host}/token""#))
        }
    })
    .await;
    let shelf = Shelf::new(insecure(&[&server.host()])).await;
    let reference = format!("{}/team/app:1", server.host());
    assert_refused(shelf.fetch(&reference, Some(&credential(&server.host()))).await, code);
}

#[tokio::test]
async fn strange_replies_are_refused() {
    with_reply(|| answer(200, &[], "<html>"), "bad_answer").await;
    with_reply(|| answer(200, &[], "{}"), "bad_answer").await;
    with_reply(|| answer(200, &[], r#"{"token":""}"#), "bad_answer").await;
    with_reply(|| answer(200, &[], r#"{"token":"a\r\nX-Evil: b"}"#), "bad_answer").await;
    with_reply(|| answer(200, &[], vec![b'['; 70_000]), "bad_answer").await;
    with_reply(|| answer(401, &[], r#"{"details":"token hunter2-hunter2 expired"}"#), "credential_expired").await;
    with_reply(|| answer(403, &[], r#"{"errors":[{"message":"denied"}]}"#), "not_found_or_no_permission").await;
    with_reply(|| answer(429, &[("retry-after", "60")], ""), "rate_limited").await;
    with_reply(|| answer(503, &[], ""), "registry_failed").await;
}
