//! `meshkeep service …`: manifests of a project, and with `--room` of one room.

mod create;
mod delete;
mod list;
mod show;
mod update;
mod validate;

use super::Context;
use crate::failure::Failure;

/// What can be done with services.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Make a service from a manifest
    Create(create::CreateArgs),
    /// Replace a service's manifest; running sessions keep what they were launched with
    Update(update::UpdateArgs),
    /// All services
    List(list::ListArgs),
    /// A service's manifest, as YAML
    Show(show::ShowArgs),
    /// Delete a service
    Delete(delete::DeleteArgs),
    /// Check a manifest without sending it
    Validate(validate::ValidateArgs),
}

/// Whose services.
#[derive(Debug, clap::Args)]
struct ScopeArgs {
    /// The services of this room, instead of the project's that run in every room
    #[arg(long, value_name = "ROOM")]
    room: Option<String>,
}

impl ScopeArgs {
    fn room(&self) -> Option<&str> {
        self.room.as_deref()
    }
}

/// Does it.
pub async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Create(args) => create::run(context, args).await,
        Verb::Update(args) => update::run(context, args).await,
        Verb::List(args) => list::run(context, args).await,
        Verb::Show(args) => show::run(context, args).await,
        Verb::Delete(args) => delete::run(context, args).await,
        Verb::Validate(args) => validate::run(context, &args),
    }
}
