//! What objects are called.
//!
//! Owns the form of final paths: `<sink prefix><prefix><topic>-<partition>-<start>-<n>-<nonce>.<ext>`, and the
//! reverse of its last part.
//! Invariant: two objects of different entries, attempts or numbers never share a path, whatever the
//! prefix; sorting the names of one partition in one folder sorts them by offset.

use std::fmt::{self, Write as _};

use sha2::{Digest, Sha256};

use crate::clock;
use crate::config::{Compression, Format, Prefix, PrefixPart, TimePart};

/// Longest topic that stands in names as it is; Kafka allows 249 letters, a file name has 255 bytes.
const TOPIC_BYTES_MAX: usize = 150;

/// Timestamp of a record to which the broker gave none.
const NO_TIMESTAMP: i64 = -1;

/// What an object's name tells.
#[derive(Clone, Copy, Debug)]
pub struct ObjectName<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// First offset of the range.
    pub start: u64,
    /// Nonce of the attempt.
    pub nonce: &'a str,
    /// Number of the object among those of its sink in this range, from 0.
    pub number: u32,
    /// Timestamp of the oldest record in it, milliseconds since 1970 UTC; -1 where there is none.
    pub oldest_ms: i64,
    /// When the range was cut, which stands in for a timestamp that is not there.
    pub cut_ms: i64,
}

impl ObjectName<'_> {
    /// The path from the store's root. `sink_prefix` is what the sink's url holds after the bucket, with
    /// its last `/`; `extension` comes from [`extension`].
    #[must_use]
    pub fn path(&self, sink_prefix: &str, prefix: &Prefix, extension: &str) -> String {
        let time_ms = if self.oldest_ms == NO_TIMESTAMP { self.cut_ms } else { self.oldest_ms };
        let mut path = String::from(sink_prefix);
        path.push_str(&expand(prefix, time_ms, self.topic, self.partition));
        let nonce = self.nonce.get(..NONCE_DIGITS).unwrap_or(self.nonce);
        write!(
            path,
            "{}-{}-{:020}-{:04}-{nonce}.{extension}",
            short(self.topic),
            self.partition,
            self.start,
            self.number
        )
        .expect("writing to a string can't fail");
        path
    }
}

/// Digits of the nonce that stand in a name.
const NONCE_DIGITS: usize = 8;

/// What the file name of an object tells, whichever pipeline and sink it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedName {
    /// The topic, cut where it is very long ([`ParsedName::is_of`]).
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// First offset of the range.
    pub start: u64,
    /// Number of the object among those of its sink in this range.
    pub number: u32,
    /// The first digits of the nonce.
    pub nonce: String,
    /// The end of the name, such as `jsonl.zst`.
    pub extension: &'static str,
}

impl ParsedName {
    /// The reverse of the last part of [`ObjectName::path`]; `None` for every file name that it would not
    /// give.
    #[must_use]
    pub fn parse(file: &str) -> Option<Self> {
        let (rest, end) = file.rsplit_once('-')?;
        let (nonce, end) = end.split_once('.')?;
        let extension = extensions().find(|known| *known == end)?;
        let mut parts = rest.rsplitn(4, '-');
        let (number, start, partition) = (parts.next()?, parts.next()?, parts.next()?);
        let name = Self {
            topic: parts.next()?.to_owned(),
            partition: partition.parse().ok().filter(|partition| *partition >= 0)?,
            start: start.parse().ok()?,
            number: number.parse().ok()?,
            nonce: nonce.to_owned(),
            extension,
        };
        let is_nonce = nonce.len() == NONCE_DIGITS
            && nonce.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_topic = !name.topic.is_empty() && name.topic == short(&name.topic);
        (is_nonce && is_topic && name.to_string() == file).then_some(name)
    }

    /// Whether the object is of this topic, as far as its name tells.
    #[must_use]
    pub fn is_of(&self, topic: &str) -> bool {
        short(topic) == self.topic
    }

    /// The topic's name, where it stands in the object's name as it is.
    #[must_use]
    pub fn whole_topic(&self) -> Option<&str> {
        (self.topic.len() < TOPIC_BYTES_MAX).then_some(&self.topic)
    }
}

impl fmt::Display for ParsedName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, start, number, nonce, extension } = self;
        write!(formatter, "{topic}-{partition}-{start:020}-{number:04}-{nonce}.{extension}")
    }
}

/// A topic as it stands in names: cut where it is very long, and then told apart by a digest.
fn short(topic: &str) -> String {
    if topic.len() <= TOPIC_BYTES_MAX {
        return topic.to_owned();
    }
    let digest = Sha256::digest(topic.as_bytes());
    let tag = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let mut end = TOPIC_BYTES_MAX - 9;
    while !topic.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_{tag:08x}", &topic[..end])
}

/// Writes out a prefix: times in UTC, years in four digits (0000 to 9999).
#[must_use]
pub fn expand(prefix: &Prefix, time_ms: i64, topic: &str, partition: i32) -> String {
    // `yyyy-MM-ddTHH:mm:ss.fffZ`
    let time = clock::rfc3339(time_ms);
    let mut text = String::new();
    for part in &prefix.parts {
        match part {
            PrefixPart::Text(plain) => text.push_str(plain),
            PrefixPart::Topic => text.push_str(topic),
            PrefixPart::Partition => text.push_str(&partition.to_string()),
            PrefixPart::Timestamp(pattern) => {
                pattern.iter().for_each(|piece| text.push_str(time_piece(piece, &time)));
            }
        }
    }
    text
}

fn time_piece<'a>(piece: &'a TimePart, time: &'a str) -> &'a str {
    match piece {
        TimePart::Text(plain) => plain,
        TimePart::Year => &time[0..4],
        TimePart::Month => &time[5..7],
        TimePart::Day => &time[8..10],
        TimePart::Hour => &time[11..13],
        TimePart::Minute => &time[14..16],
        TimePart::Second => &time[17..19],
    }
}

/// The end of an object's name, as DuckDB, Spark, jq and file managers know it.
#[must_use]
pub fn extension(format: Format, compression: Compression) -> &'static str {
    match (format, compression) {
        (Format::JsonLines, Compression::None) => "jsonl",
        (Format::JsonLines, Compression::Gzip) => "jsonl.gz",
        (Format::JsonLines, Compression::Zstd) => "jsonl.zst",
        (Format::Raw, Compression::None) => "txt",
        (Format::Raw, Compression::Gzip) => "txt.gz",
        (Format::Raw, Compression::Zstd) => "txt.zst",
    }
}

/// Every extension that there is.
fn extensions() -> impl Iterator<Item = &'static str> {
    let formats = [Format::JsonLines, Format::Raw];
    let compressions = [Compression::None, Compression::Gzip, Compression::Zstd];
    formats.into_iter().flat_map(move |format| compressions.map(|compression| extension(format, compression)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hourly() -> Prefix {
        let slash = || TimePart::Text("/".into());
        let pattern =
            vec![TimePart::Year, slash(), TimePart::Month, slash(), TimePart::Day, slash(), TimePart::Hour];
        Prefix { parts: vec![PrefixPart::Timestamp(pattern), PrefixPart::Text("/".into())] }
    }

    fn name() -> ObjectName<'static> {
        ObjectName {
            topic: "access-logs",
            partition: 7,
            start: 9_999_999,
            nonce: "0123456789abcdef",
            number: 2,
            oldest_ms: 1_431_857_103_250,
            cut_ms: 1_700_000_000_000,
        }
    }

    #[test]
    fn a_name_reads_as_documented() {
        let path = name().path("access/", &hourly(), extension(Format::JsonLines, Compression::Zstd));
        assert_eq!(path, "access/2015/05/17/10/access-logs-7-00000000000009999999-0002-01234567.jsonl.zst");
    }

    #[test]
    fn a_record_without_a_time_takes_that_of_the_cut() {
        let path = ObjectName { oldest_ms: -1, ..name() }.path("", &hourly(), "jsonl");
        assert!(path.starts_with("2023/11/14/22/"), "{path}");
    }

    #[test]
    fn every_part_of_a_prefix_is_written_out() {
        let pattern = vec![
            TimePart::Text("t=".into()),
            TimePart::Year,
            TimePart::Month,
            TimePart::Day,
            TimePart::Hour,
            TimePart::Minute,
            TimePart::Second,
        ];
        let parts = vec![
            PrefixPart::Topic,
            PrefixPart::Text("/p=".into()),
            PrefixPart::Partition,
            PrefixPart::Text("/".into()),
            PrefixPart::Timestamp(pattern),
        ];
        let text = expand(&Prefix { parts }, 1_431_857_103_250, "logs", 12);
        assert_eq!(text, "logs/p=12/t=20150517100503");
    }

    #[test]
    fn names_that_no_object_has_are_told() {
        let right = "access-logs-7-00000000000009999999-0002-01234567.jsonl.zst";
        let name = ParsedName::parse(right).expect("an object has it");
        assert_eq!((&*name.topic, name.partition, name.start), ("access-logs", 7, 9_999_999));
        assert_eq!((name.number, &*name.nonce, name.extension), (2, "01234567", "jsonl.zst"));
        for wrong in [
            "",
            "data.jsonl",
            "7-00000000000009999999-0002-01234567.jsonl",
            "-7-00000000000009999999-0002-01234567.jsonl",
            "t-07-00000000000009999999-0002-01234567.jsonl",
            "t-+7-00000000000009999999-0002-01234567.jsonl",
            "t-2147483648-00000000000009999999-0002-01234567.jsonl",
            "t-7-9999999-0002-01234567.jsonl",
            "t-7-00000000000009999999-2-01234567.jsonl",
            "t-7-00000000000009999999-00002-01234567.jsonl",
            "t-7-00000000000009999999-0002-0123456.jsonl",
            "t-7-00000000000009999999-0002-0123456G.jsonl",
            "t-7-00000000000009999999-0002-01234567.parquet",
            "t-7-00000000000009999999-0002-01234567.jsonl.zst.tmp",
            "00000000000009999999-0123456789abcdef-lake-0.staged",
        ] {
            assert_eq!(ParsedName::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_read_as_it_was_written(
            topic in "[a-zA-Z0-9._-]{1,249}",
            (partition, start, number) in (0..i32::MAX, any::<u64>(), any::<u32>()),
            nonce in "[0-9a-f]{16}",
            extension in proptest::sample::select(extensions().collect::<Vec<_>>()),
        ) {
            let path = ObjectName { topic: &topic, partition, start, nonce: &nonce, number, ..name() }
                .path("a/b-c/", &hourly(), extension);
            let file = path.rsplit('/').next().unwrap_or_default();
            let read = ParsedName::parse(file).expect("it was written so");
            prop_assert_eq!((read.partition, read.start, read.number), (partition, start, number));
            prop_assert!(read.is_of(&topic) && nonce.starts_with(&read.nonce) && read.extension == extension);
            prop_assert!(read.whole_topic().is_none_or(|whole| whole == topic));
        }

        #[test]
        fn any_file_name_is_read_or_told(file in ".{0,60}") {
            prop_assert!(ParsedName::parse(&file).is_none_or(|name| name.to_string() == file));
        }

        #[test]
        fn different_objects_have_different_paths(
            topic in "[a-zA-Z0-9._-]{1,249}",
            one in (0..i32::MAX, any::<u64>(), 0..20_000_u32, "[0-9a-f]{16}"),
            two in (0..i32::MAX, any::<u64>(), 0..20_000_u32, "[0-9a-f]{16}"),
        ) {
            let path = |parts: &(i32, u64, u32, String)| {
                let (partition, start, number, nonce) = (parts.0, parts.1, parts.2, parts.3.as_str());
                ObjectName { topic: &topic, partition, start, nonce, number, ..name() }
                    .path("", &hourly(), "jsonl")
            };
            let same = (one.0, one.1, one.2) == (two.0, two.1, two.2) && one.3[..8] == two.3[..8];
            prop_assert_eq!(path(&one) == path(&two), same);
            let file = path(&one);
            prop_assert!(file.rsplit('/').next().unwrap_or_default().len() <= 255);
        }

        #[test]
        fn names_of_a_partition_sort_by_offset_and_number(
            (one, two) in (any::<(u64, u16)>(), any::<(u64, u16)>()),
        ) {
            let path = |(start, number): (u64, u16)| {
                let number = u32::from(number % 10_000);
                ObjectName { start, number, ..name() }.path("", &hourly(), "jsonl")
            };
            let key = |(start, number): (u64, u16)| (start, number % 10_000);
            prop_assert_eq!(path(one).cmp(&path(two)), key(one).cmp(&key(two)));
        }

        #[test]
        fn any_time_gives_a_clean_folder(time_ms in any::<i64>()) {
            let text = expand(&hourly(), time_ms, "logs", 0);
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            let parts: Vec<_> = text.split('/').collect();
            prop_assert_eq!(parts.len(), 5);
            prop_assert!(parts[0].len() == 4 && parts[..4].iter().all(|part| digits(part)), "{}", text);
        }
    }
}
