//! A service's log: the page, and the text that it follows.

use std::time::Duration;

use askama::Template;
use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::header;
use meshkeep_core::{
    Refusal,
    id::{ServiceId, SessionId},
};
use serde::Deserialize;

use crate::{
    error::ApiError,
    extract::{At, Query},
    state::Settings,
    studio::{
        frame::{Frame, Page, Section},
        visit::Visit,
    },
};

/// Lines that the page begins with.
const LINES: usize = 1000;
/// How often it is looked whether who follows a log is still signed in.
const LOOKED_EVERY: Duration = Duration::from_secs(5);
/// Lines of the text at most; a log has a size cap anyway.
const MOST_LINES: usize = 1_000_000;

#[derive(Template)]
#[template(path = "log.html")]
pub(super) struct Log {
    frame: Frame,
    name: String,
    session_path: String,
    path: String,
    query: String,
    /// The last lines, or those of them that hold the query.
    text: String,
    lines: usize,
}

#[derive(Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    q: String,
}

#[derive(Deserialize)]
pub(super) struct Asked {
    tail: Option<usize>,
    #[serde(default)]
    follow: bool,
    #[serde(default)]
    download: bool,
}

pub(super) async fn show(
    visit: Visit,
    At(session): At<SessionId>,
    At(service): At<ServiceId>,
    Query(Search { q: query }): Query<Search>,
) -> Result<Page<Log>, ApiError> {
    let found = visit.control.session(&visit.caller, visit.project, session).await?;
    let workloads = found.workloads.unwrap_or_default();
    let name = workloads.into_iter().find(|workload| workload.service_id == service).map(|it| it.service_name);
    let name = name.ok_or_else(|| crate::error::no_such("service of the session"))?;
    // Searching looks at all of it.
    let tail = query.is_empty().then_some(LINES);
    let lines = visit.control.service_logs(&visit.caller, visit.project, session, service, tail, false).await?;
    let bytes = lines.try_fold(Vec::new(), |mut all, line| async move {
        all.extend_from_slice(&line);
        Ok(all)
    });
    let text = readable(&bytes.await?);
    let text = if query.is_empty() { text } else { matching(&text, &query) };
    let session_path = visit.session_path(session);
    let path = format!("{session_path}/services/{service}/log");
    let frame = visit.frame(Section::Sessions, &format!("Log of {name}"));
    let lines = text.lines().count();
    Ok(Page(Log { frame, name, session_path, path, query, text, lines }))
}

pub(super) async fn text(
    State(settings): State<Settings>,
    visit: Visit,
    At(session): At<SessionId>,
    At(service): At<ServiceId>,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    if asked.tail.is_some_and(|tail| tail > MOST_LINES) {
        return Err(Refusal::invalid("tail", format!("must be at most {MOST_LINES}")).into());
    }
    let lines =
        visit.control.service_logs(&visit.caller, visit.project, session, service, asked.tail, asked.follow).await?;
    let lines = lines
        .inspect_err(|refusal| tracing::warn!(code = refusal.code, "a log ended early"))
        .take_until(settings.stopping.cancelled_owned());
    // One that is followed goes on for as long as who reads it is signed in.
    let lines = lines.take_until(signed_out(visit, asked.follow));
    let mut response =
        ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(lines)).into_response();
    if asked.download {
        let name = format!("attachment; filename=\"{service}.log\"");
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name.parse().map_err(|_| ApiError::broken_page())?);
    }
    Ok(response)
}

/// Waits until the visitor is not signed in any more; for ever when nobody needs to know.
async fn signed_out(visit: Visit, is_asked: bool) {
    if !is_asked {
        return std::future::pending().await;
    }
    while visit.renew().await.is_ok() {
        tokio::time::sleep(LOOKED_EVERY).await;
    }
}

/// Without what terminals take for orders: colours and cursors say nothing on a page.
fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut readable = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                // ECMA-48, 5.4: a control sequence ends at the first of these.
                while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {}
            }
            '\n' | '\t' => readable.push(c),
            c if c.is_control() => {}
            c => readable.push(c),
        }
    }
    readable
}

fn matching(text: &str, query: &str) -> String {
    let query = query.to_lowercase();
    let found = text.lines().filter(|line| line.to_lowercase().contains(&query));
    found.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_to_terminals_are_left_out() {
        assert_eq!(readable(b"\x1b[31mred\x1b[0m\ttab\r\n\x07\x1b]0;title\x07x"), "red\ttab\n]0;titlex");
        assert_eq!(readable(b"\xff\x1b["), "\u{fffd}");
    }

    #[test]
    fn lines_are_found_in_any_case() {
        assert_eq!(matching("One\ntwo\nthree one\n", "ONE"), "One\nthree one\n");
    }
}
