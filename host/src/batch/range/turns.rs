//! The results of a batch in the order of its records, whichever variant made them.
//!
//! Owns that order and nothing else. It matters because every object stands in the order of offsets,
//! dead letters too, which come from three lists, and because an object's runs end where a record of
//! another variant lies. Invariant: every result comes exactly once.

use crate::batch::{Part, Worked};
use crate::record::{Failed, Output};

/// One result.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'a> {
    /// A record to deliver.
    Output(&'a Output),
    /// An output that could not be made.
    Partial(&'a Failed),
    /// A record that failed as a whole.
    Whole(&'a Failed),
}

impl Found<'_> {
    /// The input that it came from.
    pub(super) fn input(self) -> u32 {
        match self {
            Self::Output(output) => output.input,
            Self::Partial(failed) | Self::Whole(failed) => failed.input,
        }
    }
}

/// What is left of a part.
#[derive(Debug)]
struct Left<'a> {
    part: &'a Part<'a>,
    outputs: &'a [Output],
    partial: &'a [Failed],
    whole: &'a [Failed],
}

/// What is left of the results of a batch.
#[derive(Debug)]
pub(super) struct Turns<'a> {
    left: Vec<Left<'a>>,
}

/// Results of one part, before the next one of another.
#[derive(Debug)]
pub(super) struct Turn<'a, 'b> {
    left: &'b mut Left<'a>,
    /// The first input of another part.
    until: u32,
}

impl<'a> Turns<'a> {
    pub(super) fn new(worked: &Worked<'a>) -> Self {
        let left = |part: &'a Part<'a>| {
            let transformed = part.transformed;
            Left {
                part,
                outputs: &transformed.outputs,
                partial: &transformed.partial,
                whole: &transformed.failed,
            }
        };
        Self { left: worked.parts.iter().map(left).collect() }
    }

    /// The part whose turn it is; with a single part, all of its results are one turn.
    pub(super) fn next(&mut self) -> Option<Turn<'a, '_>> {
        let first = |left: &Left<'a>| left.next().map_or(u32::MAX, Found::input);
        let (at, input) = (0..).zip(self.left.iter().map(first)).min_by_key(|(_, input)| *input)?;
        if input == u32::MAX {
            return None;
        }
        let others = (0..).zip(&self.left).filter(|(other, _)| *other != at);
        let until = others.map(|(_, left)| first(left)).min().unwrap_or(u32::MAX);
        Some(Turn { left: &mut self.left[at], until })
    }
}

impl<'a> Turn<'a, '_> {
    /// The part.
    pub(super) fn part(&self) -> &'a Part<'a> {
        self.left.part
    }

    /// The next result of this turn.
    pub(super) fn next(&mut self) -> Option<Found<'a>> {
        let found = self.left.next().filter(|found| found.input() < self.until)?;
        self.left.pass(found);
        Some(found)
    }
}

impl<'a> Left<'a> {
    /// The next result: of one record, what is delivered comes before what could not be made.
    fn next(&self) -> Option<Found<'a>> {
        let output = self.outputs.first().map(Found::Output);
        let partial = self.partial.first().map(Found::Partial);
        let whole = self.whole.first().map(Found::Whole);
        let earlier =
            |one: Found<'a>, other: Found<'a>| if other.input() < one.input() { other } else { one };
        [output, partial, whole].into_iter().flatten().reduce(earlier)
    }

    fn pass(&mut self, found: Found<'a>) {
        match found {
            Found::Output(_) => self.outputs = &self.outputs[1..],
            Found::Partial(_) => self.partial = &self.partial[1..],
            Found::Whole(_) => self.whole = &self.whole[1..],
        }
    }
}
