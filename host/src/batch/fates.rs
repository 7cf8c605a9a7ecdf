//! What the transforms made of each input of a batch.
//!
//! Owns the check that every input has one fate, on which the accounts of a range rest. Invariant: what
//! [`fates`] passes points at nothing that is not there.

use std::ops::Range;

use super::{Error, Worked};
use crate::record::OutputSource;

/// What became of an input, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing came of it, or nothing that a sink takes.
    Dropped,
    /// It has outputs, none of which has been placed.
    Waiting,
    /// An output of it was placed, or one could not be made.
    Kept,
    /// It failed as a whole.
    Dead,
}

/// What is known of each input before its outputs are placed; refuses results that give an input no
/// fate, or two, or that point outside.
pub(super) fn fates(worked: &Worked<'_>, inputs: &Range<u32>) -> Result<Vec<Fate>, Error> {
    let transformed = worked.transformed;
    let mut fates = vec![Fate::Dropped; inputs.len()];
    let wrong = |input: u32, what: &'static str| {
        let records = &worked.batch.records;
        let known = ((input as usize) < records.len()).then(|| records.record(input as usize).offset);
        Error::Unaccounted { offset: known.unwrap_or(worked.batch.range.end), what }
    };
    let slot = |input: u32| {
        let position = input.checked_sub(inputs.start).filter(|_| input < inputs.end);
        position.map(|position| position as usize).ok_or_else(|| wrong(input, "it was not given to them"))
    };
    for output in &transformed.outputs {
        let has_record = match output.source {
            OutputSource::Input => true,
            OutputSource::Produced(position) => (position as usize) < transformed.produced.len(),
        };
        let has_annotation =
            output.annotation.is_none_or(|position| (position as usize) < transformed.annotations.len());
        if !(has_record && has_annotation) {
            return Err(wrong(output.input, "an output points at nothing"));
        }
        fates[slot(output.input)?] = Fate::Waiting;
    }
    for partial in &transformed.partial {
        fates[slot(partial.input)?] = Fate::Kept;
    }
    for failed in &transformed.failed {
        let fate = &mut fates[slot(failed.input)?];
        if *fate != Fate::Dropped {
            return Err(wrong(failed.input, "it failed as a whole, and something else came of it"));
        }
        *fate = Fate::Dead;
    }
    let dropped = fates.iter().filter(|fate| **fate == Fate::Dropped).count() as u64;
    if dropped != transformed.dropped {
        return Err(wrong(inputs.start, "the number of dropped records does not agree"));
    }
    Ok(fates)
}
