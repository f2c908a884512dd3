//! What no answer may hold: values, and anything of another project. Made from the router's table and the document.

use std::collections::BTreeSet;

use axum::body::Body;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use meshkeep_web::{RouteInfo, routes};
use serde_json::{Value, json};

use crate::{
    matrix::{NOTHING, body},
    support::{App, IMAGE, Who, manifest},
};

/// Members that are called like something that is to be kept, by the schema that has them, and why they may be there.
const NAMED_LIKE_VALUES: [(&str, &str, &str); 5] = [
    ("ApiKeyCreated", "value", "a key is shown once, to who makes it"),
    ("Connected", "jwt", "a token is what was asked for"),
    ("Event", "data", "names, counts and reasons"),
    ("SecretItem", "data_base64", "the same mask, for newer clients"),
    ("SecretItem", "data", "the mask; values only for an admin with reveal=true"),
];

#[tokio::test]
async fn no_answer_has_a_member_for_values() {
    let app = App::new().await;
    let document = app.call(Who::Nobody, "GET", "/openapi.json", Body::empty()).await.ok(200).json();
    let schemas = &document["components"]["schemas"];
    let mut answers = BTreeSet::new();
    for route in routes() {
        if let Some(name) = route.answers.filter(|name| !name.contains('/')) {
            collect(schemas, name, &mut answers);
        }
    }
    assert!(answers.contains("SecretVersion") && answers.contains("Workload"), "{answers:?}");
    let mut found = BTreeSet::new();
    for schema in &answers {
        for member in schemas[schema]["properties"].as_object().unwrap().keys() {
            if sounds_like_a_value(member) {
                found.insert((schema.as_str(), member.as_str()));
            }
        }
    }
    let expected = NAMED_LIKE_VALUES.iter().map(|(schema, member, _)| (*schema, *member)).collect();
    assert_eq!(found, expected);
    app.end().await;
}

fn sounds_like_a_value(member: &str) -> bool {
    let words = ["value", "data", "password", "username", "env", "token", "jwt", "plain", "content", "hash"];
    words.iter().any(|word| member.contains(word)) && member != "metadata"
}

/// A schema and those that it refers to.
fn collect(schemas: &Value, name: &str, found: &mut BTreeSet<String>) {
    if found.insert(name.to_owned()) {
        for part in schemas[name].to_string().split("#/components/schemas/").skip(1) {
            collect(schemas, part.split('"').next().unwrap(), found);
        }
    }
}

/// Ids of one of each kind of object; a room has a name, too.
struct Objects {
    key: String,
    secret: String,
    service: String,
    room_service: String,
    room: String,
    room_name: &'static str,
    session: String,
}

impl Objects {
    /// Makes one of each, with the planted values, in the project of `who`.
    async fn plant(app: &App, who: Who, room_name: &'static str) -> Self {
        let made = async |rest: &str, body: Value| {
            let reply = app.call(who, "POST", &within(app, who, rest), body.to_string()).await;
            assert!(matches!(reply.status, 200 | 201), "{}", reply.body);
            reply.json()["id"].as_str().unwrap().to_owned()
        };
        let entries = json!({"A": PLANTED[0], "PEM": PLANTED[1]});
        let secret = made("/secrets", json!({"name": "keys", "type": "keys", "data": entries})).await;
        let login = json!({"server": "127.0.0.1:1", "username": "robot", "password": PLANTED[2]});
        let pull = made("/secrets", json!({"name": "pull", "type": "docker", "data": login})).await;
        let environment = json!([{"name": "API_TOKEN", "value": PLANTED[3]}]);
        let container = json!({"secrets": [secret], "pull_secret": pull, "environment": environment});
        let service = made("/services", manifest("planted", container)).await;
        let room = made("/rooms", json!({"name": room_name})).await;
        let room_service = made(&format!("/rooms/{room_name}/services"), manifest("in-room", json!({}))).await;
        let session = made(&format!("/rooms/{room_name}/sessions"), json!({})).await;
        let key = made("/api-keys", json!({"name": "planted"})).await;
        Self { key, secret, service, room_service, room, room_name, session }
    }

    /// A route's path with these objects in it, within the first project.
    fn path(&self, app: &App, route: &RouteInfo) -> String {
        let in_room = route.path.contains("/rooms/");
        // A room is read and connected to by its name, changed and deleted by its id.
        let by_id = matches!(route.method, "PUT" | "DELETE") && route.path.ends_with("{room}");
        route
            .path
            .replace("{project}", &app.project.to_string())
            .replace("{room}", if by_id { &self.room } else { self.room_name })
            .replace("{key}", &self.key)
            .replace("{secret}", &self.secret)
            .replace("{service}", if in_room { &self.room_service } else { &self.service })
            .replace("{session}", &self.session)
            .replace("{user}", &self.key)
    }
}

const PLANTED: [&str; 4] =
    ["planted-value-of-keys", "planted-line-1\nplanted-line-2", "planted-password", "planted-in-the-environment"];

fn within(app: &App, who: Who, rest: &str) -> String {
    let project = if who == Who::Stranger { app.other_project } else { app.project };
    format!("/accounts/projects/{project}{rest}")
}

#[tokio::test]
async fn no_answer_to_anybody_has_a_value() {
    let app = App::new().await;
    let objects = Objects::plant(&app, Who::Admin, "lobby").await;
    let forms: Vec<String> = PLANTED.iter().map(|value| BASE64_STANDARD.encode(value)).collect();
    let mut answered = BTreeSet::new();
    for route in routes().iter().filter(|route| route.method == "GET") {
        let path = objects.path(&app, route);
        let mut spellings = vec![path.clone()];
        // An admin's `reveal` is the one way to a value, and a follower's log does not end.
        for name in route.query.iter().filter(|name| **name != "follow") {
            spellings.extend(["true", "100"].map(|value| format!("{path}?{name}={value}")));
        }
        for spelling in &spellings {
            for who in Who::ALL {
                if who == Who::Admin && spelling.contains("reveal=true") {
                    continue;
                }
                let reply = app.call(who, "GET", spelling, Body::empty()).await;
                let shown = format!("{:?} {}", reply.headers, reply.body);
                assert!(!shown.contains("planted-"), "{spelling} by {who:?}: {shown}");
                assert!(forms.iter().all(|form| !shown.contains(form)), "{spelling} by {who:?}: {shown}");
                if reply.status == 200 {
                    answered.insert(route.path);
                }
            }
        }
    }
    // The objects were there: all but what names a service that never ran answered.
    for route in ["secrets/{secret}", "services/{service}/manifest", "secrets/{secret}/versions", "sessions/{session}"]
    {
        assert!(answered.iter().any(|path| path.ends_with(route)), "{route} did not answer: {answered:?}");
    }
    app.end().await;
}

#[tokio::test]
async fn ids_of_another_project_are_not_there() {
    let app = App::new().await;
    let theirs = Objects::plant(&app, Who::Stranger, "theirs").await;
    let nothing = Objects {
        key: NOTHING.to_owned(),
        secret: NOTHING.to_owned(),
        service: NOTHING.to_owned(),
        room_service: NOTHING.to_owned(),
        room: NOTHING.to_owned(),
        room_name: "nobodys",
        session: NOTHING.to_owned(),
    };
    let state = async || {
        let mut all = Vec::new();
        for rest in ["/secrets?detail=true", "/services", "/rooms", "/sessions", "/api-keys"] {
            all.push(app.call(Who::Stranger, "GET", &within(&app, Who::Stranger, rest), Body::empty()).await.body);
        }
        all
    };
    let before = state().await;
    let mut compared = 0;
    for (number, route) in routes().iter().enumerate() {
        let objects = route.path.matches('{').count() > 1 && route.path.contains("{project}");
        // These two make the room that is not there, in the caller's own project.
        let makes = route.path.ends_with("/connect") || (route.method == "POST" && route.path.ends_with("}/sessions"));
        if !objects || makes || !route.offered {
            continue;
        }
        let mut replies = Vec::new();
        for objects in [&theirs, &nothing] {
            let (kind, body) = body(route, &format!("made-{number}"));
            let mut request = app.request(Who::Admin, route.method, &objects.path(&app, route)).body(body).unwrap();
            request.headers_mut().insert("content-type", kind.parse().unwrap());
            let mut error = app.send(request).await.ok(404).json();
            error["error"]["request_id"] = json!("");
            replies.push(error);
        }
        assert_eq!(replies[0], replies[1], "{} {}", route.method, route.path);
        compared += 1;
    }
    assert!(compared >= 20, "{compared}");
    // Nor can they be bound.
    for member in ["secrets", "pull_secret"] {
        let mut replies = Vec::new();
        for id in [theirs.secret.as_str(), NOTHING] {
            let value = if member == "secrets" { json!([id]) } else { json!(id) };
            let container = json!({"image": IMAGE, member: value});
            let reply = app.admin("POST", "/services", manifest("w", container)).await;
            let code = reply.refused(400, &[id]);
            replies.push((code, reply.json()["error"]["message"].as_str().unwrap().replace(id, "ID")));
        }
        assert_eq!(replies[0], replies[1]);
    }
    assert_eq!(state().await, before);
    app.end().await;
}
