//! How a pipeline ends, and who may run beside it.

use std::time::{Duration, Instant};

use super::{Scene, assert_says, await_records, refusal_of};
use crate::support::host::{Host, Launch};
use crate::support::kafka::Kafka;
use crate::support::process::Signal;
use crate::support::reader::everything;
use crate::support::stores::{Kind, Store};
use crate::support::{PATIENCE, until};

/// Longer than anything in these tests: only the drain cuts.
const NEVER: &str = r#""10m""#;

fn drains_by_itself(stem: &str, partitions: i32) -> Scene<'static> {
    Scene::new(stem, partitions).set("cut.interval", NEVER).set("cut.max_interval", NEVER)
}

/// Until the host has taken in what there is: it says so every ten seconds only.
fn taken_in(host: &mut Host, records: u64) {
    host.expect_log("assigned", PATIENCE);
    host.expect_log(&format!(r#""taken":{records},"#), PATIENCE);
}

#[test]
fn a_signal_drains_and_delivers_all_that_was_taken_in() {
    let scene = drains_by_itself("drain", 3);
    scene.produce(0..200);
    let mut host = Launch::run(&scene.file()).argument("--json").start();
    taken_in(&mut host, 600);
    assert!(scene.visible().is_empty(), "nothing is cut yet");
    host.terminate();
    host.expect_exit(Duration::from_secs(25), 0);
    scene.assert_delivered(200);
    scene.assert_committed();
    assert!(scene.entries().iter().all(|entry| entry["cause"] == "shutdown"));
    let report: serde_json::Value = serde_json::from_str(host.stdout().trim()).expect("a report");
    assert_eq!((&report["outcome"], &report["records_read"]), (&"drained".into(), &600.into()));
    assert_eq!(scene.kafka.members(&scene.name), 0, "it left the group");

    scene.produce(200..250);
    scene.run_until_end();
    scene.assert_delivered(250);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let store = Store::start(Kind::Minio);
    let scene = Scene::at(Kafka::shared(), store.bucket("hangs"), "second-signal", 1);
    let scene = scene.set("cut.interval", NEVER).set("cut.max_interval", NEVER);
    scene.produce(0..100);
    let mut host = Launch::run(&scene.file()).argument("--json").start();
    taken_in(&mut host, 100);
    // It can't drain into a store that does not answer.
    store.server().signal(Signal::Stop);
    host.interrupt();
    host.expect_log("draining", PATIENCE);
    assert!(host.is_running());
    let asked = Instant::now();
    host.interrupt();
    host.expect_exit(Duration::from_secs(5), 130);
    assert!(asked.elapsed() < Duration::from_secs(5));
    store.server().signal(Signal::Continue);
    scene.run_until_end();
    scene.assert_delivered(100);
}

#[test]
fn a_drain_into_a_store_that_hangs_ends_at_its_deadline() {
    let store = Store::start(Kind::Minio);
    let scene = Scene::at(Kafka::shared(), store.bucket("hangs"), "deadline", 2);
    let scene = scene.set("cut.interval", NEVER).set("cut.max_interval", NEVER);
    scene.produce(0..100);
    let mut host = Launch::run(&scene.file()).argument("--json").start();
    taken_in(&mut host, 200);
    store.server().signal(Signal::Stop);
    let asked = Instant::now();
    host.terminate();
    host.expect_exit(Duration::from_secs(30), 3);
    let took = asked.elapsed();
    assert!((19..26).contains(&took.as_secs()), "it gives up after 20 s and leaves within 25, not {took:?}");
    store.server().signal(Signal::Continue);
    scene.run_until_end();
    scene.assert_delivered(100);
}

#[test]
fn without_until_end_it_goes_on() {
    let scene = Scene::new("goes-on", 2);
    scene.produce(0..50);
    let mut host = scene.start();
    await_records(&mut host, &scene.lake(), 100);
    scene.produce(50..80);
    await_records(&mut host, &scene.lake(), 160);
    assert!(host.is_running());
    host.interrupt();
    host.expect_exit(Duration::from_secs(25), 0);
    scene.assert_delivered(80);
    scene.assert_committed();
}

#[test]
fn an_idle_pipeline_closes_its_chain_and_drains() {
    let scene = Scene::new("idle", 1).set("cut.max_interval", r#""1s""#);
    scene.produce(0..5);
    let mut host = scene.start();
    await_records(&mut host, &scene.lake(), 5);
    let closed = || {
        let files = everything(&scene.bucket);
        files.keys().any(|path| path.ends_with(".closed.json"))
    };
    assert!(until(PATIENCE, closed), "an idle chain is closed");
    scene.produce(5..9);
    await_records(&mut host, &scene.lake(), 9);
    host.terminate();
    host.expect_exit(Duration::from_secs(25), 0);
    scene.assert_delivered(9);
}

#[test]
fn two_hosts_share_the_partitions_and_a_third_pipeline_is_refused_the_place() {
    let scene = Scene::new("shared", 4);
    scene.produce(0..300);
    let mut first = scene.start();
    let mut second = Launch::run(&scene.file()).start();
    second.expect_log("assigned", PATIENCE);
    await_records(&mut first, &scene.lake(), 1200);

    let other = scene.renamed("intruder").set("source.group", r#""intruders""#);
    let said = other.refused();
    assert_says(
        &said,
        &["/lake", &scene.topic, &format!("`{}`", scene.name), "intruder", "hint:", "adopt --from"],
    );

    scene.produce(300..400);
    await_records(&mut first, &scene.lake(), 1600);
    first.terminate();
    first.expect_exit(Duration::from_secs(25), 0);
    scene.produce(400..450);
    await_records(&mut second, &scene.lake(), 1800);
    second.terminate();
    second.expect_exit(Duration::from_secs(25), 0);
    scene.assert_delivered(450);
    scene.assert_committed();
}

#[test]
fn a_signal_before_the_broker_answers_ends_it() {
    let scene = Scene::new("early", 1).set("source.brokers", r#""127.0.0.1:1""#);
    let mut host = scene.start();
    std::thread::sleep(Duration::from_millis(1500));
    host.terminate();
    let status = host.wait(Duration::from_secs(12)).expect("it ends");
    assert!(matches!(status.code(), Some(0 | 1)), "{status}");
    if status.code() == Some(1) {
        assert_says(&refusal_of(&host), &["127.0.0.1:1"]);
    }
}

#[test]
fn hosts_that_start_at_once_in_an_empty_bucket_agree() {
    let scene = Scene::new("at-once", 3);
    scene.produce(0..200);
    let file = scene.file();
    let mut hosts: Vec<_> = (0..3).map(|_| Launch::run(&file).start()).collect();
    await_records(&mut hosts[0], &scene.lake(), 600);
    for host in &mut hosts {
        assert!(host.is_running(), "none is refused: {}", host.stderr());
        host.terminate();
    }
    for host in &mut hosts {
        host.expect_exit(Duration::from_secs(30), 0);
    }
    scene.assert_delivered(200);
    // The group may have refused a commit amid the rebalances; whoever takes the partition over makes up for it.
    let report = scene.run_until_end();
    assert_eq!(report["entries"], 0);
    scene.assert_delivered(200);
    scene.assert_committed();
}

#[test]
fn a_winner_that_dies_before_publishing_is_published_by_the_loser() {
    let scene = Scene::new("dead-winner", 1).set("cut.interval", r#""4s""#);
    scene.produce(0..100);
    let mut loser = Launch::run(&scene.file()).argument("--json").start();
    loser.expect_log("assigned", PATIENCE);
    // It has taken the records in, and stands still until its cut is long due.
    std::thread::sleep(Duration::from_millis(1500));
    loser.pause();
    let mut winner = Launch::run_until_end(&scene.file()).crash_at("entry:created", 1).start();
    winner.expect_crash(PATIENCE);
    assert_eq!((scene.look().records(), scene.entries().len()), (0, 1), "committed, and nothing published");
    std::thread::sleep(Duration::from_secs(2));
    loser.resume();
    await_records(&mut loser, &scene.lake(), 100);
    scene.produce(100..120);
    await_records(&mut loser, &scene.lake(), 120);
    loser.terminate();
    loser.expect_exit(Duration::from_secs(25), 0);
    scene.assert_delivered(120);
    scene.assert_committed();
}
