//! The ledger as its documentation describes it, read without a line of the host's code.
//!
//! Owns the judgement whether the chains and the lake tell the same story.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::ObjectStore as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::load::Counts;
use super::scene::Scene;
use crate::support::reader::{Look, everything, is_temporary};
use crate::support::wait;

#[derive(Debug, Deserialize)]
pub(crate) struct Entry {
    pub(crate) partition: i32,
    pub(crate) start: u64,
    pub(crate) end: u64,
    previous: Option<Previous>,
    read: u64,
    empty: u64,
    dropped: u64,
    dead: u64,
    pub(crate) kept: u64,
    pub(crate) sinks: BTreeMap<String, Sink>,
    /// The transforms that its records went through.
    pub(crate) transforms: Vec<Made>,
    /// Those of the candidate, which some of its records went through instead.
    #[serde(default)]
    pub(crate) candidate: Vec<Made>,
    /// What had all of that as its content.
    #[serde(default)]
    pub(crate) revision: u64,
    pub(crate) config_digest: String,
}

/// A transform, as an entry or a revision names it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) digest: String,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Previous {
    start: u64,
    digest: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Sink {
    pub(crate) objects: Vec<Named>,
    written: u64,
    failed: u64,
}

/// An object as its entry names it.
#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    pub(crate) path: String,
    bytes: u64,
    records: u64,
    crc64nvme: String,
    pub(crate) first_offset: u64,
    pub(crate) last_offset: u64,
    /// The version that made it.
    #[serde(default)]
    pub(crate) variant: Variant,
    /// Its records' offsets, both ends included, where the range went through two versions.
    #[serde(default)]
    pub(crate) runs: Vec<(u64, u64)>,
}

/// Which of two versions that run side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Variant {
    #[default]
    Stable,
    Candidate,
}

/// Sums over all entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) read: u64,
    pub(crate) dropped: u64,
    pub(crate) dead: u64,
    pub(crate) kept: u64,
    pub(crate) written: u64,
    pub(crate) failed: u64,
}

/// A file of a lane, by its name.
enum File {
    Entry(u64),
    Staged(u64),
    Other,
}

/// The partition of a lane's file, and what it is; `None` for all other files.
fn file_of(of_topic: &str, path: &str) -> Option<(i32, File)> {
    let parts: Vec<_> = path.split('/').collect();
    let ["_vanne", _, topic, partition, folder, name] = parts[..] else { return None };
    assert!(topic.starts_with(of_topic), "`{path}` is of another topic");
    let partition = partition.parse().expect("a partition's folder");
    let start = name.get(..20).and_then(|digits| digits.parse().ok());
    let file = match (start, folder) {
        (Some(start), "staging") => File::Staged(start),
        (Some(start), _) if &name[20..] == ".json" => File::Entry(start),
        _ => File::Other,
    };
    Some((partition, file))
}

/// What is there, by its names.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The start of each partition's last entry.
    last: BTreeMap<i32, u64>,
    /// What waits in staging, by partition and start.
    staged: Vec<(i32, u64, String)>,
}

impl Listing {
    pub(crate) fn of(scene: &Scene) -> Self {
        let store = scene.root.store();
        let listed: Vec<_> = wait(store.list(None).try_collect()).expect("the place can be listed");
        let mut listing = Self::default();
        for path in listed.into_iter().map(|meta: object_store::ObjectMeta| meta.location.to_string()) {
            match file_of(&scene.topic, &path) {
                Some((partition, File::Entry(start))) => {
                    let last = listing.last.entry(partition).or_default();
                    *last = start.max(*last);
                }
                Some((partition, File::Staged(start))) => listing.staged.push((partition, start, path)),
                _ => {}
            }
        }
        listing
    }

    /// Whether each of so many partitions has got an entry since.
    pub(crate) fn is_beyond(&self, before: &Self, partitions: i32) -> bool {
        let later = |(partition, start): (&i32, &u64)| Some(start) > before.last.get(partition);
        (0..partitions).all(|partition| self.last.contains_key(&partition)) && self.last.iter().all(later)
    }

    /// A take-over has come after `before`: nothing waits that starts below what was the last entry then, since nobody
    /// can need it any more.
    pub(crate) fn assert_clean_since(&self, before: &Self) {
        let below = |(partition, start, _): &&(i32, u64, String)| Some(start) < before.last.get(partition);
        let garbage: Vec<_> = self.staged.iter().filter(below).collect();
        assert!(
            garbage.is_empty(),
            "staged objects outlived a take-over after {:?}: {garbage:?}",
            before.last
        );
    }
}

/// All chains of a scene.
pub(crate) struct Chains {
    /// By partition and start, with the digest of the whole entry.
    chains: BTreeMap<i32, BTreeMap<u64, (Entry, String)>>,
    files: BTreeMap<String, Bytes>,
}

impl Chains {
    pub(crate) fn read(scene: &Scene) -> Self {
        Self::of(&scene.topic, everything(&scene.root))
    }

    /// Of the files of a place, by their paths.
    pub(crate) fn of(topic: &str, files: BTreeMap<String, Bytes>) -> Self {
        let mut chains = BTreeMap::<i32, BTreeMap<_, _>>::new();
        for (path, content) in &files {
            let Some((partition, File::Entry(start))) = file_of(topic, path) else { continue };
            let line = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let entry: Entry =
                serde_json::from_slice(line).unwrap_or_else(|error| panic!("`{path}` is no entry: {error}"));
            assert_eq!((entry.partition, entry.start), (partition, start), "`{path}` lies elsewhere");
            chains.entry(partition).or_default().insert(start, (entry, digest(content)));
        }
        Self { chains, files }
    }

    /// Each entry, by partition and start.
    pub(crate) fn each(&self) -> impl Iterator<Item = &Entry> {
        self.chains.values().flat_map(BTreeMap::values).map(|(entry, _)| entry)
    }

    /// What a file of the place holds, such as a revision.
    pub(crate) fn file(&self, path: &str) -> Option<&Bytes> {
        self.files.get(path)
    }

    /// The paths of all files of the place.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The starts of all entries.
    pub(crate) fn entries(&self) -> BTreeSet<(i32, u64)> {
        let starts = |(partition, chain): (&i32, &BTreeMap<u64, _>)| {
            let partition = *partition;
            chain.keys().map(move |start| (partition, *start)).collect::<Vec<_>>()
        };
        self.chains.iter().flat_map(starts).collect()
    }

    /// Each chain tiles its partition's offsets, its links hold, its sums are right, and the lake holds exactly the
    /// objects that the entries name, byte for byte.
    pub(crate) fn assert_whole(&self, counts: &Counts, look: &Look) {
        for (partition, count) in counts {
            let end = self.chains.get(partition).map_or(0, |chain| assert_linked(*partition, chain));
            assert_eq!(end, *count, "the chain of partition {partition} ends at its log's end");
        }
        let mut visible: BTreeSet<_> = self.files.keys().map(String::as_str).collect();
        visible.retain(|path| !path.starts_with("_vanne/") && !is_temporary(path));
        for (_, named) in self.objects() {
            let content = self.files.get(&named.path);
            let content =
                content.unwrap_or_else(|| panic!("`{}` is in an entry, not in the lake", named.path));
            assert_eq!(content.len() as u64, named.bytes, "`{}` has another length", named.path);
            assert_eq!(checksum(content), named.crc64nvme, "`{}` has other bytes", named.path);
            assert!(visible.remove(&*named.path), "`{}` is in two entries", named.path);
        }
        assert!(visible.is_empty(), "no entry names these objects: {visible:?}");
        let in_the_lake = look.records() as u64;
        let of_the_lake = self.objects().filter(|(sink, _)| *sink == "lake");
        let recorded: u64 = of_the_lake.map(|(_, object)| object.records).sum();
        assert_eq!(recorded, in_the_lake, "the entries count the records that are there");
    }

    pub(crate) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for entry in self.each() {
            sums.read += entry.read;
            sums.dropped += entry.dropped;
            sums.dead += entry.dead;
            sums.kept += entry.kept;
            let lake = entry.sinks.iter().filter(|(name, _)| *name == "lake");
            for (_, sink) in lake {
                sums.written += sink.written;
                sums.failed += sink.failed;
            }
        }
        sums
    }

    /// Each object with the name of its sink.
    fn objects(&self) -> impl Iterator<Item = (&str, &Named)> {
        let sinks = self.each().flat_map(|entry| &entry.sinks);
        sinks.flat_map(|(name, sink)| sink.objects.iter().map(move |object| (name.as_str(), object)))
    }
}

/// Answers the chain's end.
fn assert_linked(partition: i32, chain: &BTreeMap<u64, (Entry, String)>) -> u64 {
    let (mut end, mut previous, mut revision) = (0, None, 0);
    for (start, (entry, digest)) in chain {
        let here = format!("the entry of partition {partition} at {start}");
        assert_eq!(*start, end, "{here} starts where the one before it ends");
        assert_eq!(entry.previous, previous, "{here} names the one before it");
        assert_eq!(
            entry.read,
            entry.dropped + entry.dead + entry.kept,
            "{here} has one fate for each record"
        );
        assert_eq!(entry.read + entry.empty, entry.end - start, "{here} accounts for each offset");
        assert!(entry.revision >= revision, "{here} is of revision {}, after {revision}", entry.revision);
        for (name, sink) in &entry.sinks {
            let records: u64 = sink.objects.iter().map(|object| object.records).sum();
            assert_eq!(records, sink.written, "{here} counts what it wrote to `{name}`");
        }
        end = entry.end;
        revision = entry.revision;
        previous = Some(Previous { start: *start, digest: digest.clone() });
    }
    end
}

/// `sha256:` and the digest.
pub(crate) fn digest(content: &[u8]) -> String {
    let hex: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn checksum(content: &[u8]) -> String {
    let mut digest = crc64fast_nvme::Digest::new();
    digest.write(content);
    format!("{:016x}", digest.sum64())
}
