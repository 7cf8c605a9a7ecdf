//! Two versions on doubles of their plugins: each input has one fate, in one part, and it is the fate that
//! it would meet alone under that version.

mod cases;

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
