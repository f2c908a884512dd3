//! How much room things take.

use meshkeep_core::Refusal;

use crate::{Control, refusals::refused};

/// Bytes on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Layers of images.
    pub images: u64,
    /// The database.
    pub database: u64,
}

impl Control {
    /// How much room things take.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub async fn usage(&self) -> Result<Usage, Refusal> {
        let images = self.context().parts.images.used_bytes().await.map_err(|error| error.refusal())?;
        let mut tx = self.store().read("usage").await.map_err(refused)?;
        Ok(Usage { images, database: tx.database_bytes().await.map_err(refused)? })
    }
}
