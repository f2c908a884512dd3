//! One stream of output on its way through the redactor.

use std::sync::Arc;

use meshkeep_core::{SecretText, secret::REDACTED};
use zeroize::Zeroizing;

use super::{forms::SHORTEST, patterns::Patterns};

/// Redacts one stream of bytes. A clone is for another stream: it shares the patterns and holds nothing yet.
pub struct Redactor {
    patterns: Arc<Patterns>,
    /// Input from the first byte on that may still turn out to be in a pattern.
    held: Zeroizing<Vec<u8>>,
    run: Run,
}

/// Where the current run of redacted bytes stands.
#[derive(Clone, Copy, Default)]
struct Run {
    /// How many of the coming bytes are in it.
    ahead: usize,
    /// Whether the last byte that was decided is in it, so that what touches it needs no new mark.
    open: bool,
}

impl Redactor {
    /// A redactor for these values. Those under six bytes are left alone.
    pub fn new(values: impl IntoIterator<Item = SecretText>) -> Self {
        Self { patterns: Arc::new(Patterns::new(values)), held: Zeroizing::default(), run: Run::default() }
    }

    /// Takes more input and appends to `out` what is decided: all of it but for an end that may be the start of a
    /// pattern.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        if self.patterns.is_empty() {
            out.extend_from_slice(input);
        } else if self.held.is_empty() {
            let undecided = self.decide(input, false, out);
            replace(&mut self.held, &input[undecided..], &[]);
        } else {
            let mut all = Zeroizing::default();
            replace(&mut all, &self.held, input);
            let undecided = self.decide(&all, false, out);
            replace(&mut self.held, &all[undecided..], &[]);
        }
    }

    /// Appends what is held to `out`: no more input comes. A pattern that was begun is redacted as far as it came, if
    /// that is six bytes or more: a service that is killed while it writes shows no part of a value.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        self.decide(&held, true, out);
        self.run = Run::default();
    }

    /// How many bytes are held back.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Writes the decided part of `input` to `out`; answers where the undecided part begins.
    fn decide(&mut self, input: &[u8], last: bool, out: &mut Vec<u8>) -> usize {
        let mut writer = Writer { input, out, at: 0, covered: self.run.ahead, open: self.run.open };
        let mut undecided = input.len();
        let mut at = 0;
        while let Some(start) = self.patterns.candidate(input, at) {
            let beginning = self.patterns.begins(&input[start..]);
            if beginning.unfinished && !last {
                undecided = start;
                break;
            }
            if beginning.unfinished {
                writer.cover(start, input.len());
            } else if beginning.full > 0 {
                writer.cover(start, start + beginning.full);
            }
            at = start + 1;
        }
        if undecided == input.len() && !last {
            let tail = input.len().saturating_sub(SHORTEST - 1);
            undecided = (tail..input.len())
                .find(|&start| self.patterns.begins(&input[start..]).unfinished)
                .unwrap_or(undecided);
        }
        writer.finish(undecided);
        self.run = Run { ahead: writer.covered.saturating_sub(undecided), open: writer.open };
        undecided
    }
}

impl Clone for Redactor {
    fn clone(&self) -> Self {
        Self { patterns: Arc::clone(&self.patterns), held: Zeroizing::default(), run: Run::default() }
    }
}

struct Writer<'a> {
    input: &'a [u8],
    out: &'a mut Vec<u8>,
    /// Everything before is written or replaced.
    at: usize,
    /// Everything from `at` to here is to be replaced.
    covered: usize,
    /// Whether the byte before `at` was replaced.
    open: bool,
}

impl Writer<'_> {
    /// Notes an occurrence; the starts come in ascending order.
    fn cover(&mut self, start: usize, end: usize) {
        if start > self.covered {
            self.finish(start);
        }
        self.covered = self.covered.max(end);
    }

    /// Writes everything up to `end`, of which no more occurrence will be noted.
    fn finish(&mut self, end: usize) {
        let covered = self.covered.min(end);
        if covered > self.at {
            if !self.open {
                self.out.extend_from_slice(REDACTED.as_bytes());
            }
            self.open = true;
            self.at = covered;
        }
        if end > self.at {
            self.out.extend_from_slice(&self.input[self.at..end]);
            self.open = false;
            self.at = end;
        }
    }
}

/// Makes `buffer` hold `first` and `second`, without growing in place, which would leave copies behind.
fn replace(buffer: &mut Zeroizing<Vec<u8>>, first: &[u8], second: &[u8]) {
    let mut fresh = Zeroizing::new(Vec::with_capacity(first.len() + second.len()));
    fresh.extend_from_slice(first);
    fresh.extend_from_slice(second);
    *buffer = fresh;
}
