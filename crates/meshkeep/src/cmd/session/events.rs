//! `meshkeep session events`.

use meshkeep_core::wire::EventList;

use crate::{
    cmd::{Context, output::Table, resolve},
    failure::Failure,
};

/// `session events`.
#[derive(Debug, clap::Args)]
pub struct EventsArgs {
    /// Its id, or the name of its room
    #[arg(value_name = "SESSION")]
    session: String,
}

pub(super) async fn run(context: &Context, args: EventsArgs) -> Result<(), Failure> {
    let id = resolve::session_id(&context.client, &args.session).await?.to_string();
    let list: EventList = context.client.get(&["sessions", &id, "events"]).await?;
    context.out.show(&list, |list| {
        let mut table = Table::new(["AT", "EVENT", "DATA"], "Nothing has happened yet.");
        for event in &list.events {
            table.row([event.at.to_string(), event.kind.clone(), event.data.to_string()]);
        }
        table.to_string()
    })
}
