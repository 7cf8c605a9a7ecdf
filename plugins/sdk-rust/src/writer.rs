//! The columnar shape, written: outcomes into one buffer.
//!
//! Owns the numbers of the verdicts. Invariant: whatever is pushed, the results keep the rules of
//! `wit/columnar.wit`.

use crate::bindings::columnar::exports::vanne::transform::columnar::{LostPart, Results};
use crate::bindings::vanne::transform::types;
use crate::columns::{HEADERS_PRESENT, KEY_PRESENT, NULL_LENGTH, TIMESTAMP_PRESENT, VALUE_PRESENT};

/// Verdicts, in the order of `outcome`.
pub(crate) const FORWARD: u8 = 0;
pub(crate) const ANNOTATE: u8 = 1;
pub(crate) const REPLACE: u8 = 2;
pub(crate) const EMIT: u8 = 3;
pub(crate) const DROP: u8 = 4;
pub(crate) const FAIL: u8 = 5;
pub(crate) const RETRY: u8 = 6;

/// How large results are, to make room for the next ones at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    bytes: usize,
    records: usize,
}

impl Sizes {
    pub(crate) const NONE: Self = Self {
        bytes: 0,
        records: 0,
    };

    pub(crate) fn of(results: &Results) -> Self {
        Self {
            bytes: results.data.len(),
            records: results.present.len(),
        }
    }
}

/// A record to write.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NewRecord<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [types::Header],
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) routes: &'a [String],
    pub(crate) partition_keys: &'a [types::PartitionKey],
}

/// Results that grow outcome by outcome.
#[derive(Debug)]
pub(crate) struct Writer(Results);

impl Writer {
    /// For so many messages, with room for results as large as those.
    pub(crate) fn new(messages: usize, sizes: Sizes) -> Self {
        let Sizes { bytes, records } = sizes;
        Self(Results {
            verdicts: Vec::with_capacity(messages),
            counts: Vec::new(),
            data: Vec::with_capacity(bytes),
            bounds: Vec::with_capacity(if records == 0 { 0 } else { records * 3 + 1 }),
            present: Vec::with_capacity(records),
            timestamps_ms: Vec::new(),
            labels: Vec::new(),
            label_bounds: Vec::new(),
            failures: Vec::new(),
            lost: Vec::new(),
            postponements: Vec::new(),
        })
    }

    /// Number of outcomes.
    pub(crate) fn len(&self) -> usize {
        self.0.verdicts.len()
    }

    pub(crate) fn finish(self) -> Results {
        self.0
    }

    pub(crate) fn forward(&mut self) {
        self.0.verdicts.push(FORWARD);
    }

    pub(crate) fn drop(&mut self) {
        self.0.verdicts.push(DROP);
    }

    pub(crate) fn fail(&mut self, failure: types::Failure) {
        self.0.verdicts.push(FAIL);
        self.0.failures.push(failure);
    }

    pub(crate) fn retry(&mut self, postponement: types::Postponement) {
        self.0.verdicts.push(RETRY);
        self.0.postponements.push(postponement);
    }

    pub(crate) fn annotate(&mut self, annotation: &types::Annotation) {
        self.0.verdicts.push(ANNOTATE);
        self.record(annotated(None, annotation));
    }

    pub(crate) fn replace(&mut self, value: Option<&[u8]>, annotation: Option<&types::Annotation>) {
        self.0.verdicts.push(REPLACE);
        match annotation {
            Some(annotation) => self.record(annotated(value, annotation)),
            None => self.record(NewRecord {
                value,
                ..NewRecord::default()
            }),
        }
    }

    pub(crate) fn emit<'a>(&mut self, records: impl Iterator<Item = NewRecord<'a>>) {
        self.0.verdicts.push(EMIT);
        let mut count = 0;
        for record in records {
            self.record(record);
            count += 1;
        }
        self.0.counts.push(count);
    }

    /// A part of the last emission could not be made.
    pub(crate) fn lose(&mut self, partial: types::Partial) {
        let message = bound(self.0.verdicts.len().saturating_sub(1));
        self.0.lost.push(LostPart { message, partial });
    }

    fn record(&mut self, record: NewRecord<'_>) {
        let Results {
            data,
            bounds,
            present,
            ..
        } = &mut self.0;
        if bounds.is_empty() {
            bounds.push(0);
        }
        let bit = |there: bool, bit: u8| if there { bit } else { 0 };
        data.extend_from_slice(record.key.unwrap_or_default());
        bounds.push(bound(data.len()));
        data.extend_from_slice(record.value.unwrap_or_default());
        bounds.push(bound(data.len()));
        for header in record.headers {
            push_bytes(data, header.name.as_bytes());
            push_nullable(data, header.value.as_deref());
        }
        bounds.push(bound(data.len()));
        present.push(
            bit(record.key.is_some(), KEY_PRESENT)
                | bit(record.value.is_some(), VALUE_PRESENT)
                | bit(!record.headers.is_empty(), HEADERS_PRESENT)
                | bit(record.timestamp_ms.is_some(), TIMESTAMP_PRESENT),
        );
        self.0.timestamps_ms.extend(record.timestamp_ms);
        let has_labels = !record.routes.is_empty() || !record.partition_keys.is_empty();
        if has_labels || !self.0.label_bounds.is_empty() {
            self.label(record.routes, record.partition_keys);
        }
    }

    /// Labels of the record that was written last. Those before the first that has any have none.
    fn label(&mut self, routes: &[String], partition_keys: &[types::PartitionKey]) {
        let Results {
            labels,
            label_bounds,
            present,
            ..
        } = &mut self.0;
        if label_bounds.is_empty() {
            label_bounds.resize(present.len() * 2 - 1, 0);
        }
        for route in routes {
            push_bytes(labels, route.as_bytes());
        }
        label_bounds.push(bound(labels.len()));
        for key in partition_keys {
            push_bytes(labels, key.name.as_bytes());
            push_bytes(labels, key.value.as_bytes());
        }
        label_bounds.push(bound(labels.len()));
    }
}

fn annotated<'a>(value: Option<&'a [u8]>, annotation: &'a types::Annotation) -> NewRecord<'a> {
    NewRecord {
        value,
        headers: &annotation.headers,
        routes: &annotation.routes,
        partition_keys: &annotation.partition_keys,
        ..NewRecord::default()
    }
}

/// On the 32 bits of a guest each length fits. On the machine, where tests run, one that doesn't is
/// found out by whoever reads it.
fn bound(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn push_bytes(data: &mut Vec<u8>, bytes: &[u8]) {
    data.extend_from_slice(&bound(bytes.len()).to_le_bytes());
    data.extend_from_slice(bytes);
}

fn push_nullable(data: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => push_bytes(data, bytes),
        None => data.extend_from_slice(&NULL_LENGTH.to_le_bytes()),
    }
}
