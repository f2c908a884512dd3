//! The entries of a secret key, from all the places that one command names.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use meshkeep_core::{SecretText, dotenv, name::EntryName};

use super::{is_stdin, refuse_argument, terminal::Terminal, text};
use crate::failure::Failure;

/// Where the entries' values come from.
#[derive(Debug, clap::Args)]
pub struct EntryArgs {
    /// An entry whose value is a file, byte for byte (`-` is standard input); may be given several times
    #[arg(long, value_name = "ENTRY=PATH")]
    from_file: Vec<String>,

    /// All entries of a .env file (`-` is standard input); may be given several times
    #[arg(long, value_name = "PATH")]
    from_env_file: Vec<PathBuf>,

    /// The public client's way: refused
    #[arg(long, hide = true, num_args = 0.., allow_hyphen_values = true)]
    data: Option<Vec<OsString>>,
}

/// Entries by name, as the wire wants them.
pub type SaidEntries = BTreeMap<String, SecretText>;

impl EntryArgs {
    /// Reads all that is named, and asks on the terminal for each of `asked`.
    ///
    /// # Errors
    /// A usage failure that names the entry, file and line.
    pub fn read(&self, asked: &[String]) -> Result<SaidEntries, Failure> {
        refuse_argument(
            self.data.as_deref(),
            "--data",
            "--from-file, --from-env-file, or name an entry to be asked for it",
        )?;
        self.refuse_second_stdin()?;
        let mut entries = Gathered::default();
        for path in &self.from_env_file {
            for entry in env_file(path)? {
                entries.add(entry.name, entry.value)?;
            }
        }
        for pair in &self.from_file {
            let (name, path) = pair.split_once('=').ok_or_else(|| {
                Failure::usage("`--from-file` takes ENTRY=PATH").hint("such as --from-file TLS_KEY=./tls.key")
            })?;
            entries.add(entry_name(name)?, text(Path::new(path))?)?;
        }
        let asked = asked.iter().map(|word| asked_name(word)).collect::<Result<Vec<_>, _>>()?;
        if !asked.is_empty() {
            let terminal = Terminal::open()?;
            for name in asked {
                let value = terminal.hidden(&format!("{name}: "))?;
                entries.add(name, value)?;
            }
        }
        Ok(entries.0)
    }

    /// Asks on the terminal for names and values until an empty name.
    ///
    /// # Errors
    /// Without a terminal: which options there are.
    pub fn ask_for_all() -> Result<SaidEntries, Failure> {
        let terminal = Terminal::open().map_err(|_| {
            Failure::usage("no entries are given")
                .hint("use --from-env-file PATH or --from-file ENTRY=PATH; on a terminal they are asked for")
        })?;
        let mut entries = Gathered::default();
        loop {
            let word = terminal.line("Entry (empty to end): ")?;
            if word.trim().is_empty() {
                return Ok(entries.0);
            }
            match asked_name(word.trim()) {
                Ok(name) => {
                    let value = terminal.hidden(&format!("{name}: "))?;
                    entries.add(name, value)?;
                }
                Err(failure) => terminal.say(&failure.to_string()),
            }
        }
    }

    fn refuse_second_stdin(&self) -> Result<(), Failure> {
        let files = self.from_file.iter().filter_map(|pair| pair.split_once('=')).map(|(_, path)| Path::new(path));
        let readers =
            files.chain(self.from_env_file.iter().map(PathBuf::as_path)).filter(|path| is_stdin(path)).count();
        if readers > 1 {
            return Err(Failure::usage("standard input can be read only once").hint("use files for the others"));
        }
        Ok(())
    }
}

#[derive(Default)]
struct Gathered(SaidEntries);

impl Gathered {
    fn add(&mut self, name: EntryName, value: SecretText) -> Result<(), Failure> {
        match self.0.insert(name.to_string(), value) {
            None => Ok(()),
            Some(_) => Err(Failure::usage(format!("{name} is given twice")).hint("give each entry once")),
        }
    }
}

fn env_file(path: &Path) -> Result<Vec<dotenv::Entry>, Failure> {
    let text = text(path)?;
    dotenv::parse(text.expose()).map_err(|error| {
        Failure::usage(format!("{}: {error}", path.display()))
            .hint("nothing was saved; `meshkeep secret keys create --help` states the grammar")
    })
}

fn entry_name(word: &str) -> Result<EntryName, Failure> {
    word.parse().map_err(|why| Failure::usage(format!("the name of an entry {why}")))
}

/// An argument that is to be a bare name; `NAME=value` is told apart without repeating it.
fn asked_name(word: &str) -> Result<EntryName, Failure> {
    if word.contains('=') {
        return Err(Failure::usage("an entry is given by its name alone: values never come from arguments")
            .hint("leave out `=` and what follows to be asked for the value, or use --from-file or --from-env-file"));
    }
    entry_name(word)
}
