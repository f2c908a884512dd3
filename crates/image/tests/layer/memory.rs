//! How much memory a conversion takes: measured in a process that does nothing else.

use std::{
    fs,
    io::{self, Read},
    process::Command,
};

use meshkeep_image::layer::Compression;

use crate::{
    cases::full,
    peers::{convert, place},
    tarball::{Dialect, Item},
};

const ALONE: &str = "MESHKEEP_TEST_ALONE";
/// DESIGN: a layer in flight takes no more than this.
const ALLOWED_KIB: u64 = 32 << 10;

/// A tar that is made while it is read: many small files, then a large one.
struct LargeTar {
    small: u32,
    large: u64,
    ready: io::Cursor<Vec<u8>>,
}

impl Read for LargeTar {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.ready.read(buffer)? {
            0 if self.small > 0 => {
                self.small -= 1;
                let item = Item::file(format!("d{}/file-{}", self.small % 100, self.small), [7; 1000]);
                self.ready = io::Cursor::new(item.dialect(Dialect::Ustar).encode());
                if self.small == 0 {
                    let mut header = Item::file("large", "").header();
                    header[124..136].copy_from_slice(format!("{:011o}\0", self.large).as_bytes());
                    crate::tarball::sum(&mut header);
                    self.ready.get_mut().extend(header);
                }
                self.ready.read(buffer)
            }
            0 => {
                let part = buffer.len().min(usize::try_from(self.large).unwrap_or(usize::MAX));
                buffer[..part].fill(9);
                self.large -= part as u64;
                Ok(part)
            }
            n => Ok(n),
        }
    }
}

#[test]
fn a_large_layer_takes_little_memory() {
    if alone() {
        return convert_alone();
    }
    let name = "memory::a_large_layer_takes_little_memory";
    let child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{text}{}", String::from_utf8_lossy(&child.stderr));
    assert!(text.contains("1 passed"), "{text}");
}

#[expect(clippy::disallowed_methods, reason = "the test's own switch, which it sets for its child")]
fn alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

fn convert_alone() {
    let large = if full() { 6 << 30 } else { 400 << 20 };
    let dir = place();
    let before = peak_kib();
    let tar = LargeTar { small: 50_000, large, ready: io::Cursor::default() };
    let (_, converted) = convert(tar, Compression::None, dir.path()).unwrap();
    assert_eq!(converted.entries, 50_001);
    let taken = peak_kib() - before;
    assert!(taken < ALLOWED_KIB, "{taken} KiB");
}

/// The most memory that this process ever had.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}
