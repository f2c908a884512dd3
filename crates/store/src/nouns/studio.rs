//! Who is signed in to Studio: sessions of the browser, and the operator's one-time links.
//!
//! What must stay true: a token is answered once and kept as its fingerprint; one that is too old, or whose key is gone,
//! is not there.

use meshkeep_core::{SecretText, id::ApiKeyId};
use meshkeep_seal::{fingerprint, random_token};
use sqlx::SqliteConnection;

use crate::{StoreError, Tx, row::Columns};

/// Milliseconds that a session may be unused.
pub const STUDIO_IDLE: i64 = 12 * 60 * 60 * 1000;
/// Milliseconds that a session lasts at most.
pub const STUDIO_LIFE: i64 = 7 * 24 * 60 * 60 * 1000;
/// Milliseconds that a link may be used.
pub const STUDIO_LINK_LIFE: i64 = 15 * 60 * 1000;
/// Uses of a session that are not noted yet: a page that asks often writes seldom.
const NOTED_EVERY: i64 = 60 * 1000;

/// A browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StudioSession {
    /// With which key; the operator when `None`.
    pub key: Option<ApiKeyId>,
    /// Whether it is time to note that it was used.
    pub is_unnoted: bool,
}

impl Tx {
    /// Signs a browser in, and answers its token. What has expired is removed.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn create_studio_session(&mut self, key: Option<ApiKeyId>) -> Result<SecretText, StoreError> {
        let (now, failed) = (self.now().as_millis(), self.failed(""));
        sqlx::query("DELETE FROM studio_sessions WHERE created_at <= $1 OR seen_at <= $2")
            .bind(now - STUDIO_LIFE)
            .bind(now - STUDIO_IDLE)
            .execute(self.db())
            .await
            .map_err(&failed)?;
        let token = random_token();
        sqlx::query(
            "INSERT INTO studio_sessions (token_hash, api_key_id, created_at, seen_at) VALUES ($1, $2, $3, $3)",
        )
        .bind(fingerprint(&token).as_slice())
        .bind(key.map(|id| id.to_string()))
        .bind(now)
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(token.as_str().into())
    }

    /// The session of a token, when it is good.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn studio_session(&mut self, token: &str) -> Result<Option<StudioSession>, StoreError> {
        let (now, failed) = (self.now().as_millis(), self.failed(""));
        let row = sqlx::query(
            "SELECT api_key_id, seen_at FROM studio_sessions \
             WHERE token_hash = $1 AND created_at > $2 AND seen_at > $3",
        )
        .bind(fingerprint(token).as_slice())
        .bind(now - STUDIO_LIFE)
        .bind(now - STUDIO_IDLE)
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        row.map(|row| {
            let is_unnoted = row.number("seen_at")? + NOTED_EVERY <= now;
            Ok(StudioSession { key: row.maybe_parsed("api_key_id")?, is_unnoted })
        })
        .transpose()
    }

    /// Notes that a session was used now.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_studio_session(&mut self, token: &str) -> Result<(), StoreError> {
        let (now, failed) = (self.now().as_millis(), self.failed(""));
        sqlx::query("UPDATE studio_sessions SET seen_at = $2 WHERE token_hash = $1")
            .bind(fingerprint(token).as_slice())
            .bind(now)
            .execute(self.db())
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Signs a browser out.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn delete_studio_session(&mut self, token: &str) -> Result<(), StoreError> {
        let failed = self.failed("");
        sqlx::query("DELETE FROM studio_sessions WHERE token_hash = $1")
            .bind(fingerprint(token).as_slice())
            .execute(self.db())
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Ends all sessions and takes back all links.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn end_studio_sessions(&mut self) -> Result<(), StoreError> {
        for sql in ["DELETE FROM studio_sessions", "DELETE FROM studio_links"] {
            let failed = self.failed("");
            sqlx::query(sql).execute(self.db()).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Uses a link up; whether it was good.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn take_studio_link(&mut self, token: &str) -> Result<bool, StoreError> {
        let (now, failed) = (self.now().as_millis(), self.failed(""));
        let done = sqlx::query("DELETE FROM studio_links WHERE token_hash = $1 AND created_at > $2")
            .bind(fingerprint(token).as_slice())
            .bind(now - STUDIO_LINK_LIFE)
            .execute(self.db())
            .await
            .map_err(failed)?;
        Ok(done.rows_affected() == 1)
    }

    /// Makes a link, and answers its token.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn create_studio_link(&mut self) -> Result<SecretText, StoreError> {
        let now = self.now().as_millis();
        create_link(self.db(), now).await.map_err(self.failed(""))
    }
}

/// Makes a link and removes what has expired.
pub(crate) async fn create_link(db: &mut SqliteConnection, now: i64) -> sqlx::Result<SecretText> {
    sqlx::query("DELETE FROM studio_links WHERE created_at <= $1")
        .bind(now - STUDIO_LINK_LIFE)
        .execute(&mut *db)
        .await?;
    let token = random_token();
    sqlx::query("INSERT INTO studio_links (token_hash, created_at) VALUES ($1, $2)")
        .bind(fingerprint(&token).as_slice())
        .bind(now)
        .execute(db)
        .await?;
    Ok(token.as_str().into())
}
