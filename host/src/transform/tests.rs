//! Bisection, order and accounts on doubles of a plugin, against a model that looks at one input at a
//! time.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::bisect::LaneStep;
use super::breaker::Cause;
use super::chain::{Chain, Given, LaneChain, Named, StepPace, Stop, run_step};
use super::code::Code;
use super::instances::{Call, Make};
use super::scope::Scope;
use super::spares::Spares;
use crate::clock::Moment;
use crate::config::{CircuitBreaker, OnError, OnFatal, Policy};
use crate::plugin::{CallError, Emission, Error, Inputs, Produced, Verdict};
use crate::record::{
    Annotation, Arena, Batch, Condition, Epoch, Failure, NewRecord, OffsetRange, Postponement, RecordRef,
    Rest, TopicPartition, Transformed, Wait,
};

mod accounts;
mod policy;
mod probe;
mod versions;

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
    pure: bool,
    /// Which instances cannot be made, by their numbers.
    fails: Range<usize>,
}

impl Factory {
    fn new(script: impl Fn(&RecordRef<'_>) -> Result<Answer, CallError> + Send + Sync + 'static) -> Self {
        Self {
            script: Arc::new(script),
            calls: Arc::default(),
            made: AtomicUsize::new(0),
            seen: Arc::default(),
            pure: true,
            fails: 0..0,
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
        let given = Given { batch, scope: Scope::All(0..batch.len() as u32), previous };
        run_step(&named, lane, self, given, NOW).map(|(transformed, _)| transformed)
    }

    fn lane(&self, policy: Policy) -> Lane<'_> {
        let lane = LaneStep::new(policy.circuit_breaker.clone());
        Lane { factory: self, policy, lane, proven: AtomicBool::new(true), now: NOW }
    }
}

impl fmt::Debug for Factory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Factory").field("calls", &self.calls()).finish_non_exhaustive()
    }
}

impl Code for Factory {
    fn transform(&self) -> &str {
        "double"
    }

    fn limit(&self) -> Duration {
        LIMIT
    }

    fn may_block(&self) -> bool {
        false
    }

    fn is_pure(&self) -> bool {
        self.pure
    }

    fn make(&self, _: &TopicPartition) -> Result<Box<dyn Call>, Error> {
        Make::make(self)
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
        run_step(&named, lane, *factory, Given { batch, scope: Scope::All(inputs), previous }, *now)
    }

    fn pass(&mut self, time: Duration) {
        self.now.running += time;
        self.now.wall_ms += time.as_millis() as i64;
    }
}

impl Make for Factory {
    fn make(&self) -> Result<Box<dyn Call>, Error> {
        let nth = self.made.fetch_add(1, Ordering::Relaxed);
        if self.fails.contains(&nth) {
            return Err(Error::Engine { text: String::from("no memory") });
        }
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
    batch_at(0, records)
}

fn batch_at(start: u64, records: usize) -> Arena {
    let mut arena = Arena::default();
    for offset in start..start + records as u64 {
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

fn timeout() -> CallError {
    CallError::Timeout { limit_ms: 3_000, backtrace: String::new(), output: String::new() }
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
