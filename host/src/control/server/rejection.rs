//! Answers that are no success.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::control::model::Refusal;
use crate::control::operate::Declined;

/// A refusal and the status that it is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) struct Rejection {
    status: StatusCode,
    refusal: Refusal,
}

impl Rejection {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, refusal: Refusal::new(code, message) }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.refusal = self.refusal.hint(hint);
        self
    }

    /// The refusal's code, for the log.
    pub(super) fn code(&self) -> &str {
        &self.refusal.code
    }

    #[cfg(test)]
    pub(in crate::control) fn status(&self) -> StatusCode {
        self.status
    }

    #[cfg(test)]
    pub(in crate::control) fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    pub(in crate::control) fn unauthorized(refusal: Refusal) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, refusal }
    }

    pub(in crate::control) fn forbidden(refusal: Refusal) -> Self {
        Self { status: StatusCode::FORBIDDEN, refusal }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", message)
            .hint("`GET /v1/openapi.json` describes what can be asked")
    }

    pub(super) fn bad_options(refusal: Refusal) -> Self {
        Self { status: StatusCode::BAD_REQUEST, refusal }
    }

    pub(super) fn unknown_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown-route", "there is nothing at this path")
            .hint("`GET /v1/openapi.json` lists the paths")
    }

    pub(super) fn unknown_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this path takes another method")
            .hint("the header `Allow` names it")
    }

    pub(super) fn body_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "body-slow", "the body did not come in time")
    }

    pub(super) fn body_broken() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "body-broken", "the body ended before its end")
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("the body is larger than {limit} bytes, which is all that is taken here");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message)
    }

    pub(super) fn not_wasm() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-wasm", "a component is sent as `application/wasm`")
            .hint("send the header `Content-Type: application/wasm`")
    }

    pub(super) fn busy(what: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", what).hint("ask again in a moment")
    }

    pub(super) fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "this host stops")
    }

    pub(super) fn late() -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "it was not done in time, and may still be done")
            .hint("the pipeline's revisions say whether it was")
    }

    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the host made a mistake; its log tells more",
        )
    }
}

impl From<Declined> for Rejection {
    fn from(declined: Declined) -> Self {
        let (status, refusal) = match declined {
            Declined::NotFound(refusal) => (StatusCode::NOT_FOUND, refusal),
            Declined::Refused(refusal) => (StatusCode::UNPROCESSABLE_ENTITY, refusal),
            Declined::Conflict(refusal) => (StatusCode::CONFLICT, refusal),
            Declined::Unavailable(refusal) => (StatusCode::SERVICE_UNAVAILABLE, refusal),
            Declined::Timeout(refusal) => (StatusCode::GATEWAY_TIMEOUT, refusal),
        };
        Self { status, refusal }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.refusal)).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
