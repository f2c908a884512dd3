//! `meshkeep serve` on a data directory of its own, and the command line against it.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    disk::Disk,
    leftovers,
    process::{Running, crash, eventually, run, text},
    registry::{PASSWORD, Registry, USER},
};

pub struct Server {
    pub registry: Registry,
    /// Further arguments of `serve`.
    pub arguments: Vec<String>,
    /// Variables of `serve` and of the commands of the operator.
    pub environment: Vec<(String, String)>,
    /// What it is started with.
    pub umask: &'static str,
    /// Another release than the one under test, where that is wanted.
    pub release: PathBuf,
    listen: String,
    key: String,
    project: String,
    url: String,
    program: Option<Running>,
    said_before: String,
    sessions: Vec<String>,
    dir: TempDir,
}

impl Server {
    /// Initialised and serving, with a registry beside it.
    pub fn new() -> Self {
        Self::with_arguments(&[])
    }

    pub fn with_arguments(arguments: &[&str]) -> Self {
        Self::listening("127.0.0.1:0", arguments)
    }

    /// At an address that stays the same over ends, unless its port is 0.
    pub fn listening(listen: &str, arguments: &[&str]) -> Self {
        let mut server = Self::initialised(listen, &[], Vec::new());
        server.arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        server.start();
        server
    }

    /// Initialised and serving, with all that it keeps on this disk.
    pub fn on(disk: &Disk) -> Self {
        let dir = tempfile::tempdir_in(disk.path()).expect("the disk can be written");
        let mut server = Self::made(program(), dir, "127.0.0.1:0", &[], Vec::new());
        server.start();
        server
    }

    /// Of an earlier release: initialised and serving, and used with its own command line.
    pub fn of(release: PathBuf) -> Self {
        let mut server = Self::made(release, temporary(), "127.0.0.1:0", &[], Vec::new());
        server.start();
        server
    }

    /// Made with these arguments of `init`, and not serving yet.
    pub fn initialised(listen: &str, arguments: &[&str], environment: Vec<(String, String)>) -> Self {
        Self::made(program(), temporary(), listen, arguments, environment)
    }

    fn made(
        release: PathBuf,
        dir: TempDir,
        listen: &str,
        arguments: &[&str],
        environment: Vec<(String, String)>,
    ) -> Self {
        let mut init = Command::new(&release);
        init.current_dir(dir.path()).args(["init", "--data-dir", "data", "--json"]).args(arguments);
        init.envs(environment.iter().map(|(name, value)| (name, value)));
        let output = run(&mut init, "");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let made: Value = serde_json::from_slice(&output.stdout).expect("init prints JSON");
        Self {
            registry: Registry::new(),
            arguments: Vec::new(),
            environment,
            umask: "022",
            release,
            listen: listen.to_owned(),
            key: made["api_key"].as_str().expect("a key").to_owned(),
            project: made["project_id"].as_str().expect("a project").to_owned(),
            url: String::new(),
            program: None,
            said_before: String::new(),
            sessions: Vec::new(),
            dir,
        }
    }

    /// Serves; again after an end.
    pub fn start(&mut self) {
        let mut running = Running::start(&mut self.serve());
        self.url = eventually("the server's start", || {
            let said = running.said();
            let ready = said.lines().find(|line| line.contains(" ready listen="));
            assert!(running.is_alive(), "it ended: {said}");
            let listen = ready.and_then(|line| line.split("listen=").nth(1)?.split(' ').next());
            listen.map(str::to_owned).ok_or(said.clone())
        });
        self.program = Some(running);
    }

    /// What a server says that does not start; its exit code.
    pub fn refuses_to_start(&self) -> (Option<i32>, String) {
        let output = run(&mut self.serve(), "");
        (output.status.code(), text(&output.stderr))
    }

    fn serve(&self) -> Command {
        let mut serve = Command::new("sh");
        serve.args(["-c", "umask \"$0\"; exec \"$@\" >>printed", self.umask]).arg(&self.release);
        serve.current_dir(self.dir.path()).args(["serve", "--data-dir", "data", "--listen", &self.listen]);
        serve.args(["--insecure-registry", &self.registry.host]).args(&self.arguments);
        serve.envs(self.environment.iter().map(|(name, value)| (name, value)));
        serve
    }

    /// A command of the operator, beside the data directory.
    pub fn operator(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.release);
        command.current_dir(self.dir.path()).args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// What one prints that must succeed.
    #[track_caller]
    pub fn operates(&self, arguments: &[&str]) -> String {
        let output = run(&mut self.operator(arguments), "");
        assert!(output.status.success(), "{arguments:?}: {}\n{}", text(&output.stderr), text(&output.stdout));
        text(&output.stdout)
    }

    /// What `doctor` does not find good: what was looked at, and what was found, and what to do.
    #[track_caller]
    pub fn complaints(&self, arguments: &[&str]) -> Vec<String> {
        let doctor = ["doctor", "--data-dir", "data", "--json"];
        let output = run(&mut self.operator(&[&doctor, arguments].concat()), "");
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
        let lines = report["lines"].as_array().expect("lines");
        let bad: Vec<_> = lines.iter().filter(|line| line["good"] == false).collect();
        assert_eq!(output.status.code(), Some(if bad.is_empty() { 0 } else { 3 }), "{report}");
        assert!(bad.iter().all(|line| line["fix"].as_str().is_some_and(|fix| !fix.is_empty())), "{report}");
        let part = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
        bad.iter()
            .map(|line| format!("{}: {} → {}", part(line, "what"), part(line, "found"), part(line, "fix")))
            .collect()
    }

    /// The directory in which its data directory is.
    pub fn place(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// SIGTERM or SIGKILL; its exit code.
    pub fn stop(&mut self, signal: Signal) -> Option<i32> {
        let mut program = self.program.take().expect("it runs");
        let code = program.end(signal);
        self.said_before.push_str(&program.said());
        code
    }

    /// A signal until it is dead.
    pub fn crash(&mut self, signal: Signal) {
        crash(self.pid(), signal);
        self.stop(Signal::KILL);
    }

    /// Where it is reached.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The project's first key, an admin's.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The project.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// Remembers a session that somebody else launched.
    pub fn adopt(&mut self, session: &str) {
        self.sessions.push(session.to_owned());
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.program.as_ref().expect("it runs").pid()
    }

    /// What the API answers to a GET, in whatever way; `{project}` begins the paths of the key's own.
    pub fn get(&self, path: &str) -> String {
        let path = path.replace("{project}", &format!("/accounts/projects/{}", self.project));
        let config = format!("url = \"{}{path}\"\nheader = \"Authorization: Bearer {}\"\n", self.url, self.key);
        let output = run(Command::new("curl").args(["-sS", "-i", "-K", "-"]), &config);
        assert!(output.status.success(), "{path}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What the API answers to a POST of this JSON.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}/accounts/projects/{}{path}", self.url, self.project);
        let header = format!("Authorization: Bearer {}", self.key);
        let config = format!("url = \"{url}\"\nheader = \"{header}\"\nheader = \"Content-Type: application/json\"\n");
        let data = body.to_string();
        let output = run(Command::new("curl").args(["-sS", "-f", "-K", "-", "--data-binary", &data]), &config);
        assert!(output.status.success(), "{path}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// All that the server has said, over all its lives.
    pub fn said(&self) -> String {
        let now = self.program.as_ref().map(Running::said).unwrap_or_default();
        format!("{}{now}", self.said_before)
    }

    /// What it printed for a person, over all its lives.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("printed")).unwrap_or_default()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The command line, with this server in its environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.release);
        command.env_clear().env("MESHAGENT_API_URL", &self.url).env("MESHAGENT_API_KEY", &self.key).args(arguments);
        command
    }

    pub fn cli(&self, arguments: &[&str], input: &str) -> Output {
        run(&mut self.command(arguments), input)
    }

    /// The output of a command that must succeed.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str], input: &str) -> String {
        let output = self.cli(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}\n{}", text(&output.stderr), text(&output.stdout));
        text(&output.stdout)
    }

    /// Its JSON.
    #[track_caller]
    pub fn json(&self, arguments: &[&str], input: &str) -> Value {
        let arguments: Vec<_> = arguments.iter().copied().chain(["--json"]).collect();
        let shown = self.ok(&arguments, input);
        serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"))
    }

    /// A secret key from `.env` text; its id.
    pub fn secret(&self, name: &str, env: &str) -> String {
        id(&self.json(&["secret", "keys", "create", name, "--from-env-file", "-"], env))
    }

    /// A pull secret for the registry; its id.
    pub fn pull_secret(&self, name: &str, password: &str) -> String {
        self.pull_secret_for(name, password, &self.registry.host)
    }

    /// The same for another registry, or a part of one.
    pub fn pull_secret_for(&self, name: &str, password: &str, server: &str) -> String {
        let create = ["secret", "docker", "create", name, "--username", USER, "--password-stdin", "--server", server];
        id(&self.json(&create, password))
    }

    /// The right one.
    pub fn good_pull_secret(&self) -> String {
        self.pull_secret("acme-priv-registry", PASSWORD)
    }

    /// A service with these lines under `container`; its id.
    pub fn service(&self, name: &str, container: &str) -> String {
        self.service_of(name, "", container)
    }

    /// The same with more about it under `metadata`.
    pub fn service_of(&self, name: &str, metadata: &str, container: &str) -> String {
        let lines: String = container.lines().map(|line| format!("  {}\n", line.trim_start())).collect();
        let comma = if metadata.is_empty() { "" } else { ", " };
        let metadata = format!("{{ name: {name}{comma}{metadata} }}");
        let manifest = format!("version: v1\nkind: Service\nmetadata: {metadata}\ncontainer:\n{lines}");
        id(&self.json(&["service", "create", "--file", "-"], &manifest))
    }

    /// Launches a room's session and remembers it; its id.
    pub fn launch(&mut self, room: &str) -> String {
        let session = id(&self.json(&["session", "launch", room], ""));
        self.sessions.push(session.clone());
        session
    }

    /// Launches many rooms' sessions at the same time; their ids.
    pub fn launch_all(&mut self, rooms: impl Iterator<Item = String>) -> Vec<String> {
        let this = &*self;
        let made: Vec<String> = std::thread::scope(|scope| {
            let launch = |room: String| scope.spawn(move || id(&this.json(&["session", "launch", &room], "")));
            let launches: Vec<_> = rooms.map(launch).collect();
            launches.into_iter().map(|launch| launch.join().expect("a launch")).collect()
        });
        self.sessions.extend(made.iter().cloned());
        made
    }

    pub fn session(&self, session: &str) -> Value {
        self.json(&["session", "show", session], "")
    }

    /// Looks at a session until it fits.
    #[track_caller]
    pub fn until(&self, session: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || {
            let session = self.session(session);
            if fits(&session) { Ok(session) } else { Err(session.to_string()) }
        })
    }

    #[track_caller]
    pub fn until_ready(&self, session: &str) -> Value {
        self.until(session, "ready", |session| session["state"] == "ready")
    }

    pub fn log(&self, session: &str, service: &str) -> String {
        self.ok(&["session", "logs", session, service], "")
    }

    /// The log once it says this: a service without a liveness path is ready before it says anything.
    #[track_caller]
    pub fn log_with(&self, session: &str, service: &str, words: &str) -> String {
        eventually(&format!("`{words}` in the log of {service}"), || {
            let log = self.log(session, service);
            if log.contains(words) { Ok(log) } else { Err(log) }
        })
    }

    /// The end of a test: all is terminated, and nothing is left on the host.
    pub fn end(self) {
        let said = self.ends_despite_errors();
        assert!(!said.contains("ERROR"), "{said}");
    }

    /// The same of a test that gave the server reason for errors in its log; what it said.
    pub fn ends_despite_errors(mut self) -> String {
        self.ok(&["session", "terminate", "--all"], "");
        assert_eq!(self.stop(Signal::TERM), Some(0), "{}", self.said());
        let left = leftovers::of(&self.sessions, &self.data_dir());
        assert!(left.is_empty(), "left behind: {left:?}");
        self.said()
    }
}

impl Drop for Server {
    /// Of a test that failed: its workloads end, with the help of a new server if need be.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for line in self.said().lines().filter(|line| !line.contains("answered method=\"GET\"")) {
            eprintln!("the server said: {line}");
        }
        if self.program.is_none() && !leftovers::of(&self.sessions, &self.data_dir()).is_empty() {
            self.start();
        }
        self.cli(&["session", "terminate", "--all"], "");
    }
}

pub fn id(value: &Value) -> String {
    value["id"].as_str().unwrap_or_else(|| panic!("no id: {value}")).to_owned()
}

/// The release under test.
pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_meshkeep"))
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

/// The workload of a service in a session's JSON.
#[track_caller]
pub fn workload<'a>(session: &'a Value, service: &str) -> &'a Value {
    let mut all = session["workloads"].as_array().into_iter().flatten();
    all.find(|workload| workload["service_name"] == service).unwrap_or_else(|| panic!("no {service} in {session}"))
}
