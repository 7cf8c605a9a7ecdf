//! Bisection, order and accounts on doubles of a plugin, against a model that looks at one input at a
//! time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::bisect::{Call, Make, Slot};
use super::chain::{Named, Stop, run_step};
use crate::plugin::{CallError, Emission, Error, Inputs, Produced, Verdict};
use crate::record::{Annotation, Arena, Failure, NewRecord, Postponement, RecordRef, Transformed};

type Script = Arc<dyn Fn(&RecordRef<'_>) -> Result<Answer, CallError> + Send + Sync>;

/// A verdict that owns what it says.
enum Answer {
    Forward,
    Annotate(Annotation),
    Replace(Option<Vec<u8>>),
    /// The values of the outputs, and how many failed.
    Emit(Vec<Option<Vec<u8>>>, usize),
    Drop,
    Fail(Failure),
    Retry(Postponement),
}

impl Answer {
    fn hand(self, take: &mut dyn FnMut(Verdict<'_>)) {
        match self {
            Self::Forward => take(Verdict::Forward),
            Self::Annotate(annotation) => take(Verdict::Annotate(annotation)),
            Self::Replace(value) => {
                take(Verdict::Replace { value: value.as_deref(), annotation: None });
            }
            Self::Emit(outputs, failures) => {
                take(Verdict::Emit(&mut Emitted { outputs, emitted: 0, failures }));
            }
            Self::Drop => take(Verdict::Drop),
            Self::Fail(failure) => take(Verdict::Fail(failure)),
            Self::Retry(wish) => take(Verdict::Retry(wish)),
        }
    }
}

#[derive(Debug)]
struct Emitted {
    outputs: Vec<Option<Vec<u8>>>,
    emitted: usize,
    failures: usize,
}

impl Emission for Emitted {
    fn next_output(&mut self) -> Option<Produced<'_>> {
        let value = self.outputs.get(self.emitted)?;
        self.emitted += 1;
        Some(Produced { value: value.as_deref(), ..Produced::default() })
    }

    fn next_failure(&mut self) -> Option<(Failure, Option<&[u8]>)> {
        self.failures = self.failures.checked_sub(1)?;
        Some((failure(), Some(b"part")))
    }
}

/// Answers by a script for each record; one record's error is the call's.
struct Double {
    script: Script,
    calls: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<u64>>>,
    dead: bool,
}

struct Factory {
    script: Script,
    calls: Arc<AtomicUsize>,
    made: AtomicUsize,
    /// Offsets in the calls that succeeded, in order.
    seen: Arc<Mutex<Vec<u64>>>,
}

impl Factory {
    fn new(script: impl Fn(&RecordRef<'_>) -> Result<Answer, CallError> + Send + Sync + 'static) -> Self {
        Self {
            script: Arc::new(script),
            calls: Arc::default(),
            made: AtomicUsize::new(0),
            seen: Arc::default(),
        }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    fn run(&self, batch: &Arena, previous: Option<Transformed>) -> Result<Transformed, Stop> {
        self.run_in(&mut Slot::default(), batch, previous, &AtomicBool::new(true))
    }

    fn run_in(
        &self,
        slot: &mut Slot,
        batch: &Arena,
        previous: Option<Transformed>,
        proven: &AtomicBool,
    ) -> Result<Transformed, Stop> {
        run_step(&Named { transform: "double", proven }, slot, self, batch, previous, 0)
    }
}

impl Make for Factory {
    fn make(&self) -> Result<Box<dyn Call>, Error> {
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Double {
            script: Arc::clone(&self.script),
            calls: Arc::clone(&self.calls),
            seen: Arc::clone(&self.seen),
            dead: false,
        }))
    }
}

impl Call for Double {
    fn process(
        &mut self,
        inputs: &Inputs<'_>,
        range: Range<usize>,
        _attempt: u32,
        take: &mut dyn FnMut(Verdict<'_>),
    ) -> Result<(), CallError> {
        assert!(!self.dead, "a dead instance is never called again");
        assert!(!range.is_empty(), "a call has at least one record");
        self.calls.fetch_add(1, Ordering::Relaxed);
        let records = range.map(|position| inputs.record(position));
        let offsets: Vec<_> = records.clone().map(|record| record.offset).collect();
        let verdicts: Result<Vec<_>, _> = records.map(|record| (self.script)(&record)).collect();
        let verdicts = verdicts.inspect_err(|error| self.dead = error.kills())?;
        self.seen.lock().expect("not poisoned").extend(offsets);
        verdicts.into_iter().for_each(|answer| answer.hand(take));
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        0
    }
}

fn batch(records: usize) -> Arena {
    let mut arena = Arena::default();
    for offset in 0..records as u64 {
        let value = offset.to_string();
        let record =
            NewRecord { key: Some(b"k"), value: Some(value.as_bytes()), timestamp_ms: 7, offset, index: 0 };
        assert!(arena.push(record, []));
    }
    arena
}

fn trap() -> CallError {
    CallError::Trap { message: String::from("boom"), backtrace: String::from("f"), output: String::new() }
}

fn failure() -> Failure {
    Failure { code: String::from("Bad"), detail: String::from("bad") }
}

fn wish(code: &str) -> Postponement {
    Postponement { code: code.to_owned(), reason: String::new(), after_ms: None }
}

fn poison(bad: impl IntoIterator<Item = u64>, error: CallError) -> Factory {
    let bad: Vec<u64> = bad.into_iter().collect();
    Factory::new(
        move |record| {
            if bad.contains(&record.offset) { Err(error.clone()) } else { Ok(Answer::Forward) }
        },
    )
}

fn inputs(outputs: &[crate::record::Output]) -> Vec<u64> {
    outputs.iter().map(|output| u64::from(output.input)).collect()
}

fn failed(result: &Transformed) -> Vec<u64> {
    result.failed.iter().map(|failed| u64::from(failed.input)).collect()
}

fn log2_ceil(number: usize) -> usize {
    number.next_power_of_two().ilog2() as usize
}

proptest! {
    #[test]
    fn only_bad_records_fail_and_calls_stay_few(
        records in 1_usize..200,
        bad in btree_set(0_u64..200, 0..6),
        kind in 0..4,
    ) {
        let error = match kind {
            0 => trap(),
            1 => CallError::Timeout { limit_ms: 1, backtrace: String::new(), output: String::new() },
            2 => CallError::WrongCount { expected: 2, got: 1 },
            _ => CallError::Fatal(String::from("no")),
        };
        let bad: Vec<_> = bad.into_iter().filter(|offset| *offset < records as u64).collect();
        let factory = poison(bad.clone(), error.clone());
        let result = factory.run(&batch(records), None).expect("runs");
        prop_assert_eq!(failed(&result), bad.clone());
        let good: Vec<_> = (0..records as u64).filter(|offset| !bad.contains(offset)).collect();
        prop_assert_eq!(inputs(&result.outputs), good.clone());
        prop_assert_eq!(&*factory.seen.lock().expect("not poisoned"), &good);
        prop_assert!(result.failed.iter().all(|failed| failed.failure.code == error.code()));
        let bound = 1 + bad.len() * (2 * log2_ceil(records) + 1);
        prop_assert!(factory.calls() <= bound, "{} calls, at most {bound}", factory.calls());
    }
}

#[test]
fn a_bad_record_is_found_in_every_place() {
    for bad in [vec![0], vec![499], vec![999], (0..1000).collect()] {
        let factory = poison(bad.clone(), trap());
        let result = factory.run(&batch(1000), None).expect("runs");
        assert_eq!(failed(&result), bad);
        assert_eq!(result.outputs.len(), 1000 - bad.len());
        let bound = if bad.len() == 1 { 22 } else { 2000 };
        assert!(factory.calls() <= bound, "{} calls for {} bad", factory.calls(), bad.len());
        assert!(result.failed[0].failure.detail.contains("boom\nbacktrace, innermost first:\nf"));
    }
}

#[test]
fn a_batch_of_one_bad_record_on_a_fresh_instance_takes_one_call() {
    let factory = poison([0], trap());
    let result = factory.run(&batch(1), None).expect("runs");
    assert_eq!((failed(&result), factory.calls()), (vec![0], 1));
}

#[test]
fn what_a_used_instance_has_become_is_no_records_fault() {
    let calls = AtomicUsize::new(0);
    // The third call of the first instance traps, whatever it holds.
    let factory = Factory::new(move |_| {
        if calls.fetch_add(1, Ordering::Relaxed) == 2 { Err(trap()) } else { Ok(Answer::Forward) }
    });
    let mut slot = Slot::default();
    for _ in 0..4 {
        let result = factory.run_in(&mut slot, &batch(1), None, &AtomicBool::new(false)).expect("runs");
        assert_eq!((result.outputs.len(), result.failed.len()), (1, 0));
    }
    assert_eq!(factory.made(), 2);
}

#[test]
fn an_instance_serves_many_batches_and_a_word_from_the_plugin_does_not_end_it() {
    let factory = poison([1], CallError::Fatal(String::from("no")));
    let mut slot = Slot::default();
    for _ in 0..3 {
        let result = factory.run_in(&mut slot, &batch(3), None, &AtomicBool::new(true)).expect("runs");
        assert_eq!(failed(&result), [1]);
    }
    assert_eq!(factory.made(), 1);
}

#[test]
fn an_instance_that_lost_count_is_replaced() {
    let factory = poison([0], CallError::WrongCount { expected: 1, got: 0 });
    let mut slot = Slot::default();
    for made in 1..3 {
        let result = factory.run_in(&mut slot, &batch(1), None, &AtomicBool::new(true)).expect("runs");
        assert_eq!((failed(&result), factory.made()), (vec![0], made));
    }
}

#[test]
fn fatal_stops_the_pipeline_only_before_anything_succeeded() {
    let factory = poison([1], CallError::Fatal(String::from("no key")));
    let proven = AtomicBool::new(false);
    let mut slot = Slot::default();
    let stop = factory.run_in(&mut slot, &batch(3), None, &proven).expect_err("the first batch");
    assert!(matches!(stop, Stop::Fatal { text, .. } if text == "no key"));
    factory.run_in(&mut slot, &batch(1), None, &proven).expect("a good batch");
    let result = factory.run_in(&mut slot, &batch(3), None, &proven).expect("a later batch");
    assert_eq!(failed(&result), [1]);
    assert_eq!(result.failed[0].failure.code, "PluginFatal");
}

#[test]
fn a_call_that_wants_a_retry_postpones_what_is_left() {
    // 0..2 succeed once the poison at 3 has split the batch; 5 asks for a retry.
    let factory = Factory::new(|record| match record.offset {
        3 => Err(trap()),
        5 => Err(CallError::Retry(wish("Later"))),
        _ => Ok(Answer::Forward),
    });
    let result = factory.run(&batch(8), None).expect("runs");
    assert_eq!(inputs(&result.outputs), [0, 1, 2]);
    assert_eq!(failed(&result), [3]);
    assert_eq!(result.retry_from, Some((4, wish("Later"))));
}

#[test]
fn a_retry_of_the_first_record_postpones_the_batch() {
    let whole = Factory::new(|_| Err(CallError::Retry(wish("Call"))));
    let first = Factory::new(|_| Ok(Answer::Retry(wish("Record"))));
    for (factory, code) in [(whole, "Call"), (first, "Record")] {
        let stop = factory.run(&batch(3), None).expect_err("postponed");
        assert!(matches!(stop, Stop::Retry { wish, .. } if wish.code == code));
    }
}

#[test]
fn annotations_add_up_along_a_chain_and_emit_starts_anew() {
    let annotation = |route: &str, key: &str, header: &str| Annotation {
        routes: if route.is_empty() { Vec::new() } else { vec![route.to_owned()] },
        partition_keys: vec![(String::from("day"), key.to_owned()), (key.to_owned(), String::from("x"))],
        headers: vec![(String::from("h"), Some(header.as_bytes().to_vec())), (header.to_owned(), None)],
    };
    let first = annotation("a", "1", "one");
    let second = annotation("", "2", "two");
    let (one, two) = (first.clone(), second.clone());
    let batch = batch(3);
    let before = Factory::new(move |_| Ok(Answer::Annotate(one.clone()))).run(&batch, None).expect("runs");
    let after = Factory::new(move |record| {
        Ok(match record.offset {
            0 => Answer::Annotate(two.clone()),
            1 => Answer::Replace(Some(b"new".to_vec())),
            _ => Answer::Emit(vec![None], 0),
        })
    });
    let result = after.run(&batch, Some(before)).expect("runs");
    let annotations: Vec<_> = result.outputs.iter().map(|output| result.annotation(output)).collect();
    let text = |text: &str| text.to_owned();
    let both = Annotation {
        routes: vec![text("a")],
        partition_keys: vec![(text("1"), text("x")), (text("day"), text("2")), (text("2"), text("x"))],
        headers: vec![(text("one"), None), (text("h"), Some(b"two".to_vec())), (text("two"), None)],
    };
    assert_eq!(annotations, [Some(&both), Some(&first), None]);
    assert_eq!(result.record(&batch, &result.outputs[1]).value, Some(b"new".as_slice()));
    assert_eq!(result.record(&batch, &result.outputs[1]).key, Some(b"k".as_slice()));
}

/// What a scripted transform does with a record, by number.
fn scripted(action: u8, record: &RecordRef<'_>) -> Result<Answer, CallError> {
    let emit = |outputs: u8, failures: usize| {
        Answer::Emit((0..outputs).map(|nth| Some(vec![nth])).collect(), failures)
    };
    Ok(match action {
        0..=2 => Answer::Forward,
        3 => Answer::Drop,
        4 => Answer::Fail(failure()),
        5 => Answer::Replace(record.value.map(|value| [value, b"!"].concat())),
        6 => emit(0, 0),
        7 => emit(1, 1),
        8 => emit(3, 0),
        9 => emit(2, 2),
        10 => emit(0, 1),
        11 => return Err(trap()),
        _ => Answer::Retry(wish("Later")),
    })
}

/// Which action a record meets in a step: the same in the doubles and in the model.
fn action(actions: &[u8], step: usize, offset: u64, index: u32) -> u8 {
    let mixed = (step as u64 * 7 + offset * 31 + u64::from(index) * 13) as usize;
    actions[mixed % actions.len()]
}

/// What an input becomes, looked at alone.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Dropped,
    Failed,
    Kept { outputs: u32, partial: u32 },
    Postponed,
}

fn model(actions: &[u8], steps: usize, offset: u64) -> Fate {
    let (mut records, mut partial) = (1, 0);
    for step in 0..steps {
        let (mut next, mut failed) = (0, 0);
        for index in 0..records {
            match action(actions, step, offset, index) {
                0..=2 | 5 => next += 1,
                3 | 6 => {}
                4 | 11 if records == 1 && partial == 0 => return Fate::Failed,
                4 | 11 => failed += 1,
                7 => (next, failed) = (next + 1, failed + 1),
                8 => next += 3,
                9 => (next, failed) = (next + 2, failed + 2),
                10 => failed += 1,
                _ => return Fate::Postponed,
            }
        }
        records = next;
        partial += failed;
        if records == 0 && partial == 0 {
            return Fate::Dropped;
        }
    }
    Fate::Kept { outputs: records, partial }
}

proptest! {
    #[test]
    fn each_input_meets_the_fate_that_it_would_meet_alone(
        records in 0_usize..40,
        steps in 0_usize..4,
        actions in vec(prop_oneof![20 => 0_u8..12, 1 => Just(12_u8)], 1..30),
    ) {
        let batch = batch(records);
        let fates: Vec<_> = (0..records as u64).map(|offset| model(&actions, steps, offset)).collect();
        let postponed = fates.iter().position(|fate| *fate == Fate::Postponed);
        let mut result = None;
        for step in 0..steps {
            let actions = actions.clone();
            let factory = Factory::new(move |record| {
                scripted(action(&actions, step, record.offset, record.index), record)
            });
            match factory.run(&batch, result.take()) {
                Ok(transformed) => result = Some(transformed),
                Err(stop) => {
                    prop_assert_eq!(postponed, Some(0), "{}", stop);
                    return Ok(());
                }
            }
        }
        let Some(result) = result else { return Ok(()) };
        prop_assert_eq!(result.retry_from.as_ref().map(|(from, _)| *from as usize), postponed);
        check(&result, &fates[..postponed.unwrap_or(records)]);
    }
}

fn check(result: &Transformed, fates: &[Fate]) {
    let mut outputs: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for output in &result.outputs {
        outputs.entry(output.input as usize).or_default().push(output.index);
    }
    let mut partial: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for failed in &result.partial {
        partial.entry(failed.input as usize).or_default().push(failed.index.expect("a part has a number"));
    }
    assert!(result.outputs.is_sorted_by_key(|output| (output.input, output.index)));
    let mut dropped = 0;
    for (input, fate) in fates.iter().enumerate() {
        let outputs = outputs.remove(&input).unwrap_or_default();
        let partial = partial.remove(&input).unwrap_or_default();
        let whole = result.failed.iter().filter(|failed| failed.input as usize == input).count();
        let found = (outputs.len() as u32, partial.len() as u32, whole);
        let expected = match fate {
            Fate::Kept { outputs, partial } => (*outputs, *partial, 0),
            Fate::Failed => (0, 0, 1),
            Fate::Dropped => {
                dropped += 1;
                (0, 0, 0)
            }
            Fate::Postponed => unreachable!("cut off before"),
        };
        assert_eq!(found, expected, "input {input}: {fate:?}");
        let numbers: Vec<_> = outputs.into_iter().chain(partial).collect();
        assert_eq!(numbers, (0..numbers.len() as u32).collect::<Vec<_>>(), "input {input}");
    }
    assert!(outputs.is_empty() && partial.is_empty(), "nothing of what comes again");
    assert_eq!(result.dropped, dropped);
    assert!(result.failed.iter().all(|failed| (failed.input as usize) < fates.len()));
}
