//! From a bearer credential to a [`Caller`].
//!
//! What must stay true: a token is worth no more than the key that signed it is worth now; nothing tells a stranger
//! which part of a credential was wrong.

use meshkeep_core::{
    Refusal, SecretText,
    access::{Grant, Role},
    api_key::ApiKeyText,
    id::{ApiKeyId, ProjectId},
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
        let Holder { identity, project, limit, claims } = self.holder(text).await?;
        let grant = worth(&claims)?.intersect(limit);
        Ok(Caller::new(identity, project, grant, origin))
    }

    /// Whose token it is, and the bound of its rights.
    ///
    /// # Errors
    /// `Unauthenticated`, in the same words whatever is wrong.
    pub(crate) async fn holder(&self, text: &str) -> Result<Holder, Refusal> {
        match token::claimed_key(text).map_err(|_| unauthenticated())? {
            Some(key) => self.signed_by_key(text, key).await,
            None => self.signed_by_us(text).await,
        }
    }

    async fn signed_by_key(&self, text: &str, key: ApiKeyId) -> Result<Holder, Refusal> {
        let (key, secret) = self.key(key).await?.ok_or_else(unauthenticated)?;
        let mut claims = self.verified(text, &secret)?;
        if claims.project().ok() != Some(key.project) {
            return Err(unauthenticated());
        }
        // A key that was made for a service is the platform's as well.
        claims.platform |= key.service.is_some();
        let identity = Identity::Participant { key: key.id, name: claims.name.clone() };
        Ok(Holder { identity, project: key.project, limit: key.grant, claims })
    }

    async fn signed_by_us(&self, text: &str) -> Result<Holder, Refusal> {
        let mut tx = self.store().read("authenticate").await.map_err(refused)?;
        let secret = tx.token_key().await.map_err(refused)?;
        let claims = self.verified(text, &secret)?;
        let (Ok(project), Some(session), Some(service)) = (claims.project(), claims.session_id, claims.service_id)
        else {
            return Err(unauthenticated());
        };
        let runs = tx.session(project, session).await.map_err(refused)?.is_some_and(|found| found.ended_at.is_none());
        if !runs {
            return Err(unauthenticated());
        }
        let identity = Identity::Service { session, service, name: claims.name.clone() };
        Ok(Holder { identity, project, limit: SERVICES, claims })
    }

    fn verified(&self, text: &str, secret: &SecretText) -> Result<Claims, Refusal> {
        token::verify(text, secret, &*self.context().parts.clock).map_err(|_| unauthenticated())
    }

    pub(super) async fn key(&self, id: ApiKeyId) -> Result<Option<(ApiKey, SecretText)>, Refusal> {
        let mut tx = self.store().read("authenticate").await.map_err(refused)?;
        tx.api_key(id).await.map_err(refused)
    }
}

/// What a service may at most with the token that it was given, whatever its manifest asks for: a manifest is a
/// developer's, and must not make an admin of its service, nor a way to what it does not bind.
const SERVICES: Grant = Grant { role: Role::Developer, bind: false };

/// A token that was verified.
pub(crate) struct Holder {
    pub(crate) identity: Identity,
    pub(crate) project: ProjectId,
    /// No more than this, whatever the token says.
    pub(crate) limit: Grant,
    pub(crate) claims: Claims,
}

/// What a token asks for on the project's API. Its other members are about one room, and give nothing here.
fn worth(claims: &Claims) -> Result<Grant, Refusal> {
    let api = claims.api().map_err(|_| unauthenticated())?;
    let is_admin = api.admin.is_some();
    let role = if is_admin { Role::Admin } else { Role::Member };
    Ok(Grant { role, bind: is_admin || api.secrets.is_some() })
}
