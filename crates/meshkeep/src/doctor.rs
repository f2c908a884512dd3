//! `meshkeep doctor`: looks at everything that meshkeep needs and keeps, beside a server that may run; one line each.
//!
//! What must stay true: without `--accept` nothing is changed; every line that is not good says what to do.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use meshkeep_engine::{EmbeddedConfig, HostCheck, examine_host};
use meshkeep_image::examine_layers;
use meshkeep_store::{Damage, Store, StoreError, StoreOptions};
use serde::Serialize;

use crate::{
    cmd::write,
    config::{ConfigFile, DataDir, Environment},
    failure::{Exit, Failure, one_line},
    operator::{HereArgs, in_store},
    root_key::{RootKeyArgs, RootKeyPlace},
    serve::lock,
};

/// Look at the root key, the database, the layers and the host, and say what to do.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    here: HereArgs,

    /// The server's settings, for its engine's ids
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Take the database as it is: what opens stays, what does not is removed. The server must not run
    #[arg(long)]
    accept: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Looks, and says it.
#[must_use]
pub fn run(args: &DoctorArgs) -> ExitCode {
    match examine(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(Exit::State as u8),
        Err(failure) => failure.report(),
    }
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Line {
    what: String,
    good: bool,
    found: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    fix: String,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    lines: Vec<Line>,
}

impl Report {
    fn good(&mut self, what: &str, found: impl Into<String>) {
        self.lines.push(Line { what: what.to_owned(), good: true, found: found.into(), fix: String::new() });
    }

    fn bad(&mut self, what: &str, found: impl Into<String>, fix: impl Into<String>) {
        self.lines.push(Line { what: what.to_owned(), good: false, found: found.into(), fix: fix.into() });
    }

    fn is_good(&self) -> bool {
        self.lines.iter().all(|line| line.good)
    }
}

fn examine(args: &DoctorArgs) -> Result<bool, Failure> {
    let dir = args.here.enter()?;
    let settings = args.config.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default();
    let said = RootKeyArgs {
        root_key_file: args.here.root_key.root_key_file.clone().or(settings.server.root_key_file),
        passphrase_file: args.here.root_key.passphrase_file.clone().or(settings.server.passphrase_file),
    };
    let place = RootKeyPlace::find(said, &dir, &Environment::read());
    if args.accept {
        accept(&dir, &place)?;
    }

    let mut report = Report::default();
    if let Some(options) = look_at_root_key(&dir, &place, &mut report) {
        look_at_database(options, &dir, &mut report);
    }
    look_at_layers(&dir, &mut report);
    let defaults = EmbeddedConfig::default();
    let engine = EmbeddedConfig { first_id: settings.engine.first_id.unwrap_or(defaults.first_id), ..defaults };
    for HostCheck { what, found } in examine_host(&engine) {
        match found {
            Ok(found) => report.good(what, found),
            Err(said) => {
                let (found, fix) = said.split_once("; ").unwrap_or((&said, "docs/keeping.md says what is looked at"));
                report.bad(what, found, fix);
            }
        }
    }
    show(&report, args.json)?;
    Ok(report.is_good())
}

fn options(dir: &DataDir, place: &RootKeyPlace) -> Result<StoreOptions, Failure> {
    Ok(StoreOptions::new(dir.path().to_owned(), place.keyring()?))
}

fn look_at_root_key(dir: &DataDir, place: &RootKeyPlace, report: &mut Report) -> Option<StoreOptions> {
    let opened = options(dir, place);
    match &opened {
        Ok(_) => report.good("root key", format!("opens, from {}", place.file.display())),
        Err(failure) => report.bad("root key", failure.message(), failure.what_to_do()),
    }
    if place.next().exists() {
        report.bad(
            "root key",
            format!("a change of it was broken off; {} is the next one", place.next().display()),
            format!("run `meshkeep root-key rotate --data-dir {}` again", dir.path().display()),
        );
    }
    opened.ok()
}

fn look_at_database(options: StoreOptions, dir: &DataDir, report: &mut Report) {
    let looked = in_store(async {
        let store = Store::open_to_examine(options).await?;
        let examined = store.examine(Some(&dir.anchor())).await?;
        store.close_without_anchor().await;
        Ok::<_, StoreError>(examined)
    });
    match looked {
        Err(failure) => report.bad("database", failure.message(), failure.what_to_do()),
        Ok(examined) if examined.damages.is_empty() => {
            report.good("database", format!("{} sealed things open; list, audit and anchor fit", examined.opened));
        }
        Ok(examined) => {
            report.good("database", format!("{} sealed things open", examined.opened));
            for Damage { object, what } in examined.damages {
                report.bad(
                    "database",
                    format!("{object} {what}"),
                    "restore a backup; or stop the server and let `meshkeep doctor --accept` remove what does not open",
                );
            }
        }
    }
}

fn look_at_layers(dir: &DataDir, report: &mut Report) {
    let images = dir.images();
    if !images.exists() {
        return report.good("layers", "none yet");
    }
    match examine_layers(&images) {
        Err(error) => {
            let refusal = error.refusal();
            report.bad("layers", refusal.message, refusal.hint);
        }
        Ok(found) => {
            let unknown =
                if found.unknown > 0 { format!("; of {} no digest was noted", found.unknown) } else { String::new() };
            report.good("layers", format!("{} are as they were written{unknown}", found.whole));
            for path in found.damaged {
                report.bad(
                    "layers",
                    format!("{path} is not as it was written"),
                    format!("remove it (`rm {path}`) and restart what uses it; it is fetched again"),
                );
            }
        }
    }
}

fn accept(dir: &DataDir, place: &RootKeyPlace) -> Result<(), Failure> {
    let _alone = lock(dir)?;
    let options = options(dir, place)?;
    let removed = in_store(async { Store::open_to_accept(options).await?.accept(&dir.anchor()).await })?;
    for Damage { object, what } in removed {
        eprintln!("removed: {}", one_line(&format!("{object}: it {what}")));
    }
    Ok(())
}

fn show(report: &Report, json: bool) -> Result<(), Failure> {
    if json {
        // A struct of strings and flags always becomes JSON.
        return write(format!("{}\n", serde_json::to_string(report).unwrap_or_default()).as_bytes());
    }
    let mut text = String::new();
    for line in &report.lines {
        let mark = if line.good { "ok " } else { "BAD" };
        let _ = writeln!(text, "{mark}  {:<20} {}", line.what, one_line(&line.found));
        if !line.fix.is_empty() {
            let _ = writeln!(text, "     {:<20} → {}", "", one_line(&line.fix));
        }
    }
    write(text.as_bytes())
}
