//! What is wrong with a configuration, all of it, with places.
//!
//! Invariant: a problem shows text as it is written in the file, never what `${}` became, and nothing of
//! a value that may be a secret.

use std::cell::RefCell;
use std::fmt;

/// Problems that are shown; a file with more has one cause, and a screen holds no more.
const SHOWN: usize = 50;

/// Why a configuration is refused: every problem that was found, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The file as the user named it.
    pub file: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where; `None` where the whole file is meant (it can't be read).
    pub position: Option<Position>,
    /// Which key, such as `sinks.lake.prefix`; empty at the top or where none can be told.
    pub key: String,
    /// What is wrong and what was expected.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// A place in the file, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Character in the line.
    pub column: usize,
}

impl Error {
    /// The one problem of a file that has no lines to point at.
    pub(super) fn of_file(file: &str, message: String, hint: &str) -> Self {
        let problem = Problem { position: None, key: String::new(), message, hint: Some(hint.into()) };
        Self { file: file.into(), problems: vec![problem] }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    /// One line a problem, each as compilers write them: `file:line:column: key: message; hint`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.problems.iter().take(SHOWN).enumerate() {
            if nth > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{}:{problem}", self.file)?;
        }
        if let Some(more) = self.problems.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            write!(formatter, "\n{}: and {more} more", self.file)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Position { line, column }) = self.position {
            write!(formatter, "{line}:{column}:")?;
        }
        if !self.key.is_empty() {
            write!(formatter, " {}:", self.key)?;
        }
        write!(formatter, " {}", self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(formatter, "; {hint}"))
    }
}

/// What is wrong with a text, before it is known where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Collects problems while a file is read, and knows its lines.
pub(super) struct Problems<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
    found: RefCell<Vec<(usize, Problem)>>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_newlines).collect();
        Self { text, line_starts, found: RefCell::default() }
    }

    /// Notes a problem of `key` at a byte of the text.
    pub(super) fn add(&self, at: usize, key: &str, wrong: Wrong) {
        let Wrong { message, hint } = wrong;
        let problem = Problem { position: Some(self.position(at)), key: key.into(), message, hint };
        self.found.borrow_mut().push((at, problem));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// The error of `file`; there is one even if nobody noted a problem, so that nothing passes silently.
    pub(super) fn into_error(self, file: &str) -> Error {
        let mut found = self.found.into_inner();
        if found.is_empty() {
            return Error::of_file(file, "can't be read as a pipeline".into(), "please report this file");
        }
        found.sort_by_key(|(at, _)| *at);
        Error { file: file.into(), problems: found.into_iter().map(|(_, problem)| problem).collect() }
    }

    fn position(&self, at: usize) -> Position {
        let at = at.min(self.text.len());
        let line = self.line_starts.partition_point(|start| *start <= at);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..at).unwrap_or_default();
        Position { line, column: before.chars().count() + 1 }
    }
}

/// A text for a message: escaped, and cut where it is long.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut escaped: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    escaped = escaped.replace("\\\"", "\"").replace("\\'", "'");
    if text.chars().nth(LONGEST).is_some() {
        escaped.push('…');
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let problems = Problems::new("a\näö = 1\n");
        assert_eq!(problems.position(0), Position { line: 1, column: 1 });
        assert_eq!(problems.position(2), Position { line: 2, column: 1 });
        assert_eq!(problems.position(7), Position { line: 2, column: 4 });
        assert_eq!(problems.position(99), Position { line: 3, column: 1 });
    }

    #[test]
    fn problems_come_in_the_order_of_the_file() {
        let problems = Problems::new("a = 1\nb = 2\n");
        problems.add(6, "b", Wrong::new("second"));
        problems.add(0, "a", Wrong::new("first").hint("do this"));
        let error = problems.into_error("pipeline.toml").to_string();
        assert_eq!(error, "pipeline.toml:1:1: a: first; do this\npipeline.toml:2:1: b: second");
    }

    #[test]
    fn a_flood_of_problems_is_cut_off() {
        let problems = Problems::new("");
        (0..60).for_each(|nth| problems.add(0, "", Wrong::new(nth.to_string())));
        let text = problems.into_error("p").to_string();
        assert_eq!(text.lines().count(), 51);
        assert!(text.ends_with("p: and 10 more"));
    }
}
