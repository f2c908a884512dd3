//! `meshkeep service update`: by id or name, or by the manifest's own name.

use meshkeep_core::{id::ServiceId, service::ServiceSpec};
use reqwest::Method;

use super::{ScopeArgs, create, note_short_values};
use crate::{
    cmd::{Context, input::ManifestArgs, resolve},
    failure::{Exit, Failure},
};

/// `service update`.
#[derive(Debug, clap::Args)]
pub struct UpdateArgs {
    /// Its id or name [default: the manifest's metadata.name]
    #[arg(value_name = "SERVICE")]
    service: Option<String>,

    /// The public client's spelling of SERVICE
    #[arg(long, hide = true, conflicts_with = "service")]
    id: Option<String>,

    #[command(flatten)]
    manifest: ManifestArgs,

    #[command(flatten)]
    scope: ScopeArgs,

    /// Make the service when there is none of this name
    #[arg(long)]
    create: bool,
}

pub(super) async fn run(context: &Context, args: UpdateArgs) -> Result<(), Failure> {
    let spec = args.manifest.read()?;
    let room = args.scope.room();
    let stated = args.service.or(args.id);
    let text = stated.as_deref().unwrap_or(&spec.metadata.name);
    match find(context, room, text).await? {
        Some(id) => replace(context, room, id, &spec).await,
        None if args.create => create::create(context, room, &spec).await,
        None => Err(Failure::new(Exit::NotFound, format!("there is no service {text}"))
            .hint("make it with `--create`; `meshkeep service list` shows what there is")),
    }
}

async fn find(context: &Context, room: Option<&str>, text: &str) -> Result<Option<ServiceId>, Failure> {
    match text.parse() {
        Ok(id) => Ok(Some(id)),
        Err(_) => resolve::service_named(&context.client, room, text).await,
    }
}

async fn replace(context: &Context, room: Option<&str>, id: ServiceId, spec: &ServiceSpec) -> Result<(), Failure> {
    let id = id.to_string();
    let mut path = resolve::services(room);
    path.push(&id);
    let saved: ServiceSpec = context.client.call(Method::PUT, &path).body(spec)?.answer().await?;
    note_short_values(spec);
    context.out.show(&saved, |saved| {
        format!(
            "Service {} updated ({id}).\nIt applies to sessions that are launched from now on; running ones keep what \
             they have.",
            saved.metadata.name
        )
    })
}
