//! Section 1.5 and every body: bounds, types, malformed text; nothing of it is ever repeated.

use http::header;
use serde_json::json;

use crate::support::{App, Who, manifest};

const PLANTED: &str = "hunter2-planted-value";

#[tokio::test]
async fn malformed_json_says_where_and_repeats_nothing() {
    let app = App::new().await;
    let path = app.path("/secrets");
    for (body, words) in [
        (format!("{{\"name\":\"n\",\n \"data\": {{\"A\": \"{PLANTED}\" oops"), vec!["line 2", "column"]),
        (format!("{{\"name\":\"n\",\"type\":\"keys\",\"data\":\"{PLANTED}\"}}"), vec!["data", "must be", "line 1"]),
        (format!("{{\"name\":\"n\",\"type\":\"keys\",\"data\":{{\"A\":[\"{PLANTED}\"]}}}}"), vec!["data.A", "string"]),
        (format!("{{\"name\":\"n\",\"type\":\"keys\",\"{PLANTED}\":1}}"), vec!["not known"]),
        (format!("[\"{PLANTED}\"]"), vec!["object"]),
        (format!("\"{PLANTED}\""), vec!["object"]),
        (PLANTED.to_owned(), vec!["object"]),
        (String::new(), vec!["ends too early"]),
        (format!("{{\"name\":\"n\",\"type\":\"{PLANTED}\",\"data\":{{}}}}"), vec!["type", "keys"]),
        (format!("{{\"name\":\"n\",\"type\":\"keys\",\"data\":{{\"9 {PLANTED}\":\"{PLANTED}\"}}}}"), vec!["data"]),
        (format!("{{\"name\":\"n\",\"type\":\"keys\",\"data_base64\":\"{PLANTED}!\"}}"), vec!["data_base64"]),
    ] {
        let reply = app.call(Who::Admin, "POST", &path, body.clone()).await;
        reply.refused(400, &words);
        if !body.contains(&format!("9 {PLANTED}")) {
            assert!(!reply.body.contains("hunter2"), "{body} → {}", reply.body);
        }
    }
    let list = app.call(Who::Admin, "GET", &path, "").await.ok(200).json();
    assert_eq!(list, json!({"secrets": []}), "nothing was half saved");
    app.end().await;
}

#[tokio::test]
async fn a_body_over_a_mebibyte_is_refused_before_it_is_read() {
    let app = App::new().await;
    let huge = json!({"name": "n", "type": "keys", "data": {"A": "x".repeat(1 << 20)}}).to_string();
    app.call(Who::Admin, "POST", &app.path("/secrets"), huge.clone()).await.refused(413, &["too_large", "1048576"]);
    // A stranger's body is not even looked at.
    app.call(Who::Nobody, "POST", &app.path("/secrets"), huge.clone()).await.refused(401, &[]);
    app.call(Who::Stranger, "POST", &app.path("/secrets"), huge).await.refused(403, &[]);
    app.end().await;
}

#[tokio::test]
async fn the_content_type_must_fit() {
    let app = App::new().await;
    for (method, rest, kind) in [
        ("POST", "/secrets", "application/x-www-form-urlencoded"),
        ("POST", "/rooms", "text/plain"),
        ("POST", "/services", "text/yaml"),
    ] {
        let mut request = app.request(Who::Admin, method, &app.path(rest)).body("{}".into()).unwrap();
        request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
        app.send(request).await.refused(415, &["application/json"]);
    }
    let id = app.made("/services", manifest("w", json!({}))).await;
    app.admin("PUT", &format!("/services/{id}/manifest"), json!({})).await.refused(415, &["text/yaml"]);
    app.end().await;
}

#[tokio::test]
async fn methods_and_paths_that_are_not_there() {
    let app = App::new().await;
    let reply = app.call(Who::Admin, "PATCH", &app.path("/rooms"), "{}").await;
    assert_eq!(reply.refused(405, &["Allow"]), "wrong_method");
    assert_eq!(reply.headers[header::ALLOW], "GET,HEAD,POST");
    assert_eq!(app.call(Who::Admin, "GET", "/nothing", "").await.refused(404, &["openapi.json"]), "no_route");
    let head = app.call(Who::Admin, "HEAD", "/readyz", "").await.ok(200);
    assert!(head.body.is_empty());
    for rest in
        ["/rooms?limit=x", "/rooms?limit=0", "/rooms?limit=100000", "/rooms?order_by=age", "/secrets?detail=maybe"]
    {
        app.admin("GET", rest, serde_json::Value::Null).await.refused(400, &[]);
    }
    app.end().await;
}
