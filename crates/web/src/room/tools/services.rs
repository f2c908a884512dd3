//! `services.*`

use meshkeep_control::{Member, ServiceState};
use meshkeep_core::{Refusal, Timestamp, wire::payload::Content};
use serde_json::{Map, Value, json};

use super::not_offered;
use crate::room::call::Call;

pub(super) async fn answer(member: &Member, call: &Call) -> Result<Content, Refusal> {
    match call.tool.as_str() {
        "list" => list(member, call).await,
        "restart" => {
            member.restart_service(call.input.text("service_id")?).await?;
            Ok(Content::Empty)
        }
        _ => Err(not_offered(call)),
    }
}

async fn list(member: &Member, call: &Call) -> Result<Content, Refusal> {
    let (services, states) = member.services().await?;
    let states = states.into_iter().map(|state| (state.service.to_string(), shown(&state)));
    Ok(Content::Json(if call.is_tool() {
        let services: Vec<_> = services.iter().filter_map(|spec| serde_json::to_string(spec).ok()).collect();
        json!({"services_json": services, "service_states": states.map(|(_, state)| state).collect::<Vec<_>>()})
    } else {
        json!({"services": services, "service_states": states.collect::<Map<String, Value>>()})
    }))
}

fn shown(state: &ServiceState) -> Value {
    json!({
        "service_id": state.service,
        "state": state.state,
        "container_id": state.container,
        "restart_scheduled_at": state.restart_at.map(seconds),
        "started_at": state.started_at.map(seconds),
        "restart_count": state.restarts,
        "last_exit_code": state.exit_code,
    })
}

/// Seconds since the epoch, with their fraction.
fn seconds(at: Timestamp) -> f64 {
    at.as_millis() as f64 / 1000.0
}
