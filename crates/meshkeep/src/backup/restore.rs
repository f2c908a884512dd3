//! `meshkeep restore`: a data directory from a backup, on this host or a fresh one.
//!
//! What must stay true: nothing that is there is overwritten; the directory has its name only when all of it was read and
//! opens; that it was restored stands in the audit.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read as _},
    path::{Component, Path, PathBuf},
    process::ExitCode,
};

use meshkeep_seal::{StreamError, StreamReader};
use meshkeep_store::{AuditEntry, Damage, Store, StoreError, StoreOptions};

use super::format::{ABOUT, About, DATABASE, STORAGE, context};
use crate::{
    failure::{Exit, Failure, one_line},
    init::{hidden_beside, put_in_place, refuse_what_is_there},
    operator::{HereArgs, in_store},
};

/// Bytes of `about.json` at most.
const MOST_ABOUT: u64 = 4096;

/// Make a data directory of a backup. The root key must be there already.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    here: HereArgs,
}

/// Makes it.
#[must_use]
pub fn run(args: &RestoreArgs) -> ExitCode {
    match restore(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn restore(args: &RestoreArgs) -> Result<(), Failure> {
    let dir = args.here.enter()?;
    refuse_what_is_there(&dir)?;
    let keyring = args.here.place(&dir).keyring()?;
    let unreadable = |why: &dyn std::fmt::Display| {
        Failure::new(Exit::State, format!("the backup {} {why}", args.file.display()))
            .hint("give a whole file that `meshkeep backup` made, and the root key of that time")
    };
    let file = File::open(&args.file).map_err(|error| unreadable(&format!("cannot be opened: {error}")))?;
    let sealed = StreamReader::new(&keyring, &context(), BufReader::new(file)).map_err(|error| match error {
        StreamError::Io(error) => unreadable(&format!("could not be read: {error}")),
        error => unreadable(&error),
    })?;
    let hidden = hidden_beside(&dir)?;
    let about =
        unpack(sealed, hidden.path()).map_err(|error| unreadable(&format!("could not be unpacked: {error}")))?;

    let options = StoreOptions::new(hidden.path().to_owned(), keyring);
    let (projects, damages) = in_store(open(options, &dir.anchor(), &about))?;
    put_in_place(hidden.path(), &dir)?;
    // It has another name now.
    let _ = hidden.keep();
    let said = format!(
        "Restored what was kept on {made} into {dir}: {projects}. Sessions that were launched explicitly go on\n\
         when the server starts: meshkeep serve --data-dir {dir}\n\
         What was changed since is not in it: secrets have the versions of then, and API keys that were deleted since are\n\
         valid again; look at `meshkeep key list`.\n",
        projects = if projects == 1 { "1 project".to_owned() } else { format!("{projects} projects") },
        made = about.made_at,
        dir = dir.path().display(),
    );
    for Damage { object, what } in damages {
        eprintln!("damaged already when it was backed up: {}", one_line(&format!("{object} {what}")));
    }
    crate::cmd::write(said.as_bytes())
}

/// Everything of the backup, into `dir`.
fn unpack(sealed: impl io::Read, dir: &Path) -> io::Result<About> {
    let strange = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("it holds {what}"));
    let mut sealed = sealed;
    let mut about = None;
    let storage = dir.join("engine");
    let mut tar = tar::Archive::new(&mut sealed);
    tar.set_preserve_permissions(true);
    tar.set_preserve_ownerships(true);
    tar.set_preserve_mtime(true);
    for entry in tar.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let mut parts = path.components();
        match parts.next() {
            Some(Component::Normal(name)) if name == ABOUT => {
                let mut bytes = Vec::new();
                entry.by_ref().take(MOST_ABOUT).read_to_end(&mut bytes)?;
                let read: About = serde_json::from_slice(&bytes)?;
                if read.format != 1 {
                    return Err(strange("a format that this version does not know"));
                }
                about = Some(read);
            }
            Some(Component::Normal(name)) if name == DATABASE => {
                let mut file = File::options().write(true).create_new(true).open(dir.join(DATABASE))?;
                io::copy(&mut entry, &mut file)?;
                file.sync_all()?;
            }
            // The library keeps below the directory, and goes through no link.
            Some(Component::Normal(name)) if name == STORAGE => {
                fs::create_dir_all(&storage)?;
                if !entry.unpack_in(&storage)? {
                    return Err(strange("a file with a bad name"));
                }
            }
            _ => return Err(strange("something that does not belong there")),
        }
    }
    // Only at its end it is known to be whole.
    io::copy(&mut sealed, &mut io::sink())?;
    about.ok_or_else(|| strange("no word of what it is"))
}

async fn open(options: StoreOptions, anchor: &Path, about: &About) -> Result<(usize, Vec<Damage>), StoreError> {
    let store = Store::open_to_accept(options).await?;
    let damages = store.examine(None).await?.damages;
    let mut tx = store.write("restore").await?;
    let projects = tx.projects().await?.len();
    // Whoever was signed in then signs in again.
    tx.end_studio_sessions().await?;
    tx.audit(&AuditEntry::of_operator("server.restore", format!("as of {}", about.made_at))).await?;
    tx.commit().await?;
    store.anchor_anew(anchor).await?;
    store.close_without_anchor().await;
    Ok((projects, damages))
}
