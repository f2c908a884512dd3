//! Who gets which page of Studio: every page × everybody, from the pages' own table; forms that are not the visitor's own.

use std::collections::BTreeSet;

use axum::body::Body;
use http::{Request, header};
use http_body_util::BodyExt as _;
use meshkeep_core::access::allows;
use meshkeep_web::{PageInfo, PageNeeds, pages};
use serde_json::{Value, json};

use crate::support::{App, Reply, Who, manifest};

/// A browser with its cookie, and what a form of it carries.
struct Visitor<'a> {
    app: &'a App,
    cookie: String,
}

impl<'a> Visitor<'a> {
    /// Signed in with somebody's key; a browser without a cookie for those who have none.
    async fn new(app: &'a App, who: Who) -> Self {
        let Some(key) = app.key(who) else { return Self { app, cookie: String::new() } };
        let reply = form(app, "", "/studio/sign-in", &format!("key={key}"), &[]).await;
        let cookie = reply.headers.get(header::SET_COOKIE).and_then(|cookie| cookie.to_str().ok()).unwrap_or_default();
        assert_eq!(cookie.is_empty(), who == Who::Garbage, "{who:?}: {}", reply.body);
        Self { app, cookie: cookie.split(';').next().unwrap_or_default().to_owned() }
    }

    async fn get(&self, path: &str) -> Reply {
        let request = Request::builder().uri(path).header(header::COOKIE, &self.cookie);
        self.app.head(request.body(Body::empty()).unwrap()).await
    }

    /// What the forms of its pages carry.
    async fn csrf(&self) -> String {
        let page = self
            .app
            .send(
                Request::builder()
                    .uri("/studio/projects")
                    .header(header::COOKIE, &self.cookie)
                    .body(Body::empty())
                    .unwrap(),
            )
            .await;
        let (_, rest) = page.body.split_once("name=\"csrf\" value=\"").unwrap_or_default();
        rest.split('"').next().unwrap_or_default().to_owned()
    }
}

async fn form(app: &App, cookie: &str, path: &str, body: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder()
        .method("POST")
        .uri(path)
        .header(header::HOST, "keep.example")
        .header(header::COOKIE, cookie)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.send(request.body(body.to_owned().into()).unwrap()).await
}

/// What stands for each parameter of a path.
struct Things {
    secret: String,
    pull: String,
    service: String,
    room_service: String,
    session: String,
}

impl Things {
    async fn make(app: &App) -> Self {
        let secret = app.secret("credentials", json!({"TOKEN": "a-stored-value"})).await;
        let pull = app.pull_secret("registry").await;
        let service = app.made("/services", manifest("weather", json!({}))).await;
        app.made("/rooms", json!({"name": "lobby"})).await;
        let room_service = app.made("/rooms/lobby/services", manifest("local", json!({}))).await;
        let session = app.made("/rooms/lobby/sessions", Value::Null).await;
        Self { secret, pull, service, room_service, session }
    }

    fn path(&self, page: &PageInfo, project: &str) -> String {
        let secret = if page.path.contains("/pull-secrets/") { &self.pull } else { &self.secret };
        let service = if page.path.contains("/rooms/") { &self.room_service } else { &self.service };
        let path =
            page.path.replace("{project}", project).replace("{room}", "lobby").replace("{session}", &self.session);
        path.replace("{secret}", secret).replace("{service}", service).replace("{token}", &"0".repeat(64))
    }
}

#[tokio::test]
async fn everybody_gets_from_every_page_what_the_table_says() {
    let app = App::new().await;
    let things = Things::make(&app).await;
    let project = app.project.to_string();
    let mut wrong = Vec::new();
    for who in Who::ALL {
        let visitor = Visitor::new(&app, who).await;
        for page in pages() {
            let Some(seen_by) = page.seen_by else { continue };
            let path = things.path(&page, &project);
            let reply = visitor.get(&path).await;
            let wanted: &[u16] = match (seen_by, who, who.grant()) {
                (PageNeeds::Nothing, ..) => &[200],
                (_, Who::Nobody | Who::Garbage, _) => &[303],
                (PageNeeds::Visitor, ..) => &[200, 303],
                (PageNeeds::May(_), _, None) => &[403],
                // A log is there only when its service ran.
                (PageNeeds::May(action), _, Some(grant)) if allows(grant, action) => &[200, 404, 503],
                (PageNeeds::May(_), ..) => &[403],
            };
            if !wanted.contains(&reply.status) {
                wrong.push(format!("{who:?} {path}: {} instead of {wanted:?}", reply.status));
            }
            let policy = reply.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
            assert_eq!(reply.headers[header::CACHE_CONTROL], "no-store", "{path}");
            if reply.status == 303 && who == Who::Nobody {
                let to = reply.headers[header::LOCATION].to_str().unwrap();
                assert!(to.starts_with("/studio/sign-in?to=/studio"), "{to}");
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    app.end().await;
}

#[tokio::test]
async fn a_project_of_others_and_one_that_is_none_look_the_same() {
    let app = App::new().await;
    let things = Things::make(&app).await;
    let visitor = Visitor::new(&app, Who::Admin).await;
    for page in pages().iter().filter(|page| page.seen_by.is_some() && page.path.contains("{project}")) {
        let mut answers = BTreeSet::new();
        for project in [app.other_project.to_string(), "0198c2f4-7b1e-7c3a-9d55-2f6f0a1b2c3d".to_owned()] {
            let reply = visitor.get(&things.path(page, &project)).await;
            answers.insert((reply.status, reply.body.split("Request <code>").next().unwrap_or_default().to_owned()));
        }
        assert_eq!(answers.len(), 1, "{}: {answers:?}", page.path);
        assert_eq!(answers.first().unwrap().0, 403, "{}", page.path);
    }
    app.end().await;
}

#[tokio::test]
async fn no_form_does_anything_that_is_not_the_visitors_own() {
    let app = App::new().await;
    let things = Things::make(&app).await;
    let visitor = Visitor::new(&app, Who::Admin).await;
    let other = Visitor::new(&app, Who::Developer).await;
    let (own, foreign) = (visitor.csrf().await, other.csrf().await);
    assert!(own.len() == 64 && own != foreign);
    let before = app.admin("GET", "/audit?limit=1000", Value::Null).await.body;
    for page in pages().iter().filter(|page| page.takes_form) {
        let path = things.path(page, &app.project.to_string());
        let is_outside = ["/studio/sign-in", "/studio/link"].contains(&page.path);
        let tries: [(&str, &[(&str, &str)]); 6] = [
            ("", &[]),
            (&foreign, &[]),
            ("0000", &[]),
            (&own, &[("origin", "https://evil.example")]),
            (&own, &[("origin", "null")]),
            (&own, &[("sec-fetch-site", "cross-site")]),
        ];
        for (csrf, headers) in tries {
            if is_outside && headers.is_empty() {
                continue;
            }
            let reply = form(&app, &visitor.cookie, &path, &format!("csrf={csrf}&used=yes"), headers).await;
            assert_eq!(reply.status, 403, "{path} with {csrf:?} {headers:?}: {}", reply.body);
            assert!(reply.body.contains("did not come from your own open page"), "{}", reply.body);
        }
        // As another page may send it without asking.
        let request = Request::builder().method("POST").uri(&path).header(header::COOKIE, &visitor.cookie);
        let request = request.header(header::CONTENT_TYPE, "text/plain").body(format!("csrf={own}").into()).unwrap();
        assert_eq!(app.send(request).await.status, 415, "{path}");
    }
    assert_eq!(app.admin("GET", "/audit?limit=1000", Value::Null).await.body, before, "something was done");
    app.end().await;
}

#[tokio::test]
async fn a_deleted_key_ends_its_sessions_and_a_page_says_what_went_wrong() {
    let app = App::new().await;
    let visitor = Visitor::new(&app, Who::Developer).await;
    let page = format!("/studio/projects/{}/services", app.project);
    assert_eq!(visitor.get(&page).await.status, 200);
    let missing = visitor.get("/studio/nothing").await;
    assert_eq!(
        (missing.status, missing.headers[header::CONTENT_TYPE].to_str().unwrap()),
        (404, "text/html; charset=utf-8")
    );
    let keys = app.admin("GET", "/api-keys", Value::Null).await.json();
    let mine = keys["keys"].as_array().unwrap().iter().find(|key| key["name"] == "Developer").unwrap();
    app.admin("DELETE", &format!("/api-keys/{}", mine["id"].as_str().unwrap()), Value::Null).await.ok(204);
    assert_eq!(visitor.get(&page).await.status, 303);
    app.end().await;
}

#[tokio::test]
async fn a_page_that_moves_stops_when_its_visitor_may_not_see_it_any_more() {
    let app = App::new().await;
    let things = Things::make(&app).await;
    let visitor = Visitor::new(&app, Who::Developer).await;
    let path = format!("/studio/projects/{}/sessions/{}/live", app.project, things.session);
    let request = Request::builder().uri(path).header(header::COOKIE, &visitor.cookie).body(Body::empty()).unwrap();
    let mut events = app.open(request).await.into_body();
    let first = events.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(String::from_utf8_lossy(&first).starts_with("event: state\n"));
    let keys = app.admin("GET", "/api-keys", Value::Null).await.json();
    let mine = keys["keys"].as_array().unwrap().iter().find(|key| key["name"] == "Developer").unwrap();
    app.admin("DELETE", &format!("/api-keys/{}", mine["id"].as_str().unwrap()), Value::Null).await.ok(204);
    app.admin("POST", &format!("/sessions/{}/terminate", things.session), Value::Null).await.ok(204);
    // What it was told before the key's end may still be on its way.
    let rest = tokio::time::timeout(std::time::Duration::from_secs(30), events.collect()).await;
    let rest = rest.expect("it ends").unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&rest).contains("state still"), "it saw the end of the session");
    app.end().await;
}
