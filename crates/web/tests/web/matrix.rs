//! Every route × everybody: made from the router's own table, so that no route can be forgotten.

use axum::body::Body;
use meshkeep_core::access::{Action, allows};
use meshkeep_web::{Needs, RouteInfo, routes};
use serde_json::json;

use crate::support::{App, Who, manifest};

/// A well-formed id of nothing: what is allowed then answers 404 and changes nothing. It is a good name of a room, too.
pub const NOTHING: &str = "01a20e68-a737-748a-ac4b-cb802a61537e";

fn path(app: &App, route: &RouteInfo) -> String {
    route
        .path
        .replace("{project}", &app.project.to_string())
        .replace("{room}", NOTHING)
        .replace("{key}", NOTHING)
        .replace("{secret}", NOTHING)
        .replace("{service}", NOTHING)
        .replace("{session}", NOTHING)
        .replace("{port}", "80")
        .replace("{*rest}", "x")
        .split('/')
        .map(|part| if part.starts_with('{') { NOTHING } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

/// A good body of each kind, with a name of its own.
pub fn body(route: &RouteInfo, name: &str) -> (&'static str, Body) {
    let json = |value: serde_json::Value| ("application/json", Body::from(value.to_string()));
    match route.takes {
        None => ("application/json", Body::empty()),
        Some("ApiKeyCreate") => json(json!({"name": name})),
        Some("SecretWrite") => json(json!({"name": name, "type": "keys", "data": {"A": "value-of-a"}})),
        Some("SecretPatch") => json(json!({"set": {"A": "value-of-a"}})),
        Some("SecretRestore") => json(json!({"name": name})),
        Some("Rollback") => json(json!({"version": 1})),
        Some("PullTest") => {
            json(json!({"server": "127.0.0.1:1", "username": "u", "password": "p", "image": "127.0.0.1:1/a"}))
        }
        Some("ServiceSpec") => json(manifest(name, json!({}))),
        Some("TemplateWrite") => {
            let template =
                "version: v1\nkind: ServiceTemplate\nmetadata: {name: a}\ncontainer: {image: '{{ image }}'}\n";
            json(json!({"template": template, "values": {"image": "127.0.0.1:1/a"}}))
        }
        Some("RoomCreate") => json(json!({"name": name})),
        Some("RoomUpdate") => json(json!({"annotations": {}})),
        Some("text/yaml") => ("text/yaml", Body::from(manifest(name, json!({})).to_string())),
        Some(other) => panic!("the matrix knows no body of the kind {other}: add one"),
    }
}

/// What the table promises. `None`: success, or 404 where the path names an object.
fn refusal(route: &RouteInfo, who: Who) -> Option<u16> {
    let in_project = route.path.contains("{project}");
    match (route.needs, who) {
        (Needs::Nothing, _) => None,
        // A key is no participant's token.
        (Needs::Token, _) => Some(401),
        (_, Who::Nobody | Who::Garbage) => Some(401),
        (_, Who::Stranger) if in_project => Some(403),
        (Needs::May(action), who) => (!allows(who.grant().expect("of the project"), action)).then_some(403),
        (Needs::Credential, _) => None,
    }
}

#[tokio::test]
async fn everybody_gets_from_every_route_what_the_table_says() {
    let app = App::new().await;
    let mut wrong = Vec::new();
    for (number, route) in routes().iter().enumerate() {
        for who in Who::ALL {
            let (kind, body) = body(route, &format!("made-{number}-{}", who as u8));
            let mut request = app.request(who, route.method, &path(&app, route)).body(body).unwrap();
            request.headers_mut().insert("content-type", kind.parse().unwrap());
            let reply = app.send(request).await;
            let names_object = route.path.matches('{').count() > usize::from(route.path.contains("{project}"));
            // The room was made by the route that connects; its second launch finds the first.
            let is_there = route.path.ends_with("/rooms/{room}/sessions") && reply.status == 200;
            let expected = match refusal(route, who) {
                Some(status) => reply.status == status,
                None if !route.offered => reply.status == 400 && reply.body.contains("not_offered"),
                None => reply.status == route.status || (names_object && reply.status == 404) || is_there,
            };
            if !expected {
                wrong.push(format!("{} {} by {who:?}: {} {}", route.method, route.path, reply.status, reply.body));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    app.end().await;
}

#[test]
fn every_right_that_exists_has_a_route_or_a_reason() {
    // Bind and Reveal depend on the body and the query; stories of secrets and services try them.
    let elsewhere = [Action::Bind, Action::Reveal];
    for action in Action::ALL {
        let used = routes().iter().any(|route| route.needs == Needs::May(action));
        assert!(used || elsewhere.contains(&action), "no route needs {action:?}");
    }
}

#[tokio::test]
async fn a_foreign_project_an_unknown_one_and_nonsense_look_the_same() {
    let app = App::new().await;
    for route in routes().iter().filter(|route| route.path.contains("{project}")) {
        let mut seen = Vec::new();
        for project in [app.other_project.to_string().as_str(), NOTHING, "x", "..", "ACME"] {
            let path = path(&app, route).replace(&app.project.to_string(), project);
            let reply = app.call(Who::Admin, route.method, &path, Body::empty()).await;
            reply.refused(403, &[]);
            let mut error = reply.json();
            error["error"]["request_id"] = json!("");
            seen.push(error);
        }
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{}: {seen:?}", route.path);
    }
    app.end().await;
}

#[tokio::test]
async fn the_document_has_every_route_and_every_path_of_it_routes() {
    let app = App::new().await;
    let document = app.call(Who::Nobody, "GET", "/openapi.json", Body::empty()).await.ok(200).json();
    let mut documented = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            documented += 1;
            let path = path.replace("{port}", "80").replace(['{', '}'], "");
            let reply = app.call(Who::Nobody, &method.to_uppercase(), &path, Body::empty()).await;
            assert_ne!(reply.status, 405, "{method} {path}");
            assert!(reply.status != 404 || !reply.body.contains("no_route"), "{method} {path}");
        }
    }
    assert_eq!(documented, routes().len());
    app.end().await;
}
