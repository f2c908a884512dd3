//! `meshkeep room …`.

use meshkeep_core::wire::{Room, RoomCreate, RoomList};
use reqwest::Method;

use super::{Context, output::Table, resolve};
use crate::{client::Client, failure::Failure};

/// What can be done with rooms.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Make a room
    Create {
        /// What it is called: a-z, 0-9 and `-`
        #[arg(value_name = "NAME")]
        name: String,
        /// Show the room that is there already, instead of refusing
        #[arg(long)]
        if_not_exists: bool,
    },
    /// All rooms
    List,
    /// One room
    #[command(visible_alias = "get")]
    Show {
        /// Its name or id
        #[arg(value_name = "ROOM")]
        room: String,
    },
    /// Delete a room with its services
    Delete {
        /// Its name or id
        #[arg(value_name = "ROOM")]
        room: String,
    },
}

/// Does it.
pub async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Create { name, if_not_exists } => {
            let made = create(&context.client, &name, if_not_exists).await?;
            context.out.show(&made, |room| format!("Room {} ({})", room.name, room.id))
        }
        Verb::List => list(context).await,
        Verb::Show { room } => {
            let room = resolve::room(&context.client, &room).await?;
            context.out.show(&room, text)
        }
        Verb::Delete { room } => {
            let Room { id, name, .. } = resolve::room(&context.client, &room).await?;
            let id = id.to_string();
            context.client.call(Method::DELETE, &["rooms", &id]).done().await?;
            context.out.did("deleted", &id, &format!("Room {name} deleted."))
        }
    }
}

/// Makes a room.
pub async fn create(client: &Client, name: &str, if_not_exists: bool) -> Result<Room, Failure> {
    let wanted = RoomCreate { name: name.to_owned(), if_not_exists, ..RoomCreate::default() };
    client.call(Method::POST, &["rooms"]).body(&wanted)?.answer().await
}

async fn list(context: &Context) -> Result<(), Failure> {
    let list = RoomList { rooms: resolve::rooms(&context.client).await? };
    context.out.show(&list, |list| {
        let mut table = Table::new(["NAME", "ID"], "There are no rooms yet; `meshkeep session launch` makes one.");
        for room in &list.rooms {
            table.row([room.name.clone(), room.id.to_string()]);
        }
        table.to_string()
    })
}

fn text(room: &Room) -> String {
    let mut lines = vec![format!("Room {} ({})", room.name, room.id)];
    lines.extend(room.annotations.iter().map(|(name, value)| format!("  {name}: {value}")));
    lines.extend(room.metadata.iter().map(|(name, value)| format!("  {name}: {value}")));
    lines.join("\n")
}
