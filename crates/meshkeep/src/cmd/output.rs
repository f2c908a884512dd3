//! What commands print: sentences and tables for people, one JSON document for programs.
//!
//! What must stay true: nothing that others wrote moves the cursor; a reader that has gone is no failure.

use std::io::{self, Write};

use meshkeep_core::{Clock as _, Timestamp, clock::SystemClock};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure, one_line};

/// Standard output, in one of the two forms.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    json: bool,
}

impl Out {
    /// Prints JSON, or text for people.
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints `value` as JSON, or what `text` makes of it.
    pub fn show<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        if !self.json {
            // It may be a key or a value that is shown once.
            let text = Zeroizing::new(text(value));
            return write(text.trim_end().as_bytes()).and_then(|()| write(b"\n"));
        }
        let mut document = Zeroizing::new(Vec::new());
        serde_json::to_writer_pretty(&mut *document, value)
            .map_err(|_| Failure::new(Exit::Broken, "the answer could not be written as JSON"))?;
        document.push(b'\n');
        write(&document)
    }

    /// Prints that something was done: a sentence, or a small JSON object.
    pub fn did(self, verb: &str, id: &str, sentence: &str) -> Result<(), Failure> {
        self.show(&serde_json::json!({ verb: id }), |_| sentence.to_owned())
    }

    /// Whether programs read it.
    pub const fn is_json(self) -> bool {
        self.json
    }
}

/// Prints bytes as they are, at once.
pub fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::reader_gone(),
        _ => Failure::new(Exit::Host, format!("the output cannot be written: {error}")),
    })
}

/// Says something beside the output, on standard error.
pub fn note(text: &str) {
    // A note that nobody can read is no reason to fail.
    let _ = writeln!(io::stderr(), "{}", one_line(text));
}

/// Aligned columns under a head.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
    empty: &'static str,
}

impl Table {
    /// A table that says `empty` when no row is added.
    pub fn new<const N: usize>(head: [&str; N], empty: &'static str) -> Self {
        Self { rows: vec![head.map(str::to_owned).to_vec()], empty }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { one_line(&cell) }).to_vec());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.rows.len() == 1 {
            return writeln!(f, "{}", self.empty);
        }
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<_> = (0..columns).map(width).collect();
        for row in &self.rows {
            let cells: Vec<_> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// How long ago, in the largest unit that fits.
pub fn age(then: Timestamp) -> String {
    span((SystemClock.now().as_millis() - then.as_millis()) / 1000)
}

/// The same as part of a sentence.
pub fn ago(then: Timestamp) -> String {
    match age(then).as_str() {
        "now" => "just now".to_owned(),
        span => format!("{span} ago"),
    }
}

fn span(seconds: i64) -> String {
    match seconds {
        ..=0 => "now".to_owned(),
        1..=99 => format!("{seconds} s"),
        100..=5_999 => format!("{} min", seconds / 60),
        6_000..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_moves_the_cursor() {
        let mut table = Table::new(["NAME", "KIND"], "nothing");
        assert_eq!(table.to_string(), "nothing\n");
        table.row(["a-long-name".to_owned(), String::new()]);
        table.row(["é\x1b[2J".to_owned(), "b\nc".to_owned()]);
        assert_eq!(table.to_string(), "NAME         KIND\na-long-name  -\né\u{fffd}[2J        b c\n");
    }

    #[test]
    fn times_and_sizes_are_short() {
        let texts = [-5, 7, 150, 7_200, 400_000].map(span);
        assert_eq!(texts, ["now", "7 s", "2 min", "2 h", "4 d"]);
        assert_eq!([0, 1023, 1536, 5 << 20, 3 << 30].map(size), ["0 B", "1023 B", "1.5 KiB", "5.0 MiB", "3.0 GiB"]);
    }
}
