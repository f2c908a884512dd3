//! Rooms.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use meshkeep_core::{Refusal, RefusalKind, access::Action, id::RoomId, wire};
use serde::Deserialize;

use super::{
    frame::{Frame, Page, Section, see},
    pages::{PageNeeds, PageRoute},
    post::Post,
    text::{Paging, ROWS},
    visit::Visit,
};
use crate::{error::ApiError, extract::Query};

pub(super) fn pages() -> Vec<PageRoute> {
    vec![
        PageRoute::at("/studio/projects/{project}/rooms").page(PageNeeds::May(Action::Look), list).form(create),
        PageRoute::at("/studio/projects/{project}/rooms/delete").form(delete),
    ]
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    from: u32,
}

#[derive(Template)]
#[template(path = "rooms.html")]
struct Rooms {
    frame: Frame,
    may_manage: bool,
    may_manage_services: bool,
    rooms: Vec<wire::Room>,
    /// Rooms whose session runs.
    active: Vec<String>,
    paging: Paging,
    name: String,
    refusal: Option<Refusal>,
}

async fn list(visit: Visit, Query(Asked { from }): Query<Asked>) -> Result<Page<Rooms>, ApiError> {
    page(&visit, from, String::new(), None).await.map(Page)
}

async fn create(visit: Visit, Post(fields): Post) -> Result<Response, ApiError> {
    let name = fields.one("name").unwrap_or_default().trim().to_owned();
    let wanted = wire::RoomCreate { name: name.clone(), ..wire::RoomCreate::default() };
    match visit.control.create_room(&visit.caller, visit.project, wanted).await {
        Ok(_) => Ok(see(&visit.path("/rooms"))),
        Err(refusal) if matches!(refusal.kind, RefusalKind::Invalid | RefusalKind::Conflict) => {
            Ok((StatusCode::BAD_REQUEST, Page(page(&visit, 0, name, Some(refusal)).await?)).into_response())
        }
        Err(refusal) => Err(refusal.into()),
    }
}

async fn delete(visit: Visit, Post(fields): Post) -> Result<Response, ApiError> {
    let id: RoomId = fields.one("room").unwrap_or_default().parse().map_err(|_| crate::error::no_such("room"))?;
    visit.control.delete_room(&visit.caller, visit.project, id).await?;
    Ok(see(&visit.path("/rooms")))
}

async fn page(visit: &Visit, from: u32, name: String, refusal: Option<Refusal>) -> Result<Rooms, ApiError> {
    // One more than is shown, to know whether there are more.
    let mut rooms = visit.control.list_rooms(&visit.caller, visit.project, ROWS as u32 + 1, from).await?.rooms;
    let from = from as usize;
    let paging = Paging { query: String::new(), from, total: from + rooms.len() };
    rooms.truncate(ROWS);
    let active = visit.control.list_sessions(&visit.caller, visit.project, true).await?.sessions;
    Ok(Rooms {
        frame: visit.frame(Section::Rooms, "Rooms"),
        may_manage: visit.caller.may(visit.project, Action::ManageRooms).is_ok(),
        may_manage_services: visit.caller.may(visit.project, Action::ManageServices).is_ok(),
        rooms,
        active: active.into_iter().map(|session| session.room_name).collect(),
        paging,
        name,
        refusal,
    })
}
