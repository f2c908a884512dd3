//! `meshkeep service delete`.

use reqwest::Method;

use super::ScopeArgs;
use crate::{
    cmd::{Context, resolve},
    failure::Failure,
};

/// `service delete`.
#[derive(Debug, clap::Args)]
pub struct DeleteArgs {
    /// Its id or name
    #[arg(value_name = "SERVICE")]
    service: String,

    #[command(flatten)]
    scope: ScopeArgs,
}

pub(super) async fn run(context: &Context, args: DeleteArgs) -> Result<(), Failure> {
    let room = args.scope.room();
    let id = resolve::service_id(&context.client, room, &args.service).await?.to_string();
    let mut path = resolve::services(room);
    path.push(&id);
    context.client.call(Method::DELETE, &path).done().await?;
    context.out.did("deleted", &id, &format!("Service {id} deleted."))
}
