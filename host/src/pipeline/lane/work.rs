//! What a lane's jobs work on: the transforms' instances and the open range.
//!
//! Owns the CPU side of a batch. Does not wait, and knows neither the store nor the source. Invariant:
//! it is in exactly one place at a time, the lane or a job; nothing else refers to it.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Error;
use super::waiting::{Waiting, Waits};
use crate::batch::{Chunk, ClosedRange, OpenRange, Part, Worked};
use crate::clock::Moment;
use crate::pipeline::Stats;
use crate::pipeline::context::Context;
use crate::pipeline::revisions::{Notice, Shape};
use crate::record::{Batch, TopicPartition};
use crate::transform::{LaneVersions, Processed, Stop};

/// The CPU side of a lane.
#[derive(Debug)]
pub(super) struct Work {
    shape: Arc<Shape>,
    origin: TopicPartition,
    versions: LaneVersions,
    pub(super) range: OpenRange,
    waits: Waits,
    /// The right to keep instances between batches.
    keeps: Option<OwnedSemaphorePermit>,
    /// When the last call of the transforms returned.
    last_call: Option<Instant>,
}

/// What came of a batch.
#[derive(Debug)]
pub(super) struct TakenIn {
    /// When the transforms were called.
    pub(super) began: Instant,
    /// When they had returned from the call before.
    pub(super) last_call: Option<Instant>,
    /// Records taken in.
    pub(super) records: u64,
    /// Bytes for the store.
    pub(super) chunks: Vec<Chunk>,
    /// What is to come again.
    pub(super) waiting: Option<Waiting>,
}

impl Work {
    pub(super) fn new(shape: &Arc<Shape>, origin: &TopicPartition, start: u64) -> Box<Self> {
        Box::new(Self {
            versions: shape.lane(origin),
            range: OpenRange::new(Arc::clone(&shape.sinks), start),
            shape: Arc::clone(shape),
            origin: origin.clone(),
            waits: Waits::default(),
            keeps: None,
            last_call: None,
        })
    }

    /// Goes over to another shape where the range stands, and gives the range away; the next one begins there.
    pub(super) fn switch(&mut self, shape: Arc<Shape>) -> Box<OpenRange> {
        let ended = self.range.hand_over(Arc::clone(&shape.sinks));
        self.versions = shape.lane(&self.origin);
        if let Err(stop) = self.versions.warm() {
            // The first batch tries again, and waits if it has to.
            tracing::warn!(lane = %self.origin, error = %stop, "instances can't be made yet");
        }
        self.waits = Waits::default();
        self.keeps = None;
        self.shape = shape;
        Box::new(ended)
    }

    /// Runs a batch, from the input `from` on, through the transforms and takes the results in.
    pub(super) fn take_in(&mut self, context: &Context, batch: Batch, from: u32) -> Result<TakenIn, Error> {
        let now = Moment::now();
        let began = Instant::now();
        let processed = self.versions.process(&batch, from, now);
        let last_call = self.last_call.replace(Instant::now());
        context.shapes.offer_sample(&batch, now.running);
        let mut processed = match processed {
            Ok(processed) => processed,
            Err(stop) => {
                let waiting = Some(self.stopped(context, batch, from, stop)?);
                return Ok(TakenIn { began, last_call, records: 0, chunks: Vec::new(), waiting });
            }
        };
        self.add_up(context, &mut processed);
        self.put_into_range(&batch, from, &processed, now)?;
        let until = processed.until(u32::try_from(batch.records.len()).unwrap_or(u32::MAX));
        let records = u64::from(until.saturating_sub(from));
        let rest = processed.rest.take();
        self.versions.recycle(processed);
        let waiting = match rest {
            Some(rest) => Some(self.waits.rest(batch, rest, &context.random)),
            None => {
                self.waits.forget();
                context.source.recycle(batch.records);
                None
            }
        };
        self.keep_or_release_instances(context);
        let chunks = std::iter::from_fn(|| self.range.next_chunk()).collect();
        Ok(TakenIn { began, last_call, records, chunks, waiting })
    }

    fn put_into_range(
        &mut self,
        batch: &Batch,
        from: u32,
        processed: &Processed,
        now: Moment,
    ) -> Result<(), Error> {
        let part = |(variant, transformed)| {
            let transforms: &[_] = &self.shape.version(variant).provenance;
            Part { variant, transformed, transforms }
        };
        let mut parts = processed.parts().map(part);
        let rest = processed.rest.as_ref().map(|rest| rest.from);
        let mut take_in = |parts: &[Part<'_>]| {
            self.range.take_in(&Worked { batch, from, rest, parts, now_ms: now.wall_ms })
        };
        match (parts.next(), parts.next()) {
            (Some(one), Some(other)) => take_in(&[one, other])?,
            (Some(one), None) => take_in(&[one])?,
            // The first record wishes to come again.
            (None, _) => {}
        }
        Ok(())
    }

    /// Adds to the numbers of the versions, and tells of a candidate that was lost.
    fn add_up(&self, context: &Context, processed: &mut Processed) {
        let [stable, candidate] = &processed.tallies;
        self.shape.stable.add(*stable);
        if let Some(beside) = &self.shape.candidate {
            beside.version.add(*candidate);
            if let Some(compared) = processed.compared.take() {
                beside.compare(compared);
            }
        }
        if let Some(why) = processed.lost.take() {
            let revision = self.shape.revision;
            tracing::error!(lane = %self.origin, revision, why, "the lane goes on without its candidate");
            context.shapes.notice(Notice::CandidateLost { revision, why });
        }
        let filtered = self.versions.filtered();
        Stats::add(&context.stats.filtered, filtered.no_match);
        Stats::add(&context.stats.filtered_not_json, filtered.not_json);
    }

    /// The batch has no results: it comes again later, or the pipeline can't run.
    fn stopped(&mut self, context: &Context, batch: Batch, from: u32, stop: Stop) -> Result<Waiting, Error> {
        if stop.is_final() {
            return Err(Error::Stopped { lane: batch.origin, range: batch.range, source: Box::new(stop) });
        }
        Ok(self.waits.stopped(batch, from, &stop, &context.random))
    }

    /// Whether calls took too long lately, so that the lane must not hold up others.
    pub(super) fn is_slowed(&self) -> bool {
        self.versions.is_slowed()
    }

    /// Guests' memory is part of the budget: a lane keeps its instances while there is room for them, and
    /// makes them anew for each batch otherwise (some 50 µs, and page faults).
    fn keep_or_release_instances(&mut self, context: &Context) {
        if self.keeps.is_none() {
            let versions = 1 + u32::from(self.shape.candidate.is_some());
            self.keeps = Arc::clone(&context.instances).try_acquire_many_owned(versions).ok();
        }
        if self.keeps.is_none() {
            self.versions.release();
        }
    }

    /// Lets go of the instances of an idle lane.
    pub(super) fn release_instances(&mut self) {
        self.versions.release();
        self.keeps = None;
    }

    /// Ends the range where it stands; the next one begins there.
    pub(super) fn cut(&mut self) -> Result<ClosedRange, Error> {
        Ok(self.range.cut()?)
    }
}
