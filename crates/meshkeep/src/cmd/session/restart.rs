//! `meshkeep session restart`.

use reqwest::Method;

use crate::{
    cmd::{Context, resolve},
    failure::Failure,
};

/// `session restart`.
#[derive(Debug, clap::Args)]
pub struct RestartArgs {
    /// Its id, or the name of its room
    #[arg(value_name = "SESSION")]
    session: String,

    /// The service's name or id; needed when the session runs several
    #[arg(value_name = "SERVICE")]
    service: Option<String>,
}

pub(super) async fn run(context: &Context, args: RestartArgs) -> Result<(), Failure> {
    let (session, service) = resolve::workload(&context.client, &args.session, args.service.as_deref()).await?;
    let (session, service) = (session.to_string(), service.to_string());
    context.client.call(Method::POST, &["sessions", &session, "services", &service, "restart"]).done().await?;
    let said = format!(
        "Service {service} of session {session} restarts, with the newest versions of its secrets.\n\
         Look at it with `meshkeep session show {session}`."
    );
    context.out.did("restarted", &service, &said)
}
