//! Sessions and secrets come and go at the machine's pace; afterwards everything is as it was.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    process::{eventually, is_full},
    server::{Server, id},
};

/// What a server has of the host.
#[derive(Debug, PartialEq, Eq)]
struct Use {
    resident_kib: u64,
    files: usize,
    threads: u64,
    mounts: usize,
    links: usize,
    engine_bytes: u64,
    layer_bytes: u64,
}

impl Use {
    fn of(server: &Server) -> Self {
        let pid = server.pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let number = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let data = server.data_dir();
        let dir = data.display().to_string();
        let mounts = fs::read_to_string(format!("/proc/{pid}/mounts")).unwrap();
        Self {
            resident_kib: number("VmRSS:"),
            files: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
            threads: number("Threads:"),
            mounts: mounts.lines().filter(|line| line.contains(&dir)).count(),
            links: own_links(&data).len(),
            engine_bytes: bytes(&data.join("engine")),
            layer_bytes: bytes(&data.join("images")),
        }
    }
}

/// Bridges that the records of this server name.
fn own_links(data: &Path) -> BTreeSet<String> {
    let records = fs::read_dir(data.join("engine/networks")).into_iter().flatten().flatten();
    let named = records.filter_map(|record| fs::read_to_string(record.path()).ok());
    let named: String = named.collect();
    let links = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    links
        .map(|link| link.file_name().to_string_lossy().into_owned())
        .filter(|link| named.contains(link.as_str()))
        .collect()
}

fn bytes(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else { return 0 };
    let below = fs::read_dir(path).into_iter().flatten().flatten();
    if meta.is_dir() { below.map(|entry| bytes(&entry.path())).sum() } else { meta.len() }
}

#[test]
fn after_long_churn_everything_is_as_it_was() {
    let lasts = Duration::from_secs(if is_full() { 30 * 60 } else { 15 });
    let mut server = Server::new();
    let key = server.secret("weather-keys", "WEATHER_API_KEY=sixteen-or-more-of-them\n");
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    for name in ["one", "two"] {
        let container = format!(
            "image: {image}\npull_secret: {pull}\nsecrets: [{key}]\ncommand: sh -c 'trap \"exit 0\" TERM; echo hello; while :; do sleep 0.2; done'"
        );
        server.service(name, &container);
    }
    let churn = |server: &Server, number: usize| {
        let room = format!("room-{}", number % 5);
        let session = id(&server.json(&["session", "launch", &room], ""));
        server.until_ready(&session);
        server.ok(
            &["secret", "keys", "update", "weather-keys", "--from-env-file", "-"],
            &format!("WEATHER_API_KEY=number-{number:08}\n"),
        );
        let other = format!("churn-{}", number % 3);
        server.secret(&other, "CHURN_VALUE=sixteen-or-more-of-them\n");
        server.ok(&["session", "restart", &session, "one"], "");
        server.ok(&["secret", "delete", &other], "");
        assert!(server.log(&session, "one").contains("hello"));
        server.ok(&["session", "terminate", &session], "");
        session
    };
    // Warm: what is cached is cached.
    (0..5).for_each(|number| server.adopt(&churn(&server, number)));
    let before = settled(&server);
    let (begun, mut rounds) = (Instant::now(), 5);
    while begun.elapsed() < lasts {
        churn(&server, rounds);
        rounds += 1;
    }
    let after = settled(&server);
    eprintln!("{rounds} rounds in {:?}: {before:?} before, {after:?} after", begun.elapsed());
    assert!(after.resident_kib < before.resident_kib * 3 / 2 + 8 * 1024, "{before:?} {after:?}");
    assert!(after.files <= before.files + 4, "{before:?} {after:?}");
    assert!(after.threads <= before.threads + 2, "{before:?} {after:?}");
    assert_eq!((after.mounts, after.links), (before.mounts, before.links));
    assert!(after.engine_bytes <= before.engine_bytes + 4096, "{before:?} {after:?}");
    assert_eq!(after.layer_bytes, before.layer_bytes);
    assert!(rounds > 8, "{rounds} rounds");
    assert_eq!(server.complaints(&[]), Vec::<String>::new());
    server.end();
}

/// What is used when nothing happens any more: blocking threads end by themselves after ten seconds.
fn settled(server: &Server) -> Use {
    let mut last = Use::of(server);
    let mut same_since = Instant::now();
    eventually("rest", || {
        let now = Use::of(server);
        if (now.files, now.threads) != (last.files, last.threads) {
            same_since = Instant::now();
        }
        last = now;
        if same_since.elapsed() > Duration::from_secs(12) { Ok(()) } else { Err(format!("{last:?}")) }
    });
    last
}
