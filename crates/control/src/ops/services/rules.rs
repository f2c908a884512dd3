//! What a manifest must fulfil beyond its own meaning: its image and secrets exist as what they are named for, and its
//! environment is one that Linux takes.

use meshkeep_core::{
    Refusal, RefusalKind, SecretText,
    environment::{Environment, Sources, assemble},
    id::{ProjectId, SecretId},
    manifest::{self, Checked},
    name::{EntryName, ServiceName},
    secret::{Entries, SecretKind},
    service::{ContainerSpec, ServiceSpec},
    storage::{Mount, Stored, What},
};
use meshkeep_image::Reference;
use meshkeep_store::{Scope, Secret, Tx};

use crate::{manifest_values, refusals::refused};

/// What a manifest that fulfils the rules names.
pub(super) struct Ruled {
    /// `metadata.name`.
    pub(super) name: ServiceName,
    /// Its secret keys and its pull secrets.
    pub(super) secrets: Vec<SecretId>,
}

/// Whether the manifest names secrets, of the project or of participants.
pub(super) fn binds(spec: &ServiceSpec) -> bool {
    spec.container.as_ref().is_some_and(|container| {
        let of_participants = container.environment.iter().any(|entry| entry.secret.is_some());
        !container.secrets.is_empty() || container.pull_secret.is_some() || of_participants
    })
}

/// Whether the manifest has a key of the project's API made.
pub(super) fn makes_keys(spec: &ServiceSpec) -> bool {
    spec.container.as_ref().is_some_and(|container| container.api_key.is_some())
}

/// Whether the environment of a manifest's container holds something that not everybody may read who may run services:
/// bound secrets, sealed values, secrets of participants, tokens, keys.
pub(crate) fn exposes(spec: &ServiceSpec) -> bool {
    let tokens = spec.ports.iter().flat_map(|port| &port.endpoints).any(|endpoint| endpoint.meshagent.is_some());
    let Some(container) = &spec.container else { return false };
    let environment = container.environment.iter().any(|entry| entry.token.is_some() || entry.secret.is_some());
    let bound = !container.secrets.is_empty() || container.api_key.is_some();
    tokens || environment || bound || manifest_values::has_sealed(spec)
}

/// Checks the manifest of a container that a participant runs in its room by itself: what names a project's things is
/// refused, as for a room's services.
///
/// # Errors
/// `Invalid`, naming the member.
pub(crate) fn check_in_room(spec: &ServiceSpec) -> Result<(), Refusal> {
    let checked = manifest::check(spec)?;
    if let Some(container) = &spec.container {
        check_images(container)?;
    }
    refuse_in_rooms(true, &checked)
}

/// Checks a manifest before it is saved.
///
/// # Errors
/// `Invalid`, naming the member and the id.
pub(super) async fn check(tx: &mut Tx, project: ProjectId, scope: Scope, spec: &ServiceSpec) -> Result<Ruled, Refusal> {
    let (checked, _) = environment(tx, project, scope, spec, &[]).await?;
    let secrets = checked.secrets.into_iter().chain(checked.pull_secrets).collect();
    Ok(Ruled { name: checked.name, secrets })
}

/// The same, and the environment that a launch would assemble now, but for the image's own variables, which are not known
/// yet.
///
/// # Errors
/// As [`check`]; the variable that is too large is named.
pub(super) async fn environment(
    tx: &mut Tx,
    project: ProjectId,
    scope: Scope,
    spec: &ServiceSpec,
    platform: &[(EntryName, SecretText)],
) -> Result<(Checked, Environment), Refusal> {
    let checked = manifest::check(spec)?;
    if let Some(container) = &spec.container {
        check_images(container)?;
    }
    refuse_in_rooms(matches!(scope, Scope::Room(_)), &checked)?;
    for (position, id) in checked.pull_secrets.iter().enumerate() {
        let field = manifest::pull_secret_field(position);
        let secret = reference(tx, project, &field, *id, SecretKind::Docker).await?;
        opened(tx, &secret, &checked).await?;
    }
    let mut secret_keys = Vec::with_capacity(checked.secrets.len());
    for (position, id) in checked.secrets.iter().enumerate() {
        let field = format!("container.secrets[{position}]");
        let secret = reference(tx, project, &field, *id, SecretKind::Keys).await?;
        let entries = opened(tx, &secret, &checked).await?;
        secret_keys.push((secret.name, entries));
    }
    // What is made at the launch is not known yet; its name is.
    let unknown = |name: &EntryName| (name.clone(), SecretText::default());
    let tokens: Vec<_> = checked.tokens.iter().map(|(name, _)| unknown(name)).collect();
    let room_secrets: Vec<_> = checked.room_secrets.iter().map(|(name, ..)| unknown(name)).collect();
    let own = [("MESHAGENT_TOKEN", !checked.calls.is_empty()), ("MESHAGENT_API_KEY", checked.api_key.is_some())];
    let issued: Vec<_> = own
        .iter()
        .filter(|(_, is_there)| *is_there)
        .filter_map(|(name, _)| Some(unknown(&name.parse().ok()?)))
        .collect();
    let sources = Sources {
        platform,
        issued: &issued,
        secret_keys: &secret_keys,
        manifest: &checked.environment,
        sealed: &checked.sealed,
        tokens: &tokens,
        room_secrets: &room_secrets,
        ..Sources::default()
    };
    let environment = assemble(&sources).map_err(|refusal| Refusal { kind: RefusalKind::Invalid, ..refusal })?;
    Ok((checked, environment))
}

/// Rooms are opened to more people than projects.
fn refuse_in_rooms(is_room: bool, checked: &Checked) -> Result<(), Refusal> {
    let field = match is_room {
        false => return Ok(()),
        true if !checked.secrets.is_empty() => "container.secrets",
        true if !checked.pull_secrets.is_empty() => "container.pull_secret",
        true if checked.api_key.is_some() => "container.api_key",
        true => return refuse_writing(&checked.mounts),
    };
    Err(Refusal::invalid(field, "names a project's secret, which a room service may not")
        .hint("make it a project service"))
}

/// What the project stores is changed by the project's services.
fn refuse_writing(mounts: &[Mount]) -> Result<(), Refusal> {
    let writes = |mount: &Mount| matches!(mount.what, What::Stored { of: Stored::Project, .. }) && !mount.read_only;
    if !mounts.iter().any(writes) {
        return Ok(());
    }
    Err(Refusal::invalid("container.storage.project", "is to be written, which a room service may not")
        .hint("mount it with `read_only: true`, or make it a project service"))
}

fn check_images(container: &ContainerSpec) -> Result<(), Refusal> {
    container.image.parse::<Reference>().map_err(|why| Refusal::invalid("container.image", why))?;
    for (position, mount) in container.storage.iter().flat_map(|storage| &storage.images).enumerate() {
        let field = format!("container.storage.images[{position}].image");
        mount.image.parse::<Reference>().map_err(|why| Refusal::invalid(&field, why))?;
    }
    Ok(())
}

async fn reference(
    tx: &mut Tx,
    project: ProjectId,
    field: &str,
    id: SecretId,
    wanted: SecretKind,
) -> Result<Secret, Refusal> {
    let secret = tx.secret(project, id).await.map_err(refused)?;
    let secret = secret.ok_or_else(|| {
        Refusal::invalid(field, format!("names {id}, which is no secret of this project")).hint("list the secrets")
    })?;
    if secret.kind == wanted {
        return Ok(secret);
    }
    Err(match wanted {
        SecretKind::Keys => Refusal::invalid(field, format!("names {id}, which is a pull secret"))
            .hint("a pull secret never enters a container; name it in `container.pull_secret`"),
        SecretKind::Docker => Refusal::invalid(field, format!("names {id}, which is a secret key"))
            .hint("name a pull secret (type `docker`)"),
    })
}

/// The version that the manifest keeps it at, or the newest.
async fn opened(tx: &mut Tx, secret: &Secret, checked: &Checked) -> Result<Entries, Refusal> {
    let Secret { project, id, version, .. } = *secret;
    let wanted = checked.version_of(id, version);
    let entries = tx.open_secret(project, id, wanted).await.map_err(refused)?;
    entries.ok_or_else(|| {
        let field = format!("metadata.annotations.{}", manifest::VERSIONS);
        Refusal::invalid(&field, format!("names version {wanted} of {}, which is not there", secret.name))
            .hint("list its versions")
    })
}
