//! The audit: reading it, following its chain, and the row of an attempt that was refused.

use std::sync::{Mutex, PoisonError};

use meshkeep_core::{
    Refusal, Timestamp,
    access::Action,
    id::ProjectId,
    wire::{self, AuditVerified},
};
use meshkeep_store::AuditEntry;

use crate::{Caller, Control, refusals::refused};

/// Rows of one page at most.
const MOST_ROWS: u32 = 1000;
/// Rows of a page when the asker names no number.
const ROWS: u32 = 100;
/// Refused attempts that are recorded within a minute: whoever repeats one for ever fills no disk.
const REFUSED_A_MINUTE: u32 = 120;

impl Control {
    /// Rows of the project: those after the place `after`, or the newest; in the order they were written.
    ///
    /// # Errors
    /// When the caller is no admin, or the store refuses.
    pub async fn audit(
        &self,
        caller: &Caller,
        project: ProjectId,
        after: Option<i64>,
        limit: Option<u32>,
    ) -> Result<wire::AuditList, Refusal> {
        caller.may(project, Action::ReadAudit)?;
        let mut tx = self.store().read("audit").await.map_err(refused)?;
        let limit = limit.unwrap_or(ROWS).min(MOST_ROWS);
        let rows = tx.audit_rows(project, after, limit).await.map_err(refused)?;
        Ok(wire::AuditList { rows: rows.into_iter().map(shown).collect() })
    }

    /// The newest rows of the project before a place, or of all; in the order they were written.
    ///
    /// # Errors
    /// When the caller is no admin, or the store refuses.
    pub async fn audit_before(
        &self,
        caller: &Caller,
        project: ProjectId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<wire::AuditList, Refusal> {
        caller.may(project, Action::ReadAudit)?;
        let mut tx = self.store().read("audit").await.map_err(refused)?;
        let rows = tx.audit_rows_before(project, before, limit.min(MOST_ROWS)).await.map_err(refused)?;
        Ok(wire::AuditList { rows: rows.into_iter().map(shown).collect() })
    }

    /// Follows the chain over all rows, those of other projects too.
    ///
    /// # Errors
    /// When the caller is no admin, or the store refuses.
    pub async fn verify_audit(&self, caller: &Caller, project: ProjectId) -> Result<AuditVerified, Refusal> {
        caller.may(project, Action::ReadAudit)?;
        let mut tx = self.store().read("verify audit").await.map_err(refused)?;
        let first_wrong = tx.check_audit().await.map_err(refused)?.first_wrong;
        Ok(AuditVerified { fits: first_wrong.is_none(), first_wrong })
    }

    /// Records an attempt that was refused and matters enough; answers the refusal. Call it outside a transaction.
    ///
    /// It stays refused, whether that can be recorded or not; the log then says why not.
    pub(crate) async fn recorded(&self, refusal: Refusal, attempt: AuditEntry) -> Refusal {
        if self.context().refused.may_record(self.context().parts.clock.now()) {
            let outcome = format!("refused: {}", refusal.code);
            let _ = self.record(AuditEntry { outcome, ..attempt }).await;
        }
        refusal
    }

    async fn record(&self, entry: AuditEntry) -> Result<(), Refusal> {
        let mut tx = self.store().write("record refusal").await.map_err(refused)?;
        tx.audit(&entry).await.map_err(refused)?;
        tx.commit().await.map_err(refused)
    }
}

fn shown(row: meshkeep_store::AuditRow) -> wire::AuditRow {
    let AuditEntry { actor, action, object, origin, outcome, .. } = row.entry;
    wire::AuditRow { seq: row.seq, at: row.at, actor, action, object, origin, outcome }
}

/// How many refused attempts the running minute has.
#[derive(Debug, Default)]
pub(crate) struct RefusedAttempts(Mutex<(i64, u32)>);

impl RefusedAttempts {
    fn may_record(&self, now: Timestamp) -> bool {
        // A panic while holding the lock leaves two numbers, whichever they are.
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.as_millis() / 60_000;
        if seen.0 != minute {
            *seen = (minute, 0);
        }
        seen.1 = seen.1.saturating_add(1);
        seen.1 <= REFUSED_A_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_a_bounded_number_of_refusals() {
        let attempts = RefusedAttempts::default();
        let recorded = |minute: i64| {
            (0..1000).filter(|n| attempts.may_record(Timestamp::from_millis(minute * 60_000 + n))).count()
        };
        assert_eq!([recorded(5), recorded(5), recorded(6)], [120, 0, 120]);
    }
}
