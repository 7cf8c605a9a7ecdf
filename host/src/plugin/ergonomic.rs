//! The world `transform`: a list of messages in, a list of outcomes out.
//!
//! Owns the seam between its types and `record`'s, borrowed both ways: what a plugin gets to see of a
//! record (only what its plan reads) and how annotations of earlier transforms are folded in.

use std::ops::Range;

use wasmtime::component::TypedFunc;

use super::bindings::vanne::transform::types as wit;
use super::component::Reads;
use super::error::CallError;
use super::instance::{Caller, bad_header};
use super::verdict::{Emission, Inputs, Produced, ProducedHeaders, Verdict};
use crate::record::{Annotation, Failure, Postponement};

type Params<'a> = (wit::BatchInfo<'a>, &'a [wit::Message<'a>]);
type Answer = (Result<Vec<wit::Outcome>, wit::BatchError>,);
/// `transformer.process`.
pub(super) type Process = TypedFunc<Params<'static>, Answer>;

/// Asks what becomes of the records in `range`, and hands each verdict to `take` in order. Where it
/// fails, `take` was not called.
pub(super) fn process(
    process: Process,
    caller: &mut Caller,
    reads: Reads,
    inputs: &Inputs<'_>,
    range: Range<usize>,
    attempt: u32,
    take: &mut dyn FnMut(Verdict<'_>),
) -> Result<(), CallError> {
    let lowered = Lowered::new(inputs, range.clone(), reads);
    if lowered.len() == 0 {
        range.for_each(|_| take(bad_header()));
        return Ok(());
    }
    let messages = lowered.messages(inputs, attempt);
    let identity = caller.identity();
    let process: TypedFunc<Params<'_>, Answer> = process;
    let first = inputs.record(lowered.first());
    let (answer,) = caller.call(process, (identity.batch_info(), &messages), Some(&first))?;
    let outcomes = answer.map_err(batch_error)?;
    if outcomes.len() != messages.len() {
        return Err(CallError::WrongCount { expected: messages.len(), got: outcomes.len() });
    }
    let mut outcomes = outcomes.into_iter();
    for position in range {
        if lowered.skips(position) {
            take(bad_header());
        } else if let Some(outcome) = outcomes.next() {
            hand(outcome, take);
        }
    }
    Ok(())
}

/// The lists inside the messages of a call, flat, so that a message borrows its part of each.
struct Lowered<'a> {
    range: Range<usize>,
    reads: Reads,
    headers: Vec<wit::HeaderParam<'a>>,
    routes: Vec<&'a str>,
    partition_keys: Vec<wit::PartitionKeyParam<'a>>,
    /// Ends of each record's part of `headers`, `routes` and `partition_keys`; empty where no record has
    /// any.
    ends: Vec<[usize; 3]>,
    /// Records with a header that cannot be passed, ascending.
    skipped: Vec<usize>,
}

impl<'a> Lowered<'a> {
    fn new(inputs: &Inputs<'a>, range: Range<usize>, reads: Reads) -> Self {
        let mut lowered = Self {
            range: range.clone(),
            reads,
            headers: Vec::new(),
            routes: Vec::new(),
            partition_keys: Vec::new(),
            ends: Vec::new(),
            skipped: Vec::new(),
        };
        if reads.headers || inputs.previous().is_some() {
            lowered.ends.reserve(range.len());
            for position in range {
                lowered.add(inputs, position);
            }
        }
        lowered
    }

    fn add(&mut self, inputs: &Inputs<'a>, position: usize) {
        let annotation = inputs.annotation(position);
        if self.reads.headers && !self.add_headers(inputs, position, annotation) {
            self.skipped.push(position);
        }
        if let Some(annotation) = annotation {
            self.routes.extend(annotation.routes.iter().map(String::as_str));
            let keys = annotation.partition_keys.iter();
            self.partition_keys.extend(keys.map(|(name, value)| wit::PartitionKeyParam { name, value }));
        }
        self.ends.push([self.headers.len(), self.routes.len(), self.partition_keys.len()]);
    }

    /// Adds the record's headers but for those that a transform replaced, then that transform's. Returns
    /// false, and adds none, where a name is not UTF-8.
    fn add_headers(
        &mut self,
        inputs: &Inputs<'a>,
        position: usize,
        annotation: Option<&'a Annotation>,
    ) -> bool {
        let before = self.headers.len();
        let added = annotation.map_or(&[][..], |annotation| &annotation.headers);
        for (name, value) in inputs.record(position).headers {
            let Ok(name) = std::str::from_utf8(name) else {
                self.headers.truncate(before);
                return false;
            };
            if !added.iter().any(|(replaced, _)| replaced == name) {
                self.headers.push(wit::HeaderParam { name, value });
            }
        }
        let added = added.iter();
        self.headers.extend(added.map(|(name, value)| wit::HeaderParam { name, value: value.as_deref() }));
        true
    }

    /// Number of messages.
    fn len(&self) -> usize {
        self.range.len() - self.skipped.len()
    }

    /// Position of the first message; there must be one.
    fn first(&self) -> usize {
        self.range.clone().find(|position| !self.skips(*position)).unwrap_or(self.range.start)
    }

    /// Whether the record at `position` is not among the messages.
    fn skips(&self, position: usize) -> bool {
        !self.skipped.is_empty() && self.skipped.binary_search(&position).is_ok()
    }

    /// The messages; `inputs` are those that this was made of.
    fn messages<'m>(&'m self, inputs: &Inputs<'m>, attempt: u32) -> Vec<wit::Message<'m>> {
        let positions = self.range.clone().filter(|position| !self.skips(*position));
        positions.map(|position| self.message(inputs, position, attempt)).collect()
    }

    fn message<'m>(&'m self, inputs: &Inputs<'m>, position: usize, attempt: u32) -> wit::Message<'m> {
        let record = inputs.record(position);
        let nth = position - self.range.start;
        let end = self.ends.get(nth).copied().unwrap_or_default();
        let start = nth.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        wit::Message {
            key: record.key.filter(|_| self.reads.key),
            value: record.value.filter(|_| self.reads.value),
            headers: &self.headers[start[0]..end[0]],
            timestamp_ms: record.timestamp_ms,
            offset: record.offset,
            index: record.index,
            attempt,
            routes: &self.routes[start[1]..end[1]],
            partition_keys: &self.partition_keys[start[2]..end[2]],
        }
    }
}

fn hand(outcome: wit::Outcome, take: &mut dyn FnMut(Verdict<'_>)) {
    match outcome {
        wit::Outcome::Forward => take(Verdict::Forward),
        wit::Outcome::Annotate(added) => take(Verdict::Annotate(annotation(added))),
        wit::Outcome::Replace(replacement) => {
            let annotation = replacement.annotation.map(annotation);
            take(Verdict::Replace { value: replacement.value.as_deref(), annotation });
        }
        wit::Outcome::Emit(emission) => take(Verdict::Emit(&mut Emitted {
            outputs: emission.outputs.into_iter(),
            failures: emission.failures.into_iter(),
            lent: Lent::default(),
        })),
        wit::Outcome::Drop => take(Verdict::Drop),
        wit::Outcome::Fail(why) => take(Verdict::Fail(failure(why))),
        wit::Outcome::Retry(wish) => take(Verdict::Retry(postponement(wish))),
    }
}

/// An emission, handed out one by one.
#[derive(Debug)]
struct Emitted {
    outputs: std::vec::IntoIter<wit::Output>,
    failures: std::vec::IntoIter<wit::Partial>,
    lent: Lent,
}

/// What the output, or failure, that was handed out last borrows from.
#[derive(Debug, Default)]
struct Lent {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Emission for Emitted {
    fn next_output(&mut self) -> Option<Produced<'_>> {
        let output = self.outputs.next()?;
        self.lent = Lent { key: output.key, value: output.value, headers: headers(output.headers) };
        Some(Produced {
            key: self.lent.key.as_deref(),
            value: self.lent.value.as_deref(),
            headers: ProducedHeaders::Listed(&self.lent.headers),
            timestamp_ms: output.timestamp_ms,
            routes: output.routes,
            partition_keys: keys(output.partition_keys),
        })
    }

    fn next_failure(&mut self) -> Option<(Failure, Option<&[u8]>)> {
        let partial = self.failures.next()?;
        self.lent.value = partial.value;
        Some((failure(partial.failure), self.lent.value.as_deref()))
    }
}

pub(super) fn batch_error(error: wit::BatchError) -> CallError {
    match error {
        wit::BatchError::Retry(wish) => CallError::Retry(postponement(wish)),
        wit::BatchError::Fatal(text) => CallError::Fatal(text),
    }
}

pub(super) fn postponement(wish: wit::Postponement) -> Postponement {
    Postponement { code: wish.code, reason: wish.reason, after_ms: wish.after_ms }
}

pub(super) fn failure(why: wit::Failure) -> Failure {
    Failure { code: why.code, detail: why.detail }
}

fn annotation(added: wit::Annotation) -> Annotation {
    Annotation {
        routes: added.routes,
        partition_keys: keys(added.partition_keys),
        headers: headers(added.headers),
    }
}

fn keys(keys: Vec<wit::PartitionKeyResult>) -> Vec<(String, String)> {
    keys.into_iter().map(|key| (key.name, key.value)).collect()
}

fn headers(headers: Vec<wit::HeaderResult>) -> Vec<(String, Option<Vec<u8>>)> {
    headers.into_iter().map(|header| (header.name, header.value)).collect()
}
