//! When a transform fails so often that its lane is better held: a broken deploy must not pour a whole
//! topic into dead letters.
//!
//! Owns the decision, on counts and times that it is given; holding the lane, and saying so, is the
//! pipeline's. Two things open it: the share of failed records in a window, and calls that time out one
//! after another. Invariant: it never opens for fewer bad records than its share of `records`, nor for a
//! single record that hangs.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::CircuitBreaker;

/// Pieces of the window: it forgets in steps of a twelfth.
const PIECES: u32 = 12;
/// Time-outs one after another that open it, whatever the limit of a call. To blame one record among a
/// million, the most that a batch holds, takes 21 of them: one bad record does not open it.
const TIMEOUTS: u32 = 22;
/// And this much time spent in them.
const TIMEOUTS_SPENT: Duration = Duration::from_secs(60);
/// In a trial: the first may be one record's fault, which is then out of the way.
const TIMEOUTS_IN_TRIAL: u32 = 2;

/// The breaker of one transform in one lane.
#[derive(Debug)]
pub(super) struct Breaker {
    policy: Option<CircuitBreaker>,
    state: State,
    window: VecDeque<Piece>,
    /// Offset of the last record that the window counts.
    counted_to: Option<u64>,
    timeouts: u32,
    timeouts_spent: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open,
    /// One batch decides.
    Trial,
}

#[derive(Debug)]
struct Piece {
    since: Duration,
    count: Count,
}

/// Records that got a verdict, and how many of them failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    records: u64,
    failed: u64,
}

impl Count {
    fn plus(self, other: Self) -> Self {
        Self { records: self.records + other.records, failed: self.failed + other.failed }
    }
}

/// The verdicts of a batch so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    all: Count,
    /// Without those that were counted before: a later transform may make a batch come again.
    new: Count,
    last_offset: Option<u64>,
}

impl Tally {
    /// The record at `offset` has its verdict.
    pub(super) fn add(&mut self, breaker: &Breaker, offset: u64, failed: bool) {
        let one = Count { records: 1, failed: u64::from(failed) };
        self.all = self.all.plus(one);
        if breaker.counted_to.is_none_or(|last| offset > last) {
            self.new = self.new.plus(one);
        }
        self.last_offset = Some(offset);
    }
}

/// Why it opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// Too many of the records failed.
    #[error("{failed} of {records} records failed")]
    Failures {
        /// Records that failed.
        failed: u64,
        /// Records that got a verdict.
        records: u64,
    },
    /// Call after call took too long.
    #[error("{calls} calls in a row took too long")]
    Timeouts {
        /// How many.
        calls: u32,
    },
}

impl Breaker {
    pub(super) fn new(policy: Option<CircuitBreaker>) -> Self {
        Self {
            policy,
            state: State::Closed,
            window: VecDeque::new(),
            counted_to: None,
            timeouts: 0,
            timeouts_spent: Duration::ZERO,
        }
    }

    /// A batch begins: if the lane was held, it is a trial.
    pub(super) fn begin(&mut self) {
        if self.state == State::Open {
            self.state = State::Trial;
        }
    }

    /// A call took too long.
    pub(super) fn timed_out(&mut self, limit: Duration) -> Option<Cause> {
        self.timeouts = self.timeouts.saturating_add(1);
        self.timeouts_spent = self.timeouts_spent.saturating_add(limit);
        self.policy.as_ref()?;
        let is_enough = match self.state {
            State::Trial => self.timeouts >= TIMEOUTS_IN_TRIAL,
            _ => self.timeouts >= TIMEOUTS && self.timeouts_spent >= TIMEOUTS_SPENT,
        };
        is_enough.then(|| self.open(Cause::Timeouts { calls: self.timeouts }))
    }

    /// A call came back in time.
    pub(super) fn answered(&mut self) {
        self.timeouts = 0;
        self.timeouts_spent = Duration::ZERO;
    }

    /// Looks at a batch while it is worked: opens as soon as the share is reached.
    pub(super) fn look(&mut self, running: Duration, batch: &Tally) -> Option<Cause> {
        let policy = self.policy.as_ref()?;
        let count = match self.state {
            State::Trial => batch.all,
            _ if batch.new.failed == 0 => return None,
            _ => before(&self.window, running, policy.window).plus(batch.new),
        };
        let is_over = count.records >= policy.records && reaches(policy, count);
        is_over.then(|| self.open(Cause::Failures { failed: count.failed, records: count.records }))
    }

    /// A batch has its verdicts: takes note, and ends a trial.
    pub(super) fn end(&mut self, running: Duration, batch: &Tally) -> Option<Cause> {
        let policy = self.policy.as_ref()?;
        if self.state == State::Trial && batch.all.records > 0 {
            let Count { records, failed } = batch.all;
            if reaches(policy, batch.all) {
                return Some(self.open(Cause::Failures { failed, records }));
            }
            self.state = State::Closed;
        }
        let piece = policy.window / PIECES;
        match self.window.back_mut() {
            Some(last) if running.saturating_sub(last.since) < piece => {
                last.count = last.count.plus(batch.new);
            }
            _ => self.window.push_back(Piece { since: running, count: batch.new }),
        }
        while self.window.front().is_some_and(|piece| is_past(piece, running, policy.window)) {
            self.window.pop_front();
        }
        self.counted_to = self.counted_to.max(batch.last_offset);
        None
    }

    fn open(&mut self, cause: Cause) -> Cause {
        self.state = State::Open;
        self.window.clear();
        self.answered();
        cause
    }
}

fn reaches(policy: &CircuitBreaker, count: Count) -> bool {
    u128::from(count.failed) * 100 >= u128::from(count.records) * u128::from(policy.max_failures_percent)
}

fn is_past(piece: &Piece, running: Duration, window: Duration) -> bool {
    running.saturating_sub(piece.since) >= window
}

fn before(window: &VecDeque<Piece>, running: Duration, length: Duration) -> Count {
    let recent = window.iter().filter(|piece| !is_past(piece, running, length));
    recent.fold(Count::default(), |sum, piece| sum.plus(piece.count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn breaker() -> Breaker {
        Breaker::new(Some(CircuitBreaker::default()))
    }

    /// Records that were not counted before.
    fn tally(records: u64, failed: u64) -> Tally {
        let count = Count { records, failed };
        Tally { all: count, new: count, last_offset: None }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A batch that is worked to its end.
    fn batch(breaker: &mut Breaker, at: u64, tally: Tally) -> Option<Cause> {
        breaker.begin();
        breaker.look(seconds(at), &tally).or_else(|| breaker.end(seconds(at), &tally))
    }

    #[test]
    fn it_opens_at_half_of_a_thousand_records_and_not_before() {
        let mut breaker = breaker();
        assert_eq!(batch(&mut breaker, 0, tally(999, 999)), None);
        let cause = batch(&mut breaker, 1, tally(1, 0)).or_else(|| batch(&mut breaker, 2, tally(1, 1)));
        assert_eq!(cause, Some(Cause::Failures { failed: 1000, records: 1001 }));
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let mut breaker = breaker();
        assert_eq!(batch(&mut breaker, 0, tally(999, 999)), None);
        assert_eq!(batch(&mut breaker, 60, tally(999, 999)), None);
        assert!(batch(&mut breaker, 90, tally(1, 1)).is_some());
    }

    #[test]
    fn a_batch_that_comes_again_is_counted_once() {
        let mut breaker = breaker();
        for at in 0..20 {
            breaker.begin();
            let mut batch = Tally::default();
            (0..300).for_each(|offset| batch.add(&breaker, offset, true));
            assert_eq!(breaker.look(seconds(at), &batch), None, "300 bad records at {at} s");
            assert_eq!(breaker.end(seconds(at), &batch), None);
        }
    }

    #[test]
    fn a_trial_that_fails_holds_the_lane_again_and_a_good_one_ends_it() {
        let mut breaker = breaker();
        assert!(batch(&mut breaker, 0, tally(1000, 500)).is_some());
        assert!(batch(&mut breaker, 60, tally(10, 5)).is_some());
        assert_eq!(batch(&mut breaker, 120, tally(10, 4)), None);
        assert_eq!(batch(&mut breaker, 121, tally(900, 900)), None, "closed again, with a new window");
    }

    #[test]
    fn a_trial_without_a_verdict_decides_nothing() {
        let mut breaker = breaker();
        assert!(batch(&mut breaker, 0, tally(1000, 1000)).is_some());
        assert_eq!(batch(&mut breaker, 60, tally(0, 0)), None);
        assert!(batch(&mut breaker, 61, tally(2, 2)).is_some(), "still a trial");
    }

    #[test]
    fn calls_that_time_out_one_after_another_open_it() {
        let mut breaker = breaker();
        for nth in 1..22 {
            assert_eq!(breaker.timed_out(seconds(3)), None, "call {nth}");
        }
        assert_eq!(breaker.timed_out(seconds(3)), Some(Cause::Timeouts { calls: 22 }));
        breaker.begin();
        assert_eq!(breaker.timed_out(seconds(3)), None, "the first record of a trial may be the one");
        assert!(breaker.timed_out(seconds(3)).is_some());
    }

    #[test]
    fn short_time_outs_have_to_add_up_to_a_minute() {
        let mut breaker = breaker();
        let opened = (1..).find(|_| breaker.timed_out(Duration::from_millis(100)).is_some());
        assert_eq!(opened, Some(600));
    }

    #[test]
    fn an_answer_begins_the_count_anew() {
        let mut breaker = breaker();
        for _ in 0..100 {
            for _ in 0..21 {
                assert_eq!(breaker.timed_out(seconds(300)), None);
            }
            breaker.answered();
        }
    }

    #[test]
    fn without_a_policy_it_never_opens() {
        let mut breaker = Breaker::new(None);
        assert_eq!(batch(&mut breaker, 0, tally(1 << 40, 1 << 40)), None);
        assert!((0..1000).all(|_| breaker.timed_out(seconds(300)).is_none()));
    }

    proptest! {
        #[test]
        fn it_never_opens_for_fewer_bad_records(
            batches in proptest::collection::vec((0_u64..400, 0_u64..400, 0_u64..30), 1..60),
        ) {
            let mut breaker = breaker();
            let mut at = 0;
            let mut last: Vec<(u64, u64)> = Vec::new();
            for (records, failed, wait) in batches {
                at += wait;
                let failed = failed.min(records);
                last.push((at, failed));
                let recent: u64 =
                    last.iter().filter(|(then, _)| at - then < 66).map(|(_, failed)| failed).sum();
                let opened = batch(&mut breaker, at, tally(records, failed)).is_some();
                prop_assert!(!opened || recent >= 500, "opened for {recent}");
                if opened {
                    break;
                }
            }
        }
    }
}
