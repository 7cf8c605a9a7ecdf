//! What a range's objects are called: in staging, and in the lake.
//!
//! Owns the nonce of one attempt at one start offset. Invariant: a nonce is drawn anew for each attempt
//! and never used again, so that no two attempts share a name.

use super::lane;
use crate::clock;
use crate::ledger::{LanePath, StagedName};
use crate::record::TopicPartition;

/// The names of one attempt at a range.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// The partition.
    pub(super) origin: TopicPartition,
    /// First offset of the range.
    pub(super) start: u64,
    /// 16 hexadecimal digits.
    pub(super) nonce: String,
    lane: LanePath,
}

impl Names {
    /// Draws the nonce of a new attempt.
    pub(super) fn draw(origin: &TopicPartition, lane: &LanePath, start: u64) -> Result<Self, lane::Error> {
        Ok(Self { origin: origin.clone(), start, nonce: clock::unique_id()?, lane: lane.clone() })
    }

    /// The lane's paths in a sink's store.
    pub(super) fn lane(&self) -> &LanePath {
        &self.lane
    }

    /// Where an object of a sink is staged.
    pub(super) fn staged(&self, sink: &str, number: u32) -> Result<String, lane::Error> {
        let name = StagedName { start: self.start, nonce: self.nonce.clone(), sink: sink.to_owned(), number };
        Ok(self.lane.staged(&name)?)
    }
}
