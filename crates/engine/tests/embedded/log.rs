//! What a workload prints: whole redacted lines, in two files that take turns, for readers now and later.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use futures_util::StreamExt as _;
use libtest_mimic::Trial;
use meshkeep_engine::{Engine, EngineError, LogStream};

use crate::place::{PATIENCE, Place, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("values_are_redacted", redaction),
        trial("log_rotates_within_its_bound", rotation),
        trial("a_log_may_be_asked_for_at_any_moment_of_a_start", asked_early),
        trial("tail_and_follow", tail_and_follow),
        trial("a_follower_sees_every_line_over_rotations", follow_over_rotations),
        trial("a_follower_stays_over_crashes_and_ends_with_a_stop", follow_over_attempts),
    ]
}

async fn text(mut stream: LogStream) -> String {
    let reading = async {
        let mut text = String::new();
        while let Some(chunk) = stream.next().await {
            let bytes = chunk.unwrap().bytes;
            assert!(bytes.ends_with(b"\n"), "whole lines only");
            text.push_str(&String::from_utf8(bytes).unwrap());
        }
        text
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the log ends in time")
}

async fn asked_early(place: &mut Place) {
    let workload = place.shell("early", "echo up; exec sleep 1000");
    let ask = async {
        loop {
            match place.engine.logs(workload.id, None, true).await {
                Ok(_) => break,
                Err(EngineError::NotFound(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let (started, ()) = tokio::join!(place.start(&workload, &[]), ask);
    started.unwrap();
}

async fn redaction(place: &mut Place) {
    let script = "echo start $TOKEN end; printf '%s' abc-123-; echo secret-XYZ; echo err-$TOKEN >&2; printf no-newline";
    let workload = place.shell("leaky", script);
    place.start(&workload, &[("TOKEN", "abc-123-secret-XYZ")]).await.unwrap();
    place.ended(&workload).await;
    let log = place.log(&workload).await;
    let mut lines: Vec<_> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["[redacted]", "err-[redacted]", "no-newline", "start [redacted] end"]);
    assert!(log.ends_with('\n'));
    // Nor anywhere else in the engine's directory.
    let dir = place.config.root.join("workloads").join(workload.id.to_string());
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if let Ok(bytes) = fs::read(&path) {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
            assert!(!String::from_utf8_lossy(&bytes).contains("secret-XYZ"));
        }
    }
}

async fn rotation(place: &mut Place) {
    let mut workload = place.shell("chatty", "seq 1 100000");
    workload.limits.log_bytes = 256 << 10;
    place.start(&workload, &[]).await.unwrap();
    place.ended(&workload).await;
    let log = place.log(&workload).await;
    assert!(log.len() <= 256 << 10 && log.len() > 100 << 10, "{}", log.len());
    // The newest are there, without a gap.
    let numbers: Vec<u32> = log.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(numbers.last(), Some(&100_000));
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    let tail = text(place.engine.logs(workload.id, Some(20_000), false).await.unwrap()).await;
    assert_eq!(tail.lines().count(), 20_000.min(numbers.len()));
    assert!(tail.ends_with("99999\n100000\n"));
}

async fn tail_and_follow(place: &mut Place) {
    let script = "seq 1 5; trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.02; done";
    let workload = place.shell("steady", script);
    place.start(&workload, &[]).await.unwrap();
    place.wait_for_line(&workload, "up").await;
    let read = async |tail| text(place.engine.logs(workload.id, tail, false).await.unwrap()).await;
    assert_eq!(read(None).await, "1\n2\n3\n4\n5\nup\n");
    assert_eq!(read(Some(2)).await, "5\nup\n");
    assert_eq!(read(Some(0)).await, "");
    assert_eq!(read(Some(100)).await, "1\n2\n3\n4\n5\nup\n");
    let followed = place.engine.logs(workload.id, Some(1), true).await.unwrap();
    let (followed, stopped) = tokio::join!(text(followed), place.engine.stop(workload.id, Duration::from_secs(20)));
    stopped.unwrap();
    assert_eq!(followed, "up\nbye\n");
    // What ended well ends followers that come later, too.
    assert_eq!(text(place.engine.logs(workload.id, None, true).await.unwrap()).await.lines().last(), Some("bye"));
}

async fn follow_over_rotations(place: &mut Place) {
    let script = "i=0
        while [ $i -lt 60 ]; do seq $((i*1000+1)) $((i*1000+1000)); i=$((i+1)); sleep 0.02; done";
    let mut workload = place.shell("chatty", script);
    workload.limits.log_bytes = 128 << 10;
    place.start(&workload, &[]).await.unwrap();
    let followed = text(place.engine.logs(workload.id, None, true).await.unwrap()).await;
    let numbers: Vec<u32> = followed.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=60_000).collect::<Vec<_>>());
}

async fn follow_over_attempts(place: &mut Place) {
    let mut workload = place.shell("crashes", "echo one; exit 1");
    place.start(&workload, &[]).await.unwrap();
    let followed = tokio::spawn(text(place.engine.logs(workload.id, None, true).await.unwrap()));
    assert_eq!(place.code(&workload).await, 1);
    workload.attempt = 1;
    workload.command = Some(["/bin/sh", "-c", "echo two; exec sleep 1000"].map(str::to_owned).to_vec());
    place.start(&workload, &[]).await.unwrap();
    place.wait_for_line(&workload, "two").await;
    assert!(!followed.is_finished());
    place.engine.stop(workload.id, Duration::ZERO).await.unwrap();
    assert_eq!(followed.await.unwrap(), "one\ntwo\n");
}
