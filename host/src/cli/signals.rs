//! Ctrl-C and SIGTERM: the first one drains, the second one ends the process at once. SIGUSR1: lanes that
//! a circuit breaker holds try again at once.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What an ended process says of a signal by custom: 128 and the number of SIGINT.
const ENDED_BY_SIGNAL: i32 = 130;

/// Listens for both signals from now on; the token is cancelled by the first.
///
/// # Errors
/// Where the system refuses.
pub(super) fn listen() -> io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let first = CancellationToken::new();
    let token = first.clone();
    tokio::spawn(async move {
        for nth in 0.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if nth > 0 {
                tracing::warn!("second signal: ending at once; what is not committed comes again");
                std::process::exit(ENDED_BY_SIGNAL);
            }
            first.cancel();
        }
    });
    Ok(token)
}

/// Listens for SIGUSR1 from now on, each of which notifies.
///
/// # Errors
/// Where the system refuses.
pub(super) fn listen_for_resume() -> io::Result<Arc<Notify>> {
    let mut signal = signal(SignalKind::user_defined1())?;
    let resume = Arc::new(Notify::new());
    let notified = Arc::clone(&resume);
    tokio::spawn(async move {
        while signal.recv().await.is_some() {
            notified.notify_one();
        }
    });
    Ok(resume)
}
