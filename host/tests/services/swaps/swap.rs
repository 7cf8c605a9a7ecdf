//! One swap of a running pipeline, and what its report says.

use serde_json::Value;

use super::stage::{FIRST, Stage, keyed};
use crate::crash::chains::Chains;
use crate::crash::dice::Dice;
use crate::crash::load::{self, Load, Pace};
use crate::stamps::{Mode, salted, stamped};

const PACE: Pace = Pace { burst: (20, 80), pause: (20, 60) };

/// The partition that gets no record while a swap is under way.
const IDLE: i32 = 3;

/// How many records the idle partition has before.
const BEFORE: u64 = 100;

#[test]
fn a_swap_says_boundaries_that_agree_with_the_entries() {
    let name = "swap-boundaries";
    let mut dice = Dice::for_test(name);
    let mut stage = Stage::new(name, 4, 2, &dice, |pipeline| pipeline);
    let mut counts = load::none(4);
    load::add(&stage.scene.topic, &mut counts, BEFORE, keyed);
    let mut first = stage.host_with_lanes(0, 4);
    stage.await_records(&mut first, 4 * BEFORE);
    let second = stage.host_with_lanes(1, 2);

    counts.remove(&IDLE);
    let load = Load::start(&stage.scene.topic, counts, PACE, keyed, dice.fork());
    stage.await_records(&mut first, 4 * BEFORE + 500);
    let file = stage.version(2, Mode::Good);
    let report = stage.swap(0, &file, &["--timeout", "60s"]);
    let mut counts = load.finish();
    counts.insert(IDLE, BEFORE);
    assert_eq!((&report["changed"], &report["complete"]), (&true.into(), &true.into()), "{report}");

    // The idle partition's first record since is made by the new version as well.
    let idle = boundary(&report, IDLE).clone();
    assert_eq!((&idle["state"], &idle["first_new"]), (&"idle".into(), &BEFORE.into()), "{report}");
    load::add(&stage.scene.topic, &mut counts, 1, keyed);
    let delivered: u64 = counts.values().sum();
    stage.await_records(&mut first, delivered);
    stage.end(first);
    stage.end(second);

    let versions = stage.judge(&counts);
    let chains = Chains::read(&stage.scene);
    let stamp = |partition, offset: &Value| {
        versions.stamps.get(&(partition, offset.as_u64().unwrap_or_else(|| panic!("no offset: {report}"))))
    };
    for partition in 0..4 {
        let told = boundary(&report, partition);
        assert_eq!(stamp(partition, &told["first_new"]), Some(&2), "{told}");
        assert_eq!(stamp(partition, &told["last_old"]), Some(&FIRST), "{told}");
        // A partition may have been caught up with at the moment when it was looked at, and say so.
        if told["state"] == "idle" {
            continue;
        }
        assert_eq!(told["state"], "swapped", "{told}");
        let entry = chains.each().find(|entry| entry.partition == partition && told["entry"] == entry.start);
        let entry = entry.unwrap_or_else(|| panic!("no entry of partition {partition} begins there: {told}"));
        assert_eq!(report["revision"], entry.revision, "{told}");
        assert_eq!(told["first_new"], entry.start, "{told}");
        let earlier = chains.each().filter(|it| it.partition == partition && it.start < entry.start);
        assert!(earlier.map(|it| it.revision).all(|it| report["from_revision"] == it), "{told}");
    }
    // The pauses are of the lanes of the host that was asked.
    let paused = (0..4).filter(|nth| boundary(&report, *nth)["pause_ms"].is_number()).count();
    assert!(report["pause_ms"]["p99"].is_number() && (1..=2).contains(&paused), "{report}");
}

#[test]
fn a_swap_is_told_to_people_and_the_same_content_again_is_no_change() {
    let name = "swap-told";
    let dice = Dice::for_test(name);
    let mut stage = Stage::new(name, 2, 1, &dice, |pipeline| pipeline);
    let mut counts = load::none(2);
    load::add(&stage.scene.topic, &mut counts, 50, keyed);
    let mut host = stage.host_with_lanes(0, 2);
    stage.await_records(&mut host, 100);
    let file = stage.version(2, Mode::Good);
    let (transform, component) = (stage.transform(), file.to_string_lossy().into_owned());
    let told = stage.ask(0, &["swap", &transform, &component]);
    assert_eq!(told.code, 0, "{told:?}");
    // Nothing has come since: both partitions are idle, and say from where the new version holds.
    assert!(told.out.matches("idle, new from 50").count() == 2, "{told:?}");

    let again = stage.swap(0, &file, &[]);
    assert_eq!((&again["changed"], &again["revision"]), (&false.into(), &2.into()), "{again}");
    load::add(&stage.scene.topic, &mut counts, 50, keyed);
    stage.await_records(&mut host, 200);
    // Another file with the same output is another version.
    let file = stage.make("salted.wasm", &salted(&stamped(2, Mode::Good), 7), 2);
    assert_eq!(stage.swap(0, &file, &[])["revision"], 3);
    stage.end(host);
    let versions = stage.judge(&counts);
    assert_eq!(versions.records.into_iter().collect::<Vec<_>>(), [(FIRST, 100), (2, 100)]);
    let causes: Vec<_> = versions.revisions.values().map(|revision| &*revision.cause).collect();
    assert_eq!(causes, ["start", "swap", "swap"]);
}

/// Whoever was told that a partition is idle, and from where the new version holds, may produce there at once, whichever
/// host the partition is of, and whatever that host knows by then.
#[test]
fn a_partition_that_is_said_to_be_idle_is_new_from_there() {
    let name = "swap-idle";
    let dice = Dice::for_test(name);
    let mut stage = Stage::new(name, 4, 2, &dice, |pipeline| pipeline);
    let mut counts = load::none(4);
    let mut first = stage.host_with_lanes(0, 4);
    let second = stage.host_with_lanes(1, 2);
    load::add(&stage.scene.topic, &mut counts, 10, keyed);
    stage.await_records(&mut first, 40);
    for stamp in 2..8 {
        let file = stage.version(stamp, Mode::Good);
        let report = stage.swap(0, &file, &[]);
        assert_eq!(report["complete"], true, "{report}");
        load::add(&stage.scene.topic, &mut counts, 10, keyed);
        stage.await_records(&mut first, counts.values().sum());
    }
    stage.end(first);
    stage.end(second);
    let versions = stage.judge(&counts);
    assert_eq!(
        versions.records.into_iter().collect::<Vec<_>>(),
        (1..8).map(|it| (it, 40)).collect::<Vec<_>>()
    );
}

#[test]
fn a_version_that_was_replaced_comes_back_as_a_new_revision() {
    let name = "swap-back";
    let dice = Dice::for_test(name);
    let mut stage = Stage::new(name, 2, 1, &dice, |pipeline| pipeline);
    let mut counts = load::none(2);
    let mut host = stage.host_with_lanes(0, 2);
    let mut delivered = 0;
    let mut more = |stage: &Stage, host: &mut _, counts: &mut _| {
        load::add(&stage.scene.topic, counts, 40, keyed);
        delivered += 80;
        stage.await_records(host, delivered);
    };
    more(&stage, &mut host, &mut counts);
    let file = stage.version(2, Mode::Good);
    stage.swap(0, &file, &[]);
    more(&stage, &mut host, &mut counts);
    let report = stage.told(0, &["rollback", stage.name()]);
    assert_eq!((&report["revision"], &report["from_revision"]), (&3.into(), &2.into()), "{report}");
    more(&stage, &mut host, &mut counts);
    let report = stage.told(0, &["rollback", stage.name(), "--to", "2"]);
    assert_eq!(report["revision"], 4, "{report}");
    more(&stage, &mut host, &mut counts);
    let refused = stage.ask(0, &["rollback", stage.name(), "--to", "9"]);
    assert!(refused.code == 1 && refused.said.contains('9'), "{refused:?}");
    stage.end(host);

    let versions = stage.judge(&counts);
    assert_eq!(versions.records.into_iter().collect::<Vec<_>>(), [(FIRST, 160), (2, 160)]);
    let told: Vec<_> = versions.revisions.values().map(|it| (&*it.cause, it.of)).collect();
    assert_eq!(told, [("start", None), ("swap", None), ("rollback", Some(1)), ("rollback", Some(2))]);
}

/// What a report says of a partition.
fn boundary(report: &Value, partition: i32) -> &Value {
    let partitions = report["partitions"].as_array().unwrap_or_else(|| panic!("no partitions: {report}"));
    let found = partitions.iter().find(|told| told["partition"] == partition);
    found.unwrap_or_else(|| panic!("the report leaves out partition {partition}: {report}"))
}
