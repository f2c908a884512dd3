//! `meshkeep service …`: manifests of a project, and with `--room` of one room.

mod create;
mod delete;
mod environment;
mod list;
mod pin;
mod restart;
mod show;
mod update;
mod validate;

use meshkeep_core::{
    secret::{SHORTEST_REDACTED, is_secret_like},
    service::ServiceSpec,
};

use super::{Context, output};
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
    /// The names in its environment: where each comes from and what it hides
    Environment(environment::EnvironmentArgs),
    /// Keep it at the image that its tag names now
    Pin(pin::PinArgs),
    /// Let it follow its image's tag again
    Unpin(pin::PinArgs),
    /// Restart it in all its running sessions, one after the other, with the newest versions
    Restart(restart::RestartArgs),
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

/// Says what a person should know of the values that are sealed for their secret-like names.
fn note_short_values(spec: &ServiceSpec) {
    for entry in spec.container.iter().flat_map(|container| &container.environment) {
        let is_short = entry.value.as_ref().is_some_and(|value| value.len() < SHORTEST_REDACTED);
        if is_short && is_secret_like(&entry.name) {
            let name = &entry.name;
            output::note(&format!(
                "Note: `{name}` is under {SHORTEST_REDACTED} bytes and will not be redacted from logs"
            ));
        }
    }
}

/// Does it.
pub async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Create(args) => create::run(context, args).await,
        Verb::Update(args) => update::run(context, args).await,
        Verb::List(args) => list::run(context, args).await,
        Verb::Show(args) => show::run(context, args).await,
        Verb::Environment(args) => environment::run(context, args).await,
        Verb::Pin(args) => pin::run(context, args, "pin").await,
        Verb::Unpin(args) => pin::run(context, args, "unpin").await,
        Verb::Restart(args) => restart::run(context, args).await,
        Verb::Delete(args) => delete::run(context, args).await,
        Verb::Validate(args) => validate::run(context, &args),
    }
}
