//! What the control API asks of whoever runs pipelines.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::model::{LaneStatus, PipelineStatus, Refusal, RevisionStatus, ShareBy, SwapOptions, SwapReport};

/// A result of [`Operate`].
pub type Result<T> = std::result::Result<T, Declined>;

/// Why an operation was not done; the variant decides the status of the answer.
///
/// Codes of the refusals are the implementation's, but `no-pipeline`, `no-transform` and `no-revision` are
/// these: commands look for them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// There is no such pipeline, transform or revision here: 404.
    #[error("{0}")]
    NotFound(Refusal),
    /// It was looked at and is not taken, and everything goes on as before: 422. A component that does not
    /// compile, a configuration that needs a restart, an abort without a rollout.
    #[error("{0}")]
    Refused(Refusal),
    /// Something else changed, or changes, at the same time: 409. The caller may look and ask again.
    #[error("{0}")]
    Conflict(Refusal),
    /// It can't be done at the moment, since something that it needs is away: 503. Nothing changed.
    #[error("{0}")]
    Unavailable(Refusal),
    /// It is not known in time whether it was done: 504. The revisions say it.
    #[error("{0}")]
    Timeout(Refusal),
}

impl Declined {
    /// What is said about it.
    #[must_use]
    pub fn refusal(&self) -> &Refusal {
        match self {
            Self::NotFound(refusal)
            | Self::Refused(refusal)
            | Self::Conflict(refusal)
            | Self::Unavailable(refusal)
            | Self::Timeout(refusal) => refusal,
        }
    }

    /// No pipeline of that name runs here.
    #[must_use]
    pub fn no_pipeline(name: &str, there_are: &[&str]) -> Self {
        let names: Vec<_> = there_are.iter().map(|name| format!("`{name}`")).collect();
        let hint = if names.is_empty() {
            String::from("this host runs no pipeline")
        } else {
            format!("this host runs {}", names.join(", "))
        };
        Self::NotFound(Refusal::new("no-pipeline", format!("there is no pipeline `{name}` here")).hint(hint))
    }
}

/// The operations behind the control API, by the name of a pipeline.
///
/// The server calls it from many tasks at once, one task a request, and lets every call run to its end:
/// a caller that hangs up, or the request's own time limit, takes nothing back. Only the end of the server
/// drops calls that are under way, so that a call may be dropped at any `await` and has to leave either the
/// old revision or the new one, never a mixture. Two changes of a pipeline at once are the implementation's
/// to order; the later one may be a [`Declined::Conflict`].
///
/// What only looks (`pipelines` to `revisions`) is declined as not found, unavailable or late at the most.
///
/// A change (`swap` to `reload`) refuses before it changes anything. Once there is a new revision it
/// succeeds: it waits for `wait` at the most (a swap: [`SwapOptions::timeout_ms`]) until every partition has
/// shown the revision, whichever host has it, and reports what it has seen; partitions that it has not seen
/// are pending, and `complete` is false. The wait begins with the revision: compiling and trying a component
/// before that take what they take. Content equal to the current revision's makes no new one: `changed` is
/// false, and the report tells the boundaries of the revision that stands.
#[async_trait]
pub trait Operate: Send + Sync {
    /// All pipelines of this process, by name. Quick: health is asked for every few seconds.
    async fn pipelines(&self) -> Vec<PipelineStatus>;

    /// One of them.
    async fn pipeline(&self, name: &str) -> Result<PipelineStatus>;

    /// Its lanes on this host, by topic and partition.
    async fn lanes(&self, name: &str) -> Result<Vec<LaneStatus>>;

    /// Its revisions from the ledger, the newest first, `limit` at the most.
    async fn revisions(&self, name: &str, limit: usize) -> Result<Vec<RevisionStatus>>;

    /// Takes `component` as the new code of a transform. The options fit each other
    /// ([`SwapOptions::way`] succeeds), and the component is at most 64 MiB and unlooked at.
    async fn swap(
        &self,
        name: &str,
        transform: &str,
        component: Bytes,
        options: SwapOptions,
    ) -> Result<SwapReport>;

    /// Makes the candidate the stable version; refused without a rollout.
    async fn promote(&self, name: &str, wait: Duration) -> Result<SwapReport>;

    /// Gives the candidate up; refused without a rollout.
    async fn abort(&self, name: &str, wait: Duration) -> Result<SwapReport>;

    /// Makes a new revision with the content of an older one: of `to`, or of the one before the current one
    /// that had other content.
    async fn rollback(&self, name: &str, to: Option<u64>, wait: Duration) -> Result<SwapReport>;

    /// Changes the share of a running rollout: hundredths of a percent from 1 to 10,000; `by` as it was
    /// where it is none. Refused without a rollout, and of a shadow.
    async fn weights(
        &self,
        name: &str,
        share: u16,
        by: Option<ShareBy>,
        wait: Duration,
    ) -> Result<SwapReport>;

    /// Reads the pipeline's file again, and every file that it names, and takes what changed, all or nothing.
    async fn reload(&self, name: &str, wait: Duration) -> Result<SwapReport>;

    /// Stops reading, at the next batch of each lane; what is buffered is delivered. Answers once it is ordered.
    /// A pipeline that is paused stays so.
    async fn pause(&self, name: &str) -> Result<PipelineStatus>;

    /// Ends a pause, and lets lanes that a circuit breaker holds try again. A pipeline that runs goes on.
    async fn resume(&self, name: &str) -> Result<PipelineStatus>;

    /// Delivers what is buffered and ends the pipeline, as a stop of the process does. Answers once it is
    /// ordered.
    async fn drain(&self, name: &str) -> Result<PipelineStatus>;
}
