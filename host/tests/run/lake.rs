//! Reads a run's folder as a reader of the lake would: every object, every entry, and whether they agree.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// An object that was delivered.
#[derive(Debug)]
pub(crate) struct Object {
    /// From the run's folder.
    pub(crate) path: String,
    pub(crate) is_dead_letters: bool,
    pub(crate) partition: i32,
    pub(crate) start: u64,
    pub(crate) number: u32,
    /// Decoded.
    pub(crate) bytes: Vec<u8>,
    /// As it lies there.
    pub(crate) length: u64,
}

/// What one run left.
#[derive(Debug)]
pub(crate) struct Lake {
    /// All objects, those of dead letters included, in the order of partition, start and number.
    pub(crate) objects: Vec<Object>,
    /// The ledger's entries by partition, in the order of their starts.
    pub(crate) entries: BTreeMap<i32, Vec<Value>>,
}

impl Lake {
    /// Reads a run's folder, and checks that the ledger tiles the stream and names exactly what lies there.
    pub(crate) fn read(folder: &Path) -> Self {
        let mut files = Vec::new();
        walk(folder, &mut files);
        files.sort();
        let mut lake = Self { objects: Vec::new(), entries: BTreeMap::new() };
        for file in files {
            let path = file.strip_prefix(folder).expect("it was found there").display().to_string();
            if path.starts_with("_vanne/") {
                lake.take_own(&path, &file);
            } else {
                lake.objects.push(object(path, &file));
            }
        }
        lake.objects.sort_by_key(|object| (object.partition, object.start, object.number));
        lake.check();
        lake
    }

    /// The entries of a ledger whose objects lie elsewhere.
    pub(crate) fn entries_of(folder: &Path) -> Vec<Value> {
        let mut files = Vec::new();
        walk(folder, &mut files);
        files.sort();
        let mut lake = Self { objects: Vec::new(), entries: BTreeMap::new() };
        for file in files {
            lake.take_own(
                &file.strip_prefix(folder).expect("it was found there").display().to_string(),
                &file,
            );
        }
        lake.entries.into_values().flatten().collect()
    }

    fn take_own(&mut self, path: &str, file: &Path) {
        assert!(!path.contains("/staging/"), "a run that ended leaves nothing staged: {path}");
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_entry =
            name.len() == 25 && name.strip_suffix(".json").is_some_and(|start| start.parse::<u64>().is_ok());
        let is_revision = path.split('/').rev().nth(1) == Some("revision");
        if !is_entry || is_revision {
            return;
        }
        let bytes = std::fs::read(file).expect("an entry can be read");
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let entry: Value = serde_json::from_slice(line).expect("an entry begins with a line of JSON");
        let partition =
            i32::try_from(entry["partition"].as_i64().expect("a partition")).expect("a partition");
        self.entries.entry(partition).or_default().push(entry);
    }

    fn check(&self) {
        let mut named = BTreeMap::new();
        for entries in self.entries.values() {
            let mut end = 0;
            let mut previous = None;
            for entry in entries {
                assert_eq!(entry["start"], end, "a gap or an overlap: {entry}");
                assert_eq!(entry["previous"]["start"].as_u64(), previous, "{entry}");
                previous = entry["start"].as_u64();
                end = number(entry, "end");
                let fates = number(entry, "dropped") + number(entry, "dead") + number(entry, "kept");
                assert_eq!(number(entry, "read"), fates, "{entry}");
                assert_eq!(
                    number(entry, "read") + number(entry, "empty"),
                    end - number(entry, "start"),
                    "{entry}"
                );
                let (mut letters, mut expected) = (0, number(entry, "dead") + number(entry, "unplaced"));
                for (name, sink) in entry["sinks"].as_object().expect("sinks") {
                    let objects = list(&sink["objects"]);
                    let records: u64 = objects.iter().map(|object| number(object, "records")).sum();
                    assert_eq!(number(sink, "written"), records, "{entry}");
                    expected += number(sink, "failed");
                    letters += if name == "dead_letter" { records } else { 0 };
                    named
                        .extend(objects.into_iter().map(|object| (text(&object, "path").to_owned(), object)));
                }
                assert_eq!(letters, expected, "each failure is one dead letter: {entry}");
            }
        }
        for object in &self.objects {
            let entry =
                named.remove(&object.path).unwrap_or_else(|| panic!("no entry names {}", object.path));
            assert_eq!(number(&entry, "bytes"), object.length, "{}", object.path);
            let (records, lines) = (number(&entry, "records"), object.lines().count() as u64);
            // A raw value may hold newlines of its own.
            let fits = if object.path.contains(".txt") { records <= lines } else { records == lines };
            assert!(fits, "{records} records and {lines} lines: {}", object.path);
        }
        assert!(named.is_empty(), "entries name objects that are not there: {named:?}");
    }

    /// The sinks' objects below a folder of the run.
    pub(crate) fn below<'a>(&'a self, below: &'a str) -> impl Iterator<Item = &'a Object> {
        self.objects.iter().filter(move |object| !object.is_dead_letters && object.path.starts_with(below))
    }

    /// The delivered lines of one partition, in order.
    pub(crate) fn lines(&self, below: &str, partition: i32) -> Vec<Vec<u8>> {
        let objects = self.below(below).filter(|object| object.partition == partition);
        objects.flat_map(|object| object.lines().map(<[u8]>::to_vec).collect::<Vec<_>>()).collect()
    }

    /// The same as text.
    pub(crate) fn texts(&self, below: &str, partition: i32) -> Vec<String> {
        let text = |line: Vec<u8>| String::from_utf8(line).expect("text");
        self.lines(below, partition).into_iter().map(text).collect()
    }

    /// The dead letters, each a JSON object on its line.
    pub(crate) fn letters(&self) -> Vec<Value> {
        let lines = self.objects.iter().filter(|object| object.is_dead_letters).flat_map(Object::lines);
        lines.map(|line| serde_json::from_slice(line).expect("a dead letter is JSON")).collect()
    }

    /// Partition, offset and code of each dead letter.
    pub(crate) fn codes(&self) -> Vec<(i64, u64, String)> {
        let code = |letter: &Value| {
            (
                letter["partition"].as_i64().expect("a partition"),
                number(letter, "offset"),
                text(letter, "code").to_owned(),
            )
        };
        self.letters().iter().map(code).collect()
    }

    /// Partition, offset and condition of each dead letter, in order.
    pub(crate) fn conditions(&self) -> Vec<(i32, u64, String)> {
        let condition = |letter: &Value| {
            let partition = i32::try_from(number(letter, "partition")).expect("a partition");
            (partition, number(letter, "offset"), text(letter, "condition").to_owned())
        };
        let mut conditions: Vec<_> = self.letters().iter().map(condition).collect();
        conditions.sort();
        conditions
    }

    /// Every entry.
    pub(crate) fn all_entries(&self) -> impl Iterator<Item = &Value> {
        self.entries.values().flatten()
    }

    /// Sum of a number over all entries.
    pub(crate) fn sum(&self, name: &str) -> u64 {
        self.all_entries().map(|entry| number(entry, name)).sum()
    }

    /// The causes of the cuts of a partition.
    pub(crate) fn causes(&self, partition: i32) -> Vec<&str> {
        self.entries.get(&partition).into_iter().flatten().map(|entry| text(entry, "cause")).collect()
    }
}

impl Object {
    pub(crate) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        assert!(self.bytes.ends_with(b"\n"), "{} ends within a line", self.path);
        self.bytes[..self.bytes.len() - 1].split(|byte| *byte == b'\n')
    }
}

pub(crate) fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("no number `{name}` in {value}"))
}

pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no text `{name}` in {value}"))
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// `<folders>/<topic>-<partition>-<start>-<number>-<nonce>.<extension>`
fn object(path: String, file: &Path) -> Object {
    let stored = std::fs::read(file).expect("an object can be read");
    let name = path.rsplit('/').next().unwrap_or_default();
    let (stem, extension) = name.split_once('.').expect("an extension");
    let mut parts = stem.rsplit('-').skip(1);
    let mut part = || parts.next().unwrap_or_else(|| panic!("not an object's name: {path}"));
    let (number, start, partition) = (part(), part(), part());
    assert_eq!((number.len(), start.len()), (4, 20), "{path}");
    let mut bytes = Vec::new();
    match extension.rsplit_once('.').map(|(_, compression)| compression) {
        Some("gz") => {
            flate2::read::MultiGzDecoder::new(&stored[..]).read_to_end(&mut bytes).expect("gzip");
        }
        Some("zst") => bytes = zstd::decode_all(&stored[..]).expect("zstd"),
        _ => bytes.clone_from(&stored),
    }
    Object {
        is_dead_letters: path.starts_with("dead/"),
        partition: partition.parse().expect("a partition"),
        start: start.parse().expect("a start"),
        number: number.parse().expect("a number"),
        length: stored.len() as u64,
        bytes,
        path,
    }
}
