//! Sections 4 and 11: secrets.

use http::header;
use serde_json::{Value, json};

use crate::support::{App, Who, manifest};

/// `{"A": "b"}` as the newer clients send it.
const ENCODED: &str = "eyJBIjogImIifQ==";

fn keys(name: &str, data: Value) -> Value {
    json!({"name": name, "type": "keys", "data": data})
}

async fn revealed(app: &App, id: &str) -> Value {
    app.admin("GET", &format!("/secrets/{id}?reveal=true"), Value::Null).await.ok(200).json()["data"].clone()
}

#[tokio::test]
async fn values_go_in_and_come_out_for_an_admin_that_asks_only() {
    let app = App::new().await;
    let data = json!({"API_KEY": "value-one", "PEM": "-----\nline\n", "EMPTY": "", "UNI": "é∆ '\"$x"});
    let reply = app.admin("POST", "/secrets", keys("weather-api", data.clone())).await.ok(201);
    let saved = reply.json();
    assert_eq!((saved["name"].as_str(), saved["version"].as_u64()), (Some("weather-api"), Some(1)));
    assert_eq!(reply.headers[header::ETAG], "\"1\"");
    assert!(!saved["applies"].as_str().unwrap().is_empty());
    let id = saved["id"].as_str().unwrap();

    let list = app.admin("GET", "/secrets", Value::Null).await.ok(200);
    let masked = json!({"API_KEY": "[redacted]", "PEM": "[redacted]", "EMPTY": "[redacted]", "UNI": "[redacted]"});
    assert_eq!(list.json(), json!({"secrets": [{"id": id, "name": "weather-api", "type": "keys", "data": masked}]}));
    let one = app.admin("GET", &format!("/secrets/{id}"), Value::Null).await.ok(200);
    assert_eq!((one.json()["data"].clone(), one.json()["version"].as_u64()), (masked, Some(1)));
    assert_eq!(one.headers[header::ETAG], "\"1\"");
    assert_eq!(revealed(&app, id).await, data);

    let path = app.path(&format!("/secrets/{id}?reveal=true"));
    for who in [Who::Developer, Who::DeveloperWithoutBind, Who::Member, Who::Stranger] {
        let reply = app.call(who, "GET", &path, "").await;
        reply.refused(403, &[]);
        assert!(!reply.body.contains("value-one"));
    }
    app.end().await;
}

#[tokio::test]
async fn data_and_data_base64_are_one_or_the_other() {
    let app = App::new().await;
    let (encoded, data) = (ENCODED, json!({"A": "b"}));
    let id = app.made("/secrets", json!({"name": "era", "type": "keys", "data_base64": encoded})).await;
    assert_eq!(revealed(&app, &id).await, data);
    for (body, words) in [
        (json!({"name": "x", "type": "keys", "data_base64": encoded, "data": data}), vec!["data_base64"]),
        (json!({"name": "x", "type": "keys"}), vec!["data"]),
        (json!({"name": "x", "type": "keys", "data_base64": "%%%"}), vec!["data_base64"]),
        (json!({"name": "x", "type": "keys", "data_base64": "WyJBIl0="}), vec!["data_base64"]),
    ] {
        app.admin("POST", "/secrets", body).await.refused(400, &words);
    }
    app.end().await;
}

#[tokio::test]
async fn what_a_secret_cannot_be() {
    let app = App::new().await;
    let long = "x".repeat(131_072);
    let docker = |data: Value| json!({"name": "d", "type": "docker", "data": data});
    for (body, words) in [
        (json!({"type": "keys", "data": {}}), vec!["name"]),
        (keys("", json!({})), vec!["name"]),
        (keys("a b", json!({})), vec!["name"]),
        (keys("../x", json!({})), vec!["name"]),
        (json!({"name": "n", "type": "acr", "data": {}}), vec!["type"]),
        (json!({"name": "n", "data": {}}), vec!["type"]),
        (keys("n", json!(["A"])), vec!["data"]),
        (keys("n", json!({"A": 1})), vec!["data.A"]),
        (keys("n", json!({"A": null})), vec!["data.A"]),
        (keys("n", json!({"9A": "value"})), vec!["data.9A"]),
        (keys("n", json!({"A-B": "value"})), vec!["data.A-B"]),
        (keys("n", json!({"A": "with\u{0}nul"})), vec!["A", "NUL"]),
        (keys("n", json!({"A": long})), vec!["A", "131"]),
        (keys("n", json!({"A": "[redacted]"})), vec!["data.A", "[redacted]"]),
        (docker(json!({"username": "u", "password": "p"})), vec!["data.server"]),
        (docker(json!({"server": "a b", "username": "u", "password": "p"})), vec!["data.server", "host name"]),
        (docker(json!({"server": "u@r.example", "username": "u", "password": "p"})), vec!["data.server", "user name"]),
        (docker(json!({"server": "r.example:70000", "username": "u", "password": "p"})), vec!["data.server", "port"]),
        (docker(json!({"server": "s", "password": "p"})), vec!["data.username"]),
        (docker(json!({"server": "s", "username": "u"})), vec!["data.password"]),
        (docker(json!({"server": "s", "username": "a:b", "password": "p"})), vec!["data.username"]),
        (docker(json!({"server": "s", "username": "u", "password": "p", "token": "t"})), vec!["data.token"]),
    ] {
        app.admin("POST", "/secrets", body).await.refused(400, &words);
    }
    assert_eq!(app.admin("GET", "/secrets", Value::Null).await.json(), json!({"secrets": []}));
    app.end().await;
}

#[tokio::test]
async fn a_pull_secret_shows_all_but_its_password() {
    let app = App::new().await;
    let id = app.pull_secret("registry").await;
    let listed = app.admin("GET", "/secrets", Value::Null).await.ok(200).json();
    let data = json!({"server": "127.0.0.1:1", "username": "u", "email": "e", "password": "[redacted]"});
    assert_eq!(listed["secrets"][0]["data"], data);
    let as_keys = json!({"name": "registry", "type": "keys", "data": {"A": "b"}});
    app.admin("PUT", &format!("/secrets/{id}"), as_keys).await.refused(400, &["type"]);
    app.end().await;
}

#[tokio::test]
async fn a_save_replaces_and_the_mask_keeps_what_is_stored() {
    let app = App::new().await;
    let id = app.secret("s", json!({"A": "value-a", "B": "value-b", "C": "value-c"})).await;
    let path = format!("/secrets/{id}");
    let reply = app.admin("PUT", &path, keys("s", json!({"A": "[redacted]", "B": "new-b"}))).await.ok(200);
    assert_eq!((reply.json()["version"].as_u64(), &reply.headers[header::ETAG]), (Some(2), &"\"2\"".parse().unwrap()));
    assert_eq!(revealed(&app, &id).await, json!({"A": "value-a", "B": "new-b"}));
    app.admin("PUT", &path, keys("s", json!({"Z": "[redacted]"}))).await.refused(400, &["data.Z", "[redacted]"]);

    let patch = json!({"set": {"D": "value-d"}, "unset": ["B"], "name": "t"});
    assert_eq!(app.admin("PATCH", &path, patch).await.ok(200).json()["version"], 3);
    assert_eq!(revealed(&app, &id).await, json!({"A": "value-a", "D": "value-d"}));
    assert_eq!(app.admin("GET", &path, Value::Null).await.json()["name"], "t");
    app.admin("PATCH", &path, json!({"set": {"1": "x"}})).await.refused(400, &["1"]);
    app.admin("PATCH", &path, json!({"put": {}})).await.refused(400, &["put"]);

    let versions = app.admin("GET", &format!("{path}/versions"), Value::Null).await.ok(200);
    let numbers: Vec<_> =
        versions.json()["versions"].as_array().unwrap().iter().map(|v| v["version"].clone()).collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert!(!versions.body.contains("value-"));
    assert_eq!(
        app.admin("POST", &format!("{path}/rollback"), json!({"version": 1})).await.ok(200).json()["version"],
        4
    );
    assert_eq!(revealed(&app, &id).await, json!({"A": "value-a", "B": "value-b", "C": "value-c"}));
    for (body, status) in
        [(json!({"version": 9}), 404), (json!({"version": 0}), 404), (json!({}), 400), (json!({"version": "1"}), 400)]
    {
        app.admin("POST", &format!("{path}/rollback"), body).await.refused(status, &["version"]);
    }
    app.end().await;
}

#[tokio::test]
async fn a_stale_writer_is_refused_and_writes_nothing() {
    let app = App::new().await;
    let id = app.secret("s", json!({"A": "value-1"})).await;
    let path = app.path(&format!("/secrets/{id}"));
    let send = |method: &'static str, tag: &'static str, body: Value| {
        let request = app.request(Who::Admin, method, &path).header(header::IF_MATCH, tag);
        app.send(request.body(body.to_string().into()).unwrap())
    };
    send("PUT", "\"1\"", keys("s", json!({"A": "value-2"}))).await.ok(200);
    send("PUT", "\"1\"", keys("s", json!({"A": "value-3"}))).await.refused(412, &["version 1", "version 2"]);
    send("PATCH", "\"1\"", json!({"set": {"A": "value-3"}})).await.refused(412, &["version 2"]);
    assert_eq!(revealed(&app, &id).await, json!({"A": "value-2"}));
    send("PATCH", "\"2\"", json!({"set": {"A": "value-3"}})).await.ok(200);
    send("PUT", "*", keys("s", json!({"A": "value-4"}))).await.ok(200);
    for bad in ["2", "W/\"2\"", "\"two\"", "\"1\", \"2\"", "\"-1\""] {
        send("PUT", bad, keys("s", json!({"A": "value-5"}))).await.refused(400, &["If-Match"]);
    }
    assert_eq!(revealed(&app, &id).await, json!({"A": "value-4"}));
    app.end().await;
}

#[tokio::test]
async fn names_are_unique_and_unknown_ids_are_not_there() {
    let app = App::new().await;
    let first = app.secret("one", json!({"A": "value"})).await;
    let second = app.secret("two", json!({"A": "value"})).await;
    app.admin("POST", "/secrets", keys("one", json!({}))).await.refused(409, &["name"]);
    app.admin("PUT", &format!("/secrets/{second}"), keys("one", json!({}))).await.refused(409, &["name"]);
    app.admin("PATCH", &format!("/secrets/{second}"), json!({"name": "one"})).await.refused(409, &["name"]);

    let nothing = app.project.to_string();
    for (method, rest, body) in [
        ("GET", "", Value::Null),
        ("GET", "?reveal=true", Value::Null),
        ("PUT", "", keys("x", json!({}))),
        ("PATCH", "", json!({"set": {}})),
        ("DELETE", "", Value::Null),
        ("GET", "/versions", Value::Null),
        ("GET", "/usage", Value::Null),
        ("POST", "/rollback", json!({"version": 1})),
    ] {
        for id in [nothing.as_str(), "secret-1234567890"] {
            app.admin(method, &format!("/secrets/{id}{rest}"), body.clone()).await.refused(404, &["secret"]);
        }
    }
    assert_eq!(app.admin("DELETE", &format!("/secrets/{first}"), Value::Null).await.status, 204);
    app.admin("DELETE", &format!("/secrets/{first}"), Value::Null).await.refused(404, &[]);
    app.secret("one", json!({"A": "value"})).await;
    app.end().await;
}

#[tokio::test]
async fn a_secret_in_use_is_deleted_by_force_only() {
    let app = App::new().await;
    let id = app.secret("used", json!({"A": "value"})).await;
    app.made("/services", manifest("weather", json!({"secrets": [id]}))).await;
    let usage = app.admin("GET", &format!("/secrets/{id}/usage"), Value::Null).await.ok(200);
    assert!(usage.body.contains("weather"), "{}", usage.body);
    app.admin("DELETE", &format!("/secrets/{id}"), Value::Null).await.refused(409, &["weather", "force"]);
    app.admin("GET", &format!("/secrets/{id}"), Value::Null).await.ok(200);
    assert_eq!(app.admin("DELETE", &format!("/secrets/{id}?force=true"), Value::Null).await.status, 204);
    app.end().await;
}

#[tokio::test]
async fn a_pull_secret_is_tried_and_nothing_of_it_is_answered() {
    let app = App::new().await;
    // Nothing listens there, and it needs no name server.
    let server = "127.0.0.1:1";
    let of =
        json!({"server": server, "username": "u", "password": "value-of-password", "image": format!("{server}/a/b")});
    let reply = app.admin("POST", "/pull-secrets/test", of).await.ok(200);
    let answer = reply.json();
    assert_eq!((answer["ok"].as_bool(), answer["code"].as_str()), (Some(false), Some("refused_address")), "{answer}");
    assert!(!reply.body.contains("value-of-password") && !answer["hint"].as_str().unwrap().is_empty(), "{answer}");
    app.admin("POST", "/pull-secrets/test", json!({"image": "a", "pass": "x"})).await.refused(400, &["pass"]);
    app.end().await;
}

#[tokio::test]
async fn a_deleted_secret_can_be_restored_and_a_delete_says_what_follows() {
    let app = App::new().await;
    let id = app.secret("weather", json!({"API_KEY": "value-one-of-them"})).await;
    app.admin("PATCH", &format!("/secrets/{id}"), json!({"set": {"API_KEY": "value-two-of-them"}})).await.ok(200);
    app.made("/services", manifest("forecast", json!({"secrets": [id]}))).await;
    let usage = app.admin("GET", &format!("/secrets/{id}/usage"), Value::Null).await.ok(200).json();
    assert_eq!(usage["services"], json!(["forecast"]));
    let said = usage["after_delete"].to_string();
    assert!(said.contains("The next launch of forecast fails") && said.contains("can be restored until"), "{said}");
    let refused = app.admin("DELETE", &format!("/secrets/{id}"), Value::Null).await;
    refused.refused(409, &["forecast", "delete with force", "can be restored until"]);

    app.admin("DELETE", &format!("/secrets/{id}?force=true"), Value::Null).await.ok(204);
    app.admin("GET", &format!("/secrets/{id}"), Value::Null).await.refused(404, &[]);
    app.admin("GET", &format!("/secrets/{id}?reveal=true"), Value::Null).await.refused(404, &[]);
    assert_eq!(app.admin("GET", "/secrets", Value::Null).await.json()["secrets"], json!([]));
    let deleted = app.admin("GET", "/deleted-secrets", Value::Null).await.ok(200).json();
    let one = &deleted["secrets"][0];
    assert_eq!(
        (one["id"].as_str(), one["name"].as_str(), one["version"].as_u64()),
        (Some(&*id), Some("weather"), Some(2))
    );
    assert!(one["kept_until"].as_str() > one["deleted_at"].as_str(), "{one}");
    assert!(!deleted.to_string().contains("value-"), "{deleted}");

    // Its name may be another's by now.
    let other = app.secret("weather", json!({"API_KEY": "value-three-of-them"})).await;
    let restore = format!("/deleted-secrets/{id}/restore");
    app.admin("POST", &restore, json!({})).await.refused(409, &["weather", "another name"]);
    app.admin("POST", &restore, json!({"name": "not a name"})).await.refused(400, &["name"]);
    let item = app.admin("POST", &restore, json!({"name": "weather-again"})).await.ok(200).json();
    assert_eq!((item["name"].as_str(), item["version"].as_u64()), (Some("weather-again"), Some(2)));
    assert_eq!(item["used_by"], json!(["forecast"]), "the service names it as before");
    assert_eq!(revealed(&app, &id).await, json!({"API_KEY": "value-two-of-them"}));
    let versions = app.admin("GET", &format!("/secrets/{id}/versions"), Value::Null).await.ok(200).json();
    assert_eq!(versions["versions"].as_array().unwrap().len(), 2);
    app.admin("POST", &restore, json!({})).await.refused(404, &[]);
    app.admin("DELETE", &format!("/secrets/{other}"), Value::Null).await.ok(204);
    app.end().await;
}
