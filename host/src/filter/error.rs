//! Why a pattern is refused: where in it, what was expected, what to do.

use std::fmt;

use super::tree::Tree;

/// A pattern that can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`patterns[{pattern}]{path}`: {message}; {hint}")]
pub struct Error {
    /// Which pattern, from 0.
    pub pattern: usize,
    /// Where in it, such as `.value.status[0].numeric`; empty where all of it is meant.
    pub path: String,
    /// What was expected and what was found.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// The way to a part of a pattern.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    /// The pattern of this number.
    Pattern(usize),
    Member(&'a Path<'a>, &'a str),
    Element(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(super) fn member(&'a self, name: &'a str) -> Path<'a> {
        Path::Member(self, name)
    }

    pub(super) fn element(&'a self, nth: usize) -> Path<'a> {
        Path::Element(self, nth)
    }

    fn pattern(&self) -> usize {
        match self {
            Path::Pattern(nth) => *nth,
            Path::Member(parent, _) | Path::Element(parent, _) => parent.pattern(),
        }
    }

    /// The error that this part is.
    pub(super) fn wrong<T>(&self, message: impl Into<String>, hint: impl Into<String>) -> Result<T, Error> {
        let (message, hint) = (message.into(), hint.into());
        Err(Error { pattern: self.pattern(), path: self.to_string(), message, hint })
    }

    /// The error that something else stands here than expected.
    pub(super) fn expected<T>(
        &self,
        expected: &str,
        found: &Tree,
        hint: impl Into<String>,
    ) -> Result<T, Error> {
        self.wrong(format!("expected {expected}, found {}", described(found)), hint)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Pattern(_) => Ok(()),
            Path::Element(parent, nth) => write!(formatter, "{parent}[{nth}]"),
            Path::Member(parent, name) => {
                let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '$');
                match !name.is_empty() && name.len() <= 80 && name.chars().all(bare) {
                    true => write!(formatter, "{parent}.{name}"),
                    false => write!(formatter, "{parent}.\"{}\"", shown(name)),
                }
            }
        }
    }
}

/// A text for a message: escaped, and cut where it is long.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut escaped: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        escaped.push('…');
    }
    escaped
}

fn described(tree: &Tree) -> String {
    match tree {
        Tree::Null => "`null`".into(),
        Tree::Boolean(flag) => format!("`{flag}`"),
        Tree::Number(text) => format!("the number `{}`", shown(text)),
        Tree::Text(text) => format!("the text `{}`", shown(text)),
        Tree::List(elements) if elements.is_empty() => "an empty list".into(),
        Tree::List(_) => "a list".into(),
        Tree::Object(members) if members.is_empty() => "an empty object".into(),
        Tree::Object(_) => "an object".into(),
    }
}
