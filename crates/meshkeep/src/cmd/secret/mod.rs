//! `meshkeep secret …`: secret keys and pull secrets, without their values but on the way in.

mod delete;
mod keys;
mod list;
mod pull;
mod restore;
mod show;
mod test;
mod versions;

use super::{Context, output};
use crate::failure::Failure;
use meshkeep_core::{secret::SecretKind, wire};

/// What can be done with secrets.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Secret keys: entries that become variables of the services they are bound to
    #[command(subcommand, arg_required_else_help = true)]
    Keys(keys::Verb),
    /// Pull secrets: the credential of any registry
    #[command(subcommand, arg_required_else_help = true)]
    Docker(pull::DockerVerb),
    /// Pull secrets of Azure Container Registry
    #[command(subcommand, arg_required_else_help = true)]
    Acr(pull::AcrVerb),
    /// Pull secrets of Google Artifact Registry, from a service account's JSON key
    #[command(subcommand, arg_required_else_help = true)]
    Gar(pull::GarVerb),
    /// All secrets of the project, without their values
    List(list::ListArgs),
    /// One secret: its entries, versions and who uses it
    Show(show::ShowArgs),
    /// Ask the registry whether a pull secret may pull an image
    Test(test::TestArgs),
    /// Delete a secret
    Delete(delete::DeleteArgs),
    /// Put a deleted secret back with all its versions
    Restore(restore::RestoreArgs),
    /// Every save of a secret, newest first
    Versions(versions::VersionsArgs),
    /// Save an older version again, as the newest
    Rollback(versions::RollbackArgs),
}

/// Does it.
pub async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Keys(verb) => keys::run(context, verb).await,
        Verb::Docker(verb) => pull::docker(context, verb).await,
        Verb::Acr(verb) => pull::acr(context, verb).await,
        Verb::Gar(verb) => pull::gar(context, verb).await,
        Verb::List(args) => list::run(context, args).await,
        Verb::Show(args) => show::run(context, args).await,
        Verb::Test(args) => test::run(context, args).await,
        Verb::Delete(args) => delete::run(context, args).await,
        Verb::Restore(args) => restore::run(context, args).await,
        Verb::Versions(args) => versions::list(context, args).await,
        Verb::Rollback(args) => versions::rollback(context, args).await,
    }
}

/// The name of a secret to be made, in both spellings.
#[derive(Debug, clap::Args)]
struct NewName {
    /// What it is called, unique in the project
    #[arg(value_name = "NAME", required_unless_present = "name_option")]
    name: Option<String>,

    /// The public client's spelling of NAME
    #[arg(long = "name", id = "name_option", hide = true, conflicts_with = "name")]
    name_option: Option<String>,
}

impl NewName {
    fn get(self) -> String {
        // clap sees to it that one of them is there.
        self.name.or(self.name_option).unwrap_or_default()
    }
}

/// A secret that is there, in both spellings.
#[derive(Debug, clap::Args)]
struct Existing {
    /// Its name or id
    #[arg(value_name = "SECRET", required_unless_present = "secret_id")]
    secret: Option<String>,

    /// The public client's spelling of SECRET
    #[arg(long, hide = true, conflicts_with = "secret")]
    secret_id: Option<String>,
}

impl Existing {
    fn get(self) -> String {
        // As above.
        self.secret.or(self.secret_id).unwrap_or_default()
    }
}

/// What every change of a secret may say.
#[derive(Debug, clap::Args)]
struct ChangeArgs {
    /// Call it by another name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Only when this is still the newest version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u32>,
}

/// The noun as people read it.
const fn noun(kind: SecretKind) -> &'static str {
    match kind {
        SecretKind::Keys => "Secret key",
        SecretKind::Docker => "Pull secret",
    }
}

/// Says what a save did, and when it applies.
fn show_saved(context: &Context, saved: &wire::SecretSaved) -> Result<(), Failure> {
    for warning in &saved.warnings {
        output::note(&format!("Note: {warning}"));
    }
    context.out.show(saved, |saved| {
        let wire::SecretSaved { id, name, version, applies, .. } = saved;
        format!("{} {name} saved as version {version} ({id}).\n{applies}", noun(saved.kind))
    })
}
