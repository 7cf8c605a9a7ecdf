//! The judge is judged as well: each thing that it must find, made by hand.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::judge::{Versions, assert_versions};
use crate::crash::chains::{Chains, digest};
use crate::support::process::scratch;
use crate::support::reader::Reader;

const OLD: &[u8] = b"the old component";
const NEW: &[u8] = b"the new component";
const CONFIG: &[u8] = b"version = 1";

/// A lake of one partition: a ledger with two revisions, and objects.
struct Lake {
    revisions: Vec<Value>,
    entries: Vec<Value>,
    objects: BTreeMap<&'static str, String>,
}

fn transforms(component: &[u8]) -> Value {
    json!([{ "name": "stamp", "digest": digest(component) }])
}

fn object(path: &str, first: u64, last: u64) -> Value {
    let records = last - first + 1;
    json!({ "path": path, "bytes": 0, "records": records, "crc64nvme": "", "first_offset": first,
        "last_offset": last })
}

fn entry(revision: u64, range: [u64; 2], component: &[u8], objects: Vec<Value>) -> Value {
    let [start, end] = range;
    let kept = end - start;
    json!({
        "partition": 0, "start": start, "end": end, "previous": null, "read": kept, "empty": 0, "dropped": 0,
        "dead": 0, "kept": kept, "revision": revision, "transforms": transforms(component),
        "config_digest": digest(CONFIG), "sinks": { "lake": { "objects": objects, "written": kept, "failed": 0 } },
    })
}

fn lines(records: &[(u64, u32)]) -> String {
    records.iter().map(|(n, stamp)| format!("{{\"p\":0,\"n\":{n},\"stamp\":{stamp}}}\n")).collect()
}

impl Lake {
    /// Offsets 0 to 2 by the old version, which stamps 1, and 3 to 5 by the new one, which stamps 2.
    fn sound() -> Self {
        let revision = |number: u64, component| json!({ "revision": number, "cause": "swap", "config": digest(CONFIG), "transforms": transforms(component) });
        Self {
            revisions: vec![revision(1, OLD), revision(2, NEW)],
            entries: vec![
                entry(1, [0, 3], OLD, vec![object("a.jsonl", 0, 2)]),
                entry(2, [3, 6], NEW, vec![object("b.jsonl", 3, 5)]),
            ],
            objects: BTreeMap::from([
                ("a.jsonl", lines(&[(0, 1), (1, 1), (2, 1)])),
                ("b.jsonl", lines(&[(3, 2), (4, 2), (5, 2)])),
            ]),
        }
    }

    /// The same, with a share of the second range for a candidate, which stamps 1 again.
    fn shared() -> Self {
        let mut lake = Self::sound();
        lake.revisions[1]["rollout"] = json!({ "transforms": transforms(OLD) });
        let [mut one, mut other] = [object("b.jsonl", 3, 5), object("c.jsonl", 4, 4)];
        one["runs"] = json!([[3, 3], [5, 5]]);
        other["runs"] = json!([[4, 4]]);
        other["variant"] = json!("candidate");
        lake.entries[1] = entry(2, [3, 6], NEW, vec![one, other]);
        lake.entries[1]["candidate"] = transforms(OLD);
        lake.objects.insert("b.jsonl", lines(&[(3, 2), (5, 2)]));
        lake.objects.insert("c.jsonl", lines(&[(4, 1)]));
        lake
    }

    fn judged(&self) -> Versions {
        let mut files = BTreeMap::new();
        let mut put = |path: String, content: &[u8]| files.insert(path, Bytes::copy_from_slice(content));
        for component in [OLD, NEW] {
            put(format!("_vanne/p/component/{}.wasm", &digest(component)[7..]), component);
        }
        put(format!("_vanne/p/config/{}.toml", &digest(CONFIG)[7..]), CONFIG);
        for (number, revision) in (1..).zip(&self.revisions) {
            put(format!("_vanne/p/revision/{number:020}.json"), revision.to_string().as_bytes());
        }
        for entry in &self.entries {
            let start = entry["start"].as_u64().expect("a start");
            put(format!("_vanne/p/t@id/0/00000000000000/{start:020}.json"), entry.to_string().as_bytes());
        }
        let folder = scratch("judge");
        for (path, content) in &self.objects {
            std::fs::write(folder.path().join(path), content).expect("the folder can be written");
        }
        let known = BTreeMap::from([(digest(OLD), 1), (digest(NEW), 2)]);
        let look = Reader::folder(folder.path()).look();
        assert_versions("p", "", &Chains::of("t", files), &look, &known)
    }

    /// What the judge finds wrong.
    fn finding(&self) -> String {
        let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.judged()));
        let panic = judged.expect_err("something is wrong");
        panic.downcast_ref::<String>().cloned().unwrap_or_default()
    }
}

#[test]
fn what_is_sound_is_found_so() {
    let versions = Lake::sound().judged();
    assert_eq!(versions.records, BTreeMap::from([(1, 3), (2, 3)]));
    assert_eq!((versions.used, versions.stamps.len(), versions.since[&2]), (2, 6, 2));
    assert_eq!(Lake::shared().judged().records, BTreeMap::from([(1, 4), (2, 2)]));
}

#[test]
fn a_record_of_another_version_is_found() {
    let mut lake = Lake::sound();
    lake.objects.insert("b.jsonl", lines(&[(3, 2), (4, 1), (5, 2)]));
    assert!(lake.finding().contains("which holds {Some(1)}"));
    lake.objects.insert("b.jsonl", String::from("{\"p\":0,\"n\":3}\n"));
    assert!(lake.finding().contains("which holds {None}"));
}

#[test]
fn a_record_under_two_versions_is_found() {
    let mut lake = Lake::sound();
    lake.entries[1] = entry(2, [2, 6], NEW, vec![object("b.jsonl", 2, 5)]);
    lake.objects.insert("b.jsonl", lines(&[(2, 2), (3, 2), (4, 2), (5, 2)]));
    assert!(lake.finding().contains("there under two versions"));
}

#[test]
fn entries_that_disagree_with_their_revision_are_found() {
    let mut lake = Lake::sound();
    lake.entries[1]["revision"] = json!(1);
    assert!(lake.finding().contains("name the same transforms"));
    lake.entries[1]["revision"] = json!(3);
    assert!(lake.finding().contains("names a revision that is not there"));
    let mut lake = Lake::sound();
    lake.entries[0]["config_digest"] = json!(digest(b"another"));
    assert!(lake.finding().contains("the same configuration"));
    let mut lake = Lake::sound();
    lake.revisions.push(json!({ "revision": 3, "cause": "swap", "config": digest(CONFIG),
        "transforms": transforms(b"nobody kept it") }));
    assert!(lake.finding().contains("which is not there"));
}

#[test]
fn objects_of_two_versions_that_mix_or_do_not_say_their_offsets_are_found() {
    let mut lake = Lake::shared();
    lake.objects.insert("c.jsonl", lines(&[(4, 2)]));
    assert!(lake.finding().contains("says that 1 made `c.jsonl`"));
    let objects = |lake: &mut Lake| lake.entries[1]["sinks"]["lake"]["objects"].take();
    let mut lake = Lake::shared();
    let mut told = objects(&mut lake);
    told[1]["runs"] = json!([[4, 5]]);
    lake.entries[1]["sinks"]["lake"]["objects"] = told;
    assert!(lake.finding().contains("offsets in two objects"));
    let mut lake = Lake::shared();
    let mut told = objects(&mut lake);
    told[0]["runs"] = json!([[3, 3]]);
    lake.entries[1]["sinks"]["lake"]["objects"] = told;
    assert!(lake.finding().contains("does not say that"));
    let mut lake = Lake::shared();
    let mut told = objects(&mut lake);
    told[0]["runs"].take();
    told[0].as_object_mut().expect("an object").remove("runs");
    told[1].as_object_mut().expect("an object").remove("runs");
    lake.entries[1]["sinks"]["lake"]["objects"] = told;
    assert!(lake.finding().contains("does not say which offsets are in which"));
}
