//! Section 7: rooms.

use serde_json::{Value, json};

use crate::support::App;

#[tokio::test]
async fn a_room_is_read_by_name_and_changed_by_id() {
    let app = App::new().await;
    let wanted = json!({
        "name": "lobby", "if_not_exists": false, "metadata": null, "annotations": null, "permissions": {"a": true},
    });
    let made = app.admin("POST", "/rooms", wanted).await.ok(201).json();
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(made, json!({"id": id, "name": "lobby", "metadata": {}, "annotations": {}}));
    assert_eq!(app.admin("GET", "/rooms/lobby", Value::Null).await.ok(200).json(), made);

    let change = json!({"name": "hall", "metadata": {"a": [1]}, "annotations": {"k": "v"}});
    app.admin("PUT", &format!("/rooms/{id}"), change).await.ok(200);
    let read = app.admin("GET", "/rooms/hall", Value::Null).await.ok(200).json();
    assert_eq!(read, json!({"id": id, "name": "hall", "metadata": {"a": [1]}, "annotations": {"k": "v"}}));
    app.admin("GET", "/rooms/lobby", Value::Null).await.refused(404, &["room"]);
    assert_eq!(app.admin("DELETE", &format!("/rooms/{id}"), Value::Null).await.status, 204);
    app.admin("DELETE", &format!("/rooms/{id}"), Value::Null).await.refused(404, &["room"]);
    app.admin("PUT", &format!("/rooms/{id}"), json!({"name": "x"})).await.refused(404, &["room"]);
    app.end().await;
}

#[tokio::test]
async fn names_are_strict_and_unique() {
    let app = App::new().await;
    let id = app.made("/rooms", json!({"name": "lobby"})).await;
    let other = app.made("/rooms", json!({"name": "hall"})).await;
    app.admin("POST", "/rooms", json!({"name": "lobby"})).await.refused(409, &["room"]);
    let again = app.admin("POST", "/rooms", json!({"name": "lobby", "if_not_exists": true})).await.ok(200).json();
    assert_eq!(again["id"], json!(id));
    app.admin("PUT", &format!("/rooms/{other}"), json!({"name": "lobby"})).await.refused(409, &["room"]);
    let long = "a".repeat(64);
    for bad in ["", "Lobby", "a b", "-a", "a-", "a_b", "a/b", "..", "é", "a\u{0}", &long] {
        app.admin("POST", "/rooms", json!({"name": bad})).await.refused(400, &["name"]);
        app.admin("PUT", &format!("/rooms/{other}"), json!({"name": bad})).await.refused(400, &["name"]);
    }
    for body in [json!({}), json!({"name": "x", "metadata": []}), json!({"name": "x", "annotations": {"a": 1}})] {
        app.admin("POST", "/rooms", body).await.refused(400, &[]);
    }
    app.end().await;
}

#[tokio::test]
async fn lists_come_in_pages() {
    let app = App::new().await;
    for name in ["c", "a", "b"] {
        app.made("/rooms", json!({"name": name})).await;
    }
    let page = async |query: &str| {
        let rooms = app.admin("GET", &format!("/rooms{query}"), Value::Null).await.ok(200).json();
        rooms["rooms"]
            .as_array()
            .unwrap()
            .iter()
            .map(|room| room["name"].as_str().unwrap().to_owned())
            .collect::<String>()
    };
    assert_eq!(page("").await, "abc");
    assert_eq!(page("?limit=50&offset=0&order_by=room_name").await, "abc");
    assert_eq!(page("?limit=2&offset=1").await, "bc");
    assert_eq!(page("?offset=9").await, "");
    app.end().await;
}

#[tokio::test]
async fn connecting_makes_the_room() {
    let app = App::new().await;
    let connected = app.admin("POST", "/rooms/new-room/connect", json!({})).await.ok(200).json();
    assert_eq!(connected["room_name"], "new-room");
    assert_eq!(connected["project_id"], app.project.to_string());
    assert_eq!(connected["jwt"].as_str().unwrap().split('.').count(), 3);
    assert!(connected["room_url"].as_str().unwrap().ends_with("/rooms/new-room"));
    app.admin("GET", "/rooms/new-room", Value::Null).await.ok(200);
    app.admin("POST", "/rooms/New/connect", json!({})).await.refused(404, &["room"]);
    app.end().await;
}
