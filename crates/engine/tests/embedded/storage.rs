//! Empty directories and files beside the image.

use std::{fs, os::unix::fs::symlink};

use libtest_mimic::Trial;
use meshkeep_core::storage::Mount;
use meshkeep_engine::Workload;

use crate::{
    breakout::attacker,
    place::{Place, trial},
};

pub fn trials() -> Vec<Trial> {
    vec![trial("directories_and_files_are_as_stated", as_stated), trial("breakout_by_storage_at_links", at_links)]
}

fn mount(path: &str, read_only: bool, text: Option<&str>) -> Mount {
    Mount { path: path.to_owned(), read_only, text: text.map(str::to_owned) }
}

async fn as_stated(place: &mut Place) {
    let text = "first\n'quotes' $NOT \u{e9}\n";
    let script = "cat /etc/app/config; ls /cache /tmp/below | wc -w; echo kept >/cache/file; cat /cache/file; \
                  echo more >>/tmp/writable; cat /tmp/writable; \
                  for f in /etc/app/config /fixed/x /new; do echo x 2>/dev/null >$f && echo wrote $f; done; \
                  stat -c '%a %n' /cache /etc/app/config; grep -c ' /cache .*nosuid,nodev' /proc/self/mountinfo";
    let mut workload = Workload {
        mounts: vec![
            mount("/cache", false, None),
            mount("/tmp/below", false, None),
            mount("/fixed", true, None),
            mount("/etc/app/config", true, Some(text)),
            mount("/tmp/writable", false, Some("one\n")),
        ],
        ..place.shell("stores", script)
    };
    let wanted = format!("{text}2\nkept\none\nmore\n1777 /cache\n644 /etc/app/config\n1\n");
    for user in ["", "app"] {
        workload.image.config.user = user.to_owned();
        let printed = place.output(&workload).await;
        // What was written is gone with the container that wrote it.
        assert!(printed.ends_with(&wanted), "as {user:?}: {printed}");
        workload.attempt += 1;
    }
}

/// The image aims the places of the mounts at what lies outside of it.
async fn at_links(place: &mut Place) {
    let targets = ["/", "../../../../../../../tmp", "/../../files", "/proc/self/root/tmp", "/proc/sys", "/dev/shm"];
    for (number, target) in targets.into_iter().enumerate() {
        let layer = place.layer(&format!("storage-{number}"), |root| {
            attacker(root);
            symlink(target, root.join("aimed")).unwrap();
        });
        let canary = format!("/tmp/meshkeep-storage-{}", place.session);
        for mounts in [
            vec![mount("/aimed/meshkeep-canary", false, None)],
            vec![mount("/aimed/meshkeep-canary", false, Some("x"))],
            vec![mount("/aimed", false, None)],
            vec![mount("/aimed", true, Some("x"))],
        ] {
            let workload =
                Workload { mounts, ..place.of_layer("aimed", &["/bin/attack", "files"], layer.path.clone()) };
            // Started or refused, it got nothing.
            if place.start(&workload, &[]).await.is_ok() {
                place.ended(&workload).await;
                assert_eq!(place.log(&workload).await, "done\n", "{target}");
            }
        }
        for outside in ["/tmp/meshkeep-canary", "/meshkeep-canary", "/dev/shm/meshkeep-canary", &canary] {
            assert!(!fs::exists(outside).unwrap(), "{outside}");
        }
    }
}
