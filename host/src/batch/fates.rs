//! What the transforms made of each input of a batch.
//!
//! Owns the check that every input has one fate over all versions that were given inputs, on which the
//! accounts of a range rest. Invariant: what [`fates`] passes points at nothing that is not there.

use std::ops::Range;

use super::{Error, Part, Worked};
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
pub(super) fn fates(
    worked: &Worked<'_>,
    inputs: &Range<u32>,
    has_candidate: bool,
) -> Result<Vec<Fate>, Error> {
    let mut fates = vec![Fate::Dropped; inputs.len()];
    let mut dropped = 0_u64;
    for (nth, part) in worked.parts.iter().enumerate() {
        if worked.parts[..nth].iter().any(|other| other.variant == part.variant) {
            return Err(wrong(worked, inputs.start, "two results are of the same version"));
        }
        if !(has_candidate || part.variant.is_stable()) {
            return Err(wrong(worked, inputs.start, "the range knows of no candidate"));
        }
        dropped = dropped.saturating_add(part.transformed.dropped);
        if nth == 0 {
            mark(worked, part, inputs, &mut fates)?;
            continue;
        }
        let mut of_part = vec![Fate::Dropped; inputs.len()];
        mark(worked, part, inputs, &mut of_part)?;
        for (input, (fate, new)) in (inputs.start..).zip(fates.iter_mut().zip(of_part)) {
            if new != Fate::Dropped && *fate != Fate::Dropped {
                return Err(wrong(worked, input, "it went through two versions"));
            }
            if new != Fate::Dropped {
                *fate = new;
            }
        }
    }
    if fates.iter().filter(|fate| **fate == Fate::Dropped).count() as u64 != dropped {
        return Err(wrong(worked, inputs.start, "the number of dropped records does not agree"));
    }
    Ok(fates)
}

/// Marks what one version made.
fn mark(worked: &Worked<'_>, part: &Part<'_>, inputs: &Range<u32>, fates: &mut [Fate]) -> Result<(), Error> {
    let transformed = part.transformed;
    let slot = |input: u32| {
        let position = input.checked_sub(inputs.start).filter(|_| input < inputs.end);
        let position = position.map(|position| position as usize);
        position.ok_or_else(|| wrong(worked, input, "it was not given to them"))
    };
    for output in &transformed.outputs {
        let has_record = match output.source {
            OutputSource::Input => true,
            OutputSource::Produced(position) => (position as usize) < transformed.produced.len(),
        };
        let has_annotation =
            output.annotation.is_none_or(|position| (position as usize) < transformed.annotations.len());
        if !(has_record && has_annotation) {
            return Err(wrong(worked, output.input, "an output points at nothing"));
        }
        fates[slot(output.input)?] = Fate::Waiting;
    }
    for partial in &transformed.partial {
        fates[slot(partial.input)?] = Fate::Kept;
    }
    for failed in &transformed.failed {
        let fate = &mut fates[slot(failed.input)?];
        if *fate != Fate::Dropped {
            return Err(wrong(worked, failed.input, "it failed as a whole, and something else came of it"));
        }
        *fate = Fate::Dead;
    }
    Ok(())
}

fn wrong(worked: &Worked<'_>, input: u32, what: &'static str) -> Error {
    let records = &worked.batch.records;
    let known = ((input as usize) < records.len()).then(|| records.record(input as usize).offset);
    Error::Unaccounted { offset: known.unwrap_or(worked.batch.range.end), what }
}
