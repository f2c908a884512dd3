//! A hostile program inside a container tries to get out of it. `attack/` has the attempts, each in a process of its own;
//! what got through is a line `reached …`, and there must be none.

use std::{
    fs,
    net::TcpListener,
    os::{linux::net::SocketAddrExt as _, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use libtest_mimic::Trial;
use meshkeep_engine::{Peer, Workload};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, makedev, mknodat, setxattr};

use crate::place::{Place, busybox, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("attacks_get_through_where_nothing_confines_them", || {
            unconfined();
            Ok(())
        }),
        trial("breakout_by_system_calls", calls),
        trial("breakout_by_privileges", privileges),
        trial("breakout_by_files_and_descriptors", files),
        trial("breakout_by_limits", limits),
        trial("breakout_to_neighbours", neighbours),
    ]
}

/// The programs of `attack/`, compiled once.
pub struct Programs {
    pub attack: Vec<u8>,
    /// A dynamic loader as a hostile image brings one.
    pub loader: Vec<u8>,
}

pub fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/embedded/attack");
        let dir = tempfile::tempdir().unwrap();
        let compile = |name: &str, words: &[&str]| {
            let out = dir.path().join(name);
            let gcc = Command::new("gcc").current_dir(&sources).arg("-o").arg(&out).args(words).output();
            let gcc = gcc.expect("gcc is installed");
            assert!(gcc.status.success(), "{}", String::from_utf8_lossy(&gcc.stderr));
            fs::read(out).unwrap()
        };
        let sources = ["main.c", "calls.c", "privileges.c", "files.c", "limits.c", "neighbours.c"];
        Programs {
            attack: compile("attack", &[&["-O1", "-Wall", "-Wextra", "-Werror", "-static"][..], &sources].concat()),
            loader: compile("loader", &["-O1", "-nostdlib", "-static", "-ffreestanding", "-no-pie", "loader.c"]),
        }
    })
}

pub fn program(path: PathBuf, bytes: &[u8], mode: u32) {
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// An image whose author did all that files can do: programs that promise privileges, devices of the host.
pub fn attacker(root: &Path) {
    busybox(root);
    let attack = &programs().attack;
    program(root.join("bin/attack"), attack, 0o755);
    program(root.join("bin/setuid"), attack, 0o6755);
    program(root.join("bin/capable"), attack, 0o755);
    // Version 2, effective, all of the first 32 capabilities permitted.
    let mut all = 0x0200_0001_u32.to_le_bytes().to_vec();
    all.extend([0xFF, 0xFF, 0xFF, 0xFF]);
    all.extend([0; 12]);
    setxattr(root.join("bin/capable"), "security.capability", &all, XattrFlags::empty()).unwrap();
    for (name, kind, device) in
        [("zero", FileType::CharacterDevice, makedev(1, 5)), ("block", FileType::BlockDevice, makedev(7, 0))]
    {
        mknodat(CWD, root.join(name), kind, Mode::from_raw_mode(0o666), device).unwrap();
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o666)).unwrap();
    }
}

/// A workload that attacks.
pub fn attack(place: &Place, name: &str, words: &[&str]) -> Workload {
    let layer = place.layer("attacker", attacker);
    place.of_layer(name, &[&["/bin/attack"], words].concat(), layer.path)
}

/// The attempts are real: on the host they get as far as the kernel lets root.
fn unconfined() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("attack");
    program(path.clone(), &programs().attack, 0o755);
    let printed = Command::new(path).arg("calls").output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.ends_with("done\n"), "{printed}");
    let known = ["SYS_mount,", "SYS_unshare, CLONE_NEWUSER", "SYS_setns,", "SYS_keyctl,", "SYS_add_key,", "OPEN_TREE,"];
    for name in known.iter().chain(&["clone(CLONE_NEWUSER)", "CLONE3,", "AF_PACKET", "SYS_open_by_handle_at,"]) {
        assert!(printed.contains(&format!("reached {name}")), "{name} did not get through on the host:\n{printed}");
    }
    assert!(printed.lines().count() > 40, "{printed}");
}

/// Once as the container's root, once as a plain user.
async fn both(place: &Place, words: &[&str]) {
    for user in ["", "app"] {
        let mut workload = attack(place, "attacker", words);
        workload.image.config.user = user.to_owned();
        assert_eq!(place.output(&workload).await, "done\n", "{words:?} as {user:?}");
        // A root that may be written to is no way out either; what lies in it is the service's own then.
        if words != ["files"] {
            workload.attempt = 1;
            workload.writable_root = true;
            assert_eq!(place.output(&workload).await, "done\ndone\n", "{words:?} as {user:?}");
        }
    }
}

async fn calls(place: &mut Place) {
    both(place, &["calls"]).await;
}

async fn privileges(place: &mut Place) {
    both(place, &["privileges"]).await;
}

async fn files(place: &mut Place) {
    both(place, &["files"]).await;
}

async fn limits(place: &mut Place) {
    both(place, &["limits"]).await;
}

async fn neighbours(place: &mut Place) {
    let host = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = host.local_addr().unwrap().port();
    let name = format!("meshkeep-canary-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _abstract = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();

    let held = ["abstract:neighbour", "127.0.0.1:7070"];
    let peers: Vec<_> = ["holder", "attacker"]
        .iter()
        .zip(0..)
        .map(|(name, place)| Peer { name: name.parse().unwrap(), place })
        .collect();
    let holder = Workload { peers: peers.clone(), ..attack(place, "holder", &["holds", held[0], held[1]]) };
    place.start(&holder, &[]).await.unwrap();
    place.wait_for_line(&holder, "up").await;
    // From within, all of it is there: the attempts are real.
    let from_within = place.log(&holder).await;
    for name in held.iter().chain(&["a segment of others", "the segment 0x6d6b", "a queue", "shared memory"]) {
        assert!(from_within.contains(&format!("reached {name}")), "{name}: {from_within}");
    }
    let at = place.observed(&holder).await.unwrap().address.unwrap();
    let addresses = [format!("abstract:{name}"), format!("127.0.0.1:{port}"), format!("{at}:7070")];
    let words: Vec<&str> = ["neighbours"].into_iter().chain(held).chain(addresses.iter().map(String::as_str)).collect();
    let attacker = Workload { peers, ..attack(place, "attacker", &words) };
    assert_eq!(place.output(&attacker).await, "done\n");
}
