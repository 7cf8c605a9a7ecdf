//! Which of two versions of the transforms a record went through, and which offsets an object holds.

use serde::{Deserialize, Serialize};

/// One of the versions that may run side by side while a revision has a rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// The version that all records go through without a rollout.
    #[default]
    Stable,
    /// The version that is being tried.
    Candidate,
}

impl Variant {
    /// Whether it is [`Variant::Stable`], which entries leave unsaid.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        matches!(self, Self::Stable)
    }
}

/// Offsets one after another, both ends included: `[first, last]` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct OffsetRun {
    /// The first.
    pub first: u64,
    /// The last, never before the first.
    pub last: u64,
}

impl From<(u64, u64)> for OffsetRun {
    fn from((first, last): (u64, u64)) -> Self {
        Self { first, last }
    }
}

impl From<OffsetRun> for (u64, u64) {
    fn from(run: OffsetRun) -> Self {
        (run.first, run.last)
    }
}
