//! What a lane's jobs work on: the transforms' instances and the open range.
//!
//! Owns the CPU side of a batch. Does not wait, and knows neither the store nor the source. Invariant:
//! it is in exactly one place at a time, the lane or a job; nothing else refers to it.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::Error;
use super::waiting::{Waiting, Waits};
use crate::batch::{Chunk, ClosedRange, OpenRange, Worked};
use crate::clock::Moment;
use crate::pipeline::Stats;
use crate::pipeline::context::Context;
use crate::record::Batch;
use crate::transform::{LaneChain, Stop};

/// The CPU side of a lane.
#[derive(Debug)]
pub(super) struct Work {
    chain: LaneChain,
    pub(super) range: OpenRange,
    waits: Waits,
    /// The right to keep instances between batches.
    keeps: Option<OwnedSemaphorePermit>,
}

/// What came of a batch.
#[derive(Debug, Default)]
pub(super) struct TakenIn {
    /// Records taken in.
    pub(super) records: u64,
    /// Bytes for the store.
    pub(super) chunks: Vec<Chunk>,
    /// What is to come again.
    pub(super) waiting: Option<Waiting>,
}

impl Work {
    pub(super) fn new(context: &Context, chain: LaneChain, start: u64) -> Box<Self> {
        Box::new(Self {
            chain,
            range: OpenRange::new(context.sinks.clone(), start),
            waits: Waits::default(),
            keeps: None,
        })
    }

    /// Runs a batch, from the input `from` on, through the transforms and takes the results in.
    pub(super) fn take_in(&mut self, context: &Context, batch: Batch, from: u32) -> Result<TakenIn, Error> {
        let now = Moment::now();
        let mut transformed = match self.chain.process(&batch, from, now) {
            Ok(transformed) => transformed,
            Err(stop) => return self.stopped(context, batch, from, stop),
        };
        let worked = Worked {
            batch: &batch,
            from,
            transformed: &transformed,
            transforms: &context.provenance,
            now_ms: now.wall_ms,
        };
        self.range.take_in(&worked)?;
        let until = transformed.rest.as_ref().map_or(batch.records.len() as u64, |rest| u64::from(rest.from));
        let records = until - u64::from(from);
        let rest = transformed.rest.take();
        self.chain.recycle(transformed);
        let waiting = match rest {
            Some(rest) => Some(self.waits.rest(batch, rest, &context.random)),
            None => {
                self.waits.forget();
                context.source.recycle(batch.records);
                None
            }
        };
        let filtered = self.chain.filtered();
        Stats::add(&context.stats.filtered, filtered.no_match);
        Stats::add(&context.stats.filtered_not_json, filtered.not_json);
        self.keep_or_release_instances(context);
        Ok(TakenIn { records, chunks: std::iter::from_fn(|| self.range.next_chunk()).collect(), waiting })
    }

    /// The batch has no results: it comes again later, or the pipeline can't run.
    fn stopped(&mut self, context: &Context, batch: Batch, from: u32, stop: Stop) -> Result<TakenIn, Error> {
        if stop.is_final() {
            return Err(Error::Stopped { lane: batch.origin, range: batch.range, source: Box::new(stop) });
        }
        let waiting = Some(self.waits.stopped(batch, from, &stop, &context.random));
        Ok(TakenIn { waiting, ..TakenIn::default() })
    }

    /// Whether the transforms must not hold up other lanes: calls took too long lately, or may wait.
    pub(super) fn belongs_aside(&self) -> bool {
        self.chain.is_slowed() || self.chain.may_block()
    }

    /// Guests' memory is part of the budget: a lane keeps its instances while there is room for them, and
    /// makes them anew for each batch otherwise (some 50 µs, and page faults).
    fn keep_or_release_instances(&mut self, context: &Context) {
        if self.keeps.is_none() {
            self.keeps = Arc::clone(&context.instances).try_acquire_owned().ok();
        }
        if self.keeps.is_none() {
            self.chain.release();
        }
    }

    /// Lets go of the instances of an idle lane.
    pub(super) fn release_instances(&mut self) {
        self.chain.release();
        self.keeps = None;
    }

    /// Ends the range where it stands; the next one begins there.
    pub(super) fn cut(&mut self) -> Result<ClosedRange, Error> {
        Ok(self.range.cut()?)
    }
}
