//! What a plugin says: the `log` import, and its output and error streams, line by line into the log.
//!
//! Owns the bounds: lines a second, bytes a line, the tail that is kept for a dead letter. Invariant: a
//! plugin that floods its log costs a bounded number of events, and what is left out is counted and
//! said.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::Level;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::clock;

/// A line longer than this is cut.
const LINE_BYTES_MAX: usize = 4 * 1024;
/// What is kept of a call's lines for the dead letters of the call.
const TAIL_BYTES_MAX: usize = 4 * 1024;
/// What a guest may write to a stream before it asks again.
const STREAM_PERMIT_BYTES: usize = 64 * 1024;

/// Whose lines they are.
#[derive(Debug, Default)]
pub(super) struct Identity {
    pub(super) pipeline: String,
    pub(super) transform: String,
    pub(super) topic: Option<Arc<str>>,
    pub(super) partition: Option<i32>,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Log,
    Stdout,
    Stderr,
}

impl Origin {
    fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The lines of one instance, shared with its streams.
#[derive(Clone, Debug)]
pub(super) struct Output(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    identity: Arc<Identity>,
    /// Events in a second.
    lines_max: u32,
    /// Stdout's and stderr's unfinished lines.
    open: [Vec<u8>; 2],
    tail: String,
    window_start_ms: i64,
    window_lines: u32,
    left_out: u64,
}

impl Output {
    pub(super) fn new(identity: Arc<Identity>, lines_max: u32) -> Self {
        Self(Arc::new(Mutex::new(Lines {
            identity,
            lines_max,
            open: [Vec::new(), Vec::new()],
            tail: String::new(),
            window_start_ms: i64::MIN,
            window_lines: 0,
            left_out: 0,
        })))
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        // The lines are whole after every statement, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line of the `log` import.
    pub(super) fn line(&self, level: Level, text: &str) {
        self.lines().line(Origin::Log, level, text, clock::now_ms());
    }

    /// Forgets the tail: what is kept belongs to one call.
    pub(super) fn begin_call(&self) {
        self.lines().tail.clear();
    }

    /// Ends unfinished lines and says what was left out.
    pub(super) fn end_call(&self) {
        let mut lines = self.lines();
        let now_ms = clock::now_ms();
        for origin in [Origin::Stdout, Origin::Stderr] {
            lines.finish(origin, now_ms);
        }
        if lines.window_is_over(now_ms) {
            lines.open_window(now_ms);
        }
    }

    /// The last lines of the call.
    pub(super) fn tail(&self) -> String {
        self.lines().tail.trim_end().to_owned()
    }

    /// A stream that ends here.
    pub(super) fn stream(&self, origin: Origin) -> Box<dyn OutputStream> {
        Box::new(Stream { output: self.clone(), origin })
    }
}

impl Lines {
    fn line(&mut self, origin: Origin, level: Level, text: &str, now_ms: i64) {
        let text = cut(text, LINE_BYTES_MAX);
        self.keep(text);
        if self.window_is_over(now_ms) {
            self.open_window(now_ms);
        }
        if self.window_lines >= self.lines_max {
            self.left_out += 1;
            return;
        }
        self.window_lines += 1;
        self.event(level, origin.name(), text);
    }

    fn keep(&mut self, text: &str) {
        self.tail.push_str(text);
        self.tail.push('\n');
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES_MAX);
        if surplus > 0 {
            let first = self.tail.ceil_char_boundary(surplus);
            self.tail.drain(..first);
        }
    }

    fn write(&mut self, origin: Origin, bytes: &[u8], now_ms: i64) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.extend(origin, &rest[..end]);
            self.finish(origin, now_ms);
            rest = &rest[end + 1..];
        }
        self.extend(origin, rest);
    }

    fn open_line(&mut self, origin: Origin) -> &mut Vec<u8> {
        &mut self.open[usize::from(origin == Origin::Stderr)]
    }

    fn extend(&mut self, origin: Origin, bytes: &[u8]) {
        let line = self.open_line(origin);
        let room = LINE_BYTES_MAX.saturating_sub(line.len());
        line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn finish(&mut self, origin: Origin, now_ms: i64) {
        let line = std::mem::take(self.open_line(origin));
        if line.is_empty() {
            return;
        }
        let level = if origin == Origin::Stderr { Level::WARN } else { Level::INFO };
        self.line(origin, level, &String::from_utf8_lossy(&line), now_ms);
    }

    fn window_is_over(&self, now_ms: i64) -> bool {
        // A clock that was set back opens a window too, or a plugin would be silenced until it is even.
        now_ms < self.window_start_ms || now_ms.saturating_sub(self.window_start_ms) >= 1000
    }

    fn open_window(&mut self, now_ms: i64) {
        self.window_start_ms = now_ms;
        self.window_lines = 0;
        self.say_left_out();
    }

    fn say_left_out(&mut self) {
        let lines = std::mem::take(&mut self.left_out);
        if lines == 0 {
            return;
        }
        let Identity { pipeline, transform, topic, partition } = &*self.identity;
        let topic = topic.as_deref();
        tracing::warn!(pipeline, transform, topic, partition, lines, "lines of the plugin were left out");
    }

    fn event(&self, level: Level, stream: &'static str, text: &str) {
        let Identity { pipeline, transform, topic, partition } = &*self.identity;
        let topic = topic.as_deref();
        macro_rules! event {
            ($level:expr) => {
                tracing::event!($level, pipeline, transform, topic, partition, stream, text, "plugin says")
            };
        }
        match level {
            Level::ERROR => event!(Level::ERROR),
            Level::WARN => event!(Level::WARN),
            Level::INFO => event!(Level::INFO),
            Level::DEBUG => event!(Level::DEBUG),
            _ => event!(Level::TRACE),
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.say_left_out();
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

struct Stream {
    output: Output,
    origin: Origin,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.output.lines().write(self.origin, &bytes, clock::now_ms());
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(STREAM_PERMIT_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: u32 = 100;

    fn output() -> Output {
        Output::new(Arc::new(Identity::default()), LINES)
    }

    #[test]
    fn a_second_takes_so_many_lines_and_counts_the_rest() {
        let output = output();
        let mut lines = output.lines();
        for _ in 0..LINES + 7 {
            lines.line(Origin::Log, Level::INFO, "x", 5_000);
        }
        assert_eq!((lines.window_lines, lines.left_out), (LINES, 7));
        lines.line(Origin::Log, Level::INFO, "x", 6_000);
        assert_eq!((lines.window_lines, lines.left_out), (1, 0));
    }

    #[test]
    fn a_clock_set_back_does_not_silence_a_plugin() {
        let output = output();
        let mut lines = output.lines();
        for _ in 0..LINES {
            lines.line(Origin::Log, Level::INFO, "x", 5_000);
        }
        lines.line(Origin::Log, Level::INFO, "x", 4_000);
        assert_eq!((lines.window_lines, lines.left_out), (1, 0));
    }

    #[test]
    fn the_tail_keeps_the_last_lines_whole_characters_only() {
        let output = output();
        for number in 0..2_000 {
            output.line(Level::INFO, &format!("ä{number}"));
        }
        let tail = output.tail();
        assert!(tail.len() <= TAIL_BYTES_MAX);
        assert!(tail.ends_with("ä1998\nä1999"));
        output.begin_call();
        assert_eq!(output.tail(), "");
    }

    #[test]
    fn a_stream_is_cut_into_lines_and_a_long_line_is_cut_off() {
        let output = output();
        let mut lines = output.lines();
        lines.write(Origin::Stderr, b"one\ntw", 0);
        lines.write(Origin::Stderr, b"o\nthree", 0);
        assert_eq!(lines.tail, "one\ntwo\n");
        lines.finish(Origin::Stderr, 0);
        assert_eq!(lines.tail, "one\ntwo\nthree\n");
        lines.write(Origin::Stdout, &[b'x'; LINE_BYTES_MAX + 10], 0);
        assert_eq!(lines.open_line(Origin::Stdout).len(), LINE_BYTES_MAX);
    }
}
