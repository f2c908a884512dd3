//! Tokens that the platform makes for services: signed with the server's own key, worth no more than a developer's without
//! the bind right, and good for no longer than their session.

use meshkeep_core::{
    Refusal, SecretText,
    id::{ProjectId, ServiceId, SessionId},
    manifest::Identity,
    name::RoomName,
};
use serde_json::json;

use super::Context;
use crate::{
    refusals::{internal, refused},
    token::{self, Claims, TokenGrant},
};

/// The version of MeshAgent's client that knows all that stands in these tokens.
const VERSION: &str = "0.28.15";

/// The variable that clients read their token from.
pub(super) const VARIABLE: &str = "MESHAGENT_TOKEN";

/// For whom: a service in a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct For<'a> {
    pub(super) project: ProjectId,
    pub(super) session: SessionId,
    pub(super) room: &'a RoomName,
    pub(super) service: ServiceId,
}

impl Context {
    /// A token for a participant that a service's manifest names.
    pub(super) async fn token_for(&self, whom: For<'_>, identity: &Identity) -> Result<SecretText, Refusal> {
        let mut tx = self.parts.store.read("sign a token").await.map_err(refused)?;
        let key = tx.token_key().await.map_err(refused)?;
        let grant = |name: &str, scope| TokenGrant { name: name.to_owned(), scope };
        let api = serde_json::to_value(&identity.scope).expect("a scope is JSON");
        let claims = Claims {
            name: identity.name.as_str().to_owned(),
            grants: vec![grant("room", json!(whom.room)), grant("role", json!(identity.role)), grant("api", api)],
            sub: whom.project.to_string(),
            kid: None,
            version: Some(VERSION.to_owned()),
            exp: None,
            platform: true,
            session_id: Some(whom.session),
            service_id: Some(whom.service),
        };
        token::sign(&claims, &key).map_err(|error| internal("a token could not be signed", &error))
    }
}
