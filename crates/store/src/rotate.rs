//! Changing the root key.
//!
//! It wraps the projects' keys and the server's own values, and nothing else: these are wrapped anew in one transaction, so
//! that the database is under the old key or under the new one, whenever it is looked at.

use std::sync::Arc;

use meshkeep_seal::KeyId;

use crate::{AuditEntry, Store, StoreError};

impl Store {
    /// Puts everything under the root key of this id, which must be in the keyring; how many projects' keys were wrapped
    /// anew. The store must be nobody else's. The audit has it as the operator's act.
    ///
    /// # Errors
    /// When something does not open under the keys of the ring, or the disk refuses: then all is as it was.
    pub async fn put_under(self, root: KeyId) -> Result<(Self, u32), StoreError> {
        let mut shared = Arc::into_inner(self.0).expect("the store is this process's alone while its key is changed");
        let from = shared.keyring.root_id();
        if from == root {
            return Ok((Self(Arc::new(shared)), 0));
        }
        if !shared.keyring.seal_under(root) {
            return Err(StoreError::WrongKey { needed: root, given: from });
        }
        let store = Self(Arc::new(shared));
        let mut tx = store.write("change the root key").await?;
        let rewrapped = tx.rewrap_project_keys().await?;
        tx.rewrap_server_values().await?;
        let entry = AuditEntry::of_operator("root_key.rotate", format!("from {from} to {root}"));
        tx.audit(&entry).await?;
        tx.commit().await?;
        Ok((store, rewrapped))
    }
}
