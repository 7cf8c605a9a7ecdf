//! What people and programs may do to a running pipeline.
//!
//! Owns the translation between the control API's words and the pipeline's. Decides nothing. Invariant: every
//! operation goes through here, whether a request, a signal or a changed file asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::context::Context;
use super::error::chain_text;
use super::operator_words::{
    boundary_status, lane_status, probe_report, revision_status, rollout_mode, rollout_status, share_by,
    transform_status, version_status,
};
use super::revisions::{Change, Changed, Notice, Rejected, boundaries, rejection_text};
use super::roster::Activity;
use crate::control::model::{
    LaneStatus, PauseStatus, PipelineState, PipelineStatus, Refusal, RevisionStatus, ShareBy, SwapOptions,
    SwapReport, Way,
};
use crate::control::{Declined, Operate};

type Result<T> = std::result::Result<T, Declined>;

/// Orders that may wait for the supervisor.
pub(super) const ORDERS: usize = 16;

/// What the supervisor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Lanes that a circuit breaker holds try again.
    TryHeld,
    /// All lanes stop reading, or go on.
    Pause(bool),
    /// The pipeline ends.
    Drain,
}

/// What all that order and obey know of each other.
#[derive(Debug, Default)]
pub(super) struct Phase {
    /// The lanes are told to pause.
    pub(super) is_paused: AtomicBool,
    /// The pipeline is ending.
    pub(super) is_draining: AtomicBool,
}

/// Operates one pipeline.
#[derive(Clone, Debug)]
pub struct Operator {
    pub(super) context: Arc<Context>,
    orders: mpsc::Sender<Order>,
}

impl Operator {
    pub(super) fn new(context: Arc<Context>, orders: mpsc::Sender<Order>) -> Self {
        Self { context, orders }
    }

    /// Lanes that a circuit breaker holds try again at once.
    pub fn try_held(&self) {
        let _repeats_may_be_dropped = self.orders.try_send(Order::TryHeld);
    }

    /// This host's files are read again, and what changed is taken in, all or nothing; the log says it.
    pub fn reload_files(&self) {
        self.context.shapes.notice(Notice::Reload);
    }

    fn known(&self, name: &str) -> Result<()> {
        let own = &*self.context.own.name;
        if name == own { Ok(()) } else { Err(Declined::no_pipeline(name, &[own])) }
    }

    async fn order(&self, name: &str, order: Order) -> Result<PipelineStatus> {
        self.known(name)?;
        if self.orders.send(order).await.is_err() {
            let refusal = Refusal::new("ending", "the pipeline has ended");
            return Err(Declined::Unavailable(refusal));
        }
        // Said at once, though the lanes come to it a moment later.
        match order {
            Order::Pause(pause) => self.context.phase.is_paused.store(pause, Ordering::Relaxed),
            Order::Drain => self.context.phase.is_draining.store(true, Ordering::Relaxed),
            Order::TryHeld => {}
        }
        Ok(self.status())
    }

    fn status(&self) -> PipelineStatus {
        let context = &self.context;
        let current = context.shapes.current();
        let shape = &current.shape;
        let (lanes, held_lanes) = context.roster.count(Activity::Held);
        let state = if context.phase.is_draining.load(Ordering::Relaxed) {
            PipelineState::Draining
        } else if current.unable.is_some() {
            PipelineState::Unable
        } else if context.phase.is_paused.load(Ordering::Relaxed) {
            PipelineState::Paused
        } else {
            PipelineState::Running
        };
        PipelineStatus {
            name: context.own.name.clone(),
            state,
            why: current
                .unable
                .as_ref()
                .map(|unable| format!("revision {}: {}", unable.revision, unable.why)),
            revision: shape.revision,
            config_digest: shape.config.digest.clone(),
            transforms: shape.document.transforms.iter().map(transform_status).collect(),
            rollout: rollout_status(shape),
            version: version_status(&shape.stable.numbers()),
            lanes,
            held_lanes,
            halted_lanes: context.roster.count(Activity::Halted).1,
        }
    }

    async fn change(&self, name: &str, change: Change, wait: Duration) -> Result<SwapReport> {
        self.known(name)?;
        let changed =
            self.context.shapes.change(change, None).await.map_err(|rejected| declined(&rejected))?;
        Ok(self.report(changed, wait).await)
    }

    /// What a change did, once every partition has shown it, or the time is over.
    async fn report(&self, changed: Changed, wait: Duration) -> SwapReport {
        let Changed { from, shape, what, probe } = changed;
        let revision = shape.revision;
        let boundaries = boundaries(&self.context, revision, wait).await;
        let pauses = self.context.shapes.pauses(revision);
        let stood = pauses.values().map(|pause| pause.stood.as_secs_f64() * 1e3).collect();
        let status = |boundary| boundary_status(boundary, &pauses);
        let partitions: Vec<_> = boundaries.iter().map(status).collect();
        SwapReport {
            revision,
            from_revision: from,
            changed: revision != from,
            what,
            probe: probe.as_ref().map(probe_report),
            complete: partitions.iter().all(|it| it.state != crate::control::model::Boundary::Pending),
            partitions,
            pause_ms: PauseStatus::of(stood),
        }
    }
}

/// Why a change was not made, in the API's words.
pub(super) fn declined(rejected: &Rejected) -> Declined {
    let refusal = |code: &str| Refusal::new(code, rejection_text(rejected));
    match rejected {
        Rejected::NoTransform { .. } => Declined::NotFound(refusal("no-transform")),
        Rejected::NoRevision(_) | Rejected::NothingBefore(_) => {
            Declined::NotFound(refusal("no-revision").hint("`host revisions` lists those that there are"))
        }
        Rejected::NoCandidate(_) => Declined::Refused(
            refusal("no-candidate").hint("`host swap` with `--share` or `--shadow` brings one in"),
        ),
        Rejected::CandidateStands(_) => Declined::Conflict(refusal("candidate-stands")),
        Rejected::Shadow(_) => Declined::Refused(refusal("shadow")),
        Rejected::NeedsRestart(_) => Declined::Refused(refusal("needs-restart")),
        Rejected::Trial { .. } => Declined::Refused(refusal("trial").hint(
            "the old version goes on; mend the new one, or take it as it is with `--force`: what fails becomes \
             dead letters",
        )),
        Rejected::Overtaken(_) => {
            Declined::Conflict(refusal("overtaken").hint("look at `host revisions`, and try again"))
        }
        Rejected::Unable { .. } => Declined::Unavailable(refusal("unable")),
        Rejected::Failed(error) => match error.hint() {
            _ if error.may_pass() => Declined::Unavailable(refusal("ledger-away")),
            Some(hint) => Declined::Refused(refusal("refused").hint(hint)),
            None => Declined::Refused(refusal("refused")),
        },
    }
}

#[async_trait]
impl Operate for Operator {
    async fn pipelines(&self) -> Vec<PipelineStatus> {
        vec![self.status()]
    }

    async fn pipeline(&self, name: &str) -> Result<PipelineStatus> {
        self.known(name)?;
        Ok(self.status())
    }

    async fn lanes(&self, name: &str) -> Result<Vec<LaneStatus>> {
        self.known(name)?;
        Ok(self.context.roster.all().iter().map(|(lane, facts)| lane_status(lane, facts)).collect())
    }

    async fn revisions(&self, name: &str, limit: usize) -> Result<Vec<RevisionStatus>> {
        self.known(name)?;
        let history = self
            .context
            .shapes
            .history(limit)
            .await
            .map_err(|error| Declined::Unavailable(Refusal::new("ledger-away", chain_text(&error))))?;
        let current = self.context.shapes.shape().revision;
        Ok(history.iter().map(|revision| revision_status(revision, current)).collect())
    }

    async fn swap(
        &self,
        name: &str,
        transform: &str,
        component: Bytes,
        options: SwapOptions,
    ) -> Result<SwapReport> {
        let rollout = match options.way().map_err(Declined::Refused)? {
            Way::All => None,
            way => rollout_mode(way),
        };
        let transform = transform.to_owned();
        let change = Change::Swap { transform, component, rollout, force: options.force };
        self.change(name, change, Duration::from_millis(options.timeout_ms)).await
    }

    async fn promote(&self, name: &str, wait: Duration) -> Result<SwapReport> {
        self.change(name, Change::Promote, wait).await
    }

    async fn abort(&self, name: &str, wait: Duration) -> Result<SwapReport> {
        self.change(name, Change::Abort, wait).await
    }

    async fn rollback(&self, name: &str, to: Option<u64>, wait: Duration) -> Result<SwapReport> {
        self.change(name, Change::Rollback(to), wait).await
    }

    async fn weights(
        &self,
        name: &str,
        share: u16,
        by: Option<ShareBy>,
        wait: Duration,
    ) -> Result<SwapReport> {
        self.change(name, Change::Weights { share, by: by.map(share_by) }, wait).await
    }

    async fn reload(&self, name: &str, wait: Duration) -> Result<SwapReport> {
        self.change(name, Change::Reload, wait).await
    }

    async fn pause(&self, name: &str) -> Result<PipelineStatus> {
        self.order(name, Order::Pause(true)).await
    }

    async fn resume(&self, name: &str) -> Result<PipelineStatus> {
        self.known(name)?;
        self.try_held();
        self.order(name, Order::Pause(false)).await
    }

    async fn drain(&self, name: &str) -> Result<PipelineStatus> {
        self.order(name, Order::Drain).await
    }
}
