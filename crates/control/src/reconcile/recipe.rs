//! What a workload is made from: a manifest, and the versions of the secrets that it names.

use meshkeep_core::{
    Refusal, RefusalKind,
    id::{ProjectId, SecretId, ServiceId, SessionId, WorkloadId},
    manifest::{self, Checked},
    name::ServiceName,
    secret::SecretRef,
    service::ServiceSpec,
    workload::WorkloadState,
};
use meshkeep_store::{StoreError, Tx, Workload};

/// A manifest with the versions that it is kept at, or else that were newest when it was read.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    /// The manifest.
    pub(crate) spec: ServiceSpec,
    /// The secret keys, in the order they are bound.
    pub(crate) secrets: Vec<SecretRef>,
    /// The pull secrets, in the order they are named.
    pub(crate) pull_secrets: Vec<SecretRef>,
}

impl Recipe {
    /// What a session records of it before it starts, and why it cannot, when that is known.
    pub(crate) fn workload(
        self,
        session: SessionId,
        (service, service_name): (ServiceId, ServiceName),
        place: u8,
        missing: Option<Refusal>,
    ) -> Workload {
        Workload {
            id: WorkloadId::from_uuid(service.as_uuid()), // the store gives it its own
            session,
            service,
            service_name,
            place,
            asked: None,
            spec: self.spec,
            secrets: self.secrets,
            pull_secrets: self.pull_secrets,
            state: missing.map_or(WorkloadState::Pending, |reason| WorkloadState::Failed { reason }),
            image: None,
            attempt: 0,
            restarts: 0,
            exit_code: None,
            started_at: None,
        }
    }

    /// Looks up the versions. With it comes why it cannot be made: a manifest that a newer meshkeep refuses, or a
    /// secret that was deleted.
    ///
    /// # Errors
    /// When the store refuses.
    pub(crate) async fn newest(
        tx: &mut Tx,
        project: ProjectId,
        spec: ServiceSpec,
    ) -> Result<(Self, Option<Refusal>), StoreError> {
        let mut recipe = Self { spec, secrets: Vec::new(), pull_secrets: Vec::new() };
        let checked = match manifest::check(&recipe.spec) {
            Ok(checked) => checked,
            Err(refusal) => return Ok((recipe, Some(refusal))),
        };
        let mut missing = None;
        let field = |place| format!("container.secrets[{place}]");
        recipe.secrets = found(tx, project, (&checked, &checked.secrets), field, &mut missing).await?;
        let field = manifest::pull_secret_field;
        recipe.pull_secrets = found(tx, project, (&checked, &checked.pull_secrets), field, &mut missing).await?;
        Ok((recipe, missing))
    }
}

/// Those of these secrets that are there, and why the first one is missing that is not. `field` names a place in the
/// manifest.
async fn found(
    tx: &mut Tx,
    project: ProjectId,
    (checked, ids): (&Checked, &[SecretId]),
    field: fn(usize) -> String,
    missing: &mut Option<Refusal>,
) -> Result<Vec<SecretRef>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for (place, &id) in ids.iter().enumerate() {
        match wanted(tx, project, checked, id).await {
            Ok(Some(secret)) => found.push(secret),
            Ok(None) => {
                missing.get_or_insert_with(|| deleted(&format!("`{}` names {id}, which", field(place))));
            }
            // Of one service: the others start.
            Err(error @ StoreError::Damaged { .. }) => drop(missing.get_or_insert_with(|| damaged(&error))),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The secret at the version that a launch takes; none when it was deleted.
async fn wanted(
    tx: &mut Tx,
    project: ProjectId,
    checked: &Checked,
    id: SecretId,
) -> Result<Option<SecretRef>, StoreError> {
    let found = tx.secret(project, id).await?;
    let version = |newest| checked.version_of(id, newest);
    Ok(found.map(|secret| SecretRef { project, id, version: version(secret.version), name: secret.name }))
}

/// The refusal of a start that needs a secret which does not open. Not tried again by itself: without the secret the
/// workload would start with less than it was given.
fn damaged(error: &StoreError) -> Refusal {
    let Refusal { message, hint, .. } = error.refusal();
    Refusal::new(RefusalKind::Invalid, "damaged", message).hint(hint)
}

/// The refusal of a start that needs a secret which is not there any more. `what` is completed by "was deleted".
pub(super) fn deleted(what: &str) -> Refusal {
    Refusal::new(RefusalKind::Invalid, "secret_deleted", format!("{what} was deleted"))
        .hint("bind another secret to the service, or remove the binding, then restart the service")
}
