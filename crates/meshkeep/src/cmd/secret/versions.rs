//! `meshkeep secret versions` and `rollback`.

use meshkeep_core::wire::{SecretSaved, SecretVersions, VersionChanges};
use reqwest::Method;

use super::show_saved;
use crate::{
    cmd::{
        Context,
        output::{Table, age},
        resolve,
    },
    failure::Failure,
};

/// `secret versions`.
#[derive(Debug, clap::Args)]
pub struct VersionsArgs {
    /// Its name or id
    #[arg(value_name = "SECRET")]
    secret: String,
}

/// `secret rollback`.
#[derive(Debug, clap::Args)]
pub struct RollbackArgs {
    /// Its name or id
    #[arg(value_name = "SECRET")]
    secret: String,

    /// The version to save again
    #[arg(value_name = "VERSION")]
    version: u32,
}

pub(super) async fn list(context: &Context, args: VersionsArgs) -> Result<(), Failure> {
    let id = resolve::secret_id(&context.client, &args.secret).await?.to_string();
    let list: SecretVersions = context.client.get(&["secrets", &id, "versions"]).await?;
    context.out.show(&list, |list| {
        let mut table = Table::new(["VERSION", "SAVED", "BY", "CHANGES", "ENTRIES"], "There is no version.");
        for version in &list.versions {
            table.row([
                version.version.to_string(),
                age(version.created_at),
                version.created_by.clone(),
                version.changes.as_ref().map(changes).unwrap_or_default(),
                version.entries.join(", "),
            ]);
        }
        table.to_string()
    })
}

/// `+` what is new, `~` what has another value, `-` what is gone.
fn changes(changes: &VersionChanges) -> String {
    let VersionChanges { added, changed, removed } = changes;
    let signed = [("+", added), ("~", changed), ("-", removed)];
    let words = signed.iter().flat_map(|(sign, names)| names.iter().map(move |name| format!("{sign}{name}")));
    words.collect::<Vec<_>>().join(" ")
}

pub(super) async fn rollback(context: &Context, args: RollbackArgs) -> Result<(), Failure> {
    let id = resolve::secret_id(&context.client, &args.secret).await?.to_string();
    let wanted = serde_json::json!({ "version": args.version });
    let call = context.client.call(Method::POST, &["secrets", &id, "rollback"]).body(&wanted)?;
    let saved: SecretSaved = call.answer().await?;
    show_saved(context, &saved)
}
