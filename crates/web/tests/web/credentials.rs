//! Sections 1 and 2 of the contract: who is believed, projects, API keys.

use axum::body::Body;
use http::{Request, header};
use meshkeep_core::api_key::ApiKeyText;
use serde_json::{Value, json};

use crate::support::{App, Who};

async fn with_authorization(app: &App, values: &[&str]) -> crate::support::Reply {
    let mut request = Request::builder().uri("/accounts/projects");
    for value in values {
        request = request.header(header::AUTHORIZATION, *value);
    }
    app.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn only_one_good_bearer_credential_is_believed() {
    let app = App::new().await;
    let good = app.key(Who::Admin).unwrap().to_owned();
    with_authorization(&app, &[&format!("Bearer {good}")]).await.ok(200);
    with_authorization(&app, &[&format!("bearer {good}")]).await.ok(200);

    let ApiKeyText { secret, .. } = ApiKeyText::parse(&good).unwrap();
    let stranger = ApiKeyText::parse(app.key(Who::Stranger).unwrap()).unwrap();
    let foreign_secret = ApiKeyText { secret: secret.clone(), ..stranger }.format().expose().to_owned();
    let secret = secret.expose();
    let cut = &good[..good.len() - 1];
    let longer = format!("{good}x");
    // {"alg":"none"} and an HS512 head, each with claims that name the project.
    let none = "eyJhbGciOiJub25lIn0.eyJuYW1lIjoieCIsInN1YiI6IjAxYTIwZTY4LWE3MzctNzQ4YS1hYzRiLWNiODAyYTYxNTM3ZSJ9.";
    let refused = [
        vec![],
        vec![""],
        vec!["Bearer"],
        vec!["Bearer "],
        vec!["Basic dTpw"],
        vec!["Bearer ma-"],
        vec![cut],
        vec![none],
    ];
    for values in &refused {
        with_authorization(&app, values).await.refused(401, &[]);
    }
    for credential in [cut, longer.as_str(), foreign_secret.as_str(), none, "a.b.c", "ma-x-y-z"] {
        let reply = with_authorization(&app, &[&format!("Bearer {credential}")]).await;
        reply.refused(401, &[]);
        assert!(reply.headers.contains_key(header::WWW_AUTHENTICATE));
        assert!(!reply.body.contains(credential) && !reply.body.contains(secret), "{}", reply.body);
    }
    let twice = format!("Bearer {good}");
    with_authorization(&app, &[&twice, &twice]).await.refused(401, &[]);
    app.end().await;
}

#[tokio::test]
async fn a_key_sees_its_own_project_only() {
    let app = App::new().await;
    let other = app.other_project.to_string();
    let list = app.call(Who::Stranger, "GET", "/accounts/projects", Body::empty()).await.ok(200).json();
    assert_eq!(list, json!({"projects": [{"id": other, "name": "other", "project_key": other}]}));
    assert_eq!(app.admin("GET", "", Value::Null).await.ok(200).json()["name"], "acme");
    assert_eq!(app.admin("GET", "/status", Value::Null).await.ok(200).json(), json!({"enabled": true}));
    for (who, role) in [(Who::Member, "member"), (Who::Developer, "developer"), (Who::Admin, "admin")] {
        let answer = app.call(who, "GET", &app.path("/role"), Body::empty()).await.ok(200).json();
        assert_eq!(answer, json!({"role": role}));
    }
    app.end().await;
}

#[tokio::test]
async fn an_api_key_is_shown_once_and_ends_when_deleted() {
    let app = App::new().await;
    let wanted = json!({"name": "ci", "description": "for builds", "role": "developer", "bind": false});
    let made = app.admin("POST", "/api-keys", wanted).await.ok(201).json();
    let (id, value) = (made["id"].as_str().unwrap(), made["value"].as_str().unwrap());
    assert!(value.starts_with("ma-") && made["role"] == "developer" && made["bind"] == false);
    let authorization = format!("Bearer {value}");
    with_authorization(&app, &[&authorization]).await.ok(200);

    let listed = app.admin("GET", "/api-keys", Value::Null).await.ok(200);
    assert!(listed.body.contains(id) && !listed.body.contains("ma-") && !listed.body.contains("value"));

    assert_eq!(app.admin("DELETE", &format!("/api-keys/{id}"), Value::Null).await.status, 204);
    with_authorization(&app, &[&authorization]).await.refused(401, &[]);
    app.admin("DELETE", &format!("/api-keys/{id}"), Value::Null).await.refused(404, &["API key"]);
    app.end().await;
}

#[tokio::test]
async fn what_an_api_key_cannot_be() {
    let app = App::new().await;
    for (body, words) in [
        (json!({}), vec!["name"]),
        (json!({"name": ""}), vec!["name"]),
        (json!({"name": "a\u{7}"}), vec!["name"]),
        (json!({"name": "x".repeat(200)}), vec!["name"]),
        (json!({"name": "k", "role": "owner"}), vec!["role", "developer"]),
        (json!({"name": "k", "bind": "yes"}), vec!["bind", "boolean"]),
    ] {
        app.admin("POST", "/api-keys", body).await.refused(400, &words);
    }
    app.end().await;
}

#[tokio::test]
async fn what_is_not_offered_says_so() {
    let app = App::new().await;
    app.call(Who::Admin, "POST", "/accounts/projects", "{}").await.refused(400, &["not_offered"]);
    for path in ["/mailboxes", "/routes/a/b", "/scheduled-tasks/x", "/balance", "/rooms/lobby/feeds"] {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            app.admin(method, path, json!({})).await.refused(400, &["not_offered"]);
        }
    }
    app.call(Who::Nobody, "PUT", &format!("/accounts/projects/{}/users/u", app.project), "{}").await.refused(401, &[]);
    app.call(Who::Admin, "GET", "/pricing", Body::empty()).await.refused(400, &["not_offered", "billing"]);
    app.end().await;
}

#[tokio::test]
async fn a_rooms_websocket_wants_a_token_and_a_websocket() {
    let app = App::new().await;
    app.made("/rooms", json!({"name": "lobby"})).await;
    let connected = app.admin("POST", "/rooms/lobby/connect", json!({})).await.ok(200).json();
    let token = connected["jwt"].as_str().unwrap();
    for (path, status, code) in [
        ("/rooms/lobby?token=hunter2".to_owned(), 401, "unauthenticated"),
        ("//rooms/lobby?token=hunter2".to_owned(), 401, "unauthenticated"),
        ("/rooms/lobby".to_owned(), 401, "unauthenticated"),
        (format!("/rooms/lobby?token={}", app.key(Who::Admin).unwrap()), 401, "unauthenticated"),
        (format!("/rooms/other?token={token}"), 403, "other_room"),
        (format!("/rooms/lobby?token={token}"), 426, "no_websocket"),
        (format!("/compat/0.28//rooms/lobby?token={token}"), 426, "no_websocket"),
    ] {
        let reply = app.call(Who::Nobody, "GET", &path, Body::empty()).await;
        assert_eq!((reply.status, reply.json()["error"]["code"].as_str()), (status, Some(code)), "{path}");
        assert!(!reply.body.contains("hunter2") && !reply.body.contains(token), "{}", reply.body);
    }
    assert_eq!(app.admin("GET", "/sessions", Value::Null).await.json(), json!({"sessions": []}), "nobody has joined");
    app.end().await;
}

#[tokio::test]
async fn paths_have_one_spelling() {
    let app = App::new().await;
    let id = app.secret("s", json!({"A": "value-of-a"})).await;
    app.made("/rooms", json!({"name": "lobby"})).await;
    app.admin("GET", &format!("/secrets/{id}"), Value::Null).await.ok(200);
    app.admin("GET", "/rooms/lobby", Value::Null).await.ok(200);
    let spellings = [
        format!("/secrets/{}", id.to_uppercase()),
        format!("/secrets/{}", id.replace('-', "")),
        format!("/secrets/{{{id}}}"),
        format!("/secrets/{id}/"),
        format!("/secrets//{id}"),
        format!("/secrets/../secrets/{id}"),
        format!("/secrets/%2e%2e/secrets/{id}"),
        format!("/secrets/{id}%00"),
        format!("/secrets%2f{id}"),
        "/rooms/LOBBY".to_owned(),
        "/rooms/l%6fbby".to_owned(),
        "/rooms/lobby%2f".to_owned(),
        "/rooms/lob\u{feff}by".to_owned(),
        "/rooms/..".to_owned(),
        "/rooms/.".to_owned(),
    ];
    for spelling in spellings {
        app.admin("GET", &spelling, Value::Null).await.refused(404, &[]);
    }
    let upper = format!("/accounts/projects/{}/secrets", app.project.to_string().to_uppercase());
    app.call(Who::Admin, "GET", &upper, Body::empty()).await.refused(403, &[]);
    app.call(Who::Admin, "GET", &app.path("/secrets").replace("/accounts", "/Accounts"), Body::empty())
        .await
        .refused(404, &[]);
    app.end().await;
}
