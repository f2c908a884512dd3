//! Deleting a secret: refused while a service names it, unless forced.

use meshkeep_core::{
    Refusal, RefusalKind,
    access::Action,
    id::{ProjectId, SecretId},
};

use super::read::{found, users_of};
use crate::{Caller, Control, refusals::refused};

impl Control {
    /// Deletes a secret with all its versions.
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
        let users = users_of(id, &tx.secret_users(project).await.map_err(refused)?);
        if !users.is_empty() && !force {
            let message = format!("the secret {} is named by {}", secret.name, users.join(", "));
            return Err(Refusal::new(RefusalKind::Conflict, "in_use", message).hint(
                "remove it from these services first, or delete with force: their next launch then fails for this reason",
            ));
        }
        tx.delete_secret(&secret).await.map_err(refused)?;
        tx.audit(&caller.audited("secret.delete", format!("{id} version {}", secret.version)))
            .await
            .map_err(refused)?;
        tx.commit().await.map_err(refused)
    }
}
