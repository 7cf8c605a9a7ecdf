//! The validated configuration: what the rest of the host sees.
//!
//! Owns meaning and units; the text form is `raw`. Invariant: a value of these types has passed every
//! check that needs no network and no file, every path is absolute, and every `${}` is expanded.

mod host;
mod transform;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

pub use host::*;
pub use transform::*;

use super::{Kept, Secret};

/// One pipeline.toml.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Consumer group, metric label, owner in the ledger.
    pub name: String,
    /// The stream.
    pub source: Source,
    /// Bounds of one plugin call.
    pub batch: Batch,
    /// When a range ends.
    pub cut: Cut,
    /// Which records are taken; `None`: all.
    pub filter: Option<Filter>,
    /// What happens to records, in order.
    pub transforms: Vec<Transform>,
    /// Where they go, by name.
    pub sinks: BTreeMap<String, Sink>,
    /// Where those go that failed.
    pub dead_letter: DeadLetter,
    /// Where the ledger is; `None`: `_vanne` at the root of the sinks' one bucket.
    pub ledger: Option<Ledger>,
    /// How new versions are taken in and watched.
    pub swap: Swap,
    /// Facts about the process.
    pub host: Host,
    /// What of the file a revision fixes, as it is kept in the ledger.
    pub kept: Kept,
    /// `sha256:` and the digest of the kept configuration: what entries call `config_digest`.
    pub digest: String,
    /// Folder of the file: where relative paths start.
    pub folder: PathBuf,
    /// The file itself, an absolute path; `None`: a text that was in no file.
    pub file: Option<PathBuf>,
}

/// The `[dead_letter]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where the objects are; `None`: `dead/<pipeline>/` beside `_vanne/`.
    pub location: Option<Location>,
    /// A topic of the source's Kafka that gets each of them as well, never one of the source's own.
    pub topic: Option<String>,
}

/// The `[source]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// A real Kafka, or the one in this process.
    pub broker: Broker,
    /// Topics, at least one, none twice.
    pub topics: Vec<String>,
    /// Consumer group.
    pub group: String,
    /// Where a topic without a chain begins.
    pub start: Start,
    /// Further librdkafka properties; never one that Vanne owns.
    pub properties: BTreeMap<String, Secret>,
}

#[cfg(test)]
impl Source {
    /// A topic of a real Kafka that nothing connects to, with these properties.
    pub(crate) fn for_tests(topic: &str, properties: &[(&str, &str)]) -> Self {
        let secret = |(key, value): &(&str, &str)| ((*key).to_owned(), Secret::new(*value));
        Self {
            broker: Broker::Kafka { brokers: String::from("localhost:9092") },
            topics: vec![topic.to_owned()],
            group: String::from("g"),
            start: Start::Earliest,
            properties: properties.iter().map(secret).collect(),
        }
    }
}

/// Which broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broker {
    /// `type = "kafka"`: `host:port` of the first brokers to ask.
    Kafka {
        /// Comma-separated, each with its port.
        brokers: String,
    },
    /// `type = "embedded"`: a broker in this process, for trying and testing.
    Embedded {
        /// Partitions of each topic (1 to 64).
        partitions: i32,
        /// What is put into the first topic.
        feed: Feed,
    },
}

/// What an embedded broker is fed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Where records come from.
    pub from: FeedFrom,
    /// At most so many records; `None`: all (a generator needs a number).
    pub records: Option<u64>,
    /// Seed of the generator.
    pub seed: u64,
}

/// Where fed records come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedFrom {
    /// The lines of a file.
    File(PathBuf),
    /// The lines of standard input.
    Standard,
    /// Made-up access-log lines.
    AccessLog,
}

/// Where a topic without a chain begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record.
    Earliest,
    /// At the end, as it is when the topic is first seen.
    Latest,
    /// At the first record at or after this time, milliseconds since 1970 UTC.
    Time(i64),
    /// At these offsets, by topic and partition; partitions not named start at the earliest.
    Offsets(BTreeMap<String, BTreeMap<i32, u64>>),
}

/// The `[batch]` table: whichever comes first ends a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Bytes of keys, values and headers (default 1 MiB).
    pub bytes: NonZeroUsize,
    /// Records (default 10,000).
    pub records: NonZeroUsize,
    /// Time since its first record (default 500 ms).
    pub window: Duration,
}

/// The `[cut]` table: whichever comes first ends a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Wall time since the first buffered record (default 300 s, as Firehose).
    pub interval: Duration,
    /// Bytes over all sinks, counted after compression; `None`: no such bound.
    pub size: Option<u64>,
    /// Records read; `None`: no such bound.
    pub records: Option<u64>,
    /// An age cut of fewer bytes waits for more (default 1 MiB, or `size` where that is less; 0 once
    /// `interval` is written); never more than `size`.
    pub min_size: u64,
    /// But not longer than this (default 900 s, or `interval` where that is longer); never less than `interval`.
    pub max_interval: Duration,
}

/// The `[filter]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// JSON texts, one of which must match; [`crate::filter::Filter::parse`] takes them.
    pub patterns: Vec<String>,
    /// What becomes of a record whose value or key a pattern looks into though it is not JSON.
    pub not_json: NotJson,
}

/// What becomes of a record that can't be filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotJson {
    /// It is dropped, as AWS does.
    Drop,
    /// It becomes a dead letter.
    DeadLetter,
}

/// A `[sinks.NAME]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// `type = "object-store"`.
    ObjectStore(ObjectSink),
}

/// Where something is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// `s3://bucket/path`, `gs://…`, `az://…`, `abfs(s)://…`, `file:///…` (a plain path has become one);
    /// no password, no query, no `/` at the end.
    pub url: url::Url,
    /// The `object_store` crate's own option names; values may be secret.
    pub options: BTreeMap<String, Secret>,
}

/// An `object-store` sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSink {
    /// Where objects go.
    pub location: Location,
    /// What stands before their names.
    pub prefix: Prefix,
    /// What stands in them (default JSON lines).
    pub format: Format,
    /// How they are compressed (default zstd).
    pub compression: Compression,
    /// Compressed size at which an object is closed (default 64 MiB).
    pub buffer_bytes: u64,
    /// Whether it takes records that name no route (default true).
    pub default: bool,
}

/// A validated prefix expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Its parts, in order.
    pub parts: Vec<PrefixPart>,
}

impl Prefix {
    /// The folder in which all of its paths lie: what is written before the first expression, up to the
    /// last `/`.
    #[must_use]
    pub fn folder(&self) -> &str {
        let Some(PrefixPart::Text(text)) = self.parts.first() else { return "" };
        text.rfind('/').map_or("", |slash| &text[..=slash])
    }
}

/// A part of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrefixPart {
    /// As it is.
    Text(String),
    /// `!{timestamp:PATTERN}` of the oldest record, UTC, in parts of the pattern.
    Timestamp(Vec<TimePart>),
    /// `!{topic}`.
    Topic,
    /// `!{partition}`.
    Partition,
}

/// A part of a timestamp pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimePart {
    /// As it is.
    Text(String),
    /// `yyyy`.
    Year,
    /// `MM`.
    Month,
    /// `dd`.
    Day,
    /// `HH`.
    Hour,
    /// `mm`.
    Minute,
    /// `ss`.
    Second,
}

/// What an object holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The value and a newline.
    Raw,
    /// One JSON text a line.
    JsonLines,
}

/// How an object is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// The `[ledger]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Where it is.
    pub location: Location,
    /// A local ledger is on a file system that several machines share.
    pub shared: bool,
}
