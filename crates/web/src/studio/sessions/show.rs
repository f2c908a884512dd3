//! One session: its services, their states and versions, what happened.

use askama::Template;
use axum::response::Response;
use meshkeep_core::{
    access::Action,
    id::{ServiceId, SessionId},
    wire::{self, Workload},
};

use crate::{
    error::ApiError,
    extract::At,
    studio::{
        frame::{Frame, Page, Section, see},
        post::Post,
        text::{actor, bytes, class, count, look, moment},
        visit::Visit,
    },
};

/// Events that a page shows, the newest.
const EVENTS: usize = 200;

#[derive(Template)]
#[template(path = "session.html")]
pub(super) struct Show {
    frame: Frame,
    /// The part that changes while one looks.
    state: State,
}

/// What is happening: rendered into the page, and again whenever it changes.
#[derive(Template)]
#[template(path = "session_state.html")]
pub(super) struct State {
    /// The session's page.
    path: String,
    services_path: String,
    csrf: String,
    may_run: bool,
    may_read_logs: bool,
    session: wire::Session,
    events: Vec<wire::Event>,
}

impl State {
    /// As it is now.
    pub(super) async fn now(visit: &Visit, id: SessionId) -> Result<Self, ApiError> {
        let session = visit.control.session(&visit.caller, visit.project, id).await?;
        let mut events = visit.control.session_events(&visit.caller, visit.project, id).await?.events;
        // Newest first.
        events.reverse();
        events.truncate(EVENTS);
        let may = |action| visit.caller.may(visit.project, action).is_ok();
        Ok(Self {
            path: visit.session_path(id),
            services_path: visit.path("/services"),
            csrf: visit.csrf(),
            may_run: may(Action::RunSessions) && session.is_active,
            may_read_logs: may(Action::ReadLogs),
            session,
            events,
        })
    }

    fn workloads(&self) -> &[Workload] {
        self.session.workloads.as_deref().unwrap_or_default()
    }

    /// Whether a newer version of something that it uses is there.
    fn is_behind(workload: &Workload) -> bool {
        workload.secrets_used().any(|used| used.newest.is_some())
    }

    /// What an event is about: a service, or the session.
    fn about(event: &wire::Event) -> &str {
        event.data["service"].as_str().unwrap_or("Session")
    }

    /// What it did.
    fn did(event: &wire::Event) -> String {
        event.kind.rsplit('.').next().unwrap_or_default().replace('_', " ")
    }

    /// What else is known of it.
    fn words(event: &wire::Event) -> String {
        let data = &event.data;
        let mut words = Vec::new();
        words.extend(data["message"].as_str().map(str::to_owned));
        words.extend(data["by"].as_str().map(|by| format!("by {}", actor(by))));
        words.extend(data["exit_code"].as_i64().map(|code| format!("with exit code {code}")));
        words.extend(
            data["restarts"].as_u64().filter(|restarts| *restarts > 0).map(|n| count(&n, "restart", "restarts")),
        );
        words.join(", ")
    }
}

pub(super) async fn show(visit: Visit, At(id): At<SessionId>) -> Result<Page<Show>, ApiError> {
    let state = State::now(&visit, id).await?;
    let frame = visit.frame(Section::Sessions, &format!("Session in {}", state.session.room_name));
    Ok(Page(Show { frame, state }))
}

pub(super) async fn stop(visit: Visit, At(id): At<SessionId>, Post(_): Post) -> Result<Response, ApiError> {
    visit.control.terminate_session(&visit.caller, visit.project, id).await?;
    Ok(see(&visit.session_path(id)))
}

pub(super) async fn restart(
    visit: Visit,
    At(session): At<SessionId>,
    At(service): At<ServiceId>,
    Post(_): Post,
) -> Result<Response, ApiError> {
    visit.control.restart_service(&visit.caller, visit.project, session, service).await?;
    Ok(see(&visit.session_path(session)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn layers_that_arrive_are_shown_each() {
        let id = "0198c2f4-7b1e-7c3a-9d55-2f6f0a1b2c3d";
        let layer = |name: &str, done: u64| json!({ "layer": format!("sha256:{}", name.repeat(64)), "done": done, "total": 4096 });
        let session = json!({
            "id": id, "room_id": null, "room_name": "lobby", "created_at": "2026-01-01T00:00:00Z", "is_active": true,
            "participants": null, "state": "starting", "ended_at": null,
            "workloads": [{
                "id": id, "service_id": id, "service_name": "weather", "state": "pulling", "reason": null,
                "exit_code": null, "restarts": 0, "image": "r.example/a:1", "image_digest": null, "secrets": [],
                "pull_secret": null, "started_at": null, "progress": [layer("a", 1024), layer("b", 4096)],
            }],
        });
        let state = State {
            path: "/s".to_owned(),
            services_path: String::new(),
            csrf: String::new(),
            may_run: true,
            may_read_logs: true,
            session: serde_json::from_value(session).unwrap(),
            events: Vec::new(),
        };
        let html = state.render().unwrap();
        for shown in [
            "<progress max=\"4096\" value=\"1024\" aria-label=\"Layer 1\">",
            "<progress max=\"4096\" value=\"4096\" aria-label=\"Layer 2\">",
            "1.0 KiB of 4.0 KiB",
            "class=\"state busy\">pulling",
        ] {
            assert!(html.contains(shown), "{shown} is not in {html}");
        }
    }
}
