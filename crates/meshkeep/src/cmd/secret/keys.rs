//! `meshkeep secret keys create|update`.

use clap::Args;
use meshkeep_core::wire::{SecretPatch, SecretSaved, SecretWrite};
use reqwest::Method;

use super::{ChangeArgs, show_saved};
use crate::{
    cmd::{
        Context,
        input::{EntryArgs, SaidEntries},
        resolve,
    },
    failure::Failure,
};

const GRAMMAR: &str = "\
A .env file has one entry per line:
  NAME=value            to the line's end, or to a blank and `#`; without blanks at its end
  NAME='value'          literal, may span lines
  NAME=\"value\"          may span lines; \\n \\r \\t \\\\ \\\" \\' \\$ are escapes
  export NAME=value     the same
  # a comment
Values are never interpolated: `$` is a dollar sign. A name may stand once.";

/// What can be done with secret keys.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Make a secret key
    #[command(after_help = GRAMMAR)]
    Create(CreateArgs),
    /// Change entries of a secret key; the others stay as they are
    Update(UpdateArgs),
}

/// `secret keys create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// What it is called, unique in the project
    #[arg(value_name = "NAME", required_unless_present = "name")]
    first: Option<String>,

    /// Entries to be asked for on the terminal
    #[arg(value_name = "ENTRY")]
    asked: Vec<String>,

    /// The public client's spelling of NAME
    #[arg(long, hide = true)]
    name: Option<String>,

    #[command(flatten)]
    entries: EntryArgs,
}

/// `secret keys update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Its name or id
    #[arg(value_name = "SECRET", required_unless_present = "secret_id")]
    first: Option<String>,

    /// Entries to be asked for on the terminal
    #[arg(value_name = "ENTRY")]
    asked: Vec<String>,

    /// The public client's spelling of SECRET
    #[arg(long, hide = true)]
    secret_id: Option<String>,

    #[command(flatten)]
    entries: EntryArgs,

    /// Remove an entry; may be given several times
    #[arg(long, value_name = "ENTRY", conflicts_with = "replace")]
    unset: Vec<String>,

    /// Replace the whole set: entries that are not given are removed
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    change: ChangeArgs,
}

/// Does it.
pub async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let saved = match verb {
        Verb::Create(args) => create(context, args).await?,
        Verb::Update(args) => update(context, args).await?,
    };
    show_saved(context, &saved)
}

async fn create(context: &Context, args: CreateArgs) -> Result<SecretSaved, Failure> {
    let (name, asked) = object_and_asked(args.name, args.first, args.asked);
    let mut entries = args.entries.read(&asked)?;
    if entries.is_empty() {
        entries = EntryArgs::ask_for_all()?;
    }
    context.client.call(Method::POST, &["secrets"]).body(&write(name, entries))?.answer().await
}

async fn update(context: &Context, args: UpdateArgs) -> Result<SecretSaved, Failure> {
    let (text, asked) = object_and_asked(args.secret_id, args.first, args.asked);
    let mut entries = args.entries.read(&asked)?;
    let changes_nothing = entries.is_empty() && args.unset.is_empty() && args.change.name.is_none();
    if changes_nothing || (args.replace && entries.is_empty()) {
        entries = EntryArgs::ask_for_all()?;
    }
    let secret = resolve::secret(&context.client, &text).await?;
    let id = secret.id.to_string();
    let path = ["secrets", id.as_str()];
    let call = if args.replace {
        let name = args.change.name.unwrap_or_else(|| secret.name.to_string());
        context.client.call(Method::PUT, &path).body(&write(name, entries))?
    } else {
        let set = (!entries.is_empty()).then_some(entries);
        let patch = SecretPatch { name: args.change.name, set, unset: args.unset };
        context.client.call(Method::PATCH, &path).body(&patch)?
    };
    call.if_version(args.change.if_version).answer().await
}

fn write(name: String, entries: SaidEntries) -> SecretWrite {
    SecretWrite { id: None, name, kind: "keys".to_owned(), data: Some(entries), data_base64: None }
}

/// The object is the first word, unless an option names it: then all words are entries.
fn object_and_asked(option: Option<String>, first: Option<String>, mut asked: Vec<String>) -> (String, Vec<String>) {
    match option {
        Some(named) => {
            asked.splice(0..0, first);
            (named, asked)
        }
        // clap sees to it that one of them is there.
        None => (first.unwrap_or_default(), asked),
    }
}
