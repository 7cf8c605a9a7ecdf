//! From a failure to its dead letter.
//!
//! Owns what a letter says about each kind of failure. Does not know objects or accounts. Pure.

use std::borrow::Cow;

use super::{Content, DeadLetter, Header, Original, Part, Provenance, SinkSpec, Worked};
use crate::record::{Annotation, Condition, Failed, Failure, Output, OutputSource, RecordRef, Report};

/// A failure, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Trouble<'a> {
    input: u32,
    index: Option<u32>,
    sink: Option<&'a str>,
    condition: Condition,
    failure: &'a Failure,
    output: Option<Content<'a>>,
    transform: Option<&'a Provenance>,
    attempts: u32,
    first_attempt_ms: Option<i64>,
    report: Option<&'a Report>,
}

impl<'a> Trouble<'a> {
    /// A failure that the transforms report.
    pub(super) fn reported(worked: &Worked<'a>, part: &Part<'a>, failed: &'a Failed) -> Self {
        let output = failed.value.as_deref().map(|value| Content {
            timestamp_ms: -1,
            value: Some(Cow::Borrowed(value)),
            ..Content::default()
        });
        // Without a note of an earlier time, this time was the first one.
        let first_attempt_ms =
            failed.first_attempt_ms.or_else(|| (failed.attempts > 0).then_some(worked.now_ms));
        Self {
            input: failed.input,
            index: failed.index,
            sink: None,
            condition: failed.condition,
            failure: &failed.failure,
            output,
            transform: failed.transform.and_then(|position| part.transforms.get(usize::from(position))),
            attempts: failed.attempts,
            first_attempt_ms,
            report: failed.report.as_deref(),
        }
    }

    /// An output that no sink takes, or not the one that it was meant for.
    pub(super) fn at_sink(
        worked: &Worked<'a>,
        part: &Part<'a>,
        output: &Output,
        sink: &'a str,
        condition: Condition,
        failure: &'a Failure,
    ) -> Self {
        let annotation = part.transformed.annotation(output);
        let added = annotation.is_some_and(|annotation| !annotation.headers.is_empty());
        let is_the_record = output.source == OutputSource::Input && !added;
        let record = part.transformed.record(&worked.batch.records, output);
        let attempts = u32::from(!part.transforms.is_empty());
        Self {
            input: output.input,
            index: Some(output.index),
            sink: Some(sink),
            condition,
            failure,
            output: (!is_the_record).then(|| content(&record, annotation)),
            transform: None,
            attempts,
            first_attempt_ms: (attempts == 1).then_some(worked.now_ms),
            report: None,
        }
    }

    /// The letter, with the record in it.
    pub(super) fn letter(
        self,
        worked: &Worked<'a>,
        part: &Part<'a>,
        config_digest: &'a str,
    ) -> DeadLetter<'a> {
        let record = worked.batch.records.record(self.input as usize);
        let backtrace = self.report.map_or("", |report| &report.backtrace);
        DeadLetter {
            topic: Cow::Borrowed(&worked.batch.origin.topic),
            partition: worked.batch.origin.partition,
            offset: record.offset,
            index: self.index,
            sink: self.sink.map(Cow::Borrowed),
            condition: self.condition,
            code: Cow::Borrowed(&self.failure.code),
            detail: Cow::Borrowed(&self.failure.detail),
            backtrace: backtrace.lines().filter(|name| !name.is_empty()).map(Cow::Borrowed).collect(),
            log: Cow::Borrowed(self.report.map_or("", |report| &report.log)),
            transform: self.transform.map(Cow::Borrowed),
            attempts: self.attempts,
            first_attempt_ms: self.first_attempt_ms,
            failed_ms: worked.now_ms,
            original: Original::Here(content(&record, None)),
            output: self.output,
            transforms: Cow::Borrowed(part.transforms),
            config_digest: Cow::Borrowed(config_digest),
        }
    }
}

/// A route to a sink that there is not.
pub(super) fn unknown_route(route: &str, sinks: &[SinkSpec]) -> Failure {
    let names: Vec<_> = sinks.iter().map(|spec| format!("`{}`", spec.name)).collect();
    Failure {
        code: String::from("UnknownRoute"),
        detail: format!("no sink is called `{route}`; there are {}", names.join(", ")),
    }
}

fn content<'a>(record: &RecordRef<'a>, annotation: Option<&'a Annotation>) -> Content<'a> {
    let added = annotation.map_or(&[][..], |annotation| &annotation.headers);
    let added = added.iter().map(|(name, value)| -> Header<'a> {
        (Cow::Borrowed(name.as_bytes()), value.as_deref().map(Cow::Borrowed))
    });
    let own = record.headers.iter().map(|(name, value)| (Cow::Borrowed(name), value.map(Cow::Borrowed)));
    Content {
        timestamp_ms: record.timestamp_ms,
        key: record.key.map(Cow::Borrowed),
        value: record.value.map(Cow::Borrowed),
        headers: own.chain(added).collect(),
    }
}
