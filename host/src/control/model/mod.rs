//! What goes over the wire: pipelines, lanes, revisions, the report of a change, and the refusal.
//!
//! Names are stable; fields may be added. A field without a value is left out, a list without one is empty.

mod options;
mod report;
mod status;

use serde::{Deserialize, Serialize};

pub use options::{
    ReloadOptions, RevisionsOptions, RollbackOptions, SHARE_WHOLE, ShareBy, SwapOptions, TIMEOUT_MS,
    TIMEOUT_MS_MAX, WaitOptions, Way, WeightsOptions, hundredths,
};
pub use report::{Boundary, PartitionBoundary, PauseStatus, ProbeReport, SwapReport};
pub use status::{
    Cause, Health, LaneState, LaneStatus, Lanes, PipelineHealth, PipelineState, PipelineStatus, Pipelines,
    RevisionStatus, Revisions, RolloutMode, RolloutShort, RolloutStatus, TransformStatus, VersionStatus,
};

/// Why something is not answered or not done: the body of every answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs: lower case words with hyphens, stable.
    pub code: String,
    /// For people: what was refused, and why.
    pub message: String,
    /// For people: what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Refusal {
    /// A refusal without a hint.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}
