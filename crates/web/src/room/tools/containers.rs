//! `containers.*` but for those that stream.

use std::collections::BTreeMap;

use meshkeep_control::{Container, ImageCredential, Member, RoomImage, RunContainer, Stage};
use meshkeep_core::{Refusal, SecretText, service::StorageSpec, wire::payload::Content};
use serde::Deserialize;
use serde_json::{Value, json};

use super::not_offered;
use crate::room::call::{Call, Input};

pub(super) async fn answer(member: &Member, call: &Call) -> Result<Content, Refusal> {
    let input = &call.input;
    Ok(match call.tool.as_str() {
        "list_containers" => {
            let all = member.containers(input.is("all")).await?;
            Content::Json(json!({"containers": all.iter().map(shown).collect::<Vec<_>>()}))
        }
        "stop_container" => {
            member.stop_container(container(input)?, input.is("force")).await?;
            Content::Empty
        }
        "delete_container" => {
            member.delete_container(container(input)?).await?;
            Content::Empty
        }
        "wait_for_exit" => {
            let code = member.wait_for_exit(container(input)?).await?;
            Content::Json(json!({"exit_code": code}))
        }
        "run" => {
            let id = member.run_container(input.read::<Run>()?.into()).await?;
            Content::Json(json!({"container_id": id}))
        }
        "run_service" => {
            let RunService { service_id, env } = input.read()?;
            let id = member.run_service(&service_id, env.map(Env::pairs).unwrap_or_default()).await?;
            Content::Json(json!({"container_id": id}))
        }
        "pull_image" => {
            let Pull { tag, credentials } = input.read()?;
            member.pull_image(&tag, credentials.unwrap_or_default()).await?;
            Content::Empty
        }
        "list_images" => {
            let all = member.images().await?;
            Content::Json(json!({"images": all.iter().map(image).collect::<Vec<_>>()}))
        }
        "delete_image" => {
            member.delete_image(input.text("image")?).await?;
            Content::Empty
        }
        _ => return Err(not_offered(call)),
    })
}

/// Its two names in the two protocols.
fn container(input: &Input) -> Result<&str, Refusal> {
    input.maybe_text("container_id").map_or_else(|| input.text("id"), Ok)
}

fn shown(container: &Container) -> Value {
    let state = match container.stage {
        Stage::Created => "CREATED",
        Stage::Running => "RUNNING",
        Stage::Exited => "EXITED",
    };
    let (id, name) = &container.started_by;
    json!({
        "id": container.id,
        "image": container.image,
        "status": container.status,
        "name": container.name,
        "started_by": {"id": id, "name": name},
        "state": state,
        "private": container.private,
        "service_id": container.service,
        "ports": container.ports,
    })
}

fn image(image: &RoomImage) -> Value {
    json!({
        "id": image.id,
        "tags": image.references,
        "references": image.references,
        "preferred_ref": image.references.first(),
        "size": image.bytes,
        "labels": {},
    })
}

#[derive(Deserialize)]
struct Pull {
    tag: String,
    #[serde(default)]
    credentials: Option<Vec<ImageCredential>>,
}

#[derive(Deserialize)]
struct RunService {
    service_id: String,
    #[serde(default)]
    env: Option<Env>,
}

/// Variables: an object, or a list of pairs.
#[derive(Deserialize)]
#[serde(untagged)]
enum Env {
    Map(BTreeMap<String, SecretText>),
    Pairs(Vec<Pair>),
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    value: SecretText,
}

impl Env {
    fn pairs(self) -> Vec<(String, SecretText)> {
        match self {
            Self::Map(map) => map.into_iter().collect(),
            Self::Pairs(pairs) => pairs.into_iter().map(|pair| (pair.key, pair.value)).collect(),
        }
    }
}

#[derive(Deserialize)]
struct Run {
    image: String,
    command: Option<String>,
    working_dir: Option<String>,
    env: Option<Env>,
    mount_path: Option<String>,
    mount_subpath: Option<String>,
    role: Option<String>,
    participant_name: Option<String>,
    ports: Option<Ports>,
    credentials: Option<Vec<ImageCredential>>,
    name: Option<String>,
    mounts: Option<StorageSpec>,
    writable_root_fs: Option<bool>,
    private: Option<bool>,
}

/// Ports of the container, each with one of the host, which means nothing here.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ports {
    Map(BTreeMap<String, u16>),
    Pairs(Vec<PortPair>),
}

#[derive(Deserialize)]
struct PortPair {
    container_port: u16,
}

impl Ports {
    fn numbers(self) -> Vec<u16> {
        match self {
            Self::Map(map) => map.keys().filter_map(|number| number.parse().ok()).collect(),
            Self::Pairs(pairs) => pairs.into_iter().map(|pair| pair.container_port).collect(),
        }
    }
}

impl From<Run> for RunContainer {
    fn from(run: Run) -> Self {
        Self {
            image: run.image,
            command: run.command,
            working_dir: run.working_dir,
            environment: run.env.map(Env::pairs).unwrap_or_default(),
            room_storage: run.mount_path.map(|path| (path, run.mount_subpath)),
            storage: run.mounts,
            role: run.role,
            participant_name: run.participant_name,
            ports: run.ports.map(Ports::numbers).unwrap_or_default(),
            credentials: run.credentials.unwrap_or_default(),
            name: run.name,
            writable_root: run.writable_root_fs.unwrap_or(false),
            private: run.private.unwrap_or(true),
        }
    }
}
