//! The open range of a lane: which outputs went where, and the accounts of every record read.
//!
//! Owns routing, the open objects and the numbers that an entry states. Does not know paths, uploads or
//! the ledger: it hands out bytes by sink and object number, in order, while the range is open and when
//! it is cut.
//!
//! Invariant: `read = dropped + dead + kept` after each batch; of each sink, outputs meant for it are
//! `written + failed`; dead letters are `dead + unplaced` and every sink's `failed`.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::fates::{Fate, fates};
use super::{
    Accounts, Chunk, ClosedRange, CutPolicy, DeadLetter, Error, Header, ObjectBuffer, ObjectSummary, Of,
    Provenance, RangeState, Ratio, SinkAccounts, SinkSpec, Sinks,
};
use crate::record::{
    Annotation, Batch, CutCause, Failed, Failure, OffsetRange, Output, RecordRef, Transformed,
};

/// A batch, and what the transforms made of it.
#[derive(Clone, Copy, Debug)]
pub struct Worked<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// The first input that the transforms were given; those before it were taken in earlier.
    pub from: u32,
    /// What became of the inputs from there on, up to the end or to `retry_from`.
    pub transformed: &'a Transformed,
    /// The transforms, for dead letters.
    pub transforms: &'a [Provenance],
    /// How often these inputs were given to the transforms.
    pub attempts: u32,
    /// The time, by the clock that [`CutPolicy`] is asked with.
    pub now_ms: i64,
}

#[derive(Debug, Default)]
struct SinkState {
    buffer: Option<Box<ObjectBuffer>>,
    ratio: Ratio,
    /// Chunks of closed objects that nobody took yet.
    pending: VecDeque<Chunk>,
    pending_bytes: usize,
    objects: Vec<ObjectSummary>,
    written: u64,
    failed: u64,
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
        }
    }

    /// Gives everything up and begins again at `start`; what was measured of the lane stays.
    pub fn restart(&mut self, start: u64) {
        let mut next = Self::new(Arc::clone(&self.plan), start);
        for (sink, old) in next.sinks.iter_mut().zip(&self.sinks) {
            sink.ratio = old.ratio;
        }
        *self = next;
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
        self.sinks.iter().map(SinkState::held_bytes).sum()
    }

    /// Takes in the results of a batch and moves the position past it (or to the record that is to come
    /// again).
    ///
    /// # Errors
    /// Where the results don't account for the batch, which leaves the range as it was, or where an
    /// object is lost; the range is then to be given up.
    pub fn take_in(&mut self, worked: &Worked<'_>) -> Result<(), Error> {
        let (inputs, end) = self.extent(worked)?;
        let mut fates = fates(worked, &inputs)?;
        if end > self.position {
            self.first_passed_ms.get_or_insert(worked.now_ms);
        }
        let plan = Arc::clone(&self.plan);
        for output in &worked.transformed.outputs {
            if self.place(worked, plan.configured(), output)? {
                fates[(output.input - worked.from) as usize] = Fate::Kept;
            }
        }
        for failed in &worked.transformed.partial {
            self.unplaced += 1;
            self.bury_failed(worked, failed)?;
        }
        for failed in &worked.transformed.failed {
            self.bury_failed(worked, failed)?;
        }
        self.count(&fates);
        self.position = end;
        Ok(())
    }

    /// The inputs to account for, and the position after them.
    fn extent(&self, worked: &Worked<'_>) -> Result<(Range<u32>, u64), Error> {
        let records = &worked.batch.records;
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        let from = worked.from.min(count);
        let offset = |input: u32| records.record(input as usize).offset;
        let (until, end) = match worked.transformed.retry_from {
            Some((input, _)) if input < count => (input, offset(input)),
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

    /// Writes an output into its sinks. False where no sink takes it.
    fn place(&mut self, worked: &Worked<'_>, sinks: &[SinkSpec], output: &Output) -> Result<bool, Error> {
        let annotation = worked.transformed.annotation(output);
        let routes = annotation.map_or(&[][..], |annotation| &annotation.routes);
        let record = worked.transformed.record(&worked.batch.records, output);
        let mut is_placed = false;
        if routes.is_empty() {
            for (sink, _) in sinks.iter().enumerate().filter(|(_, spec)| spec.default) {
                self.deliver(worked, sink, &record, annotation)?;
                is_placed = true;
            }
            return Ok(is_placed);
        }
        for (nth, route) in routes.iter().enumerate() {
            let is_repeated = routes[..nth].contains(route);
            match sinks.iter().position(|spec| *spec.name == **route) {
                _ if is_repeated => {}
                Some(sink) => self.deliver(worked, sink, &record, annotation)?,
                None => {
                    self.unplaced += 1;
                    let failure = unknown_route(route, sinks);
                    self.bury(worked, &letter(worked, &record, annotation, route, &failure))?;
                }
            }
        }
        Ok(true)
    }

    fn deliver(
        &mut self,
        worked: &Worked<'_>,
        sink: usize,
        record: &RecordRef<'_>,
        annotation: Option<&Annotation>,
    ) -> Result<(), Error> {
        let appended = self.buffer(sink).append(record);
        match appended {
            Ok(()) => {
                self.sinks[sink].written += 1;
                self.after_append(sink, worked.now_ms)
            }
            Err(failure) => {
                self.sinks[sink].failed += 1;
                let name = Arc::clone(&self.plan.specs()[sink].name);
                self.bury(worked, &letter(worked, record, annotation, &name, &failure))
            }
        }
    }

    /// The open object of a sink.
    fn buffer(&mut self, sink: usize) -> &mut ObjectBuffer {
        let spec = &self.plan.specs()[sink];
        let state = &mut self.sinks[sink];
        let ratio = state.ratio;
        state.buffer.get_or_insert_with(|| Box::new(ObjectBuffer::new(spec.format, spec.compression, ratio)))
    }

    fn after_append(&mut self, sink: usize, now_ms: i64) -> Result<(), Error> {
        self.first_buffered_ms.get_or_insert(now_ms);
        let buffer_bytes = self.plan.specs()[sink].buffer_bytes;
        let buffer = self.buffer(sink);
        let fed = if buffer.is_hungry() { buffer.feed() } else { Ok(()) };
        let is_full = buffer.encoded_bytes() >= buffer_bytes;
        fed.map_err(|source| self.lost(sink, source))?;
        if is_full { self.close(sink) } else { Ok(()) }
    }

    fn lost(&self, sink: usize, source: crate::codec::Error) -> Error {
        let number = u32::try_from(self.sinks[sink].objects.len()).unwrap_or(u32::MAX);
        Error::Encode { sink: self.plan.specs()[sink].name.to_string(), number, source }
    }

    /// Ends the open object of a sink, where it has one with records.
    fn close(&mut self, sink: usize) -> Result<(), Error> {
        let Some(mut buffer) = self.sinks[sink].buffer.take().filter(|buffer| buffer.records() > 0) else {
            return Ok(());
        };
        let part_bytes = self.plan.part_bytes();
        while let Some(bytes) = buffer.take_ready(part_bytes) {
            self.hold(sink, bytes, None);
        }
        let finished = buffer.finish().map_err(|source| self.lost(sink, source))?;
        let summary = finished.summary;
        let mut tail = finished.tail;
        while tail.len() > part_bytes {
            let part = tail.split_to(part_bytes);
            self.hold(sink, part, None);
        }
        self.hold(sink, tail, Some(summary));
        let state = &mut self.sinks[sink];
        state.ratio = Ratio::measured(summary.raw_bytes, summary.bytes).unwrap_or(state.ratio);
        state.objects.push(summary);
        Ok(())
    }

    fn hold(&mut self, sink: usize, bytes: Bytes, last: Option<ObjectSummary>) {
        let state = &mut self.sinks[sink];
        let object = u32::try_from(state.objects.len()).unwrap_or(u32::MAX);
        state.pending_bytes += bytes.len();
        let name = Arc::clone(&self.plan.specs()[sink].name);
        state.pending.push_back(Chunk { sink: name, object, bytes, last });
    }

    /// The next bytes that are ready: parts of objects that are open, and all of those that are closed.
    /// To be asked after each batch until there is none.
    pub fn next_chunk(&mut self) -> Option<Chunk> {
        let chunk = (0..self.sinks.len()).find_map(|sink| self.next_chunk_of(sink))?;
        self.handed_out = true;
        Some(chunk)
    }

    fn next_chunk_of(&mut self, sink: usize) -> Option<Chunk> {
        let state = &mut self.sinks[sink];
        if let Some(chunk) = state.pending.pop_front() {
            state.pending_bytes -= chunk.bytes.len();
            return Some(chunk);
        }
        let bytes = state.buffer.as_mut()?.take_ready(self.plan.part_bytes())?;
        let object = u32::try_from(state.objects.len()).unwrap_or(u32::MAX);
        Some(Chunk { sink: Arc::clone(&self.plan.specs()[sink].name), object, bytes, last: None })
    }

    /// Ends the range at its position: closes every object, and begins the next range there, with no
    /// memory but what was measured.
    ///
    /// # Errors
    /// Where an object is lost; the range is then to be given up.
    pub fn cut(&mut self) -> Result<ClosedRange, Error> {
        for sink in 0..self.sinks.len() {
            self.close(sink)?;
        }
        let range = OffsetRange { start: self.start, end: self.position };
        let chunks = self.sinks.iter_mut().flat_map(|state| state.pending.drain(..)).collect();
        let accounts = Accounts {
            range,
            read: self.read,
            dropped: self.dropped,
            dead: self.dead,
            kept: self.kept,
            unplaced: self.unplaced,
            sinks: self.plan.specs().iter().zip(&mut self.sinks).map(SinkState::accounts).collect(),
        };
        let closed = ClosedRange { accounts, chunks, handed_out: self.handed_out };
        self.restart(self.position);
        Ok(closed)
    }

    /// Writes the dead letter of a failure that the transforms report.
    fn bury_failed(&mut self, worked: &Worked<'_>, failed: &Failed) -> Result<(), Error> {
        let input = worked.batch.records.record(failed.input as usize);
        let (record, of) = match &failed.value {
            Some(value) => (RecordRef { value: Some(value), ..input }, Of::Output),
            None => (input, Of::Input),
        };
        let mut letter = letter(worked, &record, None, "", &failed.failure);
        letter.index = failed.index;
        letter.sink = None;
        letter.of = of;
        self.bury(worked, &letter)
    }

    fn bury(&mut self, worked: &Worked<'_>, letter: &DeadLetter<'_>) -> Result<(), Error> {
        let sink = self.plan.dead_letters();
        let mut line = Vec::with_capacity(512 + letter.value.as_ref().map_or(0, |value| value.len()));
        letter.write_line(&mut line);
        self.buffer(sink).append_line(&line, letter.offset, letter.timestamp_ms);
        self.sinks[sink].written += 1;
        self.after_append(sink, worked.now_ms)
    }
}

impl SinkState {
    fn encoded_bytes(&self) -> u64 {
        let closed: u64 = self.objects.iter().map(|object| object.bytes).sum();
        closed + self.buffer.as_ref().map_or(0, |buffer| buffer.encoded_bytes())
    }

    fn held_bytes(&self) -> usize {
        self.pending_bytes + self.buffer.as_ref().map_or(0, |buffer| buffer.held_bytes())
    }

    fn accounts((spec, state): (&SinkSpec, &mut Self)) -> SinkAccounts {
        SinkAccounts {
            sink: Arc::clone(&spec.name),
            objects: std::mem::take(&mut state.objects),
            written: state.written,
            failed: state.failed,
        }
    }
}

fn unknown_route(route: &str, sinks: &[SinkSpec]) -> Failure {
    let names: Vec<_> = sinks.iter().map(|spec| format!("`{}`", spec.name)).collect();
    Failure {
        code: String::from("UnknownRoute"),
        detail: format!("no sink is called `{route}`; there are {}", names.join(", ")),
    }
}

/// The dead letter of an output.
fn letter<'a>(
    worked: &Worked<'a>,
    record: &RecordRef<'a>,
    annotation: Option<&'a Annotation>,
    sink: &'a str,
    failure: &'a Failure,
) -> DeadLetter<'a> {
    let added = annotation.map_or(&[][..], |annotation| &annotation.headers);
    let added = added.iter().map(|(name, value)| -> Header<'a> {
        (Cow::Borrowed(name.as_bytes()), value.as_deref().map(Cow::Borrowed))
    });
    let own = record.headers.iter().map(|(name, value)| (Cow::Borrowed(name), value.map(Cow::Borrowed)));
    DeadLetter {
        topic: Cow::Borrowed(&worked.batch.origin.topic),
        partition: worked.batch.origin.partition,
        offset: record.offset,
        index: Some(record.index),
        sink: Some(Cow::Borrowed(sink)),
        of: Of::Output,
        timestamp_ms: record.timestamp_ms,
        key: record.key.map(Cow::Borrowed),
        value: record.value.map(Cow::Borrowed),
        headers: own.chain(added).collect(),
        code: Cow::Borrowed(&failure.code),
        detail: Cow::Borrowed(&failure.detail),
        attempts: worked.attempts,
        transforms: Cow::Borrowed(worked.transforms),
    }
}
