//! Transforms in order, and one lane's instances of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::bisect::{Call, End, Make, Run, Slot, bisect};
use super::fate::{Fates, merge};
use crate::plugin::{CallError, Error, Inputs, Instance, Plugin, Verdict};
use crate::record::{Arena, Batch, Output, OutputSource, Postponement, TopicPartition, Transformed};

/// The transforms of a pipeline, shared by its lanes.
#[derive(Clone, Debug)]
pub struct Chain {
    steps: Arc<[Step]>,
}

#[derive(Debug)]
struct Step {
    plugin: Arc<Plugin>,
    /// Some lane's call has succeeded, so that `fatal` is about messages from now on.
    proven: AtomicBool,
}

/// Why a batch has no results.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The whole batch is to come again, with the next attempt; nothing of it stands.
    #[error("transform `{transform}` asks for the batch again later: {}: {}", wish.code, wish.reason)]
    Retry {
        /// The transform.
        transform: String,
        /// What it asked for.
        wish: Postponement,
    },
    /// The plugin gave up on its very first batch: the pipeline cannot run.
    #[error("transform `{transform}` gave up on its first batch: {text}")]
    Fatal {
        /// The transform.
        transform: String,
        /// The plugin's own words.
        text: String,
    },
    /// An instance cannot be made: the machine is out of memory or address space, or the plugin does not
    /// start as it did when it was loaded. The batch may come again.
    #[error("an instance cannot be made")]
    Instance(#[source] Error),
}

impl Chain {
    /// Of these transforms, in order.
    #[must_use]
    pub fn new(plugins: Vec<Arc<Plugin>>) -> Self {
        let step = |plugin| Step { plugin, proven: AtomicBool::new(false) };
        Self { steps: plugins.into_iter().map(step).collect() }
    }

    /// The plugins, in order.
    pub fn plugins(&self) -> impl ExactSizeIterator<Item = &Arc<Plugin>> {
        self.steps.iter().map(|step| &step.plugin)
    }

    /// The chain of one lane; its instances are made when they are first needed.
    #[must_use]
    pub fn lane(&self, origin: TopicPartition) -> LaneChain {
        let slots = self.steps.iter().map(|_| Slot::default()).collect();
        LaneChain { chain: self.clone(), origin, slots }
    }
}

/// One lane's instances of a chain. A call takes CPU time up to the plugin's limit, several times over
/// where it has to search for bad records, so that it belongs on a thread of the CPU pool, with at least
/// 1 MiB of stack left (a plugin has 512 KiB of it).
pub struct LaneChain {
    chain: Chain,
    origin: TopicPartition,
    slots: Vec<Slot>,
}

impl fmt::Debug for LaneChain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instances = self.slots.iter().filter(|slot| !slot.is_empty()).count();
        formatter
            .debug_struct("LaneChain")
            .field("origin", &self.origin)
            .field("instances", &instances)
            .finish_non_exhaustive()
    }
}

impl LaneChain {
    /// Passes a batch through the transforms. `attempt` says how often it came back by a wish to retry.
    ///
    /// # Errors
    /// See [`Stop`]; nothing of the batch stands then.
    pub fn process(&mut self, batch: &Batch, attempt: u32) -> Result<Transformed, Stop> {
        let mut previous = None;
        for (step, slot) in self.chain.steps.iter().zip(&mut self.slots) {
            let make = Fresh { plugin: &step.plugin, origin: &self.origin };
            let named = Named { transform: step.plugin.transform(), proven: &step.proven };
            previous = Some(run_step(&named, slot, &make, &batch.records, previous, attempt)?);
        }
        Ok(previous.unwrap_or_else(|| forward_all(batch)))
    }

    /// Linear memory of the lane's instances. It never shrinks until they are released.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.slots.iter().map(Slot::memory_bytes).sum()
    }

    /// Drops the instances, to save memory; the next batch makes new ones.
    pub fn release(&mut self) {
        self.slots.iter_mut().for_each(Slot::clear);
    }
}

/// Who is running, and whether it has succeeded before.
pub(super) struct Named<'a> {
    pub(super) transform: &'a str,
    pub(super) proven: &'a AtomicBool,
}

pub(super) fn run_step(
    named: &Named<'_>,
    slot: &mut Slot,
    make: &dyn Make,
    batch: &Arena,
    previous: Option<Transformed>,
    attempt: u32,
) -> Result<Transformed, Stop> {
    let inputs = match &previous {
        None => Inputs::of_batch(batch),
        Some(previous) => Inputs::of_transformed(batch, previous),
    };
    let fatal_stops = !named.proven.load(Ordering::Relaxed);
    let run = Run { transform: named.transform, inputs: &inputs, attempt, fatal_stops };
    let mut fates = Fates::new(&inputs);
    let end = bisect(slot, make, &run, &mut |position, verdict| fates.add(position, verdict))
        .map_err(Stop::Instance)?;
    let transform = || named.transform.to_owned();
    match end {
        End::Fatal(text) => return Err(Stop::Fatal { transform: transform(), text }),
        End::Postponed(position, wish) if inputs.origin(position) == 0 => {
            return Err(Stop::Retry { transform: transform(), wish });
        }
        End::Postponed(position, wish) => fates.postpone(position, wish),
        End::Done => {}
    }
    if !inputs.is_empty() {
        named.proven.store(true, Ordering::Relaxed);
    }
    let step = fates.finish();
    Ok(merge(previous, step, batch.len()))
}

fn forward_all(batch: &Batch) -> Transformed {
    let records =
        u32::try_from(batch.records.len()).expect("an arena holds less than 4 GiB, so fewer records");
    let output = |input| Output { input, index: 0, source: OutputSource::Input, annotation: None };
    Transformed { outputs: (0..records).map(output).collect(), ..Transformed::default() }
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
        range: std::ops::Range<usize>,
        attempt: u32,
        take: &mut dyn FnMut(Verdict<'_>),
    ) -> Result<(), CallError> {
        Self::process(self, inputs, range, attempt, take)
    }

    fn memory_bytes(&self) -> usize {
        Self::memory_bytes(self)
    }
}
