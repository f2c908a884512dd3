//! Sessions as they are shown: what is recorded, and over it what is newer.

use std::collections::BTreeMap;

use meshkeep_core::{
    Timestamp,
    id::SecretId,
    plan::session_state,
    secret::SecretRef,
    wire,
    workload::{SessionState, WorkloadState},
};
use meshkeep_store::{Session, StoreError, Tx, Workload};

use crate::reconcile::{Context, LiveWorkload, Openings};

/// Newest versions, by secret.
type Newest = BTreeMap<SecretId, u32>;

/// A session with its workloads.
pub(super) async fn whole(tx: &mut Tx, context: &Context, session: Session) -> Result<wire::Session, StoreError> {
    let workloads = tx.workloads(session.project, session.id).await?;
    let newest = match session.ended_at {
        None => Some(tx.newest_secret_versions(session.project).await?),
        Some(_) => None,
    };
    Ok(self::session(context, session, Some(workloads), newest.as_ref()))
}

/// A session, with workloads where they were read.
pub(super) fn session(
    context: &Context,
    session: Session,
    workloads: Option<Vec<Workload>>,
    newest: Option<&Newest>,
) -> wire::Session {
    let (is_active, live) = (session.ended_at.is_none(), &context.live);
    let newer = |recorded: &Workload| live.get(recorded.id).filter(|_| is_active);
    let workloads: Option<Vec<Whole>> = workloads
        .map(|all| all.into_iter().map(|recorded| Whole::of(newer(&recorded), recorded, session.ended_at)).collect());
    let state = match &workloads {
        _ if !is_active => SessionState::Ended,
        Some(workloads) => session_state(
            workloads.iter().filter(|whole| whole.recorded.asked.is_none()).map(|whole| &whole.newer.state),
        ),
        None => session_state(&live.states(session.id)),
    };
    wire::Session {
        id: session.id,
        room_id: session.room,
        room_name: session.room_name.into(),
        created_at: session.created_at,
        is_active,
        participants: is_active.then(|| context.presence.by_role(session.id)),
        state,
        ended_at: session.ended_at,
        workloads: workloads.map(|all| all.into_iter().map(|whole| workload(whole, newest)).collect()),
    }
}

/// A workload with the newest word on it.
struct Whole {
    recorded: Workload,
    newer: LiveWorkload,
}

impl Whole {
    fn of(newer: Option<LiveWorkload>, recorded: Workload, ended: Option<Timestamp>) -> Self {
        let newer = newer.unwrap_or_else(|| {
            let mut state = recorded.state.clone();
            // Its session's end was recorded, its own not: the server was killed meanwhile.
            if ended.is_some() && !is_final(&state) {
                state = WorkloadState::Stopped;
            }
            LiveWorkload::recorded(&recorded, state)
        });
        Self { recorded, newer }
    }
}

const fn is_final(state: &WorkloadState) -> bool {
    matches!(state, WorkloadState::Exited { .. } | WorkloadState::Failed { .. } | WorkloadState::Stopped)
}

/// The pull secret of the service's own image, and the others. Of several, none is the own image's before it was fetched.
fn pull_secrets(
    secrets: Vec<SecretRef>,
    opened: &Openings,
    newest: Option<&Newest>,
) -> (Option<wire::SecretUse>, Vec<wire::SecretUse>) {
    let only = (secrets.len() == 1).then_some(0);
    let own = opened.own.as_ref().map(|opened| opened.position).or(only);
    let by_place = |place: usize| opened.own.iter().chain(&opened.mounted).find(|opened| opened.position == place);
    let mut all: Vec<_> = secrets
        .into_iter()
        .enumerate()
        .map(|(place, secret)| wire::SecretUse {
            opens: by_place(place).map(|opened| opened.scope.clone()),
            ..used(secret, newest)
        })
        .collect();
    let own = own.filter(|place| *place < all.len()).map(|place| all.remove(place));
    (own, all)
}

fn workload(Whole { recorded, newer }: Whole, newest: Option<&Newest>) -> wire::Workload {
    let reason = match &newer.state {
        WorkloadState::Failed { reason } => Some(reason),
        _ => newer.last_reason.as_ref(),
    };
    let (pull_secret, further_pull_secrets) = pull_secrets(recorded.pull_secrets, &newer.opened, newest);
    wire::Workload {
        id: recorded.id,
        service_id: recorded.service,
        service_name: recorded.service_name.into(),
        state: newer.state.as_str().to_owned(),
        reason: reason.map(wire::Reason::from),
        exit_code: newer.exit_code,
        restarts: newer.restarts,
        restart_at: newer.restart_at,
        image: recorded.spec.container.map(|container| container.image).unwrap_or_default(),
        image_digest: newer.image_digest.map(Into::into),
        secrets: recorded.secrets.into_iter().map(|secret| used(secret, newest)).collect(),
        pull_secret,
        further_pull_secrets,
        started_at: newer.started_at,
        progress: newer.progress,
    }
}

fn used(secret: SecretRef, newest: Option<&Newest>) -> wire::SecretUse {
    let SecretRef { id, name, version, .. } = secret;
    let newest = newest.and_then(|newest| newest.get(&id)).copied().filter(|newest| *newest > version);
    wire::SecretUse { id, name, version, newest, opens: None }
}
