//! Topics that change: made again, grown, cut off, and very long ones.

use super::{RUN, Scene, assert_says, await_records};
use crate::support::PATIENCE;
use crate::support::host::Launch;
use crate::support::kafka::{Kafka, Message};
use crate::support::stores::{Kind, Store};

#[test]
fn a_topic_made_again_is_refused_until_a_person_decides() {
    let scene = Scene::new("made-again", 2);
    scene.produce(0..100);
    scene.run_until_end();
    make_again(&scene, 100..130);
    let said = scene.refused();
    assert_says(
        &said,
        &[&scene.topic, "deleted and made again", "hint:", "host ledger new-chain --at earliest"],
    );
    let said = scene.command(&["ledger", "new-chain", "--at", "earliest"]);
    assert_says(&said, &[&scene.topic, "partition 1 begins at 0"]);
    let report = scene.run_until_end();
    assert_eq!(report["records_read"], 60);
    assert_each_once(&scene, &[130, 130]);
    scene.assert_committed();
}

#[test]
fn a_topic_made_again_while_the_host_runs_halts_its_lanes_and_no_others() {
    let mut scene = Scene::new("made-again-live", 2);
    let other = scene.kafka.topic("left-alone", 1);
    scene.change("source.topics", format!("[{other:?}, {:?}]", scene.topic));
    scene.produce(0..50);
    let mut host = Launch::run(&scene.file()).argument("--json").start();
    await_records(&mut host, &scene.lake(), 100);
    // It does not see the moment at which there is no topic; its place lies inside of the new log.
    host.pause();
    make_again(&scene, 50..150);
    host.resume();
    host.expect_log("made again", PATIENCE);
    // Partition 9, to the reader.
    let message = |number: u64| Message::new(0, format!(r#"{{"p":9,"n":{number}}}"#));
    scene.kafka.produce(&other, &(0..20).map(message).collect::<Vec<_>>());
    await_records(&mut host, &scene.lake(), 120);
    host.terminate();
    host.expect_exit(RUN, 2);
    assert_each_once(&scene, &[50, 50, 20]);
    assert_says(&scene.refused(), &["deleted and made again"]);
    // The other topic has its chain, which stays.
    let said = scene.command(&["ledger", "new-chain", "--at", "earliest"]);
    assert_says(&said, &[&scene.topic]);
    assert!(!said.contains(&other), "{said}");
    scene.run_until_end();
    assert_each_once(&scene, &[150, 150, 20]);
}

fn make_again(scene: &Scene<'_>, numbers: std::ops::Range<u64>) {
    scene.kafka.delete_topic(&scene.topic);
    scene.kafka.create_topic(&scene.topic, scene.partitions, &[]);
    scene.produce(numbers);
}

/// The offsets of a topic made again begin anew, so that the order of objects by their names says nothing.
fn assert_each_once(scene: &Scene<'_>, counts: &[usize]) {
    let look = scene.look();
    let found: Vec<_> = look.partitions().into_values().map(|partition| partition.seen.len()).collect();
    assert_eq!(found, counts);
    for (partition, found) in look.partitions() {
        assert_eq!(found.duplicates, Vec::<String>::new(), "partition {partition}");
        assert_eq!(found.gaps(), [], "partition {partition}");
    }
}

#[test]
fn a_partition_that_comes_later_starts_at_its_first_record() {
    let scene = Scene::new("grown", 1).set("source.start", r#""latest""#);
    scene.produce(0..50);
    let mut host = Launch::run(&scene.file()).argument("--json").start();
    host.expect_log("assigned", PATIENCE);
    scene.kafka.add_partitions(&scene.topic, 2);
    scene.kafka.produce_numbered(&scene.topic, 1, 0..30, 120);
    scene.kafka.produce_numbered(&scene.topic, 0, 50..70, 120);
    await_records(&mut host, &scene.lake(), 50);
    host.terminate();
    host.expect_exit(RUN, 0);
    // One that nobody was there to see.
    scene.kafka.add_partitions(&scene.topic, 3);
    scene.kafka.produce_numbered(&scene.topic, 2, 0..10, 120);
    scene.run_until_end();
    let numbers = |numbers: std::ops::Range<u64>| numbers.map(|number| (number, 0)).collect();
    scene.look().assert_exactly(&[(0, numbers(50..70)), (1, numbers(0..30)), (2, numbers(0..10))].into());
}

#[test]
fn a_log_that_was_cut_off_halts_its_lane() {
    let kafka = Kafka::start();
    let scene = Scene::at(&kafka, Store::shared(Kind::Minio).bucket("cut-off"), "cut-off", 2);
    scene.produce(0..100);
    scene.run_until_end();
    // As after an unclean election: the log of partition 0 begins anew, under the same topic id.
    kafka.replace_log(&scene.topic, 0, 0);
    assert_eq!(kafka.watermarks(&scene.topic, 0), (0, 0));
    kafka.produce_numbered(&scene.topic, 0, 100..120, 120);
    kafka.produce_numbered(&scene.topic, 1, 100..120, 120);
    let (host, report) = scene.run_until_end_as(2);
    assert_eq!(report["outcome"], "halted");
    let log = host.stderr();
    let alarm = log.lines().find(|line| line.contains("the lane halted")).expect("an alarm");
    assert_says(
        alarm,
        &[r#""level":"ERROR""#, "ends at offset 20", "the end of its chain at 100", "truncated"],
    );
    let numbers = |end: u64| (0..end).map(|number| (number, 0)).collect();
    scene.look().assert_exactly(&[(0, numbers(100)), (1, numbers(120))].into());
    let starts: Vec<_> = scene.entries().iter().map(|entry| entry["start"].clone()).collect();

    // Without an end to reach, the other lane goes on, and the exit code tells in the end.
    let mut host = Launch::run(&scene.file()).argument("--json").start();
    host.expect_log("the lane halted", PATIENCE);
    kafka.produce_numbered(&scene.topic, 1, 120..140, 120);
    await_records(&mut host, &scene.lake(), 240);
    host.terminate();
    host.expect_exit(RUN, 2);
    scene.look().assert_exactly(&[(0, numbers(100)), (1, numbers(140))].into());
    assert!(scene.entries().len() > starts.len());
}

#[test]
fn a_chain_passes_ten_million() {
    const FIRST: u64 = 9_999_900;
    let kafka = Kafka::start();
    let scene = Scene::at(&kafka, Store::shared(Kind::Minio).bucket("ten-million"), "ten-million", 1)
        .set("cut.records", "33")
        .set("batch.records", "33");
    kafka.replace_log(&scene.topic, 0, FIRST);
    assert_eq!(kafka.watermarks(&scene.topic, 0), (FIRST as i64, FIRST as i64));
    for (round, end) in [40, 99, 100, 101, 250].into_iter().enumerate() {
        let begin = scene.look().records() as u64;
        scene.produce(begin..end);
        if round % 2 == 1 {
            // Killed with an entry that is not published: the tail has to be found on either side.
            let mut host = Launch::run_until_end(&scene.file()).crash_at("entry:created", 1).start();
            host.expect_crash(RUN);
        }
        scene.run_until_end();
        scene.assert_delivered(end);
        scene.assert_committed();
    }
    kafka.delete_group(&scene.name);
    let report = scene.run_until_end();
    assert_eq!(report["entries"], 0, "the end is found without the group's help: {report}");
    let starts: Vec<_> = scene.entries().iter().filter_map(|entry| entry["start"].as_u64()).collect();
    assert!(starts.is_sorted(), "names are in the order of offsets: {starts:?}");
    assert!(starts.first() == Some(&FIRST) && starts.iter().any(|start| *start >= 10_000_000), "{starts:?}");
}

#[test]
fn a_start_by_time_and_by_offset_is_resolved_once() {
    let scene = Scene::new("start", 2);
    scene.produce(0..20);
    let start = format!("{{ {:?} = {{ 0 = 15 }} }}", scene.topic);
    let mut scene = scene.set("source.start", start);
    scene.run_until_end();
    let numbers = |numbers: std::ops::Range<u64>| numbers.map(|number| (number, 0)).collect();
    scene.look().assert_exactly(&[(0, numbers(15..20)), (1, numbers(0..20))].into());
    // It is for a first start only.
    scene.change("source.start", r#""latest""#);
    scene.produce(20..30);
    scene.run_until_end();
    scene.look().assert_exactly(&[(0, numbers(15..30)), (1, numbers(0..30))].into());

    let scene = Scene::new("start-time", 1).set("source.start", r#""2023-11-14T22:13:20Z""#);
    let at = |number: u64, ms: i64| Message::numbered(0, number, 120).timestamp(ms);
    let before = (0..5).map(|number| at(number, 1_699_999_999_999));
    let from = (5..9).map(|number| at(number, 1_700_000_000_000));
    scene.kafka.produce(&scene.topic, &before.chain(from).collect::<Vec<_>>());
    scene.run_until_end();
    scene.assert_delivered_numbers(5..9);
}
