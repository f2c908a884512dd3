//! `meshkeep session show`: states, reasons, and which versions of secrets are in use.

use std::fmt::Write as _;

use meshkeep_core::{
    wire::{SecretUse, Session, Workload},
    workload::SessionState,
};

use super::watch;
use crate::{
    cmd::{
        Context,
        output::{Table, age, ago},
        resolve,
    },
    failure::{Failure, one_line},
};

/// `session show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Its id, or the name of its room
    #[arg(value_name = "SESSION")]
    session: String,

    /// Stay, and show how it changes, until it ends
    #[arg(long)]
    watch: bool,
}

pub(super) async fn run(context: &Context, args: ShowArgs) -> Result<(), Failure> {
    let mut session = resolve::session(&context.client, &args.session).await?;
    if args.watch {
        session = watch::until(&context.client, session.id, |session| !session.is_active).await?;
    }
    context.out.show(&session, text)
}

/// A session for people.
pub(super) fn text(session: &Session) -> String {
    let Session { id, room_name, created_at, .. } = session;
    let mut text = format!("Session {id} of room {room_name}: {}", state_word(session.state));
    let _ = match session.ended_at {
        Some(ended) => writeln!(text, ", ended {}", ago(ended)),
        None => writeln!(text, ", launched {}", ago(*created_at)),
    };
    let workloads = session.workloads.as_deref().unwrap_or_default();
    let head = ["SERVICE", "STATE", "RESTARTS", "STARTED", "SECRETS", "IMAGE"];
    let mut table = Table::new(head, "It runs no service.");
    for workload in workloads {
        table.row([
            workload.service_name.clone(),
            state(workload),
            workload.restarts.to_string(),
            workload.started_at.map(age).unwrap_or_default(),
            secrets(workload),
            workload.image.clone(),
        ]);
    }
    let _ = write!(text, "\n{table}");
    for workload in workloads {
        if let Some(reason) = &workload.reason {
            let _ = write!(text, "\n{}: {} [{}]", workload.service_name, one_line(&reason.message), reason.code);
            if !reason.hint.is_empty() {
                let _ = write!(text, "\n    {}", one_line(&reason.hint));
            }
        }
    }
    text
}

/// The word for a session's state.
pub(super) const fn state_word(state: SessionState) -> &'static str {
    match state {
        SessionState::Starting => "starting",
        SessionState::Ready => "ready",
        SessionState::Degraded => "degraded",
        SessionState::Ended => "ended",
    }
}

fn state(workload: &Workload) -> String {
    match workload.exit_code {
        Some(code) if workload.state == "exited" => format!("exited({code})"),
        _ => workload.state.clone(),
    }
}

fn secrets(workload: &Workload) -> String {
    let one = |used: &SecretUse, note: String| {
        let newest = used.newest.map(|newest| format!(", newest is {newest}")).unwrap_or_default();
        format!("{} (version {}{newest}{note})", used.name, used.version)
    };
    let bound = workload.secrets.iter().map(|used| one(used, String::new()));
    let opens = |used: &SecretUse| used.opens.as_ref().map(|scope| format!(" of {scope}")).unwrap_or_default();
    let pull = workload
        .pull_secret
        .iter()
        .chain(&workload.further_pull_secrets)
        .map(|used| one(used, format!(", pull{}", opens(used))));
    bound.chain(pull).collect::<Vec<_>>().join(", ")
}
