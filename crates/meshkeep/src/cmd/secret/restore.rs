//! `meshkeep secret restore`.

use meshkeep_core::{
    id::SecretId,
    wire::{DeletedSecretList, SecretItem, SecretRestore},
};
use reqwest::Method;

use crate::{
    client::Client,
    cmd::Context,
    failure::{Exit, Failure},
};

/// `secret restore`.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// The name that it had, or its id
    #[arg(value_name = "SECRET")]
    secret: String,

    /// Call it by another name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

pub(super) async fn run(context: &Context, args: RestoreArgs) -> Result<(), Failure> {
    let id = deleted_id(&context.client, &args.secret).await?.to_string();
    let call = context.client.call(Method::POST, &["deleted-secrets", &id, "restore"]);
    let item: SecretItem = call.body(&SecretRestore { name: args.name })?.answer().await?;
    context.out.show(&item, |item| format!("Secret {} restored ({}).", item.name, item.id))
}

/// The newest deleted one of this name.
async fn deleted_id(client: &Client, text: &str) -> Result<SecretId, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let list: DeletedSecretList = client.get(&["deleted-secrets"]).await?;
    let found = list.secrets.into_iter().find(|secret| secret.name.as_str() == text);
    found.map(|secret| secret.id).ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("no deleted secret is called {text}"))
            .hint("`meshkeep secret list --deleted` shows what can be restored")
    })
}
