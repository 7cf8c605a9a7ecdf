//! A message, and how it gets shorter where a topic does not take it.
//!
//! Owns what is left out, in which order, and how the message says so. Pure.

use std::sync::Arc;

use bytes::Bytes;
use rdkafka::message::{Header as NativeHeader, OwnedHeaders};
use rdkafka::producer::FutureRecord;

/// Name of the header that says what a message lacks.
pub const LEFT_OUT: &str = "vanne.left_out";

/// A header as it came: the name need not be UTF-8.
pub type Header = (Bytes, Option<Bytes>);

/// Something to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Where it goes if it has no key.
    pub partition: i32,
    /// The key.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
    /// The headers that it came with.
    pub headers: Arc<[Header]>,
    /// The headers that the host adds, behind the others: who wants one of these takes the last of its
    /// name. Their sizes have bounds.
    pub added: Vec<(&'static str, String)>,
}

/// How much of a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// All of it.
    Whole,
    /// All but the value.
    WithoutValue,
    /// The added headers alone.
    Bare,
}

impl Form {
    pub(super) fn shorter(self) -> Option<Self> {
        match self {
            Self::Whole => Some(Self::WithoutValue),
            Self::WithoutValue => Some(Self::Bare),
            Self::Bare => None,
        }
    }

    fn left_out(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::WithoutValue => Some("value"),
            Self::Bare => Some("key,value,headers"),
        }
    }
}

impl Message {
    /// About what it takes in memory and on the way.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const OVERHEAD: usize = 64;
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + length(value)).sum();
        let added: usize = self.added.iter().map(|(name, value)| name.len() + value.len()).sum();
        OVERHEAD + length(&self.key) + length(&self.value) + headers + added
    }

    pub(super) fn record<'a>(&'a self, topic: &'a str, form: Form) -> FutureRecord<'a, [u8], [u8]> {
        let mut record = FutureRecord::to(topic).headers(self.native_headers(form));
        record.key = self.key.as_deref().filter(|_| form != Form::Bare);
        record.payload = self.value.as_deref().filter(|_| form == Form::Whole);
        // A message that had a key goes where its key says; without one any place would do, and this
        // one keeps the order.
        record.partition = self.key.is_none().then_some(self.partition);
        record
    }

    fn native_headers(&self, form: Form) -> OwnedHeaders {
        let kept = if form == Form::Bare { &[][..] } else { &self.headers };
        let mut headers = OwnedHeaders::new_with_capacity(kept.len() + self.added.len() + 1);
        for (name, value) in kept {
            // librdkafka's names are C texts, and this interface takes UTF-8 only.
            let name = String::from_utf8_lossy(name).replace('\0', "\u{fffd}");
            headers = headers.insert(NativeHeader { key: &name, value: value.as_deref() });
        }
        for (key, value) in &self.added {
            headers = headers.insert(NativeHeader { key, value: Some(value.as_bytes()) });
        }
        if let Some(left_out) = form.left_out() {
            headers = headers.insert(NativeHeader { key: LEFT_OUT, value: Some(left_out.as_bytes()) });
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers as _;

    use super::*;

    fn message() -> Message {
        Message {
            partition: 2,
            key: Some(Bytes::from_static(b"\xff\0")),
            value: Some(Bytes::from_static(b"value")),
            headers: Arc::from([
                (Bytes::from_static(b"a\0\xff"), None),
                (Bytes::from_static(b"a"), Some(Bytes::from_static(b"\0\xff"))),
            ]),
            added: vec![("vanne.code", String::from("Bad"))],
        }
    }

    fn names(record: &FutureRecord<'_, [u8], [u8]>) -> Vec<String> {
        let headers = record.headers.as_ref().expect("there are some");
        headers.iter().map(|header| header.key.to_owned()).collect()
    }

    #[test]
    fn a_message_gets_shorter_step_by_step_and_says_so() {
        let message = message();
        let whole = message.record("t", Form::Whole);
        assert_eq!((whole.key, whole.payload), (Some(&b"\xff\0"[..]), Some(&b"value"[..])));
        assert_eq!(names(&whole), ["a\u{fffd}\u{fffd}", "a", "vanne.code"]);
        let headers = whole.headers.as_ref().expect("there are some");
        assert_eq!((headers.get(0).value, headers.get(1).value), (None, Some(&b"\0\xff"[..])));
        assert_eq!(whole.partition, None, "its key says where");

        let without_value = message.record("t", Form::Whole.shorter().expect("shorter"));
        assert_eq!((without_value.key, without_value.payload), (Some(&b"\xff\0"[..]), None));
        assert_eq!(names(&without_value), ["a\u{fffd}\u{fffd}", "a", "vanne.code", LEFT_OUT]);

        let bare = message.record("t", Form::WithoutValue.shorter().expect("shorter"));
        assert_eq!((bare.key, bare.payload), (None, None));
        assert_eq!(names(&bare), ["vanne.code", LEFT_OUT]);
        let left_out = bare.headers.as_ref().expect("there are some").get(1).value;
        assert_eq!(left_out, Some(&b"key,value,headers"[..]));
        assert_eq!(Form::Bare.shorter(), None);
        assert!(message.bytes() > "value".len() + "vanne.code".len());
    }

    #[test]
    fn a_message_without_a_key_goes_to_its_partition() {
        let message = Message { key: None, ..message() };
        assert_eq!(message.record("t", Form::Whole).partition, Some(2));
    }
}
