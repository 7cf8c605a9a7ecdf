//! Views of what the host passes. They borrow; nothing is copied before the author asks for it.

use crate::bindings::columnar::exports::vanne::transform::columnar;
use crate::bindings::vanne::transform::types;
use crate::columns::{self, Entries, Texts};

/// One record, as the source or the transform before this one left it.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    info: &'a types::BatchInfo,
    shape: Shape<'a>,
}

/// Where a message lies, by the world that it came through.
#[derive(Debug, Clone, Copy)]
enum Shape<'a> {
    Listed(&'a types::Message),
    Columns(&'a columnar::Batch, usize),
}

impl<'a> Message<'a> {
    /// The key. `None` is a null, or a key that the plan does not read.
    pub fn key(&self) -> Option<&'a [u8]> {
        match self.shape {
            Shape::Listed(message) => message.key.as_deref(),
            Shape::Columns(batch, at) => columns::key(batch, at),
        }
    }

    /// The value. `None` is a tombstone, or a value that the plan does not read.
    pub fn value(&self) -> Option<&'a [u8]> {
        match self.shape {
            Shape::Listed(message) => message.value.as_deref(),
            Shape::Columns(batch, at) => columns::value(batch, at),
        }
    }

    /// The headers in their order; none where the plan does not read them.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = Header<'a>> + use<'a> {
        match self.shape {
            Shape::Listed(message) => Entries::Listed(message.headers.iter()),
            Shape::Columns(batch, at) => Entries::Encoded(columns::headers(batch, at)),
        }
    }

    /// The last header of that name.
    pub fn header(&self, name: &str) -> Option<Header<'a>> {
        self.headers().filter(|header| header.name == name).last()
    }

    /// Milliseconds since 1970-01-01T00:00:00Z, `None` where the broker gave no time.
    pub fn timestamp_ms(&self) -> Option<i64> {
        let timestamp_ms = match self.shape {
            Shape::Listed(message) => message.timestamp_ms,
            Shape::Columns(batch, at) => batch.timestamps_ms.get(at).copied().unwrap_or(-1),
        };
        (timestamp_ms != -1).then_some(timestamp_ms)
    }

    /// The topic it was read from.
    pub fn topic(&self) -> &'a str {
        &self.info.topic
    }

    /// The partition it was read from.
    pub fn partition(&self) -> u32 {
        self.info.partition
    }

    /// The offset it was read at.
    pub fn offset(&self) -> u64 {
        match self.shape {
            Shape::Listed(message) => message.offset,
            Shape::Columns(batch, at) => batch.offsets.get(at).copied().unwrap_or_default(),
        }
    }

    /// Which of the records that this offset became, from 0.
    pub fn index(&self) -> u32 {
        match self.shape {
            Shape::Listed(message) => message.index,
            Shape::Columns(batch, at) => batch.indexes.get(at).copied().unwrap_or_default(),
        }
    }

    /// How many times it was already answered by [`Outcome::retry`](crate::Outcome::retry), from 0.
    pub fn attempt(&self) -> u32 {
        match self.shape {
            Shape::Listed(message) => message.attempt,
            Shape::Columns(batch, at) => batch.attempts.get(at).copied().unwrap_or_default(),
        }
    }

    /// The sinks it is on its way to; none means every sink that takes what is not routed.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        match self.shape {
            Shape::Listed(message) => Texts::Listed(message.routes.iter()),
            Shape::Columns(batch, at) => Texts::Encoded(columns::routes(batch, at)),
        }
    }

    /// The partition keys that transforms before this one gave it.
    pub fn partition_keys(&self) -> impl ExactSizeIterator<Item = PartitionKey<'a>> + use<'a> {
        match self.shape {
            Shape::Listed(message) => Entries::Listed(message.partition_keys.iter()),
            Shape::Columns(batch, at) => Entries::Encoded(columns::partition_keys(batch, at)),
        }
    }
}

/// One header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name; the same one may come more than once.
    pub name: &'a str,
    /// Its value; `None` is a null, which is not the same as an empty one.
    pub value: Option<&'a [u8]>,
}

/// A value that sinks may cut their objects by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionKey<'a> {
    /// The name by which a sink's prefix asks for it.
    pub name: &'a str,
    /// The value, as it stands in the path.
    pub value: &'a str,
}

impl<'a> From<&'a types::Header> for Header<'a> {
    fn from(header: &'a types::Header) -> Self {
        let value = header.value.as_deref();
        Self {
            name: &header.name,
            value,
        }
    }
}

impl<'a> From<&'a types::PartitionKey> for PartitionKey<'a> {
    fn from(key: &'a types::PartitionKey) -> Self {
        Self {
            name: &key.name,
            value: &key.value,
        }
    }
}

/// The messages of one call, all of one partition, in the order of their offsets.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    info: &'a types::BatchInfo,
    shape: BatchShape<'a>,
}

#[derive(Debug, Clone, Copy)]
enum BatchShape<'a> {
    Listed(&'a [types::Message]),
    Columns(&'a columnar::Batch),
}

impl<'a> Batch<'a> {
    pub(crate) fn listed(info: &'a types::BatchInfo, messages: &'a [types::Message]) -> Self {
        let shape = BatchShape::Listed(messages);
        Self { info, shape }
    }

    pub(crate) fn columns(info: &'a types::BatchInfo, batch: &'a columnar::Batch) -> Self {
        let shape = BatchShape::Columns(batch);
        Self { info, shape }
    }

    /// The topic they were read from.
    pub fn topic(&self) -> &'a str {
        &self.info.topic
    }

    /// The partition they were read from.
    pub fn partition(&self) -> u32 {
        self.info.partition
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        match self.shape {
            BatchShape::Listed(messages) => messages.len(),
            BatchShape::Columns(batch) => batch.present.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The messages in their order.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = Message<'a>> + use<'a> {
        let Self { info, shape } = *self;
        (0..self.len()).map(move |at| {
            let shape = match shape {
                BatchShape::Listed(messages) => Shape::Listed(&messages[at]),
                BatchShape::Columns(batch) => Shape::Columns(batch, at),
            };
            Message { info, shape }
        })
    }
}
