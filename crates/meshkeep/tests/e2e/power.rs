//! The power goes: what was acknowledged is on the disk, and what is on the disk fits together.

use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    disk::Disk,
    process::{Ends, is_full, run, text},
    server::Server,
};

#[test]
fn what_was_acknowledged_survives_a_power_loss() {
    let rounds = if is_full() { 60 } else { 10 };
    let disk = Disk::new(96);
    let mut server = Server::on(&disk);
    server.secret("changing", "CHANGING_VALUE=number-00000001-of-them\n");
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    server.service(
        "waits",
        &format!(
            "image: {image}\npull_secret: {pull}\ncommand: sh -c 'trap \"exit 0\" TERM; while :; do sleep 0.2; done'"
        ),
    );
    let session = server.launch("lobby");
    server.until_ready(&session);
    let (over, acknowledged) = (AtomicBool::new(false), AtomicU32::new(1));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                let next = acknowledged.load(Ordering::SeqCst) + 1;
                let update = ["secret", "keys", "update", "changing", "--from-env-file", "-", "--json"];
                let saved: Value =
                    serde_json::from_str(&server.ok(&update, &format!("CHANGING_VALUE=number-{next:08}-of-them\n")))
                        .unwrap();
                acknowledged.store(u32::try_from(saved["version"].as_u64().unwrap()).unwrap(), Ordering::SeqCst);
            }
        });
        let _ends = Ends(&over);
        let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
        for round in 0..rounds {
            // The kernel writes back by itself what is half a minute old: this is younger.
            let unsynced = format!("unsynced-{round}");
            fs::write(disk.path().join(&unsynced), "never synced").unwrap();
            // Another moment each time, within a save or between two.
            std::thread::sleep(Duration::from_micros(40_000 + 7_919 * round));
            kill_process(pid, Signal::STOP).unwrap();
            let known = acknowledged.load(Ordering::SeqCst);
            let lost = disk.after_power_loss();
            kill_process(pid, Signal::CONT).unwrap();

            let unsynced = fs::read_to_string(lost.path().join(&unsynced)).unwrap_or_default();
            assert_eq!(unsynced, "", "this disk keeps what was not synced: the test shows nothing");
            let data = disk.same(&server.data_dir(), &lost);
            let mut sqlite = Command::new("sqlite3");
            sqlite.arg(data.join("meshkeep.db")).arg("SELECT version FROM secrets WHERE name = 'changing'");
            let version: u32 = text(&run(&mut sqlite, "").stdout).trim().parse().unwrap();
            assert!(
                version == known || version == known + 1,
                "round {round}: {known} was acknowledged, {version} is there"
            );
            let mut doctor = Command::new(env!("CARGO_BIN_EXE_meshkeep"));
            doctor.args(["doctor", "--data-dir"]).arg(&data);
            let looked = run(&mut doctor, "");
            let said = text(&looked.stdout);
            assert!(looked.status.success(), "round {round}: {said}{}", text(&looked.stderr));
            assert!(said.contains("1 are as they were written"), "{said}");
        }
    });
    server.end();
}
