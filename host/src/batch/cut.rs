//! When a range is due to end by itself.
//!
//! Owns the rules and no state and no clock. Invariant: a decision depends on nothing but what it is
//! given, and [`CutPolicy::next_deadline`] is the first time at which [`CutPolicy::due`] says yes
//! though nothing else changes.

use std::time::Duration;

use crate::config;
use crate::record::CutCause;

/// Offsets that may pass with nothing to write until a range is cut: a lane that drops everything
/// writes an entry now and then, so that a restart does not read it all again.
pub const DROPPED_OFFSETS_MAX: u64 = 1_000_000;

/// Runs of a range, over all its objects, at which it is cut. Where two versions share the records by
/// key, almost each record may begin one, and an entry is one document that its readers hold in memory:
/// so many are some 400 KB of it. A batch may go over this by what it adds.
pub const RUNS_MAX: u64 = 10_000;

/// What is known of an open range. Times are milliseconds of one clock, the caller's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RangeState {
    /// Bytes after compression over all sinks, dead letters included.
    pub encoded_bytes: u64,
    /// Records read.
    pub records: u64,
    /// Offsets passed, with or without a record.
    pub offsets: u64,
    /// Runs of all objects; 0 where one version has all records.
    pub runs: u64,
    /// When the first offset was passed; `None`: none was.
    pub first_passed_ms: Option<i64>,
    /// When the first record was buffered; `None`: there is nothing to write.
    pub first_buffered_ms: Option<i64>,
}

/// The `[cut]` table as rules.
#[derive(Clone, Copy, Debug)]
pub struct CutPolicy {
    interval_ms: i64,
    max_interval_ms: i64,
    size: Option<u64>,
    records: Option<u64>,
    min_size: u64,
}

impl CutPolicy {
    /// Takes the configuration; a `max_interval` below `interval` counts as `interval`.
    #[must_use]
    pub fn new(cut: &config::Cut) -> Self {
        let interval_ms = milliseconds(cut.interval);
        Self {
            interval_ms,
            max_interval_ms: milliseconds(cut.max_interval).max(interval_ms),
            size: cut.size,
            records: cut.records,
            min_size: cut.min_size,
        }
    }

    /// Whether the range is to be cut now, and why.
    ///
    /// With something to write: size, then records, then runs, then age. With nothing to write, none of
    /// them counts, only [`CutCause::Dropped`].
    #[must_use]
    pub fn due(&self, range: &RangeState, now_ms: i64) -> Option<CutCause> {
        let reached = |bound: Option<u64>, count: u64| bound.is_some_and(|bound| count >= bound);
        let is_late = self.next_deadline(range).is_some_and(|deadline| now_ms >= deadline);
        if range.first_buffered_ms.is_none() {
            let is_long = range.offsets >= DROPPED_OFFSETS_MAX;
            return (range.offsets > 0 && (is_long || is_late)).then_some(CutCause::Dropped);
        }
        if reached(self.size, range.encoded_bytes) {
            return Some(CutCause::Size);
        }
        if reached(self.records, range.records) {
            return Some(CutCause::Records);
        }
        if range.runs >= RUNS_MAX {
            return Some(CutCause::Runs);
        }
        is_late.then_some(CutCause::Age)
    }

    /// When the range is due by time alone; `None` for a range that has passed nothing, which has no
    /// timer. To be asked anew after each batch: more bytes can only bring it forward.
    #[must_use]
    pub fn next_deadline(&self, range: &RangeState) -> Option<i64> {
        let Some(first_buffered_ms) = range.first_buffered_ms else {
            let first_passed_ms = range.first_passed_ms?;
            return Some(first_passed_ms.saturating_add(self.max_interval_ms));
        };
        let is_worth_writing = range.encoded_bytes >= self.min_size;
        let wait_ms = if is_worth_writing { self.interval_ms } else { self.max_interval_ms };
        Some(first_buffered_ms.saturating_add(wait_ms))
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::option;
    use proptest::prelude::*;

    fn cut() -> config::Cut {
        config::Cut {
            interval: Duration::from_secs(300),
            size: None,
            records: None,
            min_size: 1 << 20,
            max_interval: Duration::from_secs(900),
        }
    }

    fn written(encoded_bytes: u64, first_buffered_ms: i64) -> RangeState {
        RangeState {
            encoded_bytes,
            records: 10,
            offsets: 12,
            runs: 0,
            first_passed_ms: Some(first_buffered_ms - 5_000),
            first_buffered_ms: Some(first_buffered_ms),
        }
    }

    #[test]
    fn age_counts_from_the_first_buffered_record_and_waits_for_enough_bytes() {
        let policy = CutPolicy::new(&cut());
        let enough = written(1 << 20, 1_000);
        assert_eq!(policy.due(&enough, 300_999), None);
        assert_eq!(policy.due(&enough, 301_000), Some(CutCause::Age));
        let little = written(100, 1_000);
        assert_eq!(policy.due(&little, 301_000), None);
        assert_eq!(policy.next_deadline(&little), Some(901_000));
        assert_eq!(policy.due(&little, 901_000), Some(CutCause::Age));
    }

    #[test]
    fn without_min_size_the_interval_holds_for_any_bytes() {
        let policy = CutPolicy::new(&config::Cut { min_size: 0, ..cut() });
        assert_eq!(policy.due(&written(1, 0), 300_000), Some(CutCause::Age));
    }

    #[test]
    fn size_goes_before_records_and_records_before_age() {
        let policy = CutPolicy::new(&config::Cut { size: Some(100), records: Some(10), ..cut() });
        assert_eq!(policy.due(&written(100, 0), 900_000), Some(CutCause::Size));
        assert_eq!(policy.due(&written(99, 0), 900_000), Some(CutCause::Records));
        let few = RangeState { records: 9, ..written(99, 0) };
        assert_eq!(policy.due(&few, 900_000), Some(CutCause::Age));
        assert_eq!(policy.due(&few, 0), None);
    }

    #[test]
    fn too_many_runs_for_an_entry_end_a_range_before_its_time() {
        let policy = CutPolicy::new(&config::Cut { size: Some(100), ..cut() });
        let many = RangeState { runs: RUNS_MAX, ..written(99, 0) };
        assert_eq!(policy.due(&many, 0), Some(CutCause::Runs));
        assert_eq!(policy.due(&RangeState { runs: RUNS_MAX - 1, ..many }, 0), None);
        assert_eq!(policy.due(&RangeState { encoded_bytes: 100, ..many }, 0), Some(CutCause::Size));
    }

    #[test]
    fn a_stretch_of_drops_is_cut_at_a_million_offsets_or_the_longest_interval() {
        let policy = CutPolicy::new(&config::Cut { records: Some(5), ..cut() });
        let drops = |offsets| RangeState {
            records: offsets,
            offsets,
            first_passed_ms: Some(7),
            ..RangeState::default()
        };
        assert_eq!(policy.due(&drops(999_999), 900_006), None);
        assert_eq!(policy.due(&drops(1_000_000), 8), Some(CutCause::Dropped));
        assert_eq!(policy.due(&drops(1), 900_007), Some(CutCause::Dropped));
    }

    #[test]
    fn an_empty_range_has_no_timer() {
        let policy = CutPolicy::new(&cut());
        assert_eq!(policy.next_deadline(&RangeState::default()), None);
        assert_eq!(policy.due(&RangeState::default(), i64::MAX), None);
    }

    proptest! {
        #[test]
        fn the_deadline_is_the_first_time_that_is_due(
            (interval, max_interval) in (0_u64..2_000, 0_u64..2_000),
            (encoded_bytes, min_size) in (0_u64..4, 0_u64..4),
            (passed, later) in (0_i64..10_000, option::of(0_i64..10_000)),
        ) {
            let policy = CutPolicy::new(&config::Cut {
                interval: Duration::from_millis(interval),
                max_interval: Duration::from_millis(max_interval),
                min_size,
                size: None,
                records: None,
            });
            let range = RangeState {
                encoded_bytes,
                records: 1,
                offsets: 1,
                runs: 0,
                first_passed_ms: Some(passed),
                first_buffered_ms: later.map(|later| passed + later),
            };
            let deadline = policy.next_deadline(&range).expect("offsets were passed");
            prop_assert!(policy.due(&range, deadline).is_some());
            prop_assert_eq!(policy.due(&range, deadline - 1), None);
        }
    }
}
