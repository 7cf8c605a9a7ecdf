//! How long to wait before trying again.
//!
//! Owns the arithmetic only; who retries what, and when it gives up, is the caller's.

use std::time::Duration;

use crate::clock::Random;

/// Waits that double up to a bound, each drawn between half and all of its size ("equal jitter"), so
/// that many lanes do not come back at once.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    bound: Duration,
    tries: u32,
}

impl Backoff {
    /// From `first` up to `bound`.
    #[must_use]
    pub fn new(first: Duration, bound: Duration) -> Self {
        Self { first, bound, tries: 0 }
    }

    /// For a store or broker that is away: 100 ms up to 15 s, as the AWS SDKs do.
    #[must_use]
    pub fn for_services() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(15))
    }

    /// The next wait.
    pub fn next_wait(&mut self, random: &Random) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.tries.min(20));
        self.tries = self.tries.saturating_add(1);
        let whole = doubled.min(self.bound);
        let half = whole / 2;
        let span = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_nanos(random.next_u64() % span)
    }

    /// Number of waits handed out.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn waits_lie_between_half_and_all_of_a_doubling(seed in any::<u64>(), tries in 1_u32..40) {
            let random = Random::seeded(seed);
            let mut backoff = Backoff::for_services();
            for nth in 0..tries {
                let whole = Duration::from_millis(100 << nth.min(10)).min(Duration::from_secs(15));
                let wait = backoff.next_wait(&random);
                prop_assert!(wait >= whole / 2 && wait <= whole, "{wait:?} of {whole:?}");
            }
        }
    }
}
