//! What a change did, read back from what is committed.

use serde::{Deserialize, Serialize};

/// What a swap, promotion, abort, rollback, change of weights or reload did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SwapReport {
    /// The revision that holds now.
    pub revision: u64,
    /// The one that held before.
    pub from_revision: u64,
    /// Whether there is a new revision: not where the content is that of the current one.
    pub changed: bool,
    /// What changes, a line each: ``transform `parse`: swap at next cut``.
    pub what: Vec<String>,
    /// The trial on kept records, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeReport>,
    /// Where each partition changed, by topic and partition, of every host's.
    pub partitions: Vec<PartitionBoundary>,
    /// The pauses of this host's lanes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_ms: Option<PauseStatus>,
    /// Whether no partition is pending.
    pub complete: bool,
}

/// The trial of a new version on kept records, before anything changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Records that it was tried on.
    pub records: u64,
    /// Those that failed with the new version and did not with the old one.
    pub failed: u64,
    /// What is worth knowing: the first failures, how the output differs.
    pub lines: Vec<String>,
}

/// How far a partition is with a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// The first entry under the new revision is committed.
    Swapped,
    /// No record has come since; the new revision holds from `first_new` on.
    Idle,
    /// Not seen yet.
    Pending,
}

/// Where one partition changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionBoundary {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// How far it is.
    pub state: Boundary,
    /// The last offset under the old revision; none where there was no record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_old: Option<u64>,
    /// The first offset under the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_new: Option<u64>,
    /// Start of the first entry under the new revision, by which it can be looked up in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// From the return of the last old call to the first new one; only of lanes of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_ms: Option<f64>,
    /// How long the lane waited for a cut that was already staged; only of lanes of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_ms: Option<f64>,
}

/// The pauses of several lanes, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PauseStatus {
    /// Half of the lanes paused no longer.
    pub p50: f64,
    /// 99 of 100 lanes paused no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl PauseStatus {
    /// Of the pauses given, by nearest rank; none of none.
    #[must_use]
    pub fn of(mut pauses: Vec<f64>) -> Option<Self> {
        pauses.sort_by(f64::total_cmp);
        let rank = |of_hundred: usize| {
            let nth = (pauses.len() * of_hundred).div_ceil(100).max(1);
            pauses.get(nth - 1).copied()
        };
        Some(Self { p50: rank(50)?, p99: rank(99)?, max: *pauses.last()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_ranked() {
        assert_eq!(PauseStatus::of(Vec::new()), None);
        assert_eq!(PauseStatus::of(vec![3.0]), Some(PauseStatus { p50: 3.0, p99: 3.0, max: 3.0 }));
        let pauses = (1..=200).rev().map(f64::from).collect();
        assert_eq!(PauseStatus::of(pauses), Some(PauseStatus { p50: 100.0, p99: 198.0, max: 200.0 }));
    }
}
