//! Somebody behind the control API: remembers what was asked, and answers what a test wants.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use host::config::Secret;
use host::control::model::{
    Boundary, Cause, LaneState, LaneStatus, PartitionBoundary, PauseStatus, PipelineState, PipelineStatus,
    ProbeReport, RevisionStatus, RolloutMode, RolloutShort, RolloutStatus, ShareBy, SwapOptions, SwapReport,
    TransformStatus, VersionStatus,
};
use host::control::operate::Result;
use host::control::{Declined, Operate, Server};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::wire::Host;

/// The pipeline that there is.
pub(crate) const PIPELINE: &str = "access-logs";

/// What a call does.
#[derive(Clone, Debug, Default)]
pub(crate) enum Behaviour {
    /// It succeeds.
    #[default]
    Succeed,
    /// It succeeds, but a partition has not shown the change.
    Pend,
    /// It is declined.
    Decline(Declined),
    /// It panics.
    Panic,
    /// It waits for [`Fake::released`], then succeeds.
    Wait,
}

/// What is behind the API.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    behaviour: Mutex<Behaviour>,
    state: Mutex<Option<PipelineState>>,
    /// Calls that began.
    begun: Mutex<Vec<String>>,
    /// Calls that came to their end.
    ended: Mutex<Vec<String>>,
    pub(crate) released: Notify,
}

impl Fake {
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().expect("never poisoned") = behaviour;
    }

    pub(crate) fn set_state(&self, state: PipelineState) {
        *self.state.lock().expect("never poisoned") = Some(state);
    }

    pub(crate) fn begun(&self) -> Vec<String> {
        self.begun.lock().expect("never poisoned").clone()
    }

    pub(crate) fn ended(&self) -> Vec<String> {
        self.ended.lock().expect("never poisoned").clone()
    }

    /// Waits until `enough` calls began.
    pub(crate) async fn until_begun(&self, enough: usize) {
        while self.begun.lock().expect("never poisoned").len() < enough {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn called(&self, name: Option<&str>, call: String) -> Result<bool> {
        self.begun.lock().expect("never poisoned").push(call.clone());
        let behaviour = self.behaviour.lock().expect("never poisoned").clone();
        match behaviour {
            Behaviour::Decline(declined) => return Err(declined),
            Behaviour::Panic => panic!("as the test wants it"),
            Behaviour::Wait => self.released.notified().await,
            Behaviour::Succeed | Behaviour::Pend => {}
        }
        if let Some(name) = name.filter(|name| *name != PIPELINE) {
            return Err(Declined::no_pipeline(name, &[PIPELINE]));
        }
        self.ended.lock().expect("never poisoned").push(call);
        Ok(!matches!(behaviour, Behaviour::Pend))
    }

    async fn changed(&self, name: &str, call: String) -> Result<SwapReport> {
        self.called(Some(name), call).await.map(report)
    }

    fn status(&self) -> PipelineStatus {
        let state = self.state.lock().expect("never poisoned").unwrap_or(PipelineState::Running);
        PipelineStatus {
            name: String::from(PIPELINE),
            state,
            why: (state == PipelineState::Unable).then(|| String::from("a secret reason")),
            revision: 7,
            config_digest: digest('c'),
            transforms: vec![transform('a')],
            rollout: Some(rollout()),
            version: version(1.5),
            lanes: 3,
            held_lanes: 1,
            halted_lanes: 0,
        }
    }
}

#[async_trait]
impl Operate for Fake {
    async fn pipelines(&self) -> Vec<PipelineStatus> {
        match self.called(None, String::from("pipelines")).await {
            Ok(_) => vec![self.status()],
            Err(_) => Vec::new(),
        }
    }

    async fn pipeline(&self, name: &str) -> Result<PipelineStatus> {
        self.called(Some(name), format!("pipeline {name}")).await.map(|_| self.status())
    }

    async fn lanes(&self, name: &str) -> Result<Vec<LaneStatus>> {
        self.called(Some(name), format!("lanes {name}")).await?;
        let states =
            [LaneState::Working, LaneState::Held, LaneState::Paused, LaneState::Halted, LaneState::Beginning];
        Ok((0..).zip(states).map(|(partition, state)| lane(partition, state)).collect())
    }

    async fn revisions(&self, name: &str, limit: usize) -> Result<Vec<RevisionStatus>> {
        self.called(Some(name), format!("revisions {name} {limit}")).await?;
        Ok(revisions())
    }

    async fn swap(
        &self,
        name: &str,
        transform: &str,
        component: Bytes,
        options: SwapOptions,
    ) -> Result<SwapReport> {
        let way = options.way().expect("the server checked it");
        let SwapOptions { timeout_ms, force, .. } = options;
        let bytes = component.len();
        let call = format!("swap {name}/{transform} {bytes} {way:?} {timeout_ms} force={force}");
        self.changed(name, call).await
    }

    async fn promote(&self, name: &str, wait: Duration) -> Result<SwapReport> {
        self.changed(name, format!("promote {name} {wait:?}")).await
    }

    async fn abort(&self, name: &str, wait: Duration) -> Result<SwapReport> {
        self.changed(name, format!("abort {name} {wait:?}")).await
    }

    async fn rollback(&self, name: &str, to: Option<u64>, wait: Duration) -> Result<SwapReport> {
        self.changed(name, format!("rollback {name} {to:?} {wait:?}")).await
    }

    async fn weights(
        &self,
        name: &str,
        share: u16,
        by: Option<ShareBy>,
        wait: Duration,
    ) -> Result<SwapReport> {
        self.changed(name, format!("weights {name} {share} {by:?} {wait:?}")).await
    }

    async fn reload(&self, name: &str, wait: Duration) -> Result<SwapReport> {
        self.changed(name, format!("reload {name} {wait:?}")).await
    }

    async fn pause(&self, name: &str) -> Result<PipelineStatus> {
        self.called(Some(name), format!("pause {name}")).await.map(|_| self.status())
    }

    async fn resume(&self, name: &str) -> Result<PipelineStatus> {
        self.called(Some(name), format!("resume {name}")).await.map(|_| self.status())
    }

    async fn drain(&self, name: &str) -> Result<PipelineStatus> {
        self.called(Some(name), format!("drain {name}")).await.map(|_| self.status())
    }
}

fn digest(of: char) -> String {
    format!("sha256:{}", of.to_string().repeat(64))
}

fn transform(of: char) -> TransformStatus {
    TransformStatus {
        name: String::from("parse"),
        plugin: Some(String::from("access-log")),
        version: Some(String::from("1.2.0")),
        digest: digest(of),
        grants: vec![String::from("clock")],
    }
}

fn version(mean_batch_ms: f64) -> VersionStatus {
    VersionStatus {
        batches: 10,
        records: 100,
        failed: 1,
        failed_outputs: 2,
        dropped: 3,
        outputs: 96,
        output_bytes: 9_600,
        mean_batch_ms,
    }
}

fn rollout() -> RolloutStatus {
    RolloutStatus {
        mode: RolloutMode::Share,
        share_percent: Some(12.5),
        by: Some(ShareBy::Keys),
        promote_after: Some(1_000),
        transforms: vec![transform('b')],
        stable: version(1.0),
        candidate: version(2.0),
        comparison: Some(serde_json::json!({ "records": 100, "equal": 99 })),
        reliable: true,
    }
}

fn lane(partition: i32, state: LaneState) -> LaneStatus {
    LaneStatus { topic: String::from(PIPELINE), partition, state, position: 90, committed: 80, revision: 7 }
}

fn revisions() -> Vec<RevisionStatus> {
    let causes = [
        Cause::Rollback,
        Cause::Reload,
        Cause::Abort,
        Cause::Promote,
        Cause::Rollout,
        Cause::Swap,
        Cause::Start,
    ];
    let one = |(revision, cause): (u64, Cause)| RevisionStatus {
        revision,
        cause,
        of: (cause == Cause::Rollback).then_some(5),
        why: (cause == Cause::Rollback).then(|| String::from("7 of 100 records failed")),
        made_at: String::from("2026-11-24T18:47:20Z"),
        made_by: String::from("lake-1/4242"),
        config_digest: digest('c'),
        transforms: vec![transform('a')],
        rollout: (cause == Cause::Rollout).then(|| RolloutShort {
            mode: RolloutMode::Shadow,
            share_percent: Some(12.5),
            by: Some(ShareBy::Batches),
            promote_after: Some(1_000),
            transforms: vec![transform('b')],
        }),
        current: revision == 7,
    };
    (1..=7).rev().zip(causes).map(one).collect()
}

fn report(complete: bool) -> SwapReport {
    let boundary = |partition, state| PartitionBoundary {
        topic: String::from(PIPELINE),
        partition,
        state,
        last_old: (state == Boundary::Swapped).then_some(12_345),
        first_new: (state != Boundary::Pending).then_some(12_346),
        entry: (state == Boundary::Swapped).then_some(12_346),
        pause_ms: (state == Boundary::Swapped).then_some(3.12),
        waited_ms: (state == Boundary::Swapped).then_some(41.0),
    };
    let mut partitions = vec![boundary(0, Boundary::Swapped), boundary(1, Boundary::Idle)];
    if !complete {
        partitions.push(boundary(2, Boundary::Pending));
    }
    SwapReport {
        revision: 8,
        from_revision: 7,
        changed: true,
        what: vec![String::from("transform `parse`: swap at next cut")],
        probe: Some(ProbeReport {
            records: 100,
            failed: 0,
            lines: vec![String::from("90 outputs are equal")],
        }),
        partitions,
        pause_ms: PauseStatus::of(vec![3.12]),
        complete,
    }
}

/// A server with a fake behind it.
pub(crate) struct Running {
    pub(crate) fake: Arc<Fake>,
    pub(crate) host: Host,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<()>,
}

/// Starts a server on a port that is free.
pub(crate) async fn start(token: Option<&str>) -> Running {
    let fake = Arc::new(Fake::default());
    let address = "127.0.0.1:0".parse().expect("an address");
    let operate: Arc<dyn Operate> = Arc::clone(&fake) as _;
    let server =
        Server::bind(address, token.map(Secret::new).as_ref(), operate).await.expect("a port is free");
    let (host, stop) = (Host(server.local_address()), CancellationToken::new());
    let served = tokio::spawn(server.serve(stop.clone()));
    Running { fake, host, stop, served }
}
