//! The nouns that every stage speaks: partitions, offsets, epochs, batches and what became of their
//! records. Data only: no input or output, no clock, no knowledge of any stage.

mod arena;
mod cut;
mod outcome;
mod variant;

pub use arena::{Arena, HeaderIter, Headers, NewRecord, RecordRef};
pub(crate) use arena::{Columns, HEADERS_PRESENT, KEY_PRESENT, NULL_LENGTH, VALUE_PRESENT};
pub use cut::{CutCause, DEAD_LETTER_SINK};
pub use outcome::{
    Annotation, Condition, Failed, Failure, Output, OutputSource, Postponement, Report, Rest, Transformed,
    Wait,
};
pub use variant::{OffsetRun, Variant};

use std::fmt;
use std::sync::Arc;

/// A partition of a topic, by the topic's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number; never negative (Kafka's wire type is signed).
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.topic, self.partition)
    }
}

/// A stretch of a partition: `start` is in it, `end` is the first offset after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OffsetRange {
    /// First offset of the range.
    pub start: u64,
    /// First offset after the range (the consumer's position).
    pub end: u64,
}

impl OffsetRange {
    /// Number of offsets in the range, whether or not each holds a record.
    #[must_use]
    pub fn offsets(self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

impl fmt::Display for OffsetRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}..{}", self.start, self.end)
    }
}

/// How often a lane was made anew: raised by every assign, seek, adoption and revoke.
///
/// Whatever crosses a hand-off carries the epoch in which it was made; a receiver drops what is stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Records of one partition, as the source read them, in order of their offsets.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Where they come from.
    pub origin: TopicPartition,
    /// The lane's epoch for which they were read.
    pub epoch: Epoch,
    /// What this batch accounts for: from the position before it to the position after it.
    ///
    /// Wider than its records where offsets hold none (control records, aborted transactions,
    /// compaction); a batch without records still moves the position.
    pub range: OffsetRange,
    /// The records.
    pub records: Arena,
}
