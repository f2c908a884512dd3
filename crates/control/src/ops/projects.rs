//! Projects, as far as a key sees them: its own.

use meshkeep_core::{Refusal, access::Action, id::ProjectId, wire};

use crate::{
    Caller, Control,
    refusals::{not_found, refused},
};

impl Control {
    /// The caller's projects.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn projects(&self, caller: &Caller) -> Result<wire::ProjectList, Refusal> {
        Ok(wire::ProjectList { projects: vec![self.project(caller, caller.project()).await?] })
    }

    /// One project.
    ///
    /// # Errors
    /// `Forbidden` for another one.
    pub async fn project(&self, caller: &Caller, project: ProjectId) -> Result<wire::Project, Refusal> {
        caller.may(project, Action::Look)?;
        let mut tx = self.store().read("project").await.map_err(refused)?;
        let found = tx.project(project).await.map_err(refused)?.ok_or_else(|| not_found("project"))?;
        Ok(wire::Project::new(found.id, found.name))
    }

    /// The caller's role.
    ///
    /// # Errors
    /// `Forbidden` for another project.
    #[expect(clippy::unused_async, reason = "operations are called alike")]
    pub async fn role(&self, caller: &Caller, project: ProjectId) -> Result<wire::RoleAnswer, Refusal> {
        caller.may(project, Action::Look)?;
        Ok(wire::RoleAnswer { role: caller.grant().role })
    }
}
