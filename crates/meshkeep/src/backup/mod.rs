//! `meshkeep backup`: one sealed file, as of one moment, beside a server that goes on.
//!
//! What must stay true: the file shows nothing without the root key, which is not in it; it has its name only when it is
//! whole and on the disk.

mod format;
mod restore;
mod stored;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use meshkeep_core::{Clock as _, clock::SystemClock};
use meshkeep_seal::{Keyring, StreamWriter};
use meshkeep_store::{AuditEntry, Scratch, Store, StoreError, StoreOptions};

use crate::{
    config::with_ending,
    failure::{Exit, Failure},
    operator::{HereArgs, in_store},
};
use format::{ABOUT, About, DATABASE, STORAGE, context};

pub use restore::{RestoreArgs, run as run_restore};

/// Write a sealed copy of everything that is kept: secrets, services, rooms, sessions, the audit, rooms' files.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// The file to make; it must not be there
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    here: HereArgs,
}

/// Writes it.
#[must_use]
pub fn run(args: &BackupArgs) -> ExitCode {
    match back_up(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn back_up(args: &BackupArgs) -> Result<(), Failure> {
    let dir = args.here.enter()?;
    if fs::symlink_metadata(&args.file).is_ok() {
        return Err(Failure::new(Exit::State, format!("there is a file {} already", args.file.display()))
            .hint("a backup overwrites nothing; give another name"));
    }
    let place = args.here.place(&dir);
    // Among the data, which is on a disk that may hold it; sealed values are all that is secret in it.
    let work = Scratch::new(dir.path(), ".backup-")
        .map_err(|error| Failure::host(&format!("{} cannot be written", dir.path().display()), &error))?;
    let snapshot = work.path().join(DATABASE);
    // Also the check that the key at hand is the one that the backup will need.
    let options = StoreOptions::new(dir.path().to_owned(), place.keyring()?);
    let root = in_store(async {
        let store = Store::open_beside(options).await?;
        let root = store.root_key_id();
        let mut tx = store.write("record a backup").await?;
        tx.audit(&AuditEntry::of_operator("server.backup", root.to_string())).await?;
        tx.commit().await?;
        store.close_without_anchor().await;
        Store::snapshot(dir.path(), &snapshot).await?;
        Ok::<_, StoreError>(root)
    })?;
    let mut keyring = place.keyring()?;
    if !keyring.seal_under(root) {
        return Err(Failure::new(Exit::State, "the root key was changed meanwhile").hint("make the backup again"));
    }
    let size = write(&args.file, &keyring, &snapshot, &dir.storage())
        .map_err(|error| Failure::host(&format!("{} could not be written", args.file.display()), &error))?;
    let said = format!(
        "Backed up to {file} ({size} bytes). It opens with root key {root} alone, which is not in it: keep a copy of\n\
         {key} apart from it. `meshkeep restore {file} --data-dir DIR` makes a data directory of it.\n",
        file = args.file.display(),
        key = place.file.display(),
    );
    crate::cmd::write(said.as_bytes())
}

/// The file under its own name, on the disk when this returns; its size.
fn write(file: &Path, keyring: &Keyring, snapshot: &Path, storage: &Path) -> io::Result<u64> {
    let file = std::path::absolute(file)?;
    let part = with_ending(&file, ".part");
    let written = || {
        let open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        let sealed = StreamWriter::new(keyring, &context(), BufWriter::new(open))?;
        let mut tar = tar::Builder::new(sealed);
        let about = About { format: 1, made_at: SystemClock.now(), version: env!("CARGO_PKG_VERSION").to_owned() };
        stored::add_bytes(&mut tar, ABOUT, &serde_json::to_vec(&about)?)?;
        tar.append_path_with_name(snapshot, DATABASE)?;
        stored::add_tree(&mut tar, storage, Path::new(STORAGE))?;
        let mut to = tar.into_inner()?.finish()?;
        to.flush()?;
        to.get_ref().sync_all()?;
        let size = to.get_ref().metadata()?.len();
        match fs::hard_link(&part, &file) {
            // Not on a file system without links; there is nothing of the name, or it was refused at once.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => fs::rename(&part, &file)?,
            linked => linked?,
        }
        File::open(file.parent().unwrap_or(Path::new("/")))?.sync_all()?;
        Ok(size)
    };
    let written = written();
    let _ = fs::remove_file(&part);
    written
}
