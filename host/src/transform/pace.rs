//! How many records a lane gives to its transforms at once, after a call took too long.
//!
//! A time-out may be the fault of one record or of too many. Halving tells them apart, and keeps each job
//! short: a job ends with its first time-out, so that other lanes get the thread in between. Invariant:
//! without a time-out there is no bound, and with good calls a bound goes away again.

/// A bound on the records of one go.
#[derive(Debug, Default)]
pub(super) struct Pace {
    bound: Option<u32>,
}

impl Pace {
    /// A bound above this is none: no batch has more records.
    const NO_BOUND: u32 = 1 << 20;

    /// How many records to take of `waiting`; at least one.
    pub(super) fn take(&self, waiting: u32) -> u32 {
        self.bound.map_or(waiting, |bound| waiting.min(bound.max(1)))
    }

    /// Whether a call took too long, and no run of good ones has made up for it yet.
    pub(super) fn is_slowed(&self) -> bool {
        self.bound.is_some()
    }

    /// A call with that many records took too long.
    pub(super) fn timed_out(&mut self, records: u32) {
        self.bound = Some((records / 2).max(1));
    }

    /// A go went well; `slow` says that one of its calls took a third of its limit or more.
    pub(super) fn went_well(&mut self, slow: bool) {
        let Some(bound) = self.bound else { return };
        let next = if slow { (bound / 2).max(1) } else { bound.saturating_mul(2) };
        self.bound = (next < Self::NO_BOUND).then_some(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_halves_and_good_calls_grow_it_again() {
        let mut pace = Pace::default();
        assert_eq!((pace.take(10_000), pace.is_slowed()), (10_000, false));
        pace.timed_out(10_000);
        assert_eq!((pace.take(10_000), pace.is_slowed()), (5_000, true));
        pace.went_well(true);
        assert_eq!(pace.take(10_000), 2_500);
        for expected in [5_000, 10_000] {
            pace.went_well(false);
            assert_eq!(pace.take(20_000), expected);
        }
        for _ in 0..10 {
            pace.went_well(false);
        }
        assert!(!pace.is_slowed());
    }

    #[test]
    fn one_record_is_always_taken() {
        let mut pace = Pace::default();
        pace.timed_out(1);
        pace.went_well(true);
        assert_eq!(pace.take(7), 1);
    }
}
