//! What the container prints, from its two pipes into its log.

use std::{
    fs::File,
    io::{self, Read},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::log::{LogFiles, LogStream};

/// How long a stream may stay open after the last process is gone.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Bytes taken from a stream at once.
const CHUNK: usize = 32 << 10;

/// The container's two streams and their log.
pub(super) struct Output {
    /// Standard output and standard error.
    pub streams: [LogStream; 2],
    /// Where both go.
    pub log: LogFiles,
}

impl Output {
    /// Takes what is there from one stream; the pipe is `None` when it has ended.
    pub(super) fn pump(&mut self, number: usize, pipe: &mut Option<File>) -> io::Result<()> {
        let Some(open) = pipe else { return Ok(()) };
        let mut chunk = [0; CHUNK];
        match open.read(&mut chunk) {
            Ok(0) => {
                *pipe = None;
                self.streams[number].end(&mut self.log);
            }
            Ok(length) => self.streams[number].push(&chunk[..length], &mut self.log),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The container has ended: what is still in the pipes.
    pub(super) fn last_words(&mut self, pipes: &mut [Option<File>; 2]) -> io::Result<()> {
        let until = Instant::now() + LAST_WORDS;
        for (number, pipe) in pipes.iter_mut().enumerate() {
            while let Some(open) = pipe {
                let left = until.saturating_duration_since(Instant::now());
                let mut fds = [PollFd::new(open, PollFlags::IN)];
                wait(&mut fds, Some(left))?;
                if fds[0].revents().is_empty() {
                    break;
                }
                self.pump(number, pipe)?;
            }
            if pipe.is_some() {
                self.streams[number].end(&mut self.log);
            }
        }
        Ok(())
    }
}

/// Waits until something can be read, or the time is over.
pub(super) fn wait(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(timeout.subsec_nanos()),
    });
    match poll(fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use meshkeep_core::SecretText;
    use proptest::{prelude::*, sample::Index};
    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;
    use crate::{
        embedded::files::LOG,
        redact::{Redactor, fuzz::plainly},
    };

    /// Values that overlap, of which one begins another, and one of several lines.
    fn values() -> Vec<String> {
        let values =
            ["abcabcab", "abcabcabcd-and-more", "bcd-and-more", "first line\nsecond \"line\"\nthird", "%+/=é$'\\x"];
        let long = "0123456789abcdef".repeat(400);
        values.into_iter().map(str::to_owned).chain([long]).collect()
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let value =
            (proptest::sample::select(values()), any::<Index>(), any::<Index>()).prop_map(|(value, one, other)| {
                let bytes = value.into_bytes();
                let ends = [one.index(bytes.len() + 1), other.index(bytes.len() + 1)];
                // Mostly whole, and else any part of it.
                if one.index(3) > 0 { bytes } else { bytes[ends[0].min(ends[1])..ends[0].max(ends[1])].to_vec() }
            });
        let piece = prop_oneof![3 => value, 1 => "[abc\n -]{0,5}".prop_map(String::into_bytes)];
        proptest::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// The service is killed after `end` bytes; between its writes the supervisor finds nothing to read, or one
        /// piece, or several at once.
        #[test]
        fn the_log_shows_nothing_of_a_value_however_writes_and_reads_are_split(
            text in text(), end in any::<Index>(), cuts in proptest::collection::vec((any::<Index>(), 0..3_u8), 0..30),
        ) {
            let text = &text[..text.len() - end.index(text.len() / 4 + 1)];
            let values = values();
            let dir = tempfile::tempdir().unwrap();
            let log = LogFiles::open(File::open(dir.path()).unwrap().into(), 1 << 20).unwrap();
            let redactor = Redactor::new(values.iter().map(|value| SecretText::from(value.as_str())));
            let mut output = Output { streams: [LogStream::new(redactor.clone()), LogStream::new(redactor)], log };
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
            let (mut pipes, mut writer) = ([Some(File::from(reader)), None], File::from(writer));
            let mut cuts: Vec<_> = cuts.into_iter().map(|(cut, reads)| (cut.index(text.len() + 1), reads)).collect();
            cuts.sort_unstable();
            let mut at = 0;
            for (cut, reads) in cuts {
                writer.write_all(&text[at..cut]).unwrap();
                at = cut;
                for _ in 0..reads {
                    output.pump(0, &mut pipes[0]).unwrap();
                }
            }
            output.pump(0, &mut pipes[0]).unwrap();
            writer.write_all(&text[at..]).unwrap();
            drop(writer);
            output.last_words(&mut pipes).unwrap();
            let mut expected = plainly(&values, text);
            if !expected.is_empty() && !expected.ends_with(b"\n") {
                expected.push(b'\n');
            }
            let shown = fs::read(dir.path().join(LOG)).unwrap();
            prop_assert_eq!(String::from_utf8_lossy(&shown), String::from_utf8_lossy(&expected));
        }
    }
}
