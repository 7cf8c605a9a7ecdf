//! One sink of an open range: its open objects, one a variant, and the bytes that wait to be taken.
//!
//! Owns the numbers of its objects and the order of their chunks. Does not know routes or accounts of
//! records. Invariant: an object gets its number with its first record, so that the numbers of a range
//! have no holes and follow the first records; all chunks of an object bear it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::batch::parts::Parts;
use crate::batch::{Chunk, ObjectBuffer, ObjectSummary, Ratio, SinkAccounts, SinkSpec};
use crate::codec;
use crate::record::{OffsetRun, Variant};

/// An object that records are written into.
#[derive(Debug)]
struct OpenObject {
    buffer: ObjectBuffer,
    /// `None` before the first record.
    number: Option<u32>,
    runs: Vec<OffsetRun>,
}

/// What a range knows of a sink.
#[derive(Debug, Default)]
pub(super) struct SinkState {
    open: [Option<Box<OpenObject>>; 2],
    pub(super) ratio: Ratio,
    /// Chunks of closed objects that nobody took yet.
    pending: VecDeque<Chunk>,
    pending_bytes: usize,
    /// Closed objects with their numbers, in the order in which they were closed.
    closed: Vec<(u32, ObjectSummary)>,
    closed_bytes: u64,
    next_number: u32,
    written: u64,
    pub(super) failed: u64,
}

/// The variants, each at its position.
const VARIANTS: [Variant; 2] = [Variant::Stable, Variant::Candidate];

/// Position of what belongs to a variant.
pub(super) fn slot(variant: Variant) -> usize {
    match variant {
        Variant::Stable => 0,
        Variant::Candidate => 1,
    }
}

impl SinkState {
    /// The open object of a variant, made where there is none.
    pub(super) fn buffer(
        &mut self,
        variant: Variant,
        spec: &SinkSpec,
        parts: &Arc<Parts>,
    ) -> &mut ObjectBuffer {
        let ratio = self.ratio;
        let object = self.open[slot(variant)].get_or_insert_with(|| {
            let buffer = ObjectBuffer::new(spec.format, spec.compression, ratio).with_parts(parts);
            Box::new(OpenObject { buffer, number: None, runs: Vec::new() })
        });
        &mut object.buffer
    }

    /// Whether a variant has an open object.
    pub(super) fn is_open(&self, variant: Variant) -> bool {
        self.open[slot(variant)].is_some()
    }

    /// The number of a variant's open object; the next one where it has none.
    pub(super) fn number(&self, variant: Variant) -> u32 {
        let open = self.open[slot(variant)].as_ref();
        open.and_then(|object| object.number).unwrap_or(self.next_number)
    }

    /// Counts the record that was appended to a variant's object, and compresses what waits there.
    /// The object's length after compression so far.
    pub(super) fn appended(&mut self, variant: Variant) -> Result<u64, codec::Error> {
        self.written += 1;
        let Some(object) = &mut self.open[slot(variant)] else { return Ok(0) };
        if object.number.is_none() {
            object.number = Some(self.next_number);
            self.next_number += 1;
        }
        if object.buffer.is_hungry() {
            object.buffer.feed()?;
        }
        Ok(object.buffer.encoded_bytes())
    }

    /// Notes the offset of the record that was appended to a variant's object; `other` is the last offset
    /// of the range that went through another variant. Whether a run begins with it.
    pub(super) fn note_run(&mut self, variant: Variant, offset: u64, other: Option<u64>) -> bool {
        let Some(object) = &mut self.open[slot(variant)] else { return false };
        match object.runs.last_mut() {
            Some(run) if other.is_none_or(|other| other <= run.last) => {
                run.last = run.last.max(offset);
                false
            }
            _ => {
                object.runs.push(OffsetRun { first: offset, last: offset });
                true
            }
        }
    }

    /// Ends the open object of a variant, where it has one with records.
    pub(super) fn close(
        &mut self,
        variant: Variant,
        sink: &Arc<str>,
        part_bytes: usize,
    ) -> Result<(), codec::Error> {
        let Some(object) = self.open[slot(variant)].take() else { return Ok(()) };
        let OpenObject { mut buffer, number, mut runs } = *object;
        let Some(number) = number else { return Ok(()) };
        runs.shrink_to_fit();
        while let Some(bytes) = buffer.take_ready(part_bytes) {
            self.hold(sink, (number, variant), bytes, None);
        }
        let finished = buffer.finish()?;
        let summary = ObjectSummary { variant, runs, ..finished.summary };
        let mut tail = finished.tail;
        while tail.len() > part_bytes {
            let part = tail.split_to(part_bytes);
            self.hold(sink, (number, variant), part, None);
        }
        self.ratio = Ratio::measured(summary.raw_bytes, summary.bytes).unwrap_or(self.ratio);
        self.closed_bytes += summary.bytes;
        self.closed.push((number, summary.clone()));
        self.hold(sink, (number, variant), tail, Some(summary));
        Ok(())
    }

    fn hold(
        &mut self,
        sink: &Arc<str>,
        (object, variant): (u32, Variant),
        bytes: Bytes,
        last: Option<ObjectSummary>,
    ) {
        self.pending_bytes += bytes.len();
        self.pending.push_back(Chunk { sink: Arc::clone(sink), object, variant, bytes, last });
    }

    /// The next bytes that are ready: what closed objects left, then the parts of open ones.
    pub(super) fn next_chunk(&mut self, sink: &Arc<str>, part_bytes: usize) -> Option<Chunk> {
        if let Some(chunk) = self.pending.pop_front() {
            self.pending_bytes -= chunk.bytes.len();
            return Some(chunk);
        }
        VARIANTS.into_iter().zip(&mut self.open).find_map(|(variant, object)| {
            let open = object.as_mut()?;
            let object = open.number?;
            let bytes = open.buffer.take_ready(part_bytes)?;
            Some(Chunk { sink: Arc::clone(sink), object, variant, bytes, last: None })
        })
    }

    /// The chunks that nobody took, of a range that ends.
    pub(super) fn take_pending(&mut self) -> VecDeque<Chunk> {
        self.pending_bytes = 0;
        std::mem::take(&mut self.pending)
    }

    /// Length of all objects after compression, as far as it is known.
    pub(super) fn encoded_bytes(&self) -> u64 {
        let open = self.open.iter().flatten().map(|object| object.buffer.encoded_bytes());
        self.closed_bytes + open.sum::<u64>()
    }

    /// Memory that it holds but for runs, chunks that nobody took included.
    pub(super) fn held_bytes(&self) -> usize {
        let open = self.open.iter().flatten().map(|object| object.buffer.held_bytes());
        self.pending_bytes + open.sum::<usize>()
    }

    /// What it got, once all its objects are closed.
    pub(super) fn accounts(&mut self, sink: &Arc<str>) -> SinkAccounts {
        let mut closed = std::mem::take(&mut self.closed);
        closed.sort_unstable_by_key(|(number, _)| *number);
        debug_assert!((0..).zip(&closed).all(|(expected, (number, _))| expected == *number));
        SinkAccounts {
            sink: Arc::clone(sink),
            objects: closed.into_iter().map(|(_, summary)| summary).collect(),
            written: self.written,
            failed: self.failed,
        }
    }
}
