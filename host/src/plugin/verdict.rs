//! What goes into a call and what comes out of it, in `record`'s words.
//!
//! Owns the view of a chain's intermediate records (`Inputs`) and the answer for one of them (`Verdict`).

use std::fmt;
use std::ops::Range;

use crate::record::{
    Annotation, Arena, Columns, Condition, Failure, Headers, Output, OutputSource, Postponement, RecordRef,
    Transformed,
};

/// The records that stand before a transform: those of the batch, or those that the transform before it
/// left.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    batch: &'a Arena,
    previous: Option<&'a Transformed>,
}

impl<'a> Inputs<'a> {
    /// The batch as it was read.
    #[must_use]
    pub fn of_batch(batch: &'a Arena) -> Self {
        Self { batch, previous: None }
    }

    /// What a transform made of the batch.
    #[must_use]
    pub fn of_transformed(batch: &'a Arena, previous: &'a Transformed) -> Self {
        Self { batch, previous: Some(previous) }
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.previous.map_or(self.batch.len(), |previous| previous.outputs.len())
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the batch that they come from.
    #[must_use]
    pub fn batch_bytes(&self) -> usize {
        self.batch.bytes()
    }

    /// The record at `position`. Panics where there is none, as a slice would.
    #[must_use]
    pub fn record(&self, position: usize) -> RecordRef<'a> {
        match self.previous {
            None => self.batch.record(position),
            Some(previous) => previous.record(self.batch, &previous.outputs[position]),
        }
    }

    /// What transforms before added to the record at `position`.
    #[must_use]
    pub fn annotation(&self, position: usize) -> Option<&'a Annotation> {
        let previous = self.previous?;
        previous.annotation(&previous.outputs[position])
    }

    /// Position in the batch of the record that the one at `position` came from.
    #[must_use]
    pub fn origin(&self, position: usize) -> u32 {
        match self.previous {
            None => u32::try_from(position).expect("an arena holds less than 4 GiB, so fewer records"),
            Some(previous) => previous.outputs[position].input,
        }
    }

    /// The offset that the record at `position` was read at; what transforms make of a record keeps it.
    #[must_use]
    pub fn offset(&self, position: usize) -> u64 {
        self.batch.offset(self.origin(position) as usize)
    }

    /// When the record at `position` was written to the topic, whatever transforms made of its time:
    /// milliseconds since 1970 UTC, -1 where the broker gave none.
    #[must_use]
    pub fn read_ms(&self, position: usize) -> i64 {
        self.batch.record(self.origin(position) as usize).timestamp_ms
    }

    /// What the transform before left; `None` where there is none.
    #[must_use]
    pub fn previous(&self) -> Option<&'a Transformed> {
        self.previous
    }

    /// The records in `range` as they lie in the batch; `None` where not all of them do, one behind the
    /// other and as they were read.
    pub(super) fn batch_columns(&self, range: Range<usize>) -> Option<Columns<'a>> {
        let Some(previous) = self.previous else { return Some(self.batch.columns(range)) };
        let outputs = previous.outputs.get(range)?;
        let first = outputs.first()?.input as usize;
        let columns = self.batch.columns(first..(first + outputs.len()).min(self.batch.len()));
        let untouched = |(input, output): (usize, &Output)| {
            output.input as usize == input
                && output.source == OutputSource::Input
                && output.annotation.is_none()
        };
        let indexes = outputs.iter().map(|output| output.index);
        ((first..).zip(outputs).all(untouched) && indexes.eq(columns.indexes.iter().copied()))
            .then_some(columns)
    }

    /// Whether a header name of the record at `position` is not UTF-8, which the contract cannot say.
    #[must_use]
    pub fn bad_header(&self, position: usize) -> bool {
        has_bad_name(self.record(position).headers)
    }
}

fn has_bad_name(headers: Headers<'_>) -> bool {
    headers.iter().any(|(name, _)| std::str::from_utf8(name).is_err())
}

/// A whole record that a plugin made.
#[derive(Clone, Debug, Default)]
pub struct Produced<'a> {
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers, in order.
    pub headers: ProducedHeaders<'a>,
    /// Its time; `None` keeps that of its input.
    pub timestamp_ms: Option<i64>,
    /// The sinks it goes to.
    pub routes: Vec<String>,
    /// Its partition keys.
    pub partition_keys: Vec<(String, String)>,
}

/// Headers of a record that a plugin made, as either world of the contract gives them.
#[derive(Clone, Copy, Debug)]
pub enum ProducedHeaders<'a> {
    /// In the encoding of an arena.
    Encoded(Headers<'a>),
    /// One by one.
    Listed(&'a [(String, Option<Vec<u8>>)]),
}

impl Default for ProducedHeaders<'_> {
    fn default() -> Self {
        Self::Encoded(Headers::default())
    }
}

impl<'a> ProducedHeaders<'a> {
    /// The headers in order, as name and value.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + Clone {
        let (encoded, listed) = match self {
            Self::Encoded(headers) => (headers, &[][..]),
            Self::Listed(listed) => (Headers::default(), listed),
        };
        encoded.iter().chain(listed.iter().map(|(name, value)| (name.as_bytes(), value.as_deref())))
    }
}

/// What a record became, handed out one by one: first the outputs, then the failures.
pub trait Emission: fmt::Debug {
    /// The next record that goes on instead of it.
    fn next_output(&mut self) -> Option<Produced<'_>>;

    /// The next one that could not be made, with the part of the record that it is about.
    fn next_failure(&mut self) -> Option<(Failure, Option<&[u8]>)>;
}

/// What becomes of one record. It borrows from the plugin's answer, so that bytes are copied once: to
/// where they are kept.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// It goes on unchanged.
    Forward,
    /// It goes on unchanged but for what is added.
    Annotate(Annotation),
    /// It goes on with a new value.
    Replace {
        /// The new value; `None` is a tombstone.
        value: Option<&'a [u8]>,
        /// What is added besides.
        annotation: Option<Annotation>,
    },
    /// These go on instead of it.
    Emit(&'a mut dyn Emission),
    /// It is filtered out.
    Drop,
    /// It failed.
    Fail(Failure),
    /// It comes again, with all after it.
    Retry(Postponement),
    /// The host could not pass it: the plugin was not asked.
    NotPassed(Condition, Failure),
}
