//! A registry's password or token.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use meshkeep_core::SecretText;

use super::{refuse_argument, terminal::Terminal, text};
use crate::failure::Failure;

/// Where the password comes from; asked for on a terminal when nothing is said.
#[derive(Debug, clap::Args)]
pub struct PasswordArgs {
    /// Read the password or token from standard input; line ends at its end are not part of it
    #[arg(long, conflicts_with = "password_file")]
    password_stdin: bool,

    /// Read the password or token from a file; line ends at its end are not part of it
    #[arg(long, value_name = "PATH")]
    password_file: Option<PathBuf>,

    /// The public client's way: refused
    #[arg(long, hide = true, num_args = 0.., allow_hyphen_values = true)]
    password: Option<Vec<OsString>>,
}

impl PasswordArgs {
    /// Reads it from the place that is named.
    ///
    /// # Errors
    /// When it cannot be read, or is empty.
    pub fn read(&self) -> Result<Option<SecretText>, Failure> {
        refuse_argument(self.password.as_deref(), "--password", "--password-stdin or --password-file")?;
        let path = match &self.password_file {
            Some(path) => path.as_path(),
            None if self.password_stdin => Path::new("-"),
            None => return Ok(None),
        };
        not_empty(&text(path)?).map(Some)
    }

    /// The same, or asks.
    ///
    /// # Errors
    /// Without a terminal: which options there are.
    pub fn read_or_ask(&self) -> Result<SecretText, Failure> {
        match self.read()? {
            Some(password) => Ok(password),
            None => {
                let terminal = Terminal::open().map_err(|_| {
                    Failure::usage("no password is given")
                        .hint("use --password-stdin or --password-file; on a terminal it is asked for")
                })?;
                not_empty(&terminal.hidden("Password or token: ")?)
            }
        }
    }
}

/// A key file of Google's, which is a password there.
#[derive(Debug, clap::Args)]
pub struct JsonKeyArgs {
    /// The JSON key file of a service account (`-` is standard input)
    #[arg(long, value_name = "PATH")]
    json_key: Option<PathBuf>,
}

impl JsonKeyArgs {
    /// Reads it.
    ///
    /// # Errors
    /// When it is no JSON object, or stands in the arguments itself.
    pub fn read(&self) -> Result<Option<SecretText>, Failure> {
        let Some(path) = &self.json_key else { return Ok(None) };
        let said = path.to_string_lossy();
        let is_the_key = said.trim_start().starts_with('{');
        refuse_argument(
            is_the_key.then_some(&[]),
            "--json-key {…}",
            "--json-key PATH, or `--json-key -` for standard input",
        )?;
        let key = text(path)?;
        let is_object = key.expose().trim_start().starts_with('{');
        if !is_object || serde_json::from_str::<serde::de::IgnoredAny>(key.expose()).is_err() {
            return Err(Failure::usage(format!("{} is not the JSON key of a service account", path.display()))
                .hint("give the file that was downloaded when the key was made"));
        }
        not_empty(&key).map(Some)
    }
}

fn not_empty(text: &SecretText) -> Result<SecretText, Failure> {
    match text.expose().trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::usage("the password is empty")),
        trimmed => Ok(trimmed.into()),
    }
}
