//! The answer of the columnar world: checked as a whole, then handed out verdict by verdict.
//!
//! Owns the numbers of the verdicts, and the way of each list's entries to their messages. Invariant:
//! nothing of an answer is used before all of it was checked (`check`), and no answer makes the host panic.

use super::bindings::exports::vanne::transform::columnar::{LostPart, Results};
use super::bindings::vanne::transform::types::{Failure as WitFailure, Postponement as WitPostponement};
use super::check::check;
use super::ergonomic::{failure, postponement};
use super::error::CallError;
use super::verdict::{Emission, Produced, ProducedHeaders, Verdict};
use crate::record::{Annotation, Failure, HEADERS_PRESENT, Headers, KEY_PRESENT, VALUE_PRESENT};

/// Verdicts, in the order of `outcome`; 0 is forward.
pub(super) const ANNOTATE: u8 = 1;
pub(super) const REPLACE: u8 = 2;
pub(super) const EMIT: u8 = 3;
pub(super) const DROP: u8 = 4;
pub(super) const FAIL: u8 = 5;
pub(super) const RETRY: u8 = 6;
/// A bit of `present` that only answers have.
pub(super) const TIMESTAMP_PRESENT: u8 = 8;

/// An answer that keeps the rules.
#[derive(Debug)]
pub(super) struct Answer {
    verdicts: std::vec::IntoIter<u8>,
    message: u32,
    counts: std::vec::IntoIter<u32>,
    records: Records,
    failures: std::vec::IntoIter<WitFailure>,
    lost: std::iter::Peekable<std::vec::IntoIter<LostPart>>,
    postponements: std::vec::IntoIter<WitPostponement>,
}

/// The records of an answer, read in their order.
#[derive(Debug)]
struct Records {
    data: Vec<u8>,
    bounds: Vec<u32>,
    present: Vec<u8>,
    timestamps_ms: std::vec::IntoIter<i64>,
    labels: Vec<u8>,
    label_bounds: Vec<u32>,
    next: usize,
}

impl Answer {
    /// Checks an answer for so many messages, of so many bytes at the most.
    pub(super) fn check(results: Results, messages: usize, bytes_max: usize) -> Result<Self, CallError> {
        let got = results.verdicts.len();
        if got != messages {
            return Err(CallError::WrongCount { expected: messages, got });
        }
        check(&results, bytes_max)?;
        Ok(Self {
            verdicts: results.verdicts.into_iter(),
            message: 0,
            counts: results.counts.into_iter(),
            records: Records {
                data: results.data,
                bounds: results.bounds,
                present: results.present,
                timestamps_ms: results.timestamps_ms.into_iter(),
                labels: results.labels,
                label_bounds: results.label_bounds,
                next: 0,
            },
            failures: results.failures.into_iter(),
            lost: results.lost.into_iter().peekable(),
            postponements: results.postponements.into_iter(),
        })
    }

    /// Hands the verdict of the next message to `take`.
    pub(super) fn hand_next(&mut self, take: &mut dyn FnMut(Verdict<'_>)) {
        let Some(verdict) = self.verdicts.next() else { return };
        match verdict {
            ANNOTATE => take(Verdict::Annotate(self.records.next().annotation().unwrap_or_default())),
            REPLACE => {
                let record = self.records.next();
                take(Verdict::Replace { value: record.value, annotation: record.annotation() });
            }
            EMIT => self.hand_emission(take),
            DROP => take(Verdict::Drop),
            FAIL => self.failures.next().into_iter().for_each(|why| take(Verdict::Fail(failure(why)))),
            RETRY => {
                let wish = self.postponements.next().into_iter();
                wish.for_each(|wish| take(Verdict::Retry(postponement(wish))));
            }
            // `check` let only this one pass beside them.
            _ => take(Verdict::Forward),
        }
        self.message += 1;
    }
}

impl Answer {
    fn hand_emission(&mut self, take: &mut dyn FnMut(Verdict<'_>)) {
        let mut emission = Emitted {
            records: &mut self.records,
            left: self.counts.next().unwrap_or_default(),
            lost: &mut self.lost,
            message: self.message,
            part: None,
        };
        take(Verdict::Emit(&mut emission));
        // What was not asked for is not the next message's.
        while emission.next_output().is_some() {}
        while emission.next_failure().is_some() {}
    }
}

/// The records and lost parts of one message.
#[derive(Debug)]
struct Emitted<'a> {
    records: &'a mut Records,
    left: u32,
    lost: &'a mut std::iter::Peekable<std::vec::IntoIter<LostPart>>,
    message: u32,
    /// What the failure that was handed out last borrows from.
    part: Option<Vec<u8>>,
}

impl Emission for Emitted<'_> {
    fn next_output(&mut self) -> Option<Produced<'_>> {
        self.left = self.left.checked_sub(1)?;
        let record = self.records.next();
        Some(Produced {
            key: record.key,
            value: record.value,
            headers: ProducedHeaders::Encoded(record.headers),
            timestamp_ms: record.timestamp_ms,
            routes: routes(record.routes),
            partition_keys: partition_keys(record.partition_keys),
        })
    }

    fn next_failure(&mut self) -> Option<(Failure, Option<&[u8]>)> {
        let message = self.message;
        let lost = self.lost.next_if(|lost| lost.message == message)?;
        self.part = lost.partial.value;
        Some((failure(lost.partial.failure), self.part.as_deref()))
    }
}

/// One record of an answer.
#[derive(Debug, Default)]
struct Record<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Headers<'a>,
    timestamp_ms: Option<i64>,
    routes: &'a [u8],
    partition_keys: &'a [u8],
}

impl Record<'_> {
    fn annotation(&self) -> Option<Annotation> {
        if self.headers.is_empty() && self.routes.is_empty() && self.partition_keys.is_empty() {
            return None;
        }
        // `check` let only names pass that are UTF-8.
        let header = |(name, value): (&[u8], Option<&[u8]>)| {
            (String::from_utf8_lossy(name).into_owned(), value.map(<[u8]>::to_vec))
        };
        Some(Annotation {
            routes: routes(self.routes),
            partition_keys: partition_keys(self.partition_keys),
            headers: self.headers.iter().map(header).collect(),
        })
    }
}

impl Records {
    fn next(&mut self) -> Record<'_> {
        let nth = self.next;
        self.next += 1;
        let present = self.present.get(nth).copied().unwrap_or_default();
        let timestamp_ms = if present & TIMESTAMP_PRESENT == 0 { None } else { self.timestamps_ms.next() };
        let part =
            |bit: u8, at: usize| (present & bit != 0).then(|| slice(&self.data, &self.bounds, nth * 3 + at));
        Record {
            key: part(KEY_PRESENT, 0),
            value: part(VALUE_PRESENT, 1),
            headers: Headers::encoded(part(HEADERS_PRESENT, 2).unwrap_or_default()),
            timestamp_ms,
            routes: slice(&self.labels, &self.label_bounds, nth * 2),
            partition_keys: slice(&self.labels, &self.label_bounds, nth * 2 + 1),
        }
    }
}

/// The bytes between two bounds; none where there are no such bounds.
fn slice<'a>(bytes: &'a [u8], bounds: &[u32], at: usize) -> &'a [u8] {
    match bounds.get(at..).unwrap_or_default() {
        [start, end, ..] => bytes.get(*start as usize..*end as usize).unwrap_or_default(),
        _ => &[],
    }
}

fn routes(encoded: &[u8]) -> Vec<String> {
    Texts(encoded).collect()
}

fn partition_keys(encoded: &[u8]) -> Vec<(String, String)> {
    let mut texts = Texts(encoded);
    std::iter::from_fn(|| Some((texts.next()?, texts.next()?))).collect()
}

/// Texts with their lengths before them.
struct Texts<'a>(&'a [u8]);

impl Iterator for Texts<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.0 = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

#[cfg(test)]
mod tests;
