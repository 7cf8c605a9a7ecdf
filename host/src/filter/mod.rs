//! Which records a pipeline takes: the event patterns of AWS, on a record's value, key, headers, topic,
//! partition, offset and timestamp.
//!
//! Owns the pattern language and its meaning; knows nothing of batches, of what becomes of a record that
//! is not taken, or of the file that patterns are written in. Pure. Invariant: deciding a record
//! allocates nothing (but for a string with escapes at a place that is asked about), reads its value once
//! at the most, and has a stack bounded by the patterns whatever the value holds.
//!
//! What the language says where AWS leaves it open:
//! - An array stands for its elements, however nested; a name that repeats in an object stands for both
//!   values. One of them must match. An object pattern is matched by one object as a whole, so
//!   `{"a": {"x": [1], "y": [2]}}` does not match `{"a": [{"x": 1}, {"y": 2}]}`.
//! - `{"exists": false}` holds where no scalar stands: at a name that is missing, an object, an empty
//!   array. It is asked of each object by itself.
//! - A value is read as JSON only where a pattern looks inside of it. A match is decided as soon as it is
//!   certain, without a look at the rest; a record that does not match has been read to its end. So
//!   [`Verdict::NotJson`] says: no pattern matched before the place where the text stops being JSON.
//! - Numbers are compared exactly; strings by their characters, whatever escapes they are written with.

mod compile;
mod error;
mod leaf;
mod matcher;
mod number;
mod paths;
mod scan;
mod text;
mod tree;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod reference;

use std::fmt;
use std::ops::Range;

use thiserror::Error as ThisError;

use crate::codec;
use crate::record::{Arena, RecordRef, TopicPartition};
use compile::{Compiled, Fact, Side};
pub use compile::{PATTERN_CHARACTERS_MAX, PATTERNS_MAX};
pub use error::Error;
use matcher::{Leaf, Scalar};
use number::Number;
use paths::{Bits, Condition, Paths};

/// Patterns, ready to be asked.
#[derive(Clone, Debug)]
pub struct Filter {
    compiled: Compiled,
}

/// What a filter says about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One of the patterns matches.
    Match,
    /// None of them does.
    NoMatch,
    /// None of them does, and one would have had to look into a key or value that is not JSON.
    NotJson(NotJson),
}

/// Which part of a record is not JSON, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
#[error("the {part} is {why}")]
pub struct NotJson {
    /// The part that a pattern looks into.
    pub part: Part,
    /// Where and why it is not JSON.
    pub why: codec::NotJson,
}

/// A part of a record that can be JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The key.
    Key,
    /// The value.
    Value,
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Key => "key",
            Self::Value => "value",
        })
    }
}

/// How far the JSON of a key or value is known.
#[derive(Clone, Copy)]
enum Reading<'a> {
    Unread,
    /// What was found so far.
    Begun(&'a Bits),
    Read(&'a Bits),
    /// It is not JSON, so nothing inside of it matches.
    Broken,
}

impl Reading<'_> {
    fn truth(self, condition: &Condition) -> Option<bool> {
        match self {
            Self::Unread => None,
            Self::Begun(bits) => bits.get(condition.hit).then_some(true),
            Self::Read(bits) => Some(condition.holds(bits)),
            Self::Broken => Some(false),
        }
    }
}

impl Filter {
    /// Reads patterns: JSON objects, one of which must match.
    ///
    /// # Errors
    /// The first thing that is wrong with them, with its path.
    pub fn parse(patterns: &[&str]) -> Result<Self, Error> {
        Ok(Self { compiled: compile::compile(patterns)? })
    }

    /// Whether one of the patterns matches a record of this partition.
    #[must_use]
    pub fn matches(&self, record: &RecordRef<'_>, origin: &TopicPartition) -> Verdict {
        let truth = |key: Reading<'_>, value: Reading<'_>| {
            self.compiled.rule.truth(&|fact| answer(fact, record, origin, key, value))
        };
        if let Some(matches) = truth(Reading::Unread, Reading::Unread) {
            return verdict(matches, None);
        }
        let (paths, text) = (&self.compiled.key, record.key);
        let (key_bits, key_broken) =
            read(paths, text, &|bits| truth(Reading::Begun(bits), Reading::Unread) == Some(true));
        let key = if key_broken.is_some() { Reading::Broken } else { Reading::Read(&key_bits) };
        let broken = key_broken.map(|why| NotJson { part: Part::Key, why });
        if let Some(matches) = truth(key, Reading::Unread) {
            return verdict(matches, broken);
        }
        let (paths, text) = (&self.compiled.value, record.value);
        let (value_bits, value_broken) =
            read(paths, text, &|bits| truth(key, Reading::Begun(bits)) == Some(true));
        let value = if value_broken.is_some() { Reading::Broken } else { Reading::Read(&value_bits) };
        let broken = broken.or(value_broken.map(|why| NotJson { part: Part::Value, why }));
        verdict(truth(key, value) == Some(true), broken)
    }

    /// Decides the records of `range`, which must lie in the arena: one verdict each, in order, in place
    /// of what `verdicts` held.
    pub fn select(
        &self,
        arena: &Arena,
        range: Range<usize>,
        origin: &TopicPartition,
        verdicts: &mut Vec<Verdict>,
    ) {
        verdicts.clear();
        verdicts.extend(range.map(|position| self.matches(&arena.record(position), origin)));
    }
}

fn verdict(matches: bool, broken: Option<NotJson>) -> Verdict {
    match (matches, broken) {
        (true, _) => Verdict::Match,
        (false, None) => Verdict::NoMatch,
        (false, Some(broken)) => Verdict::NotJson(broken),
    }
}

/// What is found in a key or value. One that is not there has nothing inside.
fn read(
    paths: &Paths,
    text: Option<&[u8]>,
    decided: &dyn Fn(&Bits) -> bool,
) -> (Bits, Option<codec::NotJson>) {
    match text {
        Some(text) if !paths.is_empty() => match scan::scan(paths, text, decided) {
            Ok(bits) => (bits, None),
            Err(why) => (Bits::default(), Some(why)),
        },
        _ => (Bits::default(), None),
    }
}

fn answer(
    fact: &Fact,
    record: &RecordRef<'_>,
    origin: &TopicPartition,
    key: Reading<'_>,
    value: Reading<'_>,
) -> Option<bool> {
    let number = |number: i64| Scalar::Number(Number::Whole(number));
    Some(match fact {
        Fact::Json(Side::Key, condition) => return key.truth(condition),
        Fact::Json(Side::Value, condition) => return value.truth(condition),
        Fact::Text(Side::Key, leaf) => text(leaf, record.key),
        Fact::Text(Side::Value, leaf) => text(leaf, record.value),
        Fact::Topic(leaf) => leaf.matches(Scalar::Text(origin.topic.as_bytes())),
        Fact::Partition(leaf) => leaf.matches(number(i64::from(origin.partition))),
        // Kafka's offsets fit.
        Fact::Offset(leaf) => leaf.matches(number(i64::try_from(record.offset).unwrap_or(i64::MAX))),
        // -1 says that the broker gave none.
        Fact::Timestamp(leaf) if record.timestamp_ms == -1 => leaf.absent,
        Fact::Timestamp(leaf) => leaf.matches(number(record.timestamp_ms)),
        Fact::Header(name, leaf) => header(leaf, record, name),
    })
}

/// A text that may be missing: a record without a value matches `null` and `{"exists": false}`.
fn text(leaf: &Leaf, text: Option<&[u8]>) -> bool {
    match text {
        Some(text) => leaf.matches(Scalar::Untyped(text)),
        None => leaf.absent || leaf.matchers.iter().any(|matcher| matches!(matcher, matcher::Matcher::Null)),
    }
}

/// Several headers of one name: one must match. One without a value is there, and is `null`.
fn header(leaf: &Leaf, record: &RecordRef<'_>, name: &[u8]) -> bool {
    let mut seen = false;
    for (_, value) in record.headers.iter().filter(|(found, _)| *found == name) {
        seen = true;
        if leaf.matches(value.map_or(Scalar::Null, Scalar::Untyped)) {
            return true;
        }
    }
    leaf.absent && !seen
}
