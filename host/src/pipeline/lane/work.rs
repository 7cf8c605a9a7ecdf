//! What a lane's jobs work on: the transforms' instances and the open range.
//!
//! Owns the CPU side of a batch. Does not wait, and knows neither the store nor the source. Invariant:
//! it is in exactly one place at a time, the lane or a job; nothing else refers to it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Error;
use crate::batch::{Chunk, ClosedRange, OpenRange, Worked};
use crate::clock;
use crate::pipeline::context::Context;
use crate::pipeline::error::chain_text;
use crate::record::{Arena, Batch, OffsetRange, Postponement};
use crate::retry::Backoff;
use crate::transform::{LaneChain, Stop};

/// Longest wait that a plugin may ask for: longer ones would look like a halted lane.
const POSTPONE_MAX: Duration = Duration::from_secs(300);

/// The CPU side of a lane.
#[derive(Debug)]
pub(super) struct Work {
    chain: LaneChain,
    pub(super) range: OpenRange,
    backoff: Option<Backoff>,
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
    pub(super) postponed: Option<Postponed>,
}

/// Records that a plugin asked to see again.
#[derive(Debug)]
pub(super) struct Postponed {
    pub(super) batch: Batch,
    pub(super) attempt: u32,
    pub(super) wake: Instant,
}

impl Work {
    pub(super) fn new(context: &Context, chain: LaneChain, start: u64) -> Box<Self> {
        Box::new(Self {
            chain,
            range: OpenRange::new(context.sinks.clone(), start),
            backoff: None,
            keeps: None,
        })
    }

    /// Runs a batch through the transforms and takes the results in.
    pub(super) fn take_in(
        &mut self,
        context: &Context,
        batch: Batch,
        attempt: u32,
    ) -> Result<TakenIn, Error> {
        let transformed = match self.chain.process(&batch, attempt) {
            Ok(transformed) => transformed,
            Err(stop) => return self.stopped(context, batch, attempt, stop),
        };
        let worked = Worked {
            batch: &batch,
            from: 0,
            transformed: &transformed,
            transforms: &context.provenance,
            attempts: attempt + 1,
            now_ms: clock::now_ms(),
        };
        self.range.take_in(&worked)?;
        let retry = transformed.retry_from.as_ref().map(|(input, postponement)| {
            let rest = rest_of(&batch, *input as usize);
            // The first record that comes again decides whether this is another attempt at it.
            let attempt = if *input == 0 { attempt } else { 0 };
            (rest, attempt, postponement.clone())
        });
        let records =
            batch.records.len() as u64 - retry.as_ref().map_or(0, |(rest, ..)| rest.records.len() as u64);
        let postponed =
            retry.map(|(rest, attempt, postponement)| self.postpone(context, rest, attempt, &postponement));
        if postponed.is_none() {
            self.backoff = None;
        }
        self.keep_or_release_instances(context);
        context.source.recycle(batch.records);
        Ok(TakenIn { records, chunks: std::iter::from_fn(|| self.range.next_chunk()).collect(), postponed })
    }

    /// The batch has no results: it comes again later, or the pipeline can't run.
    fn stopped(
        &mut self,
        context: &Context,
        batch: Batch,
        attempt: u32,
        stop: Stop,
    ) -> Result<TakenIn, Error> {
        let wish = match stop {
            Stop::Retry { wish, .. } => wish,
            Stop::Fatal { transform, text } => {
                return Err(Error::Fatal { transform, lane: batch.origin.clone(), range: batch.range, text });
            }
            Stop::Instance(error) => {
                Postponement { code: String::from("Instance"), reason: chain_text(&error), after_ms: None }
            }
        };
        let postponed = Some(self.postpone(context, batch, attempt, &wish));
        Ok(TakenIn { postponed, ..TakenIn::default() })
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

    fn postpone(
        &mut self,
        context: &Context,
        batch: Batch,
        attempt: u32,
        postponement: &Postponement,
    ) -> Postponed {
        let backoff = self.backoff.get_or_insert_with(Backoff::for_services);
        let wait = postponement.after_ms.map_or_else(
            || backoff.next_wait(&context.random),
            |asked| Duration::from_millis(u64::from(asked)).min(POSTPONE_MAX),
        );
        tracing::warn!(lane = %batch.origin, offset = batch.range.start, attempt, ?wait,
            code = %postponement.code, reason = %postponement.reason, "a plugin asked for a retry");
        Postponed { batch, attempt: attempt.saturating_add(1), wake: Instant::now() + wait }
    }
}

/// The records of a batch from `input` on, as a batch.
fn rest_of(batch: &Batch, input: usize) -> Batch {
    let mut records = Arena::default();
    for position in input..batch.records.len() {
        let record = batch.records.record(position);
        let taken = records.push_ref(&record, record.index);
        debug_assert!(taken, "a part of an arena fits into one");
    }
    let start = if input == 0 { batch.range.start } else { batch.records.record(input).offset };
    Batch {
        origin: batch.origin.clone(),
        epoch: batch.epoch,
        range: OffsetRange { start, end: batch.range.end },
        records,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Epoch, NewRecord, TopicPartition};

    #[test]
    fn the_rest_of_a_batch_begins_at_its_record_and_ends_with_the_batch() {
        let mut records = Arena::default();
        for offset in [10, 12, 13] {
            records.push(NewRecord { offset, ..NewRecord::default() }, []);
        }
        let origin = TopicPartition { topic: "t".into(), partition: 0 };
        let range = OffsetRange { start: 9, end: 20 };
        let batch = Batch { origin, epoch: Epoch(1), range, records };
        assert_eq!(rest_of(&batch, 0).range, range, "all of it keeps the offsets before its first record");
        let rest = rest_of(&batch, 1);
        assert_eq!(rest.range, OffsetRange { start: 12, end: 20 });
        assert_eq!(rest.records.iter().map(|record| record.offset).collect::<Vec<_>>(), [12, 13]);
    }
}
