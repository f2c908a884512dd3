//! Sections 7 and 11: sessions.

use serde_json::{Value, json};

use crate::support::{App, Who};

#[tokio::test]
async fn one_session_per_room_from_launch_to_terminate() {
    let app = App::new().await;
    app.made("/rooms", json!({"name": "lobby"})).await;
    let session = app.admin("POST", "/rooms/lobby/sessions", Value::Null).await.ok(201).json();
    let id = session["id"].as_str().unwrap().to_owned();
    assert_eq!((session["room_name"].as_str(), session["is_active"].as_bool()), (Some("lobby"), Some(true)));
    let again = app.admin("POST", "/rooms/lobby/sessions", Value::Null).await.ok(200).json();
    assert_eq!(again["id"], json!(id));

    for rest in ["/sessions", "/sessions/active"] {
        let list = app.admin("GET", rest, Value::Null).await.ok(200).json();
        assert_eq!(list["sessions"].as_array().unwrap().len(), 1);
        assert!(list["sessions"][0].as_object().unwrap().contains_key("room_id"));
    }
    let one = app.admin("GET", &format!("/sessions/{id}"), Value::Null).await.ok(200).json();
    assert_eq!(one["workloads"], json!([]));
    let events = app.admin("GET", &format!("/sessions/{id}/events"), Value::Null).await.ok(200).json();
    assert!(events["events"].is_array());

    assert_eq!(app.admin("POST", &format!("/sessions/{id}/terminate"), Value::Null).await.status, 204);
    let ended = app.admin("GET", &format!("/sessions/{id}"), Value::Null).await.ok(200).json();
    assert_eq!((ended["is_active"].as_bool(), ended["state"].as_str()), (Some(false), Some("ended")));
    let active = app.admin("GET", "/sessions/active", Value::Null).await.ok(200).json();
    assert_eq!(active, json!({"sessions": []}));
    app.admin("POST", "/rooms/lobby/sessions", Value::Null).await.ok(201);
    assert_eq!(app.admin("POST", "/sessions/terminate", Value::Null).await.status, 204);
    let active = app.admin("GET", "/sessions/active", Value::Null).await.ok(200).json();
    assert_eq!(active, json!({"sessions": []}));
    app.end().await;
}

#[tokio::test]
async fn what_is_not_there() {
    let app = App::new().await;
    let nothing = app.project.to_string();
    app.admin("POST", "/rooms/nowhere/sessions", Value::Null).await.refused(404, &["room"]);
    for id in [nothing.as_str(), "x"] {
        for (method, rest) in [
            ("GET", String::new()),
            ("GET", "/events".to_owned()),
            ("POST", "/terminate".to_owned()),
            ("GET", format!("/services/{nothing}/logs")),
            ("POST", format!("/services/{nothing}/restart")),
        ] {
            app.admin(method, &format!("/sessions/{id}{rest}"), Value::Null).await.refused(404, &["session"]);
        }
    }
    app.made("/rooms", json!({"name": "lobby"})).await;
    let session = app.admin("POST", "/rooms/lobby/sessions", Value::Null).await.ok(201).json();
    let services = format!("/sessions/{}/services/{nothing}", session["id"].as_str().unwrap());
    app.admin("GET", &format!("{services}/logs"), Value::Null).await.refused(404, &["service"]);
    app.admin("POST", &format!("{services}/restart"), Value::Null).await.refused(404, &["service"]);
    for query in ["?tail=-1", "?tail=all", "?tail=99999999", "?follow=perhaps"] {
        app.admin("GET", &format!("{services}/logs{query}"), Value::Null).await.refused(400, &[]);
    }
    let logs = app.path(&format!("{services}/logs"));
    app.call(Who::Member, "GET", &logs, "").await.refused(403, &[]);
    app.end().await;
}
