//! Images whose files are aimed at what the engine mounts, opens and executes for every container.

use std::{
    fs,
    os::unix::fs::{chown, symlink},
    path::{Path, PathBuf},
};

use libtest_mimic::Trial;
use meshkeep_engine::{Engine as _, Workload};
use rustix::fs::{StatVfsMountFlags, statvfs};

use crate::{
    breakout::{attack, attacker, program, programs},
    life::processes,
    place::{Place, trial},
};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("breakout_by_mount_targets_that_are_links", mount_targets),
        trial("breakout_by_fakes_of_devices_and_proc", fakes),
        trial("breakout_by_the_working_directory", working_directory),
        trial("breakout_by_the_engines_own_program", own_program),
        trial("breakout_by_more_mounts_than_ours", exact_mounts),
        trial("owners_beyond_the_range_are_nobody", foreign_owners),
    ]
}

/// An image of the attacker, changed further.
fn image(place: &Place, name: &str, change: impl FnOnce(&Path)) -> PathBuf {
    place
        .layer(name, |root| {
            attacker(root);
            change(root);
        })
        .path
}

/// Starts it; what it printed, or `None` when it was refused.
async fn tried(place: &Place, workload: &Workload) -> Option<String> {
    let log = match place.start(workload, &[]).await {
        Ok(()) => {
            place.ended(workload).await;
            Some(place.log(workload).await)
        }
        Err(_) => None,
    };
    // Also what was refused was taken apart.
    if place.observed(workload).await.is_some() {
        place.engine.remove(workload.id).await.unwrap();
    }
    log
}

fn replace(root: &Path, name: &str, target: &str) {
    let path = root.join(name);
    if path.is_dir() {
        fs::remove_dir_all(&path).unwrap();
    }
    let parent = path.parent().unwrap();
    if !parent.exists() {
        fs::create_dir_all(parent).unwrap();
    }
    symlink(target, path).unwrap();
}

async fn mount_targets(place: &mut Place) {
    let mut started = 0;
    for (number, name) in ["proc", "sys", "dev", "tmp", "etc", "etc/hosts", "etc/resolv.conf"].into_iter().enumerate() {
        for (aim, target) in
            ["/", "../../../../../../../tmp", "/../../files", "/proc/self/root/tmp", "/proc", "/proc/sys", "/dev/shm"]
                .into_iter()
                .enumerate()
        {
            let path = image(place, &format!("aimed-{number}-{aim}"), |root| replace(root, name, target));
            let workload = place.of_layer("aimed", &["/bin/attack", "files"], path);
            let Some(log) = tried(place, &workload).await else { continue };
            started += 1;
            assert_eq!(log, "done\n", "/{name} -> {target}");
        }
    }
    // Some of these are harmless; a test in which nothing ran would show nothing.
    assert!(started > 5, "{started}");
}

async fn fakes(place: &mut Place) {
    let path = image(place, "fakes", |root| {
        for dir in ["dev/pts", "dev/shm", "proc/self/fd", "proc/sys/kernel", "proc/1", "sys/fs/cgroup"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        for (name, target) in [("dev/null", "/etc/passwd"), ("dev/console", "/proc/kcore"), ("dev/ptmx", "/proc/keys")]
        {
            symlink(target, root.join(name)).unwrap();
        }
        for name in
            ["dev/tty", "proc/kcore", "proc/sys/kernel/core_pattern", "proc/1/environ", "sys/fs/cgroup/cgroup.procs"]
        {
            fs::write(root.join(name), "fake").unwrap();
        }
        symlink("/bin", root.join("proc/self/exe")).unwrap();
        symlink("../../kcore", root.join("proc/self/mountinfo")).unwrap();
    });
    let mut workload = place.of_layer("fakes", &["/bin/attack", "files"], path.clone());
    workload.image.config.user = "app".to_owned();
    assert_eq!(tried(place, &workload).await.as_deref(), Some("done\n"));
    let script = "stat -c '%F %t:%T' /dev/null; echo x >/dev/null; cat /etc/passwd | grep -c x$; \
                  grep -c fake /proc/1/environ /proc/sys/kernel/core_pattern; readlink /proc/self/exe";
    let workload = place.of_layer("fakes", &["/bin/sh", "-c", script], path);
    let wanted = "character special file 1:3\n0\n/proc/1/environ:0\n/proc/sys/kernel/core_pattern:0\n/bin/busybox\n";
    assert_eq!(tried(place, &workload).await.as_deref(), Some(wanted));
}

async fn working_directory(place: &mut Place) {
    let mut dirs: Vec<String> = (0..24).map(|fd| format!("/proc/self/fd/{fd}")).collect();
    dirs.extend(
        ["/proc/1/cwd", "/proc/self/root", "/proc/thread-self/cwd/..", "/srv", "../../..", "/tmp/../../x"]
            .map(str::to_owned),
    );
    let path = image(place, "led-out", |root| symlink("/proc/self/fd/5", root.join("srv")).unwrap());
    let mut started = 0;
    for dir in dirs {
        let mut workload = place.of_layer("led-out", &["/bin/attack", "files"], path.clone());
        workload.working_dir = Some(dir.clone());
        if let Some(log) = tried(place, &workload).await {
            started += 1;
            assert_eq!(log, "done\n", "{dir}");
        }
    }
    assert!(started > 1, "{started}");
}

/// The image makes the engine's own program the command, or the interpreter of it, and brings the loader for it.
async fn own_program(place: &mut Place) {
    let path = image(place, "own", |root| {
        for dir in ["lib64", "lib"] {
            fs::create_dir(root.join(dir)).unwrap();
        }
        for name in ["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"] {
            program(root.join(name), &programs().loader, 0o755);
        }
        symlink("/proc/self/exe", root.join("bin/link")).unwrap();
        program(root.join("bin/script"), b"#!/proc/self/exe\n", 0o755);
        fs::copy(std::env::current_exe().unwrap(), root.join("bin/own")).unwrap();
    });
    // The loader works: here the program is the image's own copy, on a root that the service may write.
    let mut copy = place.of_layer("own", &["/bin/own"], path.clone());
    copy.writable_root = true;
    assert_eq!(tried(place, &copy).await.as_deref(), Some("loader ran\nreached the program\n"));
    for command in ["/bin/link", "/proc/self/exe", "/bin/script"] {
        for user in ["", "app"] {
            let mut workload = place.of_layer("own", &[command], path.clone());
            workload.writable_root = true;
            workload.image.config.user = user.to_owned();
            let log = tried(place, &workload).await;
            assert!(log.as_deref().is_none_or(|log| !log.contains("reached")), "{command}: {log:?}");
            if command != "/bin/script" {
                assert_eq!(log, None, "{command} was executed");
            }
        }
    }
    // Who reached it all the same could not write it, whoever they are: it is executed through a mount that is read-only.
    let mut runs = place.of_layer("own", &["/bin/sleep", "1000"], path);
    runs.attempt = 1;
    place.start(&runs, &[]).await.unwrap();
    let (_, supervisor) = processes(&runs);
    let flags = statvfs(format!("/proc/{supervisor}/exe")).unwrap().f_flag;
    assert!(flags.contains(StatVfsMountFlags::RDONLY), "{flags:?}");
    let flags = statvfs(std::env::current_exe().unwrap()).unwrap().f_flag;
    assert!(!flags.contains(StatVfsMountFlags::RDONLY), "the program's own file system is read-only: nothing is shown");
}

/// Whatever an image says of volumes, labels and annotations: these are the mounts.
async fn exact_mounts(place: &mut Place) {
    let mut workload = attack(place, "mounts", &[]);
    workload.command = Some(
        ["/bin/sh", "-c", "cut -d' ' -f5 /proc/self/mountinfo | grep -v ^/proc/ | sort"].map(str::to_owned).to_vec(),
    );
    let wanted = "/\n/dev\n/dev/full\n/dev/mqueue\n/dev/null\n/dev/pts\n/dev/random\n/dev/shm\n/dev/tty\n/dev/urandom\n\
                  /dev/zero\n/etc/hostname\n/etc/hosts\n/etc/resolv.conf\n/proc\n/sys\n/tmp\n";
    assert_eq!(place.output(&workload).await, wanted);
    // None of them shows where on the host it comes from, and none may bring privileges but the root of devices.
    workload.attempt = 1;
    workload.command = Some(
        ["/bin/sh", "-c", "cut -d' ' -f4,6 /proc/self/mountinfo | grep -v nosuid | sort"].map(str::to_owned).to_vec(),
    );
    let printed = place.output(&workload).await;
    let root = place.config.root.to_string_lossy();
    assert!(!printed.contains(&*root), "{printed}");
}

async fn foreign_owners(place: &mut Place) {
    let path = image(place, "foreign", |root| {
        for (name, id) in
            [("host-root", 4_294_967_294_u32), ("beyond", 65_536), ("huge", 3_000_000_000), ("last", 65_535)]
        {
            program(root.join(name), b"x", 0o600);
            chown(root.join(name), Some(id), Some(id)).unwrap();
        }
    });
    let script = "for f in host-root beyond huge last; do stat -c %u:%g /$f; cat /$f 2>/dev/null && echo read $f; done; echo end";
    for user in ["", "app", "65534"] {
        let mut workload = place.of_layer("foreign", &["/bin/sh", "-c", script], path.clone());
        workload.image.config.user = user.to_owned();
        let nobody = "65534:65534\n".repeat(3);
        assert_eq!(tried(place, &workload).await.as_deref(), Some(&*format!("{nobody}65535:65535\nend\n")), "{user}");
    }
    for user in ["65536", "2147483648", "4294967295", "4294967296", "0:65536"] {
        let mut workload = place.of_layer("foreign", &["/bin/sh", "-c", "id"], path.clone());
        workload.image.config.user = user.to_owned();
        assert_eq!(place.start(&workload, &[]).await.unwrap_err().refusal().code, "bad_user", "{user}");
    }
}
