//! Where values come from: a file, standard input, a hidden prompt; never an argument.
//!
//! What must stay true: no value is kept in a buffer that is not wiped, and no error repeats one.

mod entries;
mod manifest;
mod password;
mod terminal;

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use meshkeep_core::SecretText;
use zeroize::{Zeroize as _, Zeroizing};

pub use entries::{EntryArgs, SaidEntries};
pub use manifest::ManifestArgs;
pub use password::{JsonKeyArgs, PasswordArgs};
pub use terminal::Terminal;

use crate::failure::Failure;

/// Bytes of a file or of standard input at most.
const MAX_BYTES: usize = 1 << 20;

/// The whole text of a file; `-` is standard input.
fn text(path: &Path) -> Result<SecretText, Failure> {
    let unreadable = |error: &io::Error| Failure::usage(format!("{} cannot be read: {error}", path.display()));
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
    let bound = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX) + 1;
    let read = if path == Path::new("-") {
        io::stdin().lock().take(bound).read_to_end(&mut bytes)
    } else {
        File::open(path).map_err(|error| unreadable(&error))?.take(bound).read_to_end(&mut bytes)
    };
    read.map_err(|error| unreadable(&error))?;
    if bytes.len() > MAX_BYTES {
        return Err(Failure::usage(format!("{} holds more than 1 MiB", path.display())));
    }
    // Only as large as it is: the wide buffer is wiped.
    let mut exact = Vec::with_capacity(bytes.len());
    exact.extend_from_slice(&bytes);
    String::from_utf8(exact).map(SecretText::new).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        error.into_bytes().zeroize();
        Failure::usage(format!("{} is not UTF-8 text (byte {place})", path.display()))
            .hint("a variable of a service is text; encode binary data first, for example with base64")
    })
}

/// Whether a path reads standard input, which can be read only once.
fn is_stdin(path: &Path) -> bool {
    [Path::new("-"), Path::new("/dev/stdin"), Path::new("/dev/fd/0")].contains(&path)
}

/// Refuses an option of the public client that carries values.
fn refuse_argument(given: Option<&[OsString]>, option: &str, instead: &str) -> Result<(), Failure> {
    match given {
        None => Ok(()),
        Some(_) => Err(Failure::usage(format!(
            "`{option}` is not taken: values never come from arguments, where other programs and the shell's history \
             keep them"
        ))
        .hint(format!("use {instead}"))),
    }
}
