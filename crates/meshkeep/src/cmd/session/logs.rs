//! `meshkeep session logs`: a service's lines, as it wrote them but for bound values.

use reqwest::Method;

use crate::{
    cmd::{Context, output, resolve},
    failure::Failure,
};

/// `session logs`.
#[derive(Debug, clap::Args)]
pub struct LogsArgs {
    /// Its id, or the name of its room
    #[arg(value_name = "SESSION")]
    session: String,

    /// The service's name or id; needed when the session runs several
    #[arg(value_name = "SERVICE")]
    service: Option<String>,

    /// Stay, and print what comes
    #[arg(long, short)]
    follow: bool,

    /// Only the last lines
    #[arg(long, value_name = "N")]
    tail: Option<usize>,
}

pub(super) async fn run(context: &Context, args: LogsArgs) -> Result<(), Failure> {
    let (session, service) = resolve::workload(&context.client, &args.session, args.service.as_deref()).await?;
    let (session, service) = (session.to_string(), service.to_string());
    let mut call = context.client.call(Method::GET, &["sessions", &session, "services", &service, "logs"]);
    if let Some(tail) = args.tail {
        call = call.query("tail", &tail.to_string());
    }
    if args.follow {
        call = call.query("follow", "true");
    }
    let mut log = call.stream().await?;
    let mut text = String::new();
    while let Some(piece) = log.next().await? {
        if context.out.is_json() {
            text.push_str(&String::from_utf8_lossy(&piece));
        } else {
            output::write(&piece)?;
        }
    }
    if context.out.is_json() {
        let lines: Vec<_> = text.lines().collect();
        context.out.show(&serde_json::json!({ "lines": lines }), |_| String::new())?;
    }
    Ok(())
}
