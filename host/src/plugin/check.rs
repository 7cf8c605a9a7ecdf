//! The rules of `results` in `wit/columnar.wit`, one function each.
//!
//! Invariant: what passes can be read without a look at its bounds, and costs the host no more than the
//! output limit of a call. Each check is one pass over its list.

use super::answer::{ANNOTATE, EMIT, FAIL, REPLACE, RETRY, TIMESTAMP_PRESENT};
use super::bindings::exports::vanne::transform::columnar::Results;
use super::error::CallError;
use crate::record::{HEADERS_PRESENT, KEY_PRESENT, NULL_LENGTH, VALUE_PRESENT};

/// What a record, or a lost part, costs the host beside its bytes: an answer may be nothing but counts.
const RECORD_BYTES: usize = 64;
const LOST_BYTES: usize = 256;
const ALL_PARTS: u8 = KEY_PRESENT | VALUE_PRESENT | HEADERS_PRESENT | TIMESTAMP_PRESENT;

/// Checks all of an answer but the number of its verdicts.
pub(super) fn check(results: &Results, bytes_max: usize) -> Result<(), CallError> {
    let tally = tally(&results.verdicts)?;
    check_counts(results, &tally)?;
    check_size(results, bytes_max)?;
    let records = results.present.len();
    check_bounds("bounds", &results.bounds, 3, records, results.data.len())?;
    if !results.label_bounds.is_empty() || !results.labels.is_empty() {
        check_bounds("label-bounds", &results.label_bounds, 2, records, results.labels.len())?;
    }
    check_present(results)?;
    check_headers(results)?;
    check_labels(results)?;
    check_length("failures", results.failures.len(), tally[usize::from(FAIL)])?;
    check_length("postponements", results.postponements.len(), tally[usize::from(RETRY)])?;
    check_lost(results)
}

fn bad(field: &'static str, position: Option<usize>, expected: String, found: String) -> CallError {
    CallError::BadResponse { field, position, expected, found }
}

/// How often each verdict stands there.
fn tally(verdicts: &[u8]) -> Result<[usize; 7], CallError> {
    let mut tally = [0; 7];
    for (position, verdict) in verdicts.iter().enumerate() {
        match tally.get_mut(usize::from(*verdict)) {
            Some(count) => *count += 1,
            None => {
                let expected = String::from("a verdict from 0 to 6");
                return Err(bad("verdicts", Some(position), expected, verdict.to_string()));
            }
        }
    }
    Ok(tally)
}

fn check_length(field: &'static str, found: usize, expected: usize) -> Result<(), CallError> {
    if found == expected {
        return Ok(());
    }
    Err(bad(field, None, format!("{expected} entries"), format!("{found}")))
}

/// The number of records follows from the verdicts and from what the emits say.
fn check_counts(results: &Results, tally: &[usize; 7]) -> Result<(), CallError> {
    check_length("counts", results.counts.len(), tally[usize::from(EMIT)])?;
    let single = tally[usize::from(ANNOTATE)] + tally[usize::from(REPLACE)];
    let emitted: u64 = results.counts.iter().map(|count| u64::from(*count)).sum();
    let records = emitted.saturating_add(single as u64);
    if records == results.present.len() as u64 {
        return Ok(());
    }
    let expected = format!("{records} entries, by the verdicts and the counts");
    Err(bad("present", None, expected, format!("{}", results.present.len())))
}

fn check_size(results: &Results, bytes_max: usize) -> Result<(), CallError> {
    let bytes = results.data.len().saturating_add(results.labels.len());
    let records = results.present.len().saturating_mul(RECORD_BYTES);
    let lost = results.lost.len().saturating_mul(LOST_BYTES);
    if bytes.saturating_add(records).saturating_add(lost) <= bytes_max {
        return Ok(());
    }
    Err(CallError::OutputTooLarge { limit_bytes: bytes_max as u64 })
}

/// From 0 to the number of bytes, never falling, so many a record and one more.
fn check_bounds(
    field: &'static str,
    bounds: &[u32],
    each: usize,
    records: usize,
    bytes: usize,
) -> Result<(), CallError> {
    let Some((last, before)) = bounds.split_last() else {
        if records == 0 && bytes == 0 {
            return Ok(());
        }
        let expected = format!("{} entries", records * each + 1);
        return Err(bad(field, None, expected, String::from("none")));
    };
    check_length(field, bounds.len(), records * each + 1)?;
    let first = before.first().unwrap_or(last);
    if *first != 0 {
        return Err(bad(field, Some(0), String::from("0"), first.to_string()));
    }
    if !bounds.is_sorted() {
        let falls = bounds.windows(2).position(|pair| pair[0] > pair[1]).unwrap_or_default();
        let expected = format!("at least {}, the bound before it", bounds[falls]);
        return Err(bad(field, Some(falls + 1), expected, bounds[falls + 1].to_string()));
    }
    if *last as usize != bytes {
        let expected = format!("{bytes}, the number of bytes");
        return Err(bad(field, Some(before.len()), expected, last.to_string()));
    }
    Ok(())
}

/// Each record has only the parts that its verdict leaves room for, and each time its bit.
fn check_present(results: &Results) -> Result<(), CallError> {
    let mut present = results.present.iter().enumerate();
    let mut counts = results.counts.iter();
    let mut timed = 0;
    for verdict in &results.verdicts {
        let (records, allowed) = match *verdict {
            ANNOTATE => (1, HEADERS_PRESENT),
            REPLACE => (1, VALUE_PRESENT | HEADERS_PRESENT),
            EMIT => (counts.next().map_or(0, |count| *count as usize), ALL_PARTS),
            _ => continue,
        };
        for (position, bits) in present.by_ref().take(records) {
            if bits & !allowed != 0 {
                let expected = format!("no bit but those of {allowed}");
                return Err(bad("present", Some(position), expected, bits.to_string()));
            }
            timed += usize::from(bits & TIMESTAMP_PRESENT != 0);
        }
    }
    check_length("timestamps-ms", results.timestamps_ms.len(), timed)
}

fn check_headers(results: &Results) -> Result<(), CallError> {
    let parts = results.bounds.get(2..).unwrap_or_default().windows(2).step_by(3);
    for (bits, part) in results.present.iter().zip(parts) {
        if bits & HEADERS_PRESENT == 0 {
            continue;
        }
        let mut rest = Rest::of("data", &results.data, part);
        while !rest.bytes.is_empty() {
            rest.text("a header's name")?;
            rest.value()?;
        }
    }
    Ok(())
}

fn check_labels(results: &Results) -> Result<(), CallError> {
    for record in results.label_bounds.windows(3).step_by(2) {
        let mut routes = Rest::of("labels", &results.labels, &record[..2]);
        while !routes.bytes.is_empty() {
            routes.text("a route's name")?;
        }
        let mut keys = Rest::of("labels", &results.labels, &record[1..]);
        while !keys.bytes.is_empty() {
            keys.text("a partition key's name")?;
            keys.text("a partition key's value")?;
        }
    }
    Ok(())
}

/// What is left of a list of texts and values with their lengths before them.
struct Rest<'a> {
    field: &'static str,
    bytes: &'a [u8],
    end: usize,
}

impl<'a> Rest<'a> {
    /// Between two bounds that were checked.
    fn of(field: &'static str, bytes: &'a [u8], bounds: &[u32]) -> Self {
        let (start, end) = (bounds[0] as usize, bounds[1] as usize);
        Self { field, bytes: &bytes[start..end], end }
    }

    fn bad(&self, expected: String, found: String) -> CallError {
        bad(self.field, Some(self.end - self.bytes.len()), expected, found)
    }

    fn length(&mut self, what: &str) -> Result<u32, CallError> {
        let Some((length, rest)) = self.bytes.split_first_chunk::<4>() else {
            let expected = format!("the length of {what} in 4 bytes");
            return Err(self.bad(expected, format!("{} bytes to the end", self.bytes.len())));
        };
        let length = u32::from_le_bytes(*length);
        if length != NULL_LENGTH && length as usize > rest.len() {
            let expected = format!("a length of {what} of {} at most", rest.len());
            return Err(self.bad(expected, length.to_string()));
        }
        self.bytes = rest;
        Ok(length)
    }

    fn text(&mut self, what: &str) -> Result<(), CallError> {
        let length = self.length(what)?;
        let Some((text, rest)) = self.bytes.split_at_checked(length as usize) else {
            return Err(self.bad(what.to_owned(), String::from("a null")));
        };
        if let Err(error) = std::str::from_utf8(text) {
            let found = format!("another byte after {} of {length}", error.valid_up_to());
            return Err(self.bad(format!("{what} in UTF-8"), found));
        }
        self.bytes = rest;
        Ok(())
    }

    fn value(&mut self) -> Result<(), CallError> {
        let length = self.length("a header's value")?;
        if length != NULL_LENGTH {
            self.bytes = &self.bytes[length as usize..];
        }
        Ok(())
    }
}

/// Each lost part is of an emit, and they come in the order of the messages.
fn check_lost(results: &Results) -> Result<(), CallError> {
    let mut before = 0;
    for (position, lost) in results.lost.iter().enumerate() {
        let expected = if lost.message < before {
            format!("a message from {before} on")
        } else if results.verdicts.get(lost.message as usize) != Some(&EMIT) {
            String::from("a message with verdict 3 (emit)")
        } else {
            before = lost.message;
            continue;
        };
        return Err(bad("lost", Some(position), expected, lost.message.to_string()));
    }
    Ok(())
}
