//! `meshkeep service create`.

use meshkeep_core::service::ServiceSpec;
use reqwest::Method;

use super::{ScopeArgs, note_short_values};
use crate::{
    cmd::{Context, input::ManifestArgs, resolve},
    failure::Failure,
};

/// `service create`.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    #[command(flatten)]
    manifest: ManifestArgs,

    #[command(flatten)]
    scope: ScopeArgs,
}

pub(super) async fn run(context: &Context, args: CreateArgs) -> Result<(), Failure> {
    let spec = args.manifest.read()?;
    create(context, args.scope.room(), &spec).await
}

/// Makes it and says so.
pub(super) async fn create(context: &Context, room: Option<&str>, spec: &ServiceSpec) -> Result<(), Failure> {
    let call = context.client.call(Method::POST, &resolve::services(room)).body(spec)?;
    let made: ServiceSpec = call.answer().await?;
    note_short_values(spec);
    context.out.show(&made, |made| {
        let id = made.id.as_deref().unwrap_or("?");
        let runs = room.map_or_else(|| "every session".to_owned(), |room| format!("every session of room {room}"));
        format!("Service {} made ({id}).\nIt starts with {runs} that is launched from now on.", made.metadata.name)
    })
}
