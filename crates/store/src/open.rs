//! Making and opening the database file, and what is checked before it is touched.
//!
//! A database that is damaged, newer or under another key is found out on a private copy: the original is not opened
//! for writing until it is known to be ours.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use meshkeep_core::{Clock, SecretText};
use meshkeep_seal::Keyring;
use sqlx::{
    ConnectOptions as _, Connection as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    Store, StoreError,
    nouns::{server, studio},
    tx::Shared,
};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// What a store is made from.
pub struct StoreOptions {
    /// The data directory; the database is `meshkeep.db` in it.
    pub dir: PathBuf,
    /// The root key.
    pub keyring: Keyring,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl StoreOptions {
    fn file(&self) -> PathBuf {
        self.dir.join("meshkeep.db")
    }
}

impl Store {
    /// Makes a new database in `options.dir`, which is made 0700 when it is not there.
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
        Ok(store)
    }

    /// Opens the database in `options.dir`.
    ///
    /// # Errors
    /// Missing, newer, damaged, or sealed under another key: in each of these cases no file was changed.
    pub async fn open(options: StoreOptions) -> Result<Self, StoreError> {
        let file = options.file();
        if !file.exists() {
            return Err(StoreError::Missing { path: file.display().to_string() });
        }
        check_copy(&file, &options).await?;
        let store = connect(&file, options).await?;
        store.check().await?;
        Ok(store)
    }

    async fn check(&self) -> Result<(), StoreError> {
        let mut tx = self.read("check").await?;
        tx.check_server_values().await?;
        for project in tx.projects().await? {
            tx.check_secret_list(project.id).await?;
        }
        Ok(())
    }
}

/// Checks schema, structure and key on a copy that only this user can read and that is gone afterwards.
async fn check_copy(file: &Path, options: &StoreOptions) -> Result<(), StoreError> {
    let dir =
        tempfile::Builder::new().prefix("meshkeep-check-").tempdir().map_err(io_at(&std::env::temp_dir(), "made"))?;
    let copy = dir.path().join("copy.db");
    fs::copy(file, &copy).map_err(io_at(file, "copied"))?;
    let wal = with_suffix(file, "-wal");
    if wal.exists() {
        fs::copy(&wal, with_suffix(&copy, "-wal")).map_err(io_at(&wal, "copied"))?;
    }
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(SqliteConnectOptions::new().filename(&copy))
        .await
        .map_err(not_a_database)?;
    let found: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
        .fetch_one(&pool)
        .await
        .map_err(not_a_database)?;
    let known = newest_schema();
    match found {
        None => return Err(StoreError::damaged("it has no schema")),
        Some(found) if found > known => return Err(StoreError::NewerSchema { found, known }),
        Some(_) => {}
    }
    let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&pool).await.map_err(not_a_database)?;
    if verdict != "ok" {
        return Err(StoreError::damaged("SQLite's own check of its structure fails"));
    }
    server::check_root_key(&pool, &options.keyring).await?;
    pool.close().await;
    Ok(())
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
    let connect = SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
        // What was deleted is overwritten, in the file and in its free pages.
        .pragma("secure_delete", "ON")
        .pragma("temp_store", "MEMORY")
        .pragma("cache_size", "-2048");
    let pool = |connections, options| async move {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(15))
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await
            .map_err(|source| StoreError::Database { what: "be opened", source })
    };
    let writer: SqlitePool = pool(1, connect.clone()).await?;
    MIGRATIONS
        .run(&writer)
        .await
        .map_err(|error| StoreError::damaged(format!("its schema could not be brought up to date: {error}")))?;
    let readers = pool(4, connect.read_only(true)).await?;
    Ok(Store(Arc::new(Shared { writer, readers, keyring: options.keyring, clock: options.clock })))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn io_at(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.display().to_string();
    move |source| StoreError::Io { path, what, source }
}
