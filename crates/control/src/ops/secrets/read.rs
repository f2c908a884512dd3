//! Reads: names and `[redacted]`, unless an admin asks for values, which is audited before they are answered.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use meshkeep_core::{
    Refusal, RefusalKind, SecretText,
    access::Action,
    id::{ProjectId, SecretId},
    name::EntryName,
    secret::{Entries, REDACTED},
    wire::{self, SecretDetail, SecretItem, SecretRevealed, VersionChanges},
};
use meshkeep_store::{Secret, SecretSummary, ServiceRef, Tx};
use serde_json::json;

use crate::{
    Caller, Control,
    refusals::{not_found, refused},
};

impl Control {
    /// All secrets, by name.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn list_secrets(
        &self,
        caller: &Caller,
        project: ProjectId,
        detail: bool,
    ) -> Result<wire::SecretList, Refusal> {
        caller.may(project, Action::ReadSecrets)?;
        let mut tx = self.store().read("list secrets").await.map_err(refused)?;
        let secrets = tx.secrets(project).await.map_err(refused)?;
        let users = if detail { tx.secret_users(project).await.map_err(refused)? } else { Vec::new() };
        let secrets = secrets.into_iter().map(|secret| item(secret, detail.then_some(&*users))).collect();
        Ok(wire::SecretList { secrets })
    }

    /// One secret.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn secret(&self, caller: &Caller, project: ProjectId, id: SecretId) -> Result<SecretItem, Refusal> {
        caller.may(project, Action::ReadSecrets)?;
        let mut tx = self.store().read("secret").await.map_err(refused)?;
        let secret = found(&mut tx, project, id).await?;
        let users = tx.secret_users(project).await.map_err(refused)?;
        Ok(item(secret, Some(&users)))
    }

    /// The values of the newest version.
    ///
    /// # Errors
    /// `NotFound`; when the audit cannot be written, nothing is revealed.
    pub async fn reveal_secret(
        &self,
        caller: &Caller,
        project: ProjectId,
        id: SecretId,
    ) -> Result<SecretRevealed, Refusal> {
        if let Err(refusal) = caller.may(project, Action::Reveal) {
            return Err(self.recorded(refusal, caller.audited("secret.reveal", id.to_string())).await);
        }
        let mut tx = self.store().write("reveal secret").await.map_err(refused)?;
        let secret = found(&mut tx, project, id).await?;
        let Secret { name, kind, version, .. } = secret;
        let data = tx.open_secret(project, id, version).await.map_err(refused)?.ok_or_else(|| not_found("secret"))?;
        tx.audit(&caller.audited("secret.reveal", format!("{id} version {version}"))).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        Ok(SecretRevealed { id, name, kind, version, data })
    }

    /// Every save, newest first.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn secret_versions(
        &self,
        caller: &Caller,
        project: ProjectId,
        id: SecretId,
    ) -> Result<wire::SecretVersions, Refusal> {
        caller.may(project, Action::ReadSecrets)?;
        let mut tx = self.store().read("secret versions").await.map_err(refused)?;
        let secret = found(&mut tx, project, id).await?;
        let mut versions = Vec::new();
        // Oldest first: each is compared with the one before it, which is wiped then.
        let mut before: Option<(u32, Entries)> = Some((0, Entries::new()));
        for version in tx.secret_versions(&secret).await.map_err(refused)?.into_iter().rev() {
            let entries = tx.open_secret(project, id, version.version).await.map_err(refused)?.unwrap_or_default();
            let is_next = |(number, _): &(u32, _)| number + 1 == version.version;
            let changes = before.filter(is_next).map(|(_, before)| changes(&before, &entries));
            before = Some((version.version, entries));
            versions.insert(0, shown_version(version, changes));
        }
        Ok(wire::SecretVersions { versions })
    }
}

/// The secret of this id.
pub(super) async fn found(tx: &mut Tx, project: ProjectId, id: SecretId) -> Result<Secret, Refusal> {
    tx.secret(project, id).await.map_err(refused)?.ok_or_else(|| not_found("secret"))
}

/// The values of its newest version.
pub(super) async fn newest_entries(tx: &mut Tx, secret: &Secret) -> Result<Entries, Refusal> {
    let opened = tx.open_secret(secret.project, secret.id, secret.version).await.map_err(refused)?;
    opened.ok_or_else(|| Refusal::new(RefusalKind::Broken, "damaged", "the newest version of the secret is not there"))
}

/// Names of the services that name a secret, by name.
pub(super) fn users_of(id: SecretId, users: &[(SecretId, ServiceRef)]) -> Vec<String> {
    users.iter().filter(|(secret, _)| *secret == id).map(|(_, service)| service.name.to_string()).collect()
}

fn shown_version(version: meshkeep_store::SecretVersion, changes: Option<VersionChanges>) -> wire::SecretVersion {
    wire::SecretVersion {
        version: version.version,
        created_at: version.created_at,
        created_by: version.created_by,
        entries: version.summary.0.keys().map(ToString::to_string).collect(),
        changes,
    }
}

/// Names of the entries in which two versions differ.
fn changes(before: &Entries, after: &Entries) -> VersionChanges {
    let names = |of: &Entries, is_so: &dyn Fn(&EntryName, &SecretText) -> bool| {
        of.iter().filter(|(name, value)| is_so(name, value)).map(|(name, _)| name.to_string()).collect()
    };
    VersionChanges {
        added: names(after, &|name, _| !before.contains_key(name)),
        changed: names(after, &|name, value| before.get(name).is_some_and(|old| old.expose() != value.expose())),
        removed: names(before, &|name, _| !after.contains_key(name)),
    }
}

pub(super) fn item(secret: Secret, users: Option<&[(SecretId, ServiceRef)]>) -> SecretItem {
    let Secret { id, name, kind, version, summary, created_at, updated_at, updated_by, damaged, .. } = secret;
    let data = shown(summary);
    let detail = users.map(|users| {
        let data_base64 = BASE64_STANDARD.encode(json!(data).to_string());
        SecretDetail { version, created_at, updated_at, updated_by, used_by: users_of(id, users), damaged, data_base64 }
    });
    SecretItem { id, name, kind, data, detail }
}

fn shown(summary: SecretSummary) -> BTreeMap<String, String> {
    let text = |value: Option<String>| value.unwrap_or_else(|| REDACTED.to_owned());
    summary.0.into_iter().map(|(name, value)| (name.into(), text(value))).collect()
}
