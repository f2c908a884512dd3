//! `meshkeep studio-link`: a link that signs the operator in to Studio, once.
//!
//! It is made in the database, beside a server that runs: whoever may write that file is the operator.

use std::{path::PathBuf, process::ExitCode};

use meshkeep_core::clock::SystemClock;
use meshkeep_store::{StudioLink, studio_link};
use serde_json::json;

use crate::{
    config::DEFAULT_LISTEN,
    failure::Failure,
    operator::{enter, in_store},
};

/// Make a link that signs the operator in to Studio: all projects, once, within 15 minutes.
#[derive(Debug, clap::Args)]
pub struct StudioLinkArgs {
    /// The server's data directory
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Makes the link and prints it.
#[must_use]
pub fn run(args: &StudioLinkArgs) -> ExitCode {
    match make(args) {
        Ok(link) => {
            let url =
                format_link(link.url.as_deref().unwrap_or(&format!("http://{DEFAULT_LISTEN}")), link.token.expose());
            if args.json {
                println!("{}", json!({ "url": url }));
            } else {
                println!("{url}");
            }
            ExitCode::SUCCESS
        }
        Err(failure) => failure.report(),
    }
}

/// The address that the operator opens.
pub fn format_link(public_url: &str, token: &str) -> String {
    format!("{public_url}/studio/link/{token}")
}

fn make(args: &StudioLinkArgs) -> Result<StudioLink, Failure> {
    let dir = enter(&args.data_dir)?;
    in_store(studio_link(dir.path(), &SystemClock))
}
