//! Calls of the endpoints that a manifest names: at each start of a service, with a token for the participant that shall
//! join the room.
//!
//! What must stay true: a token goes to the service that it was made for and to nobody else; a call of a start that is
//! over is given up.

use std::{sync::Arc, time::Duration};

use meshkeep_core::{
    SecretText,
    manifest::{self, Call},
    name::{RoomName, ServiceName},
    workload::WorkloadState,
};
use meshkeep_engine::ObservedState;
use meshkeep_store::{Service, Session};
use serde_json::json;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use super::{Context, Launch, platform, tokens::For};
use crate::{ops::room_url, probe, refusals::chain};

/// How long a service may take to listen.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(250);
/// Attempts at a service that is hosted elsewhere,
const TRIES: u32 = 4;
/// with so much more time before each.
const AGAIN: Duration = Duration::from_secs(2);

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
    let (whom, name) = (launch.whom(), &launch.service_name);
    let body = match context.token_for(whom, &call.identity).await {
        Ok(token) => body(&context.parts.service_url, &launch.room, &token),
        Err(refusal) => return report(context, whom, name, call, Err(refusal.to_string())).await,
    };
    let until = Instant::now() + PATIENCE;
    let mut last = "the service did not become ready".to_owned();
    while Instant::now() < until {
        match address(context, launch) {
            Where::Over => return,
            Where::NotYet => {}
            Where::At(address) => match probe::post(address, port, &call.path, &body).await {
                Ok(status @ 200..300) => return report(context, whom, name, call, Ok(status)).await,
                // It listens and does not want it; asking again changes nothing.
                Ok(status @ 400..500) => {
                    return report(context, whom, name, call, Err(format!("it answered {status}"))).await;
                }
                Ok(status) => last = format!("it answered {status}"),
                Err(error) => last = error.to_string(),
            },
        }
        sleep(PAUSE).await;
    }
    report(context, whom, name, call, Err(last)).await;
}

/// Calls the endpoints of services that are hosted elsewhere, each by itself, at the start of a session. They dial in from
/// wherever they are, so they are told the URL for clients.
pub(crate) fn place_elsewhere(context: &Arc<Context>, session: &Session, services: Vec<Service>) {
    for service in services {
        let Some(external) = service.spec.external.clone() else { continue };
        let Ok(checked) = manifest::check(&service.spec) else { continue };
        for call in checked.calls {
            let (context, session, service, url) =
                (Arc::clone(context), session.clone(), service.clone(), external.url.clone());
            tokio::spawn(async move {
                let stopping = context.stopping.clone();
                let whom = For {
                    project: session.project,
                    session: session.id,
                    room: &session.room_name,
                    service: service.id,
                };
                stopping.run_until_cancelled(elsewhere(&context, whom, &service.name, &url, &call)).await;
            });
        }
    }
}

async fn elsewhere(context: &Context, whom: For<'_>, name: &ServiceName, url: &str, call: &Call) {
    let called = async {
        let token = context.token_for(whom, &call.identity).await.map_err(|refusal| refusal.to_string())?;
        let body = body(&context.parts.public_url, whom.room, &token);
        let url = format!("{}{}", url.trim_end_matches('/'), call.path);
        let mut tries = 1;
        loop {
            // It holds a token, on its way to the service that it is for.
            match context.parts.images.post(&url, body.to_vec()).await {
                Ok(500..) if tries < TRIES => {}
                Err(error) if tries < TRIES && error.code() == "registry_unreachable" => {}
                other => return other.map_err(|error| error.to_string()),
            }
            sleep(AGAIN * tries).await;
            tries += 1;
        }
    };
    let outcome = match called.await {
        Ok(status @ 200..300) => Ok(status),
        Ok(status) => Err(format!("it answered {status}")),
        Err(why) => Err(why),
    };
    report(context, whom, name, call, outcome).await;
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
fn body(server_url: &str, room: &RoomName, token: &SecretText) -> Zeroizing<Vec<u8>> {
    let call = json!({
        "event": "room.call",
        "data": {
            "room_url": room_url(server_url, room),
            "room_name": room,
            // To the service that it was made for.
            "token": token.expose(),
            "arguments": {},
        },
    });
    Zeroizing::new(call.to_string().into_bytes())
}

async fn report(context: &Context, whom: For<'_>, name: &ServiceName, call: &Call, outcome: Result<u16, String>) {
    let mut data = json!({
        "service": name, "service_id": whom.service, "path": call.path, "identity": call.identity.name,
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
        tx.add_event(whom.session, kind, &data).await?;
        tx.commit().await
    };
    if let Err(error) = recorded.await {
        tracing::error!(service = %whom.service, error = %chain(&error), "a call could not be recorded");
    }
    context.live.note();
}
