//! `meshkeep secret list`.

use meshkeep_core::{
    secret::SecretKind,
    wire::{DeletedSecretList, SecretItem, SecretList},
};
use reqwest::Method;

use crate::{
    cmd::{
        Context,
        output::{Table, age},
    },
    failure::Failure,
};

/// `secret list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Those that were deleted and can still be restored
    #[arg(long)]
    deleted: bool,
}

pub(super) async fn run(context: &Context, args: ListArgs) -> Result<(), Failure> {
    if args.deleted { deleted(context).await } else { all(context).await }
}

async fn deleted(context: &Context) -> Result<(), Failure> {
    let list: DeletedSecretList = context.client.get(&["deleted-secrets"]).await?;
    context.out.show(&list, |list| {
        let head = ["NAME", "KIND", "VERSION", "DELETED", "BY", "KEPT UNTIL", "ID"];
        let mut table = Table::new(head, "No secret is deleted.");
        for secret in &list.secrets {
            table.row([
                secret.name.to_string(),
                secret.kind.as_str().to_owned(),
                secret.version.to_string(),
                age(secret.deleted_at),
                secret.deleted_by.clone(),
                secret.kept_until.to_string(),
                secret.id.to_string(),
            ]);
        }
        table.to_string()
    })
}

async fn all(context: &Context) -> Result<(), Failure> {
    let list: SecretList = context.client.call(Method::GET, &["secrets"]).query("detail", "true").answer().await?;
    context.out.show(&list, |list| {
        let head = ["NAME", "KIND", "HOLDS", "VERSION", "SAVED", "USED BY", "ID"];
        let mut table = Table::new(head, "There are no secrets yet; `meshkeep secret keys create` makes one.");
        for secret in &list.secrets {
            let detail = secret.detail.as_ref();
            table.row([
                secret.name.to_string(),
                secret.kind.as_str().to_owned(),
                if detail.is_some_and(|detail| detail.damaged) { "(damaged)".to_owned() } else { holds(secret) },
                detail.map(|detail| detail.version.to_string()).unwrap_or_default(),
                detail.map(|detail| age(detail.updated_at)).unwrap_or_default(),
                detail.map(|detail| detail.used_by.join(", ")).unwrap_or_default(),
                secret.id.to_string(),
            ]);
        }
        table.to_string()
    })
}

/// What is in it, without values: entry names, or whose credential it is.
pub(super) fn holds(secret: &SecretItem) -> String {
    match secret.kind {
        SecretKind::Keys => secret.data.keys().cloned().collect::<Vec<_>>().join(", "),
        SecretKind::Docker => {
            let member = |name: &str| secret.data.get(name).map_or("?", String::as_str);
            format!("{} at {}", member("username"), member("server"))
        }
    }
}
