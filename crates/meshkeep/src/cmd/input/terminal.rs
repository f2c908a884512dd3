//! Asking a person: a visible line, or a hidden one.
//!
//! A hidden line is read byte by byte without the terminal's own line editing, which would cut it at 4,095 bytes; the
//! terminal is put back on every way out, Ctrl-C included.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, IsTerminal as _, Write as _},
};

use meshkeep_core::SecretText;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::{Zeroize as _, Zeroizing};

use crate::failure::{Exit, Failure};

/// Bytes of a hidden line at most: the kernel's bound of one variable.
const MAX_LINE: usize = 131_072;

/// The person's terminal.
#[derive(Debug)]
pub struct Terminal(File);

impl Terminal {
    /// The terminal of this process, when a person sits at standard input.
    ///
    /// # Errors
    /// When nobody can be asked.
    pub fn open() -> Result<Self, Failure> {
        let nobody = || {
            Failure::usage("there is no terminal to ask on")
                .hint("use --from-file, --from-env-file or --password-stdin instead")
        };
        if !io::stdin().is_terminal() {
            return Err(nobody());
        }
        OpenOptions::new().read(true).write(true).open("/dev/tty").map(Self).map_err(|_| nobody())
    }

    /// Says something without a question.
    pub fn say(&self, text: &str) {
        // What cannot be said on the terminal cannot be said at all.
        let _ = writeln!(&self.0, "{text}");
    }

    /// Asks for a line that may be seen.
    ///
    /// # Errors
    /// When the terminal went away.
    pub fn line(&self, question: &str) -> Result<String, Failure> {
        let mut line = String::new();
        self.prompt(question)
            .and_then(|()| BufReader::new(&self.0).read_line(&mut line))
            .map_err(|error| gone(&error))?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Asks for a line that must not be seen.
    ///
    /// # Errors
    /// When the person cancels, the line is too long, or the terminal went away.
    pub fn hidden(&self, question: &str) -> Result<SecretText, Failure> {
        let quiet = Quiet::new(&self.0).map_err(|error| gone(&error))?;
        self.prompt(question).map_err(|error| gone(&error))?;
        let line = read_line(&mut &self.0);
        drop(quiet);
        self.say("");
        line
    }

    fn prompt(&self, question: &str) -> io::Result<()> {
        (&self.0).write_all(question.as_bytes())?;
        (&self.0).flush()
    }
}

/// The terminal without echo, line editing and signals, while this lives.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn new(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        // What was typed or pasted before the question is no answer to it.
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // Flushing drops the rest of a paste that had several lines: it is no answer to the next question.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// One line with the few keys that a hidden line needs.
fn read_line(terminal: &mut impl io::Read) -> Result<SecretText, Failure> {
    const CTRL_C: u8 = 0x03;
    const CTRL_D: u8 = 0x04;
    const CTRL_U: u8 = 0x15;
    let cancelled = || Failure::usage("cancelled; nothing was saved");
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE));
    let mut byte = [0];
    // Byte by byte: what follows the line is not this question's.
    while terminal.read(&mut byte).map_err(|error| gone(&error))? > 0 {
        match byte[0] {
            b'\r' | b'\n' => return finished(&line),
            CTRL_C => return Err(cancelled()),
            CTRL_D if line.is_empty() => return Err(cancelled()),
            CTRL_D => return finished(&line),
            CTRL_U => line.zeroize(),
            0x08 | 0x7f => erase(&mut line),
            _ if line.len() == MAX_LINE => {
                return Err(Failure::usage(format!("the value has more than {MAX_LINE} bytes"))
                    .hint("no variable of a program can be as large"));
            }
            byte => line.push(byte),
        }
    }
    Err(cancelled())
}

/// The last character, all its bytes.
fn erase(line: &mut Vec<u8>) {
    while line.pop().is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000) {}
}

fn finished(line: &[u8]) -> Result<SecretText, Failure> {
    std::str::from_utf8(line)
        .map(SecretText::from)
        .map_err(|_| Failure::usage("what was typed is not UTF-8 text").hint("check the terminal's locale"))
}

fn gone(error: &io::Error) -> Failure {
    Failure::new(Exit::Host, format!("the terminal went away: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &str) -> Result<String, String> {
        read_line(&mut keys.as_bytes()).map(|line| line.expose().to_owned()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_hidden_line_ends_at_enter_and_can_be_corrected() {
        assert_eq!(typed("pass word \r\nrest").unwrap(), "pass word ");
        assert_eq!(typed("hé\x7f\x7foi\x08\n").unwrap(), "o");
        assert_eq!(typed("wrong\x15right\n").unwrap(), "right");
        assert_eq!(typed("\n").unwrap(), "");
        assert_eq!(typed("x\x04").unwrap(), "x");
    }

    #[test]
    fn it_can_be_cancelled() {
        for keys in ["half\x03", "\x04", "half"] {
            let said = typed(keys).unwrap_err();
            assert!(said.contains("nothing was saved") && !said.contains("half"), "{said}");
        }
        assert!(typed(&format!("{}\n", "x".repeat(MAX_LINE + 1))).unwrap_err().contains("131072"));
    }
}
