//! `meshkeep secret list`.

use meshkeep_core::{
    secret::SecretKind,
    wire::{SecretItem, SecretList},
};
use reqwest::Method;

use crate::{
    cmd::{
        Context,
        output::{Table, age},
    },
    failure::Failure,
};

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let list: SecretList = context.client.call(Method::GET, &["secrets"]).query("detail", "true").answer().await?;
    context.out.show(&list, |list| {
        let head = ["NAME", "KIND", "HOLDS", "VERSION", "SAVED", "USED BY", "ID"];
        let mut table = Table::new(head, "There are no secrets yet; `meshkeep secret keys create` makes one.");
        for secret in &list.secrets {
            let detail = secret.detail.as_ref();
            table.row([
                secret.name.to_string(),
                secret.kind.as_str().to_owned(),
                holds(secret),
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
