//! `meshkeep secret delete`.

use meshkeep_core::wire::SecretUsage;
use reqwest::Method;

use crate::{
    cmd::{Context, resolve},
    failure::Failure,
};

/// `secret delete`.
#[derive(Debug, clap::Args)]
pub struct DeleteArgs {
    /// Its name or id
    #[arg(value_name = "SECRET")]
    secret: String,

    /// Also when a service names it: the next launch of that service then fails
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(context: &Context, args: DeleteArgs) -> Result<(), Failure> {
    let id = resolve::secret_id(&context.client, &args.secret).await?.to_string();
    let usage: SecretUsage = context.client.get(&["secrets", &id, "usage"]).await?;
    let call = context.client.call(Method::DELETE, &["secrets", &id]);
    let call = if args.force { call.query("force", "true") } else { call };
    call.done().await?;
    let then = usage.after_delete.join("\n");
    context.out.did("deleted", &id, &format!("Secret {id} deleted.\n{then}"))
}
