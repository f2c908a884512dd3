//! `meshkeep init`: the data directory, the root key beside it, the first project and its first key.
//!
//! What must stay true: everything is made under another name and put in place at the end, so that a run that fails
//! leaves nothing behind; nothing that is there is ever overwritten.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use meshkeep_core::{
    SecretText,
    access::{Grant, Role},
    api_key::ApiKeyText,
    name::DisplayName,
    wire::Initialised,
};
use meshkeep_seal::{Keyring, RootKey};
use meshkeep_store::{AuditEntry, NewApiKey, Scratch, Store, StoreError, StoreOptions};

use crate::{
    config::DataDir,
    failure::{Exit, Failure},
    operator::{enter, in_store},
    root_key::{LockArgs, failed},
};

/// Make a data directory, its root key and the first project with an admin key.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// The directory to make
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,

    /// Where to write the root key [default: beside the data directory, as DIR.root-key]
    #[arg(long, value_name = "FILE")]
    pub root_key_file: Option<PathBuf>,

    #[command(flatten)]
    pub lock: LockArgs,

    /// What the first project is called
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub project_name: String,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Makes it all, and prints the first key this once.
#[must_use]
pub fn run(args: &InitArgs) -> ExitCode {
    match init(args) {
        Ok((made, key_file)) => {
            show(args, &made, &key_file);
            ExitCode::SUCCESS
        }
        Err(failure) => failure.report(),
    }
}

fn init(args: &InitArgs) -> Result<(Initialised, PathBuf), Failure> {
    let dir = enter(&args.data_dir)?;
    args.project_name
        .parse::<DisplayName>()
        .map_err(|why| Failure::new(Exit::Usage, format!("the project name {why}")))?;
    let key_file = place_of_key(args, &dir)?;
    refuse_what_is_there(&dir)?;
    refuse_another_key(&key_file)?;

    let root = RootKey::generate();
    let hidden = hidden_beside(&dir)?;
    root.save_new(&key_file, args.lock.lock()?.as_deref()).map_err(failed)?;
    let made = fill(hidden.path(), &dir, root, &args.project_name).and_then(|made| {
        put_in_place(hidden.path(), &dir)?;
        Ok(made)
    });
    match made {
        Ok(made) => {
            // It has another name now.
            let _ = hidden.keep();
            Ok((made, key_file))
        }
        Err(failure) => {
            // This run made it a moment ago, and nothing is sealed under it.
            let _ = fs::remove_file(&key_file);
            let _ = fs::remove_file(dir.anchor());
            Err(failure)
        }
    }
}

/// A directory beside the one that is to be made of it.
pub fn hidden_beside(dir: &DataDir) -> Result<Scratch, Failure> {
    Scratch::new(dir.parent(), HIDDEN).map_err(|error| at(dir.parent(), "cannot be written", &error))
}

/// How a directory is called while it is being made.
const HIDDEN: &str = ".meshkeep-init-";

fn place_of_key(args: &InitArgs, dir: &DataDir) -> Result<PathBuf, Failure> {
    let Some(file) = &args.root_key_file else { return Ok(dir.default_root_key()) };
    let file = std::path::absolute(file).map_err(|error| at(file, "is no path", &error))?;
    if file.starts_with(dir.path()) {
        return Err(Failure::new(Exit::Usage, "the root key cannot be kept inside the data directory")
            .hint("a copy of the directory would then open itself; give a place outside of it"));
    }
    Ok(file)
}

/// Refuses a directory that holds something.
pub fn refuse_what_is_there(dir: &DataDir) -> Result<(), Failure> {
    let path = dir.path();
    if dir.database().exists() {
        return Err(Failure::new(Exit::State, format!("there is a meshkeep database in {} already", path.display()))
            .hint(format!("run it with `meshkeep serve --data-dir {}`, or give another directory", path.display())));
    }
    match fs::read_dir(path).map(|mut entries| entries.next().is_some()) {
        Ok(false) => {}
        Ok(true) => {
            return Err(Failure::new(Exit::State, format!("{} is not empty", path.display()))
                .hint("give a directory that does not exist yet, or an empty one"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(at(path, "cannot be used", &error)),
    }
    if !dir.parent().is_dir() {
        return Err(Failure::new(Exit::State, format!("there is no directory {}", dir.parent().display()))
            .hint("make it first"));
    }
    Ok(())
}

fn refuse_another_key(key_file: &Path) -> Result<(), Failure> {
    if fs::symlink_metadata(key_file).is_ok() {
        return Err(Failure::new(Exit::State, format!("there is a file {} already", key_file.display())).hint(
            "a root key is never overwritten; give another place with `--root-key-file`, or remove it when nothing is \
             sealed under it",
        ));
    }
    Ok(())
}

fn fill(hidden: &Path, dir: &DataDir, root: RootKey, project_name: &str) -> Result<Initialised, Failure> {
    let options =
        StoreOptions { anchor: Some(dir.anchor()), ..StoreOptions::new(hidden.to_owned(), Keyring::new(root)) };
    let refused = |error: StoreError| Failure::refusal(Exit::State, error.refusal());
    in_store(async {
        let store = Store::create(options).await.map_err(refused)?;
        let made = first_project(&store, project_name).await;
        store.close().await;
        made
    })
}

async fn first_project(store: &Store, name: &str) -> Result<Initialised, Failure> {
    let refused = |error: StoreError| Failure::refusal(Exit::State, error.refusal());
    let secret = new_secret()?;
    let mut tx = store.write("init").await.map_err(refused)?;
    let project = tx.create_project(name).await.map_err(refused)?;
    let key = NewApiKey {
        name: "first-admin",
        description: "made by meshkeep init",
        grant: Grant { role: Role::Admin, bind: true },
        service: None,
        secret: &secret,
        by: "init",
    };
    let key = tx.create_api_key(project.id, key).await.map_err(refused)?;
    for (action, object) in [("project.create", project.id.to_string()), ("api_key.create", key.id.to_string())] {
        let entry = AuditEntry {
            project: Some(project.id),
            actor: "init".to_owned(),
            action: action.to_owned(),
            object,
            origin: "local".to_owned(),
            outcome: AuditEntry::DONE.to_owned(),
        };
        tx.audit(&entry).await.map_err(refused)?;
    }
    tx.commit().await.map_err(refused)?;
    let api_key = ApiKeyText { id: key.id, project: project.id, secret }.format();
    Ok(Initialised { project_id: project.id, project_name: project.name, api_key, api_key_id: key.id })
}

/// 256 random bits.
fn new_secret() -> Result<SecretText, Failure> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|error| Failure::new(Exit::Host, format!("the machine gives no random numbers: {error}")))?;
    Ok(SecretText::new(hex::encode(bytes.as_slice())))
}

/// The directory under its own name, on the disk when this returns.
pub fn put_in_place(hidden: &Path, dir: &DataDir) -> Result<(), Failure> {
    let sync = |path: &Path| {
        File::open(path).and_then(|dir| dir.sync_all()).map_err(|error| at(path, "cannot be synced", &error))
    };
    sync(hidden)?;
    // Replaces an empty directory and nothing else.
    fs::rename(hidden, dir.path()).map_err(|error| at(dir.path(), "cannot be made", &error))?;
    sync(dir.parent())
}

fn at(path: &Path, what: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::State, format!("{} {what}: {error}", path.display()))
        .hint("check that it exists, belongs to this user and is not full")
}

fn show(args: &InitArgs, made: &Initialised, key_file: &Path) {
    if args.json {
        // A struct of strings always becomes JSON.
        println!("{}", serde_json::to_string(made).unwrap_or_default());
        return;
    }
    println!(
        "Made {dir} with the project {name} ({project}).\n\
         The root key is in {key_file}: back it up apart from the data; without it nothing can be read.\n\n\
         The admin key, shown this once:\n\n    {key}\n\n\
         To go on:\n\n    meshkeep serve --data-dir {dir}\n\n\
         and in another shell:\n\n    \
         export MESHAGENT_API_URL=http://{listen}\n    \
         export MESHAGENT_PROJECT_ID={project}\n    \
         read -rs MESHAGENT_API_KEY && export MESHAGENT_API_KEY    # paste the key\n    \
         meshkeep secret list",
        dir = args.data_dir.display(),
        name = made.project_name,
        project = made.project_id,
        key_file = key_file.display(),
        key = made.api_key.expose(),
        listen = crate::config::DEFAULT_LISTEN,
    );
}
