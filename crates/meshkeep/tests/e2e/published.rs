//! Ports that services publish, through the server, to real processes.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use crate::{
    participant::token,
    process::{eventually, run, text},
    server::Server,
};

/// What is answered to a GET: status line, headers and body.
fn get(server: &Server, path: &str, headers: &[String]) -> String {
    let mut config = format!("url = \"{}{path}\"\n", server.url());
    for header in headers {
        config.push_str(&format!("header = \"{header}\"\n"));
    }
    text(&run(Command::new("curl").args(["-sS", "-i", "--path-as-is", "-K", "-"]), &config).stdout)
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {answer}"))
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

#[test]
fn a_published_port_is_reached_with_a_token_of_its_room_only() {
    let mut server = Server::new();
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    let manifest = |name: &str, port: &str, container: &str| {
        format!(
            "version: v1\nkind: Service\nmetadata: {{ name: {name} }}\nports: [{port}]\ncontainer:\n  image: {image}\n  \
             pull_secret: {pull}\n{container}"
        )
    };
    let published = "{ num: 8000, type: http, liveness: /healthz, published: true }";
    let public = "{ num: 8000, type: http, liveness: /healthz, published: true, public: true }";
    let hidden = "{ num: 8000, type: http, liveness: /healthz }";
    // It repeats what it is asked, and answers with headers that would speak for the whole origin.
    let echo = "printf \"HTTP/1.1 200 OK\\r\\nContent-Type: text/html\\r\\nSet-Cookie: meshkeep_studio=stolen\\r\\n\
                Set-Cookie: own=1\\r\\nClear-Site-Data: *\\r\\nService-Worker-Allowed: /\\r\\nConnection: close\\r\\n\\r\\n\"; \
                while read -r line; do case $line in [a-zA-Z]*) echo \"$line\" ;; *) exit 0 ;; esac; done";
    let socket = "printf \"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: echo\\r\\nConnection: Upgrade\\r\\n\\r\\n\"; \
                  while read -r line; do case $line in [a-zA-Z]*) ;; *) break ;; esac; done; exec cat";
    let listens = |script: &str| {
        let script = script.replace('\\', "\\\\").replace('"', "\\\"");
        format!(
            "  command: \"sh -c 'trap \\\"exit 0\\\" TERM; nc -ll -p 9000 -e sh -c \\\"$SCRIPT\\\" & wait'\"\n  environment: [{{ name: SCRIPT, value: \"{script}\" }}]\n"
        )
    };
    let at_9000 = "{ num: 9000, type: http, published: true }";
    for (name, port, container) in [
        ("shown", published, String::new()),
        ("open", public, String::new()),
        ("hidden", hidden, String::new()),
        ("repeats", at_9000, listens(echo)),
        ("switches", at_9000, listens(socket)),
    ] {
        server.ok(&["service", "create", "--file", "-"], &manifest(name, port, &container));
    }
    server.ok(&["session", "launch", "lobby", "--wait", "--timeout", "60"], "");
    let session = server.launch("lobby");
    server.launch("other");
    let (own, others) = (token(&server, "lobby"), token(&server, "other"));

    let at = |service: &str, rest: &str| format!("/rooms/lobby/services/{service}/ports/{rest}");
    let healthy = get(&server, &at("shown", "8000/healthz"), &[bearer(&own)]);
    assert_eq!(status(&healthy), 200, "{healthy}");
    assert!(healthy.contains("content-security-policy: sandbox "), "{healthy}");
    assert_eq!(status(&get(&server, &at("open", "8000/healthz"), &[])), 200);
    let key = server.key().to_owned();
    for (path, headers, expected) in [
        (at("shown", "8000/healthz"), vec![], 401),
        (at("shown", "8000/healthz"), vec![bearer("nonsense")], 401),
        (at("shown", "8000/healthz"), vec![bearer(&others)], 403),
        (at("hidden", "8000/healthz"), vec![bearer(&own)], 404),
        (at("shown", "8001/"), vec![bearer(&own)], 404),
        (at("nothing", "8000/"), vec![bearer(&own)], 404),
        ("/rooms/nowhere/services/shown/ports/8000/healthz".to_owned(), vec![bearer(&own)], 403),
    ] {
        let answer = get(&server, &path, &headers);
        assert_eq!(status(&answer), expected, "{path} with {headers:?}: {answer}");
    }

    let asked = [bearer(&own), "Cookie: a=1; meshkeep_studio=mine".to_owned(), "X-Kept: yes".to_owned()];
    let repeated = eventually("an answer", || {
        let answer = get(&server, &at("repeats", "9000/a%20b/../c?q=%2F"), &asked);
        if status(&answer) == 200 { Ok(answer) } else { Err(answer) }
    });
    let (head, body) = repeated.split_once("\r\n\r\n").expect("headers and a body");
    let (head, body) = (head.to_lowercase(), body.to_lowercase());
    assert!(body.contains("get /a%20b/../c?q=%2f http/1.1"), "{body}");
    assert!(body.contains("x-kept: yes") && body.contains("cookie: a=1\r"), "{body}");
    assert!(!body.contains(&own.to_lowercase()) && !body.contains("mine"), "a credential reached the service: {body}");
    assert!(head.contains("set-cookie: own=1") && !head.contains("stolen"), "{head}");
    assert!(!head.contains("clear-site-data") && !head.contains("service-worker-allowed"), "{head}");
    assert!(!get(&server, &at("repeats", "9000/"), &[bearer(&key)]).contains(" 200 "), "a key is no token");

    let path = at("switches", "9000/");
    // A service is ready before it listens.
    let mut stream = eventually("the switch of protocols", || {
        let mut stream = TcpStream::connect(server.url().trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\n{}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
            bearer(&own)
        )
        .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = text(&head);
        if status(&head) == 101 { Ok(stream) } else { Err(head) }
    });
    stream.write_all(b"there\0 and back").unwrap();
    let mut back = [0; 15];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"there\0 and back");
    drop(stream);

    server.ok(&["session", "terminate", "lobby"], "");
    assert_eq!(server.session(&session)["state"], "ended");
    assert_eq!(status(&get(&server, &at("shown", "8000/healthz"), &[bearer(&own)])), 404, "nothing is there any more");
    server.end();
}
