//! `meshkeep service restart`: in all its running sessions, one after the other.

use std::time::Duration;

use meshkeep_core::wire::{RestartOutcome, RestartState, RestartStep, RollingRestart};
use reqwest::Method;
use tokio::time::sleep;

use super::ScopeArgs;
use crate::{
    cmd::{Context, output, resolve},
    failure::{Exit, Failure},
};

/// How often the server is asked.
const EVERY: Duration = Duration::from_millis(300);

/// `service restart`.
#[derive(Debug, clap::Args)]
pub struct RestartArgs {
    /// Its id or name
    #[arg(value_name = "SERVICE")]
    service: String,

    #[command(flatten)]
    scope: ScopeArgs,

    /// Begin it and do not wait for its end
    #[arg(long, conflicts_with = "status")]
    no_wait: bool,

    /// Begin none; show how far the newest one is
    #[arg(long)]
    status: bool,
}

pub(super) async fn run(context: &Context, args: RestartArgs) -> Result<(), Failure> {
    let room = args.scope.room();
    let id = resolve::service_id(&context.client, room, &args.service).await?.to_string();
    let mut path = resolve::services(room);
    path.extend([id.as_str(), "restart"]);
    let method = if args.status { Method::GET } else { Method::POST };
    let mut restart: RollingRestart = context.client.call(method, &path).answer().await?;
    if args.status || args.no_wait {
        return context.out.show(&restart, text);
    }
    let mut told = 0;
    loop {
        told += tell(context, &restart, told);
        if restart.state != RestartState::Running {
            break;
        }
        sleep(EVERY).await;
        restart = context.client.get(&path).await?;
    }
    if context.out.is_json() {
        context.out.show(&restart, text)?;
    } else {
        output::write(format!("{}\n", summary(&restart)).as_bytes())?;
    }
    match restart.state {
        RestartState::Stopped => Err(Failure::new(Exit::Degraded, "the restart stopped").hint(restart.hint)),
        RestartState::Running | RestartState::Done => Ok(()),
    }
}

/// Prints the sessions that came to something since `told` of them had; how many those were.
fn tell(context: &Context, restart: &RollingRestart, told: usize) -> usize {
    let is_over = |step: &&RestartStep| !matches!(step.outcome, RestartOutcome::Pending | RestartOutcome::Restarting);
    let over: Vec<_> = restart.sessions.iter().take_while(is_over).skip(told).collect();
    if !context.out.is_json() {
        over.iter().for_each(|step| output::note(&line(step)));
    }
    over.len()
}

fn line(step: &RestartStep) -> String {
    let mut line = format!("{}: {}", step.room_name, step.outcome);
    if let Some(reason) = &step.reason {
        line.push_str(&format!(", {}", reason.message));
    }
    line
}

fn summary(restart: &RollingRestart) -> String {
    let count = |outcome| restart.sessions.iter().filter(|step| step.outcome == outcome).count();
    let of = restart.sessions.len();
    match restart.state {
        _ if of == 0 => format!("No running session has {}.", restart.service_name),
        RestartState::Running => format!("{} of {of} sessions are ready.", count(RestartOutcome::Ready)),
        RestartState::Done => {
            format!("{} is ready in {} of {of} sessions.", restart.service_name, count(RestartOutcome::Ready))
        }
        RestartState::Stopped => format!(
            "Stopped: {} of {of} sessions are ready, {} left alone.",
            count(RestartOutcome::Ready),
            count(RestartOutcome::Skipped)
        ),
    }
}

fn text(restart: &RollingRestart) -> String {
    let mut text =
        format!("Rolling restart of {}, begun by {}: {}\n", restart.service_name, restart.started_by, restart.state);
    for step in &restart.sessions {
        text.push_str(&format!("  {}\n", line(step)));
    }
    text + &summary(restart)
}
