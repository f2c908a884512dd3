//! Every save makes a version and says when it applies.

use std::collections::BTreeSet;

use meshkeep_core::{
    Refusal, RefusalKind,
    access::Action,
    id::{ProjectId, SecretId},
    manifest,
    name::SecretName,
    secret::Entries,
    wire::{SecretPatch, SecretSaved, SecretWrite},
};
use meshkeep_store::{Scope, Secret, Tx};

use super::read::{found, newest_entries};
use crate::{
    Caller, Control,
    refusals::refused,
    secret_input::{self, CheckedWrite},
};

impl Control {
    /// Makes a secret.
    ///
    /// # Errors
    /// What does not fit, by its field; a name that is taken.
    pub async fn create_secret(
        &self,
        caller: &Caller,
        project: ProjectId,
        write: SecretWrite,
    ) -> Result<SecretSaved, Refusal> {
        caller.may(project, Action::ManageSecrets)?;
        let CheckedWrite { name, kind, entries } = secret_input::check(write)?;
        secret_input::refuse_redacted(&entries)?;
        let mut tx = self.store().write("create secret").await.map_err(refused)?;
        let secret = tx.create_secret(project, &name, kind, &entries, &caller.actor()).await.map_err(refused)?;
        self.committed(tx, caller, "secret.create", &secret, &entries).await
    }

    /// Replaces a secret as a whole; `[redacted]` keeps an entry's stored value. `version` is what the edit began from.
    ///
    /// # Errors
    /// `Stale`, `NotFound`, what does not fit.
    pub async fn save_secret(
        &self,
        caller: &Caller,
        project: ProjectId,
        id: SecretId,
        write: SecretWrite,
        version: Option<u32>,
    ) -> Result<SecretSaved, Refusal> {
        caller.may(project, Action::ManageSecrets)?;
        let write = secret_input::check(write);
        let mut tx = self.store().write("save secret").await.map_err(refused)?;
        let old = found(&mut tx, project, id).await?;
        let CheckedWrite { name, kind, mut entries } = write?;
        if kind != old.kind {
            return Err(Refusal::invalid(
                "type",
                format!("cannot change: this secret is of type `{}`", old.kind.as_str()),
            )
            .hint("make a new secret"));
        }
        not_stale(version, &old)?;
        let stored = newest_entries(&mut tx, &old).await?;
        secret_input::keep_redacted(&mut entries, &stored)?;
        self.saved(tx, caller, "secret.save", &old, &name, &entries).await
    }

    /// Changes single entries, or the name.
    ///
    /// # Errors
    /// `Stale`, `NotFound`, what does not fit.
    pub async fn patch_secret(
        &self,
        caller: &Caller,
        project: ProjectId,
        id: SecretId,
        patch: SecretPatch,
        version: Option<u32>,
    ) -> Result<SecretSaved, Refusal> {
        caller.may(project, Action::ManageSecrets)?;
        let mut tx = self.store().write("patch secret").await.map_err(refused)?;
        let old = found(&mut tx, project, id).await?;
        not_stale(version, &old)?;
        let name: SecretName = match patch.name {
            Some(name) => name.parse().map_err(|why| Refusal::invalid("name", why))?,
            None => old.name.clone(),
        };
        let stored = newest_entries(&mut tx, &old).await?;
        let mut entries = stored.clone();
        for name in &patch.unset {
            if entries.remove(name.as_str()).is_none() {
                return Err(Refusal::invalid("unset", "names an entry that is not there"));
            }
        }
        let mut set = secret_input::check_names(old.kind, patch.set.unwrap_or_default(), "set")?;
        secret_input::keep_redacted(&mut set, &stored)?;
        entries.extend(set);
        secret_input::check_whole(old.kind, &entries)?;
        self.saved(tx, caller, "secret.patch", &old, &name, &entries).await
    }

    /// Saves an older version as the newest.
    ///
    /// # Errors
    /// `NotFound` for the secret or the version.
    pub async fn rollback_secret(
        &self,
        caller: &Caller,
        project: ProjectId,
        id: SecretId,
        version: u32,
    ) -> Result<SecretSaved, Refusal> {
        caller.may(project, Action::ManageSecrets)?;
        let mut tx = self.store().write("roll back secret").await.map_err(refused)?;
        let old = found(&mut tx, project, id).await?;
        let entries = tx.open_secret(project, id, version).await.map_err(refused)?.ok_or_else(|| {
            let message = format!("the secret has no version {version}");
            Refusal::new(RefusalKind::NotFound, "not_found", message).hint("list its versions")
        })?;
        let name = old.name.clone();
        self.saved(tx, caller, "secret.rollback", &old, &name, &entries).await
    }

    async fn saved(
        &self,
        mut tx: Tx,
        caller: &Caller,
        action: &str,
        old: &Secret,
        name: &SecretName,
        entries: &Entries,
    ) -> Result<SecretSaved, Refusal> {
        let secret = tx.save_secret(old, name, entries, &caller.actor()).await.map_err(refused)?;
        self.committed(tx, caller, action, &secret, entries).await
    }

    async fn committed(
        &self,
        mut tx: Tx,
        caller: &Caller,
        action: &str,
        secret: &Secret,
        entries: &Entries,
    ) -> Result<SecretSaved, Refusal> {
        let Secret { id, name, kind, version, project, .. } = secret.clone();
        let mut uses = tx.running_secret_uses(project).await.map_err(refused)?;
        uses.retain(|used| used.secret.id == id);
        let mut in_use: Vec<_> = uses.iter().map(|used| used.secret.version).collect();
        in_use.extend(kept_by_services(&mut tx, secret).await?);
        tx.prune_secret(secret, self.context().parts.keep_versions, &in_use).await.map_err(refused)?;
        uses.retain(|used| used.secret.version < version);
        let older: BTreeSet<_> = uses.into_iter().map(|used| used.session).collect();
        let sessions_on_older = u32::try_from(older.len()).unwrap_or(u32::MAX);
        tx.audit(&caller.audited(action, format!("{id} version {version}"))).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        let warnings = secret_input::warnings(kind, entries);
        Ok(SecretSaved { id, name, kind, version, applies: applies(sessions_on_older), sessions_on_older, warnings })
    }
}

/// Versions at which services keep it.
async fn kept_by_services(tx: &mut Tx, secret: &Secret) -> Result<Vec<u32>, Refusal> {
    let mut kept = Vec::new();
    let users = tx.secret_users(secret.project).await.map_err(refused)?;
    for (id, user) in users.into_iter().filter(|(id, _)| *id == secret.id) {
        // Only project services name secrets.
        let service = tx.service(secret.project, Scope::Project, user.id).await.map_err(refused)?;
        let checked = service.and_then(|service| manifest::check(&service.spec).ok());
        kept.extend(checked.and_then(|checked| checked.versions.get(&id).copied()));
    }
    Ok(kept)
}

fn not_stale(sent: Option<u32>, secret: &Secret) -> Result<(), Refusal> {
    match sent {
        Some(sent) if sent != secret.version => Err(secret_input::stale(sent, secret.version)),
        _ => Ok(()),
    }
}

fn applies(sessions_on_older: u32) -> String {
    let now = match sessions_on_older {
        0 => "no running session uses an older version".to_owned(),
        1 => "1 running session still uses an older version".to_owned(),
        n => format!("{n} running sessions still use an older version"),
    };
    format!("Available on the next session launch or restart of the service; {now}.")
}
