//! Lines that a feeder turns into records.
//!
//! Owns reading of files and standard input with a bound on a line's length. Invariant: a line is given
//! without its end (`\n` or `\r\n`), as bytes, whatever they are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use super::generator::AccessLog;
use crate::config::{Feed, FeedFrom};

/// Where lines come from.
pub trait Lines: Send {
    /// Puts the next line in place of what the buffer holds; `false` at the end.
    ///
    /// # Errors
    /// When it can't be read, or is longer than [`LINE_BYTES_MAX`] (`InvalidData`).
    fn next_line(&mut self, line: &mut Vec<u8>) -> io::Result<bool>;
}

/// Longest line: what the embedded broker takes as one record, less the room for its envelope.
pub const LINE_BYTES_MAX: usize = 900_000;

/// First time in the generator's lines when none is given: 2026-01-01T00:00:00Z. A fixed one, so that a
/// seed gives the same bytes on every day.
const GENERATED_FROM_MS: i64 = 1_767_225_600_000;

/// Opens what a feed names.
///
/// # Errors
/// When the file can't be opened.
pub fn open(feed: &Feed) -> io::Result<Box<dyn Lines>> {
    Ok(match &feed.from {
        FeedFrom::File(path) => Box::new(ReaderLines::new(BufReader::new(File::open(path)?))),
        FeedFrom::Standard => Box::new(ReaderLines::new(BufReader::new(io::stdin()))),
        FeedFrom::AccessLog => Box::new(AccessLog::new(feed.seed, GENERATED_FROM_MS)),
    })
}

/// How a feed is named in messages: its path, `-` or `access-log`.
#[must_use]
pub fn name(feed: &Feed) -> String {
    match &feed.from {
        FeedFrom::File(path) => path.display().to_string(),
        FeedFrom::Standard => String::from("-"),
        FeedFrom::AccessLog => String::from("access-log"),
    }
}

/// The lines of a reader.
#[derive(Debug)]
pub struct ReaderLines<R> {
    reader: R,
}

impl<R: BufRead + Send> ReaderLines<R> {
    /// Reads from here on.
    pub fn new(reader: R) -> Self {
        Self { reader }
    }
}

impl<R: BufRead + Send> Lines for ReaderLines<R> {
    fn next_line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        let bound = LINE_BYTES_MAX as u64 + 2;
        if self.reader.by_ref().take(bound).read_until(b'\n', line)? == 0 {
            return Ok(false);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        if line.len() > LINE_BYTES_MAX {
            let message = format!("a line has more than {LINE_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = ReaderLines::new(text);
        let (mut line, mut all) = (Vec::new(), Vec::new());
        while lines.next_line(&mut line).expect("memory can be read") {
            all.push(line.clone());
        }
        all
    }

    #[test]
    fn lines_come_without_their_ends_and_the_last_needs_none() {
        assert_eq!(all(b"a\r\n\n\xffb\nc"), [&b"a"[..], b"", b"\xffb", b"c"]);
        assert!(all(b"").is_empty());
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_the_memory() {
        let longest = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(all(&longest)[0].len(), LINE_BYTES_MAX);
        let endless = vec![b'x'; LINE_BYTES_MAX * 3];
        let mut line = Vec::new();
        let error = ReaderLines::new(&endless[..]).next_line(&mut line).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
