//! The control API beside a running pipeline.
//!
//! Owns whether it is served. Invariant: the default address may be in use by another host of this machine,
//! which costs the API and not the pipeline; an address that somebody wrote is served, or the host refuses.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::Host;
use crate::control::{Error, Server};
use crate::pipeline::{Operator, chain_text};

/// The server; it stops when this is dropped, and has stopped when [`Serving::end`] returns.
#[derive(Debug)]
pub(super) struct Serving {
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Serving {
    /// Stops it, and lets requests that are under way end.
    pub(super) async fn end(self) {
        drop(self.stop);
        let _it_ends_within_its_grace = self.task.await;
    }
}

/// Serves the control API where the configuration says so.
///
/// # Errors
/// Why it can't be served, and what to do.
pub(super) async fn start(host: &Host, operator: &Operator) -> Result<Option<Serving>, String> {
    let Some(control) = host.control else { return Ok(None) };
    let operate = Arc::new(operator.clone());
    let server = match Server::bind(control.address, host.control_token.as_ref(), operate).await {
        Ok(server) => server,
        Err(error @ Error::Bind { .. }) if !control.explicit => {
            tracing::warn!(error = %chain_text(&error), hint = error.hint(), "this host has no control API");
            return Ok(None);
        }
        Err(error) => return Err(format!("{}\nhint: {}", chain_text(&error), error.hint())),
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn(server.serve(stop.clone()));
    Ok(Some(Serving { stop: stop.drop_guard(), task }))
}
