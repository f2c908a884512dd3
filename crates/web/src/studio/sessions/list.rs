//! Running and recent sessions, and the launch of a new one.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use meshkeep_core::{Refusal, RefusalKind, access::Action, wire};
use serde::Deserialize;

use crate::{
    error::ApiError,
    extract::Query,
    studio::{
        frame::{Frame, Page, Section, see},
        post::Post,
        text::{Paging, ROWS, class, moment},
        visit::Visit,
    },
};

#[derive(Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    from: usize,
    /// A room to launch in, already chosen.
    #[serde(default)]
    room: String,
}

#[derive(Template)]
#[template(path = "sessions.html")]
pub(super) struct Sessions {
    frame: Frame,
    may_run: bool,
    active: Vec<wire::Session>,
    recent: Vec<wire::Session>,
    paging: Paging,
    rooms: Vec<String>,
    room: String,
    refusal: Option<Refusal>,
}

impl Sessions {
    fn is_chosen(&self, room: &str) -> bool {
        self.room == room
    }
}

pub(super) async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Page<Sessions>, ApiError> {
    page(&visit, asked, None).await.map(Page)
}

pub(super) async fn launch(visit: Visit, Post(fields): Post) -> Result<Response, ApiError> {
    // A new room's name counts before the choice of one.
    let typed = fields.one("new_room").unwrap_or_default().trim();
    let room = if typed.is_empty() { fields.one("room").unwrap_or_default() } else { typed };
    match launched(&visit, room, !typed.is_empty()).await {
        Ok(session) => Ok(see(&visit.session_path(session.id))),
        Err(refusal) if refusal.kind == RefusalKind::Invalid => {
            let asked = Asked { room: room.to_owned(), ..Asked::default() };
            Ok((StatusCode::BAD_REQUEST, Page(page(&visit, asked, Some(refusal)).await?)).into_response())
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// The room's session. A room that is named anew is made.
async fn launched(visit: &Visit, room: &str, is_new: bool) -> Result<wire::Session, Refusal> {
    if room.is_empty() {
        return Err(Refusal::invalid("room", "is not chosen, and no new one is named"));
    }
    let name = room.parse().map_err(|why| Refusal::invalid("room", why))?;
    if is_new {
        let wanted = wire::RoomCreate { name: room.to_owned(), if_not_exists: true, ..wire::RoomCreate::default() };
        visit.control.create_room(&visit.caller, visit.project, wanted).await?;
    }
    visit.control.launch_session(&visit.caller, visit.project, name).await.map(|(session, _)| session)
}

async fn page(visit: &Visit, asked: Asked, refusal: Option<Refusal>) -> Result<Sessions, ApiError> {
    let all = visit.control.list_sessions(&visit.caller, visit.project, false).await?.sessions;
    let (active, ended): (Vec<_>, Vec<_>) = all.into_iter().partition(|session| session.is_active);
    let paging = Paging { query: String::new(), from: asked.from, total: ended.len() };
    let recent = ended.into_iter().skip(asked.from).take(ROWS).collect();
    let rooms = visit.control.list_rooms(&visit.caller, visit.project, 500, 0).await?.rooms;
    Ok(Sessions {
        frame: visit.frame(Section::Sessions, "Sessions"),
        may_run: visit.caller.may(visit.project, Action::RunSessions).is_ok(),
        active,
        recent,
        paging,
        rooms: rooms.into_iter().map(|room| room.name).collect(),
        room: asked.room,
        refusal,
    })
}
