//! Calls of the endpoints that a manifest names: at each start of a service, with a token for the participant that shall
//! join the room.
//!
//! What must stay true: a token goes to the service that it was made for and to nobody else; a call of a start that is
//! over is given up.

use std::{sync::Arc, time::Duration};

use meshkeep_core::{
    SecretText,
    manifest::{self, Call},
    workload::WorkloadState,
};
use meshkeep_engine::ObservedState;
use serde_json::json;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use super::{Context, Launch, platform};
use crate::{ops::room_url, probe, refusals::chain};

/// How long a service may take to listen.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// Calls every endpoint of this start, each by itself.
pub(super) fn place(context: &Arc<Context>, launch: &Launch) {
    let Ok(checked) = manifest::check(&launch.recipe.spec) else { return };
    for call in checked.calls {
        let (context, launch) = (Arc::clone(context), launch.clone());
        tokio::spawn(async move {
            let stopping = context.stopping.clone();
            stopping.run_until_cancelled(until_answered(&context, &launch, &call)).await;
        });
    }
}

async fn until_answered(context: &Context, launch: &Launch, call: &Call) {
    let Some(port) = platform::number(&launch.recipe.spec, call.port) else { return };
    let body = match context.token_for(launch, &call.identity).await {
        Ok(token) => body(&context.parts.service_url, launch, &token),
        Err(refusal) => return report(context, launch, call, Err(refusal.to_string())).await,
    };
    let until = Instant::now() + PATIENCE;
    let mut last = "the service did not become ready".to_owned();
    while Instant::now() < until {
        match address(context, launch) {
            Where::Over => return,
            Where::NotYet => {}
            Where::At(address) => match probe::post(address, port, &call.path, &body).await {
                Ok(status @ 200..300) => return report(context, launch, call, Ok(status)).await,
                // It listens and does not want it; asking again changes nothing.
                Ok(status @ 400..500) => {
                    return report(context, launch, call, Err(format!("it answered {status}"))).await;
                }
                Ok(status) => last = format!("it answered {status}"),
                Err(error) => last = error.to_string(),
            },
        }
        sleep(PAUSE).await;
    }
    report(context, launch, call, Err(last)).await;
}

enum Where {
    Over,
    NotYet,
    At(std::net::Ipv4Addr),
}

/// Where this very start listens, once its liveness paths answer.
fn address(context: &Context, launch: &Launch) -> Where {
    let Some(seen) = context.observed(launch) else { return Where::NotYet };
    if seen.attempt > launch.attempt {
        return Where::Over;
    }
    match (seen.state, seen.address) {
        (ObservedState::Exited { .. } | ObservedState::Failed(_), _) => Where::Over,
        (ObservedState::Running, Some(address)) => match context.live.get(launch.id) {
            None => Where::Over,
            Some(live) if live.state == WorkloadState::Ready => Where::At(address),
            Some(_) => Where::NotYet,
        },
        _ => Where::NotYet,
    }
}

/// `room.call`, as MeshAgent's services expect it.
fn body(service_url: &str, launch: &Launch, token: &SecretText) -> Zeroizing<Vec<u8>> {
    let call = json!({
        "event": "room.call",
        "data": {
            "room_url": room_url(service_url, &launch.room),
            "room_name": launch.room,
            // To the service that it was made for.
            "token": token.expose(),
            "arguments": {},
        },
    });
    Zeroizing::new(call.to_string().into_bytes())
}

async fn report(context: &Context, launch: &Launch, call: &Call, outcome: Result<u16, String>) {
    let mut data = json!({
        "service": launch.service_name, "service_id": launch.service, "workload_id": launch.id,
        "path": call.path, "identity": call.identity.name,
    });
    let kind = match outcome {
        Ok(status) => {
            data["status"] = json!(status);
            "endpoint.called"
        }
        Err(why) => {
            data["message"] = json!(why);
            "endpoint.failed"
        }
    };
    let recorded = async {
        let mut tx = context.parts.store.write("record a call").await?;
        tx.add_event(launch.session, kind, &data).await?;
        tx.commit().await
    };
    if let Err(error) = recorded.await {
        tracing::error!(workload = %launch.id, error = %chain(&error), "a call could not be recorded");
    }
    context.live.note();
}
