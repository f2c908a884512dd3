//! The command line: one noun, one directory; one verb, one file.
//!
//! What must stay true: values never come from arguments; every verb prints a text for people and, with `--json`, one
//! JSON document; every refusal is one line with an exit code by kind.

mod audit;
mod input;
mod key;
mod output;
mod resolve;
mod room;
mod secret;
mod service;
mod session;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    backup::{self, BackupArgs, RestoreArgs},
    client::Client,
    config::{ClientArgs, ClientConfig, ClientEnvironment},
    doctor::{self, DoctorArgs},
    failure::{EXIT_CODES, Failure},
    init::{self, InitArgs},
    root_key,
    serve::{self, ServeArgs},
    studio_link::{self, StudioLinkArgs},
};
pub use input::Terminal;
use output::Out;
pub use output::write;

const ABOUT: &str = "Runs containerised services in sessions and gives each service exactly its own secrets";

const ENVIRONMENT: &str = "\
Environment:
  MESHAGENT_API_URL     the server [default: http://127.0.0.1:4680]
  MESHAGENT_API_KEY     the key to sign in with (else MESHAGENT_TOKEN)
  MESHAGENT_PROJECT_ID  the project's id [default: the key's own]
  SSL_CERT_FILE         certificates to trust, PEM, for a server with a private CA

Wherever an id is asked for, a name will do. Values never come from arguments: they come from a
prompt, a file or standard input.";

/// The whole command line.
#[derive(Debug, clap::Parser)]
#[command(name = "meshkeep", version, about = ABOUT, arg_required_else_help = true)]
#[command(after_help = format!("{ENVIRONMENT}\n\n{EXIT_CODES}"))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Init(InitArgs),
    Serve(Box<ServeArgs>),
    StudioLink(StudioLinkArgs),
    Doctor(DoctorArgs),
    Backup(BackupArgs),
    Restore(RestoreArgs),
    /// The root key, which unlocks everything else
    #[command(subcommand, arg_required_else_help = true)]
    RootKey(root_key::Verb),
    /// Secret keys (variables of services) and pull secrets (registry credentials)
    #[command(arg_required_else_help = true)]
    Secret(Noun<secret::Verb>),
    /// Services: what runs, from which image, with which secrets
    #[command(arg_required_else_help = true)]
    Service(Noun<service::Verb>),
    /// Rooms: named workspaces in which sessions run
    #[command(arg_required_else_help = true, visible_alias = "rooms")]
    Room(Noun<room::Verb>),
    /// Sessions: launch a room's services, look at them, end them
    #[command(arg_required_else_help = true)]
    Session(Noun<session::Verb>),
    /// API keys of the project
    #[command(arg_required_else_help = true, visible_alias = "api-key")]
    Key(Noun<key::Verb>),
    /// The audit: who did what, to what, from where
    #[command(arg_required_else_help = true)]
    Audit(Noun<audit::Verb>),
}

/// A noun's verbs, and what each of them takes.
#[derive(Debug, clap::Args)]
struct Noun<V: clap::Subcommand> {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: V,
}

/// What a verb works with.
#[derive(Debug)]
struct Context {
    client: Client,
    out: Out,
}

/// Reads the arguments of this process and does what they say.
#[must_use]
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Init(args) => init::run(&args),
        Command::Serve(args) => serve::run(*args),
        Command::StudioLink(args) => studio_link::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => backup::run_restore(&args),
        Command::RootKey(verb) => root_key::run(&verb),
        Command::Secret(Noun { client, verb }) => as_client(&client, async |context| secret::run(context, verb).await),
        Command::Service(Noun { client, verb }) => {
            as_client(&client, async |context| service::run(context, verb).await)
        }
        Command::Room(Noun { client, verb }) => as_client(&client, async |context| room::run(context, verb).await),
        Command::Session(Noun { client, verb }) => {
            as_client(&client, async |context| session::run(context, verb).await)
        }
        Command::Key(Noun { client, verb }) => as_client(&client, async |context| key::run(context, verb).await),
        Command::Audit(Noun { client, verb }) => as_client(&client, async |context| audit::run(context, verb).await),
    }
}

fn as_client(args: &ClientArgs, verb: impl AsyncFnOnce(&Context) -> Result<(), Failure>) -> ExitCode {
    let done = || {
        // Values pass through this process: nobody else may read its memory.
        serve::harden().map_err(|error| Failure::host("the process could not be hardened", &error))?;
        let config = ClientConfig::load(args, ClientEnvironment::read())?;
        let context = Context { client: Client::new(&config)?, out: Out::new(args.json) };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::host("cannot start", &error))?;
        runtime.block_on(verb(&context))
    };
    match done() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
