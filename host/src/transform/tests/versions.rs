//! Two versions on doubles of their plugins: each input has one fate, in one part, and it is the fate that
//! it would meet alone under that version.

use std::collections::BTreeSet;

use super::accounts::{Fate, action, model, scripted};
use super::*;
use crate::filter::Filter;
use crate::transform::{Filtered, LaneVersions, Mode, Processed, Sieve, Split, SplitBy, VersionNumbers};

const STEPS: usize = 2;

/// A record of a test's batch.
#[derive(Clone, Debug)]
struct Given {
    key: Option<u8>,
    /// Whether it passes the filter.
    matches: bool,
}

fn given() -> impl Strategy<Value = Given> {
    (proptest::option::of(0_u8..12), proptest::bool::weighted(0.9))
        .prop_map(|(key, matches)| Given { key, matches })
}

fn batch_of(start: u64, given: &[Given]) -> Batch {
    let mut records = Arena::default();
    for (offset, given) in (start..).zip(given) {
        let key = given.key.map(|key| [key]);
        let value: &[u8] = if given.matches { br#"{"a":1}"# } else { br#"{"a":2}"# };
        let key = key.as_ref().map(<[u8; 1]>::as_slice);
        let record = NewRecord { key, value: Some(value), timestamp_ms: 7, offset, index: 0 };
        assert!(records.push(record, []));
    }
    let range = OffsetRange { start, end: start + given.len() as u64 };
    Batch { origin: origin(), epoch: Epoch(1), range, records }
}

fn keyed(start: u64, records: usize) -> Batch {
    let given: Vec<_> = (0..records).map(|nth| Given { key: Some(nth as u8), matches: true }).collect();
    batch_of(start, &given)
}

fn origin() -> TopicPartition {
    TopicPartition { topic: "t".into(), partition: 3 }
}

fn lane(factories: Vec<Factory>, policy: &Policy) -> LaneChain {
    chain(factories, policy).lane(origin())
}

fn chain(factories: Vec<Factory>, policy: &Policy) -> Chain {
    let chain = Chain::of(factories.into_iter().map(|it| (Arc::new(it) as Arc<dyn Code>, policy.clone())));
    chain.prove();
    chain
}

fn one(factory: &Arc<Factory>, policy: &Policy) -> LaneChain {
    let chain = Chain::of([(Arc::clone(factory) as Arc<dyn Code>, policy.clone())]);
    chain.prove();
    chain.lane(origin())
}

fn forwards() -> Arc<Factory> {
    Arc::new(Factory::new(|_| Ok(Answer::Forward)))
}

fn patient() -> Policy {
    Policy { circuit_breaker: None, ..Policy::default() }
}

fn share(share: u16, by: SplitBy) -> Mode {
    Mode::Share(Split::new(share, by).expect("a share"))
}

/// Both transforms of a version that does what `actions` say.
fn version(actions: &[u8], fails: Range<usize>) -> Vec<Factory> {
    let step = |step| {
        let actions = actions.to_vec();
        let script = move |record: &RecordRef<'_>| {
            scripted(action(&actions, step, record.offset, record.index), record)
        };
        Factory { fails: fails.clone(), ..Factory::new(script) }
    };
    (0..STEPS).map(step).collect()
}

/// Actions of a version; 12 wants to come again for ever, 13 hangs.
fn actions() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![20 => 0_u8..12, 1 => Just(12_u8), 1 => Just(13_u8)], 1..30)
}

/// What an input becomes under a version, in the end.
fn fate(actions: &[u8], offset: u64) -> Fate {
    let in_the_end: Vec<_> = actions.iter().map(|action| (*action).min(11)).collect();
    model(&in_the_end, STEPS, offset)
}

/// Checks a part against the fates of its inputs; gives the inputs that it dropped.
fn check_part(results: &Transformed, inputs: &BTreeMap<u32, Fate>) {
    assert!(results.outputs.is_sorted_by_key(|output| (output.input, output.index)));
    let listed = results.outputs.iter().map(|output| output.input);
    let failures = results.failed.iter().chain(&results.partial).map(|failed| failed.input);
    let listed: BTreeSet<u32> = listed.chain(failures).collect();
    assert!(listed.iter().all(|input| inputs.contains_key(input)), "{listed:?} of {inputs:?}");
    assert_eq!(results.dropped, (inputs.len() - listed.len()) as u64);
    for (input, fate) in inputs {
        let outputs = results.outputs.iter().filter(|output| output.input == *input);
        let outputs: Vec<u32> = outputs.map(|output| output.index).collect();
        let partial = results.partial.iter().filter(|failed| failed.input == *input);
        let partial: Vec<u32> = partial.map(|failed| failed.index.expect("a part has a number")).collect();
        let whole = results.failed.iter().filter(|failed| failed.input == *input).count();
        let expected = match fate {
            Fate::Kept { outputs, partial } => (*outputs as usize, *partial as usize, 0),
            Fate::Failed => (0, 0, 1),
            Fate::Dropped | Fate::Postponed => (0, 0, 0),
        };
        assert_eq!((outputs.len(), partial.len(), whole), expected, "input {input}: {fate:?}");
        let numbers: Vec<_> = outputs.into_iter().chain(partial).collect();
        assert_eq!(numbers, (0..numbers.len() as u32).collect::<Vec<_>>(), "input {input}");
    }
}

fn check_numbers(numbers: VersionNumbers, results: Option<&Transformed>, fates: &[Fate]) {
    let count = |fate: &dyn Fn(&Fate) -> bool| fates.iter().filter(|it| fate(it)).count() as u64;
    assert_eq!(numbers.records, fates.len() as u64);
    assert_eq!(numbers.failed, count(&|fate| *fate == Fate::Failed));
    assert_eq!(numbers.dropped, count(&|fate| *fate == Fate::Dropped));
    assert_eq!(numbers.batches, u64::from(!fates.is_empty()));
    let outputs = results.map_or(0, |results| results.outputs.len());
    assert_eq!(numbers.outputs, outputs as u64);
    let partial = results.map_or(0, |results| results.partial.len());
    assert_eq!(numbers.partial, partial as u64);
    assert_eq!(numbers.output_bytes > 0, outputs > 0, "every record here has a value or a key");
}

/// What the candidate's chain does besides.
#[derive(Clone, Copy, Debug)]
enum Loses {
    Never,
    InstancesFrom(usize),
    FatalAt(u64),
    StopsOnError,
}

/// One try of a batch in two versions, checked go by go.
struct Try<'a> {
    given: &'a [Given],
    batch: Batch,
    versions: LaneVersions,
    split: Split,
    actions: [&'a [u8]; 2],
    filters: bool,
    is_lost: bool,
}

impl Try<'_> {
    fn run(&mut self) {
        let count = self.given.len() as u32;
        let (mut from, mut goes) = (0, 0);
        while from < count {
            goes += 1;
            assert!(goes < 60 * count + 100, "it comes to an end");
            let processed = match self.versions.process(&self.batch, from, NOW) {
                Ok(processed) => processed,
                Err(stop) => {
                    assert!(matches!(stop, Stop::Instance { .. }), "{stop}");
                    continue;
                }
            };
            assert_eq!(
                processed.lost.is_some(),
                !self.is_lost && self.versions.mode().is_none(),
                "told once"
            );
            self.is_lost |= processed.lost.is_some();
            let until = processed.until(count);
            assert!(until >= from, "it never goes back");
            for (_, results) in processed.parts() {
                assert_eq!(results.rest, processed.rest, "both end at one record");
            }
            self.check(&processed, from..until);
            self.versions.recycle(processed);
            from = until;
        }
    }

    fn check(&self, processed: &Processed, inputs: Range<u32>) {
        let [mut stable, mut candidate] = [BTreeMap::new(), BTreeMap::new()];
        let [mut reached, mut theirs] = [Vec::new(), Vec::new()];
        for input in inputs {
            let offset = self.batch.records.offset(input as usize);
            let passes = self.given[input as usize].matches || !self.filters;
            let taken = self.split.takes_batch(&self.batch);
            let taken = taken.unwrap_or_else(|| self.split.takes_record(&self.batch.records, input as usize));
            if !passes {
                stable.insert(input, Fate::Dropped);
            } else if taken && !self.is_lost {
                candidate.insert(input, fate(self.actions[1], offset));
                theirs.push(fate(self.actions[1], offset));
            } else {
                stable.insert(input, fate(self.actions[0], offset));
                reached.push(fate(self.actions[0], offset));
            }
        }
        for (part, fates) in [(&processed.stable, &stable), (&processed.candidate, &candidate)] {
            match part {
                Some(results) => check_part(results, fates),
                None => assert!(fates.is_empty(), "{fates:?} have no part"),
            }
        }
        check_numbers(processed.tallies[0], processed.stable.as_ref(), &reached);
        check_numbers(processed.tallies[1], processed.candidate.as_ref(), &theirs);
    }
}

fn loses() -> impl Strategy<Value = Loses> {
    prop_oneof![
        3 => Just(Loses::Never),
        1 => (0_usize..6).prop_map(Loses::InstancesFrom),
        1 => (0_u64..50).prop_map(Loses::FatalAt),
        1 => Just(Loses::StopsOnError),
    ]
}

/// The candidate and its policy.
fn candidate(actions: &[u8], start: u64, loses: Loses) -> LaneChain {
    let mut policy = patient();
    let mut factories = version(actions, 0..0);
    match loses {
        Loses::Never => {}
        Loses::InstancesFrom(nth) => factories = version(actions, nth..usize::MAX),
        Loses::FatalAt(bad) => {
            policy.on_fatal = OnFatal::Stop;
            factories.push(poison([start + bad], CallError::Fatal(String::from("no"))));
        }
        Loses::StopsOnError => policy.on_error = OnError::Stop,
    }
    lane(factories, &policy)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn each_input_has_one_fate_in_one_part(
        given in vec(given(), 0..40),
        start in 0_u64..1_000,
        actions in [actions(), actions()],
        percent in 1_u16..=100,
        by in prop_oneof![3 => Just(SplitBy::Keys), 1 => Just(SplitBy::Batches)],
        filters in any::<bool>(),
        stable_fails in 0_usize..3,
        loses in loses(),
    ) {
        let split = Split::new(percent * 100, by).expect("a share");
        let mut stable = chain(version(&actions[0], 0..stable_fails), &patient());
        if filters {
            let filter = Filter::parse(&[r#"{"value": {"a": [1]}}"#]).expect("a pattern");
            stable = stable.behind(Sieve::new(filter, false));
        }
        let candidate = (candidate(&actions[1], start, loses), Mode::Share(split));
        let mut a_try = Try {
            given: &given,
            batch: batch_of(start, &given),
            versions: LaneVersions::new(stable.lane(origin()), Some(candidate)),
            split,
            actions: [&actions[0], &actions[1]],
            filters,
            is_lost: false,
        };
        a_try.run();
        let kept_back = given.iter().filter(|given| filters && !given.matches).count() as u64;
        let sum = a_try.versions.filtered();
        prop_assert!(sum.no_match <= kept_back, "{sum:?}");
    }

    #[test]
    fn a_shadow_changes_nothing_of_what_is_stable(
        given in vec(given(), 1..40),
        actions in [actions(), actions()],
        loses in loses(),
    ) {
        let batch = batch_of(0, &given);
        let stable = || lane(version(&actions[0], 0..0), &patient());
        let mut alone = LaneVersions::new(stable(), None);
        let mut shadowed =
            LaneVersions::new(stable(), Some((candidate(&actions[1], 0, loses), Mode::Shadow)));
        let (count, mut from) = (given.len() as u32, 0);
        let mut is_lost = false;
        while from < count {
            let expected = alone.process(&batch, from, NOW).expect("nothing stops it");
            let found = shadowed.process(&batch, from, NOW).expect("a shadow stops nothing");
            prop_assert_eq!(shown(&found), shown(&expected));
            prop_assert!(found.candidate.is_none());
            let until = found.until(count);
            let compared = found.compared.as_ref().map_or(0, |it| it.records + it.not_compared);
            let expected = if is_lost { 0 } else { u64::from(until - from) };
            prop_assert_eq!(compared, expected, "each record is compared, or counted as not");
            is_lost |= found.lost.is_some();
            from = until;
        }
    }

    #[test]
    fn a_shadow_of_the_same_code_differs_in_nothing(given in vec(given(), 1..40), actions in actions()) {
        let batch = batch_of(0, &given);
        let lane = || lane(version(&actions, 0..0), &patient());
        let mut versions = LaneVersions::new(lane(), Some((lane(), Mode::Shadow)));
        let (count, mut from) = (given.len() as u32, 0);
        while from < count {
            let processed = versions.process(&batch, from, NOW).expect("nothing stops it");
            let different = processed.compared.as_ref().map_or(0, |compared| compared.different);
            prop_assert_eq!(different, 0, "{:?}", processed.compared);
            from = processed.until(count);
        }
    }
}

/// Everything of the stable part but the time that it took.
fn shown(processed: &Processed) -> String {
    let results = processed.stable.as_ref().expect("a stable part");
    let numbers = VersionNumbers { busy: Duration::ZERO, ..processed.tallies[0] };
    format!("{results:?} {:?} {numbers:?}", processed.rest)
}

#[test]
fn a_batch_goes_to_one_version_as_a_whole() {
    let mode = share(5_000, SplitBy::Batches);
    let (stable, tried) = (forwards(), forwards());
    let mut versions = LaneVersions::new(one(&stable, &patient()), Some((one(&tried, &patient()), mode)));
    let mut taken = 0;
    for nth in 0..40 {
        let batch = keyed(nth * 100, 10);
        let processed = versions.process(&batch, 0, NOW).expect("nothing stops it");
        let parts: Vec<_> = processed.parts().collect();
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].1.outputs.len(), 10);
        taken += u32::from(processed.candidate.is_some());
        // And the same one, however often a part of it comes again.
        let again = versions.process(&batch, 7, NOW).expect("nothing stops it");
        assert_eq!(again.candidate.is_some(), processed.candidate.is_some());
    }
    assert!((8..32).contains(&taken), "{taken}");
    assert!(stable.calls() > 0 && tried.calls() > 0);
}

#[test]
fn a_candidate_that_hangs_makes_only_its_own_calls_smaller() {
    let by_keys = share(5_000, SplitBy::Keys);
    let Mode::Share(split) = by_keys else { panic!("a share") };
    let batch = keyed(0, 200);
    let is_taken = |nth: &usize| split.takes_record(&batch.records, *nth);
    let bad = (0..200).find(is_taken).expect("some of 200") as u64;
    let (stable, tried) = (forwards(), Arc::new(poison([bad], timeout())));
    let mut versions = LaneVersions::new(one(&stable, &patient()), Some((one(&tried, &patient()), by_keys)));
    let first = versions.process(&batch, 0, NOW).expect("nothing stops it");
    assert_eq!(first.until(200) as u64, bad, "both end before what hangs");
    assert!(versions.is_slowed());
    // A stretch that is the stable version's alone is done at one go.
    let records: Vec<_> = (0..200_usize).filter(|nth| !is_taken(nth)).collect();
    let given: Vec<_> = records.iter().map(|nth| Given { key: Some(*nth as u8), matches: true }).collect();
    let other = batch_of(1_000, &given);
    let processed = versions.process(&other, 0, NOW).expect("nothing stops it");
    assert_eq!((processed.rest, processed.candidate.is_none()), (None, true));
}

#[test]
fn a_wait_for_one_version_costs_the_other_no_retries() {
    let by_keys = share(5_000, SplitBy::Keys);
    let Mode::Share(split) = by_keys else { panic!("a share") };
    let batch = keyed(0, 200);
    let taken: Vec<bool> = (0..200).map(|nth| split.takes_record(&batch.records, nth)).collect();
    let first = |from: usize, whose: bool| (from..200).find(|nth| taken[*nth] == whose).expect("some") as u64;
    for stable_first in [true, false] {
        let early = first(0, !stable_first);
        let late = first(early as usize, stable_first);
        let asks = |offset| Arc::new(wishes(offset));
        let (stable, tried) =
            if stable_first { (asks(early), asks(late)) } else { (asks(late), asks(early)) };
        let mut versions =
            LaneVersions::new(one(&stable, &patient()), Some((one(&tried, &patient()), by_keys)));
        for expected in [(early, 1), (early, 2), (early, 3), (late, 1), (late, 2)] {
            let processed = versions.process(&batch, 0, NOW).expect("nothing stops it");
            let rest = processed.rest.expect("one of them waits");
            let Wait::Wish { attempt, .. } = rest.wait else { panic!("it waits for a wish") };
            assert_eq!((u64::from(rest.from), attempt), expected);
        }
    }
}

fn wishes(offset: u64) -> Factory {
    Factory::new(move |record| {
        Ok(if record.offset == offset { Answer::Retry(wish("Busy")) } else { Answer::Forward })
    })
}

#[test]
fn a_candidate_is_lost_for_good_and_the_lane_is_never_held_for_it() {
    let bad = || Arc::new(Factory::new(|_| Ok(Answer::Fail(failure()))));
    let broken = || Arc::new(Factory { fails: 0..usize::MAX, ..Factory::new(|_| Ok(Answer::Forward)) });
    let stopping = Policy { on_error: OnError::Stop, ..Policy::default() };
    let table = [
        (bad(), Policy::default(), "fails too often: 1000 of 1000 records failed"),
        (bad(), stopping, "its `on_error` is \"stop\""),
        (Arc::new(poison([0], CallError::Fatal(String::from("no licence")))), on_fatal_stop(), "no licence"),
        (broken(), Policy::default(), "cannot be made: the WebAssembly engine cannot start: no memory"),
    ];
    for (factory, policy, why) in table {
        for mode in [share(10_000, SplitBy::Keys), share(10_000, SplitBy::Batches), Mode::Shadow] {
            let stable = forwards();
            let mut versions =
                LaneVersions::new(one(&stable, &patient()), Some((one(&factory, &policy), mode)));
            let batch = keyed(0, 1_000);
            let processed = versions.process(&batch, 0, NOW).expect("a candidate stops nothing");
            let lost = processed.lost.expect("it is lost");
            assert!(lost.contains(why), "{lost}");
            assert_eq!((versions.mode(), processed.rest, processed.candidate.is_none()), (None, None, true));
            assert_eq!(processed.stable.expect("a stable part").outputs.len(), 1_000);
            let (made, calls) = (factory.made(), factory.calls());
            let after = versions.process(&batch, 0, NOW).expect("nothing stops it");
            assert_eq!((after.lost, after.compared), (None, None));
            assert_eq!((factory.made(), factory.calls()), (made, calls), "it is not asked again");
        }
    }
}

fn on_fatal_stop() -> Policy {
    Policy { on_fatal: OnFatal::Stop, ..Policy::default() }
}

#[test]
fn a_stop_of_the_stable_version_is_the_lanes_and_leaves_the_candidate() {
    let stable = Arc::new(Factory::new(|_| Ok(Answer::Fail(failure()))));
    let policy = Policy { on_error: OnError::Stop, ..Policy::default() };
    for mode in [share(5_000, SplitBy::Keys), Mode::Shadow] {
        let tried = forwards();
        let mut versions = LaneVersions::new(one(&stable, &policy), Some((one(&tried, &patient()), mode)));
        let batch = keyed(0, 200);
        let (mut from, mut stop) = (0, None);
        while stop.is_none() {
            match versions.process(&batch, from, NOW) {
                Ok(processed) => from = processed.until(200),
                Err(error) => stop = Some(error),
            }
        }
        assert!(stop.is_some_and(|stop| stop.is_final()));
        assert_eq!(versions.mode(), Some(mode));
    }
}

#[test]
fn that_a_candidate_was_lost_is_told_even_if_the_stable_version_stops_in_the_same_batch() {
    let stable = Arc::new(Factory { fails: 0..1, ..Factory::new(|_| Ok(Answer::Forward)) });
    let tried = Arc::new(Factory { fails: 0..1, ..Factory::new(|_| Ok(Answer::Forward)) });
    let mode = share(10_000, SplitBy::Keys);
    let mut versions = LaneVersions::new(one(&stable, &patient()), Some((one(&tried, &patient()), mode)));
    let batch = keyed(0, 3);
    assert!(matches!(versions.process(&batch, 0, NOW), Err(Stop::Instance { .. })));
    let processed = versions.process(&batch, 0, NOW).expect("now it can be made");
    assert!(processed.lost.is_some() && processed.candidate.is_none());
    assert_eq!(versions.process(&batch, 0, NOW).expect("nothing stops it").lost, None, "told once");
}

#[test]
fn a_shadow_that_hangs_in_batch_after_batch_is_given_up_and_one_record_does_not_do_it() {
    let run = |bad: Vec<u64>| {
        let (stable, shadow) = (forwards(), Arc::new(poison(bad, timeout())));
        let mut versions =
            LaneVersions::new(one(&stable, &patient()), Some((one(&shadow, &patient()), Mode::Shadow)));
        let lost = |nth: u64| {
            let processed = versions.process(&keyed(nth * 10, 10), 0, NOW).expect("a shadow stops nothing");
            let compared = processed.compared.expect("it was compared");
            assert_eq!(compared.records + compared.not_compared, 10);
            assert_eq!(processed.stable.expect("a stable part").outputs.len(), 10);
            processed.lost
        };
        (0..4).map(lost).take_while(Option::is_none).count()
    };
    assert_eq!(run(vec![0, 1, 2, 3, 4, 10, 11, 20, 30]), 2, "the third in a row loses it");
    assert_eq!(run(vec![5]), 4);
    assert_eq!(run(vec![5, 15, 35]), 4);
}

#[test]
fn differences_of_code_that_is_not_pure_are_unreliable() {
    let impure = || Arc::new(Factory { pure: false, ..Factory::new(|_| Ok(Answer::Drop)) });
    for (stable, shadow, expected) in
        [(forwards(), forwards(), false), (forwards(), impure(), true), (impure(), forwards(), true)]
    {
        let mut versions =
            LaneVersions::new(one(&stable, &patient()), Some((one(&shadow, &patient()), Mode::Shadow)));
        let processed = versions.process(&keyed(0, 3), 0, NOW).expect("nothing stops it");
        assert_eq!(processed.compared.expect("compared").unreliable, expected);
    }
}

#[test]
fn a_warm_lane_has_its_instances_and_a_released_one_has_none() {
    let (stable, tried) = (forwards(), forwards());
    let mode = share(10_000, SplitBy::Keys);
    let mut versions = LaneVersions::new(one(&stable, &patient()), Some((one(&tried, &patient()), mode)));
    for round in 1..3 {
        for _ in 0..2 {
            versions.warm().expect("both can be made");
        }
        assert_eq!((stable.made(), tried.made()), (round, round));
        versions.process(&keyed(0, 3), 0, NOW).expect("nothing stops it");
        assert_eq!((stable.made(), tried.made()), (round, round), "the first batch finds them");
        versions.release();
    }
    let broken = || Arc::new(Factory { fails: 0..usize::MAX, ..Factory::new(|_| Ok(Answer::Forward)) });
    let with = |stable: &Arc<Factory>, tried: &Arc<Factory>| {
        LaneVersions::new(one(stable, &patient()), Some((one(tried, &patient()), mode))).warm()
    };
    assert!(with(&forwards(), &broken()).is_ok(), "a candidate's instance is no reason to stop");
    assert!(matches!(with(&broken(), &forwards()), Err(Stop::Instance { .. })));
}

#[test]
fn what_the_filter_keeps_back_is_stable_and_counted_once() {
    let filter = Filter::parse(&[r#"{"value": {"a": [1]}}"#]).expect("a pattern");
    let stable = Chain::of([(forwards() as Arc<dyn Code>, patient())]).behind(Sieve::new(filter, false));
    let tried = Arc::new(wishes(1));
    let mode = share(10_000, SplitBy::Keys);
    let mut versions = LaneVersions::new(stable.lane(origin()), Some((one(&tried, &patient()), mode)));
    let given = [false, true, false].map(|matches| Given { key: None, matches });
    let batch = batch_of(0, &given);
    let first = versions.process(&batch, 0, NOW).expect("nothing stops it");
    assert_eq!((first.until(3), versions.filtered()), (1, Filtered { no_match: 2, not_json: 0 }));
    assert_eq!(first.stable.expect("the filter's").dropped, 1);
    assert_eq!(first.tallies[0].dropped, 0, "numbers are of the transforms");
    versions.process(&batch, 1, NOW).expect("nothing stops it");
    assert_eq!(versions.filtered(), Filtered::default());
}
