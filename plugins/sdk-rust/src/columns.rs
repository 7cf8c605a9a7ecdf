//! The columnar shape, read: parts of records in one buffer.
//!
//! Owns the layout that `wit/columnar.wit` describes (`writer` writes it). Invariant: the host's buffers are
//! trusted to keep its rules; where one didn't, parts would be missing, but nothing panics.

use std::slice;

use crate::bindings::columnar::exports::vanne::transform::columnar::Batch;
use crate::bindings::vanne::transform::types;
use crate::message::{Header, PartitionKey};

pub(crate) const KEY_PRESENT: u8 = 1;
pub(crate) const VALUE_PRESENT: u8 = 2;
pub(crate) const HEADERS_PRESENT: u8 = 4;
pub(crate) const TIMESTAMP_PRESENT: u8 = 8;

/// Length that stands for a header without a value.
pub(crate) const NULL_LENGTH: u32 = u32::MAX;

pub(crate) fn key(batch: &Batch, at: usize) -> Option<&[u8]> {
    part(&batch.data, &batch.bounds, &batch.present, at, KEY_PRESENT)
}

pub(crate) fn value(batch: &Batch, at: usize) -> Option<&[u8]> {
    part(
        &batch.data,
        &batch.bounds,
        &batch.present,
        at,
        VALUE_PRESENT,
    )
}

pub(crate) fn headers(batch: &Batch, at: usize) -> Encoded<'_> {
    let Batch {
        data,
        bounds,
        present,
        ..
    } = batch;
    Encoded(part(data, bounds, present, at, HEADERS_PRESENT).unwrap_or_default())
}

pub(crate) fn routes(batch: &Batch, at: usize) -> Encoded<'_> {
    Encoded(between(&batch.labels, &batch.label_bounds, at * 2))
}

pub(crate) fn partition_keys(batch: &Batch, at: usize) -> Encoded<'_> {
    Encoded(between(&batch.labels, &batch.label_bounds, at * 2 + 1))
}

/// The part of a record that a bit of `present` speaks of.
pub(crate) fn part<'a>(
    data: &'a [u8],
    bounds: &[u32],
    present: &[u8],
    at: usize,
    bit: u8,
) -> Option<&'a [u8]> {
    if present.get(at)? & bit == 0 {
        return None;
    }
    // Bits 0, 1 and 2 stand for the first, second and third part.
    Some(between(data, bounds, at * 3 + usize::from(bit / 2)))
}

pub(crate) fn between<'a>(bytes: &'a [u8], bounds: &[u32], at: usize) -> &'a [u8] {
    match bounds.get(at..at + 2) {
        Some(&[start, end]) => bytes.get(start as usize..end as usize).unwrap_or_default(),
        _ => &[],
    }
}

/// Lengths, each with so many bytes after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoded<'a>(pub(crate) &'a [u8]);

impl<'a> Encoded<'a> {
    /// The next; the inner `None` is a null.
    fn bytes(&mut self) -> Option<Option<&'a [u8]>> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        if length == NULL_LENGTH {
            self.0 = rest;
            return Some(None);
        }
        let (bytes, rest) = rest.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(Some(bytes))
    }

    /// The next where it has to be a text. The host lets no other pass.
    fn text(&mut self) -> Option<&'a str> {
        self.bytes()?
            .map(|bytes| std::str::from_utf8(bytes).unwrap_or_default())
    }

    fn count(mut self) -> usize {
        std::iter::from_fn(|| self.bytes()).count()
    }
}

/// What is read from encoded names and values.
pub(crate) trait Entry<'a>: Sized {
    fn read(encoded: &mut Encoded<'a>) -> Option<Self>;
}

impl<'a> Entry<'a> for Header<'a> {
    fn read(encoded: &mut Encoded<'a>) -> Option<Self> {
        let (name, value) = (encoded.text()?, encoded.bytes()?);
        Some(Self { name, value })
    }
}

impl<'a> Entry<'a> for PartitionKey<'a> {
    fn read(encoded: &mut Encoded<'a>) -> Option<Self> {
        let (name, value) = (encoded.text()?, encoded.text()?);
        Some(Self { name, value })
    }
}

/// What a list of the contract's own structures holds, and the view of it.
pub(crate) trait Listed: 'static {
    type View<'a>: Entry<'a> + From<&'a Self>;
}

impl Listed for types::Header {
    type View<'a> = Header<'a>;
}

impl Listed for types::PartitionKey {
    type View<'a> = PartitionKey<'a>;
}

/// Names with values, of either shape.
#[derive(Debug, Clone)]
pub(crate) enum Entries<'a, L> {
    Listed(slice::Iter<'a, L>),
    Encoded(Encoded<'a>),
}

impl<'a, L: Listed> Iterator for Entries<'a, L> {
    type Item = L::View<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Listed(list) => list.next().map(L::View::from),
            Self::Encoded(encoded) => L::View::read(encoded),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match self {
            Self::Listed(list) => list.len(),
            Self::Encoded(encoded) => encoded.count() / 2,
        };
        (left, Some(left))
    }
}

impl<L: Listed> ExactSizeIterator for Entries<'_, L> {}

/// Texts, of either shape.
#[derive(Debug, Clone)]
pub(crate) enum Texts<'a> {
    Listed(slice::Iter<'a, String>),
    Encoded(Encoded<'a>),
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        match self {
            Self::Listed(list) => list.next().map(String::as_str),
            Self::Encoded(encoded) => encoded.text(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match self {
            Self::Listed(list) => list.len(),
            Self::Encoded(encoded) => encoded.count(),
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for Texts<'_> {}
