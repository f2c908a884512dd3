//! A small disk of its own: a file with an ext4 file system, mounted over a loop device.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::process::{run, text};

/// No room on a disk, while this lives.
pub struct Full(PathBuf);

impl Drop for Full {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

pub struct Disk {
    dir: TempDir,
}

impl Disk {
    /// Of this many MiB. It writes back by itself once in five minutes, so that within a test it holds what was synced.
    pub fn new(mebibytes: u64) -> Self {
        let disk = Self { dir: tempfile::tempdir().expect("a temporary directory can be made") };
        let file = fs::File::create(disk.file()).expect("the disk's file can be made");
        file.set_len(mebibytes << 20).expect("the disk's file can be made larger");
        done(Command::new("mkfs.ext4").arg("-q").arg(disk.file()));
        disk.mount();
        disk
    }

    /// What this disk would hold if the power went now: what was not synced is not in it.
    pub fn after_power_loss(&self) -> Self {
        let copy = Self { dir: tempfile::tempdir().expect("a temporary directory can be made") };
        fs::copy(self.file(), copy.file()).expect("the disk's file can be copied");
        copy.mount();
        copy
    }

    fn mount(&self) {
        fs::create_dir(self.path()).expect("a place for the mount can be made");
        done(Command::new("mount").args(["-o", "loop,commit=300"]).arg(self.file()).arg(self.path()));
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }

    /// Takes all the room that is left, until what it answers is dropped.
    pub fn fill(&self) -> Full {
        let filler = Full(self.path().join("filler"));
        let mut file = fs::File::create(&filler.0).expect("the disk can be written");
        let chunk = vec![7; 1 << 16];
        for size in [1 << 16, 1 << 12, 1] {
            while std::io::Write::write_all(&mut file, &chunk[..size]).is_ok() {}
        }
        let _ = file.sync_all();
        filler
    }

    /// Lets the file system stop as it does after an error of its disk: nothing can be written any more.
    pub fn fail(&self) {
        done(Command::new("mount").args(["-o", "remount,abort"]).arg(self.path()));
    }

    /// The same place on another disk.
    pub fn same(&self, path: &Path, other: &Self) -> PathBuf {
        other.path().join(path.strip_prefix(self.path()).expect("on this disk"))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a program may still be on it when the test fails. The loop device goes with the mount.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn done(command: &mut Command) {
    let output = run(command, "");
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
}
