//! What arrives: everything, once, however the log looks.

use std::time::Duration;

use super::{RECORD, RUN, Scene, assert_says, await_records};
use crate::guests::guest;
use crate::support::host::Launch;
use crate::support::kafka::{Ending, Kafka, Message};
use crate::support::location::Location;
use crate::support::process::{Signal, scratch};
use crate::support::reader::json_lines;
use crate::support::stores::{Kind, Store};
use crate::support::{PATIENCE, until};

#[test]
fn a_pipeline_delivers_everything_once_and_goes_on_where_it_stopped() {
    let scene = Scene::new("exact", 4);
    scene.produce(0..500);
    let report = scene.run_until_end();
    assert_eq!(report["outcome"], "drained");
    assert_eq!((&report["records_read"], &report["records_written"]), (&2000.into(), &2000.into()));
    scene.assert_delivered(500);
    scene.assert_committed();
    let entries = scene.entries();
    assert!(entries.iter().all(|entry| entry["cause"] == "end"), "{entries:?}");

    let report = scene.run_until_end();
    assert_eq!(report["entries"], 0, "nothing is new: {report}");
    scene.produce(500..900);
    let report = scene.run_until_end();
    assert_eq!(report["records_read"], 1600);
    scene.assert_delivered(900);
    scene.assert_committed();
}

#[test]
fn large_cuts_are_staged_cut_by_size_and_delivered_once() {
    // Incompressible enough that no cut fits into its entry.
    let scene = Scene::new("large", 2)
        .set("cut.size", r#""1MiB""#)
        .set("sinks.lake.buffer", r#"{ size = "512KiB" }"#);
    for partition in 0..2 {
        scene.kafka.produce_numbered(&scene.topic, partition, 0..4000, 2000);
    }
    let report = scene.run_until_end();
    assert_eq!(report["records_written"], 8000);
    scene.assert_delivered(4000);
    scene.assert_committed();
    let entries = scene.entries();
    assert!(entries.iter().any(|entry| entry["cause"] == "size"), "{entries:?}");
    let staged =
        |entry: &serde_json::Value| entry["sinks"]["lake"]["objects"][0]["staged"]["path"].is_string();
    assert!(entries.iter().any(staged), "{entries:?}");
    let left: Vec<_> = crate::support::reader::everything(&scene.bucket)
        .into_keys()
        .filter(|path| path.ends_with(".staged"))
        .collect();
    assert!(left.is_empty(), "staged bytes are dropped once they are published: {left:?}");
}

#[test]
fn aborted_records_are_absent_and_trailing_control_records_are_no_gap() {
    let scene = Scene::new("transactions", 1);
    let messages = |numbers: std::ops::Range<u64>| -> Vec<_> {
        numbers.map(|number| Message::numbered(0, number, RECORD)).collect()
    };
    scene.kafka.transaction(&scene.topic, &messages(0..10), Ending::Commit);
    scene.kafka.transaction(&scene.topic, &messages(10..20), Ending::Abort);
    scene.kafka.transaction(&scene.topic, &messages(20..30), Ending::Commit);
    let report = scene.run_until_end();
    assert_eq!(report["records_read"], 20);
    scene.assert_delivered_numbers((0..10).chain(20..30));
    scene.assert_committed();

    // Only control records and aborted ones are new: it ends, and passes them.
    scene.kafka.transaction(&scene.topic, &messages(30..40), Ending::Abort);
    let report = scene.run_until_end();
    assert_eq!(report["records_read"], 0);
    scene.assert_delivered_numbers((0..10).chain(20..30));

    scene.kafka.transaction(&scene.topic, &messages(40..50), Ending::Commit);
    let report = scene.run_until_end();
    assert_eq!((&report["records_read"], &report["gap_offsets"]), (&10.into(), &0.into()));
    scene.assert_delivered_numbers((0..10).chain(20..30).chain(40..50));
    scene.assert_committed();
    assert!(scene.entries().iter().all(|entry| entry["cause"] != "gap"));
}

#[test]
fn what_compaction_removed_is_no_gap() {
    let scene = Scene::new("compacted", 1);
    let topic = crate::support::unique("compacted");
    let compacted = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.0"),
        ("segment.ms", "200"),
        ("max.compaction.lag.ms", "300"),
        ("min.compaction.lag.ms", "0"),
    ];
    scene.kafka.create_topic(&topic, 1, &compacted);
    let scene = scene.set("source.topics", format!("[{topic:?}]"));
    let keyed = |number: u64| Message::numbered(0, number, RECORD).key("one key");
    scene.kafka.produce(&topic, &(0..50).map(keyed).collect::<Vec<_>>());
    // A record of a later time rolls the segment, so that the cleaner may have it.
    let mut last = 50;
    let compacted = until(Duration::from_secs(60), || {
        std::thread::sleep(Duration::from_millis(500));
        scene.kafka.produce(&topic, &[keyed(last)]);
        last += 1;
        scene.kafka.read(&topic, 0, "read_committed").len() < 20
    });
    assert!(compacted, "the broker's cleaner did not come by");
    let report = scene.run_until_end();
    assert_eq!(report["gap_offsets"], 0);
    let entries = scene.entries();
    let read: u64 = entries.iter().filter_map(|entry| entry["read"].as_u64()).sum();
    let empty: u64 = entries.iter().filter_map(|entry| entry["empty"].as_u64()).sum();
    let (start, end) = (entries[0]["start"].as_u64(), entries[entries.len() - 1]["end"].as_u64());
    assert_eq!(start.zip(end).map(|(start, end)| end - start), Some(read + empty));
    assert!(empty > 0, "offsets without a record are counted: {entries:?}");
    let look = scene.look();
    look.assert_sound();
    assert_eq!(look.records() as u64, read);
}

#[test]
fn records_lost_to_retention_become_a_gap_and_an_alarm() {
    let scene = Scene::new("retention", 2);
    scene.produce(0..100);
    scene.run_until_end();
    scene.produce(100..300);
    scene.kafka.delete_records(&scene.topic, 0, 250);
    let (host, report) = scene.run_until_end_as(0);
    assert_eq!((&report["gap_offsets"], &report["records_read"]), (&150.into(), &250.into()));
    let log = host.stderr();
    let alarm = log.lines().find(|line| line.contains("lost to retention")).expect("it is said");
    assert_says(alarm, &[r#""level":"ERROR""#, r#""first":100"#, r#""end":250"#, r#""offsets":150"#]);
    let gaps: Vec<_> = scene.entries().into_iter().filter(|entry| entry["cause"] == "gap").collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let gap = &gaps[0];
    assert_eq!((&gap["partition"], &gap["start"], &gap["end"]), (&0.into(), &100.into(), &250.into()));
    assert_eq!((&gap["read"], &gap["empty"]), (&0.into(), &150.into()));
    let kept = |numbers: &mut dyn Iterator<Item = u64>| numbers.map(|number| (number, 0)).collect();
    let expected = [(0, kept(&mut (0..100).chain(250..300))), (1, kept(&mut (0..300)))];
    scene.look().assert_exactly(&expected.into());
    scene.assert_committed();
    // The gap is told once.
    let (host, report) = scene.run_until_end_as(0);
    assert_eq!(report["gap_offsets"], 0);
    assert!(!host.stderr().contains("lost to retention"));
}

#[test]
fn everything_lost_to_retention_ends_too() {
    let scene = Scene::new("all-lost", 1);
    scene.produce(0..100);
    scene.run_until_end();
    scene.produce(100..200);
    scene.kafka.delete_records(&scene.topic, 0, 200);
    let report = scene.run_until_end();
    assert_eq!((&report["gap_offsets"], &report["records_read"]), (&100.into(), &0.into()));
    scene.assert_delivered(100);
    scene.produce(200..210);
    scene.run_until_end();
    scene.assert_delivered_numbers((0..100).chain(200..210));
}

#[test]
fn retention_while_it_stands_still_leaves_nothing_between_the_records_and_the_gap() {
    let scene = Scene::new("retention-live", 1)
        .set("cut.interval", r#""10m""#)
        .set("cut.max_interval", r#""10m""#)
        .set("source.properties", r#"{ "session.timeout.ms" = "45000" }"#);
    scene.produce(0..50);
    let mut host = Launch::run(&scene.file()).argument("--json").start();
    // All of it is in its open range, and nothing is cut.
    host.expect_log(r#""taken":50,"#, PATIENCE);
    host.pause();
    scene.produce(50..250);
    scene.kafka.delete_records(&scene.topic, 0, 220);
    host.resume();
    host.expect_log("lost to retention", PATIENCE);
    host.expect_log(r#""taken":"#, PATIENCE);
    // What follows is taken in, and delivered by the drain.
    std::thread::sleep(Duration::from_secs(2));
    host.terminate();
    host.expect_exit(Duration::from_secs(25), 0);
    let gaps: Vec<_> = scene
        .entries()
        .into_iter()
        .filter(|entry| entry["cause"] == "gap" && entry["read"] == 0)
        .filter_map(|entry| entry["start"].as_u64().zip(entry["end"].as_u64()))
        .collect();
    // A fetch that was on its way may have brought some of the records.
    let [(first, 220)] = gaps[..] else { panic!("one gap up to 220: {gaps:?}") };
    assert!(first >= 50, "{gaps:?}");
    scene.run_until_end();
    scene.assert_delivered_numbers((0..first).chain(220..250));
    scene.assert_committed();
}

#[test]
fn a_plugin_drops_fails_and_traps_and_every_record_has_one_fate() {
    let mut scene = Scene::new("fates", 1).set("host.cache", r#""cache""#);
    let plugin = format!("[[transforms]]\nname = \"guest\"\nplugin = {:?}", guest("test-guest"));
    scene.pipeline = scene.pipeline.append(&plugin);
    scene.produce(0..100);
    let bad = ["drop", "fail Odd not today", "panic at once", "trap", "drop"];
    scene.kafka.produce(&scene.topic, &bad.map(|value| Message::new(0, value)));
    scene.produce(100..200);
    let report = scene.run_until_end();
    let counts = ["records_read", "records_written", "records_dropped", "dead_letters"];
    assert_eq!(counts.map(|name| report[name].as_u64().unwrap_or(0)), [205, 200, 2, 3], "{report}");
    scene.assert_delivered(200);
    let dead = json_lines(&scene.bucket.under(&format!("dead/{}", scene.name)));
    let of = |line: &serde_json::Value| (line["offset"].as_u64().unwrap_or(0), line["value"].clone());
    let mut found: Vec<_> = dead.iter().map(of).collect();
    found.sort_by_key(|(offset, _)| *offset);
    let expected = [(101, "fail Odd not today"), (102, "panic at once"), (103, "trap")];
    assert_eq!(found, expected.map(|(offset, value)| (offset, value.into())));
    let odd = dead.iter().find(|line| line["offset"] == 101).expect("it is there");
    assert_eq!((&odd["code"], &odd["detail"]), (&"Odd".into(), &"not today".into()), "{odd}");
    // A second run compiles nothing and delivers nothing.
    let report = scene.run_until_end();
    assert_eq!(report["entries"], 0);
}

#[test]
fn a_store_and_a_broker_that_go_away_and_come_back_cost_nothing() {
    let (kafka, store) = (Kafka::start(), Store::start(Kind::Minio));
    let scene = Scene::at(&kafka, store.bucket("comes-back"), "comes-back", 2);
    scene.produce(0..50);
    let mut host = scene.start();
    await_records(&mut host, &scene.lake(), 100);
    store.server().signal(Signal::Kill);
    scene.produce(50..100);
    std::thread::sleep(Duration::from_secs(3));
    store.server().start_again();
    await_records(&mut host, &scene.lake(), 200);
    kafka.server().signal(Signal::Kill);
    std::thread::sleep(Duration::from_secs(3));
    kafka.server().start_again();
    scene.produce(100..150);
    await_records(&mut host, &scene.lake(), 300);
    host.terminate();
    host.expect_exit(Duration::from_secs(25), 0);
    scene.assert_delivered(150);
    scene.run_until_end();
    scene.assert_committed();
}

#[test]
fn topics_without_records_end_at_once() {
    let scene = Scene::new("empty", 3);
    let report = scene.run_until_end();
    assert_eq!((&report["outcome"], &report["entries"]), (&"drained".into(), &0.into()));
    scene.kafka.produce_numbered(&scene.topic, 1, 0..7, RECORD);
    scene.run_until_end();
    scene.look().assert_exactly_once(&[(1, 7)].into());
}

#[test]
fn the_same_pipeline_works_on_every_store() {
    let folder = scratch("folder");
    let stores = [Kind::Versitygw, Kind::Azurite].into_iter().filter(|kind| kind.unavailable().is_none());
    let buckets = stores.map(|kind| Store::shared(kind).bucket("every-store"));
    for bucket in buckets.chain([Location::folder(folder.path())]) {
        let scene = Scene::at(Kafka::shared(), bucket, "every-store", 2);
        scene.produce(0..50);
        let mut host = Launch::run_until_end(&scene.file()).crash_at("entry:created", 1).start();
        host.expect_crash(RUN);
        scene.run_until_end();
        scene.assert_delivered(50);
        // Staged ones as well: too much for the entry.
        for partition in 0..2 {
            scene.kafka.produce_numbered(&scene.topic, partition, 50..650, 2000);
        }
        let mut host = Launch::run_until_end(&scene.file()).crash_at("publish:object-placed", 1).start();
        host.expect_crash(RUN);
        scene.run_until_end();
        scene.assert_delivered(650);
        scene.assert_committed();
    }
}
