//! Records as the columnar world passes them: as they lie in the batch's arena where that can be, else
//! gathered.
//!
//! Owns the choice, and the memory for it, which each call uses again. Invariant: a plugin is shown what
//! its plan reads and nothing else, whichever way the records took.

use std::ops::Range;

use super::bindings::exports::vanne::transform::columnar::Batch;
use super::component::Reads;
use super::verdict::Inputs;
use crate::record::{
    Annotation, Arena, Columns, HEADERS_PRESENT, KEY_PRESENT, NULL_LENGTH, NewRecord, VALUE_PRESENT,
};

/// Parts that are not read are left where they lie, and hidden, while no more than one byte in so many is
/// theirs: cutting them out costs a copy of all that is read.
const HIDDEN_ONE_IN: u64 = 4;

/// Memory for what cannot be passed as it lies.
#[derive(Debug, Default)]
pub(super) struct Gather {
    layout: Layout,
    collected: Collected,
    attempts: Vec<u32>,
}

/// What a call passes.
#[derive(Debug)]
pub(super) struct Passed<'a> {
    pub(super) batch: Batch<'a>,
    /// Records with a header that cannot be passed, ascending.
    pub(super) skipped: &'a [usize],
}

/// The records are more than a guest of 32 bits can hold.
#[derive(Debug)]
pub(super) struct TooLarge;

impl Gather {
    /// The records in `range`, as the plan reads them.
    pub(super) fn pass<'a>(
        &'a mut self,
        inputs: &Inputs<'a>,
        range: Range<usize>,
        reads: Reads,
        attempt: u32,
    ) -> Result<Passed<'a>, TooLarge> {
        let Self { layout, collected, attempts } = self;
        collected.clear();
        let in_place = inputs.batch_columns(range.clone());
        let no_headers =
            |columns: &Columns<'_>| columns.present.iter().all(|bits| bits & HEADERS_PRESENT == 0);
        if reads.headers && !in_place.as_ref().is_some_and(no_headers) {
            collected.skip_bad_headers(inputs, range.clone());
        }
        let columns = match in_place {
            Some(columns) if collected.skipped.is_empty() => layout.lay_out(columns, reads),
            _ => {
                collected.collect(inputs, range, reads)?;
                collected.records.columns(0..collected.records.len())
            }
        };
        attempts.clear();
        if attempt > 0 {
            attempts.resize(columns.present.len(), attempt);
        }
        let batch = Batch {
            data: columns.data,
            bounds: columns.bounds,
            present: columns.present,
            timestamps_ms: columns.timestamps_ms,
            offsets: columns.offsets,
            indexes: if columns.indexes.iter().all(|index| *index == 0) { &[] } else { columns.indexes },
            attempts,
            labels: &collected.labels,
            label_bounds: &collected.label_bounds,
        };
        Ok(Passed { batch, skipped: &collected.skipped })
    }
}

/// Columns of the batch in another layout.
#[derive(Debug, Default)]
struct Layout {
    data: Vec<u8>,
    bounds: Vec<u32>,
    present: Vec<u8>,
}

impl Layout {
    /// The columns without what is not read, and with bounds that begin at 0.
    fn lay_out<'a>(&'a mut self, columns: Columns<'a>, reads: Reads) -> Columns<'a> {
        let Self { data, bounds, present } = self;
        let hidden = hidden_bytes(&columns, reads);
        let columns = if hidden * HIDDEN_ONE_IN > columns.data.len() as u64 {
            cut(data, bounds, &columns, reads);
            Columns { data, bounds, ..columns }
        } else {
            Columns { bounds: rebase(bounds, columns.bounds), ..columns }
        };
        if reads.key && reads.value && reads.headers {
            return columns;
        }
        let mask = mask(reads);
        present.clear();
        present.extend(columns.present.iter().map(|bits| bits & mask));
        Columns { present, ..columns }
    }
}

fn mask(reads: Reads) -> u8 {
    let bit = |read, bit| if read { bit } else { 0 };
    bit(reads.key, KEY_PRESENT) | bit(reads.value, VALUE_PRESENT) | bit(reads.headers, HEADERS_PRESENT)
}

/// Bytes of the parts that are not read.
fn hidden_bytes(columns: &Columns<'_>, reads: Reads) -> u64 {
    let read = [reads.key, reads.value, reads.headers];
    let hidden = |nth: usize| {
        let starts = columns.bounds.iter().skip(nth).step_by(3);
        let ends = columns.bounds.iter().skip(nth + 1).step_by(3);
        starts.zip(ends).map(|(start, end)| u64::from(end - start)).sum::<u64>()
    };
    match read {
        [true, true, true] => 0,
        [false, false, false] => columns.data.len() as u64,
        _ => (0..3).filter(|nth| !read[*nth]).map(hidden).sum(),
    }
}

/// Copies what is read, and nothing else, to `data` and `bounds`.
fn cut(data: &mut Vec<u8>, bounds: &mut Vec<u32>, columns: &Columns<'_>, reads: Reads) {
    data.clear();
    bounds.clear();
    if !(reads.key || reads.value || reads.headers) {
        bounds.resize(columns.bounds.len(), 0);
        return;
    }
    let base = columns.bounds[0];
    let read = [reads.key, reads.value, reads.headers];
    bounds.push(0);
    let mut end = 0;
    for record in columns.bounds.windows(4).step_by(3) {
        for nth in 0..3 {
            if read[nth] {
                let part = (record[nth] - base) as usize..(record[nth + 1] - base) as usize;
                data.extend_from_slice(&columns.data[part]);
                end += record[nth + 1] - record[nth];
            }
            bounds.push(end);
        }
    }
}

/// The same bounds from 0 on.
fn rebase<'a>(scratch: &'a mut Vec<u32>, bounds: &'a [u32]) -> &'a [u32] {
    match bounds {
        [0, ..] | [] => bounds,
        [base, ..] => {
            scratch.clear();
            scratch.extend(bounds.iter().map(|bound| bound - base));
            scratch
        }
    }
}

/// Records that do not lie in the batch's arena side by side: what transforms before made of them, or
/// what is left where some cannot be passed.
#[derive(Debug, Default)]
struct Collected {
    records: Arena,
    labels: Vec<u8>,
    label_bounds: Vec<u32>,
    skipped: Vec<usize>,
}

impl Collected {
    fn clear(&mut self) {
        self.records.clear();
        self.labels.clear();
        self.label_bounds.clear();
        self.skipped.clear();
    }

    fn skip_bad_headers(&mut self, inputs: &Inputs<'_>, range: Range<usize>) {
        self.skipped.extend(range.filter(|position| inputs.bad_header(*position)));
    }

    fn collect(&mut self, inputs: &Inputs<'_>, range: Range<usize>, reads: Reads) -> Result<(), TooLarge> {
        for position in range {
            if self.skipped.binary_search(&position).is_err() {
                self.add_record(inputs, position, reads)?;
                self.add_labels(inputs.annotation(position))?;
            }
        }
        Ok(())
    }

    /// Adds what is read of a record. Headers that a transform replaced give way to that transform's.
    fn add_record(&mut self, inputs: &Inputs<'_>, position: usize, reads: Reads) -> Result<(), TooLarge> {
        let record = inputs.record(position);
        let annotation = inputs.annotation(position).filter(|_| reads.headers);
        let shown = NewRecord {
            key: record.key.filter(|_| reads.key),
            value: record.value.filter(|_| reads.value),
            timestamp_ms: record.timestamp_ms,
            offset: record.offset,
            index: record.index,
        };
        let added = annotation.map_or(&[][..], |annotation| &annotation.headers);
        let replaced = |name: &[u8]| added.iter().any(|(new, _)| new.as_bytes() == name);
        let kept = record.headers.iter().filter(|(name, _)| reads.headers && !replaced(name));
        let added = added.iter().map(|(name, value)| (name.as_bytes(), value.as_deref()));
        if self.records.push(shown, kept.chain(added)) { Ok(()) } else { Err(TooLarge) }
    }

    /// Adds the routes and partition keys of the record that was added last. The first record that has
    /// any begins the list of bounds, in which those before it have none.
    fn add_labels(&mut self, annotation: Option<&Annotation>) -> Result<(), TooLarge> {
        let (routes, keys) = match annotation {
            Some(annotation) => (&annotation.routes[..], &annotation.partition_keys[..]),
            None => (&[][..], &[][..]),
        };
        if self.label_bounds.is_empty() {
            if routes.is_empty() && keys.is_empty() {
                return Ok(());
            }
            self.label_bounds.resize(self.records.len() * 2 - 1, 0);
        }
        for route in routes {
            push_text(&mut self.labels, route)?;
        }
        self.label_bounds.push(bound(&self.labels)?);
        for (name, value) in keys {
            push_text(&mut self.labels, name)?;
            push_text(&mut self.labels, value)?;
        }
        self.label_bounds.push(bound(&self.labels)?);
        Ok(())
    }
}

fn bound(labels: &[u8]) -> Result<u32, TooLarge> {
    u32::try_from(labels.len()).map_err(|_| TooLarge)
}

fn push_text(labels: &mut Vec<u8>, text: &str) -> Result<(), TooLarge> {
    let length = u32::try_from(text.len()).ok().filter(|length| *length != NULL_LENGTH).ok_or(TooLarge)?;
    labels.extend_from_slice(&length.to_le_bytes());
    labels.extend_from_slice(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests;
