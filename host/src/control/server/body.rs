//! Bodies of requests, bounded in bytes and in time.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use super::Rejection;
use crate::control::COMPONENT_BYTES_MAX;

/// Bytes of a body that is no component.
pub(super) const BODY_BYTES_MAX: usize = 64 << 10;

/// How long a component may take to come in: 64 MiB at 1 MiB/s.
pub(super) const COMPONENT_LIMIT: Duration = Duration::from_secs(64);

/// How long any other body may take.
pub(super) const BODY_LIMIT: Duration = Duration::from_secs(5);

/// Reads a body of `limit` bytes at the most.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    time: Duration,
) -> Result<Bytes, Rejection> {
    if announced(headers).is_some_and(|bytes| bytes > limit as u64) {
        if !waits_for_leave(headers) {
            discard(body).await;
        }
        return Err(Rejection::too_large(limit));
    }
    let room = announced(headers).and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default();
    match tokio::time::timeout(time, collect(body, limit, room)).await {
        Ok(collected) => collected,
        Err(_) => Err(Rejection::body_slow()),
    }
}

async fn collect(body: Body, limit: usize, room: usize) -> Result<Bytes, Rejection> {
    let mut chunks = body.into_data_stream();
    let mut collected = BytesMut::with_capacity(room);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Rejection::body_broken())?;
        if chunk.len() > limit - collected.len() {
            return Err(Rejection::too_large(limit));
        }
        collected.extend_from_slice(&chunk);
    }
    Ok(collected.freeze())
}

/// Takes in and throws away what a refused request still sends: a caller that is busy sending would find its
/// connection broken instead of the answer.
pub(super) async fn refuse(headers: &HeaderMap, body: Body) {
    if !waits_for_leave(headers) {
        discard(body).await;
    }
}

async fn discard(body: Body) {
    let mut chunks = body.into_data_stream();
    let mut left = COMPONENT_BYTES_MAX;
    let discarded = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                break;
            }
        }
    };
    let _answered_in_any_case = tokio::time::timeout(BODY_LIMIT, discarded).await;
}

/// The length that the head names.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the caller sends its body only once it is told to.
fn waits_for_leave(headers: &HeaderMap) -> bool {
    headers
        .get(header::EXPECT)
        .is_some_and(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
