//! The open range of a lane: which outputs went where, and the accounts of every record read.
//!
//! Owns routing (`place`), the open objects (`sink`) and the numbers that an entry states. Does not know
//! paths, uploads or the ledger: it hands out bytes by sink and object number, in order, while the range
//! is open and when it is cut. Where two versions run side by side, it takes in what both made of a
//! batch, in the order of its records (`turns`), and keeps their objects apart.
//!
//! Invariant: `read = dropped + dead + kept` after each batch; of each sink, outputs meant for it are
//! `written + failed`; dead letters are `dead + unplaced` and every sink's `failed`; all records of an
//! object went through one version.

mod place;
mod sink;
#[cfg(test)]
mod tests;
mod turns;

use std::ops::Range;
use std::sync::Arc;

use self::sink::{SinkState, slot};
use self::turns::{Found, Turns};
use super::fates::{Fate, fates};
use super::{Accounts, Chunk, ClosedRange, CutPolicy, Error, Provenance, RangeState, Sinks};
use crate::record::{Batch, CutCause, OffsetRange, OffsetRun, Transformed, Variant};

/// What one version of the transforms made of its share of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The version.
    pub variant: Variant,
    /// What became of the inputs that it was given, up to the common end: [`Worked::rest`], whatever
    /// stands in `transformed.rest`.
    pub transformed: &'a Transformed,
    /// Its transforms, for dead letters.
    pub transforms: &'a [Provenance],
}

/// A batch, and what the transforms made of it.
#[derive(Clone, Copy, Debug)]
pub struct Worked<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// The first input that the transforms were given; those before it were taken in earlier.
    pub from: u32,
    /// The first input without a result, which comes again with all after it; `None`: all have one.
    pub rest: Option<u32>,
    /// At most one of each variant. Together they account for each input from `from` up to `rest`, once.
    pub parts: &'a [Part<'a>],
    /// The time, by the clock that [`CutPolicy`] is asked with.
    pub now_ms: i64,
}

/// The range of a lane that is being filled.
#[derive(Debug)]
pub struct OpenRange {
    plan: Arc<Sinks>,
    start: u64,
    position: u64,
    read: u64,
    dropped: u64,
    dead: u64,
    kept: u64,
    unplaced: u64,
    first_passed_ms: Option<i64>,
    first_buffered_ms: Option<i64>,
    handed_out: bool,
    sinks: Vec<SinkState>,
    /// The offset of the last dead letter and the output that its record stands beside.
    buried: Option<(u64, u32)>,
    /// The last offset of which each variant made something.
    last_offsets: [Option<u64>; 2],
    /// Runs of all objects; 0 where the plan has no candidate.
    runs: u64,
}

impl OpenRange {
    /// An empty range that begins at `start`.
    #[must_use]
    pub fn new(plan: Arc<Sinks>, start: u64) -> Self {
        let sinks = plan.specs().iter().map(|_| SinkState::default()).collect();
        Self {
            plan,
            start,
            position: start,
            read: 0,
            dropped: 0,
            dead: 0,
            kept: 0,
            unplaced: 0,
            first_passed_ms: None,
            first_buffered_ms: None,
            handed_out: false,
            sinks,
            buried: None,
            last_offsets: [None; 2],
            runs: 0,
        }
    }

    /// Gives everything up and begins again at `start`; what was measured of the lane stays.
    pub fn restart(&mut self, start: u64) {
        *self = self.successor(Arc::clone(&self.plan), start);
    }

    /// Goes on at the position under another plan, for a lane that takes up a new revision, and gives the
    /// range up to there away, for somebody to cut. What was measured stays with the sinks that go by the
    /// same name.
    #[must_use]
    pub fn hand_over(&mut self, plan: Arc<Sinks>) -> Self {
        let next = self.successor(plan, self.position);
        std::mem::replace(self, next)
    }

    fn successor(&self, plan: Arc<Sinks>, start: u64) -> Self {
        let mut next = Self::new(plan, start);
        for (spec, sink) in next.plan.specs().iter().zip(&mut next.sinks) {
            let mut known = self.plan.specs().iter().zip(&self.sinks);
            if let Some((_, old)) = known.find(|(old, _)| old.name == spec.name) {
                sink.ratio = old.ratio;
            }
        }
        next
    }

    /// First offset of the range.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The next offset to take in.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether no offset has been passed: there is nothing to cut.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.position == self.start
    }

    /// Whether bytes were handed out.
    #[must_use]
    pub fn has_handed_out(&self) -> bool {
        self.handed_out
    }

    /// What [`CutPolicy`] asks.
    #[must_use]
    pub fn state(&self) -> RangeState {
        RangeState {
            encoded_bytes: self.sinks.iter().map(SinkState::encoded_bytes).sum(),
            records: self.read,
            offsets: self.position - self.start,
            runs: self.runs,
            first_passed_ms: self.first_passed_ms,
            first_buffered_ms: self.first_buffered_ms,
        }
    }

    /// Whether the range is to be cut now, and why.
    #[must_use]
    pub fn due(&self, policy: &CutPolicy, now_ms: i64) -> Option<CutCause> {
        policy.due(&self.state(), now_ms)
    }

    /// Memory that the range holds, chunks that nobody took included.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        // The runs of a closed object stand in the accounts and in its last chunk.
        let runs =
            usize::try_from(self.runs).unwrap_or(usize::MAX).saturating_mul(2 * size_of::<OffsetRun>());
        self.sinks.iter().map(SinkState::held_bytes).sum::<usize>().saturating_add(runs)
    }

    /// Takes in the results of a batch and moves the position past it (or to the record that is to come
    /// again).
    ///
    /// # Errors
    /// Where the results don't account for the batch, which leaves the range as it was, or where an
    /// object is lost; the range is then to be given up.
    pub fn take_in(&mut self, worked: &Worked<'_>) -> Result<(), Error> {
        let (inputs, end) = self.extent(worked)?;
        let mut fates = fates(worked, &inputs, self.plan.has_candidate())?;
        if end > self.position {
            self.first_passed_ms.get_or_insert(worked.now_ms);
        }
        let plan = Arc::clone(&self.plan);
        let mut turns = Turns::new(worked);
        while let Some(mut turn) = turns.next() {
            let part = turn.part();
            let mut last = None;
            while let Some(found) = turn.next() {
                last = Some(found.input());
                match found {
                    Found::Output(output) if !self.place(worked, part, plan.configured(), output)? => {}
                    Found::Output(output) => fates[(output.input - inputs.start) as usize] = Fate::Kept,
                    Found::Partial(failed) => {
                        self.unplaced += 1;
                        self.bury_reported(worked, part, failed)?;
                    }
                    Found::Whole(failed) => self.bury_reported(worked, part, failed)?,
                }
            }
            if let Some(input) = last {
                let offset = worked.batch.records.record(input as usize).offset;
                self.last_offsets[slot(part.variant)] = Some(offset);
            }
        }
        self.count(&fates);
        self.position = end;
        Ok(())
    }

    /// Moves on to `offset` without records: what lies between is gone from the log.
    pub fn skip_to(&mut self, offset: u64, now_ms: i64) {
        if offset > self.position {
            self.first_passed_ms.get_or_insert(now_ms);
            self.position = offset;
        }
    }

    /// The inputs to account for, and the position after them.
    fn extent(&self, worked: &Worked<'_>) -> Result<(Range<u32>, u64), Error> {
        let records = &worked.batch.records;
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        let from = worked.from.min(count);
        let offset = |input: u32| records.record(input as usize).offset;
        let (until, end) = match worked.rest {
            Some(input) if input < count => (input, offset(input)),
            _ => (count, worked.batch.range.end),
        };
        let before = from.checked_sub(1).map_or(worked.batch.range.start, |last| offset(last) + 1);
        let first = if from < count { offset(from) } else { worked.batch.range.end };
        if self.position < before || self.position > first || until < from || end < self.position {
            return Err(Error::OutOfOrder { start: before, position: self.position });
        }
        Ok((from..until, end))
    }

    fn count(&mut self, fates: &[Fate]) {
        let number = |wanted: Fate| fates.iter().filter(|fate| **fate == wanted).count() as u64;
        self.read += fates.len() as u64;
        self.kept += number(Fate::Kept);
        self.dead += number(Fate::Dead);
        self.dropped += number(Fate::Dropped) + number(Fate::Waiting);
        debug_assert_eq!(self.read, self.dropped + self.dead + self.kept);
    }

    /// The next bytes that are ready: parts of objects that are open, and all of those that are closed.
    /// To be asked after each batch until there is none.
    pub fn next_chunk(&mut self) -> Option<Chunk> {
        let part_bytes = self.plan.part_bytes();
        let mut sinks = self.plan.specs().iter().zip(&mut self.sinks);
        let chunk = sinks.find_map(|(spec, state)| state.next_chunk(&spec.name, part_bytes))?;
        self.handed_out = true;
        Some(chunk)
    }

    /// Ends the range at its position: closes every object, and begins the next range there, with no
    /// memory but what was measured.
    ///
    /// # Errors
    /// Where an object is lost; the range is then to be given up.
    pub fn cut(&mut self) -> Result<ClosedRange, Error> {
        for sink in 0..self.sinks.len() {
            self.close(sink, Variant::Stable)?;
            self.close(sink, Variant::Candidate)?;
        }
        let names = self.plan.specs().iter().map(|spec| &spec.name);
        let accounts = Accounts {
            range: OffsetRange { start: self.start, end: self.position },
            read: self.read,
            dropped: self.dropped,
            dead: self.dead,
            kept: self.kept,
            unplaced: self.unplaced,
            sinks: names.zip(&mut self.sinks).map(|(name, state)| state.accounts(name)).collect(),
        };
        let chunks = self.sinks.iter_mut().flat_map(SinkState::take_pending).collect();
        let closed = ClosedRange { accounts, chunks, handed_out: self.handed_out };
        self.restart(self.position);
        Ok(closed)
    }
}
