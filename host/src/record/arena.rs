//! Many records in one byte buffer and a few parallel lists: filled once by the source, handed to a
//! columnar plugin as it is, read by reference by everything else.
//!
//! Owns the layout and its encoding of headers. Invariant: `bounds` has three entries a record and a
//! last one, never falls, and ends at the length of `data`, so that every slice is in bounds.

use std::ops::Range;

/// Length that stands for a header without a value.
pub(crate) const NULL_LENGTH: u32 = u32::MAX;
/// Bits of [`Columns::present`].
pub(crate) const KEY_PRESENT: u8 = 1;
pub(crate) const VALUE_PRESENT: u8 = 2;
pub(crate) const HEADERS_PRESENT: u8 = 4;

/// A buffer of records. Layout of `data`, record after record: key, value, encoded headers; a header
/// is its name's length (u32, little endian), its name, its value's length (`u32::MAX`: no value), its
/// value.
#[derive(Clone, Debug)]
pub struct Arena {
    data: Vec<u8>,
    bounds: Vec<u32>,
    present: Vec<u8>,
    timestamps_ms: Vec<i64>,
    offsets: Vec<u64>,
    indexes: Vec<u32>,
}

/// Some records of an [`Arena`], as they lie in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns<'a> {
    /// Keys, values and headers.
    pub(crate) data: &'a [u8],
    /// Three a record and the end; `data` begins at the first of them.
    pub(crate) bounds: &'a [u32],
    /// Which parts there are, one a record.
    pub(crate) present: &'a [u8],
    pub(crate) timestamps_ms: &'a [i64],
    pub(crate) offsets: &'a [u64],
    pub(crate) indexes: &'a [u32],
}

/// A record to put into an [`Arena`].
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRecord<'a> {
    /// The key; `None` where the record has none.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since 1970 UTC, -1 where the broker gave none.
    pub timestamp_ms: i64,
    /// The record's offset in its partition.
    pub offset: u64,
    /// Which of the records that its offset became (0 as read).
    pub index: u32,
}

/// A record in an [`Arena`], by reference.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    /// The key; `None` where the record has none.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Headers<'a>,
    /// Milliseconds since 1970 UTC, -1 where the broker gave none.
    pub timestamp_ms: i64,
    /// The record's offset in its partition.
    pub offset: u64,
    /// Which of the records that its offset became.
    pub index: u32,
}

impl Default for Arena {
    fn default() -> Self {
        Self {
            data: Vec::new(),
            bounds: vec![0],
            present: Vec::new(),
            timestamps_ms: Vec::new(),
            offsets: Vec::new(),
            indexes: Vec::new(),
        }
    }
}

impl Arena {
    /// Largest number of bytes of keys, values and headers that one arena takes.
    pub const BYTES_MAX: usize = u32::MAX as usize - 1;

    /// Appends a record. Returns false, and leaves the arena as it was, where its bytes would pass
    /// [`Arena::BYTES_MAX`].
    pub fn push<'h>(
        &mut self,
        record: NewRecord<'_>,
        headers: impl IntoIterator<Item = (&'h [u8], Option<&'h [u8]>)>,
    ) -> bool {
        let before = self.data.len();
        let key_start = before;
        self.data.extend_from_slice(record.key.unwrap_or_default());
        let value_start = self.data.len();
        self.data.extend_from_slice(record.value.unwrap_or_default());
        let headers_start = self.data.len();
        for (name, value) in headers {
            push_header(&mut self.data, name, value);
        }
        if self.data.len() > Self::BYTES_MAX {
            self.data.truncate(before);
            return false;
        }
        debug_assert_eq!(self.bounds.last().copied(), Some(bound(key_start)));
        self.bounds.extend([bound(value_start), bound(headers_start), bound(self.data.len())]);
        let key_bit = if record.key.is_some() { KEY_PRESENT } else { 0 };
        let value_bit = if record.value.is_some() { VALUE_PRESENT } else { 0 };
        let headers_bit = if self.data.len() > headers_start { HEADERS_PRESENT } else { 0 };
        self.present.push(key_bit | value_bit | headers_bit);
        self.timestamps_ms.push(record.timestamp_ms);
        self.offsets.push(record.offset);
        self.indexes.push(record.index);
        true
    }

    /// Makes room for so many more bytes and records.
    pub fn reserve(&mut self, bytes: usize, records: usize) {
        self.data.reserve(bytes);
        self.bounds.reserve(records * 3);
        self.present.reserve(records);
        self.timestamps_ms.reserve(records);
        self.offsets.reserve(records);
        self.indexes.reserve(records);
    }

    /// Appends a record of another arena, renumbered.
    pub fn push_ref(&mut self, record: &RecordRef<'_>, index: u32) -> bool {
        let plain = NewRecord {
            key: record.key,
            value: record.value,
            timestamp_ms: record.timestamp_ms,
            offset: record.offset,
            index,
        };
        self.push(plain, record.headers.iter())
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Bytes of keys, values and headers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// Bytes that the arena holds from the allocator.
    #[must_use]
    pub fn capacity_bytes(&self) -> usize {
        self.data.capacity() + self.bounds.capacity() * 4 + self.offsets.capacity() * 21
    }

    /// The record at `position` (0 is the first). Panics where there is none, as a slice would.
    #[must_use]
    pub fn record(&self, position: usize) -> RecordRef<'_> {
        let slice = |nth: usize| {
            let first = self.bounds[position * 3 + nth] as usize;
            let end = self.bounds[position * 3 + nth + 1] as usize;
            &self.data[first..end]
        };
        let present = self.present[position];
        RecordRef {
            key: (present & KEY_PRESENT != 0).then(|| slice(0)),
            value: (present & VALUE_PRESENT != 0).then(|| slice(1)),
            headers: Headers { encoded: slice(2) },
            timestamp_ms: self.timestamps_ms[position],
            offset: self.offsets[position],
            index: self.indexes[position],
        }
    }

    /// The records of a stretch, as they lie. Panics where there are not so many, as a slice would.
    pub(crate) fn columns(&self, range: Range<usize>) -> Columns<'_> {
        let bounds = &self.bounds[range.start * 3..=range.end * 3];
        let (start, end) = (bounds[0] as usize, bounds[bounds.len() - 1] as usize);
        Columns {
            data: &self.data[start..end],
            bounds,
            present: &self.present[range.clone()],
            timestamps_ms: &self.timestamps_ms[range.clone()],
            offsets: &self.offsets[range.clone()],
            indexes: &self.indexes[range],
        }
    }

    /// The offset of the record at `position`, without the rest of it. Panics where there is none.
    #[must_use]
    pub fn offset(&self, position: usize) -> u64 {
        self.offsets[position]
    }

    /// Bytes of the key, the value and the headers of the record at `position`. Panics where there is none.
    #[must_use]
    pub fn record_bytes(&self, position: usize) -> usize {
        (self.bounds[position * 3 + 3] - self.bounds[position * 3]) as usize
    }

    /// The records in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RecordRef<'_>> {
        (0..self.len()).map(|position| self.record(position))
    }

    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.data.clear();
        self.bounds.truncate(1);
        self.present.clear();
        self.timestamps_ms.clear();
        self.offsets.clear();
        self.indexes.clear();
    }
}

fn bound(length: usize) -> u32 {
    u32::try_from(length).expect("push keeps data below BYTES_MAX")
}

fn push_header(data: &mut Vec<u8>, name: &[u8], value: Option<&[u8]>) {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(NULL_LENGTH - 1);
    data.extend_from_slice(&length(name).to_le_bytes());
    data.extend_from_slice(name);
    let value_length = value.map_or(NULL_LENGTH, length);
    data.extend_from_slice(&value_length.to_le_bytes());
    data.extend_from_slice(value.unwrap_or_default());
}

/// The headers of a record, by reference.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    encoded: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Headers in the encoding of an arena; where they break off, so do the headers.
    pub(crate) fn encoded(encoded: &'a [u8]) -> Self {
        Self { encoded }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// The headers in order, as name and value; a name may stand more than once.
    #[must_use]
    pub fn iter(&self) -> HeaderIter<'a> {
        HeaderIter { rest: self.encoded }
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);
    type IntoIter = HeaderIter<'a>;

    fn into_iter(self) -> HeaderIter<'a> {
        self.iter()
    }
}

/// Iterator over [`Headers`].
#[derive(Clone, Debug)]
pub struct HeaderIter<'a> {
    rest: &'a [u8],
}

impl<'a> HeaderIter<'a> {
    fn take_length(&mut self) -> Option<u32> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*length))
    }

    fn take(&mut self, length: u32) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length as usize)?;
        self.rest = rest;
        Some(bytes)
    }
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let name_length = self.take_length()?;
        let name = self.take(name_length)?;
        let value = match self.take_length()? {
            NULL_LENGTH => None,
            length => Some(self.take(length)?),
        };
        Some((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    type Bytes = Vec<u8>;
    type Plain = (Option<Bytes>, Option<Bytes>, Vec<(Bytes, Option<Bytes>)>, i64);

    fn bytes() -> impl Strategy<Value = Bytes> {
        vec(any::<u8>(), 0..20)
    }

    fn plain() -> impl Strategy<Value = Plain> {
        (option::of(bytes()), option::of(bytes()), vec((bytes(), option::of(bytes())), 0..4), any::<i64>())
    }

    fn push(arena: &mut Arena, offset: u64, plain: &Plain) {
        let record = NewRecord {
            key: plain.0.as_deref(),
            value: plain.1.as_deref(),
            timestamp_ms: plain.3,
            offset,
            index: 0,
        };
        let headers = plain.2.iter().map(|(name, value)| (name.as_slice(), value.as_deref()));
        assert!(arena.push(record, headers));
    }

    proptest! {
        #[test]
        fn every_record_reads_back_as_pushed(records in vec(plain(), 0..20)) {
            let mut arena = Arena::default();
            for (offset, plain) in records.iter().enumerate() {
                push(&mut arena, offset as u64, plain);
            }
            prop_assert_eq!(arena.len(), records.len());
            for (position, record) in arena.iter().enumerate() {
                let expected = &records[position];
                prop_assert_eq!(record.key, expected.0.as_deref());
                prop_assert_eq!(record.value, expected.1.as_deref());
                prop_assert_eq!(record.offset, position as u64);
                prop_assert_eq!(record.timestamp_ms, expected.3);
                let headers: Vec<_> = record
                    .headers
                    .iter()
                    .map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec)))
                    .collect();
                prop_assert_eq!(&headers, &expected.2);
            }
        }

        #[test]
        fn a_cleared_arena_is_as_good_as_new(first in vec(plain(), 0..5), second in plain()) {
            let mut arena = Arena::default();
            for plain in &first {
                push(&mut arena, 1, plain);
            }
            arena.clear();
            push(&mut arena, 7, &second);
            prop_assert_eq!(arena.len(), 1);
            prop_assert_eq!(arena.record(0).value, second.1.as_deref());
        }
    }
}
