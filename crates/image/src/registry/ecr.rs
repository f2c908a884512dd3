//! Passwords for Amazon ECR, whose registries take only such as die after twelve hours. The pull secret has the access key
//! of an identity that lasts, and a password is asked for when an image is fetched.
//!
//! What must stay true: the secret access key signs one request and is sent to nobody, whatever the registry; that request
//! goes to the API of the registry's own region, or to the token service that the operator names for the registry; the
//! password goes where any pull secret's goes (see `credential`), and is in memory only.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use meshkeep_core::{Clock as _, SecretText, Timestamp, clock::SystemClock, secret::PullCredential};
use reqwest::Url;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    answer,
    dial::{Dialer, Outgoing, Reply},
    fingerprint::{Fingerprint, Fingerprints},
    patiently,
    signature::{Signed, sign},
};
use crate::{
    error::ImageError,
    host::RegistryHost,
    remote_text::{Hidden, RemoteText},
    settings::named_token_service,
};

const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
const MAX_REPLY: usize = 64 * 1024;
const WHOLE_REQUEST: Duration = Duration::from_secs(30);
/// Fifths of its life that a password is used.
const USED_FIFTHS: i64 = 4;
/// Longest life that is believed, in milliseconds.
const MAX_LIFE: i64 = 12 * 3_600_000;
const MAX_REMEMBERED: usize = 1024;

/// Passwords that were given out, by registry and identity. One that is being asked for is waited for.
pub(super) struct Passwords {
    fingerprints: Fingerprints,
    known: Mutex<HashMap<Key, Slot>>,
}

type Key = (RegistryHost, Fingerprint);
type Slot = Arc<tokio::sync::Mutex<Option<Password>>>;

/// What a registry of ECR takes for a while.
#[derive(Clone)]
struct Password {
    username: SecretText,
    password: SecretText,
    /// By the clock that Amazon speaks of, and by one that nobody sets: whichever is over first.
    until: (Timestamp, Instant),
}

impl Password {
    fn is_good(&self) -> bool {
        SystemClock.now() < self.until.0 && Instant::now() < self.until.1
    }

    fn as_of(&self, credential: &PullCredential) -> PullCredential {
        PullCredential {
            server: credential.server.clone(),
            username: self.username.clone(),
            password: self.password.clone(),
        }
    }
}

/// A password to present.
pub(super) struct Given {
    pub(super) credential: PullCredential,
    /// Whether it was given out before, so that asking anew may help when it is not taken.
    pub(super) remembered: bool,
}

/// Where a registry of ECR is.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    region: &'a str,
    /// The host of its region's API.
    api: String,
}

impl<'a> Place<'a> {
    /// None when the host is no registry of ECR
    /// (<https://docs.aws.amazon.com/general/latest/gr/ecr.html>, service endpoints).
    fn of(host: &'a str) -> Option<Self> {
        let (account, rest) = host.split_once('.')?;
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let (kind, domains): (_, &[&str]) = [
            ("dkr.ecr.", &["amazonaws.com", "amazonaws.com.cn", "amazonaws.eu"][..]),
            ("dkr.ecr-fips.", &["amazonaws.com"]),
            ("dkr-ecr.", &["on.aws"]),
            ("dkr-ecr-fips.", &["on.aws"]),
        ]
        .into_iter()
        .find(|(kind, _)| rest.starts_with(kind))?;
        let (region, domain) = rest[kind.len()..].split_once('.')?;
        if region.is_empty() || !domains.contains(&domain) {
            return None;
        }
        let api = match kind {
            "dkr.ecr." => format!("api.ecr.{region}.{domain}"),
            "dkr.ecr-fips." => format!("ecr-fips.{region}.{domain}"),
            "dkr-ecr." => format!("ecr.{region}.api.aws"),
            _ => format!("ecr-fips.{region}.api.aws"),
        };
        Some(Self { region, api })
    }
}

/// Kinds of access keys, by how their ids begin
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes>).
#[derive(Debug, PartialEq, Eq)]
enum AccessKey {
    Lasting,
    Temporary,
}

impl AccessKey {
    /// None when the user name is no id of an access key.
    fn of(username: &str) -> Option<Self> {
        let id = username.trim();
        let fits = id.len() >= 16 && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        match id.get(..4).filter(|_| fits)? {
            "AKIA" => Some(Self::Lasting),
            "ASIA" => Some(Self::Temporary),
            _ => None,
        }
    }
}

impl Passwords {
    pub fn new(fingerprints: Fingerprints) -> Self {
        Self { fingerprints, known: Mutex::default() }
    }

    /// The password that the registry takes from this identity; none when the credential is a password already.
    ///
    /// # Errors
    /// The identity cannot be used, or is not for this registry, or its cloud refuses it.
    pub async fn of(
        &self,
        dialer: &Dialer,
        registry: &RegistryHost,
        credential: &PullCredential,
    ) -> Result<Option<Given>, ImageError> {
        let unusable = |why| Err(ImageError::UnusableCredential(why));
        match AccessKey::of(credential.username.expose()) {
            None => return Ok(None),
            Some(AccessKey::Temporary) => {
                return unusable("it is a temporary access key, which dies within hours; one that lasts is needed");
            }
            Some(AccessKey::Lasting) => {}
        }
        let Some(place) = Place::of(registry.host_name()) else {
            return unusable("it is an access key of Amazon, and the registry is none of Amazon ECR's own");
        };
        let slot = self.slot(registry, credential);
        // One asks, the others wait for its answer.
        let mut known = slot.lock().await;
        if let Some(password) = known.as_ref().filter(|password| password.is_good()) {
            return Ok(Some(Given { credential: password.as_of(credential), remembered: true }));
        }
        let password = patiently(|| ask(dialer, registry, &place, credential)).await?;
        let given = Given { credential: password.as_of(credential), remembered: false };
        *known = Some(password);
        Ok(Some(given))
    }

    /// The registry does not take this password any more.
    pub async fn forget(&self, registry: &RegistryHost, credential: &PullCredential, presented: &PullCredential) {
        let slot = self.slot(registry, credential);
        let mut known = slot.lock().await;
        let presented = self.fingerprints.of(presented);
        if known.as_ref().is_some_and(|password| self.fingerprints.of(&password.as_of(credential)) == presented) {
            *known = None;
        }
    }

    fn slot(&self, registry: &RegistryHost, credential: &PullCredential) -> Slot {
        let key = (registry.clone(), self.fingerprints.of(credential));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_REMEMBERED {
            known.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(known.entry(key).or_default())
    }
}

async fn ask(
    dialer: &Dialer,
    registry: &RegistryHost,
    place: &Place<'_>,
    credential: &PullCredential,
) -> Result<Password, ImageError> {
    let settings = dialer.settings();
    let section = settings.host(registry);
    let named = named_token_service(&section).map(String::from);
    let scheme = if named.is_some() && section.insecure { "http" } else { "https" };
    let url = format!("{scheme}://{}/", named.as_deref().unwrap_or(&place.api));
    let url = Url::parse(&url).expect("the host of a registry is that of a URL");
    let hidden = Hidden::from(Some(credential));
    let outgoing = Outgoing {
        section: &settings.for_token_service(registry, &url),
        method: Method::POST,
        headers: headers(&url, place.region, credential)?,
        url,
        body: Some(BODY.to_vec()),
        limit: Some(WHOLE_REQUEST),
        hidden,
    };
    let reply = dialer.send(outgoing).await?;
    if !reply.status().is_success() {
        return Err(refused(reply, registry, hidden).await);
    }
    let host = reply.host.clone();
    let bytes = answer::body(reply, MAX_REPLY).await?;
    read(&bytes).ok_or(ImageError::BadAnswer {
        host,
        what: "it gives no password for the registry in the form that is documented",
    })
}

/// All of the request's body.
const BODY: &[u8] = b"{}";

/// The headers of the request, with its signature.
fn headers(url: &Url, region: &str, credential: &PullCredential) -> Result<HeaderMap, ImageError> {
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let unusable = || ImageError::UnusableCredential("nothing can be signed with it");
    let date = jiff::Timestamp::from_millisecond(SystemClock.now().as_millis()).map_err(|_| unusable())?;
    let date = date.strftime("%Y%m%dT%H%M%SZ").to_string();
    let request = Signed {
        headers: &[
            ("content-type", "application/x-amz-json-1.1"),
            ("host", &host),
            ("x-amz-date", &date),
            ("x-amz-target", TARGET),
        ],
        body: BODY,
        region,
        service: "ecr",
        date: &date,
    };
    let id = credential.username.expose().trim();
    let mut proof = HeaderValue::from_str(&sign(&request, id, &credential.password)).map_err(|_| unusable())?;
    proof.set_sensitive(true);
    let mut headers = HeaderMap::from_iter([(header::AUTHORIZATION, proof)]);
    for (name, value) in request.headers.iter().filter(|(name, _)| *name != "host") {
        let value = HeaderValue::from_str(value).map_err(|_| unusable())?;
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?, value);
    }
    Ok(headers)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PasswordReply {
    authorization_data: Vec<Authorization>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorization {
    authorization_token: SecretText,
    /// Seconds since 1970.
    expires_at: f64,
}

fn read(bytes: &[u8]) -> Option<Password> {
    let reply: PasswordReply = serde_json::from_slice(bytes).ok()?;
    let Authorization { authorization_token, expires_at } = reply.authorization_data.into_iter().next()?;
    let pair = Zeroizing::new(STANDARD.decode(authorization_token.expose()).ok()?);
    let (username, password) = str::from_utf8(&pair).ok()?.split_once(':')?;
    let (now, at) = (SystemClock.now(), Instant::now());
    #[expect(clippy::cast_possible_truncation, reason = "a cast of a float keeps to the bounds of its target")]
    let expires = (expires_at * 1000.0) as i64;
    // One that seems over already is used for this fetch alone.
    let life = expires.saturating_sub(now.as_millis()).clamp(0, MAX_LIFE) / 5 * USED_FIFTHS;
    let until = (now.plus_millis(life), at + Duration::from_millis(life.unsigned_abs()));
    Some(Password { username: username.into(), password: password.into(), until })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Said {
    __type: String,
    message: String,
    #[serde(rename = "Message")]
    other_message: String,
}

/// What a refusal means (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/CommonErrors.html>): also limits and
/// passing faults may have the status 400.
async fn refused(reply: Reply, registry: &RegistryHost, hidden: Hidden<'_>) -> ImageError {
    let (status, headers, host) = (reply.status(), reply.headers().clone(), reply.host.clone());
    if !matches!(status.as_u16(), 400 | 401 | 403) {
        let said = answer::said(reply, hidden).await;
        return answer::general(status, &headers, host, registry, said);
    }
    let bytes = answer::body(reply, MAX_REPLY).await.unwrap_or_default();
    let said: Said = serde_json::from_slice(&bytes).unwrap_or_default();
    let message = if said.message.is_empty() { said.other_message } else { said.message };
    let kind = said.__type.rsplit('#').next().unwrap_or_default();
    let text = [kind, &message].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    let (registry, said) = (registry.clone(), RemoteText::new(&text, hidden).said());
    if kind.starts_with("Throttling") || kind.starts_with("TooManyRequests") || kind.starts_with("RequestLimit") {
        return ImageError::RateLimited { registry, reset: answer::reset_time(&headers, SystemClock.now()) };
    }
    if kind.starts_with("Server") || kind.starts_with("Internal") || kind.starts_with("ServiceUnavailable") {
        return ImageError::RegistryFailed { host, status: status.as_u16(), said };
    }
    ImageError::Identity { registry, said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_of_ecr_and_no_others_have_a_place() {
        for (host, region, api) in [
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1", "api.ecr.eu-west-1.amazonaws.com"),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1", "api.ecr.cn-north-1.amazonaws.com.cn"),
            (
                "123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu",
                "eusc-de-east-1",
                "api.ecr.eusc-de-east-1.amazonaws.eu",
            ),
            ("123456789012.dkr.ecr-fips.us-east-2.amazonaws.com", "us-east-2", "ecr-fips.us-east-2.amazonaws.com"),
            ("123456789012.dkr-ecr.us-east-2.on.aws", "us-east-2", "ecr.us-east-2.api.aws"),
            ("123456789012.dkr-ecr-fips.us-east-2.on.aws", "us-east-2", "ecr-fips.us-east-2.api.aws"),
        ] {
            assert_eq!(Place::of(host), Some(Place { region, api: api.to_owned() }), "{host}");
        }
        for other in [
            "12345678901.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.org",
            "123456789012.dkr.ecr.evil.org",
            "123456789012.dkr.ecr..amazonaws.com",
            "123456789012.dkr-ecr.us-east-2.amazonaws.com",
            "a.123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "public.ecr.aws",
            "registry.example.com",
        ] {
            assert_eq!(Place::of(other), None, "{other}");
        }
    }

    #[test]
    fn access_keys_are_known_by_their_ids() {
        assert_eq!(AccessKey::of(" AKIAIOSFODNN7EXAMPLE\n"), Some(AccessKey::Lasting));
        assert_eq!(AccessKey::of("ASIAIOSFODNN7EXAMPLE"), Some(AccessKey::Temporary));
        for other in ["AWS", "AKIA", "akiaiosfodnn7example", "AKIA-the-robot-of-us", "robot", ""] {
            assert_eq!(AccessKey::of(other), None, "{other}");
        }
    }

    #[test]
    fn a_password_is_used_for_four_fifths_of_its_life() {
        let token = STANDARD.encode("AWS:the password");
        let life_of = |expires: i64| {
            let at = SystemClock.now().as_millis() / 1000 + expires;
            let text = format!(
                r#"{{"authorizationData":[{{"authorizationToken":"{token}","expiresAt":{at}.5,"proxyEndpoint":"x"}}]}}"#
            );
            let read = read(text.as_bytes()).unwrap();
            assert_eq!((read.username.expose(), read.password.expose()), ("AWS", "the password"));
            let life = (read.until.0.as_millis() - SystemClock.now().as_millis()).max(0) / 1000;
            let other = read.until.1.saturating_duration_since(Instant::now()).as_secs();
            assert!(life.abs_diff(i64::try_from(other).unwrap()) <= 1, "{life} and {other}");
            life
        };
        assert!((797..=801).contains(&life_of(1000)));
        assert!(
            (MAX_LIFE / 5 * USED_FIFTHS / 1000 - 2..=MAX_LIFE / 5 * USED_FIFTHS / 1000).contains(&life_of(1_000_000))
        );
        assert_eq!(life_of(-10), 0);
        for bad in [
            "",
            "{}",
            r#"{"authorizationData":[]}"#,
            r#"{"authorizationData":[{"authorizationToken":"eA==","expiresAt":9e9}]}"#,
        ] {
            assert!(read(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
