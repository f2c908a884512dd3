//! `meshkeep secret show`: one secret; with `--reveal` its values, to an admin, audited.

use std::fmt::Write as _;

use meshkeep_core::{
    secret::SecretKind,
    wire::{SecretItem, SecretRevealed},
};
use reqwest::Method;

use super::noun;
use crate::{
    cmd::{Context, output::ago, resolve},
    failure::Failure,
};

/// `secret show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Its name or id
    #[arg(value_name = "SECRET")]
    secret: String,

    /// Print the values, as .env text; admins only, and the audit records it
    #[arg(long)]
    reveal: bool,
}

pub(super) async fn run(context: &Context, args: ShowArgs) -> Result<(), Failure> {
    let id = resolve::secret_id(&context.client, &args.secret).await?.to_string();
    if args.reveal {
        let call = context.client.call(Method::GET, &["secrets", &id]).query("reveal", "true");
        let revealed: SecretRevealed = call.answer().await?;
        return context.out.show(&revealed, as_dotenv);
    }
    let secret: SecretItem = context.client.get(&["secrets", &id]).await?;
    context.out.show(&secret, text)
}

fn text(secret: &SecretItem) -> String {
    let mut text = format!("{} {} ({})\n", noun(secret.kind), secret.name, secret.id);
    if let Some(detail) = &secret.detail {
        let by = &detail.updated_by;
        let _ = writeln!(text, "Version {}, saved {} by {by}.", detail.version, ago(detail.updated_at));
        let users = if detail.used_by.is_empty() { "no service".to_owned() } else { detail.used_by.join(", ") };
        let _ = writeln!(text, "Used by: {users}");
    }
    for (name, shown) in &secret.data {
        let _ = match secret.kind {
            SecretKind::Keys => writeln!(text, "  {name}"),
            SecretKind::Docker => writeln!(text, "  {name}: {shown}"),
        };
    }
    text
}

/// Text that `--from-env-file` reads back, value for value.
fn as_dotenv(secret: &SecretRevealed) -> String {
    let mut text = String::new();
    for (name, value) in &secret.data {
        let value = value.expose();
        let _ = if value.contains('\'') {
            writeln!(text, "{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
        } else {
            writeln!(text, "{name}='{value}'")
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use meshkeep_core::{SecretText, dotenv};

    use super::*;

    #[test]
    fn what_is_revealed_can_be_read_back() {
        let values = ["", "plain", "it's", "a\n\\\"b'\n", " $HOME # x ", "\\", "'\\"];
        let data = (0..).zip(values).map(|(n, v)| (format!("V{n}").parse().unwrap(), SecretText::from(v))).collect();
        let (id, name) = ("0198c2f4-7b1e-7c3a-9d55-2f6f0a1b2c3d".parse().unwrap(), "s".parse().unwrap());
        let text = as_dotenv(&SecretRevealed { id, name, kind: SecretKind::Keys, version: 1, data });
        let read: Vec<_> = dotenv::parse(&text).unwrap().iter().map(|e| e.value.expose().to_owned()).collect();
        assert_eq!(read, values);
    }
}
