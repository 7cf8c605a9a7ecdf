//! How long the ledger waits before it asks a store again.
//!
//! Owns the waits' sizes; who waits, and for what, is the caller's.

use std::sync::Arc;
use std::time::Duration;

use super::{Error, Result};
use crate::clock::Random;
use crate::retry::Backoff;

/// The waits of one ledger. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    random: Arc<Random>,
    /// Tests give way to other tasks instead of waiting, so that one seed gives one course of events.
    hurried: bool,
}

impl Patience {
    pub(super) fn from_system() -> Result<Self> {
        let random = Random::from_system().map_err(Error::Entropy)?;
        Ok(Self { random: Arc::new(random), hurried: false })
    }

    #[cfg(test)]
    pub(super) fn hurried() -> Self {
        Self { random: Arc::new(Random::seeded(0)), hurried: true }
    }

    /// For a store that is away, or whose answers contradict each other.
    pub(super) fn away(&self) -> Backoff {
        Backoff::for_services()
    }

    /// For a store that denies access: waiting helps once a person or a rotation has changed something.
    pub(super) fn denied(&self) -> Backoff {
        Backoff::new(Duration::from_secs(5), Duration::from_secs(60))
    }

    /// Waits as long as the backoff says next.
    pub(super) async fn wait(&self, backoff: &mut Backoff) {
        let wait = backoff.next_wait(&self.random);
        if self.hurried {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(wait).await;
        }
    }
}
