//! The validated configuration: what the rest of the host sees.
//!
//! Owns meaning and units; the text form is `raw`. Invariant: a value of these types has passed every
//! check that needs no network and no file, every path is absolute, and every `${}` is expanded.

use std::collections::BTreeMap;
use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use super::Secret;

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
    /// Where those go that failed; `None`: `dead/<pipeline>/` beside `_vanne/`.
    pub dead_letter: Option<Location>,
    /// Where the ledger is; `None`: `_vanne` at the root of the sinks' one bucket.
    pub ledger: Option<Ledger>,
    /// Facts about the process.
    pub host: Host,
    /// `sha256:` and the digest of the file as written.
    pub digest: String,
    /// Folder of the file: where relative paths start.
    pub folder: PathBuf,
}

/// The `[source]` table.
#[derive(Clone, Debug)]
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

/// Which broker.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
pub struct Feed {
    /// Where records come from.
    pub from: FeedFrom,
    /// At most so many records; `None`: all (a generator needs a number).
    pub records: Option<u64>,
    /// Seed of the generator.
    pub seed: u64,
}

/// Where fed records come from.
#[derive(Clone, Debug)]
pub enum FeedFrom {
    /// The lines of a file.
    File(PathBuf),
    /// The lines of standard input.
    Standard,
    /// Made-up access-log lines.
    AccessLog,
}

/// Where a topic without a chain begins.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
pub struct Batch {
    /// Bytes of keys, values and headers (default 1 MiB).
    pub bytes: NonZeroUsize,
    /// Records (default 10,000).
    pub records: NonZeroUsize,
    /// Time since its first record (default 500 ms).
    pub window: Duration,
}

/// The `[cut]` table: whichever comes first ends a range.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
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

/// One of `[[transforms]]`. `Debug` hides `config`, which may hold a secret.
#[derive(Clone)]
pub struct Transform {
    /// Unique in the pipeline.
    pub name: String,
    /// The component's file.
    pub plugin: PathBuf,
    /// How to build it.
    pub build: Option<Build>,
    /// JSON object handed to the plugin's `configure` (default `{}`); may hold secrets.
    pub config: String,
    /// What it may use.
    pub limits: Limits,
}

impl fmt::Debug for Transform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, plugin, build, config: _, limits } = self;
        formatter
            .debug_struct("Transform")
            .field("name", name)
            .field("plugin", plugin)
            .field("build", build)
            .field("config", &"***")
            .field("limits", limits)
            .finish()
    }
}

/// How to make a plugin's file.
#[derive(Clone, Debug)]
pub struct Build {
    /// Run by `sh -c`.
    pub command: String,
    /// In this folder.
    pub dir: PathBuf,
}

/// What a transform may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Linear memory of one instance (default 256 MiB).
    pub memory: usize,
    /// Time of one call (default 3 s).
    pub timeout: Duration,
}

/// A `[sinks.NAME]` table.
#[derive(Clone, Debug)]
pub enum Sink {
    /// `type = "object-store"`.
    ObjectStore(ObjectSink),
}

/// Where something is kept.
#[derive(Clone, Debug)]
pub struct Location {
    /// `s3://bucket/path`, `gs://…`, `az://…`, `abfs(s)://…`, `file:///…` (a plain path has become one);
    /// no password, no query, no `/` at the end.
    pub url: url::Url,
    /// The `object_store` crate's own option names; values may be secret.
    pub options: BTreeMap<String, Secret>,
}

/// An `object-store` sink.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Where it is.
    pub location: Location,
    /// A local ledger is on a file system that several machines share.
    pub shared: bool,
}

/// The `[host]` table.
#[derive(Clone, Debug)]
pub struct Host {
    /// Memory of the process (default 1 GiB).
    pub memory: u64,
    /// CPU threads; `None`: as many as cores.
    pub threads: Option<NonZeroU32>,
    /// Folder of the component cache; `None`: the user's cache folder.
    pub cache: Option<PathBuf>,
}
