//! From a bearer credential to a [`Caller`].
//!
//! What must stay true: a token is worth no more than the key that signed it is worth now; nothing tells a stranger
//! which part of a credential was wrong.

use meshkeep_core::{
    Refusal, SecretText,
    access::{Grant, Role},
    api_key::ApiKeyText,
    id::ApiKeyId,
};
use meshkeep_store::ApiKey;
use subtle::ConstantTimeEq as _;

use crate::{
    Caller, Control, Identity, Origin,
    refusals::{refused, unauthenticated},
    token::{self, Claims},
};

impl Control {
    /// Who is asking.
    ///
    /// # Errors
    /// `Unauthenticated`, in the same words whatever is wrong.
    pub async fn authenticate(&self, bearer: Option<&str>, origin: Origin) -> Result<Caller, Refusal> {
        let credential = bearer.ok_or_else(unauthenticated)?;
        match ApiKeyText::parse(credential) {
            Ok(key) => self.by_key(&key, origin).await,
            Err(_) => self.by_token(credential, origin).await,
        }
    }

    async fn by_key(&self, shown: &ApiKeyText, origin: Origin) -> Result<Caller, Refusal> {
        let (key, secret) = self.key(shown.id).await?.ok_or_else(unauthenticated)?;
        let same_secret = secret.expose().as_bytes().ct_eq(shown.secret.expose().as_bytes());
        if !bool::from(same_secret) || key.project != shown.project {
            return Err(unauthenticated());
        }
        Ok(Caller::new(Identity::ApiKey { id: key.id, name: key.name }, key.project, key.grant, origin))
    }

    async fn by_token(&self, text: &str, origin: Origin) -> Result<Caller, Refusal> {
        let claimed = token::claimed_key(text).map_err(|_| unauthenticated())?;
        let (key, secret) = self.key(claimed).await?.ok_or_else(unauthenticated)?;
        let claims = token::verify(text, &secret, &*self.context().parts.clock).map_err(|_| unauthenticated())?;
        if claims.project().ok() != Some(key.project) {
            return Err(unauthenticated());
        }
        let grant = worth(&claims).intersect(key.grant);
        Ok(Caller::new(Identity::Participant { key: key.id, name: claims.name }, key.project, grant, origin))
    }

    pub(super) async fn key(&self, id: ApiKeyId) -> Result<Option<(ApiKey, SecretText)>, Refusal> {
        let mut tx = self.store().read("authenticate").await.map_err(refused)?;
        tx.api_key(id).await.map_err(refused)
    }
}

/// What a token asks for on the project's API. Its other members are about one room, and give nothing here.
fn worth(claims: &Claims) -> Grant {
    let is_admin = claims.api("admin");
    Grant { role: if is_admin { Role::Admin } else { Role::Member }, bind: is_admin || claims.api("secrets") }
}
