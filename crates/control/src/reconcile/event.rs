//! What a session's events say of its workloads. Never a value.

use meshkeep_core::{Refusal, Timestamp, workload::WorkloadState};
use serde_json::{Value, json};

use super::Launch;

/// What happened to a workload, by the state that it led to.
pub(super) fn of(launch: &Launch, restart_at: Option<Timestamp>) -> (&'static str, Value) {
    let (kind, mut data) = match &launch.state {
        WorkloadState::Pending => ("workload.pending", json!({})),
        WorkloadState::Pulling => ("workload.pulling", json!({})),
        WorkloadState::Starting => ("workload.starting", json!({})),
        WorkloadState::Running => ("workload.running", json!({"restarts": launch.restarts})),
        WorkloadState::Ready => ("workload.ready", json!({"restarts": launch.restarts})),
        WorkloadState::Exited { code } => ("workload.exited", json!({"exit_code": code})),
        WorkloadState::Failed { reason: Refusal { code, message, hint, .. } } => {
            ("workload.failed", json!({"code": code, "message": message, "hint": hint}))
        }
        WorkloadState::Stopped => ("workload.stopped", json!({})),
    };
    data["service"] = json!(launch.service_name);
    data["service_id"] = json!(launch.service);
    data["workload_id"] = json!(launch.id);
    if let Some(at) = restart_at {
        data["restart_at"] = json!(at);
    }
    (kind, data)
}
