//! Does what a request asks for, on a task of its own, so that a caller who hangs up takes nothing back.

use std::sync::Arc;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::orders::Order;
use super::{Rejection, Shared};
use crate::control::DOCUMENT;
use crate::control::model::{
    Health, Lanes, PipelineHealth, PipelineState, PipelineStatus, Pipelines, Revisions, SwapReport,
};
use crate::control::operate::Operate;

type Answer = Result<Response, Rejection>;

/// Does it and answers, within the order's time; `permits` are held until it is done.
pub(super) async fn answer(
    shared: &Shared,
    order: Order,
    body: Bytes,
    permits: Vec<OwnedSemaphorePermit>,
) -> Answer {
    if !matches!(order, Order::Swap { .. }) && !body.is_empty() {
        return Err(Rejection::bad_request("this path takes no body; what it takes stands in the query"));
    }
    if let Some((pipeline, operation)) = order.change() {
        tracing::info!(pipeline, operation, "ordered over the control API");
    }
    let limit = order.limit();
    let (operate, end) = (Arc::clone(&shared.operate), shared.end.clone());
    let task = shared.tasks.spawn(async move {
        let _until_done = permits;
        tokio::select! {
            biased;
            () = end.cancelled() => Err(Rejection::stopping()),
            done = perform(&*operate, order, body) => done,
        }
    });
    match tokio::time::timeout(limit, task).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            tracing::error!(%error, "an operation of the control API ended in a panic");
            Err(Rejection::internal())
        }
        Err(_) => Err(Rejection::late()),
    }
}

async fn perform(operate: &dyn Operate, order: Order, body: Bytes) -> Answer {
    match order {
        Order::Health => {
            let health = health(&operate.pipelines().await);
            let status = if health.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            Ok((status, Json(health)).into_response())
        }
        Order::Document => Ok(([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()),
        Order::Pipelines => done(&Pipelines { pipelines: operate.pipelines().await }),
        Order::Pipeline(name) => done(&operate.pipeline(&name).await?),
        Order::Lanes(name) => done(&Lanes { lanes: operate.lanes(&name).await? }),
        Order::Revisions(name, limit) => {
            done(&Revisions { revisions: operate.revisions(&name, limit).await? })
        }
        Order::Swap { pipeline, transform, options } => {
            changed(&operate.swap(&pipeline, &transform, body, options).await?)
        }
        Order::Promote(name, wait) => changed(&operate.promote(&name, wait).await?),
        Order::Abort(name, wait) => changed(&operate.abort(&name, wait).await?),
        Order::Rollback(name, to, wait) => changed(&operate.rollback(&name, to, wait).await?),
        Order::Weights { pipeline, share, by, wait } => {
            changed(&operate.weights(&pipeline, share, by, wait).await?)
        }
        Order::Reload(name, wait) => changed(&operate.reload(&name, wait).await?),
        Order::Pause(name) => done(&operate.pause(&name).await?),
        Order::Resume(name) => done(&operate.resume(&name).await?),
        Order::Drain(name) => done(&operate.drain(&name).await?),
    }
}

fn done<T: Serialize>(body: &T) -> Answer {
    Ok(Json(body).into_response())
}

/// A change is made in any case; not every partition has shown it where the status is 202.
fn changed(report: &SwapReport) -> Answer {
    let status = if report.complete { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(report)).into_response())
}

/// How well the pipelines are, in words that anybody may read.
fn health(pipelines: &[PipelineStatus]) -> Health {
    let pipelines: Vec<_> = pipelines.iter().map(pipeline_health).collect();
    Health {
        healthy: pipelines.iter().all(|pipeline| pipeline.healthy),
        version: String::from(env!("CARGO_PKG_VERSION")),
        pipelines,
    }
}

fn pipeline_health(status: &PipelineStatus) -> PipelineHealth {
    let PipelineStatus { name, state, lanes, held_lanes, halted_lanes, .. } = status;
    let mut reasons = Vec::new();
    match state {
        PipelineState::Running => {}
        PipelineState::Paused => reasons.push(String::from("it is paused")),
        PipelineState::Draining => reasons.push(String::from("it drains")),
        PipelineState::Unable => reasons.push(String::from("it can't run here")),
    }
    if *halted_lanes > 0 {
        reasons.push(format!("{halted_lanes} of {lanes} lanes halted"));
    }
    let healthy = reasons.is_empty();
    // A lane that is held goes on by itself: it is told, and is no reason to restart anything.
    if *held_lanes > 0 {
        reasons.push(format!("{held_lanes} of {lanes} lanes are held"));
    }
    let reason = (!reasons.is_empty()).then(|| reasons.join(", "));
    PipelineHealth { name: name.clone(), healthy, state: *state, reason }
}
