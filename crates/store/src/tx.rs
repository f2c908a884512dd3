//! Named transactions.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use meshkeep_core::{Clock, Timestamp};
use meshkeep_seal::{KeyId, Keyring, MacKey};
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::sync::Notify;

use crate::StoreError;

pub(crate) struct Shared {
    /// One connection: writes are one after the other, and never wait for a lock inside a transaction.
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
    pub(crate) keyring: Keyring,
    pub(crate) clock: Arc<dyn Clock>,
    /// Set before anybody else has the store.
    pub(crate) audit_key: OnceLock<MacKey>,
    /// Where the anchor is kept.
    pub(crate) anchor: Option<PathBuf>,
    /// The anchor is behind.
    pub(crate) behind: Notify,
    /// Rows that the audit contradicts, by id, with what it says: they are used for nothing.
    pub(crate) suspects: RwLock<HashMap<String, String>>,
}

impl Shared {
    pub(crate) fn audit_key(&self) -> Result<&MacKey, StoreError> {
        self.audit_key.get().ok_or_else(|| StoreError::damaged("the key of the audit is not there"))
    }
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Shared>);

/// One transaction: a consistent view, and with [`Store::write`] all-or-nothing. Dropped without commit, it never was.
pub struct Tx {
    name: &'static str,
    inner: Transaction<'static, Sqlite>,
    pub(crate) shared: Arc<Shared>,
    changes_anchor: bool,
}

impl Store {
    /// A transaction that may write. `name` stands in the log and in errors.
    ///
    /// # Errors
    /// When the database is locked by another program or cannot be written.
    pub async fn write(&self, name: &'static str) -> Result<Tx, StoreError> {
        let mut begun = self.begin_write().await;
        if matches!(begun, Err(sqlx::Error::InvalidSavePointStatement)) {
            // A full disk makes SQLite roll back by itself; the driver then holds its connection to be in a transaction
            // for ever. A new one is not.
            let replaced = async { self.0.writer.acquire().await?.close().await };
            replaced.await.map_err(|source| StoreError::Database { what: name, source })?;
            begun = self.begin_write().await;
        }
        self.tx(name, begun)
    }

    /// A transaction that reads one consistent state.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn read(&self, name: &'static str) -> Result<Tx, StoreError> {
        let begun = self.0.readers.begin().await;
        self.tx(name, begun)
    }

    async fn begin_write(&self) -> sqlx::Result<Transaction<'static, Sqlite>> {
        self.0.writer.begin_with("BEGIN IMMEDIATE").await
    }

    fn tx(&self, name: &'static str, begun: sqlx::Result<Transaction<'static, Sqlite>>) -> Result<Tx, StoreError> {
        let inner = begun.map_err(|source| StoreError::Database { what: name, source })?;
        Ok(Tx { name, inner, shared: Arc::clone(&self.0), changes_anchor: false })
    }

    /// Which root key it is sealed under.
    #[must_use]
    pub fn root_key_id(&self) -> KeyId {
        self.0.keyring.root_id()
    }

    /// Moves the log into the database file and closes it; the anchor is at its end then.
    pub async fn close(&self) {
        if let Err(error) = self.write_anchor().await {
            tracing::error!(%error, "the anchor could not be written");
        }
        self.close_without_anchor().await;
    }

    /// The same as a crash would: the anchor stays where it was.
    pub async fn close_without_anchor(&self) {
        self.0.readers.close().await;
        self.0.writer.close().await;
    }
}

impl Tx {
    /// Makes it durable: on the disk when this returns.
    ///
    /// # Errors
    /// When the disk refuses; nothing was written then.
    pub async fn commit(self) -> Result<(), StoreError> {
        let name = self.name;
        self.inner.commit().await.map_err(|source| StoreError::Database { what: name, source })?;
        if self.changes_anchor {
            self.shared.behind.notify_one();
        }
        Ok(())
    }

    /// What this transaction writes is part of what the anchor says.
    pub(crate) const fn changes_anchor(&mut self) {
        self.changes_anchor = true;
    }

    /// Refuses the row of this id when the audit contradicts it.
    pub(crate) fn suspect(&self, id: &str) -> Result<(), StoreError> {
        // Texts are put in whole or not at all, whoever panics.
        let suspects = self.shared.suspects.read().unwrap_or_else(PoisonError::into_inner);
        suspects.get(id).map_or(Ok(()), |what| Err(StoreError::damaged(what.clone())))
    }

    pub(crate) fn db(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// For `map_err`: names the transaction; a unique index that refuses is [`StoreError::Taken`].
    pub(crate) fn failed(&self, taken: &'static str) -> impl Fn(sqlx::Error) -> StoreError + use<> {
        let name = self.name;
        move |source| match &source {
            sqlx::Error::Database(error) if error.is_unique_violation() && !taken.is_empty() => {
                StoreError::Taken { what: taken }
            }
            _ => StoreError::Database { what: name, source },
        }
    }
}

/// A write that must have touched exactly one row.
pub(crate) fn one_row(done: &sqlx::sqlite::SqliteQueryResult, what: &str) -> Result<(), StoreError> {
    match done.rows_affected() {
        1 => Ok(()),
        n => Err(StoreError::damaged(format!("{n} rows were touched where one {what} should have been"))),
    }
}
