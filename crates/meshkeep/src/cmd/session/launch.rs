//! `meshkeep session launch`: records the launch, and with `--wait` stays until each service has come to something.

use std::time::Duration;

use meshkeep_core::{
    wire::{Session, Workload},
    workload::SessionState,
};
use reqwest::Method;

use super::{show, watch};
use crate::{
    cmd::{Context, output::note, room},
    failure::{Exit, Failure},
};

/// `session launch`.
#[derive(Debug, clap::Args)]
pub struct LaunchArgs {
    /// The room's name; a room that is not there is made
    #[arg(value_name = "ROOM")]
    room: String,

    /// Wait until every service runs, or has failed
    #[arg(long)]
    wait: bool,

    /// Wait no longer than this
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    timeout: Option<u64>,
}

pub(super) async fn run(context: &Context, args: LaunchArgs) -> Result<(), Failure> {
    let session = launch(context, &args.room).await?;
    if !args.wait {
        return context.out.show(&session, what_next);
    }
    let settled = watch::until(&context.client, session.id, is_settled);
    let session = match args.timeout {
        None => settled.await?,
        Some(seconds) => tokio::time::timeout(Duration::from_secs(seconds), settled).await.map_err(|_| {
            Failure::new(Exit::Unavailable, format!("session {} is still starting after {seconds} s", session.id))
                .hint(format!("it goes on; look at it with `meshkeep session show {}`", session.id))
        })??,
    };
    context.out.show(&session, show::text)?;
    match session.state {
        SessionState::Ready => Ok(()),
        _ => Err(not_all_run(&session)),
    }
}

async fn launch(context: &Context, room: &str) -> Result<Session, Failure> {
    let post = || async { context.client.call(Method::POST, &["rooms", room, "sessions"]).answer().await };
    match post().await {
        Err(failure) if failure.exit() == Exit::NotFound => {
            let made = room::create(&context.client, room, true).await?;
            if !context.out.is_json() {
                note(&format!("Room {} made ({}).", made.name, made.id));
            }
            post().await
        }
        launched => launched,
    }
}

fn what_next(session: &Session) -> String {
    let Session { id, room_name, .. } = session;
    format!(
        "Session {id} of room {room_name} was launched.\n\
         \n  \
           meshkeep session show {id}          its services and their states\n  \
           meshkeep session logs {id} SERVICE  what one wrote\n  \
           meshkeep session terminate {id}     end it"
    )
}

/// Nothing is on its way any more.
fn is_settled(session: &Session) -> bool {
    let on_its_way = |workload: &Workload| {
        matches!(workload.state.as_str(), "pending" | "pulling" | "starting" | "running") && workload.restarts == 0
    };
    !session.is_active || !session.workloads.iter().flatten().any(on_its_way)
}

fn not_all_run(session: &Session) -> Failure {
    let bad =
        |workload: &&Workload| !matches!(workload.state.as_str(), "ready" | "exited") || workload.reason.is_some();
    let names: Vec<_> =
        session.workloads.iter().flatten().filter(bad).map(|workload| workload.service_name.as_str()).collect();
    let which = if names.is_empty() { "a service does not run".to_owned() } else { names.join(", ") };
    Failure::new(Exit::Degraded, format!("session {}: not everything runs: {which}", session.id))
        .hint("each reason stands above; `meshkeep session restart` tries one again")
}
