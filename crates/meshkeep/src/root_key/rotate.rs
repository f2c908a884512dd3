//! `meshkeep root-key rotate`: another root key, in steps of which each may be the last one that happens.
//!
//! 1. The next key is written beside the root key's file, on the disk before anything is under it.
//! 2. One transaction of the database puts everything under it.
//! 3. The old file gets a second name, and the next one takes its place.
//!
//! A server that starts between these steps loads both files, and the database says which of them seals. The same command
//! goes on where it was broken off.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use meshkeep_seal::{KeyService, Lock, LockKind, Passphrase, RootKey};
use meshkeep_store::{Store, StoreError, StoreOptions};

use super::{LockArgs, RootKeyPlace, failed};
use crate::{
    config::with_ending,
    failure::Failure,
    operator::{HereArgs, in_store},
    serve::lock,
};

/// Change the root key. The server must not run meanwhile; its services do.
#[derive(Debug, clap::Args)]
pub struct RotateArgs {
    #[command(flatten)]
    here: HereArgs,

    #[command(flatten)]
    new: LockArgs,

    /// Do not lock the new root key file, though the old one is locked
    #[arg(long, conflicts_with_all = ["new_passphrase", "new_passphrase_file", "new_pkcs11"])]
    new_open: bool,
}

pub(super) fn run(args: &RotateArgs) -> Result<(), Failure> {
    let dir = args.here.enter()?;
    let place = args.here.place(&dir);
    if place.is_credential() {
        return Err(Failure::usage("the service manager passed the root key, and what it passes is a copy")
            .hint("name the file itself with `--root-key-file`"));
    }
    let _alone = lock(&dir)?;
    let old = place.read()?;
    let new_lock = new_lock(args, &place, old.lock())?;
    let old = place.open(old)?;
    let (next, resumed) = next_key(&place, new_lock.as_deref())?;
    let (old_id, next_id) = (old.id(), next.id());

    let mut keyring = meshkeep_seal::Keyring::new(old);
    keyring.add(next);
    let options = StoreOptions { anchor: Some(dir.anchor()), ..StoreOptions::new(dir.path().to_owned(), keyring) };
    let rewrapped = in_store(async {
        let store = Store::open(options).await?;
        let (store, rewrapped) = store.put_under(next_id).await?;
        store.close().await;
        Ok::<_, StoreError>(rewrapped)
    })?;
    let kept = take_its_place(&place, &format!("old-{old_id}"))
        .map_err(|error| Failure::host(&format!("{} could not be put in place", place.next().display()), &error))?;

    let resumed = if resumed { "Went on with a change that was broken off.\n" } else { "" };
    let said = format!(
        "{resumed}The root key is {next_id} now, in {file}; {wrapped} anew.\n\
         The old one is in {kept}: backups that were made until now open with it alone. Copy the new file to where you keep\n\
         copies of it, and delete the old one when you need none of these backups any more.\n",
        wrapped = match rewrapped {
            1 => "the key of 1 project was wrapped".to_owned(),
            n => format!("the keys of {n} projects were wrapped"),
        },
        file = place.file.display(),
        kept = kept.display(),
    );
    crate::cmd::write(said.as_bytes())
}

/// As asked, else as the old file was locked.
fn new_lock(args: &RotateArgs, place: &RootKeyPlace, old: Option<&LockKind>) -> Result<Option<Box<dyn Lock>>, Failure> {
    let asked = args.new.lock()?;
    Ok(match (asked, old) {
        (Some(lock), _) => Some(lock),
        (None, _) if args.new_open => None,
        (None, None) => None,
        (None, Some(LockKind::Passphrase(_))) => Some(Box::new(Passphrase::new(place.passphrase()?).map_err(failed)?)),
        (None, Some(LockKind::Pkcs11(uri))) => Some(Box::new(KeyService::open(uri).map_err(failed)?)),
    })
}

/// The next key, on the disk; and whether it was there already.
fn next_key(place: &RootKeyPlace, lock: Option<&dyn Lock>) -> Result<(RootKey, bool), Failure> {
    let path = place.next();
    if let Some(file) = place.read_next()? {
        let next = file.unlock(lock).map_err(|error| {
            failed(error).hint(format!(
                "{} is of a change that was broken off: give the lock that was given then",
                path.display()
            ))
        })?;
        return Ok((next, true));
    }
    match fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::host(&format!("{} could not be removed", path.display()), &error)),
    }
    let next = RootKey::generate();
    next.save_new(&path, lock).map_err(failed)?;
    Ok((next, false))
}

/// The next file under the root key's name; where the old one is.
fn take_its_place(place: &RootKeyPlace, old: &str) -> io::Result<PathBuf> {
    let kept = with_ending(&place.file, &format!(".{old}"));
    match fs::hard_link(&place.file, &kept) {
        Ok(()) => {}
        // By a run that was broken off here.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        // A file system without links.
        Err(_) => {
            fs::copy(&place.file, &kept)?;
            File::open(&kept)?.sync_all()?;
        }
    }
    fs::rename(place.next(), &place.file)?;
    File::open(place.file.parent().unwrap_or(Path::new("/")))?.sync_all()?;
    Ok(kept)
}
