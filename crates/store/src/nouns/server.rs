//! The server's own values: which root key this database is sealed under, and the key that signs its tokens.

use meshkeep_core::{SecretText, Timestamp};
use meshkeep_seal::{Context, KeyId, MacKey, OpenError, Sealed};
use sqlx::{SqliteConnection, SqlitePool};
use zeroize::Zeroizing;

use crate::{StoreError, Tx};

const TOKEN_KEY: &str = "token_key";
const ROOT_KEY_ID: &str = "root_key_id";
const AUDIT_KEY: &str = "audit_key";
const ROTATED_AT: &str = "root_key_rotated_at";
const ANCHORED: &str = "anchored";
const PUBLIC_URL: &str = "public_url";

fn token_context() -> Context {
    Context::new("server-token-key")
}

fn audit_context() -> Context {
    Context::new("server-audit-key")
}

/// The root key that a database is sealed under.
pub(crate) async fn root_key_id(pool: &SqlitePool) -> Result<KeyId, StoreError> {
    let id: Option<Vec<u8>> = sqlx::query_scalar("SELECT value FROM server WHERE name = $1")
        .bind(ROOT_KEY_ID)
        .fetch_optional(pool)
        .await
        .map_err(|source| StoreError::Database { what: "be checked", source })?;
    id.and_then(|bytes| bytes.try_into().ok())
        .map(KeyId::from_bytes)
        .ok_or_else(|| StoreError::damaged("it does not say which root key it is sealed under"))
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
        self.put_server_value(TOKEN_KEY, sealed.as_bytes()).await?;
        let (_, wrapped) = self.shared.keyring.new_mac_key(&audit_context());
        self.put_server_value(AUDIT_KEY, wrapped.as_bytes()).await
    }

    /// The key that authenticates the audit and the anchor; `None` in a database in which the root key did so itself.
    pub(crate) async fn audit_key(&mut self) -> Result<Option<MacKey>, StoreError> {
        let Some(wrapped) = self.server_value(AUDIT_KEY).await? else { return Ok(None) };
        let key = self.shared.keyring.mac_key(&audit_context(), &Sealed::from_bytes(wrapped));
        key.map(Some).map_err(|error| StoreError::unopened("the key of the audit", error))
    }

    /// Keeps the key with which the root key authenticated the audit so far.
    pub(crate) async fn keep_former_audit_key(&mut self) -> Result<(), StoreError> {
        let (_, wrapped) = self.shared.keyring.former_mac_key(&Context::new("audit"), &audit_context());
        self.put_server_value(AUDIT_KEY, wrapped.as_bytes()).await
    }

    /// Seals the server's own values under the root key that seals now, and notes which that is.
    pub(crate) async fn rewrap_server_values(&mut self) -> Result<(), StoreError> {
        for (name, context) in [(TOKEN_KEY, token_context()), (AUDIT_KEY, audit_context())] {
            let what = format!("the server's {name}");
            let sealed =
                self.server_value(name).await?.ok_or_else(|| StoreError::damaged(format!("{what} is gone")))?;
            let sealed = self
                .shared
                .keyring
                .rewrap(&context, &Sealed::from_bytes(sealed))
                .map_err(|error| StoreError::unopened(&what, error))?;
            self.put_server_value(name, sealed.as_bytes()).await?;
        }
        let root = self.shared.keyring.root_id();
        self.put_server_value(ROOT_KEY_ID, root.as_bytes()).await?;
        let now = self.now().as_millis().to_be_bytes();
        self.put_server_value(ROTATED_AT, &now).await
    }

    /// When the root key was changed last.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn root_key_rotated_at(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let value = self.server_value(ROTATED_AT).await?;
        Ok(value.and_then(|bytes| bytes.try_into().ok()).map(|bytes| Timestamp::from_millis(i64::from_be_bytes(bytes))))
    }

    /// Whether an anchor was ever written.
    pub(crate) async fn is_anchored(&mut self) -> Result<bool, StoreError> {
        self.server_value(ANCHORED).await.map(|value| value.is_some())
    }

    pub(crate) async fn note_anchored(&mut self) -> Result<(), StoreError> {
        self.put_server_value(ANCHORED, &[1]).await
    }

    async fn server_value(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let failed = self.failed("");
        sqlx::query_scalar("SELECT value FROM server WHERE name = $1")
            .bind(name)
            .fetch_optional(self.db())
            .await
            .map_err(failed)
    }

    /// The key that signs the server's own tokens.
    ///
    /// # Errors
    /// Damage, or another root key.
    pub async fn token_key(&mut self) -> Result<SecretText, StoreError> {
        let sealed = self.server_value(TOKEN_KEY).await?;
        let sealed = sealed.ok_or_else(|| StoreError::damaged("the server's token key is gone"))?;
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
        let before = public_url(self.db()).await.map_err(failed)?;
        if before.as_deref() == Some(url) {
            return Ok(false);
        }
        self.put_server_value(PUBLIC_URL, url.as_bytes()).await?;
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
        sqlx::query("INSERT INTO server (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2")
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
