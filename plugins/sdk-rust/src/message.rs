//! Views of what the host passes. They borrow; nothing is copied before the author asks for it.

use crate::bindings::vanne::transform::types;

/// One record, as the source or the transform before this one left it.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    info: &'a types::BatchInfo,
    message: &'a types::Message,
}

impl<'a> Message<'a> {
    /// The key. `None` is a null, or a key that the plan does not read.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.message.key.as_deref()
    }

    /// The value. `None` is a tombstone, or a value that the plan does not read.
    pub fn value(&self) -> Option<&'a [u8]> {
        self.message.value.as_deref()
    }

    /// The headers in their order; none where the plan does not read them.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = Header<'a>> + use<'a> {
        self.message.headers.iter().map(|header| Header {
            name: &header.name,
            value: header.value.as_deref(),
        })
    }

    /// The last header of that name.
    pub fn header(&self, name: &str) -> Option<Header<'a>> {
        self.headers().filter(|header| header.name == name).last()
    }

    /// Milliseconds since 1970-01-01T00:00:00Z, `None` where the broker gave no time.
    pub fn timestamp_ms(&self) -> Option<i64> {
        (self.message.timestamp_ms != -1).then_some(self.message.timestamp_ms)
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
        self.message.offset
    }

    /// Which of the records that this offset became, from 0.
    pub fn index(&self) -> u32 {
        self.message.index
    }

    /// How many times it was already answered by [`Outcome::retry`](crate::Outcome::retry), from 0.
    pub fn attempt(&self) -> u32 {
        self.message.attempt
    }

    /// The sinks it is on its way to; none means every sink that takes what is not routed.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        self.message.routes.iter().map(String::as_str)
    }

    /// The partition keys that transforms before this one gave it.
    pub fn partition_keys(&self) -> impl ExactSizeIterator<Item = PartitionKey<'a>> + use<'a> {
        self.message.partition_keys.iter().map(|key| PartitionKey {
            name: &key.name,
            value: &key.value,
        })
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

/// The messages of one call, all of one partition, in the order of their offsets.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    info: &'a types::BatchInfo,
    messages: &'a [types::Message],
}

impl<'a> Batch<'a> {
    pub(crate) fn new(info: &'a types::BatchInfo, messages: &'a [types::Message]) -> Self {
        Self { info, messages }
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
        self.messages.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The messages in their order.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = Message<'a>> + use<'a> {
        let info = self.info;
        self.messages
            .iter()
            .map(move |message| Message { info, message })
    }
}
