//! Chance, drawn from a seed that is printed.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The seed for all draws of a run.
const SEED: &str = "VANNE_SEED";

/// A stream of draws (splitmix64).
pub(crate) struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    /// From the environment's seed, or the time; the test's name makes each test draw its own.
    pub(crate) fn for_test(name: &str) -> Self {
        let given: Option<u64> =
            std::env::var(SEED).ok().map(|text| text.parse().expect("`VANNE_SEED` is a number"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = given.unwrap_or(now.subsec_nanos().into());
        let state =
            name.bytes().fold(seed, |state, byte| state.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Self { seed, state }
    }

    /// What to set `VANNE_SEED` to for the same draws.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Draws of its own for another thread.
    pub(crate) fn fork(&mut self) -> Self {
        Self { seed: self.seed, state: self.draw() }
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.draw() % (range.end - range.start)
    }

    pub(crate) fn milliseconds(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }
}
