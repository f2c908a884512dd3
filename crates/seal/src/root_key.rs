//! The root key and its file.
//!
//! The file is text of three lines: `meshkeep root key 1`, the key's id and the key in hexadecimal, and a checksum that
//! tells a truncated or mistyped file from a wrong key. It must belong to its reader alone.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{KeyId, envelope::Key};

const HEAD: &str = "meshkeep root key 1";

/// The one key that unlocks everything else.
#[derive(Debug)]
pub struct RootKey {
    id: KeyId,
    key: Key,
}

/// Why a root key could not be read or written. Never holds key bytes.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// The file could not be read or written.
    #[error("the root key file {path} could not be {what}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// Read, made, synced.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others may read it.
    #[error("the root key file {path} is open to others (mode {mode:03o}); run: chmod 600 {path}")]
    TooOpen {
        /// Which file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a root key.
    #[error("{path} is not a whole root key file of this version")]
    Format {
        /// Which file.
        path: String,
    },
}

impl RootKey {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        Self { id: KeyId::random(), key: Key::random() }
    }

    /// Its id, which every record under it carries.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) const fn from_parts(id: KeyId, key: Key) -> Self {
        Self { id, key }
    }

    pub(crate) const fn key(&self) -> &Key {
        &self.key
    }

    /// Writes a new file, mode 0600, synced with its directory.
    ///
    /// # Errors
    /// When the file is there already or cannot be written.
    pub fn save_new(&self, path: &Path) -> Result<(), RootKeyError> {
        let io = |what| move |source| RootKeyError::Io { path: path.display().to_string(), what, source };
        let key = Zeroizing::new(hex::encode(self.key.bytes()));
        let body = Zeroizing::new(format!("{HEAD}\n{} {}\n", self.id, *key));
        let text = Zeroizing::new(format!("{}{}\n", *body, checksum(&body)));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io("made"))?;
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o600)).map_err(|e| io("made")(e.into()))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io("written"))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(io("synced"))
    }

    /// Reads a file, which must be a regular one and belong to its reader alone.
    ///
    /// # Errors
    /// See [`RootKeyError`].
    pub fn load(path: &Path) -> Result<Self, RootKeyError> {
        let shown = || path.display().to_string();
        let io = |source| RootKeyError::Io { path: path.display().to_string(), what: "read", source };
        let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let mut file = OpenOptions::new().read(true).custom_flags(no_follow).open(path).map_err(io)?;
        let meta = file.metadata().map_err(io)?;
        if !meta.is_file() || meta.len() > 4096 {
            return Err(RootKeyError::Format { path: shown() });
        }
        if meta.mode() & 0o077 != 0 {
            return Err(RootKeyError::TooOpen { path: shown(), mode: meta.mode() & 0o777 });
        }
        let mut text = Zeroizing::new(String::with_capacity(4096));
        file.read_to_string(&mut text).map_err(io)?;
        Self::parse(&text).ok_or_else(|| RootKeyError::Format { path: shown() })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (head, keys, sum) = (lines.next()?, lines.next()?, lines.next()?);
        let body = Zeroizing::new(format!("{head}\n{keys}\n"));
        if head != HEAD || checksum(&body) != sum {
            return None;
        }
        let (id, key) = keys.split_once(' ')?;
        let mut id_bytes = [0; 16];
        let mut key_bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(id, &mut id_bytes).ok()?;
        hex::decode_to_slice(key, key_bytes.as_mut_slice()).ok()?;
        Some(Self { id: KeyId::from_bytes(id_bytes), key: Key::from_bytes(*key_bytes) })
    }
}

/// Against accidents only: it is computed over 256 random bits and tells nobody anything about them.
fn checksum(body: &str) -> String {
    hex::encode(&Sha256::digest(body.as_bytes())[..8])
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_file_is_private_whole_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = RootKey::generate();
        key.save_new(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let read = RootKey::load(&path).unwrap();
        assert_eq!((read.id, read.key.bytes()), (key.id, key.key.bytes()));
        assert!(matches!(RootKey::generate().save_new(&path), Err(RootKeyError::Io { .. })));

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(RootKey::load(&path), Err(RootKeyError::TooOpen { mode: 0o640, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();

        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(RootKey::load(&link), Err(RootKeyError::Io { .. })), "a link is not followed");

        let text = fs::read_to_string(&path).unwrap();
        for broken in [&text[..text.len() - 20], &text.replacen('a', "b", 1), ""] {
            fs::write(&path, broken).unwrap();
            let error = RootKey::load(&path).unwrap_err();
            assert!(matches!(error, RootKeyError::Format { .. }), "{error}");
        }
    }
}
