//! One connection: one request, and time limits on the parts that the caller decides.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How long a caller may take to send the head of its request.
pub(super) const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// How long a caller may take to read the answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Bytes of a head; a token and a path take some hundred.
const HEAD_BYTES: usize = 16 << 10;

/// Header lines of a request.
const HEADERS_MAX: usize = 64;

/// Answers the request of a connection. `stop` ends it where no request has come, `end` in any case.
pub(super) async fn serve(
    stream: TcpStream,
    router: Router,
    stop: CancellationToken,
    end: CancellationToken,
) {
    let answered = Arc::new(Notify::new());
    let service = service_fn({
        let (router, answered) = (TowerToHyperService::new(router), Arc::clone(&answered));
        move |request: hyper::Request<Incoming>| {
            let (answer, answered) = (router.call(request), Arc::clone(&answered));
            async move {
                let answer = answer.await;
                answered.notify_one();
                answer
            }
        }
    });
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
    // One request each: nothing of a connection is idle, so that every wait on it has its limit.
    protocol.keep_alive(false).max_buf_size(HEAD_BYTES).max_headers(HEADERS_MAX);
    let connection = protocol.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let unread = async {
        answered.notified().await;
        tokio::time::sleep(ANSWER_LIMIT).await;
    };
    tokio::pin!(unread);
    let mut stopping = false;
    loop {
        tokio::select! {
            biased;
            () = end.cancelled() => return,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection to the control API broke");
                }
                return;
            }
            () = unread.as_mut() => return,
        }
    }
}
