//! A version that turns out to be bad goes again by itself.

use std::collections::BTreeMap;

use super::stage::{FIRST, Stage, keyed};
use crate::crash::chains::{Chains, digest};
use crate::crash::dice::Dice;
use crate::crash::load::{self, Load, Pace};
use crate::stamps::{Mode, stamped};
use crate::support::PATIENCE;
use crate::support::reader::json_lines;

const PARTITIONS: i32 = 2;

const PACE: Pace = Pace { burst: (20, 60), pause: (10, 40) };

/// What a version is judged by: soon, and strictly.
const LIMITS: &str =
    r#"{ batches = 100000, window = "5m", records = 200, failed = "5%", dropped = "50%", time = "off" }"#;

/// A bad version is swapped in under load, whatever the trial says of it; answers what the bad one did.
fn rolls_back(name: &'static str, mode: Mode) -> (Stage, Chains, load::Counts) {
    let mut dice = Dice::for_test(name);
    let mut stage = Stage::new(name, PARTITIONS, 1, &dice, |pipeline| {
        pipeline.set("swap.rollback", LIMITS).set("batch.records", "50")
    });
    let mut counts = load::none(PARTITIONS);
    load::add(&stage.scene.topic, &mut counts, 200, keyed);
    let mut host = stage.host_with_lanes(0, 2);
    stage.await_records(&mut host, 400);
    let file = stage.version(2, mode);
    let load = Load::start(&stage.scene.topic, counts, PACE, keyed, dice.fork());
    let report = stage.swap(0, &file, &["--force"]);
    assert_eq!(report["revision"], 2, "{report}");
    let back = stage.await_cause(0, "rollback");
    assert_eq!((&back["revision"], &back["of"]), (&3.into(), &1.into()), "{back}");
    assert!(back["why"].is_string(), "a rollback says why: {back}");
    host.expect_log("ALARM", PATIENCE);
    let first = digest(&stamped(FIRST, Mode::Good));
    stage.await_status(0, &mut host, |status| {
        status["revision"] == 3 && status["transforms"][0]["digest"] == first
    });
    let mut counts = load.finish();
    load::add(&stage.scene.topic, &mut counts, 100, keyed);
    stage.end(host);
    stage.scene.run_to_the_end();
    let chains = Chains::read(&stage.scene);
    (stage, chains, counts)
}

#[test]
fn a_version_that_fails_half_of_its_records_is_rolled_back_and_its_dead_letters_name_it() {
    let (stage, chains, counts) = rolls_back("rollback-failed", Mode::FailsHalf);
    let sums = chains.sums();
    let bad = digest(&stamped(2, Mode::FailsHalf));
    let letters = json_lines(&stage.scene.root.under(&format!("dead/{}", stage.name())));
    assert!(sums.dead > 0 && letters.len() as u64 == sums.dead, "{sums:?}, {} letters", letters.len());
    for letter in &letters {
        let made = &letter["transform"];
        assert_eq!((&made["digest"], &made["version"]), (&bad.as_str().into(), &"0.1.0+00000002".into()));
        assert_eq!(letter["code"], "Even", "{letter}");
    }
    let versions = stage.versions(&chains);
    // Each record is delivered or dead, and nothing but the bad version's is dead.
    let produced: u64 = counts.values().sum();
    assert_eq!(sums.read, produced);
    assert_eq!(versions.stamps.len() as u64 + sums.dead, produced);
    let dead: BTreeMap<_, _> = letters
        .iter()
        .map(|letter| ((letter["partition"].as_i64(), letter["offset"].as_u64()), ()))
        .collect();
    assert_eq!(dead.len(), letters.len(), "each is a dead letter once");
    assert_last_is_of(&versions, &counts, FIRST);
}

#[test]
fn a_version_that_drops_everything_is_rolled_back() {
    let (stage, chains, counts) = rolls_back("rollback-dropped", Mode::Drops);
    let (sums, versions) = (chains.sums(), stage.versions(&chains));
    let produced: u64 = counts.values().sum();
    assert!(sums.dropped > 0 && sums.dead == 0, "{sums:?}");
    assert_eq!((sums.read, versions.stamps.len() as u64 + sums.dropped), (produced, produced));
    assert_last_is_of(&versions, &counts, FIRST);
}

/// The last record of each partition was made by this version.
fn assert_last_is_of(versions: &super::judge::Versions, counts: &load::Counts, stamp: u32) {
    for (partition, count) in counts {
        let last = versions.stamps.get(&(*partition, count - 1));
        assert_eq!(last, Some(&stamp), "the last record of partition {partition}");
    }
}
