//! Containers that a participant asks for while the session runs: of a saved service, or of its own. Each runs once.
//!
//! What must stay true: an image is proven before anything is recorded; what the asker may not bind, it does not get to
//! run with an environment of its choice.

use meshkeep_core::{
    Refusal, RefusalKind, SecretText,
    access::Action,
    environment,
    id::{ServiceId, WorkloadId},
    manifest,
    name::EntryName,
    plan,
    service::{
        ContainerSpec, EnvironmentEntry, Metadata, PortNum, PortSpec, ServiceKind, ServiceSpec, SpecVersion,
        StorageMount, StorageSpec, TokenSource,
    },
    workload::WorkloadState,
};
use meshkeep_store::{Asked, Scope, Service, Session, Tx, Workload};
use serde_json::json;
use uuid::Uuid;

use super::{ImageCredential, Member, services::no_service};
use crate::{
    ops::exposes,
    reconcile::{Fetched, Launch, Recipe, Relaunch, ending, told},
    refusals::refused,
};

/// A container of a participant's own.
#[derive(Clone, Debug, Default)]
pub struct RunContainer {
    /// The image reference.
    pub image: String,
    /// The whole command line; the image's own when absent.
    pub command: Option<String>,
    /// Absolute path.
    pub working_dir: Option<String>,
    /// Variables.
    pub environment: Vec<(String, SecretText)>,
    /// Where the room's storage is mounted, and which part of it.
    pub room_storage: Option<(String, Option<String>)>,
    /// Further mounts.
    pub storage: Option<StorageSpec>,
    /// The role of a participant that the container is given a token for.
    pub role: Option<String>,
    /// Its name.
    pub participant_name: Option<String>,
    /// Ports of the container.
    pub ports: Vec<u16>,
    /// For the image's registry.
    pub credentials: Vec<ImageCredential>,
    /// Its name in the session; one is made when absent.
    pub name: Option<String>,
    /// Whether the root file system may be written.
    pub writable_root: bool,
    /// Nobody but its owner may look into it.
    pub private: bool,
}

impl Member {
    /// Runs a container of its own. Returns when its process has started.
    ///
    /// # Errors
    /// `Forbidden`; what does not fit; why it could not start.
    pub async fn run_container(&self, run: RunContainer) -> Result<WorkloadId, Refusal> {
        self.may_run(&run.image)?;
        self.participant.caller.may(self.participant.project(), Action::ManageServices)?;
        let credentials = run.credentials.clone();
        let spec = self.spec(run)?;
        crate::ops::check_in_room(&spec)?;
        let image = self.fetched_for(&spec, &credentials).await?;
        let recipe = Recipe { spec, secrets: Vec::new(), pull_secrets: Vec::new() };
        let service = ServiceId::from_uuid(Uuid::now_v7());
        self.begin(service, recipe, image, true).await
    }

    /// Runs a saved service that starts only when asked for, with further variables. One that runs already is answered.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound`; what does not fit; why it could not start.
    pub async fn run_service(&self, id: &str, further: Vec<(String, SecretText)>) -> Result<WorkloadId, Refusal> {
        let project = self.participant.project();
        let id: ServiceId = id.parse().map_err(|_| no_service())?;
        let mut tx = self.control.store().read("run a service").await.map_err(refused)?;
        let mut found = tx.service(project, Scope::Project, id).await.map_err(refused)?;
        if found.is_none() {
            found = tx.service(project, Scope::Room(self.room), id).await.map_err(refused)?;
        }
        let Service { spec, .. } = found.ok_or_else(no_service)?;
        self.may_run(image_of(&spec))?;
        if spec.container.is_none() {
            return Err(Refusal::invalid("service_id", "names a service that is hosted elsewhere"));
        }
        if exposes(&spec)
            && self.participant.own_service() != Some(id)
            && let Err(refusal) = self.participant.caller.may(project, Action::Bind)
        {
            drop(tx);
            let attempt = self.participant.caller.audited("container.run", format!("{} service {id}", self.session));
            return Err(self.control.recorded(refusal, attempt).await);
        }
        let (mut recipe, missing) = Recipe::newest(&mut tx, project, spec).await.map_err(refused)?;
        if let Some(missing) = missing {
            return Err(missing);
        }
        let has_further = !further.is_empty();
        let names = set_names(&mut tx, &recipe).await?;
        drop(tx);
        let image =
            self.control.context().fetch(&recipe, self.control.context().live.progress(workload_of(id))).await?;
        let set =
            names.into_iter().chain(image.image.config.env.iter().map(|(name, _)| name.clone())).collect::<Vec<_>>();
        add(&mut recipe.spec, further, &set)?;
        if let Some(running) = self.workloads().await?.into_iter().find(|workload| workload.service == id) {
            return self.again(running, recipe, image, has_further).await;
        }
        self.begin(id, recipe, image, false).await
    }

    fn may_run(&self, image: &str) -> Result<(), Refusal> {
        let allowed = self.participant.scope.containers.as_ref().is_some_and(|containers| containers.may_run(image));
        self.participant.may(allowed, "containers", Action::RunSessions)
    }

    /// One that is there already: answered while it runs, started anew when it has ended.
    async fn again(
        &self,
        there: Workload,
        recipe: Recipe,
        image: Fetched,
        has_further: bool,
    ) -> Result<WorkloadId, Refusal> {
        if self.stage(&there).1 != super::Stage::Exited {
            if has_further {
                let message = "the service runs already, with another environment";
                return Err(Refusal::new(RefusalKind::Conflict, "already_running", message).hint("stop it first"));
            }
            return Ok(there.id);
        }
        self.record("container.started", "container.run", &there).await?;
        let commands = self.control.drivers().lock().await.of(there.id).ok_or_else(ending)?;
        commands.relaunch(Relaunch { recipe, image }).await?;
        self.started(there.id).await
    }

    async fn begin(
        &self,
        service: ServiceId,
        recipe: Recipe,
        image: Fetched,
        ad_hoc: bool,
    ) -> Result<WorkloadId, Refusal> {
        let asked = Asked { participant: self.id.to_string(), name: self.participant.name.as_str().to_owned(), ad_hoc };
        let (control, caller) = (self.control.clone(), self.participant.caller.clone());
        let (project, session) = (self.participant.project(), self.session);
        let begun = self.control.to_its_end(async move {
            let mut drivers = control.drivers().lock().await;
            let mut tx = control.store().write("run a container").await.map_err(refused)?;
            let session = running(&mut tx, project, session).await?;
            let mut all = tx.workloads(project, session.id).await.map_err(refused)?;
            let mut workload = planned(&session, service, recipe, &image, asked, &all)?;
            tx.create_workload(project, &mut workload).await.map_err(refused)?;
            let data = json!({"by": caller.actor(), "service": workload.service_name, "workload_id": workload.id});
            tx.add_event(session.id, "container.started", &data).await.map_err(refused)?;
            let object = format!("{} container {}", session.id, workload.id);
            tx.audit(&caller.audited("container.run", object)).await.map_err(refused)?;
            tx.commit().await.map_err(refused)?;
            let id = workload.id;
            all.push(workload.clone());
            drivers.meet(session.id, &all);
            drivers.start(Launch::recorded(&session, workload).with_image(image));
            Ok(id)
        });
        let id = begun.await?;
        self.started(id).await
    }

    /// Waits until its process has started.
    async fn started(&self, id: WorkloadId) -> Result<WorkloadId, Refusal> {
        let mut changes = self.control.changes();
        loop {
            changes.mark_unchanged();
            let live = self.control.context().live.get(id).ok_or_else(ending)?;
            match live.state {
                WorkloadState::Pending | WorkloadState::Pulling | WorkloadState::Starting => {}
                WorkloadState::Failed { reason } => return Err(reason),
                _ => return Ok(id),
            }
            if changes.changed().await.is_err() {
                return Err(ending());
            }
        }
    }

    /// As a service that is saved nowhere.
    fn spec(&self, run: RunContainer) -> Result<ServiceSpec, Refusal> {
        let made_up = || format!("run-{}", &Uuid::new_v4().simple().to_string()[..12]);
        let name = run.name.filter(|name| !name.is_empty()).unwrap_or_else(made_up);
        let plain = |(name, value): (String, SecretText)| EnvironmentEntry {
            name,
            // Into the manifest, which is sealed as it is recorded.
            value: Some(value.expose().to_owned()),
            token: None,
            secret: None,
        };
        let mut environment: Vec<_> = run.environment.into_iter().map(plain).collect();
        if let Some(identity) = run.participant_name {
            // What the asker may, and no more; secrets are its own.
            let mut scope = self.participant.scope.clone();
            (scope.admin, scope.secrets) = (None, None);
            let api = serde_json::to_value(scope).ok();
            let token = Some(TokenSource { identity, api, role: run.role });
            environment.push(EnvironmentEntry { name: "MESHAGENT_TOKEN".to_owned(), value: None, token, secret: None });
        }
        let mut storage = run.storage;
        if let Some((path, subpath)) = run.room_storage {
            storage.get_or_insert_with(StorageSpec::default).room.push(StorageMount { path, subpath, read_only: None });
        }
        let port = |number| PortSpec { num: PortNum::Fixed(number), ..PortSpec::default() };
        Ok(ServiceSpec {
            version: SpecVersion::V1,
            kind: ServiceKind::Service,
            id: None,
            metadata: Metadata { name, ..Metadata::default() },
            agents: Vec::new(),
            files: None,
            ports: run.ports.into_iter().map(port).collect(),
            container: Some(ContainerSpec {
                image: run.image,
                command: run.command.filter(|command| !command.trim().is_empty()),
                working_dir: run.working_dir,
                environment,
                storage,
                writable_root_fs: Some(run.writable_root),
                private: Some(run.private),
                ..ContainerSpec::default()
            }),
            external: None,
        })
    }
}

fn image_of(spec: &ServiceSpec) -> &str {
    spec.container.as_ref().map_or("", |container| container.image.as_str())
}

/// Under which nothing is shown: it is not recorded yet.
fn workload_of(service: ServiceId) -> WorkloadId {
    WorkloadId::from_uuid(service.as_uuid())
}

async fn running(
    tx: &mut Tx,
    project: meshkeep_core::id::ProjectId,
    id: meshkeep_core::id::SessionId,
) -> Result<Session, Refusal> {
    let session = tx.session(project, id).await.map_err(refused)?;
    session.filter(|session| session.ended_at.is_none()).ok_or_else(ending)
}

/// A workload with a place that nobody has.
fn planned(
    session: &Session,
    service: ServiceId,
    recipe: Recipe,
    image: &Fetched,
    asked: Asked,
    all: &[Workload],
) -> Result<Workload, Refusal> {
    let checked = manifest::check(&recipe.spec)?;
    let place = plan::free_place(all.iter().map(|workload| (&workload.service_name, workload.place)), &checked.name)?;
    let recorded = recipe.workload(session.id, (service, checked.name), place, None);
    Ok(Workload { asked: Some(asked), image: serde_json::to_string(image).ok(), ..recorded })
}

/// Every name that a launch of this recipe sets, but for the image's.
async fn set_names(tx: &mut Tx, recipe: &Recipe) -> Result<Vec<String>, Refusal> {
    let mut names: Vec<String> = told(&recipe.spec);
    let manifest = recipe.spec.container.iter().flat_map(|container| &container.environment);
    names.extend(manifest.map(|entry| entry.name.clone()));
    for secret in &recipe.secrets {
        let opened = tx.open_secret(secret.project, secret.id, secret.version).await.map_err(refused)?;
        names.extend(opened.iter().flat_map(|entries| entries.keys()).map(EntryName::to_string));
    }
    Ok(names)
}

/// Adds a caller's variables, which replace nothing and change nothing of how programs run.
fn add(spec: &mut ServiceSpec, further: Vec<(String, SecretText)>, set: &[String]) -> Result<(), Refusal> {
    let Some(container) = &mut spec.container else { return Ok(()) };
    for (name, value) in further {
        let entry: EntryName = name.parse().map_err(|why| Refusal::invalid("env", why))?;
        if set.contains(&name) {
            return Err(Refusal::invalid("env", format!("names {entry}, which the service sets already")));
        }
        if environment::changes_programs(&entry) {
            return Err(Refusal::invalid("env", format!("names {entry}, which changes how programs run"))
                .hint("set it in the service's manifest"));
        }
        let value = Some(value.expose().to_owned());
        container.environment.push(EnvironmentEntry { name, value, token: None, secret: None });
    }
    Ok(())
}
