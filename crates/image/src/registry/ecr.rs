//! Passwords for Amazon ECR, whose registries take only such as die after twelve hours. The pull secret has the access key
//! of an identity that lasts, and a password is asked for when an image is fetched.
//!
//! What must stay true: the secret access key signs one request and is sent to nobody; that request goes to the API of the
//! registry's own region, or to the token service that the operator names for the registry; the password goes where any
//! pull secret's goes (see `credential`), and is in memory only.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, UNIX_EPOCH},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use meshkeep_core::{Clock as _, SecretText, clock::SystemClock, secret::PullCredential};
use reqwest::Url;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    TRIES, answer,
    dial::{Dialer, Outgoing, Reply},
    fingerprint::{Fingerprint, Fingerprints},
    pause,
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
/// How much of its life a password is used.
const USED: f64 = 0.8;
/// Longest life that is believed.
const MAX_LIFE: Duration = Duration::from_secs(12 * 3600);
const MAX_REMEMBERED: usize = 1024;

/// Passwords that were given out, by registry and identity.
pub(super) struct Passwords {
    fingerprints: Fingerprints,
    known: Mutex<HashMap<(RegistryHost, Fingerprint), (PullCredential, Instant)>>,
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
            ("dkr.ecr.", &["amazonaws.com", "amazonaws.com.cn"][..]),
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

impl Passwords {
    pub fn new(fingerprints: Fingerprints) -> Self {
        Self { fingerprints, known: Mutex::default() }
    }

    /// The password that the registry takes from this identity; none when it is no registry of ECR, or the credential is a
    /// password already.
    ///
    /// # Errors
    /// The identity cannot be used, or its cloud refuses it.
    pub async fn of(
        &self,
        dialer: &Dialer,
        registry: &RegistryHost,
        credential: &PullCredential,
    ) -> Result<Option<PullCredential>, ImageError> {
        let Some(place) = Place::of(registry.host_name()) else { return Ok(None) };
        match credential.username.expose().get(..4) {
            // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes
            Some("AKIA") => {}
            Some("ASIA") => {
                return Err(ImageError::UnusableCredential(
                    "it is a temporary access key, which dies within hours; use one that lasts, of a user that may only pull",
                ));
            }
            _ => return Ok(None),
        }
        let key = (registry.clone(), self.fingerprints.of(credential));
        if let Some(known) = self.get(&key) {
            return Ok(Some(known));
        }
        let (password, life) = ask(dialer, registry, &place, credential).await?;
        self.put(key, password.clone(), life);
        Ok(Some(password))
    }

    /// The registry does not take the password any more.
    pub fn forget(&self, registry: &RegistryHost, credential: &PullCredential) {
        let key = (registry.clone(), self.fingerprints.of(credential));
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    fn get(&self, key: &(RegistryHost, Fingerprint)) -> Option<PullCredential> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|(_, until)| *until > Instant::now()).map(|(password, _)| password.clone())
    }

    fn put(&self, key: (RegistryHost, Fingerprint), password: PullCredential, life: Duration) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        known.retain(|_, (_, until)| *until > now);
        if known.len() < MAX_REMEMBERED {
            known.insert(key, (password, now + life));
        }
    }
}

/// Asks for a password; passing troubles are tried again. With it, how long it is used.
async fn ask(
    dialer: &Dialer,
    registry: &RegistryHost,
    place: &Place<'_>,
    credential: &PullCredential,
) -> Result<(PullCredential, Duration), ImageError> {
    for tried in 1.. {
        match ask_once(dialer, registry, place, credential).await {
            Err(error) if tried < TRIES => match pause(&error, tried) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            },
            outcome => return outcome,
        }
    }
    unreachable!("the loop returns at the last try")
}

async fn ask_once(
    dialer: &Dialer,
    registry: &RegistryHost,
    place: &Place<'_>,
    credential: &PullCredential,
) -> Result<(PullCredential, Duration), ImageError> {
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
        headers: signed(&url, place.region, credential)?,
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
    read(&bytes, &credential.server).ok_or(ImageError::BadAnswer {
        host,
        what: "it gives no password for the registry in the form that is documented",
    })
}

/// All of the request's body.
const BODY: &[u8] = b"{}";

/// The headers of the request with its signature (AWS Signature Version 4), which is all that the secret access key does.
fn signed(url: &Url, region: &str, credential: &PullCredential) -> Result<HeaderMap, ImageError> {
    let unusable = || ImageError::UnusableCredential("nothing can be signed with it");
    let identity = Credentials::builder()
        .access_key_id(credential.username.expose())
        .secret_access_key(credential.password.expose())
        .provider_name("meshkeep")
        .build()
        .into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("ecr")
        .time(UNIX_EPOCH + Duration::from_millis(u64::try_from(SystemClock.now().as_millis()).unwrap_or(0)))
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| unusable())?
        .into();
    let own = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", TARGET)];
    let request = SignableRequest::new("POST", url.as_str(), own.into_iter(), SignableBody::Bytes(BODY))
        .map_err(|_| unusable())?;
    let (instructions, _) = sign(request, &parameters).map_err(|_| unusable())?.into_parts();
    let mut headers = HeaderMap::new();
    for (name, value) in own.into_iter().chain(instructions.headers()) {
        let mut value = HeaderValue::from_str(value).map_err(|_| unusable())?;
        value.set_sensitive(name.eq_ignore_ascii_case(header::AUTHORIZATION.as_str()));
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?, value);
    }
    Ok(headers)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    authorization_data: Vec<Authorization>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorization {
    authorization_token: SecretText,
    /// Seconds since 1970.
    expires_at: f64,
}

/// The password and how long it is used.
fn read(bytes: &[u8], server: &str) -> Option<(PullCredential, Duration)> {
    let given: Given = serde_json::from_slice(bytes).ok()?;
    let Authorization { authorization_token, expires_at } = given.authorization_data.into_iter().next()?;
    let pair = Zeroizing::new(STANDARD.decode(authorization_token.expose()).ok()?);
    let (username, password) = str::from_utf8(&pair).ok()?.split_once(':')?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are exact in a double")]
    let now = SystemClock.now().as_millis() as f64 / 1000.0;
    // One that seems over already is used for this fetch alone.
    let life = Duration::try_from_secs_f64(((expires_at - now) * USED).max(0.0)).ok()?.min(MAX_LIFE);
    let password = PullCredential { server: server.to_owned(), username: username.into(), password: password.into() };
    Some((password, life))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Said {
    __type: String,
    message: String,
    #[serde(rename = "Message")]
    other_message: String,
}

async fn refused(reply: Reply, registry: &RegistryHost, hidden: Hidden<'_>) -> ImageError {
    let (status, headers, host) = (reply.status(), reply.headers().clone(), reply.host.clone());
    if !matches!(status.as_u16(), 400 | 401 | 403) {
        let said = answer::said(reply, hidden).await;
        return answer::general(status, &headers, host, registry, said);
    }
    let Ok(bytes) = answer::body(reply, MAX_REPLY).await else {
        return ImageError::Identity { registry: registry.clone(), said: RemoteText::default() };
    };
    let said: Said = serde_json::from_slice(&bytes).unwrap_or_default();
    let message = if said.message.is_empty() { said.other_message } else { said.message };
    let kind = said.__type.rsplit('#').next().unwrap_or_default();
    let said = [kind, &message].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    ImageError::Identity { registry: registry.clone(), said: RemoteText::new(&said, hidden).said() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_of_ecr_and_no_others_have_a_place() {
        for (host, region, api) in [
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1", "api.ecr.eu-west-1.amazonaws.com"),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1", "api.ecr.cn-north-1.amazonaws.com.cn"),
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
    fn a_password_is_used_for_four_fifths_of_its_life() {
        let token = STANDARD.encode("AWS:the password");
        let reply = |expires: i64| {
            let at = SystemClock.now().as_millis() / 1000 + expires;
            let text = format!(
                r#"{{"authorizationData":[{{"authorizationToken":"{token}","expiresAt":{at}.5,"proxyEndpoint":"x"}}]}}"#
            );
            read(text.as_bytes(), "registry")
        };
        let (password, life) = reply(1000).unwrap();
        assert_eq!((password.username.expose(), password.password.expose()), ("AWS", "the password"));
        assert!((798..=801).contains(&life.as_secs()), "{life:?}");
        assert_eq!(reply(1_000_000).unwrap().1, MAX_LIFE);
        assert_eq!(reply(-10).unwrap().1, Duration::ZERO);
        for bad in [
            "",
            "{}",
            r#"{"authorizationData":[]}"#,
            r#"{"authorizationData":[{"authorizationToken":"eA==","expiresAt":9e9}]}"#,
        ] {
            assert!(read(bad.as_bytes(), "registry").is_none(), "{bad}");
        }
    }
}
