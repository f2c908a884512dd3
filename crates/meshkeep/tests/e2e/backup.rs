//! The drill: a busy server is backed up, the host is thrown away, and the restored one launches the same services with the
//! same values.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    leftovers,
    process::{Ends, eventually, is_full, run, text},
    server::Server,
};

/// Says what it got, without saying it, and leaves a file in the room's storage once.
const COMMAND: &str = "command: sh -c 'trap \"exit 0\" TERM; printf %s \"$WEATHER_API_KEY\" | sha256sum; printf %s \"$WEATHER_PEM\" | sha256sum; [ -e /data/first ] || echo \"left by the first one\" > /data/first; cat /data/first; while :; do sleep 0.2; done'";
const VALUES: &str =
    "WEATHER_API_KEY=\"it is $one of 'many' values\"\nWEATHER_PEM=\"-----BEGIN-----\nline two\n-----END-----\n\"\n";

#[test]
fn a_busy_server_is_backed_up_thrown_away_and_restored() {
    let mut server = Server::new();
    let key = server.secret("weather-keys", VALUES);
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    let container = format!(
        "image: {image}\npull_secret: {pull}\nsecrets: [{key}]\nstorage: {{ room: [{{ path: /data }}] }}\n{COMMAND}"
    );
    server.service("weather", &container);
    let sessions: Vec<String> = ["one", "two"].into_iter().map(|room| server.launch(room)).collect();
    let said = |server: &Server, session: &str| server.log_with(session, "weather", "left by the first one");
    let logs: Vec<String> = sessions.iter().map(|session| said(&server, session)).collect();
    assert_eq!(logs[0], logs[1]);
    assert_eq!(logs[0].lines().count(), 3, "{}", logs[0]);

    // Secrets change all the time while three backups are made.
    let (over, saves) = (AtomicBool::new(false), AtomicU32::new(0));
    let backups: Vec<String> = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !over.load(Ordering::SeqCst) {
                number += 1;
                server.secret(&format!("churn-{number}"), &format!("CHURN_VALUE=canary-{number:06}\n"));
                saves.store(number, Ordering::SeqCst);
            }
        });
        let _ends = Ends(&over);
        let backups = (0..3).map(|number| {
            let before = saves.load(Ordering::SeqCst);
            eventually("a save", || if saves.load(Ordering::SeqCst) > before { Ok(()) } else { Err(String::new()) });
            let name = format!("backup-{number}");
            let said = server.operates(&["backup", &name, "--data-dir", "data"]);
            assert!(said.contains("opens with root key"), "{said}");
            name
        });
        backups.collect()
    });
    let last_save = saves.load(Ordering::SeqCst);
    assert!(last_save >= 3);

    // Nothing of it can be read without the root key, and it belongs to who made it.
    for name in &backups {
        let path = server.place().join(name);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let bytes = fs::read(&path).unwrap();
        for word in ["weather", "SQLite", "canary", "acme", "left by", "lobby", "secret.create"] {
            assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word} stands in {name}");
        }
    }
    let again = run(&mut server.operator(&["backup", &backups[0], "--data-dir", "data"]), "");
    assert!(text(&again.stderr).contains("already"), "{}", text(&again.stderr));

    // The host is thrown away.
    server.ok(&["session", "terminate", "--all"], "");
    server.stop(Signal::TERM);
    assert_eq!(leftovers::of(&sessions, &server.data_dir()), Vec::<String>::new());
    for name in ["data", "data.anchor"] {
        let path = server.place().join(name);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    let copy = server.place().join("copy-of-the-key");
    fs::rename(server.place().join("data.root-key"), &copy).unwrap();

    refused_backups(&server, &backups[2]);
    let restore = ["restore", &backups[2], "--data-dir", "data"];
    let without_key = run(&mut server.operator(&restore), "");
    assert!(text(&without_key.stderr).contains("root key file"), "{}", text(&without_key.stderr));
    fs::rename(copy, server.place().join("data.root-key")).unwrap();
    let printed = server.operates(&restore);
    assert!(printed.contains("1 project.") && printed.contains("key list"), "{printed}");
    let twice = run(&mut server.operator(&restore), "");
    assert!(text(&twice.stderr).contains("already"), "{}", text(&twice.stderr));
    assert_eq!(server.complaints(&[]), Vec::<String>::new());

    server.start();
    for (session, log) in sessions.iter().zip(&logs) {
        server.until_ready(session);
        assert_eq!(&said(&server, session), log, "not the values, or not the files, of before");
    }
    let secrets: Value = server.json(&["secret", "list"], "");
    let names = secrets["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|secret| secret["name"].as_str().unwrap().starts_with("churn-"));
    let kept = names.count();
    assert!(kept >= 2 && kept <= last_save as usize, "{kept} of {last_save} saves");
    server.ok(&["secret", "keys", "update", "weather-keys", "--from-env-file", "-"], "WEATHER_API_KEY=another\n");
    server.end();
}

/// What is not whole, not of this key, or no backup at all makes no directory.
fn refused_backups(server: &Server, backup: &str) {
    let good = fs::read(server.place().join(backup)).unwrap();
    let key = server.place().join("copy-of-the-key");
    let refuse = |bytes: &[u8], key: &str, words: &str| {
        fs::write(server.place().join("bad"), bytes).unwrap();
        let output = run(&mut server.operator(&["restore", "bad", "--data-dir", "data", "--root-key-file", key]), "");
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(3) && said.contains(words), "{said}");
        assert!(!server.data_dir().exists() && !server.place().join("data.anchor").exists());
        let left: Vec<_> = fs::read_dir(server.place()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
    };
    let key = key.to_str().unwrap();
    let step = if is_full() { 12 } else { 4 };
    for part in 0..step {
        let length = good.len() * part / step;
        refuse(&good[..length], key, "backup bad");
        let mut flipped = good.clone();
        flipped[length] ^= 1;
        refuse(&flipped, key, "backup bad");
    }
    refuse(&good[..good.len() - 1], key, "cut short");
    refuse(b"no backup", key, "is not a sealed stream");
    let other = server.place().join("other");
    let made = run(&mut server.operator(&["init", "--data-dir", "other-data", "--root-key-file", "other"]), "");
    assert!(made.status.success());
    refuse(&good, other.to_str().unwrap(), "is sealed under key");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o644)).unwrap();
    refuse(&good, other.to_str().unwrap(), "chmod 600");
}
