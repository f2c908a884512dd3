//! `meshkeep session …`: launch a room's services, look at them, end them.

mod events;
mod launch;
mod list;
mod logs;
mod restart;
mod show;
mod terminate;
mod watch;

use super::Context;
use crate::failure::Failure;

/// What can be done with sessions.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Launch a room's session; the running one is shown when there is one
    Launch(launch::LaunchArgs),
    /// Sessions that run
    List(list::ListArgs),
    /// One session with its services
    Show(show::ShowArgs),
    /// What a service wrote
    Logs(logs::LogsArgs),
    /// What happened in a session, oldest first
    Events(events::EventsArgs),
    /// Restart one service, with the newest versions of its secrets
    Restart(restart::RestartArgs),
    /// End sessions and their services
    Terminate(terminate::TerminateArgs),
}

/// Does it.
pub async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Launch(args) => launch::run(context, args).await,
        Verb::List(args) => list::run(context, args).await,
        Verb::Show(args) => show::run(context, args).await,
        Verb::Logs(args) => logs::run(context, args).await,
        Verb::Events(args) => events::run(context, args).await,
        Verb::Restart(args) => restart::run(context, args).await,
        Verb::Terminate(args) => terminate::run(context, args).await,
    }
}
