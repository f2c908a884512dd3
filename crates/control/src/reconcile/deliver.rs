//! The one way of values into a service: opened when its start happens, assembled, handed to the engine.

use async_trait::async_trait;
use meshkeep_core::{
    Refusal, RefusalKind, SecretText,
    access::{Grant, Role},
    api_key::ApiKeyText,
    environment::{Environment, Sources, assemble, check_entry},
    manifest::{self, Checked},
    name::{EntryName, SecretName},
    secret::Entries,
};
use meshkeep_engine::Deliver;
use meshkeep_image::Image;
use meshkeep_store::{NewApiKey, RoomSecretRef};
use zeroize::Zeroizing;

use super::{Context, Launch, platform, recipe::deleted, tokens};
use crate::{caller::By, ops::new_secret, refusals::refused};

/// Opens the environment of one launch.
pub(super) struct Delivery<'a> {
    context: &'a Context,
    launch: &'a Launch,
    image: &'a Image,
}

impl<'a> Delivery<'a> {
    pub(super) const fn new(context: &'a Context, launch: &'a Launch, image: &'a Image) -> Self {
        Self { context, launch, image }
    }

    /// The versions that were recorded for the launch, in one consistent read.
    async fn secret_keys(&self) -> Result<Vec<(SecretName, Entries)>, Refusal> {
        let mut keys = Vec::with_capacity(self.launch.recipe.secrets.len());
        if self.launch.recipe.secrets.is_empty() {
            return Ok(keys);
        }
        let mut tx = self.context.parts.store.read("deliver").await.map_err(refused)?;
        for secret in &self.launch.recipe.secrets {
            let opened = tx.open_secret(secret.project, secret.id, secret.version).await.map_err(refused)?;
            let entries = opened.ok_or_else(|| deleted(&format!("the secret key {} ({})", secret.name, secret.id)))?;
            keys.push((secret.name.clone(), entries));
        }
        Ok(keys)
    }

    /// Tokens of the platform's own accord, and those that the manifest names.
    async fn tokens(&self, checked: &Checked) -> Result<[Variables; 2], Refusal> {
        let mut own = Vec::new();
        if let Some(call) = checked.calls.first() {
            own.push((variable(tokens::VARIABLE), self.context.token_for(self.launch.whom(), &call.identity).await?));
        }
        let mut named = Vec::with_capacity(checked.tokens.len());
        for (name, identity) in &checked.tokens {
            named.push((name.clone(), self.context.token_for(self.launch.whom(), identity).await?));
        }
        Ok([own, named])
    }

    /// Secrets of participants of the room.
    async fn room_secrets(&self, checked: &Checked) -> Result<Variables, Refusal> {
        let mut found = Vec::with_capacity(checked.room_secrets.len());
        for (name, identity, id) in &checked.room_secrets {
            let missing = || {
                let message = format!("the room has no secret {id} of {identity} for the variable {name}");
                Refusal::new(RefusalKind::Invalid, "room_secret_missing", message)
                    .hint("let the participant set it, then restart the service")
            };
            let room = self.launch.room_id.ok_or_else(missing)?;
            let mut tx = self.context.parts.store.read("deliver").await.map_err(refused)?;
            let key = RoomSecretRef { identity: identity.clone(), id: id.clone(), delegated_to: String::new() };
            let bytes = tx.open_room_secret(self.launch.project, room, &key).await.map_err(refused)?;
            let mut bytes = bytes.ok_or_else(missing)?;
            let text = String::from_utf8(std::mem::take(&mut *bytes)).map_err(|error| {
                drop(Zeroizing::new(error.into_bytes()));
                let message = format!("the secret {id} of {identity} is no text, and cannot be the variable {name}");
                Refusal::new(RefusalKind::Invalid, "room_secret_no_text", message)
            })?;
            let value = SecretText::new(text);
            check_entry(name, &value)?;
            found.push((name.clone(), value));
        }
        Ok(found)
    }

    /// The key of the project's API that the manifest asks for.
    async fn api_key(&self, checked: &Checked) -> Result<Option<(EntryName, SecretText)>, Refusal> {
        let Some(asked) = &checked.api_key else { return Ok(None) };
        let Launch { project, service, service_name, .. } = self.launch;
        let store = &self.context.parts.store;
        let mut tx = store.write("deliver an API key").await.map_err(refused)?;
        let found = tx.api_key_of(*service, asked.name.as_str()).await.map_err(refused)?;
        let (key, secret) = match found {
            Some(found) => found,
            None if !asked.make => {
                let message = format!("there is no API key {} of this service, and it is not to be made", asked.name);
                return Err(Refusal::new(RefusalKind::Invalid, "api_key_missing", message)
                    .hint("leave `container.api_key.auto_provision` out"));
            }
            None => {
                let (secret, by) = (new_secret()?, By::platform(*project));
                let new = NewApiKey {
                    name: asked.name.as_str(),
                    description: &format!("made for the service {service_name}"),
                    grant: Grant { role: Role::Admin, bind: true },
                    service: Some(*service),
                    secret: &secret,
                    by: &by.actor,
                };
                let key = tx.create_api_key(*project, new).await.map_err(refused)?;
                let object = format!("{} for service {service}", key.id);
                tx.audit(&by.audited("api_key.create", object)).await.map_err(refused)?;
                tx.commit().await.map_err(refused)?;
                (key, secret)
            }
        };
        let value = ApiKeyText { id: key.id, project: *project, secret }.format();
        Ok(Some((variable("MESHAGENT_API_KEY"), value)))
    }
}

type Variables = Vec<(EntryName, SecretText)>;

fn variable(name: &str) -> EntryName {
    name.parse().expect("a variable's name")
}

#[async_trait]
impl Deliver for Delivery<'_> {
    async fn environment(&self) -> Result<Environment, Refusal> {
        let checked = manifest::check(&self.launch.recipe.spec)?;
        let secret_keys = self.secret_keys().await?;
        let [mut issued, tokens] = self.tokens(&checked).await?;
        issued.extend(self.api_key(&checked).await?);
        assemble(&Sources {
            image: &self.image.config.env,
            platform: &platform::variables(self.launch, &self.context.parts.service_url),
            issued: &issued,
            secret_keys: &secret_keys,
            manifest: &checked.environment,
            sealed: &checked.sealed,
            tokens: &tokens,
            room_secrets: &self.room_secrets(&checked).await?,
        })
    }
}
