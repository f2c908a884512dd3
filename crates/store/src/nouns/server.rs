//! The server's own values: which root key this database is sealed under, and the key that signs its tokens.

use meshkeep_core::SecretText;
use meshkeep_seal::{Context, KeyId, Keyring, OpenError, Sealed};
use sqlx::{SqliteConnection, SqlitePool};
use zeroize::Zeroizing;

use crate::{StoreError, Tx};

const TOKEN_KEY: &str = "token_key";
const ROOT_KEY_ID: &str = "root_key_id";
const PUBLIC_URL: &str = "public_url";

fn token_context() -> Context {
    Context::new("server-token-key")
}

/// Refuses a database that is sealed under another root key, before anything is written.
pub(crate) async fn check_root_key(pool: &SqlitePool, keyring: &Keyring) -> Result<(), StoreError> {
    let id: Option<Vec<u8>> = sqlx::query_scalar("SELECT value FROM server WHERE name = $1")
        .bind(ROOT_KEY_ID)
        .fetch_optional(pool)
        .await
        .map_err(|source| StoreError::Database { what: "be checked", source })?;
    let needed = id
        .and_then(|bytes| bytes.try_into().ok())
        .map(KeyId::from_bytes)
        .ok_or_else(|| StoreError::damaged("it does not say which root key it is sealed under"))?;
    let given = keyring.root_id();
    if needed == given { Ok(()) } else { Err(StoreError::WrongKey { needed, given }) }
}

/// Where clients reached the server that ran last; `None` when none ever did.
pub(crate) async fn public_url(db: &mut SqliteConnection) -> sqlx::Result<Option<String>> {
    let value: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT value FROM server WHERE name = $1").bind(PUBLIC_URL).fetch_optional(db).await?;
    Ok(value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

impl Tx {
    pub(crate) async fn first_server_values(&mut self) -> Result<(), StoreError> {
        let root = self.shared.keyring.root_id();
        self.put_server_value(ROOT_KEY_ID, root.as_bytes()).await?;
        let key = Zeroizing::new(format!("{}{}", KeyId::random(), KeyId::random()));
        let sealed = self.shared.keyring.seal(&token_context(), key.as_bytes());
        self.put_server_value(TOKEN_KEY, sealed.as_bytes()).await
    }

    pub(crate) async fn check_server_values(&mut self) -> Result<(), StoreError> {
        self.token_key().await.map(|_| ())
    }

    /// The key that signs the server's own tokens.
    ///
    /// # Errors
    /// Damage, or another root key.
    pub async fn token_key(&mut self) -> Result<SecretText, StoreError> {
        let failed = self.failed("");
        let sealed: Vec<u8> = sqlx::query_scalar("SELECT value FROM server WHERE name = $1")
            .bind(TOKEN_KEY)
            .fetch_one(self.db())
            .await
            .map_err(failed)?;
        let plain = self
            .shared
            .keyring
            .open(&token_context(), &Sealed::from_bytes(sealed))
            .map_err(|error| StoreError::unopened("the server's token key", error))?;
        text("the server's token key", plain)
    }

    /// Notes where clients reach the server that runs now; whether none ran before.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_public_url(&mut self, url: &str) -> Result<bool, StoreError> {
        let failed = self.failed("");
        let before = public_url(self.db()).await.map_err(&failed)?;
        if before.as_deref() == Some(url) {
            return Ok(false);
        }
        sqlx::query("INSERT INTO server (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2")
            .bind(PUBLIC_URL)
            .bind(url.as_bytes())
            .execute(self.db())
            .await
            .map_err(failed)?;
        Ok(before.is_none())
    }

    /// Bytes of the database file, without its log.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn database_bytes(&mut self) -> Result<u64, StoreError> {
        let failed = self.failed("");
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(self.db()).await.map_err(&failed)?;
        let size: i64 = sqlx::query_scalar("PRAGMA page_size").fetch_one(self.db()).await.map_err(failed)?;
        Ok(u64::try_from(pages.saturating_mul(size)).unwrap_or_default())
    }

    async fn put_server_value(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let failed = self.failed("");
        sqlx::query("INSERT INTO server (name, value) VALUES ($1, $2)")
            .bind(name)
            .bind(value)
            .execute(self.db())
            .await
            .map_err(failed)?;
        Ok(())
    }
}

/// Opened bytes as secret text, without a copy that is not wiped.
pub(crate) fn text(what: &str, mut plain: Zeroizing<Vec<u8>>) -> Result<SecretText, StoreError> {
    String::from_utf8(std::mem::take(&mut *plain))
        .map(SecretText::new)
        .map_err(|_| StoreError::unopened(what, OpenError::Format))
}
