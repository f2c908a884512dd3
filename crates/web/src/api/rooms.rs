//! Rooms. As in the public clients, a room is read by name and changed by id.

use http::StatusCode;
use meshkeep_core::{Refusal, access::Action, id::RoomId, name::RoomName, wire};
use serde::Deserialize;

use crate::{
    api::Answer,
    error::ApiError,
    extract::{At, Body, In, Query},
    route::Route,
};

/// Rooms of one page when the client does not say.
const PAGE: u32 = 50;
/// Rooms of one page at most.
const MAX_PAGE: u32 = 1000;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/accounts/projects/{project}/rooms", list)
            .summary("One page of rooms, by name")
            .needs(Action::Look)
            .query(&["limit", "offset", "order_by"])
            .answers(200, "RoomList"),
        Route::post("/accounts/projects/{project}/rooms", create)
            .summary("Make a room; 200 with `if_not_exists` when it is there")
            .needs(Action::ManageRooms)
            .takes("RoomCreate")
            .answers(201, "Room"),
        Route::get("/accounts/projects/{project}/rooms/{room}", read)
            .summary("One room, by its name")
            .needs(Action::Look)
            .answers(200, "Room"),
        Route::put("/accounts/projects/{project}/rooms/{room}", update)
            .summary("Change a room, by its id")
            .needs(Action::ManageRooms)
            .takes("RoomUpdate")
            .answers(200, "Room"),
        Route::delete("/accounts/projects/{project}/rooms/{room}", delete)
            .summary("Delete a room, by its id")
            .needs(Action::ManageRooms)
            .answers_nothing(),
        Route::post("/accounts/projects/{project}/rooms/{room}/connect", connect)
            .summary("A participant token for a room, which is made when it is not there")
            .needs(Action::ManageRooms)
            .answers(200, "Connected"),
    ]
}

#[derive(Deserialize)]
struct Page {
    limit: Option<u32>,
    offset: Option<u32>,
    order_by: Option<String>,
}

async fn list(
    In { control, caller, project }: In,
    Query(page): Query<Page>,
) -> Result<Answer<wire::RoomList>, ApiError> {
    if page.order_by.is_some_and(|order| order != "room_name") {
        return Err(Refusal::invalid("order_by", "must be `room_name`").into());
    }
    let limit = page.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Refusal::invalid("limit", format!("must be from 1 to {MAX_PAGE}")).into());
    }
    Ok(Answer::ok(control.list_rooms(&caller, project, limit, page.offset.unwrap_or_default()).await?))
}

async fn create(
    In { control, caller, project }: In,
    Body(wanted): Body<wire::RoomCreate>,
) -> Result<Answer<wire::Room>, ApiError> {
    let (room, created) = control.create_room(&caller, project, wanted).await?;
    Ok(Answer::created_if(created, room))
}

async fn read(In { control, caller, project }: In, At(room): At<RoomName>) -> Result<Answer<wire::Room>, ApiError> {
    Ok(Answer::ok(control.room(&caller, project, room).await?))
}

async fn update(
    In { control, caller, project }: In,
    At(room): At<RoomId>,
    Body(change): Body<wire::RoomUpdate>,
) -> Result<Answer<wire::Room>, ApiError> {
    Ok(Answer::ok(control.update_room(&caller, project, room, change).await?))
}

async fn delete(In { control, caller, project }: In, At(room): At<RoomId>) -> Result<StatusCode, ApiError> {
    control.delete_room(&caller, project, room).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn connect(
    In { control, caller, project }: In,
    At(room): At<RoomName>,
) -> Result<Answer<wire::Connected>, ApiError> {
    Ok(Answer::ok(control.connect_room(&caller, project, room).await?))
}
