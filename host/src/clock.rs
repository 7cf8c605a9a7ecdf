//! Time and randomness, so that tests can own both.
//!
//! Owns the only reads of the system's clock and entropy. Invariant: everything else in the host that
//! asks for the time or for a random number asks here.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 UTC, by the system's clock.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A moment, by both clocks: what a decision about time is made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since 1970 UTC, by the system's clock; it may be set back.
    pub wall_ms: i64,
    /// Time since the process first asked, which never falls.
    pub running: Duration,
}

impl Moment {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self { wall_ms: now_ms(), running: running() }
    }
}

/// Time since the process first asked, which never falls.
#[must_use]
pub fn running() -> Duration {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    FIRST.get_or_init(Instant::now).elapsed()
}

/// A time as RFC 3339 in UTC with milliseconds, such as `2026-11-24T11:30:00.000Z`; out of range is
/// clamped to what jiff can say, from the year 0000 to two days before the end of 9999.
#[must_use]
pub fn rfc3339(ms: i64) -> String {
    const EARLIEST_MS: i64 = -62_167_219_200_000;
    // jiff keeps room for time zones: its last moment lies within two days of the end of the year 9999.
    const LATEST_MS: i64 = 253_402_127_999_999;
    let ms = ms.clamp(EARLIEST_MS, LATEST_MS);
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| String::from("1970-01-01T00:00:00.000Z"), |time| format!("{time:.3}"))
}

/// A seeded generator of random numbers (SplitMix64), shared by reference. Not for secrets.
#[derive(Debug)]
pub struct Random {
    state: AtomicU64,
}

impl Random {
    /// From a seed: the same numbers every time.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    /// From the system's entropy.
    ///
    /// # Errors
    /// Where the system has none to give.
    pub fn from_system() -> std::io::Result<Self> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
        Ok(Self::seeded(u64::from_le_bytes(seed)))
    }

    /// The next number.
    pub fn next_u64(&self) -> u64 {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.state.fetch_add(GOLDEN, Ordering::Relaxed).wrapping_add(GOLDEN);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// 64 bits drawn from the system's entropy, as 16 hexadecimal digits: ledger ids and nonces, which must
/// differ between processes whatever their seeds.
///
/// # Errors
/// Where the system has no entropy to give.
pub fn unique_id() -> std::io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_431_857_103_250), "2015-05-17T10:05:03.250Z");
        assert_eq!(rfc3339(i64::MIN), "0000-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(i64::MAX), "9999-12-29T23:59:59.999Z");
    }

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        let first: Vec<_> = (0..4).map(|_| Random::seeded(7).next_u64()).collect();
        assert!(first.windows(2).all(|pair| pair[0] == pair[1]));
        let random = Random::seeded(7);
        assert_ne!(random.next_u64(), random.next_u64());
    }
}
