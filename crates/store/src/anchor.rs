//! The anchor: a small file beside the root key that says how far the database had come, so that an old one that is put
//! back is noticed.
//!
//! What must stay true: the file is never ahead of what the disk holds of the database (it is written after the commit), and
//! at most a second or so behind; it is replaced as a whole; it carries a keyed digest.

use std::{collections::BTreeMap, fmt::Write as _, fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use meshkeep_core::id::ProjectId;
use meshkeep_seal::{Mac, MacKey};

use crate::{Store, StoreError, Tx, open::io_at, row::Columns as _};

const HEAD: &str = "meshkeep anchor 1";
/// Bytes of a file at most: some 100,000 projects.
const MOST_BYTES: u64 = 8 << 20;

/// How far the database had come.
#[derive(Debug, Default, PartialEq, Eq)]
struct Anchor {
    /// Place and digest of the newest row of the audit.
    audit: Option<(i64, Vec<u8>)>,
    /// How often each project's list was changed.
    lists: BTreeMap<ProjectId, i64>,
}

impl Anchor {
    fn text(&self, key: &MacKey) -> String {
        let mut text = format!("{HEAD}\n");
        if let Some((seq, mac)) = &self.audit {
            let _ = writeln!(text, "audit {seq} {}", hex::encode(mac));
        }
        for (project, counter) in &self.lists {
            let _ = writeln!(text, "project {project} {counter}");
        }
        let mac = hex::encode(digest(key, &text).0);
        let _ = writeln!(text, "{mac}");
        text
    }

    /// `None` when the text is not whole, or not of this database.
    fn parse(text: &str, key: &MacKey) -> Option<Self> {
        let (body, mac) = text.strip_suffix('\n')?.rsplit_once('\n')?;
        let body = format!("{body}\n");
        if !digest(key, &body).fits(&hex::decode(mac).ok()?) {
            return None;
        }
        let mut lines = body.lines();
        if lines.next()? != HEAD {
            return None;
        }
        let mut anchor = Self::default();
        for line in lines {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["audit", seq, mac] => anchor.audit = Some((seq.parse().ok()?, hex::decode(mac).ok()?)),
                ["project", id, counter] => {
                    anchor.lists.insert(id.parse().ok()?, counter.parse().ok()?);
                }
                _ => return None,
            }
        }
        Some(anchor)
    }
}

fn digest(key: &MacKey, body: &str) -> Mac {
    key.mac(&[b"anchor", body.as_bytes()])
}

impl Store {
    /// Returns when the database has come further than the anchor says.
    pub async fn anchor_is_behind(&self) {
        self.0.behind.notified().await;
    }

    /// Writes down how far the database has come.
    ///
    /// # Errors
    /// When the database cannot be read or the file not be written.
    pub async fn write_anchor(&self) -> Result<(), StoreError> {
        match &self.0.anchor {
            Some(path) => self.anchored_at(path).await,
            None => Ok(()),
        }
    }

    /// Makes the anchor of a database that is to have one from now on.
    ///
    /// # Errors
    /// As [`Store::write_anchor`].
    pub async fn anchor_anew(&self, path: &Path) -> Result<(), StoreError> {
        let mut tx = self.write("begin the anchor").await?;
        tx.note_anchored().await?;
        tx.commit().await?;
        self.anchored_at(path).await
    }

    pub(crate) async fn anchored_at(&self, path: &Path) -> Result<(), StoreError> {
        let mut tx = self.read("anchor").await?;
        let text = tx.anchor().await?.text(tx.shared.audit_key()?);
        drop(tx);
        replace(path, &text)
    }
}

/// What the file says. It is read before the database is looked at: a server that runs beside writes the one after the other.
pub(crate) struct AnchorText {
    path: String,
    text: Result<String, StoreError>,
}

impl AnchorText {
    pub(crate) fn read(path: &Path) -> Self {
        let no_anchor = |what: &'static str| StoreError::NoAnchor { path: path.display().to_string(), what };
        let text = match fs::metadata(path).map(|meta| meta.len() <= MOST_BYTES) {
            Ok(true) => fs::read_to_string(path).map_err(io_at(path, "read")),
            Ok(false) => Err(no_anchor("is too large to be one")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(no_anchor("is not there")),
            Err(error) => Err(io_at(path, "read")(error)),
        };
        Self { path: path.display().to_string(), text }
    }
}

/// The file under its own name, on the disk when this returns.
fn replace(path: &Path, text: &str) -> Result<(), StoreError> {
    if fs::read_to_string(path).is_ok_and(|is| is == text) {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = Path::new(&name);
    let written = || {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(new, path)?;
        fs::File::open(parent)?.sync_all()
    };
    written().map_err(io_at(path, "written"))
}

impl Tx {
    async fn anchor(&mut self) -> Result<Anchor, StoreError> {
        let failed = self.failed("");
        let newest = sqlx::query("SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1")
            .fetch_optional(self.db())
            .await
            .map_err(&failed)?;
        let audit = newest.map(|row| Ok::<_, StoreError>((row.number("seq")?, row.bytes("mac")?))).transpose()?;
        let rows = sqlx::query("SELECT id, list_counter FROM projects").fetch_all(self.db()).await.map_err(failed)?;
        let lists = rows.iter().map(|row| Ok((row.parsed("id")?, row.number("list_counter")?)));
        Ok(Anchor { audit, lists: lists.collect::<Result<_, StoreError>>()? })
    }

    /// Compares the database with its anchor.
    ///
    /// # Errors
    /// [`StoreError::Older`] when the database has not come as far as it had; [`StoreError::NoAnchor`] when the file is gone
    /// or another one.
    pub(crate) async fn check_anchor(&mut self, read: AnchorText) -> Result<(), StoreError> {
        let AnchorText { path, text } = read;
        let text = text?;
        let shared = self.shared.clone();
        let anchor = Anchor::parse(&text, shared.audit_key()?)
            .ok_or(StoreError::NoAnchor { path, what: "was changed, or is another database's" })?;
        let now = self.anchor().await?;
        if let Some((seq, mac)) = &anchor.audit {
            let failed = self.failed("");
            let found: Option<Vec<u8>> = sqlx::query_scalar("SELECT mac FROM audit WHERE seq = $1")
                .bind(seq)
                .fetch_optional(self.db())
                .await
                .map_err(failed)?;
            if found.as_ref() != Some(mac) {
                let newest = now.audit.map_or(0, |(seq, _)| seq);
                let what = format!("its audit ends with row {newest} and does not have row {seq} as it was written");
                return Err(StoreError::Older { what });
            }
        }
        for (project, counter) in &anchor.lists {
            let found = now.lists.get(project).copied().unwrap_or_default();
            if found < *counter {
                let what = format!("project {project} was changed {counter} times, and here it was {found} times");
                return Err(StoreError::Older { what });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use meshkeep_seal::{Context, Keyring, RootKey};

    use super::*;

    #[test]
    fn an_anchor_reads_as_it_was_written_and_not_when_a_byte_is_another() {
        let (key, _) = Keyring::new(RootKey::generate()).new_mac_key(&Context::new("test"));
        let (other, _) = Keyring::new(RootKey::generate()).new_mac_key(&Context::new("test"));
        let lists = BTreeMap::from([("018f3c2e-7a00-7000-8000-000000000001".parse().unwrap(), 7)]);
        let anchor = Anchor { audit: Some((12, vec![5; 32])), lists };
        let text = anchor.text(&key);
        assert_eq!(Anchor::parse(&text, &key), Some(anchor));
        assert_eq!(Anchor::parse(&text, &other), None);
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(Anchor::parse(&String::from_utf8_lossy(&bytes), &key), None, "byte {at}");
            assert_eq!(Anchor::parse(&text[..at], &key), None, "length {at}");
        }
    }
}
