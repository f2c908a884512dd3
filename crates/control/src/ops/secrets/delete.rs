//! Deleting a secret: refused while a service names it, unless forced; for a while it can be put back.

use std::collections::BTreeSet;

use meshkeep_core::{
    Refusal, RefusalKind, Timestamp,
    access::Action,
    id::{ProjectId, SecretId},
    name::SecretName,
    wire::{self, SecretItem, SecretUsage},
};
use meshkeep_store::{DeletedSecret, Store, StoreError, Tx};

use super::read::{found, item, users_of};
use crate::{
    Caller, Control,
    caller::By,
    refusals::{not_found, refused},
};

const DAY: i64 = 24 * 3_600_000;

impl Control {
    /// Who uses a secret, and what would follow if it were deleted now.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn secret_usage(
        &self,
        caller: &Caller,
        project: ProjectId,
        id: SecretId,
    ) -> Result<SecretUsage, Refusal> {
        caller.may(project, Action::ReadSecrets)?;
        let mut tx = self.store().read("secret usage").await.map_err(refused)?;
        found(&mut tx, project, id).await?;
        self.usage_of(&mut tx, project, id).await
    }

    async fn usage_of(&self, tx: &mut Tx, project: ProjectId, id: SecretId) -> Result<SecretUsage, Refusal> {
        let services = users_of(id, &tx.secret_users(project).await.map_err(refused)?);
        let uses = tx.running_secret_uses(project).await.map_err(refused)?;
        let sessions: BTreeSet<_> = uses.iter().filter(|used| used.secret.id == id).map(|used| used.session).collect();
        let until = to_the_minute(self.context().parts.clock.now().plus_millis(self.kept_for()));
        let mut after_delete = Vec::new();
        if !services.is_empty() {
            after_delete.push(format!("The next launch of {} fails, until it is detached there.", services.join(", ")));
        }
        match sessions.len() {
            0 => {}
            1 => after_delete.push(
                "1 running session goes on with what it got; a restart in it, also one after a crash, fails."
                    .to_owned(),
            ),
            n => after_delete.push(format!(
                "{n} running sessions go on with what they got; a restart in them, also one after a crash, fails."
            )),
        }
        after_delete.push(format!("It can be restored until {until}; then it is gone with all its versions."));
        Ok(SecretUsage { services, after_delete })
    }

    /// Deletes a secret. It can be restored for as long as deleted secrets are kept.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` naming the services that still name it, unless `force`.
    pub async fn delete_secret(
        &self,
        caller: &Caller,
        project: ProjectId,
        id: SecretId,
        force: bool,
    ) -> Result<(), Refusal> {
        caller.may(project, Action::ManageSecrets)?;
        let mut tx = self.store().write("delete secret").await.map_err(refused)?;
        let secret = found(&mut tx, project, id).await?;
        let SecretUsage { services, after_delete } = self.usage_of(&mut tx, project, id).await?;
        if !services.is_empty() && !force {
            let message = format!("the secret {} is named by {}", secret.name, services.join(", "));
            let then = after_delete.join(" ");
            return Err(Refusal::new(RefusalKind::Conflict, "in_use", message)
                .hint(format!("remove it from these services first, or delete with force. {then}")));
        }
        tx.delete_secret(&secret, &caller.actor()).await.map_err(refused)?;
        tx.audit(&caller.audited("secret.delete", format!("{id} version {}", secret.version)))
            .await
            .map_err(refused)?;
        tx.commit().await.map_err(refused)
    }

    /// Deleted secrets that can be restored, newest deletion first.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn deleted_secrets(
        &self,
        caller: &Caller,
        project: ProjectId,
    ) -> Result<wire::DeletedSecretList, Refusal> {
        caller.may(project, Action::ReadSecrets)?;
        let mut tx = self.store().read("deleted secrets").await.map_err(refused)?;
        let kept_for = self.kept_for();
        let shown = |secret: DeletedSecret| wire::DeletedSecret {
            id: secret.id,
            name: secret.name,
            kind: secret.kind,
            version: secret.version,
            deleted_at: secret.deleted_at,
            deleted_by: secret.deleted_by,
            kept_until: secret.deleted_at.plus_millis(kept_for),
        };
        let secrets = tx.deleted_secrets(project).await.map_err(refused)?;
        Ok(wire::DeletedSecretList { secrets: secrets.into_iter().map(shown).collect() })
    }

    /// Puts a deleted secret back, with all its versions, under its own name or another.
    ///
    /// # Errors
    /// `NotFound` when it is not among the deleted ones; `Conflict` when another secret has the name by now.
    pub async fn restore_secret(
        &self,
        caller: &Caller,
        project: ProjectId,
        id: SecretId,
        name: Option<&str>,
    ) -> Result<SecretItem, Refusal> {
        caller.may(project, Action::ManageSecrets)?;
        let name: Option<SecretName> =
            name.map(|name| name.parse().map_err(|why| Refusal::invalid("name", why))).transpose()?;
        let mut tx = self.store().write("restore secret").await.map_err(refused)?;
        let deleted = tx.deleted_secrets(project).await.map_err(refused)?;
        let deleted =
            deleted.into_iter().find(|deleted| deleted.id == id).ok_or_else(|| not_found("deleted secret"))?;
        let name = name.unwrap_or_else(|| deleted.name.clone());
        let secret = tx.restore_secret(project, &deleted, &name).await.map_err(|error| match error {
            StoreError::Taken { .. } => {
                let message = format!("another secret is called {name} by now");
                Refusal::new(RefusalKind::Conflict, "taken", message).hint("restore it under another name")
            }
            error => refused(error),
        })?;
        tx.audit(&caller.audited("secret.restore", format!("{id} version {}", secret.version)))
            .await
            .map_err(refused)?;
        let users = tx.secret_users(project).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        Ok(item(secret, Some(&users)))
    }

    /// Milliseconds that a deleted secret is kept.
    fn kept_for(&self) -> i64 {
        i64::from(self.context().parts.keep_deleted_days) * DAY
    }
}

/// Such as `2026-01-31 12:00 UTC`.
fn to_the_minute(at: Timestamp) -> String {
    let exact = at.to_string();
    exact.get(..16).map_or(exact.clone(), |shown| format!("{} UTC", shown.replace('T', " ")))
}

/// Removes, for ever, what was deleted longer ago than `keep_days`; how many secrets.
pub(crate) async fn purge(store: &Store, now: Timestamp, keep_days: u32) -> Result<u32, StoreError> {
    let before = now.plus_millis(-i64::from(keep_days) * DAY);
    let mut tx = store.write("purge deleted secrets").await?;
    let mut purged = 0;
    for project in tx.projects().await? {
        for secret in tx.deleted_secrets(project.id).await? {
            if secret.deleted_at <= before {
                tx.purge_secret(project.id, secret.id).await?;
                let object = format!("{} version {}", secret.id, secret.version);
                tx.audit(&By::platform(project.id).audited("secret.purge", object)).await?;
                purged += 1;
            }
        }
    }
    tx.commit().await?;
    Ok(purged)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use meshkeep_core::{clock::SystemClock, secret::SecretKind};
    use meshkeep_seal::{Keyring, RootKey};
    use meshkeep_store::StoreOptions;

    use super::*;

    #[tokio::test]
    async fn what_was_deleted_long_ago_is_gone_and_that_stands_in_the_audit() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            dir: dir.path().join("data"),
            keyring: Keyring::new(RootKey::generate()),
            anchor: None,
            clock: Arc::new(SystemClock),
        };
        let store = Store::create(options).await.unwrap();
        let mut tx = store.write("test").await.unwrap();
        let project = tx.create_project("acme").await.unwrap().id;
        let entries = [("A".parse().unwrap(), "value".into())].into_iter().collect();
        for name in ["deleted", "kept"] {
            let name = name.parse().unwrap();
            let secret = tx.create_secret(project, &name, SecretKind::Keys, &entries, "test").await.unwrap();
            if name.as_str() == "deleted" {
                tx.delete_secret(&secret, "test").await.unwrap();
            }
        }
        tx.commit().await.unwrap();
        let now = meshkeep_core::Clock::now(&SystemClock);
        assert_eq!(purge(&store, now.plus_millis(29 * DAY), 30).await.unwrap(), 0, "within its time");
        assert_eq!(purge(&store, now.plus_millis(-365 * DAY), 30).await.unwrap(), 0, "by a clock that was put back");
        assert_eq!(purge(&store, now.plus_millis(31 * DAY), 30).await.unwrap(), 1);
        let mut tx = store.read("test").await.unwrap();
        assert!(tx.deleted_secrets(project).await.unwrap().is_empty());
        assert_eq!(tx.secrets(project).await.unwrap().len(), 1);
        let rows = tx.audit_rows(project, None, 10).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.entry.action.as_str()).collect::<Vec<_>>(), ["secret.purge"]);
        drop(tx);
        assert_eq!(store.examine(None).await.unwrap().damages, []);
    }
}
