//! What a workload cannot exceed, and what it cannot do.

use libtest_mimic::Trial;
use meshkeep_engine::{ExtraCapability, ObservedState};

use crate::place::{Place, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("memory_is_limited_and_the_hint_says_so", memory),
        trial("processes_are_limited", processes),
        trial("cores_and_open_files_are_limited", rlimits),
        trial("no_namespace_by_clone", clone),
        trial("a_refused_change_of_owner_gets_a_hint", not_permitted),
    ]
}

async fn memory(place: &mut Place) {
    let mut hungry =
        place.shell("hungry", "tr '\\0' x </dev/zero | head -c 100000000 | sort >/dev/null; echo $?; exit 5");
    hungry.command =
        Some(["/bin/sh", "-c", "exec dd if=/dev/zero of=/dev/null bs=100M count=1"].map(str::to_owned).to_vec());
    hungry.limits.memory_bytes = 24 << 20;
    place.start(&hungry, &[]).await.unwrap();
    let ObservedState::Exited { code: 137, hint: Some(hint), .. } = place.ended(&hungry).await else {
        panic!("{:?}", place.observed(&hungry).await)
    };
    assert!(hint.contains("meshkeep.memory"), "{hint}");
    // What is written to a tmpfs is memory too.
    let mut writer = place.shell("writer", "dd if=/dev/zero of=/tmp/x bs=1M count=64 2>/dev/null; exit 9");
    writer.limits.memory_bytes = 24 << 20;
    place.start(&writer, &[]).await.unwrap();
    assert_ne!(place.code(&writer).await, 0);
    let mut none = place.shell("none", "exit 0");
    none.limits.memory_bytes = 1 << 20;
    assert_eq!(place.start(&none, &[]).await.unwrap_err().refusal().code, "over_a_limit");
}

async fn processes(place: &mut Place) {
    let script = "i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done; echo all";
    let mut many = place.shell("many", script);
    many.limits.pids = 16;
    let printed = place.output(&many).await;
    assert!(!printed.contains("all"), "{printed}");
    let ObservedState::Exited { code, hint, .. } = place.ended(&many).await else { panic!("it ended") };
    assert_ne!(code, 0);
    assert!(hint.unwrap().contains("processes"));
}

async fn rlimits(place: &mut Place) {
    let script =
        "while read -r line; do case $line in 'Max core'*|'Max open'*) echo $line;; esac; done </proc/self/limits";
    let printed = place.output(&place.shell("limits", script)).await;
    let lines: Vec<Vec<_>> = printed.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(lines[0][4..6], ["1", "1"], "{printed}");
    let files: u64 = lines[1][3].parse().unwrap();
    assert!((1024..=1 << 20).contains(&files) && lines[1][3] == lines[1][4], "{printed}");
}

async fn not_permitted(place: &mut Place) {
    let script = "touch /tmp/x; chown 5 /tmp/x || exit 1; seq 1 3";
    let mut workload = place.shell("drops", script);
    place.start(&workload, &[]).await.unwrap();
    let ObservedState::Exited { code: 1, hint: Some(hint), .. } = place.ended(&workload).await else { panic!() };
    assert!(hint.contains("meshkeep.capabilities"), "{hint}");
    workload.attempt = 1;
    workload.capabilities = vec![ExtraCapability::Chown];
    place.start(&workload, &[]).await.unwrap();
    let ObservedState::Exited { code: 0, hint: None, .. } = place.ended(&workload).await else { panic!() };
}

/// `clone` with and without a flag that makes a namespace, tried by the smallest program there is.
#[cfg(target_arch = "x86_64")]
async fn clone(place: &mut Place) {
    use std::{fs, os::unix::fs::PermissionsExt as _};
    let program = |flags: u32| {
        let mut code = vec![0xbf];
        code.extend(flags.to_le_bytes()); // mov edi, flags
        code.extend([0x31, 0xf6, 0x31, 0xd2, 0x4d, 0x31, 0xd2, 0x4d, 0x31, 0xc0]); // no stack, no ids, no tls
        code.extend([0xb8, 56, 0, 0, 0, 0x0f, 0x05]); // clone
        code.extend([0x31, 0xff, 0x85, 0xc0, 0x79, 0x04, 0xf7, 0xd8, 0x89, 0xc7]); // edi = errno or 0
        code.extend([0xb8, 231, 0, 0, 0, 0x0f, 0x05]); // exit_group
        elf(&code)
    };
    let layer = place.layer("clones", |root| {
        fs::create_dir(root.join("bin")).unwrap();
        for (name, flags) in [("plain", 17), ("user", 0x1000_0011), ("mount", 0x0002_0011)] {
            let path = root.join("bin").join(name);
            fs::write(&path, program(flags)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    });
    for (name, code) in [("plain", 0), ("user", 1), ("mount", 1)] {
        let mut workload = place.workload("clones", &[name]);
        workload.image.layers = vec![layer.clone()];
        place.start(&workload, &[]).await.unwrap();
        assert_eq!(place.code(&workload).await, code, "{name}");
    }
}

#[cfg(not(target_arch = "x86_64"))]
async fn clone(_: &mut Place) {}

/// A 64-bit program of one segment.
#[cfg(target_arch = "x86_64")]
fn elf(code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let size = HEADERS + code.len() as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for half in [2_u16, 62] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes());
    for word in [BASE + HEADERS, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for half in [1_u32, 5] {
        file.extend(half.to_le_bytes());
    }
    for word in [0, BASE, BASE, size, size, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}
