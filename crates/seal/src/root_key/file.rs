//! The file of a root key: text that must belong to its reader alone.
//!
//! An open one has three lines: `meshkeep root key 1`, the key's id and the key in hexadecimal, and a checksum that tells a
//! truncated or mistyped file from a wrong key. A locked one has four: `meshkeep root key 2`; the key's id, a salt and which
//! lock it is; the key, sealed under what that lock makes of the salt and bound to the line before; the checksum.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Lock, LockKind, LockingKey, RootKey, RootKeyError};
use crate::{
    Context, KeyId, Sealed,
    envelope::{self, Key},
};

const OPEN: &str = "meshkeep root key 1";
const LOCKED: &str = "meshkeep root key 2";

/// Bytes of a file at most.
const MOST_BYTES: u64 = 4096;

/// Who may read a file besides its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Private {
    /// Nobody.
    ToOwner,
    /// The bits of its group may be set: systemd passes a credential to a user by an access list, whose mask stands there, in
    /// a directory of that user's own.
    Credential,
}

/// A root key file that was read, and not yet opened when it is locked.
#[derive(Debug)]
pub struct RootKeyFile {
    path: String,
    id: KeyId,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Open(Key),
    Locked { salt: [u8; 32], kind: LockKind, sealed: Sealed, place: Context },
}

impl RootKeyFile {
    /// Reads a file, which must be a regular one, not a link, and private.
    ///
    /// # Errors
    /// See [`RootKeyError`].
    pub fn read(path: &Path, private: Private) -> Result<Self, RootKeyError> {
        let shown = path.display().to_string();
        let io = |source| RootKeyError::Io { path: shown.clone(), what: "read", source };
        let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let mut file = OpenOptions::new().read(true).custom_flags(no_follow).open(path).map_err(io)?;
        let meta = file.metadata().map_err(io)?;
        if !meta.is_file() || meta.len() > MOST_BYTES {
            return Err(RootKeyError::Format { path: shown });
        }
        let others = if private == Private::ToOwner { 0o077 } else { 0o007 };
        if meta.mode() & others != 0 {
            return Err(RootKeyError::TooOpen { path: shown, mode: meta.mode() & 0o777 });
        }
        let mut text = Zeroizing::new(String::with_capacity(4096));
        file.read_to_string(&mut text).map_err(io)?;
        match parse(&text) {
            Some((id, body)) => Ok(Self { path: shown, id, body }),
            None => Err(RootKeyError::Format { path: shown }),
        }
    }

    /// The key's id.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// What it is locked with; `None` when it is open.
    #[must_use]
    pub const fn lock(&self) -> Option<&LockKind> {
        match &self.body {
            Body::Open(_) => None,
            Body::Locked { kind, .. } => Some(kind),
        }
    }

    /// The key in it. An open file needs no lock, and one that is given is not asked.
    ///
    /// # Errors
    /// [`RootKeyError::WrongLock`] without the right lock.
    pub fn unlock(self, lock: Option<&dyn Lock>) -> Result<RootKey, RootKeyError> {
        let (salt, kind, sealed, place) = match self.body {
            Body::Open(key) => return Ok(RootKey::from_parts(self.id, key)),
            Body::Locked { salt, kind, sealed, place } => (salt, kind, sealed, place),
        };
        let wrong = || RootKeyError::WrongLock { path: self.path.clone(), what: kind.secret() };
        let LockingKey(key) = lock.ok_or_else(wrong)?.locking_key(&salt)?;
        let plain = envelope::open(&key, self.id, &place, &sealed).map_err(|_| wrong())?;
        let bytes = Zeroizing::new(<[u8; 32]>::try_from(plain.as_slice()).map_err(|_| wrong())?);
        Ok(RootKey::from_parts(self.id, Key::from_bytes(*bytes)))
    }
}

impl RootKey {
    /// Writes a new file, mode 0600, synced with its directory; locked when there is a lock.
    ///
    /// # Errors
    /// When the file is there already or cannot be written, or the lock makes no key.
    pub fn save_new(&self, path: &Path, lock: Option<&dyn Lock>) -> Result<(), RootKeyError> {
        let text = self.text(lock)?;
        let io = |what| move |source| RootKeyError::Io { path: path.display().to_string(), what, source };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io("made"))?;
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o600)).map_err(|e| io("made")(e.into()))?;
        if let Err(error) = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()) {
            // Made a moment ago, and nothing is under it.
            let _ = std::fs::remove_file(path);
            return Err(io("written")(error));
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(io("synced"))
    }

    /// Reads an open file that belongs to its reader alone.
    ///
    /// # Errors
    /// See [`RootKeyError`]; [`RootKeyError::WrongLock`] when it is locked.
    pub fn load(path: &Path) -> Result<Self, RootKeyError> {
        RootKeyFile::read(path, Private::ToOwner)?.unlock(None)
    }

    fn text(&self, lock: Option<&dyn Lock>) -> Result<Zeroizing<String>, RootKeyError> {
        let body = match lock {
            None => {
                let key = Zeroizing::new(hex::encode(self.key.bytes()));
                Zeroizing::new(format!("{OPEN}\n{} {}\n", self.id, *key))
            }
            Some(lock) => {
                let mut salt = [0; 32];
                envelope::fill(&mut salt);
                let LockingKey(key) = lock.locking_key(&salt)?;
                let line = format!("{} {} {}", self.id, hex::encode(salt), lock.kind());
                let sealed = envelope::seal(&key, self.id, &place(&line), self.key.bytes());
                Zeroizing::new(format!("{LOCKED}\n{line}\n{}\n", hex::encode(sealed.as_bytes())))
            }
        };
        Ok(Zeroizing::new(format!("{}{}\n", *body, checksum(&body))))
    }
}

/// A locked key opens only beside the salt and the lock that it was written with.
fn place(line: &str) -> Context {
    Context::new("root-key-file").part(line)
}

fn parse(text: &str) -> Option<(KeyId, Body)> {
    let (body, sum) = text.strip_suffix('\n')?.rsplit_once('\n')?;
    let body = Zeroizing::new(format!("{body}\n"));
    if checksum(&body) != sum {
        return None;
    }
    let lines: Vec<_> = body.lines().collect();
    match lines[..] {
        [OPEN, line] => {
            let (id, key) = line.split_once(' ')?;
            let mut key_bytes = Zeroizing::new([0; 32]);
            hex::decode_to_slice(key, key_bytes.as_mut_slice()).ok()?;
            Some((key_id(id)?, Body::Open(Key::from_bytes(*key_bytes))))
        }
        [LOCKED, line, sealed] => {
            let (id, rest) = line.split_once(' ')?;
            let (salt_text, kind) = rest.split_once(' ')?;
            let mut salt = [0; 32];
            hex::decode_to_slice(salt_text, &mut salt).ok()?;
            let sealed = Sealed::from_bytes(hex::decode(sealed).ok()?);
            Some((key_id(id)?, Body::Locked { salt, kind: LockKind::parse(kind)?, sealed, place: place(line) }))
        }
        _ => None,
    }
}

fn key_id(text: &str) -> Option<KeyId> {
    let mut bytes = [0; 16];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(KeyId::from_bytes(bytes))
}

/// Against accidents only: it is computed over 256 random bits and tells nobody anything about them.
fn checksum(body: &str) -> String {
    hex::encode(&Sha256::digest(body.as_bytes())[..8])
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::Passphrase;

    #[test]
    fn a_file_is_private_whole_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = RootKey::generate();
        key.save_new(&path, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let read = RootKey::load(&path).unwrap();
        assert_eq!((read.id, read.key.bytes()), (key.id, key.key.bytes()));
        assert!(matches!(RootKey::generate().save_new(&path, None), Err(RootKeyError::Io { .. })));

        fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
        assert!(matches!(RootKey::load(&path), Err(RootKeyError::TooOpen { mode: 0o440, .. })));
        RootKeyFile::read(&path, Private::Credential).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        assert!(matches!(RootKeyFile::read(&path, Private::Credential), Err(RootKeyError::TooOpen { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();

        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(RootKey::load(&link), Err(RootKeyError::Io { .. })), "a link is not followed");

        let text = fs::read_to_string(&path).unwrap();
        for broken in [&text[..text.len() - 20], &text[..text.len() - 1], &text.replacen('a', "b", 1), ""] {
            fs::write(&path, broken).unwrap();
            let error = RootKey::load(&path).unwrap_err();
            assert!(matches!(error, RootKeyError::Format { .. }), "{error}");
        }
    }

    fn passphrase(words: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(words.to_owned())).unwrap()
    }

    #[test]
    fn a_locked_file_shows_nothing_and_opens_with_its_passphrase_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = RootKey::generate();
        key.save_new(&path, Some(&passphrase("correct horse battery"))).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&hex::encode(key.key.bytes())), "the key stands in its locked file");
        let read = || RootKeyFile::read(&path, Private::ToOwner).unwrap();
        assert_eq!(read().id(), key.id);
        assert!(matches!(read().lock(), Some(LockKind::Passphrase(_))));
        assert_eq!(read().unlock(Some(&passphrase("correct horse battery"))).unwrap().key.bytes(), key.key.bytes());
        for lock in [None, Some(passphrase("correct horse batterx"))] {
            let error = read().unlock(lock.as_ref().map(|lock| lock as &dyn Lock)).unwrap_err();
            assert!(matches!(error, RootKeyError::WrongLock { what: "passphrase", .. }), "{error}");
        }
        // A lock of another cost in the line, with a checksum that fits.
        let body = text.rsplit_once('\n').and_then(|(rest, _)| rest.rsplit_once('\n')).unwrap().0;
        let cheaper = format!("{}\n", body.replace(" 65536 3 4", " 1024 1 1"));
        fs::write(&path, format!("{cheaper}{}\n", checksum(&cheaper))).unwrap();
        assert!(read().unlock(Some(&passphrase("correct horse battery"))).is_err());
        for length in 0..text.len() {
            fs::write(&path, &text[..length]).unwrap();
            let error = RootKeyFile::read(&path, Private::ToOwner).unwrap_err();
            assert!(matches!(error, RootKeyError::Format { .. }), "{length}: {error}");
        }
    }

    /// Pins both forms: what this version writes, every later one must read. The sealed key was computed with libsodium from
    /// the `argon2` program's key.
    #[test]
    fn golden_files_open() {
        let dir = tempfile::tempdir().unwrap();
        for (name, lock) in [("open", None), ("locked", Some(passphrase("correct horse battery")))] {
            let path = dir.path().join(name);
            let golden = match name {
                "open" => include_str!("../../testdata/open.root-key"),
                _ => include_str!("../../testdata/locked.root-key"),
            };
            fs::write(&path, golden).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let file = RootKeyFile::read(&path, Private::ToOwner).unwrap();
            let key = file.unlock(lock.as_ref().map(|lock| lock as &dyn Lock)).unwrap();
            assert_eq!((key.id, key.key.bytes()), (KeyId::from_bytes([9; 16]), &[7; 32]), "{name}");
        }
    }
}
