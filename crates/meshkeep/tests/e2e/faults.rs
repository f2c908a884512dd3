//! What a host runs out of, or takes away: room, the database, open files. Each is named, nothing hangs, and the server
//! goes on by itself when it is there again.

use std::{
    fs,
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    disk::Disk,
    process::{eventually, run, text},
    server::{Server, id, workload},
};

const COUNTS: &str =
    "command: sh -c 'trap \"exit 0\" TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done'";

/// A session with a service that writes lines.
fn counting(server: &mut Server) -> String {
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    server.service("counts", &format!("image: {image}\npull_secret: {pull}\n{COUNTS}"));
    let session = server.launch("lobby");
    server.until_ready(&session);
    session
}

/// What a command that must fail says.
#[track_caller]
fn refused(server: &Server, arguments: &[&str], input: &str) -> String {
    let begun = Instant::now();
    let output = server.cli(arguments, input);
    assert!(!output.status.success(), "{arguments:?} did not fail");
    assert!(begun.elapsed() < Duration::from_secs(30), "{arguments:?} hung");
    text(&output.stderr)
}

#[test]
fn a_full_disk_is_named_everywhere_and_needs_no_restart() {
    let disk = Disk::new(64);
    let mut server = Server::on(&disk);
    let session = counting(&mut server);
    let create = ["secret", "keys", "create", "another", "--from-env-file", "-"];
    let value = format!("ANOTHER_VALUE={}\n", "sixteen-or-more".repeat(4000));
    let filler = disk.fill();

    let said = refused(&server, &create, &value);
    assert!(said.contains("the disk is full") && said.contains("make room"), "{said}");
    let said = refused(&server, &["session", "launch", "other"], "");
    assert!(said.contains("the disk is full"), "{said}");
    let backup = run(&mut server.operator(&["backup", "backup-1", "--data-dir", "data"]), "");
    assert!(!backup.status.success() && text(&backup.stderr).contains("make room"), "{}", text(&backup.stderr));
    assert!(!server.place().join("backup-1").exists() && !server.place().join("backup-1.part").exists());
    // What runs goes on, and can be looked at.
    assert_eq!(workload(&server.session(&session), "counts")["state"], "ready");
    assert!(server.ok(&["secret", "list"], "").contains("acme-priv-registry"));
    let lines = server.log(&session, "counts").lines().count();

    drop(filler);
    server.ok(&create, &value);
    let other = server.launch("other");
    server.until_ready(&other);
    eventually("further lines", || {
        let now = server.log(&session, "counts").lines().count();
        if now > lines + 20 { Ok(()) } else { Err(format!("{now} after {lines}")) }
    });
    assert_eq!(workload(&server.session(&session), "counts")["restarts"], 0);
    server.operates(&["backup", "backup-1", "--data-dir", "data"]);
    assert_eq!(server.complaints(&[]), Vec::<String>::new());

    // The root key is not changed half.
    server.ok(&["session", "terminate", "--all"], "");
    server.stop(Signal::TERM);
    let filler = disk.fill();
    let rotate = ["root-key", "rotate", "--data-dir", "data"];
    let output = run(&mut server.operator(&rotate), "");
    assert!(!output.status.success(), "{}", text(&output.stdout));
    drop(filler);
    let complaints = server.complaints(&[]);
    assert!(complaints.iter().all(|line| line.contains("broken off")), "{complaints:?}");
    server.operates(&rotate);
    server.start();
    assert!(server.ok(&["secret", "list"], "").contains("another"));
    // The log has said what could not be recorded; that is what it is for.
    server.ends_despite_errors();
}

#[test]
fn a_database_that_another_program_holds_is_named_and_waited_for() {
    let mut server = Server::new();
    let session = counting(&mut server);
    let mut holder = Command::new("sqlite3")
        .arg(server.data_dir().join("meshkeep.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = holder.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"BEGIN IMMEDIATE;\nSELECT 'held';\n").unwrap();
    let mut said = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.take().unwrap()), &mut said).unwrap();
    assert_eq!(said, "held\n");

    let create = ["secret", "keys", "create", "another", "--from-env-file", "-"];
    let said = refused(&server, &create, "ANOTHER_VALUE=sixteen-or-more-of-them\n");
    assert!(said.contains("another program holds it") && said.contains("try again"), "{said}");
    // Reading goes on.
    assert_eq!(workload(&server.session(&session), "counts")["state"], "ready");
    drop(input);
    holder.wait().unwrap();
    server.ok(&create, "ANOTHER_VALUE=sixteen-or-more-of-them\n");
    server.ends_despite_errors();
}

#[test]
fn a_disk_that_becomes_read_only_is_named_and_read_from() {
    let disk = Disk::new(64);
    let mut server = Server::on(&disk);
    server.secret("before", "BEFORE_VALUE=sixteen-or-more-of-them\n");
    // As the kernel does when the disk fails.
    disk.fail();
    let create = ["secret", "keys", "create", "another", "--from-env-file", "-"];
    for _ in 0..3 {
        let said = refused(&server, &create, "ANOTHER_VALUE=sixteen-or-more-of-them\n");
        assert!(said.contains("cannot be written") && said.contains("read-only"), "{said}");
        assert!(server.ok(&["secret", "show", "before"], "").contains("BEFORE_VALUE"));
    }
    let said = refused(&server, &["secret", "show", "before", "--reveal"], "");
    assert!(!said.contains("sixteen"), "what cannot be audited does not happen: {said}");
    assert_eq!(server.stop(Signal::TERM), Some(0), "{}", server.said());
    let again = run(&mut server.operator(&["serve", "--data-dir", "data", "--listen", "127.0.0.1:0"]), "");
    let said = text(&again.stderr);
    assert!(
        !again.status.success()
            && said.to_lowercase().contains("meshkeep: ")
            && said.to_lowercase().contains("read-only"),
        "{said}"
    );
}

#[test]
fn a_server_without_open_files_to_spare_says_so_and_goes_on_when_there_are() {
    let mut server = Server::new();
    let session = counting(&mut server);
    let pid = server.pid();
    let limit = |files: usize| {
        let mut prlimit = Command::new("prlimit");
        prlimit.arg(format!("--pid={pid}")).arg(format!("--nofile={files}:"));
        let output = run(&mut prlimit, "");
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    let open = || fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    limit(open() + 3);
    // More connections than there are files for: those that came in time are answered or time out, the server stays.
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    let connections: Vec<_> = (0..20).map(|_| TcpStream::connect(&address).unwrap()).collect();
    eventually("no file to spare", || {
        let open = open();
        if open >= connections.len() / 2 { Ok(()) } else { Err(format!("{open} open")) }
    });
    drop(connections);

    // Enough to be asked, and not enough to start a container.
    limit(1024);
    let idle = eventually("the connections' end", || {
        let open = open();
        if open < 60 { Ok(open) } else { Err(format!("{open} open")) }
    });
    limit(idle + 3);
    let other = eventually("a launch", || {
        let output = server.cli(&["session", "launch", "other", "--json"], "");
        serde_json::from_slice(&output.stdout).map(|session| id(&session)).map_err(|_| text(&output.stderr))
    });
    server.adopt(&other);
    let said = eventually("the reason", || {
        let output = server.cli(&["session", "show", &other, "--json"], "");
        let session: Value = serde_json::from_slice(&output.stdout).map_err(|_| text(&output.stderr))?;
        let reason = workload(&session, "counts")["reason"].clone();
        if reason.is_null() { Err(session.to_string()) } else { Ok(reason.to_string()) }
    });
    assert!(said.contains("no file can be opened any more") && said.contains("LimitNOFILE"), "{said}");
    limit(1024);
    server.until_ready(&other);
    assert_eq!(workload(&server.session(&session), "counts")["restarts"], 0);
    assert_eq!(server.pid(), pid, "the server was restarted");
    server.ends_despite_errors();
}
