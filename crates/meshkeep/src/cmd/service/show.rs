//! `meshkeep service show`: the manifest, as YAML that `update` takes back.

use meshkeep_core::service::ServiceSpec;

use super::ScopeArgs;
use crate::{
    cmd::{Context, resolve},
    failure::{Exit, Failure},
};

/// `service show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Its id or name
    #[arg(value_name = "SERVICE")]
    service: String,

    #[command(flatten)]
    scope: ScopeArgs,
}

pub(super) async fn run(context: &Context, args: ShowArgs) -> Result<(), Failure> {
    let room = args.scope.room();
    let id = resolve::service_id(&context.client, room, &args.service).await?.to_string();
    let mut path = resolve::services(room);
    path.push(&id);
    let spec: ServiceSpec = context.client.get(&path).await?;
    let yaml = serde_saphyr::to_string(&spec)
        .map_err(|_| Failure::new(Exit::Broken, "the manifest could not be written as YAML"))?;
    context.out.show(&spec, |_| yaml)
}
