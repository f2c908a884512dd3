//! `meshkeep session terminate`.

use reqwest::Method;

use crate::{
    cmd::{Context, resolve},
    failure::Failure,
};

/// `session terminate`.
#[derive(Debug, clap::Args)]
pub struct TerminateArgs {
    /// Its id, or the name of its room; several may be given
    #[arg(value_name = "SESSION", required_unless_present = "all")]
    sessions: Vec<String>,

    /// All sessions of the project
    #[arg(long, conflicts_with = "sessions")]
    all: bool,
}

pub(super) async fn run(context: &Context, args: TerminateArgs) -> Result<(), Failure> {
    if args.all {
        context.client.call(Method::POST, &["sessions", "terminate"]).done().await?;
        return context.out.did("terminated", "all", "All sessions are over.");
    }
    let mut over = Vec::new();
    for text in &args.sessions {
        let id = resolve::session_id(&context.client, text).await?.to_string();
        context.client.call(Method::POST, &["sessions", &id, "terminate"]).done().await?;
        over.push(id);
    }
    context.out.show(&serde_json::json!({ "terminated": over }), |_| {
        over.iter().map(|id| format!("Session {id} is over.\n")).collect()
    })
}
