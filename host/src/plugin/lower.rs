//! The seam between the contract's types and `record`'s: borrowed on the way in, moved on the way out.
//!
//! Owns what a plugin gets to see of a record (only what its plan reads) and how annotations of earlier
//! transforms are folded in.

use std::ops::Range;

use super::bindings::vanne::transform::types as wit;
use super::component::Reads;
use super::verdict::{Inputs, Produced, Verdict};
use crate::record::{Annotation, Failure, Postponement};

/// The lists inside the messages of a call, flat, so that a message borrows its part of each.
pub(super) struct Lowered<'a> {
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
    pub(super) fn new(inputs: &Inputs<'a>, range: Range<usize>, reads: Reads) -> Self {
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
    pub(super) fn len(&self) -> usize {
        self.range.len() - self.skipped.len()
    }

    /// Position of the first message; there must be one.
    pub(super) fn first(&self) -> usize {
        self.range.clone().find(|position| !self.skips(*position)).unwrap_or(self.range.start)
    }

    /// Whether the record at `position` is not among the messages.
    pub(super) fn skips(&self, position: usize) -> bool {
        !self.skipped.is_empty() && self.skipped.binary_search(&position).is_ok()
    }

    /// The messages; `inputs` are those that this was made of.
    pub(super) fn messages<'m>(&'m self, inputs: &Inputs<'m>, attempt: u32) -> Vec<wit::Message<'m>> {
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

pub(super) fn verdict(outcome: wit::Outcome) -> Verdict {
    match outcome {
        wit::Outcome::Forward => Verdict::Forward,
        wit::Outcome::Annotate(added) => Verdict::Annotate(annotation(added)),
        wit::Outcome::Replace(replacement) => {
            Verdict::Replace { value: replacement.value, annotation: replacement.annotation.map(annotation) }
        }
        wit::Outcome::Emit(emission) => Verdict::Emit {
            outputs: emission.outputs.into_iter().map(produced).collect(),
            failures: emission
                .failures
                .into_iter()
                .map(|partial| (failure(partial.failure), partial.value))
                .collect(),
        },
        wit::Outcome::Drop => Verdict::Drop,
        wit::Outcome::Fail(why) => Verdict::Fail(failure(why)),
        wit::Outcome::Retry(wish) => Verdict::Retry(postponement(wish)),
    }
}

pub(super) fn postponement(wish: wit::Postponement) -> Postponement {
    Postponement { code: wish.code, reason: wish.reason, after_ms: wish.after_ms }
}

fn failure(why: wit::Failure) -> Failure {
    Failure { code: why.code, detail: why.detail }
}

fn annotation(added: wit::Annotation) -> Annotation {
    Annotation {
        routes: added.routes,
        partition_keys: keys(added.partition_keys),
        headers: headers(added.headers),
    }
}

fn produced(output: wit::Output) -> Produced {
    Produced {
        key: output.key,
        value: output.value,
        headers: headers(output.headers),
        timestamp_ms: output.timestamp_ms,
        routes: output.routes,
        partition_keys: keys(output.partition_keys),
    }
}

fn keys(keys: Vec<wit::PartitionKeyResult>) -> Vec<(String, String)> {
    keys.into_iter().map(|key| (key.name, key.value)).collect()
}

fn headers(headers: Vec<wit::HeaderResult>) -> Vec<(String, Option<Vec<u8>>)> {
    headers.into_iter().map(|header| (header.name, header.value)).collect()
}
