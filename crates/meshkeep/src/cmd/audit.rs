//! `meshkeep audit …`: read it, follow its chain, take it elsewhere.

use meshkeep_core::wire::{AuditList, AuditRow, AuditVerified};
use reqwest::Method;

use super::{
    Context,
    output::{self, Table},
};
use crate::failure::{Exit, Failure};

/// Rows that are asked for at once while all are exported.
const PAGE: &str = "1000";

/// What can be done with the audit.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// The newest rows
    List {
        /// Only rows after this place, from there on
        #[arg(long, value_name = "SEQ")]
        after: Option<i64>,

        /// How many
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },
    /// Follow the chain over all rows; names the first that does not fit
    Verify,
    /// All rows of the project, one JSON document a line
    Export {
        /// Only rows after this place
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after: i64,
    },
}

/// Does it.
pub async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List { after, limit } => list(context, after, limit).await,
        Verb::Verify => verify(context).await,
        Verb::Export { after } => export(context, after).await,
    }
}

async fn list(context: &Context, after: Option<i64>, limit: u32) -> Result<(), Failure> {
    let mut call = context.client.call(Method::GET, &["audit"]).query("limit", &limit.to_string());
    if let Some(after) = after {
        call = call.query("after", &after.to_string());
    }
    let list: AuditList = call.answer().await?;
    context.out.show(&list, |list| {
        let head = ["SEQ", "AT", "WHO", "WHAT", "ON", "OUTCOME", "FROM"];
        let mut table = Table::new(head, "There is no such row.");
        for AuditRow { seq, at, actor, action, object, origin, outcome } in list.rows.clone() {
            table.row([seq.to_string(), at.to_string(), actor, action, object, outcome, origin]);
        }
        table.to_string()
    })
}

async fn verify(context: &Context) -> Result<(), Failure> {
    let verified: AuditVerified = context.client.get(&["audit", "verify"]).await?;
    let sentence = match verified.first_wrong {
        None => "Every row of the audit fits the one before it.".to_owned(),
        Some(seq) => format!("Row {seq} of the audit does not fit the rows before it."),
    };
    context.out.show(&verified, |_| sentence.clone())?;
    match verified.first_wrong {
        None => Ok(()),
        Some(seq) => Err(Failure::new(Exit::State, format!("the audit was changed at row {seq} or just before it"))
            .hint("compare it with what was exported before")),
    }
}

async fn export(context: &Context, mut after: i64) -> Result<(), Failure> {
    loop {
        let call = context.client.call(Method::GET, &["audit"]).query("limit", PAGE);
        let list: AuditList = call.query("after", &after.to_string()).answer().await?;
        let Some(last) = list.rows.last() else { return Ok(()) };
        after = last.seq;
        let mut lines = Vec::new();
        for row in &list.rows {
            serde_json::to_writer(&mut lines, row)
                .map_err(|_| Failure::new(Exit::Broken, "a row could not be written as JSON"))?;
            lines.push(b'\n');
        }
        output::write(&lines)?;
    }
}
