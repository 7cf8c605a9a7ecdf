//! Transforms in order, and one lane's instances of them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::bisect::{End, LaneStep, Ran, Run, bisect};
use super::breaker::Cause;
use super::fate::{Fates, Of, merge};
use super::instances::{Call, Make};
use super::pace::Pace;
use super::sieve::{Filtered, Sieve, forward};
use super::spares::Spares;
use crate::clock::Moment;
use crate::config::{OnError, Policy};
use crate::plugin::{CallError, Error, Inputs, Instance, Plugin, Verdict};
use crate::record::{Arena, Batch, Condition, Failure, TopicPartition, Transformed, Wait};

/// The transforms of a pipeline, shared by its lanes.
#[derive(Clone, Debug)]
pub struct Chain {
    sieve: Option<Arc<Sieve>>,
    steps: Arc<[Step]>,
    spares: Arc<Spares>,
}

#[derive(Debug)]
struct Step {
    plugin: Arc<Plugin>,
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
        let step = |(plugin, policy)| Step { plugin, policy, proven: AtomicBool::new(false) };
        let steps = transforms.into_iter().map(step).collect();
        Self { sieve: None, steps, spares: Arc::default() }
    }

    /// The same behind a filter.
    #[must_use]
    pub fn behind(self, sieve: Sieve) -> Self {
        Self { sieve: Some(Arc::new(sieve)), ..self }
    }

    /// The plugins, in order.
    pub fn plugins(&self) -> impl ExactSizeIterator<Item = &Arc<Plugin>> {
        self.steps.iter().map(|step| &step.plugin)
    }

    /// Whether a call may wait for a clock, a disk or a peer, and hold its thread meanwhile.
    #[must_use]
    pub fn may_block(&self) -> bool {
        self.plugins().any(|plugin| plugin.may_block())
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
        LaneChain { chain: self.clone(), origin, steps, pace, filtered, filtered_to: 0 }
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
        let records = &batch.records;
        let count = u32::try_from(records.len()).expect("an arena holds less than 4 GiB, so fewer records");
        let given = from..from + self.pace.take(count.saturating_sub(from));
        let mut filtered = Filtered::default();
        let mut previous = match &self.chain.sieve {
            Some(sieve) => sieve.sieve(batch, given.clone(), self.filtered_to, &mut filtered),
            None => (given != (0..count)).then(|| forward(given.clone(), records.len())),
        };
        let (mut slow, mut timed_out) = (false, false);
        for (number, (step, lane)) in (0_u16..).zip(self.chain.steps.iter().zip(&mut self.steps)) {
            let make = Fresh { plugin: &step.plugin, origin: &self.origin };
            let named = Named {
                transform: step.plugin.transform(),
                number,
                limit: step.plugin.timeout(),
                policy: &step.policy,
                proven: &step.proven,
                spares: &self.chain.spares,
            };
            let given = Given { batch: records, inputs: given.clone(), previous };
            let (transformed, pace) = run_step(&named, lane, &make, given, now)?;
            match pace {
                StepPace::TooSlow(inputs) => {
                    self.pace.timed_out(inputs);
                    timed_out = true;
                }
                StepPace::Slow => slow = true,
                StepPace::Well => {}
            }
            previous = Some(transformed);
        }
        if !timed_out {
            self.pace.went_well(slow);
        }
        self.filtered = filtered;
        if let Some(last) = given.clone().last() {
            self.filtered_to = self.filtered_to.max(records.offset(last as usize) + 1);
        }
        Ok(previous.unwrap_or_else(|| forward(given, records.len())))
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
    /// The records of the batch that are given to the chain.
    pub(super) inputs: Range<u32>,
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
    let Given { batch, inputs: given, previous } = given;
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
    Ok((merge(previous, step, given, named.spares), pace))
}

fn held(named: &Named<'_>, cause: Cause) -> Stop {
    let breaker = named.policy.circuit_breaker.as_ref().expect("only a circuit breaker holds a lane");
    Stop::Held { transform: Arc::from(named.transform), cause, pause: breaker.pause }
}

struct Fresh<'a> {
    plugin: &'a Plugin,
    origin: &'a TopicPartition,
}

impl Make for Fresh<'_> {
    fn make(&self) -> Result<Box<dyn Call>, Error> {
        Ok(Box::new(self.plugin.instantiate(self.origin)?))
    }
}

impl Call for Instance {
    fn process(
        &mut self,
        inputs: &Inputs<'_>,
        range: Range<usize>,
        attempt: u32,
        take: &mut dyn FnMut(Verdict<'_>),
    ) -> Result<(), CallError> {
        Self::process(self, inputs, range, attempt, take)
    }

    fn memory_bytes(&self) -> usize {
        Self::memory_bytes(self)
    }
}
