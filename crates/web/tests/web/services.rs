//! Sections 5 and 11: services of a project and of a room.

use axum::body::Body;
use http::header;
use serde_json::{Value, json};

use crate::support::{App, IMAGE, Reply, Who, manifest};

#[tokio::test]
async fn a_manifest_comes_back_with_its_id_and_without_what_is_not_set() {
    let app = App::new().await;
    let mut full = manifest("weather", json!({"environment": null, "secrets": null, "command": "serve 'a b'"}));
    full["id"] = Value::Null;
    full["external"] = Value::Null;
    full["ports"] = json!([]);
    let made = app.admin("POST", "/services", full).await.ok(201).json();
    let id = made["id"].as_str().unwrap().to_owned();
    let expected = json!({
        "version": "v1", "kind": "Service", "id": id, "metadata": {"name": "weather"},
        "container": {"image": IMAGE, "command": "serve 'a b'"},
    });
    assert_eq!(made, expected);
    assert_eq!(app.admin("GET", "/services", Value::Null).await.ok(200).json(), json!({"services": [expected]}));
    assert_eq!(app.admin("GET", &format!("/services/{id}"), Value::Null).await.ok(200).json(), expected);

    let mut changed = expected.clone();
    changed["container"]["command"] = json!("other");
    assert_eq!(app.admin("PUT", &format!("/services/{id}"), changed.clone()).await.ok(200).json(), changed);
    assert_eq!(app.admin("DELETE", &format!("/services/{id}"), Value::Null).await.status, 204);
    app.admin("GET", &format!("/services/{id}"), Value::Null).await.refused(404, &["service"]);
    app.end().await;
}

#[tokio::test]
async fn what_a_manifest_cannot_be_is_named() {
    let app = App::new().await;
    let of = |member: &str, value: Value| manifest("w", json!({member: value}));
    let mut both = manifest("w", json!({}));
    both["external"] = json!({"url": "http://x"});
    let mut neither = both.clone();
    neither.as_object_mut().unwrap().retain(|name, _| !["container", "external"].contains(&name.as_str()));
    let mut port = manifest("w", json!({}));
    port["ports"] = json!([{"num": 0}]);
    let mut unknown_top = manifest("w", json!({}));
    unknown_top["imaeg"] = json!("x");
    for (body, words) in [
        (both, vec!["external"]),
        (neither, vec!["container"]),
        (port, vec!["ports[0].num"]),
        (unknown_top, vec!["imaeg"]),
        (json!({"kind": "Service", "metadata": {"name": "w"}}), vec!["version"]),
        (json!({"version": "v2", "kind": "Service", "metadata": {"name": "w"}}), vec!["version", "v1"]),
        (json!({"version": "v1", "kind": "Service", "metadata": {}}), vec!["metadata", "name"]),
        (of("comand", json!("x")), vec!["container", "comand"]),
        (of("image", json!("")), vec!["container.image"]),
        (of("image", json!("UPPER/x")), vec!["container.image"]),
        (of("command", json!("a 'b")), vec!["container.command"]),
        (of("working_dir", json!("relative")), vec!["container.working_dir"]),
        (of("environment", json!([{"name": "9", "value": "x"}])), vec!["container.environment[0].name"]),
        (of("environment", json!([{"name": "A"}])), vec!["container.environment[0]"]),
        (of("secrets", json!(["weather-api"])), vec!["container.secrets[0]"]),
        (of("api_key", json!({"role": "user", "name": "k"})), vec!["container.api_key.role", "admin"]),
        (of("storage", json!({"room": [{"path": "x"}]})), vec!["container.storage.room[0].path"]),
        (
            of("storage", json!({"images": [{"path": "/x", "image": "UPPER/x"}]})),
            vec!["container.storage.images[0].image"],
        ),
        (
            of("environment", json!([{"name": "A", "token": {"identity": ""}}])),
            vec!["container.environment[0].token.identity"],
        ),
        (of("storage", json!({"empty_dirs": [{"path": "/proc/x"}]})), vec!["container.storage.empty_dirs[0].path"]),
        (of("storage", json!({"files": [{"path": "x", "text": ""}]})), vec!["container.storage.files[0].path"]),
        (manifest("we ather", json!({})), vec!["metadata.name"]),
    ] {
        app.admin("POST", "/services", body).await.refused(400, &words);
    }
    assert_eq!(app.admin("GET", "/services", Value::Null).await.json(), json!({"services": []}));
    app.end().await;
}

#[tokio::test]
async fn references_are_checked_by_id_and_kind() {
    let app = App::new().await;
    let (keys, pull) = (app.secret("k", json!({"A": "value"})).await, app.pull_secret("p").await);
    let unknown = app.project.to_string();
    for (container, words) in [
        (json!({"secrets": [keys, unknown]}), vec!["container.secrets[1]", &unknown]),
        (json!({"secrets": [pull]}), vec!["container.secrets[0]", &pull]),
        (json!({"pull_secret": keys}), vec!["container.pull_secret", &keys]),
        (json!({"pull_secret": unknown}), vec!["container.pull_secret", &unknown]),
    ] {
        app.admin("POST", "/services", manifest("w", container)).await.refused(400, &words);
    }
    let id = app.made("/services", manifest("w", json!({"secrets": [keys], "pull_secret": pull}))).await;
    let spec = app.admin("GET", &format!("/services/{id}"), Value::Null).await.ok(200).json();
    assert_eq!(spec["container"]["secrets"], json!([keys]));

    app.made("/rooms", json!({"name": "lobby"})).await;
    for container in [json!({"secrets": [keys]}), json!({"pull_secret": pull})] {
        let reply = app.admin("POST", "/rooms/lobby/services", manifest("w", container)).await;
        reply.refused(400, &["project service"]);
    }
    app.end().await;
}

#[tokio::test]
async fn binding_and_editing_what_is_bound_need_the_bind_right() {
    let app = App::new().await;
    let keys = app.secret("k", json!({"A": "value"})).await;
    let bound = manifest("bound", json!({"secrets": [keys]})).to_string();
    let free = manifest("free", json!({})).to_string();
    let services = app.path("/services");
    app.call(Who::DeveloperWithoutBind, "POST", &services, bound.clone()).await.refused(403, &["bind"]);
    let free_id = app.call(Who::DeveloperWithoutBind, "POST", &services, free.clone()).await.ok(201).json();
    let free_path = format!("{services}/{}", free_id["id"].as_str().unwrap());
    let bound_id = app.call(Who::Developer, "POST", &services, bound.clone()).await.ok(201).json();
    let bound_path = format!("{services}/{}", bound_id["id"].as_str().unwrap());

    let now_bound = manifest("free", json!({"secrets": [keys]})).to_string();
    let unbound = manifest("bound", json!({})).to_string();
    let other_image = manifest("bound", json!({"secrets": [keys], "image": "127.0.0.1:1/evil:1"})).to_string();
    for (path, body) in [(&free_path, &now_bound), (&bound_path, &unbound), (&bound_path, &other_image)] {
        app.call(Who::DeveloperWithoutBind, "PUT", path, body.clone()).await.refused(403, &["bind"]);
    }
    let yaml = app.request(Who::DeveloperWithoutBind, "PUT", &format!("{bound_path}/manifest"));
    let mut yaml = yaml.body(other_image.into()).unwrap();
    yaml.headers_mut().insert(header::CONTENT_TYPE, "text/yaml".parse().unwrap());
    app.send(yaml).await.refused(403, &["bind"]);
    app.call(Who::DeveloperWithoutBind, "PUT", &free_path, free).await.ok(200);
    app.call(Who::Developer, "PUT", &bound_path, unbound).await.ok(200);
    app.end().await;
}

#[tokio::test]
async fn names_are_unique_within_their_scope() {
    let app = App::new().await;
    app.made("/rooms", json!({"name": "lobby"})).await;
    let first = app.made("/services", manifest("weather", json!({}))).await;
    let other = app.made("/services", manifest("clock", json!({}))).await;
    app.admin("POST", "/services", manifest("weather", json!({}))).await.refused(409, &["name"]);
    app.admin("PUT", &format!("/services/{other}"), manifest("weather", json!({}))).await.refused(409, &["name"]);
    let in_room = app.made("/rooms/lobby/services", manifest("weather", json!({}))).await;
    app.admin("POST", "/rooms/lobby/services", manifest("weather", json!({}))).await.refused(409, &["name"]);

    app.admin("GET", &format!("/rooms/lobby/services/{first}"), Value::Null).await.refused(404, &["service"]);
    app.admin("GET", &format!("/services/{in_room}"), Value::Null).await.refused(404, &["service"]);
    app.admin("DELETE", &format!("/services/{in_room}"), Value::Null).await.refused(404, &["service"]);
    for (method, body) in [("GET", Value::Null), ("POST", manifest("x", json!({})))] {
        app.admin(method, "/rooms/nowhere/services", body).await.refused(404, &["room"]);
    }
    app.end().await;
}

/// Its obscure value is used under a name that does not say that it is one.
const TEMPLATE: &str = "version: v1\nkind: ServiceTemplate\nmetadata: {name: 'w-{{ city }}'}\nvariables:\n- {name: city}\n\
                        - {name: word, obscure: true}\ncontainer:\n  image: 127.0.0.1:1/acme/weather:1\n  environment:\n  \
                        - {name: CITY, value: '{{ city }}'}\n  - {name: LOGIN, value: '{{ word }}'}\n";

#[tokio::test]
async fn templates_become_services_and_show_no_obscure_value() {
    let app = App::new().await;
    app.made("/rooms", json!({"name": "lobby"})).await;
    let write = |city: &str| json!({"template": TEMPLATE, "values": {"city": city, "word": "hunter2"}});
    let rendered = app.call(Who::Developer, "POST", "/templates/render", write("oslo").to_string()).await.ok(200);
    assert_eq!(rendered.json()["kind"], "ServiceTemplate");
    assert!(!rendered.body.contains("hunter2"));
    for all in ["/services", "/rooms/lobby/services"] {
        let made = app.admin("POST", all, write("oslo")).await.ok(201);
        let one = format!("{all}/{}", made.json()["id"].as_str().unwrap());
        let changed = app.admin("PUT", &one, write("rome")).await.ok(200);
        assert_eq!(changed.json()["metadata"]["name"], "w-rome");
        let read = app.admin("GET", &one, Value::Null).await.ok(200);
        let listed = app.admin("GET", all, Value::Null).await.ok(200);
        let manifest =
            app.admin("GET", &format!("/services/{}/manifest", one.rsplit('/').next().unwrap()), Value::Null).await;
        for reply in [&made, &changed, &read, &listed, &manifest] {
            assert!(!reply.body.contains("hunter2"), "{}", reply.body);
        }
        let spec = read.json();
        assert_eq!(spec["container"]["environment"][1]["value"], "[redacted]");
        let annotations = &spec["metadata"]["annotations"];
        assert_eq!(annotations["meshagent.service.template.values"], r#"{"city":"rome"}"#);
        assert_eq!(annotations["meshkeep.sealed"], "LOGIN");
        // What was sealed stays so, also when the word for it is lost on the way.
        let mut written = spec.clone();
        written["metadata"]["annotations"] = json!({});
        let kept = app.admin("PUT", &one, written).await.ok(200);
        assert_eq!(kept.json()["container"]["environment"][1]["value"], "[redacted]");
        assert!(!app.admin("GET", &one, Value::Null).await.ok(200).body.contains("hunter2"));
    }
    let shown = TEMPLATE.replace("value: '{{ city }}'", "value: x").replace("w-{{ city }}", "w-{{ word }}");
    let refused = app.admin("POST", "/services", json!({"template": shown, "values": {"word": "hunter2"}})).await;
    assert!(refused.refused(400, &["values.word"]) == "invalid" && !refused.body.contains("hunter2"));
    app.end().await;
}

#[tokio::test]
async fn clients_of_one_era_get_a_projects_service_as_a_text() {
    let app = App::new().await;
    app.made("/rooms", json!({"name": "lobby"})).await;
    let at = |rest: &str| format!("/compat/0.28{}", app.path(rest));
    let spec = |name: &str| manifest(name, json!({})).to_string();
    let text = |reply: &Reply| -> Value { serde_json::from_str(reply.json().as_str().expect("a text")).unwrap() };
    let made = app.call(Who::Admin, "POST", &at("/services"), spec("a")).await.ok(201);
    let id = text(&made)["id"].as_str().unwrap().to_owned();
    let changed = app.call(Who::Admin, "PUT", &at(&format!("/services/{id}")), spec("b")).await.ok(200);
    assert_eq!(text(&changed)["metadata"]["name"], "b");
    let write = json!({"template": TEMPLATE, "values": {"city": "oslo"}}).to_string();
    let rendered = app.call(Who::Admin, "POST", "/compat/0.28/templates/render", write).await.ok(200);
    assert_eq!(text(&rendered)["kind"], "ServiceTemplate");
    // All else is as it is elsewhere; so is a refusal.
    let read = app.call(Who::Admin, "GET", &at(&format!("/services/{id}")), Body::empty()).await.ok(200);
    assert_eq!(read.json()["metadata"]["name"], "b");
    let in_room = app.call(Who::Admin, "POST", &at("/rooms/lobby/services"), spec("c")).await.ok(201);
    assert_eq!(in_room.json()["metadata"]["name"], "c");
    app.call(Who::Admin, "POST", &at("/services"), "{}").await.refused(400, &["lacks"]);
    app.call(Who::Nobody, "POST", &at("/services"), spec("d")).await.refused(401, &[]);
    assert_eq!(app.made("/services", manifest("e", json!({}))).await.len(), 36, "a plain object at the root");
    app.end().await;
}

#[tokio::test]
async fn a_key_of_the_api_takes_an_admin_and_a_participants_secret_the_bind_right() {
    let app = App::new().await;
    let key = json!({"api_key": {"role": "admin", "name": "k"}});
    let secret = json!({"environment": [{"name": "A", "secret": {"identity": "alice", "id": "x"}}]});
    let token = json!({"environment": [{"name": "A", "token": {"identity": "agent"}}]});
    for (who, container, status) in [
        (Who::DeveloperWithoutBind, &key, 403),
        (Who::Developer, &key, 403),
        (Who::Admin, &key, 201),
        (Who::DeveloperWithoutBind, &secret, 403),
        (Who::Developer, &secret, 201),
        (Who::DeveloperWithoutBind, &token, 201),
    ] {
        let body = manifest(&format!("{who:?}-{status}-{}", container.to_string().len()), container.clone());
        let reply = app.call(who, "POST", &app.path("/services"), body.to_string()).await;
        assert_eq!(reply.status, status, "{who:?} {container}: {}", reply.body);
    }
    app.made("/rooms", json!({"name": "lobby"})).await;
    for (container, member) in [
        (key, "container.api_key"),
        (json!({"storage": {"project": [{"path": "/x", "read_only": false}]}}), "container.storage.project"),
    ] {
        app.admin("POST", "/rooms/lobby/services", manifest("r", container))
            .await
            .refused(400, &[member, "room service"]);
    }
    app.end().await;
}

#[tokio::test]
async fn a_manifest_travels_as_yaml() {
    let app = App::new().await;
    let id = app.made("/services", manifest("w", json!({"environment": [{"name": "A", "value": "yes"}]}))).await;
    let rest = format!("/services/{id}/manifest");
    let read = app.admin("GET", &rest, Value::Null).await.ok(200);
    assert_eq!(read.headers[header::CONTENT_TYPE], "text/yaml; charset=utf-8");
    assert!(read.body.contains("kind: Service"), "{}", read.body);

    let put = async |text: String| {
        let mut request = app.request(Who::Admin, "PUT", &app.path(&rest)).body(text.into()).unwrap();
        request.headers_mut().insert(header::CONTENT_TYPE, "text/yaml".parse().unwrap());
        app.send(request).await
    };
    put(read.body.clone()).await.ok(200);
    assert_eq!(app.admin("GET", &rest, Value::Null).await.body, read.body, "what was read can be written back");
    let broken = read.body.replace("image:", "imaeg:");
    put(broken).await.refused(400, &["imaeg", "line"]);
    put("container: [hunter2".to_owned()).await.refused(400, &["line"]);
    let planted = put(read.body.replace("image: ", "image: [hunter2, ")).await;
    planted.refused(400, &["line"]);
    assert!(!planted.body.contains("hunter2"));
    app.end().await;
}

#[tokio::test]
async fn secret_like_environment_values_are_kept_and_not_shown() {
    let app = App::new().await;
    let environment = json!([{"name": "API_TOKEN", "value": "hunter2-x"}, {"name": "MODE", "value": "fast"}]);
    let made = app.admin("POST", "/services", manifest("w", json!({"environment": environment}))).await.ok(201);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let one = format!("/services/{id}");
    let replies = [
        made,
        app.admin("GET", &one, Value::Null).await,
        app.admin("GET", "/services", Value::Null).await,
        app.admin("GET", &format!("{one}/manifest"), Value::Null).await,
    ];
    for reply in replies {
        assert!(!reply.body.contains("hunter2") && reply.body.contains("[redacted]"), "{}", reply.body);
        assert!(reply.body.contains("fast"));
    }
    let shown = app.admin("GET", &one, Value::Null).await.json();
    app.admin("PUT", &one, shown).await.ok(200);
    let fresh = manifest("v", json!({"environment": [{"name": "API_TOKEN", "value": "[redacted]"}]}));
    app.admin("POST", "/services", fresh).await.refused(400, &["container.environment[0].value"]);
    app.end().await;
}
