//! Tokens of token services and the challenge of each registry, remembered in memory only.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderMap, Method, header};
use meshkeep_core::{SecretText, secret::PullCredential};
use serde::Deserialize;

use super::{
    answer,
    challenge_memory::Remembered,
    dial::{Dialer, Outgoing, Reply, shown_host},
    fingerprint::{Fingerprint, Fingerprints},
};
use crate::{
    credential::{Grant, Token, TokenService},
    error::ImageError,
    host::RegistryHost,
    reference::Reference,
    remote_text::Hidden,
};

const MAX_REPLY: usize = 64 * 1024;
const WHOLE_REQUEST: Duration = Duration::from_secs(30);
/// A token's life when the service states none, as the protocol says.
const DEFAULT_LIFE: u64 = 60;
/// Longest life that is believed: a withdrawn credential stops working after it at the latest.
const MAX_LIFE: u64 = 300;
/// A token is not used in its last seconds.
const MARGIN: u64 = 5;
const MAX_REMEMBERED: usize = 1024;

/// Which token: for which repository of which registry, asked for by whom.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct TokenKey {
    registry: RegistryHost,
    repository: String,
    /// So that memory holds the credential only as long as its fetch.
    credential: Option<Fingerprint>,
}

/// Tokens in memory.
pub(crate) struct Tokens {
    fingerprints: Fingerprints,
    tokens: Mutex<HashMap<TokenKey, (Token, Instant)>>,
}

impl Tokens {
    pub fn new(fingerprints: Fingerprints) -> Self {
        Self { fingerprints, tokens: Mutex::default() }
    }

    pub fn key(&self, reference: &Reference, credential: Option<&PullCredential>) -> TokenKey {
        TokenKey {
            registry: reference.registry().clone(),
            repository: reference.repository().to_owned(),
            credential: credential.map(|credential| self.fingerprints.of(credential)),
        }
    }

    pub fn get(&self, key: &TokenKey) -> Option<Token> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(key).filter(|(_, until)| *until > Instant::now()).map(|(token, _)| token.clone())
    }

    pub fn forget(&self, key: &TokenKey) {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn put(&self, key: TokenKey, token: Token, life: Duration) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        tokens.retain(|_, (_, until)| *until > now);
        if tokens.len() < MAX_REMEMBERED {
            tokens.insert(key, (token, now + life));
        }
    }

    /// Asks the registry's token service for a token that may pull this one repository.
    pub async fn ask(
        &self,
        dialer: &Dialer,
        reference: &Reference,
        grant: Option<&Grant<'_>>,
        bearer: &Remembered,
    ) -> Result<Token, ImageError> {
        let registry = reference.registry();
        let hidden = Hidden::from(grant.map(Grant::credential));
        let service = TokenService::check(registry, dialer.settings(), &bearer.realm, hidden)?;
        let mut url = service.url().clone();
        url.set_fragment(None);
        {
            let mut query = url.query_pairs_mut();
            if let Some(name) = &bearer.service {
                query.append_pair("service", name);
            }
            query.append_pair("scope", &format!("repository:{}:pull", reference.repository()));
        }
        let section = dialer.settings().for_token_service(registry, &url);
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, http::HeaderValue::from_static("application/json"));
        if let Some(grant) = grant {
            headers.insert(header::AUTHORIZATION, grant.for_token_service(&service));
        }
        let outgoing = Outgoing {
            section: &section,
            method: Method::GET,
            url,
            headers,
            body: None,
            limit: Some(WHOLE_REQUEST),
            hidden,
        };
        let reply = dialer.send(outgoing).await?;
        if !reply.status().is_success() {
            return Err(refused(reply, reference, hidden).await);
        }
        let host = reply.host.clone();
        let bytes = answer::body(reply, MAX_REPLY).await?;
        let malformed = |what| ImageError::BadAnswer { host: host.clone(), what };
        let reply: TokenReply = serde_json::from_slice(&bytes).map_err(|_| malformed("no token reply"))?;
        let text = [reply.token, reply.access_token].into_iter().flatten().find(|text| !text.is_empty());
        let text = text.ok_or_else(|| malformed("a token reply without a token"))?;
        let token = Token::new(registry, dialer.settings(), text)
            .ok_or_else(|| malformed("a token with forbidden characters"))?;
        let life = reply.expires_in.unwrap_or(DEFAULT_LIFE).min(MAX_LIFE).saturating_sub(MARGIN);
        self.put(self.key(reference, grant.map(Grant::credential)), token.clone(), Duration::from_secs(life));
        Ok(token)
    }
}

#[derive(Deserialize)]
struct TokenReply {
    #[serde(default)]
    token: Option<SecretText>,
    #[serde(default)]
    access_token: Option<SecretText>,
    #[serde(default)]
    expires_in: Option<u64>,
}

async fn refused(reply: Reply, reference: &Reference, hidden: Hidden<'_>) -> ImageError {
    let (status, headers, host) = (reply.status(), reply.headers().clone(), reply.host.clone());
    let registry = reference.registry().clone();
    if status.is_redirection() {
        let target = reply.text_header(header::LOCATION).unwrap_or_default();
        let target = reply.response.url().join(target).map(|url| shown_host(&url, hidden)).unwrap_or_default();
        let why = "is not followed: a token service must answer itself";
        return ImageError::Redirect { registry, target, why };
    }
    let said = answer::said(reply, hidden).await;
    let expired = answer::means_expired(&said);
    match (status.as_u16(), hidden.credential.is_some()) {
        (401 | 403, true) if expired => ImageError::CredentialExpired { registry, said: said.said() },
        (401, true) => ImageError::WrongCredential { registry, said: said.said() },
        (401, false) => ImageError::NoCredential { registry, said: said.said() },
        (403 | 404, with_credential) => {
            ImageError::NotFoundOrNoPermission { image: reference.to_string(), with_credential, said: said.said() }
        }
        _ => answer::general(status, &headers, host, &registry, said),
    }
}
