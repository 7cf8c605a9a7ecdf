//! A dead letter as a message: the record as it was, and why it failed in headers behind its own.
//!
//! Owns the names of those headers, which `host/docs/dead-letters.md` lists, and their bounds. Pure.
//! Invariant: the same letter of the same entry always makes the same message.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::batch::{Content, DeadLetter, Original};
use crate::clock::rfc3339;
use crate::ledger::Entry;
use crate::sink::kafka::{Header, Message};

/// Bytes of one header's value at the most. The whole text is in the object; brokers take 1 MB for all of
/// a message by default.
const TEXT_BYTES_MAX: usize = 1024;

/// Makes messages of an object's bytes, which come in pieces.
#[derive(Debug)]
pub(super) struct Reader {
    pipeline: String,
    nonce: String,
    object: String,
    partitions: i32,
    /// The start of a line whose end has not come yet.
    begun: Vec<u8>,
    /// The last record, for letters that do not hold it.
    record: Option<Record>,
    unread: u64,
}

/// A record as it was read from the topic.
#[derive(Clone, Debug)]
struct Record {
    topic: String,
    partition: i32,
    offset: u64,
    timestamp_ms: i64,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Arc<[Header]>,
}

impl Reader {
    /// For an object of an entry, which stands at `object`.
    pub(super) fn new(entry: &Entry, object: String, partitions: i32) -> Self {
        Self {
            pipeline: entry.pipeline.clone(),
            nonce: entry.nonce.clone(),
            object,
            partitions: partitions.max(1),
            begun: Vec::new(),
            record: None,
            unread: 0,
        }
    }

    /// The messages of all lines that end in this piece.
    pub(super) fn take(&mut self, piece: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if part.last() != Some(&b'\n') {
                self.begun.extend_from_slice(part);
            } else if self.begun.is_empty() {
                messages.extend(self.read(part));
            } else {
                let mut line = std::mem::take(&mut self.begun);
                line.extend_from_slice(part);
                messages.extend(self.read(&line));
            }
        }
        messages
    }

    /// How many lines were no dead letters.
    pub(super) fn finish(self) -> u64 {
        self.unread + u64::from(!self.begun.is_empty())
    }

    fn read(&mut self, line: &[u8]) -> Option<Message> {
        let message = DeadLetter::parse(line).ok().and_then(|letter| self.message(letter));
        self.unread += u64::from(message.is_none());
        message
    }

    fn message(&mut self, letter: DeadLetter<'static>) -> Option<Message> {
        let mut letter = letter;
        if let Original::Here(content) = &mut letter.original {
            let content = std::mem::take(content);
            self.record = Some(Record::of(&letter, content));
        }
        let record = self.record.as_ref().filter(|record| record.is_of(&letter))?;
        Some(Message {
            partition: letter.partition.rem_euclid(self.partitions),
            key: record.key.clone(),
            value: record.value.clone(),
            headers: Arc::clone(&record.headers),
            added: self.added(&letter, record.timestamp_ms),
        })
    }

    /// The headers that say what happened.
    fn added(&self, letter: &DeadLetter<'_>, timestamp_ms: i64) -> Vec<(&'static str, String)> {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let transform = letter.transform.as_deref();
        let of_transform =
            |text: fn(&crate::batch::Provenance) -> &String| transform.map(|it| bounded(text(it)));
        let has_time = timestamp_ms != -1;
        let all = [
            ("vanne.pipeline", Some(bounded(&self.pipeline))),
            ("vanne.topic", Some(bounded(&letter.topic))),
            ("vanne.partition", Some(letter.partition.to_string())),
            ("vanne.offset", number(Some(letter.offset))),
            ("vanne.index", number(letter.index.map(u64::from))),
            ("vanne.sink", letter.sink.as_deref().map(bounded)),
            ("vanne.nonce", Some(self.nonce.clone())),
            ("vanne.timestamp", has_time.then(|| rfc3339(timestamp_ms))),
            ("vanne.condition", Some(format!("{:?}", letter.condition))),
            ("vanne.code", Some(bounded(&letter.code))),
            ("vanne.detail", Some(bounded(&letter.detail))),
            ("vanne.transform", of_transform(|it| &it.name)),
            ("vanne.plugin", of_transform(|it| &it.plugin)),
            ("vanne.version", of_transform(|it| &it.version)),
            ("vanne.digest", of_transform(|it| &it.digest)),
            ("vanne.config_digest", Some(bounded(&letter.config_digest))),
            ("vanne.attempts", Some(letter.attempts.to_string())),
            ("vanne.first_attempt_at", letter.first_attempt_ms.map(rfc3339)),
            ("vanne.failed_at", Some(rfc3339(letter.failed_ms))),
            ("vanne.object", Some(bounded(&self.object))),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

impl Record {
    fn of(letter: &DeadLetter<'_>, content: Content<'static>) -> Self {
        let bytes = |bytes: Cow<'static, [u8]>| Bytes::from(bytes.into_owned());
        let headers = content.headers.into_iter().map(|(name, value)| (bytes(name), value.map(bytes)));
        Self {
            topic: letter.topic.clone().into_owned(),
            partition: letter.partition,
            offset: letter.offset,
            timestamp_ms: content.timestamp_ms,
            key: content.key.map(bytes),
            value: content.value.map(bytes),
            headers: headers.collect(),
        }
    }

    fn is_of(&self, letter: &DeadLetter<'_>) -> bool {
        (&*self.topic, self.partition, self.offset) == (&*letter.topic, letter.partition, letter.offset)
    }
}

/// The start of a text, cut between letters.
fn bounded(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let mut end = TEXT_BYTES_MAX - '…'.len_utf8();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::super::testing::entry;
    use super::*;
    use crate::batch::Provenance;
    use crate::record::Condition;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn letter(offset: u64, index: Option<u32>, original: Original<'static>) -> DeadLetter<'static> {
        DeadLetter {
            topic: "t".into(),
            partition: 5,
            offset,
            index,
            sink: None,
            condition: Condition::Trap,
            code: "Trap".into(),
            detail: "unreachable".into(),
            backtrace: Vec::new(),
            log: "".into(),
            transform: Some(Cow::Owned(Provenance {
                name: "parse".into(),
                plugin: "access-log".into(),
                version: "0.1.0".into(),
                digest: "sha256:aa".into(),
                grants: Vec::new(),
            })),
            attempts: 4,
            first_attempt_ms: Some(0),
            failed_ms: 1_000,
            original,
            output: None,
            transforms: Cow::Owned(Vec::new()),
            config_digest: "sha256:c0".into(),
        }
    }

    fn here(value: &'static [u8]) -> Original<'static> {
        Original::Here(Content {
            timestamp_ms: 7,
            key: Some(Cow::Borrowed(b"\xff")),
            value: Some(Cow::Borrowed(value)),
            headers: vec![(Cow::Borrowed(b"vanne.code"), None)],
        })
    }

    fn object(letters: &[DeadLetter<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        letters.iter().for_each(|letter| letter.write_line(&mut bytes));
        bytes
    }

    fn reader() -> Reader {
        Reader::new(&entry(), String::from("s3://lake/dead/x.jsonl"), 4)
    }

    #[test]
    fn a_message_is_the_record_with_headers_behind_its_own() {
        let messages = reader().take(&object(&[letter(3, None, here(b"value"))]));
        let [message] = &messages[..] else { panic!("one: {messages:?}") };
        assert_eq!(
            (message.key.as_deref(), message.value.as_deref()),
            (Some(&b"\xff"[..]), Some(&b"value"[..]))
        );
        assert_eq!(message.headers[..], [(Bytes::from_static(b"vanne.code"), None)]);
        assert_eq!(message.partition, 1);
        let added: Vec<_> = message.added.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let expected = [
            ("vanne.pipeline", "logs"),
            ("vanne.topic", "t"),
            ("vanne.partition", "5"),
            ("vanne.offset", "3"),
            ("vanne.nonce", "00000000000000aa"),
            ("vanne.timestamp", "1970-01-01T00:00:00.007Z"),
            ("vanne.condition", "Trap"),
            ("vanne.code", "Trap"),
            ("vanne.detail", "unreachable"),
            ("vanne.transform", "parse"),
            ("vanne.plugin", "access-log"),
            ("vanne.version", "0.1.0"),
            ("vanne.digest", "sha256:aa"),
            ("vanne.config_digest", "sha256:c0"),
            ("vanne.attempts", "4"),
            ("vanne.first_attempt_at", "1970-01-01T00:00:00.000Z"),
            ("vanne.failed_at", "1970-01-01T00:00:01.000Z"),
            ("vanne.object", "s3://lake/dead/x.jsonl"),
        ];
        assert_eq!(added, expected);
    }

    #[test]
    fn letters_without_the_record_get_that_of_the_one_before() {
        let letters = [
            letter(3, Some(0), here(b"first")),
            letter(3, Some(1), Original::AtIndex(0)),
            letter(4, Some(0), here(b"second")),
            letter(4, Some(2), Original::AtIndex(0)),
            // Such an object is never written: its record is nowhere.
            letter(5, Some(1), Original::AtIndex(0)),
        ];
        let mut reader = reader();
        let messages = reader.take(&object(&letters));
        let values: Vec<_> =
            messages.iter().map(|message| message.value.as_deref().expect("a value")).collect();
        assert_eq!(values, [&b"first"[..], b"first", b"second", b"second"]);
        assert_eq!(reader.finish(), 1);
    }

    #[test]
    fn lines_that_are_no_letters_are_counted_and_pass_nothing_by() {
        let mut bytes = b"{\"an\": \"older letter\"}\n\n".to_vec();
        bytes.extend(object(&[letter(3, None, here(b"value"))]));
        bytes.extend(b"{\"torn");
        let mut reader = reader();
        assert_eq!(reader.take(&bytes).len(), 1);
        assert_eq!(reader.finish(), 3);
    }

    #[test]
    fn long_texts_are_cut_between_letters() {
        let long = DeadLetter { detail: Cow::Owned("ä".repeat(5_000)), ..letter(3, None, here(b"")) };
        let messages = reader().take(&object(&[long]));
        let detail = messages[0].added.iter().find(|(name, _)| *name == "vanne.detail").expect("it is there");
        assert!(detail.1.len() <= TEXT_BYTES_MAX && detail.1.ends_with("ä…"), "{}", detail.1);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_an_object_comes_in_pieces(
            outputs in vec(0_u32..4, 0..12),
            cuts in vec(0_usize..2_000, 0..8),
        ) {
            let mut letters = Vec::new();
            for (offset, outputs) in (0_u64..).zip(&outputs) {
                letters.push(letter(offset, Some(0), here(b"a value\nof two lines")));
                letters.extend((1..*outputs).map(|index| letter(offset, Some(index), Original::AtIndex(0))));
            }
            let bytes = object(&letters);
            let whole = reader().take(&bytes);
            prop_assert_eq!(whole.len(), letters.len());
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut reader = reader();
            let pieces = cuts.windows(2).flat_map(|pair| reader.take(&bytes[pair[0]..pair[1]])).collect::<Vec<_>>();
            prop_assert_eq!(pieces, whole);
            prop_assert_eq!(reader.finish(), 0);
        }
    }
}
