//! Services that are hosted elsewhere: called at the start of a session, and nowhere that the operator did not open.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    time::Duration,
};

use serde_json::Value;

use crate::{participant::Participant, process::eventually, server::Server};

fn external(server: &Server, name: &str, url: &str) {
    let manifest = format!(
        "version: v1\nkind: Service\nmetadata: {{ name: {name} }}\nexternal: {{ url: '{url}' }}\n\
         ports: [{{ num: 443, endpoints: [{{ path: /agent, meshagent: {{ identity: {name}-bot }} }}] }}]\n"
    );
    server.ok(&["service", "create", "--file", "-"], &manifest);
}

/// The event of a service's call.
fn called(server: &Server, session: &str, service: &str) -> Value {
    eventually("the call", || {
        let answer = server.get(&format!("{{project}}/sessions/{session}/events"));
        let (_, body) = answer.split_once("\r\n\r\n").expect("headers and a body");
        let body: Value = serde_json::from_str(body).expect("it is JSON");
        let events = body["events"].as_array().expect("a list");
        let found =
            events.iter().find(|event| event["data"]["service"] == service && event["data"]["path"] == "/agent");
        found.cloned().ok_or_else(|| body.to_string())
    })
}

#[tokio::test]
async fn a_service_elsewhere_is_called_with_a_token_and_private_addresses_are_not() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let (open_at, closed_at) = (open.local_addr().unwrap(), closed.local_addr().unwrap());
    closed.set_nonblocking(true).unwrap();
    let mut server = Server::with_arguments(&["--insecure-registry", &open_at.to_string()]);
    external(&server, "open", &format!("http://{open_at}/base/"));
    external(&server, "plain", &format!("http://{closed_at}"));
    external(&server, "private", &format!("https://{closed_at}"));
    let session = server.launch("lobby");

    let (stream, _) = open.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(said) = line.to_lowercase().strip_prefix("content-length:") {
            length = said.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /base/agent HTTP/1.1\r\n"), "{head}");
    let call: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&call["event"], &call["data"]["room_name"]), (&"room.call".into(), &"lobby".into()));
    assert_eq!(call["data"]["room_url"], format!("{}/rooms/lobby", server.url().replace("http", "ws")));
    let token = call["data"]["token"].as_str().expect("a token");
    let mut bot = Participant::join(&server, "lobby", token).await;
    assert_eq!(bot.ask("services.list", serde_json::json!({})).await["type"], "json");
    assert_eq!(called(&server, &session, "open")["data"]["status"], 204);

    for (service, why) in [("plain", "plain http"), ("private", "not dialled")] {
        let event = called(&server, &session, service);
        assert_eq!(event["type"], "endpoint.failed", "{event}");
        assert!(event["data"]["message"].as_str().is_some_and(|said| said.contains(why)), "{event}");
    }
    assert!(closed.accept().is_err(), "nobody came");
    drop(bot);
    server.end();
}
