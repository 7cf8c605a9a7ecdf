//! Bisection, order and accounts on doubles of a plugin, against a model that looks at one input at a
//! time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::bisect::LaneStep;
use super::breaker::Cause;
use super::chain::{Given, Named, StepPace, Stop, run_step};
use super::instances::{Call, Make};
use super::spares::Spares;
use crate::clock::Moment;
use crate::config::{CircuitBreaker, OnError, OnFatal, Policy};
use crate::plugin::{CallError, Emission, Error, Inputs, Produced, Verdict};
use crate::record::{
    Annotation, Arena, Condition, Failure, NewRecord, Postponement, RecordRef, Rest, Transformed, Wait,
};

const LIMIT: Duration = Duration::from_secs(3);
const NOW: Moment = Moment { wall_ms: 1_000_000_000, running: Duration::from_secs(1_000) };

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

    /// One run on a fresh lane, without a circuit breaker.
    fn run(&self, batch: &Arena, previous: Option<Transformed>) -> Result<Transformed, Stop> {
        let policy = Policy { circuit_breaker: None, ..Policy::default() };
        let lane = &mut LaneStep::new(None);
        let named = Named {
            transform: "double",
            number: 0,
            limit: LIMIT,
            policy: &policy,
            proven: &PROVEN,
            spares: &Spares::default(),
        };
        let given = Given { batch, inputs: 0..batch.len() as u32, previous };
        run_step(&named, lane, self, given, NOW).map(|(transformed, _)| transformed)
    }

    fn lane(&self, policy: Policy) -> Lane<'_> {
        let lane = LaneStep::new(policy.circuit_breaker.clone());
        Lane { factory: self, policy, lane, proven: AtomicBool::new(true), now: NOW }
    }
}

static PROVEN: AtomicBool = AtomicBool::new(true);

/// A lane that is asked again and again.
struct Lane<'a> {
    factory: &'a Factory,
    policy: Policy,
    lane: LaneStep,
    proven: AtomicBool,
    now: Moment,
}

impl Lane<'_> {
    fn run(&mut self, batch: &Arena) -> Result<Transformed, Stop> {
        self.run_part(batch, 0..batch.len() as u32).map(|(transformed, _)| transformed)
    }

    fn run_part(&mut self, batch: &Arena, inputs: Range<u32>) -> Result<(Transformed, StepPace), Stop> {
        let whole = inputs == (0..batch.len() as u32);
        let previous = (!whole).then(|| super::sieve::forward(inputs.clone(), batch.len()));
        let Self { factory, policy, lane, proven, now } = self;
        let named = Named {
            transform: "double",
            number: 0,
            limit: LIMIT,
            policy,
            proven,
            spares: &Spares::default(),
        };
        run_step(&named, lane, *factory, Given { batch, inputs, previous }, *now)
    }

    fn pass(&mut self, time: Duration) {
        self.now.running += time;
        self.now.wall_ms += time.as_millis() as i64;
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
            1 => CallError::OutOfMemory { limit_bytes: 1, backtrace: String::new(), output: String::new() },
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
        assert_eq!(result.failed[0].failure.detail, "boom");
        assert_eq!(result.failed[0].condition, Condition::Trap);
        assert_eq!(result.failed[0].report.as_deref().expect("a report").backtrace, "f");
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
    let mut lane = factory.lane(Policy::default());
    for _ in 0..4 {
        let result = lane.run(&batch(1)).expect("runs");
        assert_eq!((result.outputs.len(), result.failed.len()), (1, 0));
    }
    assert_eq!(factory.made(), 2);
}

#[test]
fn an_instance_serves_many_batches_and_a_word_from_the_plugin_does_not_end_it() {
    let factory = poison([1], CallError::Fatal(String::from("no")));
    let mut lane = factory.lane(Policy::default());
    for _ in 0..3 {
        let result = lane.run(&batch(3)).expect("runs");
        assert_eq!(failed(&result), [1]);
    }
    assert_eq!(factory.made(), 1);
}

#[test]
fn an_instance_that_lost_count_is_replaced() {
    let factory = poison([0], CallError::WrongCount { expected: 1, got: 0 });
    let mut lane = factory.lane(Policy::default());
    for made in 1..3 {
        let result = lane.run(&batch(1)).expect("runs");
        assert_eq!((failed(&result), factory.made()), (vec![0], made));
    }
}

#[test]
fn fatal_stops_the_pipeline_only_before_anything_succeeded_or_by_policy() {
    let factory = poison([1], CallError::Fatal(String::from("no key")));
    let mut lane = factory.lane(Policy::default());
    lane.proven = AtomicBool::new(false);
    let stop = lane.run(&batch(3)).expect_err("the first batch");
    assert!(matches!(stop, Stop::Fatal { text, .. } if text == "no key"));
    lane.run(&batch(1)).expect("a good batch");
    let result = lane.run(&batch(3)).expect("a later batch");
    assert_eq!(failed(&result), [1]);
    assert_eq!(
        (&*result.failed[0].failure.code, result.failed[0].condition),
        ("PluginFatal", Condition::Fatal)
    );
    lane.policy.on_fatal = OnFatal::Stop;
    assert!(matches!(lane.run(&batch(3)), Err(Stop::Fatal { .. })));
}

/// The first input that comes again, and how often it was wished.
fn wished(result: &Transformed) -> Option<(u32, u32)> {
    match &result.rest {
        Some(Rest { from, wait: Wait::Wish { attempt, .. } }) => Some((*from, *attempt)),
        _ => None,
    }
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
    assert_eq!(wished(&result), Some((4, 1)));
}

#[test]
fn a_retry_of_the_first_record_postpones_the_batch() {
    let whole = Factory::new(|_| Err(CallError::Retry(wish("Call"))));
    let first = Factory::new(|_| Ok(Answer::Retry(wish("Record"))));
    for factory in [whole, first] {
        let result = factory.run(&batch(3), None).expect("postponed");
        assert_eq!((wished(&result), result.outputs.len()), (Some((0, 1)), 0));
    }
}

#[test]
fn a_record_that_always_wants_a_retry_runs_out_of_them_and_the_others_go_on() {
    for is_whole_call in [false, true] {
        let factory = Factory::new(move |record| match record.offset {
            1 if is_whole_call => Err(CallError::Retry(wish("Busy"))),
            1 => Ok(Answer::Retry(wish("Busy"))),
            _ => Ok(Answer::Forward),
        });
        let mut lane = factory.lane(Policy { retries: Some(2), ..Policy::default() });
        let batch = batch(4);
        let mut from = 0;
        let mut delivered = Vec::new();
        let mut wishes = 0;
        let last = loop {
            let (result, _) = lane.run_part(&batch, from..4).expect("runs");
            delivered.extend(inputs(&result.outputs));
            match wished(&result) {
                Some((again, _)) => (from, wishes) = (again, wishes + 1),
                None => break result,
            }
            assert!(wishes < 10, "it comes to an end");
            lane.pass(Duration::from_secs(1));
        };
        assert_eq!(delivered, [0, 2, 3], "in order, each once");
        let [failed] = &last.failed[..] else { panic!("{:?}", last.failed) };
        assert_eq!((failed.input, failed.condition), (1, Condition::RetryAttemptsExhausted));
        assert_eq!(&*failed.failure.code, "Busy");
        if !is_whole_call {
            assert_eq!((failed.attempts, wishes), (3, 2));
            assert_eq!(failed.first_attempt_ms, Some(NOW.wall_ms), "the first of the three");
        }
    }
}

#[test]
fn with_retries_without_end_nothing_runs_out() {
    let factory = Factory::new(|_| Ok(Answer::Retry(wish("Busy"))));
    let mut lane = factory.lane(Policy { retries: None, ..Policy::default() });
    for nth in 1..50 {
        assert_eq!(wished(&lane.run(&batch(2)).expect("runs")), Some((0, nth)));
    }
}

#[test]
fn records_that_are_too_old_are_not_asked_about() {
    let mut arena = Arena::default();
    let times = [NOW.wall_ms - 60_001, NOW.wall_ms - 59_000, -1, 0, NOW.wall_ms];
    for (offset, timestamp_ms) in (0..).zip(times) {
        assert!(arena.push(NewRecord { timestamp_ms, offset, ..NewRecord::default() }, []));
    }
    let factory = Factory::new(|_| Ok(Answer::Forward));
    let age = Some(Duration::from_secs(60));
    let result = factory.lane(Policy { max_record_age: age, ..Policy::default() }).run(&arena).expect("runs");
    assert_eq!((failed(&result), inputs(&result.outputs)), (vec![0, 3], vec![1, 2, 4]));
    assert!(result.failed.iter().all(|failed| failed.condition == Condition::RecordAgeExceeded));
    assert_eq!(result.failed[0].attempts, 0, "nobody was asked");
}

#[test]
fn what_fails_is_dropped_where_the_policy_says_so() {
    let factory = Factory::new(|record| match record.offset {
        0 => Err(trap()),
        1 => Ok(Answer::Fail(failure())),
        2 => Ok(Answer::Emit(vec![None], 1)),
        3 => Ok(Answer::Emit(Vec::new(), 1)),
        _ => Ok(Answer::Forward),
    });
    let policy = Policy { on_error: OnError::Drop, ..Policy::default() };
    let result = factory.lane(policy).run(&batch(5)).expect("runs");
    assert_eq!((result.dropped, result.failed.len(), result.partial.len()), (3, 0, 0));
    assert_eq!(inputs(&result.outputs), [2, 4]);
}

#[test]
fn a_failure_stops_the_pipeline_after_what_was_before_it_where_the_policy_says_so() {
    for error in [Some(trap()), None] {
        let factory = Factory::new(move |record| match (&error, record.offset) {
            (Some(error), 2) => Err(error.clone()),
            (None, 2) => Ok(Answer::Fail(failure())),
            _ => Ok(Answer::Forward),
        });
        let mut lane = factory.lane(Policy { on_error: OnError::Stop, ..Policy::default() });
        let batch = batch(4);
        let (result, _) = lane.run_part(&batch, 0..4).expect("what stands before it");
        assert_eq!(
            (inputs(&result.outputs), result.rest),
            (vec![0, 1], Some(Rest { from: 2, wait: Wait::Not }))
        );
        let stop = lane.run_part(&batch, 2..4).expect_err("stops");
        assert!(matches!(stop, Stop::Failed { offset: 2, .. }), "{stop}");
    }
}

fn timeout() -> CallError {
    CallError::Timeout { limit_ms: 3_000, backtrace: String::new(), output: String::new() }
}

#[test]
fn a_call_that_takes_too_long_ends_the_run_until_one_record_is_left() {
    let factory = poison([5], timeout());
    let mut lane = factory.lane(Policy::default());
    let batch = batch(8);
    let (result, pace) = lane.run_part(&batch, 0..8).expect("runs");
    assert_eq!((pace, result.rest), (StepPace::TooSlow(8), Some(Rest { from: 0, wait: Wait::Not })));
    assert_eq!(factory.calls(), 1, "others get the thread in between");
    let (result, pace) = lane.run_part(&batch, 5..6).expect("runs");
    assert_eq!((pace, failed(&result)), (StepPace::Well, vec![5]));
    assert_eq!(result.failed[0].condition, Condition::Timeout);
}

#[test]
fn one_input_of_many_records_that_hangs_is_searched_in_place() {
    let explode = Factory::new(|_| Ok(Answer::Emit(vec![None; 8], 0)));
    let batch = batch(1);
    let before = explode.run(&batch, None).expect("runs");
    let hang = Factory::new(|record| if record.index == 3 { Err(timeout()) } else { Ok(Answer::Forward) });
    let result = hang.run(&batch, Some(before)).expect("runs");
    assert_eq!((result.outputs.len(), result.partial.len()), (7, 1));
}

#[test]
fn the_lane_is_held_when_most_of_a_thousand_records_fail_and_nothing_of_the_batch_stands() {
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = Arc::clone(&is_mended);
    let factory = Factory::new(move |_| {
        let fails = !mended.load(Ordering::Relaxed);
        Ok(if fails { Answer::Fail(failure()) } else { Answer::Forward })
    });
    let mut lane = factory.lane(Policy::default());
    let (small, large) = (batch(900), batch(10_000));
    assert_eq!(lane.run(&small).expect("too few to tell").failed.len(), 900);
    let held = lane.run(&large).expect_err("held");
    let cause = Cause::Failures { failed: 10_900, records: 10_900 };
    assert!(matches!(&held, Stop::Held { cause: found, .. } if *found == cause), "{held}");
    lane.pass(Duration::from_secs(60));
    assert!(matches!(lane.run(&large), Err(Stop::Held { .. })), "the trial fails");
    is_mended.store(true, Ordering::Relaxed);
    assert_eq!(lane.run(&large).expect("the trial is good").outputs.len(), 10_000);
}

#[test]
fn a_batch_of_which_every_record_traps_is_given_up_early() {
    let factory = poison(0..10_000, trap());
    let mut lane = factory.lane(Policy::default());
    assert!(matches!(lane.run(&batch(10_000)), Err(Stop::Held { .. })));
    assert!(factory.calls() < 2_100, "{} calls, as for a thousand records", factory.calls());
}

#[test]
fn calls_that_hang_one_after_another_hold_the_lane_and_one_record_does_not() {
    let all = poison(0..100, timeout());
    let mut lane = all.lane(Policy::default());
    let batch = batch(100);
    let mut dead = 0;
    let held = (0..100).find_map(|nth| match lane.run_part(&batch, nth..nth + 1) {
        Ok((result, _)) => {
            dead += result.failed.len();
            None
        }
        Err(stop) => Some(stop),
    });
    assert!(matches!(held, Some(Stop::Held { cause: Cause::Timeouts { calls: 22 }, .. })), "{held:?}");
    assert_eq!(dead, 21);
    let never = CircuitBreaker { records: u64::MAX, ..CircuitBreaker::default() };
    let one = poison([0], timeout());
    let mut lane = one.lane(Policy { circuit_breaker: Some(never), ..Policy::default() });
    for _ in 0..100 {
        for part in [0..64, 0..1, 1..64] {
            lane.run_part(&batch, part).expect("one bad record holds nothing");
        }
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
            result = Some(factory.run(&batch, result.take()).expect("nothing stops it"));
        }
        let Some(result) = result else { return Ok(()) };
        prop_assert_eq!(result.rest.as_ref().map(|rest| rest.from as usize), postponed);
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
