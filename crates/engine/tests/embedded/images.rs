//! Images as they come: many layers, whiteouts, both ways to mount, and what a hostile author puts in.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use libtest_mimic::Trial;
use meshkeep_engine::{EmbeddedConfig, Engine as _};
use meshkeep_image::Layer;
use rustix::fs::{CWD, FileType, Mode, XattrFlags, makedev, mknodat, setxattr};

use crate::place::{Place, busybox, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("layers_hide_and_uncover", whiteouts),
        trial("a_hundred_layers", many_layers),
        trial("layers_over_loop_devices", over_loop),
        trial("hostile_images_reach_nothing", hostile),
        trial("accounts_are_read_within_bounds", accounts),
        trial("the_root_keeps_its_owner_and_mode", root_mode),
    ]
}

fn text(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

async fn whiteouts(place: &mut Place) {
    let mut workload = place.shell("layers", "cd /data; for f in $(find . -type f | sort); do echo $f $(cat $f); done");
    workload.image.layers.push(place.layer("lower", |root| {
        for name in ["data/kept", "data/replaced", "data/gone", "data/opaque/old"] {
            text(root, name, "lower");
        }
    }));
    workload.image.layers.push(place.layer("upper", |root| {
        text(root, "data/replaced", "upper");
        text(root, "data/opaque/new", "upper");
        mknodat(CWD, root.join("data/gone"), FileType::CharacterDevice, Mode::empty(), makedev(0, 0)).unwrap();
        setxattr(root.join("data/opaque"), "trusted.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
    }));
    assert_eq!(place.output(&workload).await, "./kept lower\n./opaque/new upper\n./replaced upper\n");
}

async fn many_layers(place: &mut Place) {
    let mut workload = place.shell("layers", "ls /many | wc -l; cat /top");
    for number in 0..100 {
        workload.image.layers.push(place.layer(&format!("many-{number}"), |root| {
            text(root, &format!("many/{number}"), "");
            text(root, "top", &format!("{number}\n"));
        }));
    }
    assert_eq!(place.output(&workload).await, "100\n99\n");
}

async fn over_loop(place: &mut Place) {
    let config = EmbeddedConfig { force_loop: true, ..place.config.clone() };
    place.reopened(config).await;
    let workload = place.shell("loops", "stat -c %u /bin/busybox; echo up; exec sleep 1000");
    place.start(&workload, &[]).await.unwrap();
    place.wait_for_line(&workload, "up").await;
    assert!(place.log(&workload).await.starts_with("0\n"));
    assert_eq!(loops_of(&workload.image.layers[0]).len(), 1);
    place.engine.stop(workload.id, std::time::Duration::ZERO).await.unwrap();
    // The device goes with its last mount, which the kernel takes apart behind the process that had it.
    for _ in 0..1000 {
        if loops_of(&workload.image.layers[0]).is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("a loop device is left");
}

fn loops_of(layer: &Layer) -> Vec<PathBuf> {
    let wanted = layer.path.to_string_lossy().into_owned();
    fs::read_dir("/sys/block")
        .unwrap()
        .map(|entry| entry.unwrap().path().join("loop/backing_file"))
        .filter(|path| fs::read_to_string(path).is_ok_and(|file| file.trim_end().ends_with(&wanted)))
        .collect()
}

async fn hostile(place: &mut Place) {
    fs::write("/tmp/meshkeep-canary", "host").unwrap();
    // The author aims what is mounted or written for every container at the host.
    let layer = place.layer("aimed", |root| {
        busybox(root);
        fs::remove_dir_all(root.join("etc")).unwrap();
        symlink("/../../../../../../etc", root.join("etc")).unwrap();
        symlink("/../../tmp", root.join("dev")).unwrap();
        symlink("../../../../../../tmp/meshkeep-canary", root.join("canary")).unwrap();
        symlink("/proc/1/root", root.join("tmp")).unwrap();
        symlink("/proc/self/fd/7", root.join("srv")).unwrap();
    });
    let script = "cat /canary; for fd in /proc/self/fd/*; do readlink $fd; done; ls /; echo end";
    for working_dir in [None, Some("/srv/x"), Some("/canary/x"), Some("/proc/self/fd/7/../../..")] {
        let mut workload = place.shell("aimed", script);
        workload.image.layers = vec![layer.clone()];
        workload.working_dir = working_dir.map(str::to_owned);
        // Started or refused, it got nothing.
        if place.start(&workload, &[]).await.is_ok() {
            place.ended(&workload).await;
            let log = place.log(&workload).await;
            assert!(!log.contains("host") && !log.contains("/work") && !log.contains("engine"), "{log}");
        }
    }
    assert_eq!(fs::read_to_string("/tmp/meshkeep-canary").unwrap(), "host");
    fs::remove_file("/tmp/meshkeep-canary").unwrap();
    // What the container sees of its supervisor's root: nothing, under /proc neither.
    let mut workload = place.shell(
        "looks",
        "ls /proc/1/root/; ls -d /bundle /layers /upper /files 2>/dev/null; cat /proc/self/mountinfo | grep -c layers",
    );
    workload.working_dir = Some("/".to_owned());
    assert_eq!(place.output(&workload).await, "bin\ndev\netc\nproc\nsys\ntmp\n0\n");
}

async fn accounts(place: &mut Place) {
    let fifo = place.layer("fifo", |root| {
        busybox(root);
        fs::remove_file(root.join("etc/passwd")).unwrap();
        mknodat(CWD, root.join("etc/passwd"), FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
    });
    let giant = place.layer("giant", |root| {
        busybox(root);
        fs::write(root.join("etc/group"), "x".repeat(3 << 20)).unwrap();
    });
    let outside = place.layer("outside", |root| {
        busybox(root);
        fs::remove_file(root.join("etc/passwd")).unwrap();
        symlink("../../../../../../../etc/passwd", root.join("etc/passwd")).unwrap();
    });
    for (layer, said) in [(fifo, "no regular file"), (giant, "larger than 1 MiB")] {
        let mut workload = place.shell("accounts", "id");
        workload.image.layers = vec![layer];
        let refusal = place.start(&workload, &[]).await.unwrap_err().refusal();
        assert!(refusal.message.contains(said), "{refusal}");
    }
    // A link out of the image ends within it.
    let mut workload = place.shell("accounts", "id");
    workload.image.layers = vec![outside];
    workload.image.config.user = "daemon".to_owned();
    assert_eq!(place.start(&workload, &[]).await.unwrap_err().refusal().code, "bad_user");
}

async fn root_mode(place: &mut Place) {
    let mut workload = place.shell("modes", "stat -c '%a %u:%g' /");
    workload.image.layers.push(place.layer("modes", |root| {
        std::os::unix::fs::chown(root, Some(1000), Some(33)).unwrap();
        fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    }));
    assert_eq!(place.output(&workload).await, "711 1000:33\n");
}
