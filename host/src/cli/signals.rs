//! Ctrl-C and SIGTERM: the first one drains, the second one ends the process at once. SIGUSR1: lanes that
//! a circuit breaker holds try again at once. SIGHUP: the pipeline's files are read again.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::pipeline::Operator;

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

/// Hands SIGUSR1 and SIGHUP to a pipeline from now on.
///
/// # Errors
/// Where the system refuses.
pub(super) fn operate(operator: &Operator) -> io::Result<()> {
    let mut try_held = signal(SignalKind::user_defined1())?;
    let mut reload = signal(SignalKind::hangup())?;
    let operator = operator.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                Some(()) = try_held.recv() => operator.try_held(),
                Some(()) = reload.recv() => operator.reload_files(),
                else => return,
            }
        }
    });
    Ok(())
}
