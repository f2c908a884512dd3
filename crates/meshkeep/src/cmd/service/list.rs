//! `meshkeep service list`.

use std::collections::BTreeMap;

use meshkeep_core::{
    manifest::named_pull_secrets,
    service::ServiceSpec,
    wire::{SecretList, ServiceList},
};

use super::ScopeArgs;
use crate::{
    cmd::{Context, output::Table, resolve},
    failure::Failure,
};

/// `service list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    scope: ScopeArgs,
}

pub(super) async fn run(context: &Context, args: ListArgs) -> Result<(), Failure> {
    let list: ServiceList = context.client.get(&resolve::services(args.scope.room())).await?;
    let names = if context.out.is_json() { BTreeMap::new() } else { names_of_secrets(context, &list).await };
    context.out.show(&list, |list| {
        let head = ["NAME", "IMAGE", "SECRETS", "PULL SECRET", "ID"];
        let mut table = Table::new(head, "There are no services yet; `meshkeep service create --file F` makes one.");
        for spec in &list.services {
            table.row(row(spec, &names));
        }
        table.to_string()
    })
}

fn row(spec: &ServiceSpec, names: &BTreeMap<String, String>) -> [String; 5] {
    let named = |id: &str| names.get(id).map_or(id, String::as_str).to_owned();
    let container = spec.container.as_ref();
    let external = spec.external.as_ref().map(|external| external.url.clone());
    [
        spec.metadata.name.clone(),
        container.map(|container| container.image.clone()).or(external).unwrap_or_default(),
        container.map(|c| c.secrets.iter().map(|id| named(id)).collect::<Vec<_>>().join(", ")).unwrap_or_default(),
        named_pull_secrets(spec).map(named).collect::<Vec<_>>().join(", "),
        spec.id.clone().unwrap_or_default(),
    ]
}

/// Ids stand in the table where the caller may not see names.
async fn names_of_secrets(context: &Context, list: &ServiceList) -> BTreeMap<String, String> {
    let binds =
        |spec: &ServiceSpec| spec.container.as_ref().is_some_and(|c| !c.secrets.is_empty() || c.pull_secret.is_some());
    if !list.services.iter().any(binds) {
        return BTreeMap::new();
    }
    let secrets: Result<SecretList, Failure> = context.client.get(&["secrets"]).await;
    let secrets = secrets.map(|list| list.secrets).unwrap_or_default();
    secrets.into_iter().map(|secret| (secret.id.to_string(), secret.name.to_string())).collect()
}
