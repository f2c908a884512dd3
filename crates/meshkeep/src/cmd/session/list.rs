//! `meshkeep session list`.

use meshkeep_core::wire::SessionList;

use super::show::state_word;
use crate::{
    cmd::{
        Context,
        output::{Table, age},
    },
    failure::Failure,
};

/// `session list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Also the ones that have ended lately
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(context: &Context, args: ListArgs) -> Result<(), Failure> {
    let path: &[&str] = if args.all { &["sessions"] } else { &["sessions", "active"] };
    let list: SessionList = context.client.get(path).await?;
    context.out.show(&list, |list| {
        let head = ["ROOM", "STATE", "LAUNCHED", "ENDED", "ID"];
        let mut table = Table::new(head, "No session runs; `meshkeep session launch ROOM` launches one.");
        for session in &list.sessions {
            table.row([
                session.room_name.clone(),
                state_word(session.state).to_owned(),
                age(session.created_at),
                session.ended_at.map(age).unwrap_or_default(),
                session.id.to_string(),
            ]);
        }
        table.to_string()
    })
}
