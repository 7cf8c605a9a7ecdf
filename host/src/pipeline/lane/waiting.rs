//! Records of a lane that have been read and come to the transforms again.
//!
//! Owns when that is, and what the log says of it. Invariant: at most one batch of a lane waits, and no
//! other is taken in before it.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Random;
use crate::pipeline::error::chain_text;
use crate::record::{Batch, Postponement, Rest, Wait};
use crate::retry::Backoff;
use crate::transform::Stop;

/// Longest wait that a plugin may ask for: longer ones would look like a halted lane.
const POSTPONE_MAX: Duration = Duration::from_secs(300);

/// A batch, of which the inputs from `from` on wait.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) batch: Batch,
    pub(super) from: u32,
    pub(super) wake: Instant,
    /// A circuit breaker holds the lane.
    pub(super) is_held: bool,
}

impl Waiting {
    /// Offset of the first record that waits.
    pub(super) fn offset(&self) -> u64 {
        let records = &self.batch.records;
        let first = self.from as usize;
        if first < records.len() { records.record(first).offset } else { self.batch.range.end }
    }

    fn after(batch: Batch, from: u32, wait: Duration) -> Self {
        Self { batch, from, wake: Instant::now() + wait, is_held: false }
    }
}

/// Decides how long to wait.
#[derive(Debug, Default)]
pub(super) struct Waits {
    backoff: Option<Backoff>,
}

impl Waits {
    /// A batch has gone through: the next wait is a first one.
    pub(super) fn forget(&mut self) {
        self.backoff = None;
    }

    /// The results of a batch end before it does.
    pub(super) fn rest(&mut self, batch: Batch, rest: Rest, random: &Random) -> Waiting {
        let Wait::Wish { transform, attempt, wish } = rest.wait else {
            return Waiting::after(batch, rest.from, Duration::ZERO);
        };
        if attempt <= 1 {
            self.forget();
        }
        let wait = self.wished(&wish, random);
        let waiting = Waiting::after(batch, rest.from, wait);
        tracing::warn!(lane = %waiting.batch.origin, offset = waiting.offset(), %transform, attempt, ?wait,
            code = %wish.code, reason = %wish.reason, "a plugin asked for a retry");
        waiting
    }

    fn wished(&mut self, wish: &Postponement, random: &Random) -> Duration {
        match wish.after_ms {
            Some(asked) => Duration::from_millis(u64::from(asked)).min(POSTPONE_MAX),
            None => self.next(random),
        }
    }

    /// The whole batch comes again.
    pub(super) fn stopped(&mut self, batch: Batch, from: u32, stop: &Stop, random: &Random) -> Waiting {
        if let Stop::Held { transform, cause, pause } = stop {
            let held = Waiting { is_held: true, ..Waiting::after(batch, from, *pause) };
            tracing::error!(lane = %held.batch.origin, offset = held.offset(), %transform, %cause, ?pause,
                "ALARM: the circuit breaker holds this lane: a transform fails so often that its code or \
                 configuration is more likely to be wrong than the records; nothing is lost, one batch is \
                 tried after each pause; restart with a mended transform, or send SIGUSR1 to try at once");
            return held;
        }
        let wait = self.next(random);
        let waiting = Waiting::after(batch, from, wait);
        let error = chain_text(stop);
        tracing::warn!(lane = %waiting.batch.origin, offset = waiting.offset(), %error, ?wait,
            "the transforms can't work now; the batch comes again");
        waiting
    }

    fn next(&mut self, random: &Random) -> Duration {
        self.backoff.get_or_insert_with(Backoff::for_services).next_wait(random)
    }
}
