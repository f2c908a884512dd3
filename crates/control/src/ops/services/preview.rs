//! What a manifest would give its service, before it is saved.

use meshkeep_core::{Refusal, access::Action, id::ProjectId, service::ServiceSpec, wire};

use super::{Scope, in_store, rules};
use crate::{Caller, Control, reconcile::unlaunched, refusals::refused};

impl Control {
    /// The names in the environment of a service of this manifest, where each comes from and what it hides. Values are
    /// in no answer; `[redacted]` may stand for any.
    ///
    /// # Errors
    /// What does not fit, by its field, as for a save.
    pub async fn preview_environment(
        &self,
        caller: &Caller,
        project: ProjectId,
        scope: Scope,
        spec: &ServiceSpec,
    ) -> Result<wire::EnvironmentPreview, Refusal> {
        caller.may(project, Action::ReadServices)?;
        if rules::binds(spec) {
            caller.may(project, Action::ReadSecrets)?;
        }
        let mut tx = self.store().read("preview environment").await.map_err(refused)?;
        let scope = in_store(&mut tx, project, &scope).await?;
        let (_, environment) = rules::environment(&mut tx, project, scope, spec, &unlaunched(spec)).await?;
        Ok(environment.into())
    }
}
