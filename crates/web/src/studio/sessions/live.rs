//! A session's state as server-sent events: the rendered part of the page, whenever it is another.

use std::{convert::Infallible, time::Duration};

use askama::Template as _;
use axum::{
    extract::State as Extract,
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{StreamExt as _, stream};
use meshkeep_core::id::SessionId;
use tokio::{sync::watch, time::sleep};

use super::show::State;
use crate::{error::ApiError, extract::At, state::Settings, studio::visit::Visit};

/// Changes come in bursts; a page is told at most so often.
const PACE: Duration = Duration::from_millis(250);
/// A proxy in between ends what says nothing.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

pub(super) async fn follow(
    Extract(settings): Extract<Settings>,
    visit: Visit,
    At(id): At<SessionId>,
) -> Result<Response, ApiError> {
    // Before the first look, so that no change is missed.
    let changes = visit.control.changes();
    State::now(&visit, id).await?;
    let states =
        stream::unfold((visit, changes, String::new()), move |(visit, changes, shown)| next(visit, changes, shown, id));
    let events = states
        .map(|html| Ok::<_, Infallible>(Event::default().event("state").data(html)))
        .take_until(settings.stopping.cancelled_owned());
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE)).into_response())
}

/// Waits for another state than the one that is shown. Ends when it cannot be read any more: the browser then asks anew,
/// and whoever is signed out is told so.
async fn next(
    visit: Visit,
    mut changes: watch::Receiver<u64>,
    shown: String,
    id: SessionId,
) -> Option<(String, (Visit, watch::Receiver<u64>, String))> {
    loop {
        changes.mark_unchanged();
        visit.renew().await.ok()?;
        let html = State::now(&visit, id).await.ok()?.render().ok()?;
        if html != shown {
            return Some((html.clone(), (visit, changes, html)));
        }
        changes.changed().await.ok()?;
        sleep(PACE).await;
    }
}
