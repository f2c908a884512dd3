//! `meshkeep secret test`.

use meshkeep_core::wire::{PullTest, PullTested};
use reqwest::Method;

use crate::{
    cmd::{Context, resolve},
    failure::{Exit, Failure},
};

/// `secret test`.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// The pull secret's name or id
    #[arg(value_name = "SECRET")]
    secret: String,

    /// The image to try it on; nothing but its manifest is asked for
    #[arg(value_name = "IMAGE")]
    image: String,
}

pub(super) async fn run(context: &Context, args: TestArgs) -> Result<(), Failure> {
    let secret_id = Some(resolve::secret_id(&context.client, &args.secret).await?);
    let test = PullTest { secret_id, server: None, username: None, password: None, image: args.image };
    let call = context.client.call(Method::POST, &["pull-secrets", "test"]).body(&test)?;
    let tested: PullTested = call.answer().await?;
    if tested.ok || context.out.is_json() {
        context.out.show(&tested, |tested| format!("{}.", tested.message))?;
    }
    match tested {
        PullTested { ok: true, .. } => Ok(()),
        PullTested { message, hint, .. } => Err(Failure::new(Exit::Refused, message).hint(hint)),
    }
}
