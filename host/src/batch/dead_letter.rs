//! A dead letter: one JSON object on one line, which holds the record that failed, whole, and why.
//!
//! Owns the words of that line; `host/docs/dead-letters.md` explains them. Invariant:
//! [`DeadLetter::parse`] gives back what [`DeadLetter::write_line`] was given, whatever the bytes: text
//! stands under `key`, `value` and `name`; bytes that are not UTF-8 stand under `key_base64`,
//! `value_base64` and `name_base64`, which win where both are there; with neither there was none.
//!
//! Dead letters are not compressed: there are few of them, and who reads them at night has `cat` and
//! `grep`. A pipeline of which everything fails writes about what it read, streamed in parts like any
//! object.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::clock::rfc3339;
use crate::record::Condition;

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
    /// What it was granted, such as `clock` or `env:REGION`; nothing by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<String>,
}

/// A name and a value, as in a record.
pub type Header<'a> = (Cow<'a, [u8]>, Option<Cow<'a, [u8]>>);

/// What a record consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content<'a> {
    /// Milliseconds since 1970 UTC, -1 where there is none.
    pub timestamp_ms: i64,
    /// The key.
    pub key: Option<Cow<'a, [u8]>>,
    /// The value.
    pub value: Option<Cow<'a, [u8]>>,
    /// The headers, in order.
    pub headers: Vec<Header<'a>>,
}

/// The record as it was read from the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Original<'a> {
    /// Here it is.
    Here(Content<'a>),
    /// It stands in an earlier letter of the same offset and the same object: that of this output.
    AtIndex(u32),
}

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
    /// What kind of failure.
    pub condition: Condition,
    /// A short stable word for machines.
    pub code: Cow<'a, str>,
    /// What a person needs to mend it.
    pub detail: Cow<'a, str>,
    /// Functions of the plugin where it failed, innermost first.
    pub backtrace: Vec<Cow<'a, str>>,
    /// The last that the plugin logged or printed in the call.
    pub log: Cow<'a, str>,
    /// The transform that failed; `None`: none was to blame, or called.
    pub transform: Option<Cow<'a, Provenance>>,
    /// How often the record was given to that transform, or to all where none failed.
    pub attempts: u32,
    /// When it was first given; `None`: never.
    pub first_attempt_ms: Option<i64>,
    /// When it was given up.
    pub failed_ms: i64,
    /// The record.
    pub original: Original<'a>,
    /// The output that failed, where it is known and not the record itself.
    pub output: Option<Content<'a>>,
    /// The transforms of the range, in order.
    pub transforms: Cow<'a, [Provenance]>,
    /// `sha256:` and the digest of the configuration.
    pub config_digest: Cow<'a, str>,
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
    condition: Condition,
    code: Cow<'a, str>,
    detail: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    backtrace: Vec<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    log: Cow<'a, str>,
    transform: Option<Cow<'a, Provenance>>,
    attempts: u32,
    first_attempt_at: Option<String>,
    first_attempt_ms: Option<i64>,
    failed_at: String,
    failed_ms: i64,
    #[serde(flatten)]
    original: Option<LineContent<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original_at_index: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<LineContent<'a>>,
    transforms: Cow<'a, [Provenance]>,
    config_digest: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct LineContent<'a> {
    timestamp: Option<String>,
    timestamp_ms: Option<i64>,
    key: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    value: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    headers: Vec<LineHeader<'a>>,
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

impl Content<'_> {
    /// Length of all bytes in it.
    fn bytes(&self) -> usize {
        let length = |bytes: &Option<Cow<'_, [u8]>>| bytes.as_ref().map_or(0, |bytes| bytes.len());
        let headers = self.headers.iter().map(|(name, value)| name.len() + length(value));
        length(&self.key) + length(&self.value) + headers.sum::<usize>()
    }

    fn line(&self) -> LineContent<'_> {
        let (key, key_base64) = split(self.key.as_deref());
        let (value, value_base64) = split(self.value.as_deref());
        let has_time = self.timestamp_ms != -1;
        LineContent {
            timestamp: has_time.then(|| rfc3339(self.timestamp_ms)),
            timestamp_ms: has_time.then_some(self.timestamp_ms),
            key,
            key_base64,
            value,
            value_base64,
            headers: self.headers.iter().map(line_header).collect(),
        }
    }

    fn read(line: LineContent<'_>) -> Result<Content<'static>, serde_json::Error> {
        let mut headers = Vec::with_capacity(line.headers.len());
        for header in line.headers {
            let name = join(header.name, header.name_base64)?.unwrap_or_default();
            headers.push((name, join(header.value, header.value_base64)?));
        }
        Ok(Content {
            timestamp_ms: line.timestamp_ms.unwrap_or(-1),
            key: join(line.key, line.key_base64)?,
            value: join(line.value, line.value_base64)?,
            headers,
        })
    }
}

impl DeadLetter<'_> {
    /// The record's timestamp, where the record stands here.
    pub(super) fn timestamp_ms(&self) -> i64 {
        match &self.original {
            Original::Here(content) => content.timestamp_ms,
            Original::AtIndex(_) => -1,
        }
    }

    /// About the length of the line.
    pub(super) fn bytes_hint(&self) -> usize {
        const WORDS: usize = 1024;
        let original = match &self.original {
            Original::Here(content) => content.bytes(),
            Original::AtIndex(_) => 0,
        };
        WORDS + self.detail.len() + original + self.output.as_ref().map_or(0, Content::bytes)
    }

    /// Appends the letter as one line, newline included.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        let (original, original_at_index) = match &self.original {
            Original::Here(content) => (Some(content.line()), None),
            Original::AtIndex(index) => (None, Some(*index)),
        };
        let line = Line {
            topic: Cow::Borrowed(&self.topic),
            partition: self.partition,
            offset: self.offset,
            index: self.index,
            sink: self.sink.as_deref().map(Cow::Borrowed),
            condition: self.condition,
            code: Cow::Borrowed(&self.code),
            detail: Cow::Borrowed(&self.detail),
            backtrace: self.backtrace.iter().map(|name| Cow::Borrowed(&**name)).collect(),
            log: Cow::Borrowed(&self.log),
            transform: self.transform.as_deref().map(Cow::Borrowed),
            attempts: self.attempts,
            first_attempt_at: self.first_attempt_ms.map(rfc3339),
            first_attempt_ms: self.first_attempt_ms,
            failed_at: rfc3339(self.failed_ms),
            failed_ms: self.failed_ms,
            original,
            original_at_index,
            output: self.output.as_ref().map(Content::line),
            transforms: Cow::Borrowed(&self.transforms),
            config_digest: Cow::Borrowed(&self.config_digest),
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
        let original = match (line.original_at_index, line.original) {
            (Some(index), _) => Original::AtIndex(index),
            (None, Some(content)) => Original::Here(Content::read(content)?),
            (None, None) => {
                let wrong = "neither the record (`key`, `value`, `headers`) nor `original_at_index`";
                return Err(serde::de::Error::custom(wrong));
            }
        };
        Ok(DeadLetter {
            topic: line.topic,
            partition: line.partition,
            offset: line.offset,
            index: line.index,
            sink: line.sink,
            condition: line.condition,
            code: line.code,
            detail: line.detail,
            backtrace: line.backtrace,
            log: line.log,
            transform: line.transform,
            attempts: line.attempts,
            first_attempt_ms: line.first_attempt_ms,
            failed_ms: line.failed_ms,
            original,
            output: line.output.map(Content::read).transpose()?,
            transforms: line.transforms,
            config_digest: line.config_digest,
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

    fn content() -> impl Strategy<Value = Content<'static>> {
        let headers = vec((bytes(), option::of(bytes())), 0..4);
        (any::<i64>(), option::of(bytes()), option::of(bytes()), headers).prop_map(
            |(timestamp_ms, key, value, headers)| Content {
                timestamp_ms,
                key: key.map(Cow::Owned),
                value: value.map(Cow::Owned),
                headers: headers
                    .into_iter()
                    .map(|(name, value)| (Cow::Owned(name), value.map(Cow::Owned)))
                    .collect(),
            },
        )
    }

    fn original() -> impl Strategy<Value = Original<'static>> {
        prop_oneof![content().prop_map(Original::Here), any::<u32>().prop_map(Original::AtIndex)]
    }

    fn condition() -> impl Strategy<Value = Condition> {
        prop_oneof![
            Just(Condition::ProcessingFailed),
            Just(Condition::Trap),
            Just(Condition::RetryAttemptsExhausted),
            Just(Condition::UnknownRoute),
            Just(Condition::SinkRefused),
        ]
    }

    fn provenance() -> Provenance {
        Provenance {
            name: String::from("parse"),
            plugin: String::from("access-log"),
            version: String::from("0.1.0"),
            digest: String::from("sha256:00"),
            grants: Vec::new(),
        }
    }

    proptest! {
        #[test]
        fn every_letter_reads_back_as_written_from_one_line(
            (offset, partition, failed_ms) in (any::<u64>(), any::<i32>(), any::<i64>()),
            (index, sink, attempts) in (option::of(any::<u32>()), option::of(".{0,8}"), any::<u32>()),
            (original, output) in (original(), option::of(content())),
            (condition, code, detail) in (condition(), "[A-Za-z]{1,10}", ".{0,40}"),
            (backtrace, log) in (vec(".{0,20}", 0..4), "\\PC{0,20}\n?"),
            (first_attempt_ms, has_transform) in (option::of(any::<i64>()), any::<bool>()),
        ) {
            let letter = DeadLetter {
                topic: Cow::Borrowed("access-logs"),
                partition,
                offset,
                index,
                sink: sink.map(Cow::Owned),
                condition,
                code: Cow::Owned(code),
                detail: Cow::Owned(detail),
                backtrace: backtrace.into_iter().map(Cow::Owned).collect(),
                log: Cow::Owned(log),
                transform: has_transform.then(|| Cow::Owned(provenance())),
                attempts,
                first_attempt_ms,
                failed_ms,
                original,
                output,
                transforms: Cow::Owned(vec![provenance()]),
                config_digest: Cow::Borrowed("sha256:11"),
            };
            let mut line = Vec::new();
            letter.write_line(&mut line);
            prop_assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
            prop_assert_eq!(DeadLetter::parse(&line).expect("a letter"), letter);
        }
    }

    fn letter() -> DeadLetter<'static> {
        DeadLetter {
            topic: Cow::Borrowed("t"),
            partition: 3,
            offset: 42,
            index: Some(1),
            sink: Some(Cow::Borrowed("lake")),
            condition: Condition::SinkRefused,
            code: Cow::Borrowed("NotJson"),
            detail: Cow::Borrowed("not JSON at byte 0: expected a value"),
            backtrace: Vec::new(),
            log: Cow::Borrowed(""),
            transform: None,
            attempts: 1,
            first_attempt_ms: Some(5),
            failed_ms: 5,
            original: Original::Here(Content {
                timestamp_ms: 0,
                key: Some(Cow::Borrowed(b"\xff")),
                value: None,
                headers: vec![(Cow::Borrowed(b"trace"), None)],
            }),
            output: Some(Content {
                timestamp_ms: -1,
                value: Some(Cow::Borrowed(b"GET /")),
                ..Content::default()
            }),
            transforms: Cow::Owned(Vec::new()),
            config_digest: Cow::Borrowed("sha256:11"),
        }
    }

    fn line(letter: &DeadLetter<'_>) -> String {
        let mut line = Vec::new();
        letter.write_line(&mut line);
        String::from_utf8(line).expect("text")
    }

    #[test]
    fn a_letter_is_read_by_people() {
        let expected = concat!(
            r#"{"topic":"t","partition":3,"offset":42,"index":1,"sink":"lake","condition":"SinkRefused","#,
            r#""code":"NotJson","detail":"not JSON at byte 0: expected a value","transform":null,"attempts":1,"#,
            r#""first_attempt_at":"1970-01-01T00:00:00.005Z","first_attempt_ms":5,"#,
            r#""failed_at":"1970-01-01T00:00:00.005Z","failed_ms":5,"#,
            r#""timestamp":"1970-01-01T00:00:00.000Z","timestamp_ms":0,"key":null,"key_base64":"/w==","#,
            r#""value":null,"headers":[{"name":"trace","value":null}],"#,
            r#""output":{"timestamp":null,"timestamp_ms":null,"key":null,"value":"GET /","headers":[]},"#,
            r#""transforms":[],"config_digest":"sha256:11"}"#,
            "\n"
        );
        assert_eq!(line(&letter()), expected);
        let of_a_trap = DeadLetter {
            condition: Condition::Trap,
            backtrace: vec![Cow::Borrowed("inner"), Cow::Borrowed("outer")],
            log: Cow::Borrowed("I was here\n"),
            transform: Some(Cow::Owned(provenance())),
            original: Original::AtIndex(0),
            output: None,
            ..letter()
        };
        let text = line(&of_a_trap);
        let members = [
            r#""backtrace":["inner","outer"],"log":"I was here\n","transform":{"name":"parse","#,
            r#""failed_ms":5,"original_at_index":0,"transforms":[]"#,
        ];
        members.iter().for_each(|part| assert!(text.contains(part), "{part} in {text}"));
    }

    #[test]
    fn what_is_no_letter_is_refused() {
        assert!(DeadLetter::parse(b"{}").is_err());
        let text = line(&letter());
        let later = text.replace("\"partition\":3", "\"partition\":3,\"later\":1");
        assert_eq!(
            DeadLetter::parse(later.as_bytes()).expect("members that are not known are ignored"),
            letter()
        );
        let broken = text.replace("/w==", "?");
        assert!(DeadLetter::parse(broken.as_bytes()).is_err());
        let headless = text.replace("\"value\":null,\"headers\":[{\"name\":\"trace\",\"value\":null}],", "");
        let refused = DeadLetter::parse(headless.as_bytes()).expect_err("where is the record?").to_string();
        assert!(refused.contains("original_at_index"), "{refused}");
    }
}
