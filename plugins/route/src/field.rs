//! Finds what is routed by: some fields of a JSON value, all in one walk through it.
//!
//! Invariant: all of the value is known to be JSON before any field of it counts, and no name on the way to
//! a field comes twice, so that two readers can't see two different fields.

use std::borrow::Cow;
use std::fmt;

use json_text::{Cursor, Kind, Path, PathTree, Value, quoted};

use crate::failure::{Code, Failure};

/// What is read of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Its key.
    Key,
    /// The last of its headers of this name.
    Header(String),
    /// A field of its value, by the branch of the paths.
    Value { branch: usize, path: String },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("the key"),
            Self::Header(name) => write!(f, "the header `{name}`"),
            Self::Value { path, .. } => write!(f, "the field `{path}`"),
        }
    }
}

/// Where a field stands in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spot {
    kind: Kind,
    start: usize,
    end: usize,
    is_plain: bool,
}

/// Finds fields; it is used again for each value.
#[derive(Debug, Default)]
pub(crate) struct Finder {
    paths: PathTree,
    /// By branch: whether it is a field that is asked for.
    asked: Vec<bool>,
    /// By branch: whether the value has it.
    seen: Vec<bool>,
    spots: Vec<Option<Spot>>,
}

impl Finder {
    /// Reads a source as the configuration writes it, and remembers the path if it is one.
    pub(crate) fn source(&mut self, text: &str) -> Result<Source, String> {
        if text == "key" {
            return Ok(Source::Key);
        }
        if let Some(name) = text.strip_prefix("header:") {
            return match name {
                "" => Err("the name of the header is empty".to_owned()),
                _ => Ok(Source::Header(name.to_owned())),
            };
        }
        let path = Path::parse(text.strip_prefix("value:").unwrap_or(text))?;
        let branch = self.paths.insert(path.names());
        self.asked.resize(self.paths.branches(), false);
        self.asked[branch] = true;
        Ok(Source::Value {
            branch,
            path: path.to_string(),
        })
    }

    /// Whether a field of the value is asked for.
    pub(crate) fn is_needed(&self) -> bool {
        !self.paths.is_leaf(0)
    }

    /// Finds all fields that are asked for.
    pub(crate) fn find(&mut self, value: &[u8]) -> Result<(), Failure> {
        let invalid = |error| Failure::json(error, value);
        let text = json_text::utf8(value).map_err(invalid)?;
        self.seen.clear();
        self.seen.resize(self.paths.branches(), false);
        self.spots.clear();
        self.spots.resize(self.paths.branches(), None);
        let mut cursor = Cursor::new(text);
        let kind = cursor.kind().map_err(invalid)?;
        let mut twice = None;
        let walked = match kind {
            Kind::Object => self.walk(&mut cursor, 0, &mut twice),
            _ => cursor.value().map(|_| ()),
        };
        walked.and_then(|()| cursor.finish()).map_err(invalid)?;
        if kind != Kind::Object {
            let detail = format!(
                "expected a JSON object, found {} {}",
                kind.name(),
                quoted(text.trim_ascii().as_bytes())
            );
            return Err(Failure::new(Code::NotAnObject, detail));
        }
        match twice {
            None => Ok(()),
            Some(name) => Err(Failure::new(
                Code::DuplicateName,
                format!(
                    "an object has two fields of the name {}",
                    quoted(name.as_bytes())
                ),
            )),
        }
    }

    fn walk<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        branch: usize,
        twice: &mut Option<&'a str>,
    ) -> Result<(), json_text::Error> {
        cursor.enter()?;
        let mut is_first = true;
        while let Some(name) = cursor.member(is_first)? {
            is_first = false;
            let Some(branch) = self.paths.child(branch, name) else {
                cursor.value()?;
                continue;
            };
            if std::mem::replace(&mut self.seen[branch], true) {
                twice.get_or_insert(name.raw());
            }
            let goes_on = !self.paths.is_leaf(branch) && cursor.kind()? == Kind::Object;
            if self.asked[branch] {
                let mut ahead = cursor.clone();
                let value = ahead.value()?;
                self.spots[branch] = Some(Spot {
                    kind: value.kind,
                    start: value.start,
                    end: value.start + value.raw.len(),
                    is_plain: value.is_plain,
                });
                if !goes_on {
                    *cursor = ahead;
                    continue;
                }
            }
            match goes_on {
                true => self.walk(cursor, branch, twice)?,
                false => _ = cursor.value()?,
            }
        }
        Ok(())
    }

    /// The text of a field of the value that was searched last. A null is none.
    pub(crate) fn text<'a>(
        &self,
        branch: usize,
        path: &str,
        value: &'a [u8],
    ) -> Result<Option<Cow<'a, str>>, Failure> {
        let Some(spot) = self.spots.get(branch).copied().flatten() else {
            return Ok(None);
        };
        let raw = value.get(spot.start..spot.end).unwrap_or_default();
        let raw = json_text::utf8(raw).map_err(|error| Failure::json(error, raw))?;
        let found = Value {
            kind: spot.kind,
            raw,
            start: spot.start,
            is_plain: spot.is_plain,
        };
        match (spot.kind, found.string()) {
            (Kind::Null, _) => Ok(None),
            (_, Some(string)) if string.is_plain() => Ok(Some(Cow::Borrowed(string.raw()))),
            (_, Some(string)) => {
                let mut text = Vec::with_capacity(string.raw().len());
                string.read_into(&mut text);
                // A lone surrogate is no text; it becomes replacement characters, and matches nothing.
                let text = String::from_utf8_lossy(&text).into_owned();
                Ok(Some(Cow::Owned(text)))
            }
            (Kind::Number | Kind::Boolean, _) => Ok(Some(Cow::Borrowed(raw))),
            (kind, _) => Err(Failure::new(
                Code::NotAScalar,
                format!(
                    "the field `{path}`: expected a string, a number or a boolean, found {} {}",
                    kind.name(),
                    quoted(raw.as_bytes())
                ),
            )),
        }
    }
}
