//! Further processes in a container: what they get, how they are confined, how they end.

use std::time::Duration;

use futures_util::StreamExt as _;
use libtest_mimic::Trial;
use meshkeep_core::{Refusal, RefusalKind};
use meshkeep_engine::{
    Engine as _, EngineError, ExecInput, ExecOutput, ExecRequest, ExecSession, ExtraCapability, Workload,
};
use zeroize::Zeroizing;

use crate::place::{PATIENCE, Place, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("a_command_has_what_the_first_process_has", as_the_first),
        trial("a_commands_streams_status_and_end", streams),
        trial("a_command_has_a_terminal", terminal),
        trial("a_command_ends_with_its_asker_and_its_container", ends),
        trial("a_command_that_is_none_is_named", unknown),
        trial("breakout_along_a_command_that_comes_in", along),
        trial("commands_have_a_bound", bound),
        trial("commands_survive_a_server_that_comes_back", reopened),
    ]
}

/// All that is about rights: ids, capabilities, filter, namespaces, cgroups, limits, open files, mask, directory.
const RIGHTS: &str = "grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp|Seccomp_filters|Umask):' /proc/self/status; \
                      for n in user mnt pid ipc uts cgroup net time; do readlink /proc/self/ns/$n; done; \
                      cat /proc/self/cgroup; ulimit -n; ulimit -Hn; ulimit -c; ulimit -Hc; ls /proc/self/fd | wc -l; pwd; env | sort";

fn request(command: &[&str], tty: bool) -> ExecRequest {
    ExecRequest { command: command.iter().map(|&word| word.to_owned()).collect(), tty }
}

async fn begin(place: &Place, workload: &Workload, command: &[&str], tty: bool) -> ExecSession {
    place.engine.exec(workload.id, request(command, tty)).await.unwrap()
}

/// Everything that it says until its end.
async fn said(session: &mut ExecSession) -> (String, String, Result<i32, Refusal>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let reading = async {
        loop {
            match session.output.next().await {
                Some(Ok(ExecOutput::Started)) => {}
                Some(Ok(ExecOutput::Stdout(bytes))) => out.extend(bytes),
                Some(Ok(ExecOutput::Stderr(bytes))) => err.extend(bytes),
                Some(Ok(ExecOutput::Exited(code))) => return Ok(code),
                Some(Err(error)) => return Err(error.refusal()),
                None => panic!("it ended without a status"),
            }
        }
    };
    let status = tokio::time::timeout(PATIENCE, reading).await.expect("it ends in time");
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap(), status)
}

async fn run(place: &Place, workload: &Workload, command: &[&str]) -> (String, String, Result<i32, Refusal>) {
    said(&mut begin(place, workload, command, false).await).await
}

async fn started(session: &mut ExecSession) {
    let first = tokio::time::timeout(PATIENCE, session.output.next()).await.expect("it starts in time");
    assert!(matches!(first, Some(Ok(ExecOutput::Started))), "{first:?}");
}

async fn as_the_first(place: &mut Place) {
    for (number, (user, capabilities)) in
        [("", vec![]), ("app", vec![]), ("", vec![ExtraCapability::Chown, ExtraCapability::Setuid])]
            .into_iter()
            .enumerate()
    {
        let script = format!("({RIGHTS}); echo told; exec sleep 1000");
        let mut workload = Workload { working_dir: Some("/bin".into()), capabilities, ..place.shell("first", &script) };
        workload.image.config.user = user.to_owned();
        workload.attempt = u32::try_from(number).unwrap();
        place.start(&workload, &[("TOKEN", "line 1\nline 2"), ("EMPTY", "")]).await.unwrap();
        place.wait_for_line(&workload, "told").await;
        let first = place.log(&workload).await;
        let (out, err, status) = run(place, &workload, &["/bin/sh", "-c", RIGHTS]).await;
        assert_eq!((err.as_str(), status), ("", Ok(0)));
        // The log shows a value's place only; the command may read it.
        assert!(out.contains("TOKEN=line 1\nline 2\n"), "{out}");
        assert_eq!(format!("{}told\n", out.replace("line 1\nline 2", "[redacted]")), first, "as {user:?}");
        place.engine.stop(workload.id, Duration::ZERO).await.unwrap();
    }
}

async fn streams(place: &mut Place) {
    let workload = place.shell("streams", "exec sleep 1000");
    place.start(&workload, &[]).await.unwrap();
    let (out, err, status) = run(place, &workload, &["/bin/sh", "-c", "echo out; echo err >&2; exit 7"]).await;
    assert_eq!((out.as_str(), err.as_str(), status), ("out\n", "err\n", Ok(7)));
    let (_, _, status) = run(place, &workload, &["/bin/sh", "-c", "kill -TERM $$"]).await;
    assert_eq!(status, Ok(128 + 15));
    // More than any buffer on the way, both ways at once.
    let mut session = begin(place, &workload, &["/bin/cat"], false).await;
    let sent = "0123456789abcdef".repeat(128 << 10);
    let input = session.input.clone();
    let text = sent.clone();
    let writing = tokio::spawn(async move {
        for piece in text.as_bytes().chunks(100_000) {
            input.send(ExecInput::Stdin(Zeroizing::new(piece.to_vec()))).await.unwrap();
        }
        input.send(ExecInput::CloseStdin).await.unwrap();
    });
    let (out, err, status) = said(&mut session).await;
    writing.await.unwrap();
    assert!(out == sent && err.is_empty() && status == Ok(0), "{} bytes, {status:?}", out.len());
}

async fn terminal(place: &mut Place) {
    let mut workload = place.shell("terminal", "exec sleep 1000");
    workload.image.config.user = "app".to_owned();
    place.start(&workload, &[]).await.unwrap();
    let mut session =
        begin(place, &workload, &["/bin/sh", "-c", "read l; stty size; echo \"<$l>\"; exec cat"], true).await;
    started(&mut session).await;
    session.input.send(ExecInput::Resize { columns: 91, rows: 33 }).await.unwrap();
    session.input.send(ExecInput::Stdin(Zeroizing::new(b"typed\n".to_vec()))).await.unwrap();
    session.input.send(ExecInput::CloseStdin).await.unwrap();
    let (out, err, status) = said(&mut session).await;
    assert_eq!(err, "", "a terminal has one stream");
    assert!(out.contains("33 91\r\n<typed>\r\n"), "{out:?}");
    assert_eq!(status, Ok(0), "the end of input ends `cat`");
}

async fn ends(place: &mut Place) {
    let workload = place.shell("ends", "exec sleep 1000");
    place.start(&workload, &[]).await.unwrap();
    let mut killed = begin(place, &workload, &["/bin/sleep", "1000"], false).await;
    started(&mut killed).await;
    killed.input.send(ExecInput::Kill).await.unwrap();
    assert_eq!(said(&mut killed).await.2, Ok(128 + 9));
    // Who goes away takes the command along.
    let mut dropped = begin(place, &workload, &["/bin/sleep", "1234"], false).await;
    started(&mut dropped).await;
    let runs = async || {
        run(place, &workload, &["/bin/sh", "-c", "grep -lz '^1234$' /proc/[0-9]*/cmdline 2>/dev/null | wc -l"]).await.0
    };
    assert_eq!(runs().await, "1\n");
    drop(dropped);
    let gone = async {
        while runs().await != "0\n" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it goes with its asker");
    // And so does the container's end.
    let mut left = begin(place, &workload, &["/bin/sleep", "1000"], false).await;
    started(&mut left).await;
    place.engine.stop(workload.id, Duration::ZERO).await.unwrap();
    let status = said(&mut left).await.2;
    assert!(status == Ok(128 + 9) || status.as_ref().is_err_and(|refusal| refusal.code == "exec_lost"), "{status:?}");
    let error = place.engine.exec(workload.id, request(&["/bin/true"], false)).await.err().map(|error| error.refusal());
    assert_eq!(error.map(|refusal| refusal.code), Some("not_running".to_owned()));
}

async fn unknown(place: &mut Place) {
    let workload = place.shell("unknown", "exec sleep 1000");
    place.start(&workload, &[]).await.unwrap();
    for (command, said) in
        [("no-such-command", "no-such-command"), ("/etc/passwd", "/etc/passwd"), ("/bin/no", "/bin/no")]
    {
        let refusal = run(place, &workload, &[command]).await.2.unwrap_err();
        assert!(refusal.message.contains(said), "{refusal}");
        assert_eq!((refusal.kind, refusal.code.as_str()), (RefusalKind::Invalid, "unknown_command"));
    }
    // The container is none the worse for it.
    assert_eq!(run(place, &workload, &["true"]).await.2, Ok(0));
}

/// Processes of the container look into whatever comes in, as often as they can: at its descriptors, its root, its
/// program, its memory, its environment; and they lay fakes where it may look.
async fn along(place: &mut Place) {
    let spy = "while :; do for p in /proc/[0-9]*; do case $p in /proc/1|/proc/$$) continue;; esac; \
               for f in $p/fd/*; do t=$(readlink $f 2>/dev/null) && echo \"fd $t\"; done; \
               readlink $p/root $p/exe $p/cwd 2>/dev/null; head -c 1 $p/environ >/dev/null 2>&1 && echo environ; \
               done; done | grep -vE '^(fd (pipe:|/proc/|/dev/null)|/$|/bin/|environ$|fd $)'";
    let script = format!("mkfifo /tmp/fifo; ln -s /proc/self/exe /tmp/self; ({spy}) & echo armed; wait");
    let workload = place.shell("along", &script);
    place.start(&workload, &[("TOKEN", "a-value-of-its-own")]).await.unwrap();
    place.wait_for_line(&workload, "armed").await;
    for round in 0..40 {
        let tty = round % 4 == 0;
        let (_, _, status) = said(&mut begin(place, &workload, &["true"], tty).await).await;
        assert_eq!(status, Ok(0));
        for bait in ["/tmp/fifo", "/tmp/self", "/proc/self/exe"] {
            let refusal = run(place, &workload, &[bait]).await.2.unwrap_err();
            assert_eq!(refusal.code, "unknown_command", "{bait}");
        }
    }
    let seen = place.log(&workload).await;
    assert_eq!(seen, "armed\n", "a process that came in could be looked into");
}

async fn bound(place: &mut Place) {
    let workload = place.shell("bound", "exec sleep 1000");
    place.start(&workload, &[]).await.unwrap();
    let mut inside = Vec::new();
    let refused = loop {
        let mut session = begin(place, &workload, &["/bin/sleep", "1000"], false).await;
        match tokio::time::timeout(PATIENCE, session.output.next()).await.expect("it answers in time") {
            Some(Ok(ExecOutput::Started)) => inside.push(session),
            Some(Err(error)) => break error,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(&refused, EngineError::Unavailable(refusal) if refusal.code == "over_a_limit"), "{refused}");
    assert_eq!(inside.len(), 32);
    // All at once, and the supervisor still hears its server.
    drop(inside);
    place.engine.stop(workload.id, Duration::ZERO).await.unwrap();
}

async fn reopened(place: &mut Place) {
    let workload = place.shell("reopened", "exec sleep 1000");
    place.start(&workload, &[("TOKEN", "kept")]).await.unwrap();
    place.reopened(place.config.clone()).await;
    let (out, _, status) = run(place, &workload, &["/bin/sh", "-c", "echo $TOKEN"]).await;
    assert_eq!((out.as_str(), status), ("kept\n", Ok(0)));
}
