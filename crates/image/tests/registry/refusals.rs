//! What a registry refuses, and what a person is told about it.

use std::sync::atomic::{AtomicUsize, Ordering};

use meshkeep_core::RefusalKind;
use meshkeep_image::{
    RegistrySettings,
    testing::{Answer, answer},
};
use tokio::net::TcpListener;

use crate::support::{Shelf, assert_refused, challenge, credential, insecure, scripted, serve_parts, small};

/// What comes of a registry that answers `with` to a good proof.
async fn after_login(with: impl Fn() -> Answer + Send + Sync + 'static, code: &str) -> meshkeep_core::Refusal {
    let server = scripted(move |seen| match seen.authorization() {
        Some(_) => with(),
        None => challenge(r#"Basic realm="x""#),
    })
    .await;
    let shelf = Shelf::new(insecure(&[&server.host()])).await;
    let outcome = shelf.fetch(&format!("{}/team/app:1", server.host()), Some(&credential(&server.host()))).await;
    assert_refused(outcome, code).refusal()
}

fn errors(message: &str) -> String {
    serde_json::json!({"errors": [{"code": "X", "message": message}]}).to_string()
}

#[tokio::test]
async fn each_refusal_has_its_name() {
    after_login(|| challenge(r#"Basic realm="x""#), "wrong_credential").await;
    let expired = || answer(403, &[], errors("Your authorization token has expired. Reauthenticate and try again."));
    after_login(expired, "credential_expired").await;
    after_login(|| answer(403, &[], errors("denied")), "not_found_or_no_permission").await;
    after_login(|| answer(404, &[], errors("manifest unknown")), "not_found_or_no_permission").await;
    after_login(|| answer(418, &[], ""), "bad_answer").await;
    after_login(|| answer(502, &[], "<html>"), "registry_failed").await;
    let strange = after_login(|| challenge(r#"Negotiate"#), "wrong_credential").await;
    assert_eq!(strange.kind, RefusalKind::Invalid);
}

#[tokio::test]
async fn a_limit_tells_when_it_ends() {
    let limited = || answer(429, &[("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT")], errors("toomanyrequests"));
    // A date in another century is not believed.
    let refusal = after_login(limited, "rate_limited").await;
    assert!(!refusal.message.contains("2100"), "{refusal:?}");
    let refusal = after_login(|| answer(429, &[("retry-after", "3600")], ""), "rate_limited").await;
    assert!(refusal.message.contains("reset at 20"), "{refusal:?}");
    assert_eq!(refusal.kind, RefusalKind::Unavailable);
}

#[tokio::test]
async fn passing_troubles_are_tried_again() {
    for (status, headers) in [(503, &[][..]), (429, &[("retry-after", "0")][..])] {
        let (parts, troubles) = (small(), AtomicUsize::new(0));
        let server = scripted(move |seen| {
            // Every path fails at first.
            if troubles.fetch_add(1, Ordering::SeqCst) % 2 == 0 {
                answer(status, headers, "")
            } else {
                serve_parts(&parts, seen)
            }
        })
        .await;
        let shelf = Shelf::new(insecure(&[&server.host()])).await;
        shelf.fetch(&format!("{}/team/app:1", server.host()), None).await.unwrap();
    }
}

#[tokio::test]
async fn unreachable_registries_are_told_apart() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = gone.local_addr().unwrap().to_string();
    drop(gone);
    let shelf = Shelf::new(insecure(&[&host])).await;
    let refused = assert_refused(shelf.fetch(&format!("{host}/a:1"), None).await, "registry_unreachable");
    assert!(refused.to_string().contains("refused"), "{refused}");

    let settings = RegistrySettings::default();
    settings.names.add("nowhere.test", &[]);
    let shelf = Shelf::new(settings).await;
    assert_refused(shelf.fetch("nowhere.test/a:1", None).await, "dns");
}

#[tokio::test]
async fn a_broken_connection_is_tried_again_and_then_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let accepting = tokio::spawn(async move {
        let mut count = 0;
        while let Ok((stream, _)) = listener.accept().await {
            count += 1;
            drop(stream);
            if count == 3 {
                break;
            }
        }
        count
    });
    let shelf = Shelf::new(insecure(&[&host])).await;
    assert_refused(shelf.fetch(&format!("{host}/a:1"), None).await, "registry_unreachable");
    assert_eq!(accepting.await.unwrap(), 3);
}

#[tokio::test]
async fn special_characters_and_long_tokens_arrive() {
    let long = "Zz0+/=".repeat(1400);
    for password in ["$HOME\"'`\\ ü\n{\"type\": \"service_account\"}\n", long.as_str(), ""] {
        let mut own = credential("");
        own.password = password.into();
        let expected = {
            use base64::Engine as _;
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("robot:{password}")))
        };
        let parts = small();
        let server = scripted(move |seen| match seen.authorization() {
            Some(value) if value == expected => serve_parts(&parts, seen),
            _ => challenge(r#"Basic realm="x""#),
        })
        .await;
        own.server = server.host();
        let shelf = Shelf::new(insecure(&[&server.host()])).await;
        shelf.fetch(&format!("{}/team/app:1", server.host()), Some(&own)).await.unwrap();
    }
}
