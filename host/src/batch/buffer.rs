//! One open object of one sink of one lane.
//!
//! Owns its bytes from line to compressed part. Does not know its name or its place. Below
//! [`STREAM_FROM_BYTES`] it holds plain lines, which are compressed in one go with a context that the
//! thread lends; above, it has an encoder of its own and gives away whole parts as they fill.
//!
//! Invariant: the parts taken and the tail of [`ObjectBuffer::finish`], in this order, are the object.

use std::sync::Arc;

use bytes::Bytes;

use super::parts::Parts;
use crate::codec::{self, Encoder};
use crate::config::{Compression, Format};
use crate::record::{Failure, OffsetRun, RecordRef, Variant};
use crate::store::PART_BYTES;

/// Plain bytes from which an object streams through an encoder of its own. Smaller ones share the
/// contexts of the CPU threads, which is what lets thousands of quiet lanes fit into memory.
pub const STREAM_FROM_BYTES: usize = 1 << 20;

/// Plain bytes that are handed to the encoder together: a call for each record costs more than the
/// copy.
const FEED_BYTES: usize = 64 << 10;

/// How far compression shrinks the records of a lane: encoded bytes for 65,536 plain ones.
///
/// Begins at "not at all", so that the first estimate is never too low, and is measured by each object
/// that is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio(u32);

impl Default for Ratio {
    fn default() -> Self {
        Self(1 << 16)
    }
}

impl Ratio {
    /// From an object that is finished; an empty one tells nothing.
    #[must_use]
    pub fn measured(plain_bytes: u64, encoded_bytes: u64) -> Option<Self> {
        let scaled = (u128::from(encoded_bytes) << 16).checked_div(u128::from(plain_bytes))?;
        Some(Self(u32::try_from(scaled).unwrap_or(u32::MAX)))
    }

    fn apply(self, plain_bytes: usize) -> u64 {
        let scaled = (plain_bytes as u128 * u128::from(self.0)) >> 16;
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }
}

/// What is known of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSummary {
    /// Length as delivered.
    pub bytes: u64,
    /// Length before compression.
    pub raw_bytes: u64,
    /// Records in it.
    pub records: u64,
    /// Offset of its first record.
    pub first_offset: u64,
    /// Offset of its last record.
    pub last_offset: u64,
    /// Smallest timestamp that is not negative; `None` where the broker gave none.
    pub oldest_ms: Option<i64>,
    /// The version that all its records went through; an [`ObjectBuffer`] alone says stable.
    pub variant: Variant,
    /// The offsets of its records: a run goes on until something came of a record by another version.
    /// Empty where the range knows one version, and in what an [`ObjectBuffer`] alone says.
    pub runs: Vec<OffsetRun>,
}

/// An object that is complete.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its bytes after the parts that were taken; may be empty, and may be longer than a part.
    pub tail: Bytes,
    /// What it holds.
    pub summary: ObjectSummary,
}

/// An object in the making.
#[derive(Debug)]
pub struct ObjectBuffer {
    format: Format,
    compression: Compression,
    ratio: Ratio,
    encoder: Option<Encoder>,
    parts: Arc<Parts>,
    /// Lines that are not compressed yet; without compression, all that was not taken.
    plain: Vec<u8>,
    /// Compressed bytes that were not taken.
    compressed: Vec<u8>,
    taken_bytes: u64,
    raw_bytes: u64,
    records: u64,
    first_offset: u64,
    last_offset: u64,
    oldest_ms: Option<i64>,
}

impl ObjectBuffer {
    /// An empty object; it holds no memory but its own before the first record.
    #[must_use]
    pub fn new(format: Format, compression: Compression, ratio: Ratio) -> Self {
        Self {
            format,
            compression,
            ratio,
            encoder: None,
            parts: Arc::default(),
            plain: Vec::new(),
            compressed: Vec::new(),
            taken_bytes: 0,
            raw_bytes: 0,
            records: 0,
            first_offset: 0,
            last_offset: 0,
            oldest_ms: None,
        }
    }

    /// Shares the memory of parts with other objects.
    pub(super) fn with_parts(mut self, parts: &Arc<Parts>) -> Self {
        self.parts = Arc::clone(parts);
        self
    }

    /// Encodes a record into a line.
    ///
    /// # Errors
    /// What to write into the dead letter, where the format can't hold the value; the object is as it
    /// was. Compression is not done here but in [`ObjectBuffer::feed`].
    pub fn append(&mut self, record: &RecordRef<'_>) -> Result<(), Failure> {
        self.make_room(record.value.map_or(0, <[u8]>::len));
        let before = self.plain.len();
        codec::encode_line(self.format, record.value, &mut self.plain).map_err(|error| Failure {
            code: String::from("NotJson"),
            detail: format!("{error}; the sink takes one JSON text a record (`format = \"json-lines\"`)"),
        })?;
        self.count(self.plain.len() - before, record.offset, record.timestamp_ms);
        Ok(())
    }

    /// Appends a line that is encoded already, with its newline.
    pub fn append_line(&mut self, line: &[u8], offset: u64, timestamp_ms: i64) {
        self.make_room(line.len());
        self.plain.extend_from_slice(line);
        self.count(line.len(), offset, timestamp_ms);
    }

    /// Grows the lines of an object that will be handed out in parts in one step to the size of a part
    /// and a batch: doubling would copy them again and again. What is not written to costs no memory.
    fn make_room(&mut self, more: usize) {
        const ROOM_BYTES: usize = PART_BYTES + (1 << 20);
        let (held, room) = (self.plain.len(), self.plain.capacity());
        let is_full = room - held <= more;
        if is_full && held >= STREAM_FROM_BYTES / 2 && self.compression == Compression::None {
            let mut grown = self.parts.take();
            grown.reserve_exact(ROOM_BYTES.max(held + more + 1));
            grown.extend_from_slice(&self.plain);
            self.plain = grown;
        }
    }

    fn count(&mut self, line_bytes: usize, offset: u64, timestamp_ms: i64) {
        if self.records == 0 {
            self.first_offset = offset;
        }
        self.last_offset = offset;
        self.records += 1;
        self.raw_bytes += line_bytes as u64;
        if timestamp_ms >= 0 {
            self.oldest_ms = Some(self.oldest_ms.map_or(timestamp_ms, |oldest| oldest.min(timestamp_ms)));
        }
    }

    /// Whether [`ObjectBuffer::feed`] has something to do; cheap, to be asked after each record.
    #[inline]
    #[must_use]
    pub fn is_hungry(&self) -> bool {
        let bound = if self.encoder.is_some() { FEED_BYTES } else { STREAM_FROM_BYTES };
        self.plain.len() >= bound && self.compression != Compression::None
    }

    /// Compresses the lines that wait, and begins to stream with the first call.
    ///
    /// # Errors
    /// Where the encoder fails; the object is lost then.
    pub fn feed(&mut self) -> Result<(), codec::Error> {
        if self.encoder.is_none() {
            self.encoder = Encoder::new(self.compression)?;
        }
        if let Some(encoder) = &mut self.encoder {
            encoder.write(&self.plain, &mut self.compressed)?;
            self.plain.clear();
            self.plain.shrink_to(FEED_BYTES * 2);
        }
        Ok(())
    }

    /// Length of the lines so far, before compression.
    #[must_use]
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// Records so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Length after compression so far: exact for what left the encoder, estimated by the lane's ratio
    /// for what is still plain. An encoder holds back up to a block (128 KiB plain) that is in neither.
    #[inline]
    #[must_use]
    pub fn encoded_bytes(&self) -> u64 {
        let exact = self.taken_bytes + self.compressed.len() as u64;
        match self.compression {
            Compression::None => exact + self.plain.len() as u64,
            Compression::Gzip | Compression::Zstd => exact + self.ratio.apply(self.plain.len()),
        }
    }

    /// Memory that it holds from the allocator.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let context = self.encoder.as_ref().map_or(0, Encoder::held_bytes);
        self.plain.capacity() + self.compressed.capacity() + context
    }

    /// The next `part` bytes of the object, where so many are ready.
    pub fn take_ready(&mut self, part: usize) -> Option<Bytes> {
        let ready = match self.compression {
            Compression::None => &mut self.plain,
            Compression::Gzip | Compression::Zstd => &mut self.compressed,
        };
        if part == 0 || ready.len() < part {
            return None;
        }
        let mut rest = self.parts.take();
        rest.extend_from_slice(&ready[part..]);
        let mut taken = std::mem::replace(ready, rest);
        taken.truncate(part);
        self.taken_bytes += taken.len() as u64;
        Some(self.parts.share(taken))
    }

    /// Ends the object.
    ///
    /// # Errors
    /// Where the encoder fails; the object is lost then.
    pub fn finish(mut self) -> Result<Finished, codec::Error> {
        let tail = match self.encoder.take() {
            None => codec::compress(self.compression, self.plain)?,
            Some(mut encoder) => {
                encoder.write(&self.plain, &mut self.compressed)?;
                encoder.finish(&mut self.compressed)?;
                Bytes::from(self.compressed)
            }
        };
        let summary = ObjectSummary {
            bytes: self.taken_bytes + tail.len() as u64,
            raw_bytes: self.raw_bytes,
            records: self.records,
            first_offset: self.first_offset,
            last_offset: self.last_offset,
            oldest_ms: self.oldest_ms,
            variant: Variant::Stable,
            runs: Vec::new(),
        };
        Ok(Finished { tail, summary })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    const SMALL_PART: usize = 64 << 10;

    /// A line that compresses somewhat: digits that do not repeat.
    fn value(nth: u64) -> Vec<u8> {
        let mixed = nth.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!(
            "{{\"nth\":{nth},\"noise\":\"{mixed:016x}{:016x}\",\"same\":\"same\"}}",
            mixed.rotate_left(29)
        )
        .into_bytes()
    }

    fn record(nth: u64, value: &[u8]) -> RecordRef<'_> {
        RecordRef {
            key: None,
            value: Some(value),
            headers: crate::record::Headers::default(),
            timestamp_ms: if nth.is_multiple_of(3) {
                -1
            } else {
                10_000 - i64::try_from(nth % 100).unwrap_or(0)
            },
            offset: 500 + nth,
            index: 0,
        }
    }

    fn fill(compression: Compression, records: u64) -> (Vec<u8>, Vec<u8>, usize, ObjectSummary) {
        let mut buffer = ObjectBuffer::new(Format::JsonLines, compression, Ratio::default());
        let (mut plain, mut object, mut parts) = (Vec::new(), Vec::new(), 0);
        for nth in 0..records {
            let value = value(nth);
            buffer.append(&record(nth, &value)).expect("JSON");
            plain.extend_from_slice(&value);
            plain.push(b'\n');
            if buffer.is_hungry() {
                buffer.feed().expect("memory");
            }
            while let Some(part) = buffer.take_ready(SMALL_PART) {
                assert_eq!(part.len(), SMALL_PART);
                object.extend_from_slice(&part);
                parts += 1;
            }
        }
        let finished = buffer.finish().expect("memory");
        object.extend_from_slice(&finished.tail);
        (plain, object, parts, finished.summary)
    }

    fn decompress(compression: Compression, object: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match compression {
            Compression::None => plain.extend_from_slice(object),
            Compression::Gzip => {
                flate2::read::GzDecoder::new(object).read_to_end(&mut plain).expect("gzip");
            }
            Compression::Zstd => plain = zstd::stream::decode_all(object).expect("zstd"),
        }
        plain
    }

    #[test]
    fn parts_and_tail_are_the_object_small_and_streamed() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            for (records, streams) in [(1, false), (100, false), (40_000, true)] {
                let (plain, object, parts, summary) = fill(compression, records);
                assert_eq!(decompress(compression, &object), plain);
                assert_eq!(parts > 0, streams, "{compression:?} {records}");
                assert_eq!(summary.bytes, object.len() as u64);
                assert_eq!(summary.raw_bytes, plain.len() as u64);
                assert_eq!((summary.records, summary.first_offset), (records, 500));
                assert_eq!(summary.last_offset, 499 + records);
            }
        }
    }

    #[test]
    fn the_oldest_timestamp_is_the_smallest_that_is_one() {
        assert_eq!(fill(Compression::None, 1).3.oldest_ms, None);
        assert_eq!(fill(Compression::None, 100).3.oldest_ms, Some(10_000 - 98));
    }

    #[test]
    fn a_value_that_the_format_can_not_hold_changes_nothing() {
        let mut buffer = ObjectBuffer::new(Format::JsonLines, Compression::Zstd, Ratio::default());
        buffer.append(&record(0, b"[1]")).expect("JSON");
        let failure = buffer.append(&record(1, b"{\n1")).expect_err("not JSON");
        assert_eq!(failure.code, "NotJson");
        assert!(failure.detail.contains("byte 2"), "{}", failure.detail);
        let finished = buffer.finish().expect("memory");
        assert_eq!((finished.summary.records, finished.summary.last_offset), (1, 500));
        assert_eq!(decompress(Compression::Zstd, &finished.tail), b"[1]\n");
    }

    #[test]
    fn the_estimate_follows_what_was_measured() {
        let (_, _, _, summary) = fill(Compression::Zstd, 5_000);
        let ratio = Ratio::measured(summary.raw_bytes, summary.bytes).expect("not empty");
        assert_eq!(Ratio::measured(0, 10), None);
        let mut buffer = ObjectBuffer::new(Format::JsonLines, Compression::Zstd, ratio);
        for nth in 0..5_000 {
            buffer.append(&record(nth, &value(nth))).expect("JSON");
        }
        let estimate = buffer.encoded_bytes();
        assert!(estimate.abs_diff(summary.bytes) <= summary.bytes / 1_000, "{estimate} of {}", summary.bytes);
    }

    #[test]
    fn memory_stays_near_the_parts_while_an_object_streams() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let mut buffer = ObjectBuffer::new(Format::JsonLines, compression, Ratio::default());
            assert_eq!(buffer.held_bytes(), 0);
            let mut most = 0;
            for nth in 0..60_000 {
                buffer.append(&record(nth, &value(nth))).expect("JSON");
                if buffer.is_hungry() {
                    buffer.feed().expect("memory");
                }
                while buffer.take_ready(SMALL_PART).is_some() {}
                most = most.max(buffer.held_bytes());
            }
            assert!(buffer.raw_bytes() > 4 << 20);
            assert!(most <= 4 << 20, "{compression:?} held {most}");
        }
    }
}
