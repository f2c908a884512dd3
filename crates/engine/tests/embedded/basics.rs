//! A workload starts, is what it was asked to be, and ends.

use std::{sync::atomic::Ordering, time::Duration};

use libtest_mimic::Trial;
use meshkeep_engine::{Engine, EngineError, ExtraCapability, ObservedState};

use crate::place::{Place, Values, image, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("environment_is_exact", environment_is_exact),
        trial("exit_codes", exit_codes),
        trial("unknown_command_is_named", unknown_command_is_named),
        trial("users_of_the_image", users_of_the_image),
        trial("working_directory", working_directory),
        trial("what_may_be_written", what_may_be_written),
        trial("capabilities", capabilities),
        trial("stop_signal_grace_and_kill", stop_signal_grace_and_kill),
        trial("ensure_is_idempotent", ensure_is_idempotent),
        trial("confinement", confinement),
        trial("streams_open_by_their_names", streams),
    ]
}

async fn environment_is_exact(place: &mut Place) {
    let workload = place.workload("weather", &["cat", "/proc/self/environ"]);
    let values = [("SHORT", "abc"), ("EMPTY", ""), ("QUOTES", "'\"$`\\"), ("LINES", "a\nb\r\n é\t"), ("HOME", "/x")];
    place.start(&workload, &values).await.unwrap();
    assert_eq!(place.code(&workload).await, 0);
    // The redactor replaces values of six bytes and more; these are shorter, or not whole in a form it knows.
    let printed = place.log(&workload).await;
    assert_eq!(printed, "PATH=/bin\0SHORT=abc\0EMPTY=\0QUOTES='\"$`\\\0LINES=[redacted]\0HOME=/x\0\n".to_owned());
    let plain = place.shell("plain", "printf '%s' \"$LINES\" | od -An -tx1 | tr -d ' \\n'; echo; echo \"$HOME\"");
    place.start(&plain, &[("LINES", "a\nb\r\n é\t")]).await.unwrap();
    place.ended(&plain).await;
    assert_eq!(place.log(&plain).await, "610a620d0a20c3a909\n/root\n");
}

async fn exit_codes(place: &mut Place) {
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -ABRT $$; exec sleep 9", 134)] {
        // The first process of a container ignores signals of its own: a child of it dies by them.
        let script = format!("sh -c '{script}'; exit $?");
        let workload = place.shell("exits", &script);
        place.start(&workload, &[]).await.unwrap();
        assert_eq!(place.code(&workload).await, code, "{script}");
    }
}

async fn unknown_command_is_named(place: &mut Place) {
    for (command, words) in [
        (&["nonesuch", "x"][..], &["nonesuch", "PATH", "/bin"][..]),
        (&["/opt/nonesuch"], &["/opt/nonesuch"]),
        (&["/etc/passwd"], &["/etc/passwd", "may not be executed"]),
    ] {
        let workload = place.workload("wrong", command);
        let error = place.start(&workload, &[("KEY", "a-secret-value")]).await.unwrap_err();
        let EngineError::Rejected(refusal) = &error else { panic!("{error:?}") };
        assert_eq!(refusal.code, "unknown_command");
        assert!(!refusal.hint.is_empty());
        for word in words {
            assert!(refusal.message.contains(word), "{refusal}");
        }
        let ObservedState::Failed(seen) = place.ended(&workload).await else { panic!("it did not start") };
        assert_eq!(&seen, refusal);
    }
}

async fn users_of_the_image(place: &mut Place) {
    for (user, shown) in [
        ("", "uid=0(root) gid=0(root) groups=0(root)\n/root\n"),
        ("app", "uid=1000(app) gid=1001(app) groups=33(web),1001(app)\n/srv\n"),
        ("app:web", "uid=1000(app) gid=33(web) groups=33(web)\n/srv\n"),
        ("4242:7", "uid=4242 gid=7 groups=7\n/\n"),
    ] {
        let mut workload = place.shell("who", "id; echo $HOME");
        workload.image.config.user = user.to_owned();
        assert_eq!(place.output(&workload).await, shown, "{user}");
    }
    for user in ["nobody", "app:nobody", "70000"] {
        let mut workload = place.shell("who", "id");
        workload.image.config.user = user.to_owned();
        let error = place.start(&workload, &[]).await.unwrap_err();
        assert_eq!(error.refusal().code, "bad_user", "{user}");
    }
}

async fn working_directory(place: &mut Place) {
    let mut workload = place.shell("dirs", "pwd; stat -c %u:%a .");
    assert_eq!(place.output(&workload).await, "/\n0:755\n");
    workload.attempt = 1;
    workload.image.config.working_dir = "/srv/not/there/yet".to_owned();
    place.start(&workload, &[]).await.unwrap();
    place.ended(&workload).await;
    assert!(place.log(&workload).await.ends_with("/srv/not/there/yet\n0:755\n"));
    workload.attempt = 2;
    workload.working_dir = Some("/etc/passwd/x".to_owned());
    assert_eq!(place.start(&workload, &[]).await.unwrap_err().refusal().code, "bad_working_dir");
}

async fn what_may_be_written(place: &mut Place) {
    let script = "for at in / /etc /tmp /dev/shm /etc/hosts; do
        if [ -d $at ]; then target=$at/x; else target=$at; fi
        if echo x 2>/dev/null >>$target; then echo $at yes; else echo $at no; fi; done";
    let mut workload = place.shell("writes", &format!("{{ {script}; }} 2>/dev/null"));
    assert_eq!(place.output(&workload).await, "/ no\n/etc no\n/tmp yes\n/dev/shm yes\n/etc/hosts no\n");
    let mut writable = place.shell("writes", &format!("{{ {script}; }} 2>/dev/null; cat /x"));
    writable.writable_root = true;
    assert_eq!(place.output(&writable).await, "/ yes\n/etc yes\n/tmp yes\n/dev/shm yes\n/etc/hosts no\nx\n");
    workload.attempt = 1;
    // Nothing of it reached the layer.
    workload.command = Some(["ls", "/"].map(str::to_owned).to_vec());
    place.start(&workload, &[]).await.unwrap();
    place.ended(&workload).await;
    assert!(place.log(&workload).await.ends_with("bin\ndev\netc\nproc\nsys\ntmp\n"));
}

async fn capabilities(place: &mut Place) {
    let script = "while read name value; do case $name in Cap*|NoNewPrivs:|Seccomp:) echo $name $value;; esac; done </proc/self/status";
    let none = "CapInh: 0000000000000000\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\nCapBnd: \
                0000000000000000\nCapAmb: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2\n";
    assert_eq!(place.output(&place.shell("caps", script)).await, none);
    let change = "touch /tmp/x && chown 5:5 /tmp/x 2>/dev/null && stat -c %u:%g /tmp/x || echo refused";
    assert_eq!(place.output(&place.shell("caps", change)).await, "refused\n");
    let mut extra = place.shell("caps", change);
    extra.capabilities = vec![ExtraCapability::Chown];
    assert_eq!(place.output(&extra).await, "5:5\n");
}

async fn stop_signal_grace_and_kill(place: &mut Place) {
    let polite = "trap 'echo got it; exit 3' INT; echo up; while :; do sleep 0.05; done";
    let mut workload = place.shell("polite", polite);
    workload.image.config.stop_signal = "SIGINT".to_owned();
    place.start(&workload, &[]).await.unwrap();
    place.wait_for_line(&workload, "up").await;
    place.engine.stop(workload.id, Duration::from_secs(20)).await.unwrap();
    assert_eq!(place.code(&workload).await, 3);
    assert_eq!(place.log(&workload).await, "up\ngot it\n");

    let stubborn = place.shell("stubborn", "trap '' TERM; echo up; while :; do sleep 0.05; done");
    place.start(&stubborn, &[]).await.unwrap();
    place.wait_for_line(&stubborn, "up").await;
    place.engine.stop(stubborn.id, Duration::from_millis(200)).await.unwrap();
    assert_eq!(place.code(&stubborn).await, 137);
    // Stopping what is stopped is nothing.
    place.engine.stop(stubborn.id, Duration::from_secs(1)).await.unwrap();
}

async fn ensure_is_idempotent(place: &mut Place) {
    let mut workload = place.shell("steady", "trap exit TERM; echo up; while :; do sleep 0.05; done");
    let values = Values::new(&[]);
    place.engine.ensure(&workload, &values).await.unwrap();
    place.wait_for_line(&workload, "up").await;
    let first = place.observed(&workload).await.unwrap();
    assert_eq!((&first.state, first.attempt), (&ObservedState::Running, 0));
    assert!(first.started_at.is_some() && first.address.is_some());
    place.engine.ensure(&workload, &values).await.unwrap();
    assert_eq!(values.delivered.load(Ordering::Relaxed), 1);
    let removed = place.engine.remove(workload.id).await;
    assert!(matches!(removed, Err(EngineError::Rejected(refusal)) if refusal.code == "still_running"));

    workload.attempt = 1;
    workload.command = Some(["/bin/sh", "-c", "echo second"].map(str::to_owned).to_vec());
    place.engine.ensure(&workload, &values).await.unwrap();
    assert_eq!(place.code(&workload).await, 0);
    assert_eq!(values.delivered.load(Ordering::Relaxed), 2);
    // Ended is ended, until a higher attempt is asked for.
    place.engine.ensure(&workload, &values).await.unwrap();
    assert_eq!(values.delivered.load(Ordering::Relaxed), 2);
    assert_eq!(place.log(&workload).await, "up\nsecond\n");
    place.engine.remove(workload.id).await.unwrap();
    assert!(place.observed(&workload).await.is_none());
    assert!(matches!(place.engine.remove(workload.id).await, Err(EngineError::NotFound(_))));
}

async fn confinement(place: &mut Place) {
    // Each line says what was possible; none must be.
    let script = "
        mount -t tmpfs none /tmp 2>/dev/null && echo mount
        unshare -U true 2>/dev/null && echo unshare
        echo x 2>/dev/null >/proc/sys/kernel/hostname && echo sysctl
        head -c1 /proc/kcore 2>/dev/null | grep -q . && echo kcore
        ls -d /sys/kernel 2>/dev/null
        ls /proc | grep -v '^[0-9]' | grep -c . >/dev/null || echo no-proc
        for pid in /proc/[0-9]*; do echo ${pid#/proc/}; done | grep -v -x -e 1 -e '[2-9]' -e '1[0-9]'
        umask
        hostname
        echo $$";
    let workload = place.shell("Confined", &format!("{{ {script}; }} 2>/dev/null"));
    assert_eq!(place.output(&workload).await, "0022\nconfined\n1\n");
    // Neither signals nor descriptors of ours are left to it.
    let signals = place.workload("signals", &["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"]);
    assert_eq!(place.output(&signals).await, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    let descriptors = place.workload("descriptors", &["ls", "/proc/self/fd"]);
    assert_eq!(place.output(&descriptors).await, "0\n1\n2\n3\n");
    // What the container's root owns outside is nobody there.
    let mut owners =
        place.shell("owners", "stat -c %u:%g / /bin/busybox /tmp /etc/hosts /proc/1; cat /proc/self/uid_map");
    owners.image = image(owners.image.layers);
    let shown = place.output(&owners).await;
    assert!(shown.starts_with("0:0\n0:0\n0:0\n0:0\n0:0\n"), "{shown}");
    assert!(shown.trim_end().ends_with("65536"), "{shown}");
}

async fn streams(place: &mut Place) {
    for user in ["", "app", "4242:4242"] {
        let mut workload = place.shell("streams", "echo out >/dev/stdout; echo err >/proc/self/fd/2");
        workload.image.config.user = user.to_owned();
        assert_eq!(place.output(&workload).await, "out\nerr\n", "{user}");
    }
}
