//! What a person sees: the `host` binary over a pipeline file, a real Kafka and a real MinIO, from the outside.
//!
//! Owns [`Scene`]: one pipeline with a topic and a bucket of its own. Knows nothing of the host's insides but the
//! names of its ledger's files. Crashes at random moments are the business of `crash`.

mod bad_input;
mod dead_letters;
mod decisions;
mod delivery;
mod edges;
mod lifecycle;
mod many_partitions;
mod policies;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::host::{Host, Launch, Pipeline};
use crate::support::kafka::{Committed, Kafka};
use crate::support::location::Location;
use crate::support::process::scratch;
use crate::support::reader::{Look, Reader, everything};
use crate::support::stores::{Kind, Store};
use crate::support::{PATIENCE, unique};

/// How long a run up to the end may take: seconds, on an idle machine.
const RUN: Duration = Duration::from_secs(90);

/// Bytes of a numbered record.
const RECORD: usize = 120;

/// One pipeline, its topic, its bucket, and the folder that its file lies in.
struct Scene<'k> {
    kafka: &'k Kafka,
    /// Name of the pipeline, and so of its group.
    name: String,
    topic: String,
    partitions: i32,
    bucket: Location,
    pipeline: Pipeline,
    folder: TempDir,
}

impl<'k> Scene<'k> {
    /// On the shared broker and MinIO: `lake/` of a new bucket gets what is in a new topic.
    fn new(stem: &str, partitions: i32) -> Self {
        Scene::at(Kafka::shared(), Store::shared(Kind::Minio).bucket(stem), stem, partitions)
    }

    /// On a broker of the test's own, which lives as long as the test, and a bucket anywhere.
    fn at(kafka: &'k Kafka, bucket: Location, stem: &str, partitions: i32) -> Self {
        let topic = kafka.topic(stem, partitions);
        let name = unique(stem);
        let pipeline = Pipeline::new(&name, kafka, &[&topic], &bucket.under("lake"))
            .set("cut.min_size", r#""0B""#)
            .set("cut.max_interval", r#""60s""#);
        Self { kafka, name, topic, partitions, bucket, pipeline, folder: scratch(stem) }
    }

    /// Changes the pipeline file.
    fn set(mut self, key: &str, value: impl Into<String>) -> Self {
        self.change(key, value);
        self
    }

    fn change(&mut self, key: &str, value: impl Into<String>) {
        self.pipeline = self.pipeline.clone().set(key, value);
    }

    /// The same topic and bucket under another name of the pipeline; the group stays as it is.
    fn renamed(&self, name: &str) -> Self {
        let pipeline = self
            .pipeline
            .clone()
            .set("name", format!("{name:?}"))
            .set("source.group", format!("{:?}", self.name));
        Self {
            kafka: self.kafka,
            name: self.name.clone(),
            topic: self.topic.clone(),
            partitions: self.partitions,
            bucket: self.bucket.clone(),
            pipeline,
            folder: scratch("renamed"),
        }
    }

    /// Produces the numbers of a range to every partition.
    fn produce(&self, numbers: std::ops::Range<u64>) {
        for partition in 0..self.partitions {
            self.kafka.produce_numbered(&self.topic, partition, numbers.clone(), RECORD);
        }
    }

    fn file(&self) -> PathBuf {
        self.pipeline.write(self.folder.path())
    }

    /// `host run`, started.
    fn start(&self) -> Host {
        Launch::run(&self.file()).start()
    }

    /// `host run --until-end`: ends with code 0. Answers its report.
    fn run_until_end(&self) -> Value {
        let (_, report) = self.run_until_end_as(0);
        report
    }

    /// `host run --until-end --json`: ends with this code. Answers the host, for its log, and its report.
    fn run_until_end_as(&self, code: i32) -> (Host, Value) {
        let mut host = Launch::run_until_end(&self.file()).argument("--json").start();
        host.expect_exit(RUN, code);
        let report = host.stdout().lines().last().and_then(|line| serde_json::from_str(line).ok());
        (host, report.unwrap_or_default())
    }

    /// `host run --until-end` is refused: code 1, and nothing in the lake that was not there. Answers what it said.
    fn refused(&self) -> String {
        let before = self.visible();
        let mut host = Launch::run_until_end(&self.file()).start();
        host.expect_exit(RUN, 1);
        assert_eq!(self.visible(), before, "a refused run delivers nothing");
        refusal_of(&host)
    }

    /// A command of the host about this pipeline's file; answers its standard output.
    fn command(&self, arguments: &[&str]) -> String {
        let mut host = self.start_command(arguments);
        host.expect_exit(RUN, 0);
        host.stdout()
    }

    /// The same, refused.
    fn command_refused(&self, arguments: &[&str]) -> String {
        let mut host = self.start_command(arguments);
        host.expect_exit(RUN, 1);
        refusal_of(&host)
    }

    fn start_command(&self, arguments: &[&str]) -> Host {
        let file = self.file();
        let launch = Launch::command(self.folder.path(), arguments);
        launch.argument(&file.to_string_lossy()).start()
    }

    fn lake(&self) -> Location {
        self.bucket.under("lake")
    }

    fn look(&self) -> Look {
        Reader::at(&self.lake()).look()
    }

    /// Exactly the numbers below `count` in every partition, each once, in order.
    fn assert_delivered(&self, count: u64) {
        self.look().assert_exactly_once(&(0..self.partitions).map(|partition| (partition, count)).collect());
    }

    /// Exactly these numbers in partition 0.
    fn assert_delivered_numbers(&self, numbers: impl IntoIterator<Item = u64>) {
        let numbers: BTreeSet<_> = numbers.into_iter().map(|number| (number, 0)).collect();
        self.look().assert_exactly(&BTreeMap::from([(0, numbers)]));
    }

    /// Paths of all that readers see.
    fn visible(&self) -> BTreeSet<String> {
        everything(&self.bucket).into_keys().filter(|path| !is_own(path)).collect()
    }

    /// The entries of all chains under all names, in order of topic, partition and start.
    fn entries(&self) -> Vec<Value> {
        entries(&self.bucket)
    }

    fn committed(&self) -> BTreeMap<i32, Committed> {
        self.kafka.committed(&self.name, &self.topic)
    }

    /// Each partition's commit stands at the end of its log, with the ledger's note about it.
    fn assert_committed(&self) {
        let committed = self.committed();
        for partition in 0..self.partitions {
            let (_, end) = self.kafka.watermarks(&self.topic, partition);
            if end == 0 {
                continue;
            }
            let commit =
                committed.get(&partition).unwrap_or_else(|| panic!("partition {partition} is committed"));
            assert_eq!(commit.offset, end, "partition {partition} is committed up to its end");
            let parts: Vec<_> = commit.metadata.split(':').collect();
            assert_eq!((parts[0], parts[2]), ("vanne1", end.to_string().as_str()), "{}", commit.metadata);
            let named = self.entries().into_iter().find(|entry| entry["nonce"] == parts[3]);
            let named = named.expect("the note names an entry");
            assert_eq!((&named["partition"], &named["end"]), (&partition.into(), &end.into()));
        }
    }
}

/// Whether a file is Vanne's own: at a bucket's root, inside of a sink's folder.
fn is_own(path: &str) -> bool {
    path.split('/').any(|part| part == "_vanne")
}

/// Entries of the ledger in a bucket: names of 20 digits, one line of JSON each, and bytes behind it.
fn entries(bucket: &Location) -> Vec<Value> {
    let entry = |path: &str| {
        let name = path.rsplit('/').next().and_then(|name| name.strip_suffix(".json"));
        let is_revision = path.split('/').rev().nth(1) == Some("revision");
        !is_revision
            && name.is_some_and(|name| name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let files = everything(bucket).into_iter().filter(|(path, _)| is_own(path) && entry(path));
    let parsed = files.map(|(path, bytes)| {
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        serde_json::from_slice(line).unwrap_or_else(|error| panic!("`{path}` is no entry: {error}"))
    });
    parsed.collect()
}

/// What a refused host said: one error, hints on lines of their own, and not a word of a defect.
fn refusal_of(host: &Host) -> String {
    let said = host.stderr();
    assert!(!said.contains("panicked"), "{said}");
    let lines: Vec<_> = said.lines().skip_while(|line| !line.starts_with("error: ")).collect();
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("error: ")).count(),
        1,
        "one error, not several: {said}"
    );
    assert!(host.stdout().is_empty(), "a refusal is no data: {}", host.stdout());
    lines.join("\n")
}

/// All of these stand in a text.
fn assert_says(text: &str, wanted: &[&str]) {
    for wanted in wanted {
        assert!(text.contains(wanted), "expected `{wanted}` in: {text}");
    }
}

/// Writes a file into a folder.
fn write(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, content).expect("the folder can be written");
    file
}

/// Waits until a host has delivered so many records to a lake.
fn await_records(host: &mut Host, lake: &Location, records: usize) {
    let mut reader = Reader::at(lake);
    let there = crate::support::until(PATIENCE, || {
        assert!(host.is_running(), "the host ended: {}", host.stderr());
        reader.look().records() >= records
    });
    assert!(there, "{records} records are not delivered; it said:\n{}", host.stderr());
}
