//! Transforms in order, and one lane's instances of them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::bisect::{End, LaneStep, Ran, Run, bisect};
use super::breaker::Cause;
use super::code::{Code, Fresh};
use super::fate::{Fates, Of, merge};
use super::instances::Make;
use super::pace::Pace;
use super::scope::Scope;
use super::sieve::{Filtered, Sieve, forward};
use super::spares::Spares;
use crate::clock::Moment;
use crate::config::{OnError, Policy};
use crate::plugin::{Error, Inputs, Plugin};
use crate::record::{Arena, Batch, Condition, Failure, Rest, TopicPartition, Transformed, Wait};

/// The transforms of a pipeline, shared by its lanes.
#[derive(Clone, Debug)]
pub struct Chain {
    sieve: Option<Arc<Sieve>>,
    plugins: Arc<[Arc<Plugin>]>,
    steps: Arc<[Step]>,
    spares: Arc<Spares>,
}

#[derive(Debug)]
struct Step {
    code: Arc<dyn Code>,
    policy: Policy,
    /// A call has succeeded, so that `fatal` is about messages from now on.
    proven: AtomicBool,
}

/// Why a batch has no results, and what is to be done about it.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The plugin gave up, and the pipeline cannot run: nothing has succeeded yet, or the policy says so.
    #[error("transform `{transform}` gave up: {text}")]
    Fatal {
        /// The transform.
        transform: Arc<str>,
        /// The plugin's own words.
        text: String,
    },
    /// A record failed, and the policy says that this stops the pipeline.
    #[error(
        "transform `{transform}` failed at offset {offset}, and its `on_error` is \"stop\": {condition:?}: {}: {}",
        failure.code, failure.detail
    )]
    Failed {
        /// The transform.
        transform: Arc<str>,
        /// Offset of the record.
        offset: u64,
        /// What kind of failure.
        condition: Condition,
        /// Why.
        failure: Failure,
    },
    /// The transform fails so often that the lane is to be held.
    #[error("transform `{transform}` fails too often: {cause}")]
    Held {
        /// The transform.
        transform: Arc<str>,
        /// What was too often.
        cause: Cause,
        /// How long to hold the lane before the next try.
        pause: Duration,
    },
    /// An instance cannot be made: the machine is out of memory or address space, or the plugin does not
    /// start as it did when it was loaded. The batch may come again.
    #[error("an instance of transform `{transform}` cannot be made")]
    Instance {
        /// The transform.
        transform: Arc<str>,
        /// Why.
        #[source]
        source: Error,
    },
}

impl Stop {
    /// Whether trying again can't help.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Fatal { .. } | Self::Failed { .. })
    }
}

impl Chain {
    /// Of these transforms, in order, each with its policy.
    #[must_use]
    pub fn new(transforms: Vec<(Arc<Plugin>, Policy)>) -> Self {
        let plugins = transforms.iter().map(|(plugin, _)| Arc::clone(plugin)).collect();
        let steps = transforms.into_iter().map(|(plugin, policy)| (plugin as Arc<dyn Code>, policy));
        Self { plugins, ..Self::of(steps) }
    }

    /// Of this code, in order, each with its policy.
    pub(super) fn of(steps: impl IntoIterator<Item = (Arc<dyn Code>, Policy)>) -> Self {
        let step = |(code, policy)| Step { code, policy, proven: AtomicBool::new(false) };
        let steps = steps.into_iter().map(step).collect();
        Self { sieve: None, plugins: Arc::default(), steps, spares: Arc::default() }
    }

    /// The same code under other policies, as if it had never run.
    pub(super) fn under(&self, policy: impl Fn(&Policy) -> Policy) -> Self {
        let steps = self.steps.iter().map(|step| (Arc::clone(&step.code), policy(&step.policy)));
        Self { sieve: self.sieve.clone(), plugins: Arc::clone(&self.plugins), ..Self::of(steps) }
    }

    /// The same behind a filter.
    #[must_use]
    pub fn behind(self, sieve: Sieve) -> Self {
        Self { sieve: Some(Arc::new(sieve)), ..self }
    }

    /// The plugins, in order.
    pub fn plugins(&self) -> impl ExactSizeIterator<Item = &Arc<Plugin>> {
        self.plugins.iter()
    }

    /// Name of the transform at a position, as [`crate::record::Failed`] gives it.
    pub(super) fn transform(&self, position: u16) -> Option<&str> {
        self.steps.get(usize::from(position)).map(|step| step.code.transform())
    }

    /// Whether every transform promises that what it makes of a record depends on that record and its
    /// configuration alone, so that a difference between two runs is one between two versions.
    #[must_use]
    pub fn is_pure(&self) -> bool {
        self.steps.iter().all(|step| step.code.is_pure())
    }

    /// Whether a call may wait for a clock, a disk or a peer, and hold its thread meanwhile.
    #[must_use]
    pub fn may_block(&self) -> bool {
        self.steps.iter().any(|step| step.code.may_block())
    }

    /// These transforms, as they are configured, have worked before: `fatal` is about messages.
    pub fn prove(&self) {
        self.steps.iter().for_each(|step| step.proven.store(true, Ordering::Relaxed));
    }

    /// The chain of one lane; its instances are made when they are first needed.
    #[must_use]
    pub fn lane(&self, origin: TopicPartition) -> LaneChain {
        let steps =
            self.steps.iter().map(|step| LaneStep::new(step.policy.circuit_breaker.clone())).collect();
        let (pace, filtered) = (Pace::default(), Filtered::default());
        LaneChain { chain: self.clone(), origin, steps, pace, timed_out: false, filtered, filtered_to: 0 }
    }
}

/// One lane's instances of a chain. A call takes CPU time up to the plugin's limit, several times over
/// where it has to search for bad records, so that it belongs on a thread of the CPU pool, with at least
/// 1 MiB of stack left (a plugin has 512 KiB of it).
pub struct LaneChain {
    chain: Chain,
    origin: TopicPartition,
    steps: Vec<LaneStep>,
    pace: Pace,
    /// A call of the last run took too long.
    timed_out: bool,
    filtered: Filtered,
    /// The offset up to which the filter's records are counted.
    filtered_to: u64,
}

impl fmt::Debug for LaneChain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instances = self.steps.iter().filter(|step| !step.slot.is_empty()).count();
        formatter
            .debug_struct("LaneChain")
            .field("origin", &self.origin)
            .field("instances", &instances)
            .finish_non_exhaustive()
    }
}

impl LaneChain {
    /// Passes the records of a batch from `from` on through the transforms, or as many of them as are
    /// wise to try at once; [`Transformed::rest`] says what is left.
    ///
    /// # Errors
    /// See [`Stop`]; nothing of what was passed stands then.
    pub fn process(&mut self, batch: &Batch, from: u32, now: Moment) -> Result<Transformed, Stop> {
        let inputs = self.take(&batch.records, from);
        let sieved = self.sieve(batch, inputs.clone());
        let transformed = self.run(&batch.records, &Scope::All(inputs.clone()), sieved.passed, now)?;
        self.note(&batch.records, &inputs, sieved.filtered);
        Ok(transformed)
    }

    /// The inputs from `from` on, as many as are wise to try at once.
    pub(super) fn take(&self, records: &Arena, from: u32) -> Range<u32> {
        from..from + self.pace.take(all(records).end.saturating_sub(from))
    }

    /// How many of so many inputs are wise to try at once.
    pub(super) fn take_of(&self, inputs: usize) -> usize {
        self.pace.take(u32::try_from(inputs).unwrap_or(u32::MAX)) as usize
    }

    /// What of `inputs` goes on to the first transform.
    pub(super) fn sieve(&self, batch: &Batch, inputs: Range<u32>) -> Sieved {
        let mut filtered = Filtered::default();
        let count = batch.records.len();
        let passed = match &self.chain.sieve {
            Some(sieve) => sieve.sieve(batch, inputs, self.filtered_to, &mut filtered),
            None => (inputs.len() != count).then(|| forward(inputs, count)),
        };
        Sieved { passed, filtered }
    }

    /// How many of `inputs` go on to the first transform.
    pub(super) fn reaching(&self, batch: &Batch, inputs: Range<u32>) -> u64 {
        let all = inputs.len();
        let passed = self.chain.sieve.as_ref().and_then(|_| self.sieve(batch, inputs).passed);
        passed.map_or(all, |passed| passed.outputs.len()) as u64
    }

    /// Takes note of what the filter kept back, now that what it left has results.
    pub(super) fn note(&mut self, records: &Arena, inputs: &Range<u32>, filtered: Filtered) {
        self.filtered = filtered;
        if let Some(last) = inputs.clone().last() {
            self.filtered_to = self.filtered_to.max(records.offset(last as usize) + 1);
        }
    }

    /// Passes the records that stand in `previous` (`None`: the whole batch) through the transforms; they
    /// are, with those that `previous` says are dropped or failed, the inputs in `scope`.
    ///
    /// # Errors
    /// As [`LaneChain::process`].
    pub(super) fn run(
        &mut self,
        records: &Arena,
        scope: &Scope<'_>,
        mut previous: Option<Transformed>,
        now: Moment,
    ) -> Result<Transformed, Stop> {
        let mut slow = false;
        self.timed_out = false;
        for (number, (step, lane)) in (0_u16..).zip(self.chain.steps.iter().zip(&mut self.steps)) {
            let make = Fresh { code: &*step.code, origin: &self.origin };
            let named = Named {
                transform: step.code.transform(),
                number,
                limit: step.code.limit(),
                policy: &step.policy,
                proven: &step.proven,
                spares: &self.chain.spares,
            };
            let given = Given { batch: records, scope: scope.clone(), previous };
            let (transformed, pace) = run_step(&named, lane, &make, given, now)?;
            match pace {
                StepPace::TooSlow(inputs) => {
                    self.pace.timed_out(inputs);
                    self.timed_out = true;
                }
                StepPace::Slow => slow = true,
                StepPace::Well => {}
            }
            previous = Some(transformed);
        }
        if !self.timed_out {
            self.pace.went_well(slow);
        }
        Ok(previous.unwrap_or_else(|| forward(all(records), records.len())))
    }

    /// Results that were to end at `rest` end before it: the wait that was wished for there is not the one
    /// that comes, and counts for nothing.
    pub(super) fn take_back(&mut self, records: &Arena, rest: &Rest) {
        let Wait::Wish { transform, .. } = &rest.wait else { return };
        let named = |step: &Step| step.code.transform() == &**transform;
        if let Some(position) = self.chain.steps.iter().position(named) {
            self.steps[position].attempts.take_back(records.offset(rest.from as usize));
        }
    }

    /// Whether a call of the last run took too long, and ended it.
    pub(super) fn has_timed_out(&self) -> bool {
        self.timed_out
    }

    /// See [`Chain::is_pure`].
    pub(super) fn is_pure(&self) -> bool {
        self.chain.is_pure()
    }

    /// Makes the instances that are not there, so that the next batch finds them.
    ///
    /// # Errors
    /// [`Stop::Instance`], where one cannot be made.
    pub fn warm(&mut self) -> Result<(), Stop> {
        for (step, lane) in self.chain.steps.iter().zip(&mut self.steps) {
            let make = Fresh { code: &*step.code, origin: &self.origin };
            let transform = || Arc::from(step.code.transform());
            lane.slot.warm(&make).map_err(|source| Stop::Instance { transform: transform(), source })?;
        }
        Ok(())
    }

    /// Takes results back that nobody needs any more, to use their memory again.
    pub fn recycle(&self, results: Transformed) {
        self.chain.spares.give(results.produced);
    }

    /// What the filter kept from the transforms in the last batch that had results.
    #[must_use]
    pub fn filtered(&self) -> Filtered {
        self.filtered
    }

    /// Whether a call may hold its thread while it waits; see [`Chain::may_block`].
    #[must_use]
    pub fn may_block(&self) -> bool {
        self.chain.may_block()
    }

    /// Whether calls took too long lately, so that the lane should not hold up others.
    #[must_use]
    pub fn is_slowed(&self) -> bool {
        self.pace.is_slowed()
    }

    /// Linear memory of the lane's instances. It never shrinks until they are released.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.steps.iter().map(|step| step.slot.memory_bytes()).sum()
    }

    /// Drops the instances, to save memory; the next batch makes new ones.
    pub fn release(&mut self) {
        self.steps.iter_mut().for_each(|step| step.slot.clear());
    }
}

/// What of a stretch of inputs reaches the first transform.
#[derive(Debug)]
pub(super) struct Sieved {
    /// `None`: all of the whole batch.
    pub(super) passed: Option<Transformed>,
    pub(super) filtered: Filtered,
}

fn all(records: &Arena) -> Range<u32> {
    0..u32::try_from(records.len()).expect("an arena holds less than 4 GiB, so fewer records")
}

/// Which transform is running.
pub(super) struct Named<'a> {
    pub(super) transform: &'a str,
    pub(super) number: u16,
    pub(super) limit: Duration,
    pub(super) policy: &'a Policy,
    pub(super) proven: &'a AtomicBool,
    pub(super) spares: &'a Spares,
}

/// What stands before a transform.
pub(super) struct Given<'a> {
    pub(super) batch: &'a Arena,
    /// The inputs of the batch that the chain accounts for.
    pub(super) scope: Scope<'a>,
    pub(super) previous: Option<Transformed>,
}

/// What a transform's calls say about the size of batches.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StepPace {
    Well,
    Slow,
    /// A call with that many of the batch's records took too long.
    TooSlow(u32),
}

pub(super) fn run_step(
    named: &Named<'_>,
    lane: &mut LaneStep,
    make: &dyn Make,
    given: Given<'_>,
    now: Moment,
) -> Result<(Transformed, StepPace), Stop> {
    let Given { batch, scope, previous } = given;
    let inputs = match &previous {
        None => Inputs::of_batch(batch),
        Some(previous) => Inputs::of_transformed(batch, previous),
    };
    let of = Of { transform: named.number, drops_failed: named.policy.on_error == OnError::Drop };
    let mut fates = Fates::new(of, &inputs, named.spares);
    let run = Run {
        transform: named.transform,
        policy: named.policy,
        limit: named.limit,
        inputs: &inputs,
        scope: &scope,
        fatal_stops: !named.proven.load(Ordering::Relaxed),
        now,
    };
    let transform = || Arc::<str>::from(named.transform);
    let Ran { end, slow, answered } = bisect(lane, make, &run, &mut fates)
        .map_err(|source| Stop::Instance { transform: transform(), source })?;
    let mut pace = if slow { StepPace::Slow } else { StepPace::Well };
    match end {
        End::Done => {}
        End::Postponed { position, wish, attempt } => {
            fates.end_before(position, Wait::Wish { transform: transform(), attempt, wish });
        }
        End::TooSlow { position, inputs } => {
            fates.end_before(position, Wait::Not);
            pace = StepPace::TooSlow(inputs);
        }
        End::Before { position } => fates.end_before(position, Wait::Not),
        End::Held(cause) => return Err(held(named, cause)),
        End::Fatal(text) => return Err(Stop::Fatal { transform: transform(), text }),
        End::Failed(condition, failure) => {
            let offset = inputs.offset(0);
            return Err(Stop::Failed { transform: transform(), offset, condition, failure });
        }
    }
    if answered {
        named.proven.store(true, Ordering::Relaxed);
    }
    let step = fates.finish();
    Ok((merge(previous, step, &scope, named.spares), pace))
}

fn held(named: &Named<'_>, cause: Cause) -> Stop {
    let breaker = named.policy.circuit_breaker.as_ref().expect("only a circuit breaker holds a lane");
    Stop::Held { transform: Arc::from(named.transform), cause, pause: breaker.pause }
}
