//! What a version did, in numbers that can be added up.
//!
//! Invariant: a record is counted once, by the call that its results stand of; and one that the filter
//! kept back is not counted here, so that two versions can be compared by their shares.

use std::ops::{Add, AddAssign};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::record::{Arena, OutputSource, Transformed};

/// What became of the records that reached a version's transforms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionNumbers {
    /// Batches, or shares of them, that had a record for it.
    pub batches: u64,
    /// Records that have a fate: `failed`, `dropped` or kept.
    pub records: u64,
    /// Records that failed as a whole.
    pub failed: u64,
    /// Outputs that failed, of records that are kept.
    pub partial: u64,
    /// Records that it filtered out.
    pub dropped: u64,
    /// Records to deliver.
    pub outputs: u64,
    /// Bytes of their keys, values and headers, but for headers that were only added.
    pub output_bytes: u64,
    /// Time in the transforms.
    pub busy: Duration,
}

impl Add for VersionNumbers {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            batches: self.batches + other.batches,
            records: self.records + other.records,
            failed: self.failed + other.failed,
            partial: self.partial + other.partial,
            dropped: self.dropped + other.dropped,
            outputs: self.outputs + other.outputs,
            output_bytes: self.output_bytes + other.output_bytes,
            busy: self.busy.saturating_add(other.busy),
        }
    }
}

impl AddAssign for VersionNumbers {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// What results account for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accounts {
    /// Inputs, those that the filter kept back among them.
    pub(super) inputs: u64,
    /// Those that reached the first transform.
    pub(super) reached: u64,
}

impl VersionNumbers {
    /// Of one batch's results.
    pub(super) fn of(records: &Arena, results: &Transformed, accounts: Accounts, busy: Duration) -> Self {
        let failed = results.failed.iter().filter(|failed| failed.transform.is_some()).count() as u64;
        let buried_by_filter = results.failed.len() as u64 - failed;
        let kept_back = accounts.inputs.saturating_sub(accounts.reached);
        let dropped_by_filter = kept_back.saturating_sub(buried_by_filter);
        let bytes = |source| match source {
            (OutputSource::Input, input) => records.record_bytes(input as usize),
            (OutputSource::Produced(position), _) => results.produced.record_bytes(position as usize),
        };
        let output_bytes = results.outputs.iter().map(|output| bytes((output.source, output.input)) as u64);
        Self {
            batches: u64::from(accounts.reached > 0),
            records: accounts.reached,
            failed,
            partial: results.partial.len() as u64,
            dropped: results.dropped.saturating_sub(dropped_by_filter),
            outputs: results.outputs.len() as u64,
            output_bytes: output_bytes.sum(),
            busy,
        }
    }
}
