//! Values that occur nowhere else go through all that the product does, at its loudest; then they are looked for
//! everywhere. A hit is named by its place, never by its value.

use std::{fs, path::Path, process::Stdio};

use serde_json::{Value, json};

use crate::{
    canary_search::{Search, core},
    leftovers,
    process::{eventually, text},
    server::{Server, id, workload},
};

/// Shows its variables in every form that the redactor knows, byte by byte too, then stays or does what `THEN` says.
const SHOWS: &str = r#"
url() {
    printf %s "$1" | hexdump -v -e '1/1 "%02X\n"' | while read h; do
        case $h in
            3[0-9]|4[1-9A-F]|5[0-9A]|6[1-9A-F]|7[0-9A]|2D|2E|5F|7E) printf "\\x$h" ;;
            *) printf "%%$h" ;;
        esac
    done
    echo
}
env; set; export -p
for name in SINGLE PEM QUOTES OVER_A OVER_B PREFIX LONGER SEALED_TOKEN; do
    eval "value=\$$name"
    echo "$name=$value"
    for before in '' x xx; do printf '%s%s' "$before" "$value" | base64 -w 0; echo; done
    echo "$value" | base64
    url "$value"
    printf %s "$value" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e ':a;N;$!ba;s/\n/\\n/g'; echo
done
echo "$OVER_A$(printf %s "$OVER_B" | tail -c 24)" "$OVER_A$OVER_B" "$LONGER$PREFIX" >&2
echo all shown
eval "$THEN"
"#;

/// Shows all that can be seen from inside of a container that has no secret, again and again.
const LOOKS: &str = r#"
while :; do
    for file in /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/[0-9]*/mountinfo; do tr '\0' '\n' <$file; done
    find / -xdev -type f ! -path '/bin/*' -exec cat {} +
    find /tmp /dev /run /var -type f -exec cat {} +
    echo all seen; sleep 1
done 2>/dev/null
"#;

struct Canaries {
    cores: Vec<String>,
    env: String,
    /// Other values of the same entries, for later versions.
    newer: String,
    sealed: String,
    password: String,
    wrong: String,
    short: String,
}

impl Canaries {
    fn new() -> Self {
        let cores: Vec<String> = (0..14).map(|_| core()).collect();
        let of = |at: usize| cores[at].as_str();
        let [one, two, three, four, over_a, middle, over_b, begin, rest, newer, other, sealed, password, wrong] =
            std::array::from_fn(of);
        let short = format!("^~{}", &core()[..3]);
        let env = format!(
            "SINGLE={one}\nPEM='-----BEGIN KEY-----\n{two}{three}{two}{three}\n{three}\n-----END KEY-----\n'\n\
             QUOTES=\"say \\\"{four}\\\" it\\'s \\$HOME \\\\back é\u{1f600} %41 +/= {four}\"\n\
             OVER_A={over_a}{middle}\nOVER_B={middle}{over_b}\nPREFIX={begin}\nLONGER={begin}{rest}\nSHORT='{short}'\n"
        );
        let newer = format!("SINGLE={newer}\nPEM='line {other}\nsecond line {newer}\n'\n");
        let (sealed, password, wrong) = (sealed.to_owned(), password.to_owned(), wrong.to_owned());
        Self { env, newer, sealed, password, wrong, short, cores }
    }

    fn search(&self) -> Search {
        Search::new(&self.cores.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// A server of which every answer is kept.
struct Observed {
    server: Server,
    answers: Vec<(String, String)>,
}

impl Observed {
    /// A command that may fail, as people and as programs read it.
    fn does(&mut self, arguments: &[&str], input: &str) -> Value {
        let output = self.server.cli(&[arguments, &["--json"]].concat(), input);
        let said = text(&output.stdout) + &text(&output.stderr);
        self.answers.push((arguments.join(" "), said));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn looks(&mut self, session: &str) {
        for arguments in [
            &["secret", "list"][..],
            &["secret", "show", "keys"],
            &["secret", "versions", "keys"],
            &["secret", "show", "pull"],
            &["service", "list"],
            &["service", "show", "shows"],
            &["session", "list"],
            &["session", "show", session],
            &["session", "events", session],
            &["session", "logs", session, "shows"],
            &["session", "logs", session, "crashes"],
            &["audit", "list"],
            &["audit", "export"],
            &["audit", "verify"],
            &["key", "list"],
            &["room", "list"],
        ] {
            self.does(arguments, "");
            let plain = self.server.cli(arguments, "");
            self.answers.push((arguments.join(" "), text(&plain.stdout) + &text(&plain.stderr)));
        }
    }

    fn gets(&mut self, session: &str, secrets: &[String], services: &[String]) {
        let mut paths: Vec<String> =
            ["/metrics", "/openapi.json", "/accounts/projects", "{project}", "{project}/status"]
                .into_iter()
                .map(str::to_owned)
                .collect();
        for rest in ["secrets", "secrets?detail=true", "services", "sessions", "audit", "rooms", "api-keys"] {
            paths.push(format!("{{project}}/{rest}"));
        }
        for secret in secrets {
            paths.extend(["", "/versions", "/usage"].map(|rest| format!("{{project}}/secrets/{secret}{rest}")));
        }
        for service in services {
            paths.extend(["", "/manifest", "/restart"].map(|rest| format!("{{project}}/services/{service}{rest}")));
            paths.push(format!("{{project}}/sessions/{session}/services/{service}/logs"));
        }
        paths.extend(["", "/events"].map(|rest| format!("{{project}}/sessions/{session}{rest}")));
        for path in paths {
            self.answers.push((format!("GET {path}"), self.server.get(&path)));
        }
    }

    /// A project service; its id.
    fn service(&mut self, name: &str, container: Value) -> String {
        let manifest = json!({
            "version": "v1", "kind": "Service", "metadata": { "name": name }, "container": container,
        });
        id(&self.does(&["service", "create", "--file", "-"], &manifest.to_string()))
    }
}

fn container(image: &str, pull: &str, keys: &[&str], script: &str, then: &str, canaries: &Canaries) -> Value {
    let mut environment = vec![
        json!({ "name": "WHO", "value": if keys.is_empty() { "neighbour" } else { "bound" } }),
        json!({ "name": "SCRIPT", "value": script }),
        json!({ "name": "THEN", "value": then }),
    ];
    if !keys.is_empty() {
        environment.push(json!({ "name": "SEALED_TOKEN", "value": canaries.sealed }));
    }
    json!({
        "image": image, "pull_secret": pull, "secrets": keys, "environment": environment,
        "command": "sh -c 'eval \"$SCRIPT\"'",
    })
}

#[test]
fn values_are_nowhere_but_in_their_service() {
    let canaries = Canaries::new();
    let search = canaries.search();
    let mut observed = Observed { server: Server::with_arguments(&["--log", "trace"]), answers: Vec::new() };
    let (session, other, secrets, services) = launch(&mut observed, &canaries);
    exercise(&mut observed, &canaries, &session);
    observed.looks(&session);
    observed.gets(&session, &secrets, &services);
    let seen = said(&observed.server.log(&session, "looks"), "all seen");
    let neighbours = eventually("another look of the neighbours", || {
        let logs = [&session, &other].map(|session| observed.server.log(session, "looks"));
        if said(&logs[0], "all seen") > seen + 1 && said(&logs[1], "all seen") > 0 {
            Ok(logs)
        } else {
            Err(String::new())
        }
    });
    // The neighbours do look.
    assert!(neighbours.iter().all(|log| log.contains("WHO=neighbour") && log.contains("127.0.0.1")));
    everywhere(&observed, &canaries, &search, &session);
    for name in ["shows", "crashes", "pulls-wrong", "starts-wrong"] {
        observed.does(&["service", "delete", name], "");
    }
    observed.does(&["session", "terminate", "--all"], "");
    for name in ["keys", "pull", "wrong"] {
        observed.does(&["secret", "delete", name, "--force"], "");
    }
    everywhere(&observed, &canaries, &search, &session);
    observed.server.end();
}

/// How often a log has this line. The script that prints it is in the log too.
fn said(log: &str, line: &str) -> usize {
    log.lines().filter(|said| *said == line).count()
}

/// Services of all kinds, in two sessions.
fn launch(observed: &mut Observed, canaries: &Canaries) -> (String, String, Vec<String>, Vec<String>) {
    let host = observed.server.registry.host.clone();
    observed.server.registry.add_user("canary", &canaries.password);
    let keys = id(&observed.does(&["secret", "keys", "create", "keys", "--from-env-file", "-"], &canaries.env));
    let mut pull = |name: &str, password: &str| {
        let create =
            ["secret", "docker", "create", name, "--username", "canary", "--password-stdin", "--server", &host];
        id(&observed.does(&create, password))
    };
    let (good, wrong) = (pull("pull", &canaries.password), pull("wrong", &canaries.wrong));
    let image = observed.server.registry.image();
    let of =
        |pull: &str, keys: &[&str], script: &str, then: &str| container(&image, pull, keys, script, then, canaries);
    let mut unknown = of(&good, &[&keys], SHOWS, "");
    unknown["command"] = json!("no-such-program --flag");
    let floods = "while :; do echo \"$PEM$QUOTES\"; done";
    let services = [
        ("shows", of(&good, &[&keys], SHOWS, "trap 'exit 0' TERM; while :; do sleep 0.1; done")),
        ("crashes", of(&good, &[&keys], SHOWS, "exit 3")),
        ("floods", of(&good, &[&keys], floods, "")),
        ("pulls-wrong", of(&wrong, &[&keys], SHOWS, "")),
        ("starts-wrong", unknown),
        ("looks", of(&good, &[], LOOKS, "")),
    ];
    let services = services.map(|(name, container)| observed.service(name, container)).to_vec();
    let (session, other) = (observed.server.launch("lobby"), observed.server.launch("other"));
    (session, other, vec![keys, good, wrong], services)
}

/// Logs, a crash, restarts, changes of all kinds; what fails does so as it should.
fn exercise(observed: &mut Observed, canaries: &Canaries, session: &str) {
    let server = &observed.server;
    let mut follow = server.command(&["session", "logs", session, "shows", "-f"]);
    let follow = follow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command line starts");
    server.until(session, "the failures", |session| {
        let code = |name: &str| workload(session, name)["reason"]["code"].clone();
        workload(session, "crashes")["restarts"].as_u64() > Some(0)
            && (code("pulls-wrong"), code("starts-wrong")) == (json!("wrong_credential"), json!("unknown_command"))
    });
    let shown = eventually("all forms", || {
        let log = observed.server.log(session, "shows");
        if said(&log, "all shown") > 0 { Ok(log) } else { Err("not yet".to_owned()) }
    });
    let marks = shown.matches("[redacted]").count();
    assert!(marks > 60, "only {marks} are redacted");
    assert!(shown.contains(&canaries.short), "a short value is left alone");
    for (arguments, input) in [
        (&["secret", "keys", "update", "keys", "--from-env-file", "-"][..], canaries.newer.as_str()),
        (&["session", "restart", session, "shows"], ""),
        (&["session", "restart", session, "floods"], ""),
        (&["secret", "keys", "update", "keys", "--from-env-file", "-", "--replace"], &canaries.env),
        (&["secret", "rollback", "keys", "2"], ""),
        (&["secret", "keys", "update", "keys", "--unset", "QUOTES"], ""),
        // Refused, each in its way.
        (&["secret", "keys", "create", "keys", "--from-env-file", "-"], &canaries.env),
        (&["secret", "keys", "create", "bad", "--from-env-file", "-"], &canaries.env.replace("PEM=", "P-M=")),
        (&["secret", "delete", "keys"], ""),
    ] {
        observed.does(arguments, input);
    }
    observed.server.until(session, "the restart", |session| {
        let workload = workload(session, "shows");
        workload["state"] == "ready" && workload["secrets"][0]["version"] != 1
    });
    observed.does(&["session", "restart", session, "shows"], "");
    observed.server.until(session, "readiness", |session| workload(session, "shows")["state"] == "ready");
    let image = observed.server.registry.image();
    assert_eq!(observed.does(&["secret", "test", "pull", &image], "")["code"], "ok");
    assert_eq!(observed.does(&["secret", "test", "wrong", &image], "")["code"], "wrong_credential");
    let environment = observed.does(&["service", "environment", "shows"], "");
    assert!(environment["variables"].to_string().contains("SEALED_TOKEN"), "{environment}");
    assert!(observed.does(&["service", "pin", "shows"], "")["container"]["image"].to_string().contains("@sha256:"));
    observed.does(&["service", "unpin", "shows"], "");
    assert_eq!(observed.does(&["service", "restart", "shows"], "")["state"], "done");
    kill_followers(observed, follow);
}

fn kill_followers(observed: &mut Observed, mut follow: std::process::Child) {
    follow.kill().expect("our own child can be ended");
    let output = follow.wait_with_output().expect("a child can be waited for");
    assert!(said(&text(&output.stdout), "all shown") > 0, "nothing was followed");
    observed.answers.push(("session logs -f".to_owned(), text(&output.stdout) + &text(&output.stderr)));
}

/// The search itself, with all that it may find.
fn everywhere(observed: &Observed, canaries: &Canaries, search: &Search, session: &str) {
    let server = &observed.server;
    let mut found: Vec<String> = Vec::new();
    for (what, answer) in &observed.answers {
        if search.finds(answer) || answer.contains(&canaries.short) && !what.contains("logs") {
            found.push(format!("the answer to `{what}`"));
            found.extend(search.hidden(answer));
        }
    }
    let said = server.said();
    if search.finds(&said) || said.contains(&canaries.short) {
        found.push("the server's log".to_owned());
    }
    found.extend(search.under(&server.data_dir()).iter().map(|path| path.display().to_string()));
    for dir in ["/tmp", "/var", "/run", "/dev/shm"] {
        found.extend(search.changed_under(Path::new(dir)).iter().map(|path| path.display().to_string()));
    }
    found.extend(search.processes("cmdline").iter().map(|pid| format!("arguments of process {pid}")));
    let holders = search.processes("environ");
    let is_bound = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        // One that is gone meanwhile was one of theirs or is not there to be asked.
        environment.is_empty() || environment.split(|byte| *byte == 0).any(|entry| entry == b"WHO=bound")
    };
    found.extend(holders.iter().filter(|pid| !is_bound(pid)).map(|pid| format!("environment of process {pid}")));
    if !leftovers::processes(session).is_empty() {
        assert!(!holders.is_empty(), "the search does not even find the service");
    }
    assert!(found.is_empty(), "values are in: {found:#?}");
}
