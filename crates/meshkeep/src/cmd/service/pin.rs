//! `meshkeep service pin` and `unpin`: one image for every launch, or whatever the tag names.

use meshkeep_core::service::ServiceSpec;
use reqwest::Method;

use super::ScopeArgs;
use crate::{
    cmd::{Context, resolve},
    failure::Failure,
};

/// `service pin` and `service unpin`.
#[derive(Debug, clap::Args)]
pub struct PinArgs {
    /// Its id or name
    #[arg(value_name = "SERVICE")]
    service: String,

    #[command(flatten)]
    scope: ScopeArgs,
}

pub(super) async fn run(context: &Context, args: PinArgs, verb: &str) -> Result<(), Failure> {
    let room = args.scope.room();
    let id = resolve::service_id(&context.client, room, &args.service).await?.to_string();
    let mut path = resolve::services(room);
    path.extend([id.as_str(), verb]);
    let saved: ServiceSpec = context.client.call(Method::POST, &path).answer().await?;
    context.out.show(&saved, |saved| {
        let image = saved.container.as_ref().map_or("", |container| &container.image);
        format!(
            "The image of {} is {image}, from the next session launch or restart of the service.",
            saved.metadata.name
        )
    })
}
