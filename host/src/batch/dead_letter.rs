//! A dead letter: one JSON object on one line, which holds the record that failed, whole, and why.
//!
//! Owns the words of that line. Invariant: [`DeadLetter::parse`] gives back what
//! [`DeadLetter::write_line`] was given, whatever the bytes: text stands under `key`, `value` and
//! `name`; bytes that are not UTF-8 stand under `key_base64`, `value_base64` and `name_base64`, which
//! win where both are there; with neither there was none.
//!
//! Dead letters are not compressed: there are few of them, and who reads them at night has `cat` and
//! `grep`. A pipeline of which everything fails writes about what it read, streamed in parts like any
//! object.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::clock::rfc3339;

/// A transform that the record went through, or into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Its name in the configuration.
    pub name: String,
    /// The plugin's own name.
    pub plugin: String,
    /// The plugin's own version.
    pub version: String,
    /// `sha256:` and the digest of the component.
    pub digest: String,
}

/// Whose key, value and headers a dead letter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Of {
    /// The record as it was read from the topic.
    Input,
    /// A record that the transforms made of it.
    Output,
}

/// A name and a value, as in a record.
pub type Header<'a> = (Cow<'a, [u8]>, Option<Cow<'a, [u8]>>);

/// A record that failed, or of which an output failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter<'a> {
    /// Topic of the record.
    pub topic: Cow<'a, str>,
    /// Partition of the record.
    pub partition: i32,
    /// Offset of the record.
    pub offset: u64,
    /// Which of its outputs failed; `None`: the record as a whole.
    pub index: Option<u32>,
    /// The sink that the output was meant for, where one was.
    pub sink: Option<Cow<'a, str>>,
    /// Whose bytes follow.
    pub of: Of,
    /// Milliseconds since 1970 UTC, -1 where the broker gave none.
    pub timestamp_ms: i64,
    /// The key.
    pub key: Option<Cow<'a, [u8]>>,
    /// The value.
    pub value: Option<Cow<'a, [u8]>>,
    /// The headers, in order.
    pub headers: Vec<Header<'a>>,
    /// A short stable word for machines.
    pub code: Cow<'a, str>,
    /// What a person needs to mend it.
    pub detail: Cow<'a, str>,
    /// How often the record was given to the transforms.
    pub attempts: u32,
    /// The transforms of the range, in order.
    pub transforms: Cow<'a, [Provenance]>,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    topic: Cow<'a, str>,
    partition: i32,
    offset: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sink: Option<Cow<'a, str>>,
    code: Cow<'a, str>,
    detail: Cow<'a, str>,
    of: Of,
    timestamp: Option<String>,
    timestamp_ms: Option<i64>,
    key: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    value: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    headers: Vec<LineHeader<'a>>,
    attempts: u32,
    transforms: Cow<'a, [Provenance]>,
}

#[derive(Serialize, Deserialize)]
struct LineHeader<'a> {
    name: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name_base64: Option<String>,
    value: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

/// Bytes as text, or as base64 where they are no text.
fn split<'b>(bytes: Option<&'b [u8]>) -> (Option<Cow<'b, str>>, Option<String>) {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => (None, None),
        Some((Ok(text), _)) => (Some(Cow::Borrowed(text)), None),
        Some((Err(_), bytes)) => (None, Some(STANDARD.encode(bytes))),
    }
}

fn join(
    text: Option<Cow<'_, str>>,
    base64: Option<String>,
) -> Result<Option<Cow<'static, [u8]>>, serde_json::Error> {
    let bytes = match (base64, text) {
        (Some(encoded), _) => Some(STANDARD.decode(encoded).map_err(serde::de::Error::custom)?),
        (None, text) => text.map(|text| text.into_owned().into_bytes()),
    };
    Ok(bytes.map(Cow::Owned))
}

impl DeadLetter<'_> {
    /// Appends the letter as one line, newline included.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        let (key, key_base64) = split(self.key.as_deref());
        let (value, value_base64) = split(self.value.as_deref());
        let has_time = self.timestamp_ms != -1;
        let line = Line {
            topic: Cow::Borrowed(&self.topic),
            partition: self.partition,
            offset: self.offset,
            index: self.index,
            sink: self.sink.as_deref().map(Cow::Borrowed),
            code: Cow::Borrowed(&self.code),
            detail: Cow::Borrowed(&self.detail),
            of: self.of,
            timestamp: has_time.then(|| rfc3339(self.timestamp_ms)),
            timestamp_ms: has_time.then_some(self.timestamp_ms),
            key,
            key_base64,
            value,
            value_base64,
            headers: self.headers.iter().map(line_header).collect(),
            attempts: self.attempts,
            transforms: Cow::Borrowed(&self.transforms),
        };
        let written: Result<(), serde_json::Error> = serde_json::to_writer(&mut *out, &line);
        written.expect("text, numbers and lists are JSON, and memory takes them");
        out.push(b'\n');
    }

    /// Reads a line that [`DeadLetter::write_line`] wrote; unknown members are ignored.
    ///
    /// # Errors
    /// Where the line is no dead letter.
    pub fn parse(line: &[u8]) -> Result<DeadLetter<'static>, serde_json::Error> {
        let line: Line<'static> = serde_json::from_slice(line)?;
        let mut headers = Vec::with_capacity(line.headers.len());
        for header in line.headers {
            let name = join(header.name, header.name_base64)?.unwrap_or_default();
            headers.push((name, join(header.value, header.value_base64)?));
        }
        Ok(DeadLetter {
            topic: line.topic,
            partition: line.partition,
            offset: line.offset,
            index: line.index,
            sink: line.sink,
            of: line.of,
            timestamp_ms: line.timestamp_ms.unwrap_or(-1),
            key: join(line.key, line.key_base64)?,
            value: join(line.value, line.value_base64)?,
            headers,
            code: line.code,
            detail: line.detail,
            attempts: line.attempts,
            transforms: line.transforms,
        })
    }
}

fn line_header<'b>((name, value): &'b Header<'_>) -> LineHeader<'b> {
    let (name, name_base64) = split(Some(name));
    let (value, value_base64) = split(value.as_deref());
    LineHeader { name, name_base64, value, value_base64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![vec(any::<u8>(), 0..12), ".{0,12}".prop_map(String::into_bytes)]
    }

    fn provenance() -> Provenance {
        Provenance {
            name: String::from("parse"),
            plugin: String::from("access-log"),
            version: String::from("0.1.0"),
            digest: String::from("sha256:00"),
        }
    }

    proptest! {
        #[test]
        fn every_letter_reads_back_as_written_from_one_line(
            (offset, timestamp_ms, partition) in (any::<u64>(), any::<i64>(), any::<i32>()),
            (index, sink, attempts) in (option::of(any::<u32>()), option::of(".{0,8}"), any::<u32>()),
            (key, value) in (option::of(bytes()), option::of(bytes())),
            headers in vec((bytes(), option::of(bytes())), 0..4),
            (code, detail) in ("[A-Za-z]{1,10}", ".{0,40}"),
        ) {
            let letter = DeadLetter {
                topic: Cow::Borrowed("access-logs"),
                partition,
                offset,
                index,
                sink: sink.map(Cow::Owned),
                of: if index.is_some() { Of::Output } else { Of::Input },
                timestamp_ms,
                key: key.map(Cow::Owned),
                value: value.map(Cow::Owned),
                headers: headers
                    .into_iter()
                    .map(|(name, value)| (Cow::Owned(name), value.map(Cow::Owned)))
                    .collect(),
                code: Cow::Owned(code),
                detail: Cow::Owned(detail),
                attempts,
                transforms: Cow::Owned(vec![provenance()]),
            };
            let mut line = Vec::new();
            letter.write_line(&mut line);
            prop_assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
            prop_assert_eq!(DeadLetter::parse(&line).expect("a letter"), letter);
        }
    }

    #[test]
    fn a_letter_is_read_by_people() {
        let letter = DeadLetter {
            topic: Cow::Borrowed("t"),
            partition: 3,
            offset: 42,
            index: Some(1),
            sink: Some(Cow::Borrowed("lake")),
            of: Of::Output,
            timestamp_ms: 0,
            key: Some(Cow::Borrowed(b"\xff")),
            value: Some(Cow::Borrowed(b"GET /")),
            headers: vec![(Cow::Borrowed(b"trace"), None)],
            code: Cow::Borrowed("NotJson"),
            detail: Cow::Borrowed("not JSON at byte 0: expected a value"),
            attempts: 1,
            transforms: Cow::Owned(Vec::new()),
        };
        let mut line = Vec::new();
        letter.write_line(&mut line);
        let expected = concat!(
            r#"{"topic":"t","partition":3,"offset":42,"index":1,"sink":"lake","code":"NotJson","#,
            r#""detail":"not JSON at byte 0: expected a value","of":"output","#,
            r#""timestamp":"1970-01-01T00:00:00.000Z","timestamp_ms":0,"key":null,"key_base64":"/w==","#,
            r#""value":"GET /","headers":[{"name":"trace","value":null}],"attempts":1,"transforms":[]}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(line).expect("text"), expected);
    }

    #[test]
    fn what_is_no_letter_is_refused() {
        assert!(DeadLetter::parse(b"{}").is_err());
        let mut line = Vec::new();
        let letter = DeadLetter::parse(
            br#"{"topic":"t","partition":0,"offset":1,"code":"c","detail":"d","of":"input","headers":[],"attempts":1,"transforms":[],"later":1}"#,
        )
        .expect("members that are not known are ignored");
        letter.write_line(&mut line);
        let broken = String::from_utf8(line).expect("text").replace("\"key\":null", "\"key_base64\":\"?\"");
        assert!(DeadLetter::parse(broken.as_bytes()).is_err());
    }
}
