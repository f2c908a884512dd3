//! One workload of a running session, in memory: what is recorded of it and where its driver is.

use std::sync::Arc;

use meshkeep_core::{
    Refusal, RefusalKind, Timestamp,
    id::{ProjectId, RoomId, ServiceId, SessionId, WorkloadId},
    manifest,
    name::{RoomName, ServiceName},
    storage::{self, Stored, What},
    workload::WorkloadState,
};
use meshkeep_engine::{ExtraCapability, Limits, Mount, MountSource, Peer, StorageId, Workload};
use meshkeep_image::Image;
use meshkeep_store as store;

use super::{Fetched, Recipe, tokens::For};

/// A workload on its way.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// Its id.
    pub(crate) id: WorkloadId,
    /// The project.
    pub(crate) project: ProjectId,
    /// The session.
    pub(crate) session: SessionId,
    /// The session's room.
    pub(crate) room: RoomName,
    /// Its id; none when it was deleted since.
    pub(crate) room_id: Option<RoomId>,
    /// The service.
    pub(crate) service: ServiceId,
    /// Its name.
    pub(crate) service_name: ServiceName,
    /// Who asked for it while its session ran; it runs once.
    pub(crate) asked: Option<store::Asked>,
    /// What it is made from.
    pub(crate) recipe: Recipe,
    /// The image that was proven for this launch.
    pub(crate) image: Option<Fetched>,
    /// Its state.
    pub(crate) state: WorkloadState,
    /// Which start.
    pub(crate) attempt: u32,
    /// Restarts after crashes.
    pub(crate) restarts: u32,
    /// Of the last exit.
    pub(crate) exit_code: Option<i32>,
    /// When its process last started.
    pub(crate) started_at: Option<Timestamp>,
}

/// The services of a session with their places.
pub(super) fn peers(workloads: &[store::Workload]) -> Arc<[Peer]> {
    workloads.iter().map(|workload| Peer { name: workload.service_name.clone(), place: workload.place }).collect()
}

impl Launch {
    /// The service, for which tokens are made.
    pub(super) fn whom(&self) -> For<'_> {
        For { project: self.project, session: self.session, room: &self.room, service: self.service }
    }

    /// From what is recorded.
    pub(crate) fn recorded(session: &store::Session, workload: store::Workload) -> Self {
        // An image that this version cannot read any more is proven and fetched anew.
        let image = workload.image.as_deref().and_then(|text| serde_json::from_str(text).ok());
        Self {
            id: workload.id,
            project: session.project,
            session: session.id,
            room: session.room_name.clone(),
            room_id: session.room,
            service: workload.service,
            service_name: workload.service_name,
            asked: workload.asked,
            recipe: Recipe { spec: workload.spec, secrets: workload.secrets, pull_secrets: workload.pull_secrets },
            image,
            state: workload.state,
            attempt: workload.attempt,
            restarts: workload.restarts,
            exit_code: workload.exit_code,
            started_at: workload.started_at,
        }
    }

    /// With the image that was proven for it.
    pub(crate) fn with_image(mut self, image: Fetched) -> Self {
        self.image = Some(image);
        self
    }

    /// As the engine runs it, beside these services of its session.
    ///
    /// # Errors
    /// When the recorded manifest is none for this version of meshkeep.
    pub(crate) fn workload(&self, fetched: Fetched, peers: &[Peer], defaults: Limits) -> Result<Workload, Refusal> {
        let Fetched { image, mounted, .. } = fetched;
        let checked = manifest::check(&self.recipe.spec)?;
        let mounts = self.mounts(checked.mounts, mounted)?;
        let container = self.recipe.spec.container.as_ref();
        Ok(Workload {
            id: self.id,
            session: self.session,
            service: self.service,
            service_name: self.service_name.clone(),
            attempt: self.attempt,
            image,
            command: checked.command,
            working_dir: container.and_then(|container| container.working_dir.clone()),
            writable_root: container.and_then(|container| container.writable_root_fs).unwrap_or(false),
            mounts,
            capabilities: checked.capabilities.into_iter().filter_map(capability).collect(),
            limits: Limits {
                memory_bytes: checked.memory_bytes.unwrap_or(defaults.memory_bytes),
                pids: checked.pids.unwrap_or(defaults.pids),
                ..defaults
            },
            peers: peers.to_vec(),
            secrets: self.recipe.secrets.clone(),
        })
    }
}

impl Launch {
    /// What is mounted; `images` are those that the manifest names, in its order.
    fn mounts(&self, mounts: Vec<storage::Mount>, images: Vec<Image>) -> Result<Vec<Mount>, Refusal> {
        let mut images = images.into_iter();
        let one = |storage::Mount { path, read_only, what }| {
            let source = match what {
                What::EmptyDir => MountSource::EmptyDir,
                What::File(text) => MountSource::File(text),
                What::Stored { of, subpath } => MountSource::Stored { storage: self.storage(of)?, subpath },
                What::Image { subpath, .. } => {
                    MountSource::Image { image: images.next().ok_or_else(changed)?, subpath }
                }
            };
            Ok(Mount { path, read_only, source })
        };
        mounts.into_iter().map(one).collect()
    }

    fn storage(&self, of: Stored) -> Result<StorageId, Refusal> {
        match (of, self.room_id) {
            (Stored::Project, _) => Ok(StorageId::Project(self.project)),
            (Stored::Room, Some(room)) => Ok(StorageId::Room(self.project, room)),
            (Stored::Room, None) => Err(Refusal::new(
                RefusalKind::Conflict,
                "room_deleted",
                "the room was deleted, and its storage with it",
            )),
        }
    }
}

/// An image was recorded by a version that did not know of those that are mounted.
fn changed() -> Refusal {
    let message = "the images that the service mounts were not fetched with its own";
    Refusal::new(RefusalKind::Unavailable, "not_fetched", message).hint("restart the service")
}

/// The words that a manifest may list ([`manifest::KNOWN_CAPABILITIES`]).
fn capability(word: &str) -> Option<ExtraCapability> {
    Some(match word {
        "CHOWN" => ExtraCapability::Chown,
        "DAC_OVERRIDE" => ExtraCapability::DacOverride,
        "FOWNER" => ExtraCapability::Fowner,
        "SETUID" => ExtraCapability::Setuid,
        "SETGID" => ExtraCapability::Setgid,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_that_a_manifest_may_list_is_one() {
        assert!(manifest::KNOWN_CAPABILITIES.into_iter().all(|word| capability(word).is_some()));
    }
}
