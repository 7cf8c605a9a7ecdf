//! What can be asked: every path and method, in one table.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, header, request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use tokio::sync::OwnedSemaphorePermit;

use super::orders::Order;
use super::{Rejection, Shared, answers, body};
use crate::control::COMPONENT_BYTES_MAX;

/// The only path that asks for no token: load balancers and orchestrators have none.
const OPEN: &str = "/v1/health";

/// An operation of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Health,
    Document,
    Pipelines,
    Pipeline,
    Lanes,
    Revisions,
    Swap,
    Promote,
    Abort,
    Rollback,
    Weights,
    Reload,
    Pause,
    Resume,
    Drain,
}

/// The methods that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Get,
    Put,
    Post,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
        }
    }

    fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Put => MethodFilter::PUT,
            Self::Post => MethodFilter::POST,
        }
    }
}

/// Every route; paths are written as in the OpenAPI document.
const ROUTES: [(Verb, &str, Call); 15] = [
    (Verb::Get, OPEN, Call::Health),
    (Verb::Get, "/v1/openapi.json", Call::Document),
    (Verb::Get, "/v1/pipelines", Call::Pipelines),
    (Verb::Get, "/v1/pipelines/{pipeline}", Call::Pipeline),
    (Verb::Get, "/v1/pipelines/{pipeline}/lanes", Call::Lanes),
    (Verb::Get, "/v1/pipelines/{pipeline}/revisions", Call::Revisions),
    (Verb::Put, "/v1/pipelines/{pipeline}/transforms/{transform}", Call::Swap),
    (Verb::Post, "/v1/pipelines/{pipeline}/promote", Call::Promote),
    (Verb::Post, "/v1/pipelines/{pipeline}/abort", Call::Abort),
    (Verb::Post, "/v1/pipelines/{pipeline}/rollback", Call::Rollback),
    (Verb::Post, "/v1/pipelines/{pipeline}/weights", Call::Weights),
    (Verb::Post, "/v1/pipelines/{pipeline}/reload", Call::Reload),
    (Verb::Post, "/v1/pipelines/{pipeline}/pause", Call::Pause),
    (Verb::Post, "/v1/pipelines/{pipeline}/resume", Call::Resume),
    (Verb::Post, "/v1/pipelines/{pipeline}/drain", Call::Drain),
];

/// Method and path of everything that is served, written as in the OpenAPI document.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROUTES.iter().map(|(verb, path, _)| (verb.name(), *path))
}

/// The router of a server.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new();
    for (verb, path, call) in ROUTES {
        let handler = move |State(shared): State<Arc<Shared>>, request: Request| async move {
            handle(&shared, call, request).await
        };
        router = router.route(path, on(verb.filter(), handler));
    }
    router
        .fallback(|request: Request| refuse(request, Rejection::unknown_route()))
        .method_not_allowed_fallback(|request: Request| refuse(request, Rejection::unknown_method()))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard))
        .with_state(shared)
}

/// Lets requests in or not, and says of every answer what it is.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let open = request.uri().path() == OPEN;
    let mut response = match shared.door.admit(request.uri(), request.headers(), open) {
        Ok(()) => next.run(request).await,
        Err(rejection) => {
            tracing::debug!(code = rejection.code(), "a request to the control API is not let in");
            refuse(request, rejection).await
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn refuse(request: Request, rejection: Rejection) -> Response {
    let (parts, body) = request.into_parts();
    body::refuse(&parts.headers, body).await;
    rejection.into_response()
}

async fn handle(shared: &Arc<Shared>, call: Call, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let (order, permits) = match ordered(shared, call, &mut parts).await {
        Ok(ordered) => ordered,
        Err(rejection) => return refuse(Request::from_parts(parts, body), rejection).await,
    };
    let taken = if call == Call::Swap {
        body::read(&parts.headers, body, COMPONENT_BYTES_MAX, body::COMPONENT_LIMIT).await
    } else {
        body::read(&parts.headers, body, body::BODY_BYTES_MAX, body::BODY_LIMIT).await
    };
    let answered = match taken {
        Ok(body) => answers::answer(shared, order, body, permits).await,
        Err(rejection) => Err(rejection),
    };
    answered.unwrap_or_else(IntoResponse::into_response)
}

/// What the head of a request asks for, and what is held until it is done.
async fn ordered(
    shared: &Shared,
    call: Call,
    head: &mut request::Parts,
) -> Result<(Order, Vec<OwnedSemaphorePermit>), Rejection> {
    let names = RawPathParams::from_request_parts(head, &()).await;
    let names =
        names.map_err(|error| Rejection::bad_request(format!("the path is wrong: {}", error.body_text())))?;
    let order = Order::new(call, &names, &head.uri)?;
    let mut permits = Vec::new();
    // A host that is busy is well: whoever looks after it must not take it for one that hangs.
    if call != Call::Health {
        let permit = Arc::clone(&shared.requests).try_acquire_owned();
        permits.push(permit.map_err(|_| Rejection::busy("too many requests are under way"))?);
    }
    if call == Call::Swap {
        if !is_wasm(&head.headers) {
            return Err(Rejection::not_wasm());
        }
        let permit = Arc::clone(&shared.uploads).try_acquire_owned();
        permits.push(permit.map_err(|_| Rejection::busy("other components are being swapped"))?);
    }
    Ok((order, permits))
}

fn is_wasm(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/wasm")
}
