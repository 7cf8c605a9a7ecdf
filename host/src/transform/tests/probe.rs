//! Trials of versions on doubles.

use super::*;
use crate::transform::{Probe, probe};

fn try_it(stable: Option<Factory>, candidate: Factory, records: usize) -> Probe {
    // Whatever the policy says: a trial lists every failure.
    let policy = Policy { on_error: OnError::Stop, ..Policy::default() };
    let chain = |factory: Factory| Chain::of([(Arc::new(factory) as Arc<dyn Code>, policy.clone())]);
    let range = OffsetRange { start: 0, end: records as u64 };
    let origin = TopicPartition { topic: "t".into(), partition: 0 };
    let batch = Batch { origin, epoch: Epoch(0), range, records: batch(records) };
    probe(stable.map(chain).as_ref(), &chain(candidate), &batch)
}

fn good() -> Factory {
    Factory::new(|_| Ok(Answer::Forward))
}

#[test]
fn every_way_to_fail_is_counted_apart_and_the_first_is_shown() {
    let candidate = Factory::new(|record| match record.offset {
        5 | 17 => Err(trap()),
        30 => Err(timeout()),
        31 => Err(CallError::WrongCount { expected: 2, got: 1 }),
        40 | 41 => {
            Ok(Answer::Fail(Failure { code: String::from("Late"), detail: record.offset.to_string() }))
        }
        50 => Ok(Answer::Retry(wish("Busy"))),
        60 => Ok(Answer::Drop),
        _ => Ok(Answer::Forward),
    });
    let probe = try_it(Some(good()), candidate, 100);
    let side = &probe.candidate;
    let broken = [
        (Condition::Trap, 2),
        (Condition::Timeout, 1),
        (Condition::BadResponse, 1),
        (Condition::RetryAttemptsExhausted, 1),
    ];
    assert_eq!(side.broken, BTreeMap::from(broken));
    assert_eq!((side.failed, side.breaks(), side.untried, &side.error), (2, 4, 0, &None));
    let first = side.first_broken.as_ref().expect("a first");
    assert_eq!(
        (first.offset, first.condition, first.text.as_str()),
        (5, Condition::Trap, "PluginTrap: boom")
    );
    assert_eq!(first.transform.as_deref(), Some("double"));
    let first = side.first_failed.as_ref().expect("a first");
    assert_eq!((first.offset, first.text.as_str()), (40, "Late: 40"));
    assert_eq!((side.numbers.records, side.numbers.failed, side.numbers.dropped), (100, 7, 1));
    let stable = probe.stable.as_ref().expect("a stable side");
    assert_eq!((stable.numbers.outputs, stable.breaks(), stable.failed), (100, 0, 0));
    let comparison = probe.comparison.expect("both");
    assert_eq!((comparison.records, comparison.different, comparison.not_compared), (100, 8, 0));
}

#[test]
fn versions_that_end_their_goes_at_different_places_are_compared_whole() {
    let hangs = |bad: Vec<u64>| poison(bad, timeout());
    let probe = try_it(Some(hangs(vec![7, 60])), hangs(vec![7, 33]), 100);
    let comparison = probe.comparison.expect("both");
    assert_eq!((comparison.records, comparison.different, comparison.not_compared), (100, 2, 0));
}

#[test]
fn fatal_ends_a_trial_and_what_is_left_is_not_compared() {
    let fatal = Factory::new(|_| Err(CallError::Fatal(String::from("no licence"))));
    let probe = try_it(Some(good()), fatal, 10);
    let error = probe.candidate.error.expect("it gave up");
    assert_eq!(error, "transform `double` gave up: no licence");
    assert_eq!((probe.candidate.untried, probe.records), (10, 10));
    assert_eq!(probe.comparison.expect("both").not_compared, 10);
    let none = Factory { fails: 0..usize::MAX, ..good() };
    let error = try_it(None, none, 10).candidate.error.expect("there is no instance");
    assert!(error.contains("no memory"), "{error}");
}

#[test]
fn alone_or_without_records_there_is_nothing_to_compare() {
    let alone = try_it(None, good(), 3);
    assert_eq!((alone.stable, alone.comparison), (None, None));
    assert_eq!(alone.candidate.numbers.outputs, 3);
    let empty = try_it(Some(good()), good(), 0);
    assert_eq!((empty.candidate.error, empty.comparison.map(|it| it.records)), (None, Some(0)));
}
