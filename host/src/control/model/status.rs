//! What there is: pipelines, their versions, lanes and revisions.

use serde::{Deserialize, Serialize};

use super::ShareBy;

/// Whether the host is well; said to anybody, so that it holds nothing that is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether every pipeline runs and no lane is halted.
    pub healthy: bool,
    /// Version of the host.
    pub version: String,
    /// Each pipeline.
    pub pipelines: Vec<PipelineHealth>,
}

/// Whether a pipeline is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineHealth {
    /// Its name.
    pub name: String,
    /// Whether it runs and no lane is halted.
    pub healthy: bool,
    /// What it is doing.
    pub state: PipelineState,
    /// What is not well, without names of files, hosts or places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// All pipelines of a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pipelines {
    /// By name.
    pub pipelines: Vec<PipelineStatus>,
}

/// What a pipeline is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PipelineState {
    /// It runs.
    Running,
    /// It was told to pause.
    Paused,
    /// It ends: what is buffered is delivered, and nothing is read any more.
    Draining,
    /// It can't run here; `why` says the reason.
    Unable,
}

impl PipelineState {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Unable => "unable",
        }
    }
}

/// A pipeline of this host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PipelineStatus {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: PipelineState,
    /// Why it is unable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The revision that this host works under.
    pub revision: u64,
    /// Digest of the kept configuration.
    pub config_digest: String,
    /// The transforms of the stable version, in order.
    pub transforms: Vec<TransformStatus>,
    /// A second version beside it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// What the stable version did on this host since it began under this revision.
    pub version: VersionStatus,
    /// Lanes that this host has.
    pub lanes: u64,
    /// Those that a circuit breaker, or a destination that is away, holds.
    pub held_lanes: u64,
    /// Those that stopped with an alarm.
    pub halted_lanes: u64,
}

/// A transform of a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransformStatus {
    /// Its name in the configuration.
    pub name: String,
    /// The name that the plugin gives itself, where it is known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// The version that the plugin gives itself, where it is known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Digest of the component: `sha256:…`.
    pub digest: String,
    /// What it is granted.
    pub grants: Vec<String>,
}

/// How a second version runs beside the stable one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutMode {
    /// It gets a share of the records, and its output is delivered.
    Share,
    /// It gets the same records, and its output is compared and thrown away.
    Shadow,
}

/// Two versions side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutStatus {
    /// How.
    pub mode: RolloutMode,
    /// Percent of the records that go to the candidate; only of a share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_percent: Option<f64>,
    /// What it is a share of; only of a share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ShareBy>,
    /// The shadow is promoted by itself once so many records did not differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote_after: Option<u64>,
    /// The candidate's transforms, in order.
    pub transforms: Vec<TransformStatus>,
    /// What the stable version did on this host since the rollout began.
    pub stable: VersionStatus,
    /// What the candidate did on this host since the rollout began.
    pub candidate: VersionStatus,
    /// How the candidate's output differs; only of a shadow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<serde_json::Value>,
    /// Whether the comparison says something: not where a plugin of either version is not `pure`.
    pub reliable: bool,
}

/// What one version did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VersionStatus {
    /// Batches.
    pub batches: u64,
    /// Records that it got.
    pub records: u64,
    /// Those that failed as a whole.
    pub failed: u64,
    /// Outputs that could not be made.
    pub failed_outputs: u64,
    /// Records that it dropped.
    pub dropped: u64,
    /// Outputs.
    pub outputs: u64,
    /// Their bytes.
    pub output_bytes: u64,
    /// Time of a batch in the transforms, on average; 0 without batches.
    pub mean_batch_ms: f64,
}

/// All lanes of a pipeline on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lanes {
    /// By topic and partition.
    pub lanes: Vec<LaneStatus>,
}

/// What a lane is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneState {
    /// It works, or waits for records.
    Working,
    /// A circuit breaker, or a destination that is away, holds it.
    Held,
    /// It was told to pause.
    Paused,
    /// It stopped with an alarm.
    Halted,
    /// It looks for its place in the ledger.
    Beginning,
}

impl LaneState {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Held => "held",
            Self::Paused => "paused",
            Self::Halted => "halted",
            Self::Beginning => "beginning",
        }
    }
}

/// A lane of this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneStatus {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// What it is doing.
    pub state: LaneState,
    /// The offset that it reads next.
    pub position: u64,
    /// End of its last published entry.
    pub committed: u64,
    /// The revision that it works under.
    pub revision: u64,
}

/// Revisions of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Revisions {
    /// The newest first.
    pub revisions: Vec<RevisionStatus>,
}

/// What made a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A start with content that was not known.
    Start,
    /// A new component for all records.
    Swap,
    /// A new component for a share, or as a shadow; or another share.
    Rollout,
    /// The candidate became the stable version.
    Promote,
    /// The candidate was given up.
    Abort,
    /// An older revision's content again.
    Rollback,
    /// Another configuration.
    Reload,
}

impl Cause {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Swap => "swap",
            Self::Rollout => "rollout",
            Self::Promote => "promote",
            Self::Abort => "abort",
            Self::Rollback => "rollback",
            Self::Reload => "reload",
        }
    }
}

/// A revision of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RevisionStatus {
    /// Its number.
    pub revision: u64,
    /// What made it.
    pub cause: Cause,
    /// The revision whose content it has again; only of a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// For people: why it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When, as RFC 3339 says times.
    pub made_at: String,
    /// Host and process that made it.
    pub made_by: String,
    /// Digest of the kept configuration.
    pub config_digest: String,
    /// The transforms of the stable version, in order.
    pub transforms: Vec<TransformStatus>,
    /// The second version, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutShort>,
    /// Whether this host works under it.
    pub current: bool,
}

/// The second version of a revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutShort {
    /// How it runs.
    pub mode: RolloutMode,
    /// Percent of the records that go to it; only of a share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_percent: Option<f64>,
    /// What it is a share of; only of a share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ShareBy>,
    /// The shadow is promoted by itself once so many records did not differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote_after: Option<u64>,
    /// Its transforms, in order.
    pub transforms: Vec<TransformStatus>,
}
