//! A copy of the database as of one moment, beside a server that goes on.

use std::path::Path;

use sqlx::{ConnectOptions as _, Connection as _};

use crate::{Store, StoreError, open::settings_of};

impl Store {
    /// Writes a whole, compact copy of the database that `dir` holds to `to`, which must not be there. What it shows is one
    /// consistent state; a server that has the database open is not held up.
    ///
    /// # Errors
    /// No database, or what the disk says.
    pub async fn snapshot(dir: &Path, to: &Path) -> Result<(), StoreError> {
        let file = dir.join("meshkeep.db");
        if !file.exists() {
            return Err(StoreError::Missing { path: file.display().to_string() });
        }
        let failed = |source| StoreError::Database { what: "be copied", source };
        let mut db = settings_of(&file).read_only(true).connect().await.map_err(failed)?;
        sqlx::query("VACUUM INTO $1").bind(to.to_string_lossy().as_ref()).execute(&mut db).await.map_err(failed)?;
        db.close().await.map_err(failed)
    }
}
