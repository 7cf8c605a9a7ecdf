//! What a request asks for, before anything is done: its path and its query, checked.

use std::time::Duration;

use axum::extract::{Query, RawPathParams};
use axum::http::Uri;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Rejection;
use super::routes::Call;
use crate::control::model::{
    ReloadOptions, RevisionsOptions, RollbackOptions, ShareBy, SwapOptions, TIMEOUT_MS_MAX, WaitOptions,
    WeightsOptions, hundredths,
};

/// How long to wait for what is only looked at: a long list of revisions is as many requests to a store.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// How long a change may take beside the wait for its partitions: compiling and trying a large component.
const CHANGE_LIMIT: Duration = Duration::from_secs(120);

/// A request that makes sense.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Order {
    Health,
    Document,
    Pipelines,
    Pipeline(String),
    Lanes(String),
    Revisions(String, usize),
    Swap { pipeline: String, transform: String, options: SwapOptions },
    Promote(String, Duration),
    Abort(String, Duration),
    Rollback(String, Option<u64>, Duration),
    Weights { pipeline: String, share: u16, by: Option<ShareBy>, wait: Duration },
    Reload(String, Duration),
    Pause(String),
    Resume(String),
    Drain(String),
}

/// The query of a request that takes none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

impl Order {
    /// What a call with this path and query asks for.
    pub(super) fn new(call: Call, names: &RawPathParams, uri: &Uri) -> Result<Self, Rejection> {
        let named = |wanted: &str| {
            let found = names.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| value.to_owned()).ok_or_else(Rejection::internal)
        };
        Ok(match call {
            Call::Swap => {
                let options: SwapOptions = query(uri)?;
                options.way().map_err(Rejection::bad_options)?;
                waited(options.timeout_ms)?;
                Self::Swap { pipeline: named("pipeline")?, transform: named("transform")?, options }
            }
            Call::Revisions => {
                let RevisionsOptions { limit } = query(uri)?;
                if !(1..=RevisionsOptions::LIMIT_MAX).contains(&limit) {
                    let most = RevisionsOptions::LIMIT_MAX;
                    return Err(Rejection::bad_request(format!("`limit` is {limit}, expected 1 to {most}")));
                }
                Self::Revisions(named("pipeline")?, limit)
            }
            Call::Rollback => {
                let RollbackOptions { to, timeout_ms } = query(uri)?;
                Self::Rollback(named("pipeline")?, to, waited(timeout_ms)?)
            }
            Call::Weights => {
                let WeightsOptions { share_percent, by, timeout_ms } = query(uri)?;
                let share = hundredths(share_percent).map_err(Rejection::bad_options)?;
                Self::Weights { pipeline: named("pipeline")?, share, by, wait: waited(timeout_ms)? }
            }
            Call::Promote => Self::Promote(named("pipeline")?, wait(uri)?),
            Call::Abort => Self::Abort(named("pipeline")?, wait(uri)?),
            Call::Reload => {
                let ReloadOptions { timeout_ms } = query(uri)?;
                Self::Reload(named("pipeline")?, waited(timeout_ms)?)
            }
            plain => {
                let NoOptions {} = query(uri)?;
                Self::plain(plain, named)?
            }
        })
    }

    /// Of a call that takes no options.
    fn plain(call: Call, named: impl Fn(&str) -> Result<String, Rejection>) -> Result<Self, Rejection> {
        Ok(match call {
            Call::Health => Self::Health,
            Call::Document => Self::Document,
            Call::Pipelines => Self::Pipelines,
            Call::Pipeline => Self::Pipeline(named("pipeline")?),
            Call::Lanes => Self::Lanes(named("pipeline")?),
            Call::Pause => Self::Pause(named("pipeline")?),
            Call::Resume => Self::Resume(named("pipeline")?),
            Call::Drain => Self::Drain(named("pipeline")?),
            Call::Revisions
            | Call::Swap
            | Call::Promote
            | Call::Abort
            | Call::Rollback
            | Call::Weights
            | Call::Reload => return Err(Rejection::internal()),
        })
    }

    /// How long it may take until its caller is answered.
    pub(super) fn limit(&self) -> Duration {
        match self {
            Self::Swap { options, .. } => CHANGE_LIMIT + Duration::from_millis(options.timeout_ms),
            Self::Promote(_, wait)
            | Self::Abort(_, wait)
            | Self::Rollback(_, _, wait)
            | Self::Reload(_, wait) => CHANGE_LIMIT + *wait,
            Self::Weights { wait, .. } => CHANGE_LIMIT + *wait,
            _ => READ_LIMIT,
        }
    }

    /// Pipeline and operation of a change, for the log.
    pub(super) fn change(&self) -> Option<(&str, &'static str)> {
        match self {
            Self::Health
            | Self::Document
            | Self::Pipelines
            | Self::Pipeline(_)
            | Self::Lanes(_)
            | Self::Revisions(..) => None,
            Self::Swap { pipeline, .. } => Some((pipeline, "swap")),
            Self::Promote(pipeline, _) => Some((pipeline, "promote")),
            Self::Abort(pipeline, _) => Some((pipeline, "abort")),
            Self::Rollback(pipeline, ..) => Some((pipeline, "rollback")),
            Self::Weights { pipeline, .. } => Some((pipeline, "weights")),
            Self::Reload(pipeline, _) => Some((pipeline, "reload")),
            Self::Pause(pipeline) => Some((pipeline, "pause")),
            Self::Resume(pipeline) => Some((pipeline, "resume")),
            Self::Drain(pipeline) => Some((pipeline, "drain")),
        }
    }
}

fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Rejection> {
    match Query::try_from_uri(uri) {
        Ok(Query(options)) => Ok(options),
        Err(error) => {
            let text = error.body_text();
            let wrong = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            Err(Rejection::bad_request(format!("the query is wrong: {wrong}")))
        }
    }
}

fn wait(uri: &Uri) -> Result<Duration, Rejection> {
    let WaitOptions { timeout_ms } = query(uri)?;
    waited(timeout_ms)
}

fn waited(timeout_ms: u64) -> Result<Duration, Rejection> {
    if timeout_ms > TIMEOUT_MS_MAX {
        let message = format!("`timeout_ms` is {timeout_ms}, expected {TIMEOUT_MS_MAX} at the most");
        return Err(Rejection::bad_request(message));
    }
    Ok(Duration::from_millis(timeout_ms))
}
