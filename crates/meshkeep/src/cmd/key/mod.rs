//! `meshkeep key …`: a key's value is shown once, when it is made.

use meshkeep_core::{
    access::Role,
    wire::{ApiKeyCreate, ApiKeyCreated, ApiKeyList},
};
use reqwest::Method;

use super::{
    Context,
    output::{Table, age},
    resolve,
};
use crate::failure::Failure;

/// What can be done with API keys.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Make a key; its value is shown this once
    Create(CreateArgs),
    /// All keys, without their values
    List,
    /// Delete a key; tokens that it signed end with it
    Delete {
        /// Its id or name
        #[arg(value_name = "KEY")]
        key: String,
    },
}

/// `key create`.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// What it is called
    #[arg(value_name = "NAME")]
    name: String,

    /// A line for people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// What its holder may do: never more than you may [default: as you]
    #[arg(long, value_name = "ROLE", value_parser = ["admin", "developer", "member"])]
    role: Option<String>,

    /// Its holder may bind secrets to services, and so can read them
    #[arg(long, conflicts_with = "no_bind")]
    bind: bool,

    /// Its holder may not bind secrets, nor change services that have some
    #[arg(long)]
    no_bind: bool,
}

/// Does it.
pub async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Create(args) => create(context, args).await,
        Verb::List => list(context).await,
        Verb::Delete { key } => {
            let id = resolve::key_id(&context.client, &key).await?.to_string();
            context.client.call(Method::DELETE, &["api-keys", &id]).done().await?;
            context.out.did("deleted", &id, &format!("Key {id} deleted; whoever holds it is locked out."))
        }
    }
}

async fn create(context: &Context, args: CreateArgs) -> Result<(), Failure> {
    let bind = (args.bind || args.no_bind).then_some(args.bind);
    let role = args.role.as_deref().and_then(Role::from_word);
    let wanted = ApiKeyCreate { name: args.name, description: args.description, role, bind };
    let made: ApiKeyCreated = context.client.call(Method::POST, &["api-keys"]).body(&wanted)?.answer().await?;
    context.out.show(&made, |made| {
        let bind = if made.bind { "may bind secrets" } else { "may not bind secrets" };
        format!(
            "Key {} made ({}): {}, {bind}. Its value, shown this once:\n\n    {}",
            made.name,
            made.id,
            made.role,
            made.value.expose()
        )
    })
}

async fn list(context: &Context) -> Result<(), Failure> {
    let list: ApiKeyList = context.client.get(&["api-keys"]).await?;
    context.out.show(&list, |list| {
        let mut table = Table::new(["NAME", "ROLE", "BINDS", "MADE", "ID", "DESCRIPTION"], "There are no keys.");
        for key in &list.keys {
            table.row([
                key.name.clone(),
                key.role.to_string(),
                if key.bind { "yes" } else { "no" }.to_owned(),
                age(key.created_at),
                key.id.to_string(),
                key.description.clone(),
            ]);
        }
        table.to_string()
    })
}
