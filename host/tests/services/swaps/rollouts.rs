//! Two versions side by side: a share of the records for the new one, or a shadow that is only compared.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::judge::Versions;
use super::stage::{FIRST, Stage, key_of, keyed};
use crate::crash::dice::Dice;
use crate::crash::load::{self, Counts, Load, Pace};
use crate::stamps::{Mode, salted, stamped};
use crate::support::host::{Host, Pipeline};

const PARTITIONS: i32 = 2;

const PACE: Pace = Pace { burst: (20, 60), pause: (10, 40) };

/// Records before and after each change.
const STRETCH: u64 = 600;

/// One host that works, and what was produced.
struct Act {
    stage: Stage,
    host: Host,
    counts: Counts,
}

impl Act {
    /// Small batches, so that a share of them is some of each.
    fn new(name: &'static str, adjust: impl FnOnce(Pipeline) -> Pipeline) -> Self {
        let dice = Dice::for_test(name);
        let stage =
            Stage::new(name, PARTITIONS, 1, &dice, |pipeline| adjust(pipeline.set("batch.records", "10")));
        let host = stage.host_with_lanes(0, u64::from(PARTITIONS.unsigned_abs()));
        let mut act = Self { stage, host, counts: load::none(PARTITIONS) };
        act.more();
        act
    }

    /// A stretch of records for each partition, delivered.
    fn more(&mut self) {
        load::add(&self.stage.scene.topic, &mut self.counts, STRETCH, keyed);
        self.stage.await_records(&mut self.host, self.counts.values().sum());
    }

    fn swap(&mut self, stamp: u32, more: &[&str]) -> Value {
        let file = self.stage.version(stamp, Mode::Good);
        self.stage.swap(0, &file, more)
    }

    fn status(&mut self) -> Value {
        self.stage.await_status(0, &mut self.host, |_| true)
    }

    /// Under load, as long as it takes.
    fn under_load(&mut self, does: impl FnOnce(&Stage)) {
        let counts = std::mem::take(&mut self.counts);
        let dice = Dice::for_test("rollouts");
        let load = Load::start(&self.stage.scene.topic, counts, PACE, keyed, dice);
        does(&self.stage);
        self.counts = load.finish();
    }

    fn judge(self) -> (Versions, Counts) {
        self.stage.end(self.host);
        (self.stage.judge(&self.counts), self.counts)
    }
}

/// Records of a stamp among those of the numbers from `from` on of each partition, and all of them.
fn share(versions: &Versions, stamp: u32, numbers: std::ops::Range<u64>) -> (u64, u64) {
    let stretch = || versions.stamps.iter().filter(|((_, number), _)| numbers.contains(number));
    (stretch().filter(|(_, found)| **found == stamp).count() as u64, stretch().count() as u64)
}

fn assert_about(share: (u64, u64), percent: std::ops::RangeInclusive<u64>) {
    let (part, all) = share;
    assert!(percent.contains(&(part * 100 / all.max(1))), "{part} of {all} is not {percent:?} percent");
}

#[test]
fn a_share_of_the_batches_goes_to_the_candidate_until_it_is_promoted() {
    let mut act = Act::new("share-batches", |pipeline| pipeline);
    let report = act.swap(2, &["--share", "30%", "--by", "batches"]);
    assert_eq!((&report["changed"], &report["revision"]), (&true.into(), &2.into()), "{report}");
    act.more();
    let status = act.status();
    let rollout = &status["rollout"];
    assert_eq!((&rollout["mode"], &rollout["by"]), (&"share".into(), &"batches".into()), "{status}");
    assert_eq!(rollout["share_percent"], 30.0, "{status}");
    let of = |version: &str| rollout[version]["records"].as_u64().unwrap_or_default();
    assert!(of("stable") > 0 && of("candidate") > 0, "each version is counted by itself: {status}");
    assert_eq!(of("stable") + of("candidate"), 2 * STRETCH, "{status}");
    let report = act.stage.told(0, &["promote", act.stage.name()]);
    assert_eq!((&report["revision"], &report["changed"]), (&3.into(), &true.into()), "{report}");
    act.more();
    let (versions, _) = act.judge();
    assert_eq!(share(&versions, 2, 0..STRETCH).0, 0);
    // Some 120 batches: chance hardly leaves this.
    assert_about(share(&versions, 2, STRETCH..2 * STRETCH), 12..=50);
    assert_about(share(&versions, 2, 2 * STRETCH..3 * STRETCH), 100..=100);
    let causes: Vec<_> = versions.revisions.values().map(|revision| &*revision.cause).collect();
    assert_eq!(causes, ["start", "rollout", "promote"]);
}

#[test]
fn a_share_of_the_keys_is_the_same_keys_all_the_time_until_it_is_aborted() {
    let mut act = Act::new("share-keys", |pipeline| pipeline);
    act.swap(2, &["--share", "40%", "--by", "keys"]);
    act.more();
    // A restart changes nothing about who gets which key.
    act.host.kill();
    act.host = act.stage.host_with_lanes(0, u64::from(PARTITIONS.unsigned_abs()));
    act.more();
    let report = act.stage.told(0, &["abort", act.stage.name()]);
    assert_eq!((&report["revision"], &report["changed"]), (&3.into(), &true.into()), "{report}");
    let again = act.stage.ask(0, &["abort", act.stage.name()]);
    assert!(again.code == 1, "there is no rollout any more: {again:?}");
    act.more();
    let (versions, counts) = act.judge();
    let shared = STRETCH..3 * STRETCH;
    let mut of_keys = BTreeMap::<String, BTreeSet<u32>>::new();
    for ((partition, number), stamp) in &versions.stamps {
        if shared.contains(number) {
            of_keys.entry(key_of(*partition, *number)).or_default().insert(*stamp);
        }
    }
    let torn: Vec<_> = of_keys.iter().filter(|(_, stamps)| stamps.len() > 1).collect();
    assert!(torn.is_empty(), "each key is with one version: {torn:?}");
    let new = of_keys.values().filter(|stamps| stamps.contains(&2)).count() as u64;
    assert_about((new, of_keys.len() as u64), 25..=55);
    for outside in [0..STRETCH, 3 * STRETCH..counts[&0]] {
        assert_eq!(share(&versions, 2, outside).0, 0, "before the rollout and after its abort");
    }
    let causes: Vec<_> = versions.revisions.values().map(|revision| &*revision.cause).collect();
    assert_eq!(causes, ["start", "rollout", "abort"]);
}

#[test]
fn a_shadow_without_a_difference_promotes_itself() {
    let mut act = Act::new("shadow-equal", |pipeline| pipeline);
    let same = salted(&stamped(FIRST, Mode::Good), 1);
    let file = act.stage.make("same.wasm", &same, FIRST);
    act.under_load(|stage| {
        let report = stage.swap(0, &file, &["--shadow", "--promote-after", "400"]);
        assert_eq!(report["changed"], true, "{report}");
        let promoted = stage.await_cause(0, "promote");
        assert_eq!(promoted["revision"], 3, "{promoted}");
    });
    act.more();
    let status = act.status();
    assert_eq!(status["transforms"][0]["digest"], crate::crash::chains::digest(&same), "{status}");
    assert_eq!(status["rollout"], Value::Null, "{status}");
    let (versions, _) = act.judge();
    assert_eq!(versions.records.len(), 1, "both versions stamp the same");
}

#[test]
fn a_shadow_that_differs_delivers_nothing_and_says_how() {
    let mut act = Act::new("shadow-differs", |pipeline| pipeline);
    act.swap(2, &["--shadow"]);
    act.more();
    let status = act.status();
    let rollout = &status["rollout"];
    assert_eq!((&rollout["mode"], &rollout["reliable"]), (&"shadow".into(), &true.into()), "{status}");
    let compared = &rollout["comparison"];
    assert_eq!(compared["records"], 2 * STRETCH, "{status}");
    assert_eq!((&compared["different"], &compared["equal"]), (&(2 * STRETCH).into(), &0.into()), "{status}");
    let examples = compared["examples"].as_array().cloned().unwrap_or_default();
    assert!(!examples.is_empty() && examples.len() <= 20, "{status}");
    assert!(examples[0].to_string().contains("stamp"), "the difference is told by its path: {status}");
    act.stage.told(0, &["abort", act.stage.name()]);

    // One that is to promote itself does not, since it differs.
    act.swap(3, &["--shadow", "--promote-after", "100"]);
    act.more();
    let kept = act.stage.await_status(0, &mut act.host, |status| {
        status["rollout"]["mode"] == "shadow" && status["rollout"]["promote_after"].is_null()
    });
    assert_ne!(kept["rollout"]["transforms"], kept["transforms"], "{kept}");
    act.stage.told(0, &["abort", act.stage.name()]);
    act.more();
    let (versions, counts) = act.judge();
    assert_eq!(versions.records, BTreeMap::from([(FIRST, counts.values().sum())]));
    let causes: Vec<_> = versions.revisions.values().map(|revision| &*revision.cause).collect();
    assert_eq!(causes, ["start", "rollout", "abort", "rollout", "rollout", "abort"]);
}
