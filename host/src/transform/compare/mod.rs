//! The structural difference between what two versions made of the same records.
//!
//! Owns what counts as different and how it is said. Pure. JSON values are compared by what they say: key
//! order, spaces and the spelling of numbers do not matter (but numbers beyond 64 bits are compared as
//! doubles). Invariant: the work of one comparison and the size of its result are bounded, and a record
//! that was not compared is counted as such, never as equal.

mod json;
mod records;
#[cfg(test)]
mod tests;

pub(super) use records::Budget;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Differences that a comparison shows.
pub const EXAMPLES_MAX: usize = 20;
/// Of one kind at one place: more of them say nothing new.
const ALIKE_MAX: usize = 3;
/// Longest text of an example, in bytes: enough to see a difference by.
const TEXT_MAX: usize = 200;

/// In what two versions differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Delivered, dropped or failed.
    Fate,
    /// Another failure.
    Failure,
    /// Another number of outputs, or of outputs that failed.
    Count,
    /// The key.
    Key,
    /// The headers.
    Headers,
    /// The sinks that it goes to.
    Routes,
    /// The values for an object's key.
    PartitionKeys,
    /// The time.
    Timestamp,
    /// A value, or a part of it that is not JSON or is no object or list.
    Value,
    /// A part of a JSON value that the new version left out.
    Missing,
    /// A part of a JSON value that the new version added.
    Added,
    /// The JSON type of a part of a value.
    Type,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Self; 12] = [
        Self::Fate,
        Self::Failure,
        Self::Count,
        Self::Key,
        Self::Headers,
        Self::Routes,
        Self::PartitionKeys,
        Self::Timestamp,
        Self::Value,
        Self::Missing,
        Self::Added,
        Self::Type,
    ];

    fn bit(self) -> u16 {
        1 << (self as u16)
    }

    /// The name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fate => "fate",
            Self::Failure => "failure",
            Self::Count => "count",
            Self::Key => "key",
            Self::Headers => "headers",
            Self::Routes => "routes",
            Self::PartitionKeys => "partition-keys",
            Self::Timestamp => "timestamp",
            Self::Value => "value",
            Self::Missing => "missing",
            Self::Added => "added",
            Self::Type => "type",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Offset of the record.
    pub offset: u64,
    /// Which of the records that its offset became.
    pub index: u32,
    /// In what they differ.
    pub kind: Kind,
    /// Where in a JSON value, such as `$.user.id`; the name of a header; else empty.
    pub path: String,
    /// What the old version made; `None`: nothing there.
    pub old: Option<String>,
    /// What the new version made; `None`: nothing there.
    pub new: Option<String>,
}

/// What two versions made of the same records, beside each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Records that were compared: those that are `equal` and those that are `different`.
    pub records: u64,
    /// Records of which both made the same.
    pub equal: u64,
    /// Records of which they made something else.
    pub different: u64,
    /// Records that could not be compared, or were too much work.
    pub not_compared: u64,
    /// A plugin does not promise that what it makes of a record depends on that record alone: differences
    /// may be none between the versions.
    pub unreliable: bool,
    /// Records that differ in a kind, by kind; one may differ in several.
    pub kinds: BTreeMap<Kind, u64>,
    /// The first differences.
    pub examples: Vec<Example>,
}

impl Comparison {
    /// Whether nothing differed. (What was not compared may.)
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.different == 0
    }

    /// Adds another comparison of the same two versions.
    pub fn merge(&mut self, other: Self) {
        self.records += other.records;
        self.equal += other.equal;
        self.different += other.different;
        self.not_compared += other.not_compared;
        self.unreliable |= other.unreliable;
        for (kind, records) in other.kinds {
            *self.kinds.entry(kind).or_default() += records;
        }
        for example in other.examples {
            if self.shows(example.kind, &example.path) {
                self.examples.push(example);
            }
        }
    }

    /// For a person: the counts, then the examples.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.summary()];
        if self.not_compared > 0 {
            lines.push(format!("{} more could not be compared", self.not_compared));
        }
        if self.unreliable {
            lines.push(String::from(
                "unreliable: not every transform promises to be `pure`, so that its results may differ from \
                 one run to the next",
            ));
        }
        lines.extend(self.examples.iter().map(Example::to_string));
        lines
    }

    fn summary(&self) -> String {
        let Self { records, equal, different, .. } = self;
        let kinds: Vec<_> = self.kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
        format!("{records} records compared: {equal} equal, {different} different{kinds}")
    }

    /// Whether there is room for another example of this kind at this place (as it is shown).
    fn shows(&self, kind: Kind, path: &str) -> bool {
        let is_alike = |example: &&Example| example.kind == kind && example.path == path;
        self.examples.len() < EXAMPLES_MAX && self.examples.iter().filter(is_alike).count() < ALIKE_MAX
    }
}

impl fmt::Display for Example {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, index, kind, path, old, new } = self;
        write!(formatter, "offset {offset}")?;
        if *index > 0 {
            write!(formatter, ", output {index}")?;
        }
        write!(formatter, ": {kind}")?;
        if !path.is_empty() {
            write!(formatter, " at {path}")?;
        }
        let text = |side: &Option<String>| match side {
            Some(text) => format!("`{text}`"),
            None => String::from("nothing"),
        };
        write!(formatter, ": {} became {}", text(old), text(new))
    }
}

/// As much of a text as an example shows.
fn cut_text(text: &str) -> String {
    if text.len() <= TEXT_MAX {
        return text.to_owned();
    }
    const MORE: &str = "…";
    format!("{}{MORE}", &text[..text.floor_char_boundary(TEXT_MAX - MORE.len())])
}
