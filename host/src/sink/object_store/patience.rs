//! How long a store is waited for.
//!
//! A lane waits for its store as long as it takes: the records are safe in Kafka, and giving up would
//! only read them again. Denied access is waited for a while (keys are rotated), then shown.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::{self, Random};
use crate::retry::Backoff;
use crate::store::{self, ErrorKind};

/// How long denied access is taken for a rotation of keys.
pub(super) const DENIED_FOR: Duration = Duration::from_secs(120);

/// How long something is looked for before it is believed missing: the longest time-out of a request,
/// which may still be on its way, and some.
pub(super) const MISSING_AFTER: Duration = Duration::from_secs(130);

/// Why waiting ended.
#[derive(Debug)]
pub(super) enum Stopped {
    Cancelled,
    Failed(store::Error),
}

/// What all waits of a lane or a publisher share. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    random: Arc<Random>,
    cancelled: CancellationToken,
}

impl Patience {
    pub(super) fn new(cancelled: CancellationToken) -> Self {
        // Without entropy the waits of many lanes are less spread; nothing else hangs on it.
        let random = Random::from_system().unwrap_or_else(|_| Random::seeded(clock::now_ms().unsigned_abs()));
        Self { random: Arc::new(random), cancelled }
    }

    /// For one thing to be done.
    pub(super) fn begin(&self) -> Waits<'_> {
        Waits { patience: self, backoff: Backoff::for_services(), denied_since: None }
    }

    /// Does a call, unless the lane is cancelled first.
    pub(super) async fn call<T>(&self, call: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::select! {
            biased;
            () = self.cancelled.cancelled() => Err(Stopped::Cancelled),
            answer = call => Ok(answer),
        }
    }
}

/// The waits between the tries of one thing.
#[derive(Debug)]
pub(super) struct Waits<'a> {
    patience: &'a Patience,
    backoff: Backoff,
    denied_since: Option<Instant>,
}

impl Waits<'_> {
    /// Waits before the next try; gives the error back where waiting is of no use.
    pub(super) async fn after(&mut self, error: store::Error) -> Result<(), Stopped> {
        match error.kind {
            ErrorKind::Refused => return Err(Stopped::Failed(error)),
            ErrorKind::Denied => {
                let since = *self.denied_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= DENIED_FOR {
                    return Err(Stopped::Failed(error));
                }
            }
            ErrorKind::Unknown | ErrorKind::NotFound => self.denied_since = None,
        }
        let tries = self.backoff.tries();
        if tries == 0 {
            tracing::debug!(%error, cause = %error.source, "the store is asked again");
        } else if error.kind == ErrorKind::NotFound {
            tracing::warn!(%error, cause = %error.source, tries, "the store does not have it; it may still come");
        } else {
            tracing::warn!(%error, cause = %error.source, tries, "the store does not do it");
        }
        self.wait().await
    }

    /// Waits before the next look.
    pub(super) async fn wait(&mut self) -> Result<(), Stopped> {
        let wait = self.backoff.next_wait(&self.patience.random);
        self.patience.call(tokio::time::sleep(wait)).await
    }
}

/// Since when the same thing has been seen without a break.
#[derive(Debug, Default)]
pub(super) struct Settling(Option<Instant>);

impl Settling {
    /// It was seen (again); whether for long enough to be believed.
    pub(super) fn seen(&mut self) -> bool {
        self.0.get_or_insert_with(Instant::now).elapsed() >= MISSING_AFTER
    }

    /// Something else was seen.
    pub(super) fn broken(&mut self) {
        self.0 = None;
    }
}
