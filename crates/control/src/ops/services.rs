//! Services of a project and of a room.
//!
//! What must stay true: whoever may bind a secret, or change a service that has some, can make it print them; both need
//! the bind right. No answer holds a secret-like `environment` value.

use meshkeep_core::{
    Refusal,
    access::Action,
    id::{ProjectId, ServiceId},
    name::RoomName,
    service::ServiceSpec,
    wire,
};
use meshkeep_store::{self as store, Service, Tx};

use super::rooms;
use crate::{
    Caller, Control, manifest_values,
    refusals::{not_found, refused},
};

mod image_check;
mod in_session;
mod overview;
mod pin;
mod preview;
mod restart;
mod rules;

pub use image_check::ImageCheck;
pub use overview::ServiceOverview;
use rules::Ruled;
pub(crate) use rules::{check_in_room, exposes};

/// Which services are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The project's: they run in every room's session.
    Project,
    /// One room's.
    Room(RoomName),
}

impl Control {
    /// Makes a service.
    ///
    /// # Errors
    /// What does not fit, by its field; a name that is taken; secrets without the bind right.
    pub async fn create_service(
        &self,
        caller: &Caller,
        project: ProjectId,
        scope: Scope,
        mut spec: ServiceSpec,
    ) -> Result<ServiceSpec, Refusal> {
        caller.may(project, Action::ManageServices)?;
        let mut tx = self.store().write("create service").await.map_err(refused)?;
        let scope = in_store(&mut tx, project, &scope).await?;
        manifest_values::keep_redacted(&mut spec, None)?;
        let Ruled { name, secrets } = rules::check(&mut tx, project, scope, &spec).await?;
        if let Some(needed) = needs(&spec, !secrets.is_empty() || rules::binds(&spec))
            && let Err(refusal) = caller.may(project, needed)
        {
            drop(tx);
            return Err(self.recorded(refusal, caller.audited("service.create", name.to_string())).await);
        }
        let service = tx.create_service(project, scope, &name, &spec, &secrets).await.map_err(refused)?;
        tx.audit(&caller.audited("service.create", format!("{} revision 1", service.id))).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        self.follow_edit(caller.by(), scope, service.id).await;
        Ok(manifest_values::shown(service.spec))
    }

    /// Replaces a service's manifest. Running sessions keep a project service's; a room's session follows its room's.
    ///
    /// # Errors
    /// `NotFound`, and as [`Control::create_service`].
    pub async fn update_service(
        &self,
        caller: &Caller,
        project: ProjectId,
        scope: Scope,
        id: ServiceId,
        mut spec: ServiceSpec,
    ) -> Result<ServiceSpec, Refusal> {
        caller.may(project, Action::ManageServices)?;
        let mut tx = self.store().write("update service").await.map_err(refused)?;
        let scope = in_store(&mut tx, project, &scope).await?;
        let old = found(&mut tx, project, scope, id).await?;
        let keeps_values = manifest_values::keep_redacted(&mut spec, Some(&old.spec))?;
        let ruled = rules::check(&mut tx, project, scope, &spec).await?;
        let binds = keeps_values || !ruled.secrets.is_empty() || rules::binds(&spec) || rules::binds(&old.spec);
        let needed = if rules::makes_keys(&old.spec) { Some(Action::ManageKeys) } else { needs(&spec, binds) };
        if let Some(needed) = needed
            && let Err(refusal) = caller.may(project, needed)
        {
            drop(tx);
            return Err(self.recorded(refusal, caller.audited("service.update", id.to_string())).await);
        }
        let saved = saved(tx, caller, "service.update", project, &old, &spec, &ruled).await?;
        self.follow_edit(caller.by(), scope, id).await;
        Ok(saved)
    }

    /// One service.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn service(
        &self,
        caller: &Caller,
        project: ProjectId,
        scope: Scope,
        id: ServiceId,
    ) -> Result<ServiceSpec, Refusal> {
        caller.may(project, Action::ReadServices)?;
        let mut tx = self.store().read("service").await.map_err(refused)?;
        let scope = in_store(&mut tx, project, &scope).await?;
        Ok(manifest_values::shown(found(&mut tx, project, scope, id).await?.spec))
    }

    /// All services of the scope, by name.
    ///
    /// # Errors
    /// `NotFound` for the room.
    pub async fn list_services(
        &self,
        caller: &Caller,
        project: ProjectId,
        scope: Scope,
    ) -> Result<wire::ServiceList, Refusal> {
        caller.may(project, Action::ReadServices)?;
        let mut tx = self.store().read("list services").await.map_err(refused)?;
        let scope = in_store(&mut tx, project, &scope).await?;
        let services = tx.services(project, scope).await.map_err(refused)?;
        let services = services.into_iter().map(|service| manifest_values::shown(service.spec)).collect();
        Ok(wire::ServiceList { services })
    }

    /// Deletes a service. Running sessions keep a project service's workload; a room's session ends its room's.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn delete_service(
        &self,
        caller: &Caller,
        project: ProjectId,
        scope: Scope,
        id: ServiceId,
    ) -> Result<(), Refusal> {
        caller.may(project, Action::ManageServices)?;
        let mut tx = self.store().write("delete service").await.map_err(refused)?;
        let scope = in_store(&mut tx, project, &scope).await?;
        let service = found(&mut tx, project, scope, id).await?;
        for key in tx.delete_api_keys_of(id).await.map_err(refused)? {
            tx.audit(&caller.audited("api_key.delete", format!("{key} of service {id}"))).await.map_err(refused)?;
        }
        tx.delete_service(project, &service).await.map_err(refused)?;
        tx.audit(&caller.audited("service.delete", id.to_string())).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        self.follow_edit(caller.by(), scope, id).await;
        Ok(())
    }
}

/// What a manifest takes besides managing services: an admin for a key of the API, else the bind right where it binds.
fn needs(spec: &ServiceSpec, binds: bool) -> Option<Action> {
    if rules::makes_keys(spec) { Some(Action::ManageKeys) } else { binds.then_some(Action::Bind) }
}

/// Saves the manifest of a service that is there, checked and allowed.
async fn saved(
    mut tx: Tx,
    caller: &Caller,
    action: &str,
    project: ProjectId,
    old: &Service,
    spec: &ServiceSpec,
    ruled: &Ruled,
) -> Result<ServiceSpec, Refusal> {
    let service = tx.save_service(project, old, &ruled.name, spec, &ruled.secrets).await.map_err(refused)?;
    let object = format!("{} revision {}", service.id, service.revision);
    tx.audit(&caller.audited(action, object)).await.map_err(refused)?;
    tx.commit().await.map_err(refused)?;
    Ok(manifest_values::shown(service.spec))
}

async fn in_store(tx: &mut Tx, project: ProjectId, scope: &Scope) -> Result<store::Scope, Refusal> {
    Ok(match scope {
        Scope::Project => store::Scope::Project,
        Scope::Room(name) => store::Scope::Room(rooms::named(tx, project, name).await?.id),
    })
}

async fn found(tx: &mut Tx, project: ProjectId, scope: store::Scope, id: ServiceId) -> Result<Service, Refusal> {
    tx.service(project, scope, id).await.map_err(refused)?.ok_or_else(|| not_found("service"))
}
