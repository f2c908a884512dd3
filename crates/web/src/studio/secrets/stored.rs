//! What both editors tell of a stored secret, and of a save.

use meshkeep_core::{
    Refusal, Timestamp,
    id::SecretId,
    secret::SecretKind,
    wire::{SecretItem, SecretSaved},
};
use serde::Deserialize;

use crate::{
    error::{ApiError, no_such},
    studio::visit::Visit,
};

/// A stored secret, beside its entries.
pub(super) struct Stored {
    pub(super) id: SecretId,
    pub(super) version: u32,
    pub(super) updated_at: Timestamp,
    pub(super) updated_by: String,
    pub(super) used_by: Vec<String>,
    /// Where two secret keys of one service have an entry of the same name.
    pub(super) clashes: Vec<String>,
}

impl Stored {
    /// The secret of this id and kind, and how it is listed.
    ///
    /// # Errors
    /// `NotFound`, also for one of the other kind.
    pub(super) async fn find(visit: &Visit, id: SecretId, kind: SecretKind) -> Result<(Self, SecretItem), ApiError> {
        let mut item = visit.control.secret(&visit.caller, visit.project, id).await?;
        let detail = item.detail.take().filter(|_| item.kind == kind).ok_or_else(|| no_such("secret of this kind"))?;
        let clashes = match kind {
            SecretKind::Keys => visit.control.secret_clashes(&visit.caller, visit.project, id, &[]).await?,
            SecretKind::Docker => Vec::new(),
        };
        let stored = Self {
            id,
            version: detail.version,
            updated_at: detail.updated_at,
            updated_by: detail.updated_by,
            used_by: detail.used_by,
            clashes,
        };
        Ok((stored, item))
    }
}

/// What came of a form.
#[derive(Default)]
pub(super) struct Said {
    pub(super) refusal: Option<Refusal>,
    pub(super) saved: Option<Saved>,
    /// Somebody else saved in between: the editor stands on their version now.
    pub(super) is_stale: bool,
}

impl Said {
    /// It was refused.
    pub(super) fn refused(refusal: Refusal) -> Self {
        Self { refusal: Some(refusal), ..Self::default() }
    }

    /// Somebody else was faster.
    pub(super) fn stale() -> Self {
        Self { is_stale: true, ..Self::default() }
    }
}

/// A save.
pub(super) struct Saved {
    pub(super) version: u32,
    /// Running sessions that use an older one.
    pub(super) older: u32,
    pub(super) remarks: Vec<String>,
}

impl From<SecretSaved> for Saved {
    fn from(saved: SecretSaved) -> Self {
        Self { version: saved.version, older: saved.sessions_on_older, remarks: saved.warnings }
    }
}

/// What a redirect after a save tells: numbers, so that no other page can put words here.
#[derive(Deserialize)]
pub(super) struct After {
    saved: Option<u32>,
    #[serde(default)]
    older: u32,
}

impl From<After> for Said {
    fn from(after: After) -> Self {
        let saved = after.saved.map(|version| Saved { version, older: after.older, remarks: Vec::new() });
        Self { saved, ..Self::default() }
    }
}
