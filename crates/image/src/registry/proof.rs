//! What a request brings along to be let in, and what follows when it is not.

use http::{HeaderMap, HeaderValue, header};
use reqwest::Url;

use super::{Access, answer, challenge_memory::Scheme, dial::Reply};
use crate::{
    challenge::{self, Challenge},
    credential::Token,
    error::ImageError,
    remote_text::{Hidden, RemoteText},
};

/// What a request carries.
pub(super) enum Proof {
    Nothing,
    Basic,
    Token { token: Token, fresh: bool },
}

impl Access<'_> {
    /// What the registry wanted last time.
    pub(super) async fn remembered_proof(&self) -> Result<Proof, ImageError> {
        match self.registries.schemes.get(self.reference.registry()) {
            Some(Scheme::Basic) if self.grant.is_some() => Ok(Proof::Basic),
            Some(Scheme::Bearer(bearer)) => {
                let tokens = &self.registries.tokens;
                if let Some(token) = tokens.get(&tokens.key(self.reference, self.credential())) {
                    return Ok(Proof::Token { token, fresh: false });
                }
                let asked = tokens.ask(&self.registries.dialer, self.reference, self.grant.as_ref(), &bearer).await?;
                Ok(Proof::Token { token: asked, fresh: true })
            }
            _ => Ok(Proof::Nothing),
        }
    }

    /// The proof to try after a 401; `None` when what was sent is what the registry asks for. Ends: from `Nothing` or an
    /// old token to `Basic` or a fresh token, and from `Basic` to a fresh token, never back.
    pub(super) async fn next_proof(&self, reply: &Reply, sent: &Proof) -> Result<Option<Proof>, ImageError> {
        let Some(challenge) = wanted(reply.headers()) else { return Ok(None) };
        let scheme = Scheme::from(challenge);
        let registry = self.reference.registry();
        match (&scheme, sent) {
            (Scheme::Basic, Proof::Nothing | Proof::Token { fresh: false, .. }) if self.grant.is_some() => {
                self.registries.schemes.put(registry, &scheme);
                Ok(Some(Proof::Basic))
            }
            (Scheme::Bearer(bearer), Proof::Nothing | Proof::Basic | Proof::Token { fresh: false, .. }) => {
                let tokens = &self.registries.tokens;
                tokens.forget(&tokens.key(self.reference, self.credential()));
                let token = tokens.ask(&self.registries.dialer, self.reference, self.grant.as_ref(), bearer).await?;
                self.registries.schemes.put(registry, &scheme);
                Ok(Some(Proof::Token { token, fresh: true }))
            }
            _ => Ok(None),
        }
    }

    /// The header for this URL; `None` when the proof is not for it.
    pub(super) fn header(&self, proof: &Proof, url: &Url) -> Option<HeaderValue> {
        match proof {
            Proof::Nothing => None,
            Proof::Basic => self.grant.as_ref()?.for_registry(url),
            Proof::Token { token, .. } => token.for_registry(url),
        }
    }

    /// What an answer to this proof may not repeat.
    pub(super) fn hidden<'p>(&'p self, proof: &'p Proof) -> Hidden<'p> {
        let token = match proof {
            Proof::Token { token, .. } => Some(token.text()),
            _ => None,
        };
        Hidden { credential: self.credential(), token }
    }

    /// What the registry's refusal of this proof means.
    pub(super) async fn refused(&self, reply: Reply, proof: &Proof) -> ImageError {
        let (status, headers, host) = (reply.status(), reply.headers().clone(), reply.host.clone());
        let registry = self.reference.registry().clone();
        let hidden = self.hidden(proof);
        let mut said = answer::said(reply, hidden).await;
        if said.as_str().is_empty()
            && let Some(Challenge::Bearer(bearer)) = wanted(&headers)
        {
            said = RemoteText::new(&bearer.description.or(bearer.error).unwrap_or_default(), hidden);
        }
        let with_credential = self.grant.is_some();
        let expired = with_credential && answer::means_expired(&said);
        let image = self.reference.to_string();
        match (status.as_u16(), proof) {
            (401 | 403, _) if expired => ImageError::CredentialExpired { registry, said: said.said() },
            (401, Proof::Basic) => ImageError::WrongCredential { registry, said: said.said() },
            (401, _) if !with_credential => ImageError::NoCredential { registry, said: said.said() },
            (401, Proof::Nothing) => ImageError::BadAnswer { host, what: "it asks for a credential in no known way" },
            (401 | 403 | 404, _) => ImageError::NotFoundOrNoPermission { image, with_credential, said: said.said() },
            _ => answer::general(status, &headers, host, &registry, said),
        }
    }
}

/// What a registry asks for in a 401.
fn wanted(headers: &HeaderMap) -> Option<Challenge> {
    let values = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    challenge::choose(challenge::parse(values))
}
