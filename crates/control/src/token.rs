//! Participant tokens (JWT, HS256 only): reading what key holders sign offline, signing what `connect` answers and what
//! services are given.
//!
//! Those of people are signed with the secret of an API key, so that a deleted key kills its tokens, whoever signed them.
//! Those of services have no key: they are signed with the server's own and end with their session. A token is worth no
//! more than what signed it: its claims are trusted only after the signature was checked, and its rights are intersected
//! with the key's current role by the caller of this module.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use meshkeep_core::{
    Clock, SecretText,
    id::{ApiKeyId, ProjectId, ServiceId, SessionId},
    participant::ApiScope,
};
use serde::{Deserialize, Serialize};

/// How long a token that `connect` mints is good for, in seconds.
pub const MINTED_SECONDS: i64 = 3600;

/// Why a token is not believed. Shown to nobody: the edge says "not a valid credential".
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Not a JWT, another algorithm or a bad signature.
    #[error("the token was not accepted")]
    Jwt(#[from] jsonwebtoken::errors::Error),
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// A claim of another shape.
    #[error("the token's {0} does not fit")]
    Claim(&'static str),
}

/// The claims that matter here; free extras are ignored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The participant's name.
    pub name: String,
    /// What the token may do.
    #[serde(default)]
    pub grants: Vec<TokenGrant>,
    /// Project id.
    pub sub: String,
    /// The signing API key's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The client's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// It was started by the platform: its holder does not keep a session open.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub platform: bool,
    /// With a token of the server's own: the session that it ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// With a token of the server's own: the service that it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<ServiceId>,
}

/// One of `grants`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenGrant {
    /// `room`, `role`, `api` or `tunnel_ports`.
    pub name: String,
    /// A name, a role, or an object.
    #[serde(default)]
    pub scope: serde_json::Value,
}

impl Claims {
    /// The scope of the first grant of this name.
    #[must_use]
    pub fn scope(&self, name: &str) -> Option<&serde_json::Value> {
        self.grants.iter().find(|grant| grant.name == name).map(|grant| &grant.scope)
    }

    /// What it may do; nothing when it does not say.
    ///
    /// # Errors
    /// When that is of no known shape.
    pub fn api(&self) -> Result<ApiScope, TokenError> {
        match self.scope("api") {
            None | Some(serde_json::Value::Null) => Ok(ApiScope::default()),
            Some(scope) => ApiScope::deserialize(scope).map_err(|_| TokenError::Claim("api")),
        }
    }

    /// A text that a grant of this name holds.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.scope(name).and_then(serde_json::Value::as_str)
    }

    /// The project the token is for.
    ///
    /// # Errors
    /// When `sub` is no id.
    pub fn project(&self) -> Result<ProjectId, TokenError> {
        self.sub.parse().map_err(|_| TokenError::Claim("sub"))
    }
}

/// Which key is said to have signed this token; none is the server itself. Nothing else of it may be used before
/// [`verify`].
///
/// # Errors
/// When the text is no JWT or the claim is no id.
pub fn claimed_key(token: &str) -> Result<Option<ApiKeyId>, TokenError> {
    let claims = jsonwebtoken::dangerous::insecure_decode::<Claims>(token)?.claims;
    claims.kid.map(|kid| kid.parse().map_err(|_| TokenError::Claim("kid"))).transpose()
}

/// Checks signature and time. `secret` is used as its UTF-8 bytes and goes nowhere else.
///
/// # Errors
/// Another algorithm than HS256, a bad signature, a time that is over.
pub fn verify(token: &str, secret: &SecretText, clock: &dyn Clock) -> Result<Claims, TokenError> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let claims =
        jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_secret(secret.expose().as_bytes()), &validation)?
            .claims;
    let now = clock.now().as_millis() / 1000;
    if claims.exp.is_some_and(|exp| exp <= now) {
        return Err(TokenError::Expired);
    }
    Ok(claims)
}

/// Signs `claims` with a key's secret.
///
/// # Errors
/// When the claims cannot be written as JSON, which would be our bug.
pub fn sign(claims: &Claims, secret: &SecretText) -> Result<SecretText, TokenError> {
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    Ok(SecretText::new(jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key)?))
}
