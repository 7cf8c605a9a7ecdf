//! Whether a new version is to be taken back by itself.
//!
//! Owns the limits of `swap.rollback` and the watch over one revision at a time. Does not take anything back.
//! Invariant: a decision depends on nothing but the numbers and times that it is given, and is made once a
//! revision.

use std::time::Duration;

use crate::config::RollbackLimits;
use crate::transform::VersionNumbers;

/// A version that is watched.
#[derive(Debug)]
pub(super) struct Watch {
    revision: u64,
    limits: RollbackLimits,
    began: Duration,
    /// Time a record of the version before, in picoseconds; `None`: it did too little here.
    before_ps: Option<u64>,
    is_over: bool,
}

impl Watch {
    /// Begins to watch a revision at a time of the running clock, beside what the version before did.
    pub(super) fn new(
        revision: u64,
        limits: RollbackLimits,
        began: Duration,
        before: &VersionNumbers,
    ) -> Self {
        let before_ps = (before.records >= limits.records).then(|| time_ps(before)).flatten();
        Self { revision, limits, began, before_ps, is_over: false }
    }

    /// The revision.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// Why the version is to be taken back, if it is.
    pub(super) fn judge(&mut self, numbers: &VersionNumbers, running: Duration) -> Option<String> {
        if self.is_over {
            return None;
        }
        let why = (numbers.records >= self.limits.records).then(|| self.over_limit(numbers)).flatten();
        let is_late = running.saturating_sub(self.began) >= self.limits.window;
        self.is_over = why.is_some() || is_late || numbers.batches >= self.limits.batches;
        why
    }

    fn over_limit(&self, numbers: &VersionNumbers) -> Option<String> {
        let records = numbers.records;
        let over = |count: u64, limit: Option<crate::config::Share>, what: &str| {
            let limit = limit.filter(|limit| limit.is_exceeded(count, records))?;
            Some(format!("{count} of {records} records {what}, and {limit} may"))
        };
        over(numbers.failed.saturating_add(numbers.partial), self.limits.failed, "failed")
            .or_else(|| over(numbers.dropped, self.limits.dropped, "were dropped"))
            .or_else(|| self.too_slow(numbers))
    }

    fn too_slow(&self, numbers: &VersionNumbers) -> Option<String> {
        let (factor, before, now) = (self.limits.time?, self.before_ps?, time_ps(numbers)?);
        factor.is_exceeded(now, before).then(|| {
            let (now, before) = (now / 1_000, before / 1_000);
            format!("a record takes {now} ns, before it took {before} ns, and {factor} of that is allowed")
        })
    }
}

/// Time a record; picoseconds, for a filter takes some nanoseconds.
fn time_ps(numbers: &VersionNumbers) -> Option<u64> {
    let sum = numbers.busy.as_nanos() * 1_000;
    u64::try_from(sum.checked_div(u128::from(numbers.records))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Factor, Share};
    use proptest::prelude::*;

    fn numbers(batches: u64, records: u64, failed: u64) -> VersionNumbers {
        VersionNumbers { batches, records, failed, ..VersionNumbers::default() }
    }

    fn watch(limits: RollbackLimits) -> Watch {
        let before = VersionNumbers {
            records: 10_000,
            busy: Duration::from_micros(10_000),
            ..VersionNumbers::default()
        };
        Watch::new(7, limits, Duration::from_secs(10), &before)
    }

    #[test]
    fn a_version_that_fails_too_often_is_told_once() {
        let mut watch = watch(RollbackLimits::default());
        let at = Duration::from_secs(11);
        assert_eq!(watch.judge(&numbers(1, 999, 999), at), None, "too few to judge");
        assert_eq!(watch.judge(&numbers(2, 2_000, 100), at), None, "5 % may fail");
        let why = watch.judge(&numbers(3, 2_000, 101), at).expect("over it");
        assert!(why.contains("101 of 2000 records failed"), "{why}");
        assert_eq!(watch.judge(&numbers(4, 3_000, 3_000), at), None, "said already");
    }

    #[test]
    fn drops_and_time_count_where_they_are_limited() {
        let at = Duration::from_secs(11);
        let dropped = VersionNumbers { dropped: 900, ..numbers(1, 1_000, 0) };
        assert_eq!(watch(RollbackLimits::default()).judge(&dropped, at), None);
        let limits = RollbackLimits { dropped: Share::from_hundredths(5_000), ..RollbackLimits::default() };
        assert!(watch(limits).judge(&dropped, at).expect("over it").contains("dropped"));
        let slow = VersionNumbers { busy: Duration::from_micros(3_001), ..numbers(1, 1_000, 0) };
        assert_eq!(watch(RollbackLimits::default()).judge(&slow, at), None);
        let limits = RollbackLimits { time: Factor::from_hundredths(300), ..RollbackLimits::default() };
        assert!(watch(limits).judge(&slow, at).expect("over it").contains("3001 ns"));
    }

    #[test]
    fn the_watch_ends_with_its_batches_and_with_its_window() {
        let late = Duration::from_secs(10 + 300);
        let mut by_time = watch(RollbackLimits::default());
        assert_eq!(by_time.judge(&numbers(1, 2_000, 0), late), None);
        assert_eq!(by_time.judge(&numbers(2, 4_000, 4_000), late), None);
        let mut by_batches = watch(RollbackLimits::default());
        let at = Duration::from_secs(11);
        assert_eq!(by_batches.judge(&numbers(100, 2_000, 0), at), None);
        assert_eq!(by_batches.judge(&numbers(101, 4_000, 4_000), at), None);
    }

    proptest! {
        #[test]
        fn a_version_within_its_limits_is_never_taken_back(
            steps in proptest::collection::vec((1_u64..500, 0_u64..100), 1..50),
        ) {
            let mut watch = watch(RollbackLimits::default());
            let mut sum = VersionNumbers::default();
            for (records, percent) in steps {
                sum.batches += 1;
                sum.records += records;
                sum.failed += records * percent.min(5) / 100;
                prop_assert_eq!(watch.judge(&sum, Duration::from_secs(11)), None);
            }
        }
    }
}
