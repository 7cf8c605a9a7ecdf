//! Whether the ledger tells of each record the version that made it.
//!
//! Owns the judgement over revisions, entries and stamps. Knows the ledger by its documentation only. Invariant: which
//! number a version stamps is known from the component's bytes alone, so that nothing that the host says is believed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::crash::chains::{Chains, Entry, Made, Named, Variant, digest};
use crate::support::reader::{Look, Object};

/// A revision as its file says it.
#[derive(Debug, Deserialize)]
pub(super) struct Revision {
    pub(super) revision: u64,
    pub(super) cause: String,
    #[serde(default)]
    pub(super) of: Option<u64>,
    config: String,
    pub(super) transforms: Vec<Made>,
    #[serde(default)]
    rollout: Option<Rollout>,
}

#[derive(Debug, Deserialize)]
struct Rollout {
    transforms: Vec<Made>,
}

impl Revision {
    fn of(&self, variant: Variant) -> Option<&[Made]> {
        match variant {
            Variant::Stable => Some(&self.transforms),
            Variant::Candidate => self.rollout.as_ref().map(|rollout| &*rollout.transforms),
        }
    }
}

/// What an independent reader found about the versions.
#[derive(Debug)]
pub(super) struct Versions {
    /// By number.
    pub(super) revisions: BTreeMap<u64, Revision>,
    /// Records of each stamp.
    pub(super) records: BTreeMap<u32, u64>,
    /// The stamp of each record, by partition and number.
    pub(super) stamps: BTreeMap<(i32, u64), u32>,
    /// How many revisions have an entry.
    pub(super) used: usize,
    /// The first revision whose stable version is of a stamp.
    pub(super) since: BTreeMap<u32, u64>,
}

/// Holds revisions, entries and stamps against each other. `lake` is the path of the objects below the root, and
/// `known` the stamp of each component by its digest.
pub(super) fn assert_versions(
    pipeline: &str,
    lake: &str,
    chains: &Chains,
    look: &Look,
    known: &BTreeMap<String, u32>,
) -> Versions {
    let revisions = revisions(pipeline, chains);
    for revision in revisions.values() {
        assert_kept(pipeline, revision, chains);
    }
    let objects: BTreeMap<_, _> = look.objects.iter().map(|object| (&*object.path, &**object)).collect();
    let since = since(&revisions, known);
    let mut versions =
        Versions { revisions, records: BTreeMap::new(), stamps: BTreeMap::new(), used: 0, since };
    let mut used = BTreeSet::new();
    for entry in chains.each() {
        let revision = versions.revisions.get(&entry.revision);
        let revision = revision.unwrap_or_else(|| panic!("{} names a revision that is not there", at(entry)));
        assert_named(entry, revision);
        used.insert(entry.revision);
        for named in entry.sinks.get("lake").into_iter().flat_map(|sink| &sink.objects) {
            let path = named.path.strip_prefix(lake).unwrap_or(&named.path).trim_start_matches('/');
            let object = objects.get(path).unwrap_or_else(|| panic!("`{path}` is not in the lake"));
            let stamp = stamp_of(entry, revision, named, known);
            assert_of_one_version(entry, named, object, stamp);
            *versions.records.entry(stamp).or_default() += object.records.len() as u64;
            for record in &object.records {
                let before = versions.stamps.insert((record.partition, record.number), stamp);
                assert_eq!(before, None, "{record:?} is there under two versions");
            }
        }
        assert_runs_tile(entry);
    }
    versions.used = used.len();
    versions
}

/// Where an entry stands, for the message of a failure.
fn at(entry: &Entry) -> String {
    format!("the entry of partition {} at {} under revision {}", entry.partition, entry.start, entry.revision)
}

/// All revisions, numbered from 1 without a hole.
fn revisions(pipeline: &str, chains: &Chains) -> BTreeMap<u64, Revision> {
    let mut revisions = BTreeMap::new();
    for number in 1.. {
        let path = format!("_vanne/{pipeline}/revision/{number:020}.json");
        let Some(content) = chains.file(&path) else { break };
        let revision: Revision = serde_json::from_slice(content)
            .unwrap_or_else(|error| panic!("`{path}` is no revision: {error}"));
        assert_eq!(revision.revision, number, "`{path}` says another number");
        revisions.insert(number, revision);
    }
    let folder = format!("_vanne/{pipeline}/revision/");
    let files = chains.paths().filter(|path| path.starts_with(&folder)).count();
    assert_eq!(files, revisions.len(), "revisions have no holes");
    revisions
}

fn since(revisions: &BTreeMap<u64, Revision>, known: &BTreeMap<String, u32>) -> BTreeMap<u32, u64> {
    let mut since = BTreeMap::new();
    for (number, revision) in revisions {
        for stamp in revision.transforms.iter().filter_map(|made| known.get(&made.digest)) {
            since.entry(*stamp).or_insert(*number);
        }
    }
    since
}

/// What a revision names lies in the ledger, under its digest.
fn assert_kept(pipeline: &str, revision: &Revision, chains: &Chains) {
    let kept = |named: &str, folder: &str, extension: &str| {
        let hex = named.trim_start_matches("sha256:");
        let path = format!("_vanne/{pipeline}/{folder}/{hex}.{extension}");
        let content = chains
            .file(&path)
            .unwrap_or_else(|| panic!("revision {} names `{path}`, which is not there", revision.revision));
        assert_eq!(digest(content), named, "`{path}` holds something else");
    };
    kept(&revision.config, "config", "toml");
    let candidate = revision.rollout.iter().flat_map(|rollout| &rollout.transforms);
    for made in revision.transforms.iter().chain(candidate) {
        kept(&made.digest, "component", "wasm");
    }
}

/// An entry says the same as the revision that it names.
fn assert_named(entry: &Entry, revision: &Revision) {
    let here = at(entry);
    assert_eq!(entry.transforms, revision.transforms, "{here} and its revision name the same transforms");
    let candidate = revision.of(Variant::Candidate).unwrap_or_default();
    let tried = entry.candidate.is_empty() || entry.candidate == candidate;
    assert!(tried, "{here} has the candidate {:?}, its revision {candidate:?}", entry.candidate);
    assert_eq!(entry.config_digest, revision.config, "{here} and its revision name the same configuration");
}

/// What the version stamps that an entry says made an object.
fn stamp_of(entry: &Entry, revision: &Revision, named: &Named, known: &BTreeMap<String, u32>) -> u32 {
    let here = at(entry);
    let transforms = revision.of(named.variant);
    let transforms = transforms.unwrap_or_else(|| panic!("{here} has an object of no version: {named:?}"));
    if named.variant == Variant::Candidate {
        assert_eq!(entry.candidate, transforms, "{here} names the candidate that made its object");
    }
    let [made] = transforms else { panic!("{here} has one transform, not {transforms:?}") };
    *known
        .get(&made.digest)
        .unwrap_or_else(|| panic!("{here} was made by {made:?}, which no test swapped in"))
}

/// All records of an object bear one stamp, and are of the offsets that the entry says.
fn assert_of_one_version(entry: &Entry, named: &Named, object: &Object, stamp: u32) {
    let here = at(entry);
    let others: BTreeSet<_> = object.stamps.iter().filter(|found| **found != Some(stamp)).collect();
    assert!(others.is_empty(), "{here} says that {stamp} made `{}`, which holds {others:?}", named.path);
    let runs = if named.runs.is_empty() {
        vec![(named.first_offset, named.last_offset)]
    } else {
        named.runs.clone()
    };
    for record in &object.records {
        // Nothing but numbered records is in the topic, so that a record's number is its offset.
        let told = runs.iter().any(|(first, last)| (*first..=*last).contains(&record.number));
        assert!(told, "{here} does not say that {record:?} is in `{}`", named.path);
        let inside = record.partition == entry.partition && (entry.start..entry.end).contains(&record.number);
        assert!(inside, "{here} holds {record:?}, which is not of its range");
    }
}

/// The runs of a range's objects do not overlap, and leave out what was dropped or failed, and nothing else.
fn assert_runs_tile(entry: &Entry) {
    let here = at(entry);
    let objects = || entry.sinks.get("lake").into_iter().flat_map(|sink| &sink.objects);
    if objects().all(|named| named.runs.is_empty()) {
        let mixed = objects().map(|named| named.variant).collect::<BTreeSet<_>>().len() > 1;
        assert!(!mixed, "{here} has objects of two versions, and does not say which offsets are in which");
        return;
    }
    let mut runs: Vec<_> = objects().flat_map(|named| named.runs.iter().copied()).collect();
    runs.sort_unstable();
    let overlap = runs.windows(2).find(|pair| pair[0].1 >= pair[1].0);
    assert_eq!(overlap, None, "{here} has offsets in two objects");
    let offsets: u64 = runs.iter().map(|(first, last)| last - first + 1).sum();
    assert_eq!(offsets, entry.kept, "{here} has objects for each offset that was kept: {runs:?}");
}
