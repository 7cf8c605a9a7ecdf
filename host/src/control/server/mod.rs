//! The server: listens, and takes requests in within bounds.
//!
//! Owns the listener, the limits and the end. [`routes`] says what can be asked, [`orders`] what of it is
//! meant, [`answers`] does it. Invariants: at most [`CONNECTIONS_MAX`] connections and [`REQUESTS_MAX`] requests
//! at once, the operations that outlive their caller included; a connection carries one request, and every
//! part of it has a time limit, so that none can be held open.

mod answers;
mod body;
mod connection;
mod orders;
mod rejection;
mod routes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::auth::Door;
use super::error::Error;
use super::operate::Operate;
use crate::config::Secret;

pub(super) use rejection::Rejection;
pub use routes::routes;

/// Connections at once; further ones wait in the system's queue. Twice the requests, so that whoever comes
/// when all are busy is told so.
const CONNECTIONS_MAX: usize = 128;

/// Requests at once; a further one is told that the host is busy. Health is not counted.
const REQUESTS_MAX: usize = 64;

/// Components that are taken in or swapped at once: each may be 64 MiB, in no memory budget.
const UPLOADS_MAX: usize = 4;

/// How long requests may take to end once the server stops.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How long to wait after the system gave no connection: it has no file descriptors left, and each try fails.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The control API on its address; it answers once [`Server::serve`] runs.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What all requests share.
pub(super) struct Shared {
    operate: Arc<dyn Operate>,
    door: Door,
    requests: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    /// Connections, and operations whose caller may be gone.
    tasks: TaskTracker,
    /// Everything is dropped.
    end: CancellationToken,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").field("door", &self.door).finish_non_exhaustive()
    }
}

impl Server {
    /// Listens on `address`. Connections wait until [`Server::serve`] runs.
    ///
    /// # Errors
    /// The address is not free, or is none of a loopback and there is no token, or the token is unfit.
    pub async fn bind(
        address: SocketAddr,
        token: Option<&Secret>,
        operate: Arc<dyn Operate>,
    ) -> Result<Self, Error> {
        let door = Door::new(address, token)?;
        let unusable = |source| Error::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(unusable)?;
        let shared = Shared {
            operate,
            door,
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
            tasks: TaskTracker::new(),
            end: CancellationToken::new(),
        };
        let address = listener.local_addr().map_err(unusable)?;
        Ok(Self { listener, address, shared: Arc::new(shared) })
    }

    /// The address that it listens on, with the port that the system gave for port 0.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`; then no request comes in, and those that are under way have five seconds.
    pub async fn serve(self, stop: CancellationToken) {
        let Self { listener, address, shared } = self;
        let _ended_if_dropped = shared.end.clone().drop_guard();
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let router = routes::router(Arc::clone(&shared));
        tracing::info!(%address, "the control API listens");
        loop {
            let (stream, permit) = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                next = next_connection(&listener, &connections) => next,
            };
            let task = connection::serve(stream, router.clone(), stop.clone(), shared.end.clone());
            shared.tasks.spawn(async move {
                task.await;
                drop(permit);
            });
        }
        drop(listener);
        shared.tasks.close();
        if tokio::time::timeout(STOP_GRACE, shared.tasks.wait()).await.is_err() {
            tracing::warn!(
                tasks = shared.tasks.len(),
                "requests to the control API are dropped, since the host stops"
            );
        }
    }
}

async fn next_connection(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    let permit = Arc::clone(connections).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) => {
                tracing::warn!(%error, "the control API can't take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
