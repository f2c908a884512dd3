//! A participant's own secrets in the room, and those that others left to it.
//!
//! What must stay true: nobody reads another one's but by its being left to them; who may set one for somebody else
//! holds an admin's token.

use meshkeep_core::{
    Refusal,
    access::{Action, Role},
};
use meshkeep_store::{RoomSecret, RoomSecretRef};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Member;
use crate::refusals::refused;

/// Bytes of one secret at most.
const MAX_BYTES: usize = 64 << 10;
/// Bytes of an id, a type or a name at most.
const MAX_TEXT: usize = 255;
/// Secrets of one identity in a room at most.
const MAX_SECRETS: usize = 1000;

/// What is asked for, as clients send it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RoomSecretAsked {
    /// Its id.
    #[serde(default)]
    pub secret_id: Option<String>,
    /// What it is.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// What people call it.
    #[serde(default)]
    pub name: Option<String>,
    /// For whom it is left.
    #[serde(default)]
    pub delegated_to: Option<String>,
    /// Whose it is, when not one's own.
    #[serde(default)]
    pub for_identity: Option<String>,
}

/// A secret without its bytes.
#[derive(Clone, Debug)]
pub struct RoomSecretShown {
    /// Its id.
    pub id: String,
    /// What it is.
    pub kind: String,
    /// What people call it.
    pub name: String,
    /// For whom it was left; empty when for nobody else.
    pub delegated_to: String,
}

impl From<RoomSecret> for RoomSecretShown {
    fn from(secret: RoomSecret) -> Self {
        let RoomSecret { key: RoomSecretRef { id, delegated_to, .. }, kind, name } = secret;
        Self { id, kind, name, delegated_to }
    }
}

impl Member {
    /// One's own, and those that others left to one.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn room_secrets(&self) -> Result<Vec<RoomSecretShown>, Refusal> {
        self.use_secrets()?;
        let mut tx = self.control.store().read("secrets of a room").await.map_err(refused)?;
        let all = tx.room_secrets(self.room, self.participant.name.as_str()).await.map_err(refused)?;
        Ok(all.into_iter().map(RoomSecretShown::from).collect())
    }

    /// Sets one's own; with `for_identity` somebody else's.
    ///
    /// # Errors
    /// `Forbidden`; `Invalid`, by its member.
    pub async fn set_room_secret(&self, asked: &RoomSecretAsked, bytes: &[u8]) -> Result<(), Refusal> {
        self.use_secrets()?;
        let own = self.participant.name.as_str();
        let identity = asked.for_identity.as_deref().unwrap_or(own);
        if identity != own {
            self.participant.may(self.participant.scope.admin.is_some(), "admin", Action::ManageSecrets)?;
        }
        if bytes.len() > MAX_BYTES {
            return Err(Refusal::invalid("data", format!("is more than {MAX_BYTES} bytes")));
        }
        let id = asked.secret_id.as_deref().or(asked.name.as_deref());
        let id = id.ok_or_else(|| Refusal::invalid("secret_id", "is missing; so is `name`"))?;
        let texts = [
            ("secret_id", id),
            ("type", asked.kind.as_deref().unwrap_or_default()),
            ("name", asked.name.as_deref().unwrap_or_default()),
            ("delegated_to", asked.delegated_to.as_deref().unwrap_or_default()),
            ("for_identity", identity),
        ];
        if let Some((member, _)) = texts.iter().find(|(_, text)| text.len() > MAX_TEXT || text.contains('\0')) {
            return Err(Refusal::invalid(member, format!("must be a text of at most {MAX_TEXT} bytes")));
        }
        let secret = RoomSecret {
            key: RoomSecretRef {
                identity: identity.to_owned(),
                id: id.to_owned(),
                delegated_to: asked.delegated_to.clone().unwrap_or_default(),
            },
            kind: asked.kind.clone().unwrap_or_else(|| "application/octet-stream".to_owned()),
            name: asked.name.clone().unwrap_or_else(|| id.to_owned()),
        };
        let mut tx = self.control.store().write("set a secret of a room").await.map_err(refused)?;
        if tx.room_secrets(self.room, identity).await.map_err(refused)?.len() >= MAX_SECRETS {
            return Err(Refusal::invalid(
                "secret_id",
                format!("would be one more than {MAX_SECRETS} of this identity"),
            ));
        }
        tx.set_room_secret(self.participant.project(), self.room, &secret, bytes).await.map_err(refused)?;
        tx.audit(&self.participant.caller.audited("room_secret.set", self.object(&secret.key)))
            .await
            .map_err(refused)?;
        tx.commit().await.map_err(refused)
    }

    /// One that is one's own or was left to one: by its id, or else by type and name.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn room_secret(
        &self,
        asked: &RoomSecretAsked,
    ) -> Result<Option<(RoomSecretShown, Zeroizing<Vec<u8>>)>, Refusal> {
        self.use_secrets()?;
        let own = self.participant.name.as_str();
        let is_it = |secret: &RoomSecret| {
            let fits = |wanted: &Option<String>, text: &str| wanted.as_deref().is_none_or(|wanted| wanted == text);
            let named = asked.secret_id.is_some() || asked.kind.is_some() || asked.name.is_some();
            named
                && fits(&asked.secret_id, &secret.key.id)
                && fits(&asked.kind, &secret.kind)
                && fits(&asked.name, &secret.name)
                && fits(&asked.delegated_to, &secret.key.delegated_to)
                && asked.for_identity.as_deref().is_none_or(|identity| identity == secret.key.identity)
        };
        let mut tx = self.control.store().read("secret of a room").await.map_err(refused)?;
        let all = tx.room_secrets(self.room, own).await.map_err(refused)?;
        // One's own first.
        let (mine, left): (Vec<_>, Vec<_>) = all.into_iter().filter(is_it).partition(|one| one.key.identity == own);
        let Some(found) = mine.into_iter().chain(left).next() else { return Ok(None) };
        let bytes = tx.open_room_secret(self.participant.project(), self.room, &found.key).await.map_err(refused)?;
        Ok(bytes.map(|bytes| (found.into(), bytes)))
    }

    /// Deletes one's own.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound`.
    pub async fn delete_room_secret(&self, id: &str, delegated_to: Option<&str>) -> Result<(), Refusal> {
        self.use_secrets()?;
        let key = RoomSecretRef {
            identity: self.participant.name.as_str().to_owned(),
            id: id.to_owned(),
            delegated_to: delegated_to.unwrap_or_default().to_owned(),
        };
        let mut tx = self.control.store().write("delete a secret of a room").await.map_err(refused)?;
        if !tx.delete_room_secret(self.room, &key).await.map_err(refused)? {
            let message = "there is no such secret of this participant";
            return Err(Refusal::new(meshkeep_core::RefusalKind::NotFound, "not_found", message));
        }
        tx.audit(&self.participant.caller.audited("room_secret.delete", self.object(&key))).await.map_err(refused)?;
        tx.commit().await.map_err(refused)
    }

    /// Agents have this only when whoever signed their token meant them to.
    fn use_secrets(&self) -> Result<(), Refusal> {
        let scope = &self.participant.scope;
        let allowed =
            scope.secrets.is_some() || (scope.admin.is_some() && self.participant.caller.grant().role == Role::Admin);
        self.participant.may(allowed, "secrets", Action::Look)
    }

    fn object(&self, key: &RoomSecretRef) -> String {
        format!("{} {} of {}", self.participant.room, key.id, key.identity)
    }
}
