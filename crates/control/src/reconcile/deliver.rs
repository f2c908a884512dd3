//! The one way of values into a service: opened when its start happens, assembled, handed to the engine.

use async_trait::async_trait;
use meshkeep_core::{
    Refusal, SecretText,
    environment::{Environment, Sources, assemble},
    manifest,
    name::SecretName,
    secret::Entries,
};
use meshkeep_engine::Deliver;
use meshkeep_image::Image;

use super::{Context, Launch, platform, recipe::deleted};
use crate::refusals::refused;

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
}

#[async_trait]
impl Deliver for Delivery<'_> {
    async fn environment(&self) -> Result<Environment, Refusal> {
        let manifest: Vec<(_, SecretText)> = manifest::check(&self.launch.recipe.spec)?.environment;
        let secret_keys = self.secret_keys().await?;
        assemble(&Sources {
            image: &self.image.config.env,
            platform: &platform::variables(self.launch, &self.context.parts.service_url),
            secret_keys: &secret_keys,
            manifest: &manifest,
        })
    }
}
