//! Amazon ECR: a pull secret with an access key is not presented; a password is asked for with it. The cloud here is ours, and
//! checks the signature by what AWS documents.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use meshkeep_core::{Clock as _, clock::SystemClock, secret::PullCredential};
use meshkeep_image::{
    HostSettings, RegistrySettings,
    testing::{Answer, Seen, Server, answer},
};
use sha2::{Digest as _, Sha256};

use crate::support::{Shelf, assert_refused, challenge, scripted, serve_parts, small};

const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "hunter2-hunter2/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A cloud and its registry. The n-th password is `hunter2-n`.
struct Cloud {
    api: Server,
    registry: Server,
    given: Arc<AtomicUsize>,
    /// The first password that the registry still takes.
    live: Arc<AtomicUsize>,
    /// Seconds that a password lives.
    life: Arc<AtomicI64>,
}

impl Cloud {
    async fn new() -> Self {
        let (given, live) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let life = Arc::new(AtomicI64::new(12 * 3600));
        let api = scripted({
            let (given, life) = (Arc::clone(&given), Arc::clone(&life));
            move |seen| {
                if let Err(why) = check_signature(seen) {
                    let body = format!(r#"{{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"{why}"}}"#);
                    return answer(400, &[], body);
                }
                let number = given.fetch_add(1, Ordering::SeqCst) + 1;
                let token = STANDARD.encode(format!("AWS:hunter2-{number}"));
                let expires = now() + life.load(Ordering::SeqCst);
                let body = format!(
                    r#"{{"authorizationData":[{{"authorizationToken":"{token}","expiresAt":{expires}.25,"proxyEndpoint":"https://{HOST}"}}]}}"#
                );
                answer(200, &[("content-type", "application/x-amz-json-1.1")], body)
            }
        })
        .await;
        let parts = small();
        let registry = scripted({
            let live = Arc::clone(&live);
            move |seen| match password_of(seen) {
                Some(number) if number >= live.load(Ordering::SeqCst) => serve_parts(&parts, seen),
                _ => challenge(&format!(r#"Basic realm="https://{HOST}/",service="ecr.amazonaws.com""#)),
            }
        })
        .await;
        Self { api, registry, given, live, life }
    }

    fn host(&self) -> String {
        format!("{HOST}:{}", self.registry.port())
    }

    fn image(&self) -> String {
        format!("{}/team/app:1", self.host())
    }

    async fn shelf(&self) -> Shelf {
        let section = HostSettings { insecure: true, token_service: Some(self.api.host()), ..HostSettings::default() };
        let settings = RegistrySettings::new([(self.host().parse().unwrap(), section)].into());
        settings.names.add(HOST, &["127.0.0.1"]);
        Shelf::new(settings).await
    }

    fn credential(&self, secret: &str) -> PullCredential {
        PullCredential { server: self.host(), username: KEY_ID.into(), password: secret.into() }
    }

    fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }
}

fn now() -> i64 {
    SystemClock.now().as_millis() / 1000
}

/// Which of the passwords the request brings.
fn password_of(seen: &Seen) -> Option<usize> {
    let pair = STANDARD.decode(seen.authorization()?.strip_prefix("Basic ")?).ok()?;
    String::from_utf8(pair).ok()?.strip_prefix("AWS:hunter2-")?.parse().ok()
}

/// AWS Signature Version 4, from the request as it arrived
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).
fn check_signature(seen: &Seen) -> Result<(), String> {
    let header = |name: &str| seen.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if header("x-amz-target") != "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken" || seen.line() != "POST /"
    {
        return Err(format!("{} is no request for a password", seen.line()));
    }
    let proof = seen.authorization().and_then(|proof| proof.strip_prefix("AWS4-HMAC-SHA256 ")).ok_or("not signed")?;
    let part = |name: &str| {
        proof.split(", ").find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default().to_owned()
    };
    let (credential, signed, signature) = (part("Credential"), part("SignedHeaders"), part("Signature"));
    let date = header("x-amz-date");
    let day = date.get(..8).unwrap_or_default();
    let scope = format!("{day}/eu-west-1/ecr/aws4_request");
    if credential != format!("{KEY_ID}/{scope}") {
        return Err(format!("the credential is {credential}"));
    }
    let mut canonical = "POST\n/\n\n".to_owned();
    for name in signed.split(';') {
        canonical.push_str(&format!("{name}:{}\n", header(name)));
    }
    canonical.push_str(&format!("\n{signed}\n{}", hex::encode(Sha256::digest(&seen.body))));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    let mac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let key = [day, "eu-west-1", "ecr", "aws4_request"]
        .iter()
        .fold(format!("AWS4{SECRET}").into_bytes(), |key, part| mac(&key, part));
    let signs = ["host", "x-amz-date", "x-amz-target"].iter().all(|name| signed.split(';').any(|one| one == *name));
    if signs && hex::encode(mac(&key, &text)) == signature {
        Ok(())
    } else {
        Err("the signature does not match".to_owned())
    }
}

#[tokio::test]
async fn a_password_is_asked_for_with_the_access_key_and_used_for_its_life() {
    let cloud = Cloud::new().await;
    let shelf = cloud.shelf().await;
    for _ in 0..3 {
        shelf.fetch(&cloud.image(), Some(&cloud.credential(SECRET))).await.unwrap();
    }
    assert_eq!(cloud.given(), 1, "one password serves twelve hours");
    // The access key itself reaches nobody: not the cloud, not the registry.
    for seen in cloud.api.seen().iter().chain(&cloud.registry.seen()) {
        let all = format!("{seen:?}");
        let coded = STANDARD.encode(format!("{KEY_ID}:{SECRET}"));
        assert!(!all.contains(SECRET) && !all.contains(&coded), "{all}");
    }
    assert!(cloud.registry.seen().iter().all(|seen| !format!("{seen:?}").contains(KEY_ID)));
}

#[tokio::test]
async fn one_that_is_over_or_not_taken_any_more_is_asked_for_anew() {
    let cloud = Cloud::new().await;
    let shelf = cloud.shelf().await;
    let credential = cloud.credential(SECRET);
    // Over when it is given.
    cloud.life.store(-60, Ordering::SeqCst);
    for number in 1..=2 {
        shelf.fetch(&cloud.image(), Some(&credential)).await.unwrap();
        assert_eq!(cloud.given(), number);
    }
    cloud.life.store(12 * 3600, Ordering::SeqCst);
    shelf.fetch(&cloud.image(), Some(&credential)).await.unwrap();
    assert_eq!(cloud.given(), 3);
    // The registry takes none of those that were given: a new one is asked for at once, by a fetch and by a check.
    cloud.live.store(4, Ordering::SeqCst);
    shelf.fetch(&cloud.image(), Some(&credential)).await.unwrap();
    assert_eq!(cloud.given(), 4);
    cloud.live.store(5, Ordering::SeqCst);
    shelf.images.check(&cloud.image().parse().unwrap(), Some(&credential)).await.unwrap();
    assert_eq!(cloud.given(), 5);
    // And not again and again when that is of no use.
    cloud.live.store(usize::MAX, Ordering::SeqCst);
    assert_refused(shelf.fetch(&cloud.image(), Some(&credential)).await, "wrong_credential");
    assert_eq!(cloud.given(), 6);
}

#[tokio::test]
async fn many_that_need_one_at_once_ask_once() {
    let cloud = Cloud::new().await;
    let shelf = cloud.shelf().await;
    let (image, credential) = (cloud.image(), cloud.credential(SECRET));
    let fetches = (0..20).map(|_| shelf.fetch(&image, Some(&credential)));
    for fetched in futures_util::future::join_all(fetches).await {
        fetched.unwrap();
    }
    assert_eq!(cloud.given(), 1);
}

#[tokio::test]
async fn a_password_is_shared_and_the_path_that_a_pull_secret_is_for_is_not() {
    let cloud = Cloud::new().await;
    let shelf = cloud.shelf().await;
    let narrow = PullCredential { server: format!("{}/team", cloud.host()), ..cloud.credential(SECRET) };
    shelf.fetch(&cloud.image(), Some(&narrow)).await.unwrap();
    let other = cloud.image().replace("/team/", "/another/");
    assert_refused(shelf.fetch(&other, Some(&narrow)).await, "wrong_registry");
    // The same access key for all of the registry: the registry is asked, and has no such image.
    assert_refused(shelf.fetch(&other, Some(&cloud.credential(SECRET))).await, "not_found_or_no_permission");
    assert_eq!(cloud.given(), 1);
}

#[tokio::test]
async fn an_access_key_is_sent_to_no_other_registry() {
    let other = scripted(|_| challenge(r#"Basic realm="x""#)).await;
    let shelf = Shelf::new(crate::support::insecure(&[&other.host()])).await;
    for username in [KEY_ID, " AKIAIOSFODNN7EXAMPLE ", "ASIAIOSFODNN7EXAMPLE"] {
        let credential = PullCredential { server: other.host(), username: username.into(), password: SECRET.into() };
        let fetched = shelf.fetch(&format!("{}/team/app:1", other.host()), Some(&credential)).await;
        assert_refused(fetched, "unusable_credential");
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn what_the_cloud_refuses_is_told_in_its_words_and_reaches_no_registry() {
    let cloud = Cloud::new().await;
    let shelf = cloud.shelf().await;
    let error = assert_refused(
        shelf.fetch(&cloud.image(), Some(&cloud.credential("hunter2-another"))).await,
        "identity_refused",
    );
    let message = error.to_string();
    assert!(message.contains("InvalidSignatureException: the signature does not match"), "{message}");
    let temporary = PullCredential { username: "ASIAIOSFODNN7EXAMPLE".into(), ..cloud.credential(SECRET) };
    assert_refused(shelf.fetch(&cloud.image(), Some(&temporary)).await, "unusable_credential");
    assert_eq!((cloud.registry.connections(), cloud.api.connections()), (0, 1));
}

#[tokio::test]
async fn an_access_key_for_another_registry_or_path_asks_nobody() {
    let cloud = Cloud::new().await;
    let shelf = cloud.shelf().await;
    for server in [format!("{}/other", cloud.host()), "210987654321.dkr.ecr.eu-west-1.amazonaws.com".to_owned()] {
        let credential = PullCredential { server, ..cloud.credential(SECRET) };
        assert_refused(shelf.fetch(&cloud.image(), Some(&credential)).await, "wrong_registry");
    }
    assert_eq!((cloud.registry.connections(), cloud.api.connections()), (0, 0));
}

#[tokio::test]
async fn a_cloud_that_is_down_is_asked_again_and_then_named() {
    let cloud = Cloud::new().await;
    for (status, kind, code, tries) in [
        (503, "", "registry_failed", 3),
        (400, "ServerException", "registry_failed", 3),
        (400, "ThrottlingException", "rate_limited", 1),
    ] {
        let down: Server = scripted(move |_| -> Answer {
            answer(status, &[], format!(r#"{{"__type":"com.amazonaws.ecr#{kind}","message":"not now"}}"#))
        })
        .await;
        let section = HostSettings { insecure: true, token_service: Some(down.host()), ..HostSettings::default() };
        let settings = RegistrySettings::new([(cloud.host().parse().unwrap(), section)].into());
        settings.names.add(HOST, &["127.0.0.1"]);
        let shelf = Shelf::new(settings).await;
        assert_refused(shelf.fetch(&cloud.image(), Some(&cloud.credential(SECRET))).await, code);
        assert_eq!((down.seen().len(), cloud.registry.connections()), (tries, 0), "{kind}");
    }
}

#[tokio::test]
async fn a_password_that_was_given_elsewhere_is_presented_as_it_is() {
    let cloud = Cloud::new().await;
    let shelf = cloud.shelf().await;
    let given = PullCredential { username: "AWS".into(), password: "hunter2-7".into(), server: cloud.host() };
    shelf.fetch(&cloud.image(), Some(&given)).await.unwrap();
    assert_eq!(cloud.given(), 0);
}
