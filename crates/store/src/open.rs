//! Making and opening the database file, and what is checked before it is touched.
//!
//! A database that is damaged, newer or under another key is found out on a private copy: the original is not opened
//! for writing until it is known to be ours.

use std::{
    cmp::Ordering,
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, RwLock},
    time::Duration,
};

use meshkeep_core::{Clock, SecretText, clock::SystemClock};
use meshkeep_seal::Keyring;
use sqlx::{
    ConnectOptions as _, Connection as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::Notify;

use crate::{
    Store, StoreError,
    anchor::AnchorText,
    nouns::{server, studio},
    scratch::Scratch,
    tx::Shared,
};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// What a store is made from.
pub struct StoreOptions {
    /// The data directory; the database is `meshkeep.db` in it.
    pub dir: PathBuf,
    /// The root key, and another one while they are changed: the database says which of them seals.
    pub keyring: Keyring,
    /// Where it is written how far the database has come; outside the data directory.
    pub anchor: Option<PathBuf>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl StoreOptions {
    /// With the system's time and no anchor.
    #[must_use]
    pub fn new(dir: PathBuf, keyring: Keyring) -> Self {
        Self { dir, keyring, anchor: None, clock: Arc::new(SystemClock) }
    }

    fn file(&self) -> PathBuf {
        self.dir.join("meshkeep.db")
    }
}

impl Store {
    /// Makes a new database in `options.dir`, which is made 0700 when it is not there, and its anchor.
    ///
    /// # Errors
    /// [`StoreError::Exists`], or what the file system said.
    pub async fn create(options: StoreOptions) -> Result<Self, StoreError> {
        let file = options.file();
        if file.exists() {
            return Err(StoreError::Exists { path: file.display().to_string() });
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&options.dir).map_err(io_at(&options.dir, "made"))?;
        // SQLite gives its WAL the permissions of the database file.
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file).map_err(io_at(&file, "made"))?;
        let store = connect(&file, options).await?;
        let mut tx = store.write("create").await?;
        tx.first_server_values().await?;
        tx.commit().await?;
        store.load_audit_key().await?;
        store.begin_anchor().await?;
        Ok(store)
    }

    /// Opens the database in `options.dir`. Rows that are damaged, or that the audit contradicts, are named in the log and
    /// used for nothing; all others are.
    ///
    /// # Errors
    /// Missing, newer, damaged as a whole, sealed under another key, or older than its anchor says: in each of these cases
    /// no file was changed.
    pub async fn open(options: StoreOptions) -> Result<Self, StoreError> {
        let file = options.file();
        if !file.exists() {
            return Err(StoreError::Missing { path: file.display().to_string() });
        }
        let options = check_copy(&file, options).await?;
        let store = connect(&file, options).await?;
        store.upgrade().await?;
        store.load_audit_key().await?;
        let mut tx = store.read("check").await?;
        tx.token_key().await?;
        let is_anchored = tx.is_anchored().await?;
        drop(tx);
        if !is_anchored {
            store.begin_anchor().await?;
        }
        store.find_suspects().await?;
        Ok(store)
    }

    /// Opens a database that is to be taken as it is, whatever its anchor says: see [`Store::accept`].
    ///
    /// # Errors
    /// As [`Store::open`], but for the anchor.
    pub async fn open_to_accept(options: StoreOptions) -> Result<Self, StoreError> {
        Self::open(StoreOptions { anchor: None, ..options }).await
    }

    /// Opens the database that is there for reading, beside a server that may have it open, and whatever its anchor says.
    ///
    /// # Errors
    /// Missing, of another schema, damaged as a whole, or sealed under another key.
    pub async fn open_to_examine(mut options: StoreOptions) -> Result<Self, StoreError> {
        let file = options.file();
        if !file.exists() {
            return Err(StoreError::Missing { path: file.display().to_string() });
        }
        // Nothing is written, so that nothing is to be anchored.
        options.anchor = None;
        let readers = pool(1, settings_of(&file).read_only(true)).await?;
        let found: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
            .fetch_one(&readers)
            .await
            .map_err(not_a_database)?;
        let (found, known) = (found.unwrap_or_default(), newest_schema());
        match found.cmp(&known) {
            Ordering::Less => return Err(StoreError::OlderSchema { found, known }),
            Ordering::Greater => return Err(StoreError::NewerSchema { found, known }),
            Ordering::Equal => {}
        }
        take_root_key(&readers, &mut options.keyring).await?;
        let store = Self(Arc::new(shared(readers.clone(), readers, options)));
        store.load_audit_key().await?;
        Ok(store)
    }

    /// Opens the database that is there beside a server that may have it open, for adding to it.
    ///
    /// # Errors
    /// As [`Store::open_to_examine`].
    pub async fn open_beside(options: StoreOptions) -> Result<Self, StoreError> {
        let file = options.file();
        let Self(looked) = Self::open_to_examine(options).await?;
        looked.readers.close().await;
        let Shared { keyring, clock, .. } = Arc::into_inner(looked).expect("the store was nobody else's yet");
        let options = StoreOptions { dir: PathBuf::new(), keyring, anchor: None, clock };
        let (writer, readers) =
            (pool(1, settings_of(&file)).await?, pool(1, settings_of(&file).read_only(true)).await?);
        let store = Self(Arc::new(shared(writer, readers, options)));
        store.load_audit_key().await?;
        Ok(store)
    }

    async fn load_audit_key(&self) -> Result<(), StoreError> {
        let key = self.read("check").await?.audit_key().await?;
        let key = key.ok_or_else(|| StoreError::damaged("the key of the audit is gone"))?;
        // Set once, before the store is anybody's.
        let _ = self.0.audit_key.set(key);
        Ok(())
    }

    /// The first anchor; the database knows from then on that it has one.
    async fn begin_anchor(&self) -> Result<(), StoreError> {
        if self.0.anchor.is_none() {
            return Ok(());
        }
        self.write_anchor().await?;
        let mut tx = self.write("begin the anchor").await?;
        tx.note_anchored().await?;
        tx.commit().await
    }
}

/// Checks schema, structure, key and anchor on a copy that only this user can read and that is gone afterwards. Answers
/// the options with the root key that seals.
async fn check_copy(file: &Path, mut options: StoreOptions) -> Result<StoreOptions, StoreError> {
    let place = std::env::temp_dir();
    let dir = Scratch::new(&place, "meshkeep-check-").map_err(io_at(&place, "written"))?;
    let copy = dir.path().join("meshkeep.db");
    fs::copy(file, &copy).map_err(io_at(file, "copied"))?;
    let wal = with_suffix(file, "-wal");
    if wal.exists() {
        fs::copy(&wal, with_suffix(&copy, "-wal")).map_err(io_at(&wal, "copied"))?;
    }
    let one = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(SqliteConnectOptions::new().filename(&copy))
        .await
        .map_err(not_a_database)?;
    let found: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
        .fetch_one(&one)
        .await
        .map_err(not_a_database)?;
    let known = newest_schema();
    match found {
        None => return Err(StoreError::damaged("it has no schema")),
        Some(found) if found > known => return Err(StoreError::NewerSchema { found, known }),
        Some(_) => {}
    }
    let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&one).await.map_err(not_a_database)?;
    if verdict != "ok" {
        return Err(StoreError::damaged("SQLite's own check of its structure fails"));
    }
    take_root_key(&one, &mut options.keyring).await?;
    one.close().await;

    let anchor = options.anchor.clone();
    let store = connect(&copy, options).await?;
    store.upgrade().await?;
    store.load_audit_key().await?;
    let mut tx = store.read("check").await?;
    tx.token_key().await?;
    if let Some(anchor) = &anchor
        && tx.is_anchored().await?
    {
        tx.check_anchor(AnchorText::read(anchor)).await?;
    }
    drop(tx);
    store.close_without_anchor().await;
    let shared = Arc::into_inner(store.0).expect("the copy's store was nobody else's");
    let Shared { keyring, clock, .. } = shared;
    let dir = file.parent().unwrap_or(Path::new("/")).to_owned();
    Ok(StoreOptions { dir, keyring, anchor, clock })
}

/// Lets the root key seal that the database is sealed under.
async fn take_root_key(pool: &SqlitePool, keyring: &mut Keyring) -> Result<(), StoreError> {
    let (needed, given) = (server::root_key_id(pool).await?, keyring.root_id());
    if keyring.seal_under(needed) { Ok(()) } else { Err(StoreError::WrongKey { needed, given }) }
}

/// A link that signs the operator in to Studio, once.
pub struct StudioLink {
    /// Where the server was reached when it last started; `None` when it never did.
    pub url: Option<String>,
    /// The link's token.
    pub token: SecretText,
}

/// Makes a link in the database of `dir`, beside a server that may have it open. It needs no root key: nothing sealed is
/// touched. Whoever may write the file may do this.
///
/// # Errors
/// No database, or one that another version of meshkeep last opened.
pub async fn studio_link(dir: &Path, clock: &dyn Clock) -> Result<StudioLink, StoreError> {
    let file = dir.join("meshkeep.db");
    if !file.exists() {
        return Err(StoreError::Missing { path: file.display().to_string() });
    }
    let options = SqliteConnectOptions::new().filename(&file).busy_timeout(Duration::from_secs(10));
    let refused = |source| StoreError::Database { what: "take a link", source };
    let mut db = options.connect().await.map_err(refused)?;
    let found: i64 =
        sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(&mut db).await.map_err(refused)?;
    let known = newest_schema();
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    if found < known {
        return Err(StoreError::OlderSchema { found, known });
    }
    let url = server::public_url(&mut db).await.map_err(refused)?;
    let token = studio::create_link(&mut db, clock.now().as_millis()).await.map_err(refused)?;
    db.close().await.map_err(refused)?;
    Ok(StudioLink { url, token })
}

fn newest_schema() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

fn not_a_database(source: sqlx::Error) -> StoreError {
    match source {
        sqlx::Error::Database(error) => StoreError::damaged(format!("SQLite says: {error}")),
        source => StoreError::Database { what: "be checked", source },
    }
}

async fn connect(file: &Path, options: StoreOptions) -> Result<Store, StoreError> {
    let writer = pool(1, settings_of(file)).await?;
    MIGRATIONS
        .run(&writer)
        .await
        .map_err(|error| StoreError::damaged(format!("its schema could not be brought up to date: {error}")))?;
    let readers = pool(4, settings_of(file).read_only(true)).await?;
    Ok(Store(Arc::new(shared(writer, readers, options))))
}

pub(crate) fn settings_of(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
        // What was deleted is overwritten, in the file and in its free pages.
        .pragma("secure_delete", "ON")
        .pragma("temp_store", "MEMORY")
        .pragma("cache_size", "-2048")
}

async fn pool(connections: u32, options: SqliteConnectOptions) -> Result<SqlitePool, StoreError> {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(15))
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
        .map_err(|source| StoreError::Database { what: "be opened", source })
}

fn shared(writer: SqlitePool, readers: SqlitePool, options: StoreOptions) -> Shared {
    Shared {
        writer,
        readers,
        keyring: options.keyring,
        clock: options.clock,
        audit_key: OnceLock::new(),
        anchor: options.anchor,
        behind: Notify::new(),
        suspects: RwLock::default(),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

pub(crate) fn io_at(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.display().to_string();
    move |source| StoreError::Io { path, what, source }
}
