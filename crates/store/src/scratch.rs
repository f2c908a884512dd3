//! A private directory for work that is not finished: gone with its maker, and when that was killed, removed by the next
//! one that makes such a directory in the same place.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

/// Others that clean up at the same moment may be in the way so many times.
const TRIES: u32 = 100;

/// Held by this process while it lives.
#[derive(Debug)]
pub struct Scratch {
    dir: tempfile::TempDir,
    alive: File,
}

impl Scratch {
    /// A new one in `parent`, 0700, whose name begins with `prefix`.
    ///
    /// # Errors
    /// What the file system said.
    pub fn new(parent: &Path, prefix: &str) -> io::Result<Self> {
        remove_what_killed_ones_left(parent, prefix);
        for _ in 0..TRIES {
            let dir = tempfile::Builder::new().prefix(prefix).tempdir_in(parent)?;
            // Another one may have taken it for a dead one's, before it was held.
            if let Some(alive) = held(dir.path()) {
                return Ok(Self { dir, alive });
            }
        }
        Err(io::Error::other("other programs remove what is made there"))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Leaves it where it is.
    pub fn keep(self) -> PathBuf {
        drop(self.alive);
        self.dir.keep()
    }
}

/// Held while its maker is alive; none when another one holds it, or has removed it.
fn held(path: &Path) -> Option<File> {
    let dir = File::open(path).ok()?;
    flock(&dir, FlockOperation::NonBlockingLockExclusive).ok()?;
    let (held, there) = (dir.metadata().ok()?, fs::symlink_metadata(path).ok()?);
    ((held.dev(), held.ino()) == (there.dev(), there.ino())).then_some(dir)
}

/// One that was killed could not remove its directory. What cannot be removed is in nobody's way.
fn remove_what_killed_ones_left(parent: &Path, prefix: &str) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for path in
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)).map(|entry| entry.path())
    {
        // Only directories of our own: the name alone is anybody's in a shared place.
        let is_own = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir() && is_of_this_user(&meta));
        // Held until it is gone: its maker may be about to hold it.
        if is_own && let Some(_held) = held(&path) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

fn is_of_this_user(meta: &fs::Metadata) -> bool {
    meta.uid() == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_at_once_are_not_in_each_others_way() {
        let place = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let one = Scratch::new(place.path(), ".work-").unwrap();
                        fs::write(one.path().join("file"), "mine").unwrap();
                        assert_eq!(fs::read(one.path().join("file")).unwrap(), b"mine");
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_one_left_is_removed_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let left = place.path().join(".work-killed");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("file"), "half").unwrap();
        fs::write(place.path().join(".work-file"), "somebody's").unwrap();
        fs::create_dir(place.path().join("other")).unwrap();
        let first = Scratch::new(place.path(), ".work-").unwrap();
        assert!(!left.exists());
        let second = Scratch::new(place.path(), ".work-").unwrap();
        assert!(first.path().exists() && second.path().exists(), "one that lives is left alone");
        let kept = second.keep();
        drop(first);
        let mut names: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let mut expected = vec![place.path().join(".work-file"), kept, place.path().join("other")];
        expected.sort();
        assert_eq!(names, expected);
    }
}
