//! The open range of a lane: which outputs went where, and the accounts of every record read.
//!
//! Owns routing, the open objects and the numbers that an entry states. Does not know paths, uploads or
//! the ledger: it hands out bytes by sink and object number, in order, while the range is open and when
//! it is cut.
//!
//! Invariant: `read = dropped + dead + kept` after each batch; of each sink, outputs meant for it are
//! `written + failed`; dead letters are `dead + unplaced` and every sink's `failed`.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::bury::{Trouble, unknown_route};
use super::fates::{Fate, fates};
use super::{
    Accounts, Chunk, ClosedRange, CutPolicy, Error, ObjectBuffer, ObjectSummary, Original, Provenance,
    RangeState, Ratio, SinkAccounts, SinkSpec, Sinks,
};
use crate::record::{Batch, Condition, CutCause, Failed, OffsetRange, Output, Rest, Transformed};

/// A batch, and what the transforms made of it.
#[derive(Clone, Copy, Debug)]
pub struct Worked<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// The first input that the transforms were given; those before it were taken in earlier.
    pub from: u32,
    /// What became of the inputs from there on, up to the end or to `rest`.
    pub transformed: &'a Transformed,
    /// The transforms, for dead letters.
    pub transforms: &'a [Provenance],
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
    /// The offset of the last dead letter and the output that its record stands beside.
    buried: Option<(u64, u32)>,
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
        // Dead letters come from three lists and stand in the order of offsets, as every object does.
        let mut reports = Reports::new(worked.transformed);
        for output in &worked.transformed.outputs {
            self.bury_reported(worked, &mut reports, output.input)?;
            if self.place(worked, plan.configured(), output)? {
                fates[(output.input - worked.from) as usize] = Fate::Kept;
            }
        }
        self.bury_reported(worked, &mut reports, u32::MAX)?;
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
        let (until, end) = match worked.transformed.rest {
            Some(Rest { from: input, .. }) if input < count => (input, offset(input)),
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
        let mut is_placed = false;
        if routes.is_empty() {
            for (sink, _) in sinks.iter().enumerate().filter(|(_, spec)| spec.default) {
                self.deliver(worked, sink, output)?;
                is_placed = true;
            }
            return Ok(is_placed);
        }
        for (nth, route) in routes.iter().enumerate() {
            let is_repeated = routes[..nth].contains(route);
            match sinks.iter().position(|spec| *spec.name == **route) {
                _ if is_repeated => {}
                Some(sink) => self.deliver(worked, sink, output)?,
                None => {
                    self.unplaced += 1;
                    let failure = unknown_route(route, sinks);
                    let condition = Condition::UnknownRoute;
                    self.bury(worked, Trouble::at_sink(worked, output, route, condition, &failure))?;
                }
            }
        }
        Ok(true)
    }

    fn deliver(&mut self, worked: &Worked<'_>, sink: usize, output: &Output) -> Result<(), Error> {
        let record = worked.transformed.record(&worked.batch.records, output);
        let appended = self.buffer(sink).append(&record);
        match appended {
            Ok(()) => {
                self.sinks[sink].written += 1;
                self.after_append(sink, worked.now_ms)
            }
            Err(failure) => {
                self.sinks[sink].failed += 1;
                let name = Arc::clone(&self.plan.specs()[sink].name);
                let condition = Condition::SinkRefused;
                self.bury(worked, Trouble::at_sink(worked, output, &name, condition, &failure))
            }
        }
    }

    /// The open object of a sink.
    fn buffer(&mut self, sink: usize) -> &mut ObjectBuffer {
        let spec = &self.plan.specs()[sink];
        let state = &mut self.sinks[sink];
        let ratio = state.ratio;
        let parts = self.plan.parts();
        state.buffer.get_or_insert_with(|| {
            Box::new(ObjectBuffer::new(spec.format, spec.compression, ratio).with_parts(parts))
        })
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

    /// Writes the dead letters of what the transforms report about inputs before `input`.
    fn bury_reported(
        &mut self,
        worked: &Worked<'_>,
        reports: &mut Reports<'_>,
        input: u32,
    ) -> Result<(), Error> {
        while let Some((failed, is_partial)) = reports.next_before(input) {
            self.unplaced += u64::from(is_partial);
            self.bury(worked, Trouble::reported(worked, failed))?;
        }
        Ok(())
    }

    /// Writes a dead letter. The record stands in the first letter of its offset only, so that many
    /// outputs that fail do not write it many times; but in each object again, so that an object can be
    /// understood alone.
    fn bury<'a>(&mut self, worked: &Worked<'a>, trouble: Trouble<'a>) -> Result<(), Error> {
        let plan = Arc::clone(&self.plan);
        let sink = plan.dead_letters();
        let is_open = self.sinks[sink].buffer.is_some();
        let mut letter = trouble.letter(worked, plan.config_digest());
        let (offset, timestamp_ms) = (letter.offset, letter.timestamp_ms());
        match self.buried {
            Some((before, index)) if is_open && before == offset => {
                letter.original = Original::AtIndex(index)
            }
            _ => self.buried = letter.index.map(|index| (offset, index)),
        }
        let mut line = Vec::with_capacity(letter.bytes_hint());
        letter.write_line(&mut line);
        self.buffer(sink).append_line(&line, offset, timestamp_ms);
        self.sinks[sink].written += 1;
        self.after_append(sink, worked.now_ms)
    }
}

/// The failures that the transforms report, in the order of their inputs.
struct Reports<'a> {
    partial: &'a [Failed],
    failed: &'a [Failed],
}

impl<'a> Reports<'a> {
    fn new(transformed: &'a Transformed) -> Self {
        Self { partial: &transformed.partial, failed: &transformed.failed }
    }

    /// The next one about an input before `input`, and whether it is about a part of it.
    fn next_before(&mut self, input: u32) -> Option<(&'a Failed, bool)> {
        let of = |list: &[Failed]| list.first().map(|failed| failed.input);
        let is_partial = match (of(self.partial), of(self.failed)) {
            (Some(partial), Some(failed)) => partial < failed,
            (partial, _) => partial.is_some(),
        };
        let list = if is_partial { &mut self.partial } else { &mut self.failed };
        let (first, rest) = list.split_first().filter(|(first, _)| first.input < input)?;
        *list = rest;
        Some((first, is_partial))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Content, DeadLetter};
    use crate::config::{Compression, Format};
    use crate::record::{
        Annotation, Arena, Epoch, Failure, NewRecord, OutputSource, Report, TopicPartition, Wait,
    };
    use proptest::collection::vec;
    use proptest::prelude::*;

    const PART_BYTES: usize = 1 << 10;
    const START: u64 = 1_000;

    fn spec(name: &str, format: Format, compression: Compression, default: bool) -> SinkSpec {
        SinkSpec { name: Arc::from(name), format, compression, buffer_bytes: 4 << 10, default }
    }

    fn plan() -> Arc<Sinks> {
        let lake = spec("lake", Format::JsonLines, Compression::None, true);
        let archive = spec("archive", Format::Raw, Compression::Zstd, true);
        let errors = spec("errors", Format::Raw, Compression::Gzip, false);
        Sinks::new(vec![lake, archive, errors], PART_BYTES, "sha256:c0")
    }

    /// Records at every second offset from `start` on.
    fn batch(start: u64, values: &[&[u8]]) -> Batch {
        let mut records = Arena::default();
        for (offset, value) in (start..).step_by(2).zip(values) {
            let record = NewRecord { value: Some(value), timestamp_ms: 7, offset, ..NewRecord::default() };
            assert!(records.push(record, []));
        }
        let end = start + 2 * values.len() as u64;
        let origin = TopicPartition { topic: Arc::from("t"), partition: 0 };
        Batch { origin, epoch: Epoch(1), range: OffsetRange { start, end }, records }
    }

    fn worked<'a>(batch: &'a Batch, from: u32, transformed: &'a Transformed) -> Worked<'a> {
        Worked { batch, from, transformed, transforms: &[], now_ms: 50 }
    }

    fn forward(input: u32, annotation: Option<u32>) -> Output {
        Output { input, index: 0, source: OutputSource::Input, annotation }
    }

    fn routed(routes: &[&str]) -> Annotation {
        Annotation { routes: routes.iter().map(ToString::to_string).collect(), ..Annotation::default() }
    }

    fn failure(code: &str) -> Failure {
        Failure { code: String::from(code), detail: String::from("why") }
    }

    /// The chunks of each sink's objects, put together and decompressed.
    fn lines(plan: &Sinks, chunks: &[Chunk], sink: &str) -> Vec<String> {
        let spec = plan.specs().iter().find(|spec| *spec.name == *sink).expect("a sink");
        let mut text = Vec::new();
        let mut object = Vec::new();
        for chunk in chunks.iter().filter(|chunk| *chunk.sink == *sink) {
            object.extend_from_slice(&chunk.bytes);
            let Some(summary) = chunk.last else { continue };
            assert_eq!(summary.bytes, object.len() as u64);
            match spec.compression {
                Compression::None => text.append(&mut object),
                Compression::Zstd => text.extend(zstd::stream::decode_all(&object[..]).expect("zstd")),
                Compression::Gzip => {
                    let mut decoder = flate2::read::GzDecoder::new(&object[..]);
                    std::io::Read::read_to_end(&mut decoder, &mut text).expect("gzip");
                }
            }
            object.clear();
        }
        assert!(object.is_empty(), "an object of `{sink}` has no end");
        String::from_utf8(text).expect("text").lines().map(String::from).collect()
    }

    fn letters(plan: &Sinks, chunks: &[Chunk]) -> Vec<DeadLetter<'static>> {
        let lines = lines(plan, chunks, crate::record::DEAD_LETTER_SINK);
        lines.iter().map(|line| DeadLetter::parse(line.as_bytes()).expect("a letter")).collect()
    }

    fn value_of<'a>(letter: &'a DeadLetter<'_>) -> Option<&'a [u8]> {
        match &letter.original {
            Original::Here(content) => content.value.as_deref(),
            Original::AtIndex(index) => panic!("it stands at index {index}"),
        }
    }

    fn transforms() -> [Provenance; 2] {
        ["parse", "redact"].map(|name| Provenance {
            name: String::from(name),
            plugin: String::from("p"),
            version: String::from("1"),
            digest: String::from("sha256:00"),
            grants: Vec::new(),
        })
    }

    #[test]
    fn a_letter_says_which_transform_failed_and_what_it_left_behind() {
        let plan = plan();
        let mut range = OpenRange::new(Arc::clone(&plan), START);
        let batch = batch(START, &[b"a", b"b", b"[0]"]);
        let report = Report { backtrace: String::from("inner\nouter\n"), log: String::from("said\n") };
        let trap = Failed {
            transform: Some(1),
            attempts: 4,
            first_attempt_ms: Some(20),
            report: Some(Arc::new(report)),
            ..Failed::whole(0, Condition::Trap, failure("Trap"))
        };
        let once = Failed { attempts: 1, ..Failed::whole(1, Condition::ProcessingFailed, failure("Bad")) };
        let transformed = Transformed {
            outputs: vec![forward(2, None)],
            failed: vec![trap, once],
            ..Transformed::default()
        };
        let transforms = transforms();
        let worked = Worked { transforms: &transforms, ..worked(&batch, 0, &transformed) };
        range.take_in(&worked).expect("accounted");
        let closed = range.cut().expect("memory");
        let letters = letters(&plan, &closed.chunks);
        let [trap, once] = &letters[..] else { panic!("two letters: {letters:?}") };
        assert_eq!(trap.transform.as_deref(), Some(&transforms[1]));
        assert_eq!((&trap.backtrace[..], &*trap.log), (&["inner".into(), "outer".into()][..], "said\n"));
        assert_eq!((trap.attempts, trap.first_attempt_ms, trap.failed_ms), (4, Some(20), 50));
        assert_eq!((&*trap.transforms, &*trap.config_digest), (&transforms[..], "sha256:c0"));
        assert_eq!((once.attempts, once.first_attempt_ms), (1, Some(50)));
        assert_eq!((&once.transform, once.backtrace.len(), &*once.log), (&None, 0, ""));
    }

    #[test]
    fn the_record_stands_once_an_offset_and_object_however_many_outputs_fail() {
        let plan = plan();
        let mut range = OpenRange::new(Arc::clone(&plan), START);
        let batch = batch(START, &[b"the record", b"another"]);
        let failed = |input, index, value: &[u8]| {
            Failed::partial(input, index, Some(value.to_vec()), Condition::ProcessingFailed, failure("x"))
        };
        let partial = (0..50).map(|index| failed(0, index, b"made")).chain([failed(1, 7, b"other")]);
        let transformed = Transformed { partial: partial.collect(), ..Transformed::default() };
        range.take_in(&worked(&batch, 0, &transformed)).expect("accounted");
        let closed = range.cut().expect("memory");
        let letters = letters(&plan, &closed.chunks);
        assert_eq!(letters.len(), 51);
        assert_eq!(value_of(&letters[0]), Some(&b"the record"[..]));
        assert!(letters[1..50].iter().all(|letter| letter.original == Original::AtIndex(0)));
        assert_eq!(value_of(&letters[50]), Some(&b"another"[..]));
        let made = |value: &'static [u8]| {
            Some(Content { timestamp_ms: -1, value: Some(value.into()), ..Content::default() })
        };
        assert!(letters[..50].iter().all(|letter| letter.output == made(b"made")));
        assert_eq!(letters[50].output, made(b"other"));
    }

    #[test]
    fn each_object_of_dead_letters_can_be_understood_alone() {
        let lake = spec("lake", Format::Raw, Compression::None, true);
        let plan = Sinks::new(vec![lake], 5 << 20, "");
        let mut range = OpenRange::new(Arc::clone(&plan), START);
        let batch = batch(START, &[b"the record"]);
        let value = vec![b'x'; 8 << 20];
        let failed =
            |index| Failed::partial(0, index, Some(value.clone()), Condition::ProcessingFailed, failure("x"));
        let transformed = Transformed { partial: (0..10).map(failed).collect(), ..Transformed::default() };
        range.take_in(&worked(&batch, 0, &transformed)).expect("accounted");
        let closed = range.cut().expect("memory");
        let objects = closed.accounts.sinks.last().expect("dead letters").objects.len();
        assert_eq!(objects, 2, "80 MiB are more than one object of dead letters");
        let letters = letters(&plan, &closed.chunks);
        let whole: Vec<_> =
            letters.iter().filter(|letter| matches!(letter.original, Original::Here(_))).collect();
        assert_eq!(whole.iter().map(|letter| letter.index).collect::<Vec<_>>(), [Some(0), Some(8)]);
    }

    #[test]
    fn an_output_stands_beside_its_record_where_it_is_another() {
        let plan = plan();
        let mut range = OpenRange::new(Arc::clone(&plan), START);
        let batch = batch(START, &[b"no json", b"was json"]);
        let mut produced = Arena::default();
        let made = NewRecord {
            key: Some(b"k"),
            value: Some(b"not json either"),
            timestamp_ms: 9,
            offset: START + 2,
            index: 0,
        };
        assert!(produced.push(made, [(&b"h"[..], None)]));
        let header = (String::from("added"), Some(b"1".to_vec()));
        let transformed = Transformed {
            outputs: vec![
                forward(0, Some(0)),
                Output { source: OutputSource::Produced(0), ..forward(1, None) },
            ],
            produced,
            annotations: vec![Annotation { headers: vec![header], ..Annotation::default() }],
            ..Transformed::default()
        };
        let transforms = transforms();
        let worked = Worked { transforms: &transforms, ..worked(&batch, 0, &transformed) };
        range.take_in(&worked).expect("accounted");
        let closed = range.cut().expect("memory");
        let letters = letters(&plan, &closed.chunks);
        assert_eq!(
            letters.iter().map(value_of).collect::<Vec<_>>(),
            [&b"no json"[..], b"was json"].map(Some)
        );
        let outputs: Vec<_> = letters.iter().map(|letter| letter.output.clone().expect("another")).collect();
        assert_eq!((outputs[0].value.as_deref(), outputs[0].headers.len()), (Some(&b"no json"[..]), 1));
        assert_eq!((outputs[1].key.as_deref(), outputs[1].timestamp_ms), (Some(&b"k"[..]), 9));
        assert_eq!(outputs[1].value.as_deref(), Some(&b"not json either"[..]));
        assert_eq!((letters[0].attempts, letters[0].first_attempt_ms), (1, Some(50)));
    }

    #[test]
    fn outputs_go_where_their_routes_say() {
        let plan = plan();
        let mut range = OpenRange::new(Arc::clone(&plan), START);
        let batch = batch(START, &[b"[0]", b"[1]", b"[2]", b"[3]"]);
        let transformed = Transformed {
            outputs: vec![forward(0, None), forward(1, Some(0)), forward(2, Some(1)), forward(3, Some(2))],
            annotations: vec![routed(&["errors", "errors"]), routed(&["lake", "nowhere"]), routed(&[])],
            ..Transformed::default()
        };
        range.take_in(&worked(&batch, 0, &transformed)).expect("accounted");
        let closed = range.cut().expect("memory");
        assert_eq!(lines(&plan, &closed.chunks, "lake"), ["[0]", "[2]", "[3]"]);
        assert_eq!(lines(&plan, &closed.chunks, "archive"), ["[0]", "[3]"]);
        assert_eq!(lines(&plan, &closed.chunks, "errors"), ["[1]"]);
        let letters = letters(&plan, &closed.chunks);
        assert_eq!(letters.len(), 1);
        assert_eq!((&*letters[0].code, letters[0].offset), ("UnknownRoute", START + 4));
        assert_eq!((letters[0].condition, letters[0].attempts), (Condition::UnknownRoute, 0));
        assert_eq!(letters[0].sink.as_deref(), Some("nowhere"));
        let accounts = closed.accounts;
        assert_eq!((accounts.read, accounts.kept, accounts.unplaced, accounts.empty()), (4, 4, 1, 4));
        assert_eq!(accounts.range, OffsetRange { start: START, end: START + 8 });
        assert!(!closed.handed_out);
    }

    #[test]
    fn a_value_that_one_sink_can_not_hold_is_a_dead_letter_of_that_sink() {
        let plan = plan();
        let mut range = OpenRange::new(Arc::clone(&plan), START);
        let batch = batch(START, &[b"plain text"]);
        let transformed = Transformed { outputs: vec![forward(0, None)], ..Transformed::default() };
        range.take_in(&worked(&batch, 0, &transformed)).expect("accounted");
        let closed = range.cut().expect("memory");
        assert_eq!(lines(&plan, &closed.chunks, "archive"), ["plain text"]);
        let letters = letters(&plan, &closed.chunks);
        assert_eq!((&*letters[0].code, letters[0].sink.as_deref()), ("NotJson", Some("lake")));
        assert_eq!((letters[0].condition, letters[0].index), (Condition::SinkRefused, Some(0)));
        // The output is the record, which stands there already.
        assert_eq!((value_of(&letters[0]), &letters[0].output), (Some(&b"plain text"[..]), &None));
        let lake = &closed.accounts.sinks[0];
        assert_eq!((lake.written, lake.failed, lake.objects.len()), (0, 1, 0));
        assert_eq!((closed.accounts.kept, closed.accounts.dead), (1, 0));
    }

    #[test]
    fn what_no_sink_takes_is_dropped_and_what_failed_whole_is_dead() {
        let only = Sinks::new(vec![spec("errors", Format::Raw, Compression::None, false)], PART_BYTES, "");
        let mut range = OpenRange::new(Arc::clone(&only), START);
        let batch = batch(START, &[b"a", b"b", b"c"]);
        let failed = Failed::whole(1, Condition::ProcessingFailed, failure("BadTime"));
        let transformed = Transformed {
            outputs: vec![forward(0, None)],
            dropped: 1,
            failed: vec![failed],
            ..Transformed::default()
        };
        range.take_in(&worked(&batch, 0, &transformed)).expect("accounted");
        let closed = range.cut().expect("memory");
        let accounts = &closed.accounts;
        assert_eq!((accounts.dropped, accounts.dead, accounts.kept), (2, 1, 0));
        let letters = letters(&only, &closed.chunks);
        assert_eq!((letters[0].index, letters[0].sink.as_deref()), (None, None));
        assert_eq!((value_of(&letters[0]), &letters[0].output), (Some(&b"b"[..]), &None));
    }

    #[test]
    fn dead_letters_stand_in_the_order_of_offsets_whatever_made_them() {
        let plan = plan();
        let mut range = OpenRange::new(Arc::clone(&plan), START);
        let batch = batch(START, &[b"no json", b"whole", b"part", b"no json", b"whole", b"no json"]);
        let failed = |input, index| Failed { index, ..Failed::whole(input, Condition::Trap, failure("x")) };
        let transformed = Transformed {
            outputs: vec![forward(0, None), forward(2, None), forward(3, None), forward(5, None)],
            partial: vec![failed(2, Some(1))],
            failed: vec![failed(1, None), failed(4, None)],
            ..Transformed::default()
        };
        range.take_in(&worked(&batch, 0, &transformed)).expect("accounted");
        let closed = range.cut().expect("memory");
        let offsets: Vec<_> = letters(&plan, &closed.chunks).iter().map(|letter| letter.offset).collect();
        assert_eq!(offsets, [0, 2, 4, 4, 6, 8, 10].map(|offset| START + offset));
        let letters = closed.accounts.sinks.last().expect("dead letters");
        assert_eq!((letters.objects[0].first_offset, letters.objects[0].last_offset), (START, START + 10));
    }

    #[test]
    fn a_batch_that_is_to_come_again_is_taken_in_two_pieces() {
        let plan = plan();
        let mut range = OpenRange::new(Arc::clone(&plan), START);
        let batch = batch(START, &[b"[0]", b"[1]", b"[2]"]);
        let first = Transformed {
            outputs: vec![forward(0, None)],
            rest: Some(Rest { from: 1, wait: Wait::Not }),
            ..Transformed::default()
        };
        range.take_in(&worked(&batch, 0, &first)).expect("accounted");
        assert_eq!(range.position(), START + 2);
        let closed = range.cut().expect("memory");
        assert_eq!((closed.accounts.read, closed.accounts.empty()), (1, 1));
        let second = Transformed { outputs: vec![forward(1, None)], dropped: 1, ..Transformed::default() };
        range.take_in(&worked(&batch, 1, &second)).expect("accounted");
        assert_eq!((range.start(), range.position()), (START + 2, START + 6));
        assert!(range.take_in(&worked(&batch, 0, &second)).is_err(), "taken in twice");
    }

    #[test]
    fn results_that_do_not_account_for_their_batch_change_nothing() {
        let mut range = OpenRange::new(plan(), START);
        let batch = batch(START, &[b"[0]", b"[1]"]);
        let failed = |input| Failed::whole(input, Condition::Trap, failure("x"));
        let produced = Output { source: OutputSource::Produced(0), ..forward(0, None) };
        let wrong = [
            Transformed { dropped: 1, ..Transformed::default() },
            Transformed { outputs: vec![forward(2, None)], dropped: 2, ..Transformed::default() },
            Transformed { outputs: vec![forward(0, Some(0))], dropped: 1, ..Transformed::default() },
            Transformed { outputs: vec![produced], dropped: 1, ..Transformed::default() },
            Transformed {
                outputs: vec![forward(0, None)],
                failed: vec![failed(0)],
                dropped: 1,
                ..Transformed::default()
            },
            Transformed { failed: vec![failed(0), failed(0)], dropped: 1, ..Transformed::default() },
        ];
        for transformed in &wrong {
            let refused = range.take_in(&worked(&batch, 0, transformed));
            assert!(matches!(refused, Err(Error::Unaccounted { .. })), "{transformed:?}");
        }
        let ahead = self::batch(START + 1, &[]);
        let hole = range.take_in(&worked(&ahead, 0, &Transformed::default()));
        assert!(matches!(hole, Err(Error::OutOfOrder { .. })));
        assert!(range.is_empty() && range.state() == RangeState::default() && range.held_bytes() == 0);
    }

    #[test]
    fn a_batch_without_records_moves_the_position() {
        let mut range = OpenRange::new(plan(), START);
        let mut gap = batch(START, &[]);
        gap.range.end = START + 30;
        range.take_in(&worked(&gap, 0, &Transformed::default())).expect("accounted");
        let state = range.state();
        assert_eq!((state.offsets, state.first_passed_ms, state.first_buffered_ms), (30, Some(50), None));
        let closed = range.cut().expect("memory");
        assert_eq!((closed.accounts.read, closed.accounts.empty()), (0, 30));
        assert!(closed.chunks.is_empty() && range.is_empty());
    }

    /// What a transform may make of one input.
    #[derive(Clone, Debug)]
    enum Made {
        Drop,
        Fail,
        /// Outputs by the annotation they carry, and outputs that could not be made.
        Emit(Vec<Option<u32>>, usize),
    }

    fn made() -> impl Strategy<Value = Made> {
        let output = proptest::option::of(0_u32..4);
        prop_oneof![
            Just(Made::Drop),
            Just(Made::Fail),
            (vec(output, 1..4), 0_usize..2).prop_map(|(outputs, partial)| Made::Emit(outputs, partial)),
        ]
    }

    fn transformed(made: &[Made]) -> Transformed {
        let mut result = Transformed {
            annotations: vec![
                routed(&["lake"]),
                routed(&["errors", "archive"]),
                routed(&["nowhere"]),
                routed(&["lake", "nowhere"]),
            ],
            ..Transformed::default()
        };
        for (input, made) in (0..).zip(made) {
            let failed = |index| Failed { index, ..Failed::whole(input, Condition::Trap, failure("x")) };
            match made {
                Made::Drop => result.dropped += 1,
                Made::Fail => result.failed.push(failed(None)),
                Made::Emit(outputs, partial) => {
                    result.outputs.extend(outputs.iter().map(|annotation| forward(input, *annotation)));
                    result.partial.extend((0..*partial).map(|_| failed(Some(9))));
                }
            }
        }
        result
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn the_accounts_agree_with_each_other_and_with_the_bytes(
            batches in vec(vec((made(), any::<bool>()), 0..20), 1..12),
            drains in vec(any::<bool>(), 12),
        ) {
            let plan = plan();
            let mut range = OpenRange::new(Arc::clone(&plan), START);
            let (mut chunks, mut read) = (Vec::new(), 0);
            let json = format!("[\"{}\"]", "x".repeat(200));
            for (inputs, drain) in batches.iter().zip(&drains) {
                let value = |is_json: bool| if is_json { json.as_bytes() } else { &b"text"[..] };
                let values: Vec<_> = inputs.iter().map(|(_, is_json)| value(*is_json)).collect();
                let batch = batch(range.position(), &values);
                let made: Vec<_> = inputs.iter().map(|(made, _)| made.clone()).collect();
                range.take_in(&worked(&batch, 0, &transformed(&made))).expect("accounted");
                read += inputs.len() as u64;
                while *drain && let Some(chunk) = range.next_chunk() {
                    chunks.push(chunk);
                }
            }
            let estimate = range.state().encoded_bytes;
            let end = range.position();
            let closed = range.cut().expect("memory");
            prop_assert_eq!(closed.handed_out, !chunks.is_empty());
            chunks.extend(closed.chunks);
            let accounts = closed.accounts;
            prop_assert_eq!(accounts.read, read);
            prop_assert_eq!(accounts.read, accounts.dropped + accounts.dead + accounts.kept);
            prop_assert_eq!(accounts.empty() + accounts.read, end - START);
            let failed: u64 = accounts.sinks.iter().map(|sink| sink.failed).sum();
            let letters = letters(&plan, &chunks).len() as u64;
            prop_assert_eq!(letters, accounts.dead + accounts.unplaced + failed);
            let mut bytes = 0;
            for (sink, spec) in accounts.sinks.iter().zip(plan.specs()) {
                let in_objects: u64 = sink.objects.iter().map(|object| object.records).sum();
                prop_assert_eq!(in_objects, sink.written);
                prop_assert_eq!(lines(&plan, &chunks, &spec.name).len() as u64, sink.written);
                bytes += sink.objects.iter().map(|object| object.bytes).sum::<u64>();
            }
            prop_assert!(estimate > 0 || bytes == 0);
            for chunk in chunks.iter().filter(|chunk| chunk.last.is_none()) {
                prop_assert_eq!(chunk.bytes.len(), PART_BYTES);
            }
            prop_assert_eq!((range.start(), range.held_bytes()), (end, 0));
        }
    }
}
