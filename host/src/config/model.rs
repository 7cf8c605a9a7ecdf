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
    /// Where those go that failed.
    pub dead_letter: DeadLetter,
    /// Where the ledger is; `None`: `_vanne` at the root of the sinks' one bucket.
    pub ledger: Option<Ledger>,
    /// Facts about the process.
    pub host: Host,
    /// `sha256:` and the digest of the file as written.
    pub digest: String,
    /// Folder of the file: where relative paths start.
    pub folder: PathBuf,
}

/// The `[dead_letter]` table.
#[derive(Clone, Debug, Default)]
pub struct DeadLetter {
    /// Where the objects are; `None`: `dead/<pipeline>/` beside `_vanne/`.
    pub location: Option<Location>,
    /// A topic of the source's Kafka that gets each of them as well, never one of the source's own.
    pub topic: Option<String>,
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
    /// What it may reach.
    pub grants: Grants,
    /// What happens when it fails.
    pub policy: Policy,
}

impl fmt::Debug for Transform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, plugin, build, config: _, limits, grants, policy } = self;
        formatter
            .debug_struct("Transform")
            .field("name", name)
            .field("plugin", plugin)
            .field("build", build)
            .field("config", &"***")
            .field("limits", limits)
            .field("grants", grants)
            .field("policy", policy)
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes (default 256 MiB).
    pub memory: usize,
    /// Time of one call (default 3 s, as AWS Lambda).
    pub timeout: Duration,
    /// Bytes that one call may give back (default 64 MiB).
    pub output: usize,
    /// Elements of all tables of one instance together (default 1,000,000).
    pub table_elements: usize,
    /// Core instances that one component may consist of (default 100).
    pub instances: usize,
    /// Lines that an instance may log in a second (default 100); the rest is counted and left out.
    pub log_lines: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            timeout: Duration::from_secs(3),
            output: 64 << 20,
            table_elements: 1_000_000,
            instances: 100,
            log_lines: 100,
        }
    }
}

/// What a transform may reach beyond its records; by default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// The host's clocks instead of the virtual one.
    pub clock: bool,
    /// The system's random numbers instead of the seeded ones.
    pub random: bool,
    /// Names of environment variables of the host that it sees.
    pub env: Vec<String>,
    /// Folders that it may read: the path that it sees, and the folder on this machine.
    pub files: BTreeMap<String, PathBuf>,
    /// Peers that it may open a TCP connection to.
    pub network: Vec<Peer>,
}

impl Grants {
    /// What is granted, in texts that stay the same from one version to the next, such as `clock`,
    /// `env:REGION`, `files:/geo`, `network:api.example.com:443`; never a value or a path of this machine.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let Self { clock, random, env, files, network } = self;
        let flags = [(*clock, "clock"), (*random, "random")].into_iter().filter(|(granted, _)| *granted);
        let mut names: Vec<_> = flags.map(|(_, name)| name.to_owned()).collect();
        names.extend(env.iter().map(|name| format!("env:{name}")));
        names.extend(files.keys().map(|path| format!("files:{path}")));
        names.extend(network.iter().map(|peer| format!("network:{peer}")));
        names
    }

    /// Whether a call of the host may take time: it can wait for a peer, a disk or a clock.
    #[must_use]
    pub fn may_block(&self) -> bool {
        self.clock || !self.files.is_empty() || !self.network.is_empty()
    }
}

/// An end of a TCP connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The port; never 0.
    pub port: u16,
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        // Only an address of IPv6 has a colon.
        if host.contains(':') {
            write!(formatter, "[{host}]:{port}")
        } else {
            write!(formatter, "{host}:{port}")
        }
    }
}

/// What happens when a transform fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How often a record is asked about again at the plugin's wish (default 3); `None`: without end.
    pub retries: Option<u32>,
    /// Records older than this when their turn comes are failures; `None` (the default): none are.
    pub max_record_age: Option<Duration>,
    /// What becomes of a record that failed.
    pub on_error: OnError,
    /// What a plugin's `fatal` does after it has succeeded once.
    pub on_fatal: OnFatal,
    /// When the lane is held, because the plugin fails too often; `None`: never.
    pub circuit_breaker: Option<CircuitBreaker>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            retries: Some(3),
            max_record_age: None,
            on_error: OnError::DeadLetter,
            on_fatal: OnFatal::Bisect,
            circuit_breaker: Some(CircuitBreaker::default()),
        }
    }
}

/// What becomes of a record that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// It is a dead letter.
    DeadLetter,
    /// It is counted as dropped.
    Drop,
    /// The pipeline stops before it.
    Stop,
}

/// What a plugin's `fatal` does after it has succeeded once. (Before that it always stops the pipeline.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFatal {
    /// It is a failure of the batch, and the records to blame are looked for.
    Bisect,
    /// It stops the pipeline.
    Stop,
}

/// When a transform holds its lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitBreaker {
    /// Share of failed records, in percent (default 50).
    pub max_failures_percent: u32,
    /// But only of at least so many records (default 1,000).
    pub records: u64,
    /// In this time (default 60 s).
    pub window: Duration,
    /// How long the lane is held before the next batch is tried (default 60 s).
    pub pause: Duration,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self { max_failures_percent: 50, records: 1_000, window: minute, pause: minute }
    }
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
