//! The pipeline's facts in the words of the control API. Pure.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use super::revisions::{Boundary, Pause, Reached, Shape};
use super::roster::{Activity, Facts};
use crate::control::model::{
    self, Cause, LaneState, LaneStatus, PartitionBoundary, ProbeReport, RevisionStatus, RolloutShort,
    RolloutStatus, TransformStatus, VersionStatus, Way,
};
use crate::ledger::{Revision, RevisionCause, RolloutMode, ShareBy, TransformEntry};
use crate::record::TopicPartition;
use crate::transform::{Comparison, Probe, Side, VersionNumbers};

pub(super) fn transform_status(entry: &TransformEntry) -> TransformStatus {
    let filled = |text: &String| (!text.is_empty()).then(|| text.clone());
    TransformStatus {
        name: entry.name.clone(),
        plugin: filled(&entry.plugin),
        version: filled(&entry.version),
        digest: entry.digest.clone(),
        grants: entry.grants.clone(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a mean for people")]
pub(super) fn version_status(numbers: &VersionNumbers) -> VersionStatus {
    let mean_batch_ms = match numbers.batches {
        0 => 0.0,
        batches => numbers.busy.as_secs_f64() * 1e3 / batches as f64,
    };
    VersionStatus {
        batches: numbers.batches,
        records: numbers.records,
        failed: numbers.failed,
        failed_outputs: numbers.partial,
        dropped: numbers.dropped,
        outputs: numbers.outputs,
        output_bytes: numbers.output_bytes,
        mean_batch_ms,
    }
}

pub(super) fn lane_status(lane: &TopicPartition, facts: &Facts) -> LaneStatus {
    LaneStatus {
        topic: lane.topic.to_string(),
        partition: lane.partition,
        state: match facts.activity() {
            Activity::Beginning => LaneState::Beginning,
            Activity::Working => LaneState::Working,
            Activity::Held => LaneState::Held,
            Activity::AtRest => LaneState::Paused,
            Activity::Halted => LaneState::Halted,
        },
        position: facts.position.load(Ordering::Relaxed),
        committed: facts.committed.load(Ordering::Relaxed),
        revision: facts.revision.load(Ordering::Relaxed),
    }
}

pub(super) fn boundary_status(
    boundary: &Boundary,
    pauses: &HashMap<TopicPartition, Pause>,
) -> PartitionBoundary {
    let pause = pauses.get(&boundary.partition);
    let (state, last_old, first_new, entry) = match boundary.reached {
        Reached::Swapped { last_old, first_new } => {
            (model::Boundary::Swapped, last_old, Some(first_new), Some(first_new))
        }
        Reached::Idle { from } => (model::Boundary::Idle, from.checked_sub(1), Some(from), None),
        Reached::Pending => (model::Boundary::Pending, None, None, None),
    };
    PartitionBoundary {
        topic: boundary.partition.topic.to_string(),
        partition: boundary.partition.partition,
        state,
        last_old,
        first_new,
        entry,
        pause_ms: pause.map(|pause| pause.stood.as_secs_f64() * 1e3),
        waited_ms: pause.map(|pause| pause.waited.as_secs_f64() * 1e3),
    }
}

pub(super) fn probe_report(probe: &Probe) -> ProbeReport {
    let before = probe.stable.as_ref().map_or(0, Side::breaks);
    let mut lines: Vec<_> =
        probe.candidate.error.iter().map(|error| format!("it stopped: {error}")).collect();
    let findings = [&probe.candidate.first_broken, &probe.candidate.first_failed];
    lines.extend(
        findings
            .into_iter()
            .flatten()
            .map(|found| format!("offset {}: {:?}: {}", found.offset, found.condition, found.text)),
    );
    lines.extend(probe.comparison.iter().flat_map(Comparison::lines));
    ProbeReport { records: probe.records, failed: probe.candidate.breaks().saturating_sub(before), lines }
}

pub(super) fn revision_status(revision: &Revision, current: u64) -> RevisionStatus {
    RevisionStatus {
        revision: revision.revision,
        cause: match revision.cause {
            RevisionCause::Start => Cause::Start,
            RevisionCause::Swap => Cause::Swap,
            RevisionCause::Rollout => Cause::Rollout,
            RevisionCause::Promote => Cause::Promote,
            RevisionCause::Abort => Cause::Abort,
            RevisionCause::Rollback => Cause::Rollback,
            RevisionCause::Reload => Cause::Reload,
        },
        of: revision.of,
        why: revision.why.clone(),
        made_at: revision.made_at.clone(),
        made_by: revision.made_by.clone(),
        config_digest: revision.config.clone(),
        transforms: revision.transforms.iter().map(transform_status).collect(),
        rollout: revision.rollout.as_ref().map(|rollout| {
            let Said { mode, share_percent, by, promote_after } = said(rollout.mode);
            let transforms = rollout.transforms.iter().map(transform_status).collect();
            RolloutShort { mode, share_percent, by, promote_after, transforms }
        }),
        current: revision.revision == current,
    }
}

pub(super) fn rollout_status(shape: &Shape) -> Option<RolloutStatus> {
    let candidate = shape.candidate.as_ref()?;
    let Said { mode, share_percent, by, promote_after } = said(candidate.mode);
    let transforms = shape.document.rollout.iter().flat_map(|rollout| &rollout.transforms);
    let is_shadow = mode == model::RolloutMode::Shadow;
    Some(RolloutStatus {
        mode,
        share_percent,
        by,
        promote_after,
        transforms: transforms.map(transform_status).collect(),
        stable: version_status(&shape.stable.numbers()),
        candidate: version_status(&candidate.version.numbers()),
        comparison: is_shadow.then(|| serde_json::to_value(candidate.comparison()).unwrap_or_default()),
        reliable: shape.stable.chain.is_pure() && candidate.version.chain.is_pure(),
    })
}

/// A rollout's mode as the API says it.
struct Said {
    mode: model::RolloutMode,
    share_percent: Option<f64>,
    by: Option<model::ShareBy>,
    promote_after: Option<u64>,
}

fn said(mode: RolloutMode) -> Said {
    match mode {
        RolloutMode::Share { share, by } => Said {
            mode: model::RolloutMode::Share,
            share_percent: Some(f64::from(share) / 100.0),
            by: Some(match by {
                ShareBy::Batches => model::ShareBy::Batches,
                ShareBy::Keys => model::ShareBy::Keys,
            }),
            promote_after: None,
        },
        RolloutMode::Shadow { promote_after } => {
            Said { mode: model::RolloutMode::Shadow, share_percent: None, by: None, promote_after }
        }
    }
}

pub(super) fn share_by(by: model::ShareBy) -> ShareBy {
    match by {
        model::ShareBy::Batches => ShareBy::Batches,
        model::ShareBy::Keys => ShareBy::Keys,
    }
}

/// How a candidate comes in; `None`: not as a candidate.
pub(super) fn rollout_mode(way: Way) -> Option<RolloutMode> {
    match way {
        Way::All => None,
        Way::Share { share, by } => Some(RolloutMode::Share { share, by: share_by(by) }),
        Way::Shadow { promote_after } => Some(RolloutMode::Shadow { promote_after }),
    }
}
