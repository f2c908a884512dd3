//! Empty directories and files beside the image.

use std::{fs, os::unix::fs::symlink, process::Command};

use libtest_mimic::Trial;
use meshkeep_core::id::{ProjectId, RoomId};
use meshkeep_engine::{Engine as _, Mount, MountSource, StorageId, Workload};
use meshkeep_image::Layer;
use uuid::Uuid;

use crate::{
    breakout::attacker,
    place::{Place, image, trial},
};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("directories_and_files_are_as_stated", as_stated),
        trial("breakout_by_storage_at_links", at_links),
        trial("what_is_stored_stays_and_is_shared", stored),
        trial("breakout_by_links_in_the_storage", links_in_storage),
        trial("other_images_are_mounted", other_images),
    ]
}

fn mount(path: &str, read_only: bool, text: Option<&str>) -> Mount {
    let source = text.map_or(MountSource::EmptyDir, |text| MountSource::File(text.to_owned()));
    Mount { path: path.to_owned(), read_only, source }
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

fn stored_at(path: &str, read_only: bool, subpath: &str, storage: StorageId) -> Mount {
    Mount { path: path.to_owned(), read_only, source: MountSource::Stored { storage, subpath: subpath.to_owned() } }
}

fn a_room() -> StorageId {
    StorageId::Room(ProjectId::from_uuid(Uuid::new_v4()), RoomId::from_uuid(Uuid::new_v4()))
}

/// Every file of the engine's storage with its owner and mode.
fn on_disk(place: &Place) -> Vec<(String, u32, u32)> {
    let root = place.config.root.join("storage");
    let listed = Command::new("find").arg(&root).args(["-mindepth", "2", "-printf", "%P %U %m\n"]).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    let read = |line: &str| {
        let mut words = line.split(' ');
        let (path, owner, mode) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        (path.rsplit('/').next().unwrap().to_owned(), owner.parse().unwrap(), u32::from_str_radix(mode, 8).unwrap())
    };
    text.lines().map(read).collect()
}

async fn stored(place: &mut Place) {
    let room = a_room();
    let script = "echo one >/data/file; cp /bin/busybox /data/busybox; chmod 4755 /data/busybox; \
                  mkdir -p /part/x; echo two >/part/x/y; stat -c '%u %a' /data /data/file; \
                  grep -c ' /data .*rw,nosuid,nodev' /proc/self/mountinfo";
    let mounts = vec![stored_at("/data", false, "", room), stored_at("/part", false, "a/part", room)];
    for (number, (user, id)) in [("", 0), ("app", 1000)].into_iter().enumerate() {
        let mut workload = Workload { mounts: mounts.clone(), ..place.shell(&format!("writes-{number}"), script) };
        workload.image.config.user = user.to_owned();
        if number == 1 {
            // Another service with ids of its own finds what the first one left, as if it were its own user's.
            let read = Workload {
                mounts: mounts.clone(),
                ..place.shell("reads", "cat /data/file /data/a/part/x/y; rm -r /data/*; ls /data")
            };
            assert_eq!(place.output(&read).await, "one\ntwo\n");
            place.engine.remove(read.id).await.unwrap();
        }
        assert_eq!(place.output(&workload).await, format!("0 777\n{id} 644\n1\n"), "as {user:?}");
        let base = place.config.first_id;
        let files = on_disk(place);
        assert!(
            files.len() > 4 && files.iter().all(|(_, owner, _)| (base..base + 65_536).contains(owner)),
            "{files:?}"
        );
        assert!(files.contains(&("file".to_owned(), base + id, 0o644)), "{files:?}");
    }
    // A program that would give its owner's rights gives none, also to another user of the same storage.
    let mut reader = Workload {
        mounts: vec![stored_at("/data", true, "", room)],
        ..place.shell("fixed", "/data/busybox id -u; echo x 2>/dev/null >/data/file || echo fixed")
    };
    reader.image.config.user = "app".to_owned();
    assert_eq!(place.output(&reader).await, "1000\nfixed\n");
    // Another room has another one.
    let other = Workload { mounts: vec![stored_at("/data", false, "", a_room())], ..place.shell("other", "ls /data") };
    assert_eq!(place.output(&other).await, "");
    place.engine.remove_storage(room).await.unwrap();
    place.engine.remove_storage(room).await.unwrap();
    assert!(on_disk(place).iter().all(|(name, ..)| name != "file"));
}

/// What one service leaves in the storage must not lead the next one's mount anywhere else.
async fn links_in_storage(place: &mut Place) {
    let room = a_room();
    let script = "cd /data; ln -s / root; ln -s ../../../../../../../../etc up; ln -s /proc/self/root self; mkdir real; \
                  ln -s real near; mkdir real/in; ln -s / real/in/deep; echo done";
    let lays = Workload { mounts: vec![stored_at("/data", false, "", room)], ..place.shell("lays", script) };
    assert_eq!(place.output(&lays).await, "done\n");
    for (number, subpath) in ["root", "root/etc", "up", "self", "self/etc", "near", "real/in/deep", "real/in/deep/etc"]
        .into_iter()
        .enumerate()
    {
        let workload = Workload {
            mounts: vec![stored_at("/mnt", false, subpath, room)],
            ..place.shell(&format!("led-{number}"), "ls -a /mnt")
        };
        let error = place.start(&workload, &[]).await.expect_err(subpath).refusal();
        assert_eq!(error.code, "bad_storage", "{subpath}: {error}");
    }
    let plain = Workload { mounts: vec![stored_at("/mnt", false, "real/in", room)], ..place.shell("plain", "ls /mnt") };
    assert_eq!(place.output(&plain).await, "deep\n");
}

async fn other_images(place: &mut Place) {
    let low = place.layer("low", |root| {
        fs::create_dir_all(root.join("usr/share")).unwrap();
        fs::write(root.join("usr/share/low"), "low\n").unwrap();
        fs::write(root.join("both"), "below\n").unwrap();
        symlink("/", root.join("out")).unwrap();
    });
    let high = place.layer("high", |root| fs::write(root.join("both"), "above\n").unwrap());
    let of = |layers: Vec<Layer>, path: &str, subpath: &str| Mount {
        path: path.to_owned(),
        read_only: true,
        source: MountSource::Image { image: image(layers), subpath: subpath.to_owned() },
    };
    let workload = Workload {
        mounts: vec![
            of(vec![low.clone(), high.clone()], "/tools", ""),
            of(vec![low.clone()], "/share", "usr/share"),
            of(vec![low.clone(), high.clone()], "/deep/share", "usr/share"),
        ],
        ..place.shell(
            "mounts",
            "cat /tools/both /tools/usr/share/low /share/low /deep/share/low; \
             for f in /tools/both /share/new; do echo x 2>/dev/null >$f || echo fixed; done; \
             grep -cE ' /(tools|share|deep/share) ro,nosuid,nodev' /proc/self/mountinfo",
        )
    };
    assert_eq!(place.output(&workload).await, "above\nlow\nlow\nlow\nfixed\nfixed\n3\n");
    for (number, subpath) in ["none", "out", "out/etc", "both"].into_iter().enumerate() {
        let mounts = vec![of(vec![low.clone()], "/tools", subpath)];
        let workload = Workload { mounts, ..place.shell(&format!("part-{number}"), "ls /tools") };
        assert_eq!(place.start(&workload, &[]).await.expect_err(subpath).refusal().code, "bad_storage", "{subpath}");
    }
}
