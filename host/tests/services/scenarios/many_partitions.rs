//! Memory with many assigned partitions: each is a lane, and a lane without data must cost next to nothing.

use std::time::{Duration, Instant};

use super::{RECORD, Scene, await_records};
use crate::support::host::Launch;
use crate::support::kafka::{Kafka, Message};
use crate::support::process::signal;
use crate::support::stores::{Kind, Store};
use crate::support::until;

/// Partitions of one topic.
const TOPIC: i32 = 500;

/// What `host.memory` is set to.
const MEMORY: u64 = 256 << 20;

/// The program itself, and its threads' stacks and heaps: not part of the budget.
const BASE: u64 = 64 << 20;

/// As many as `VANNE_MANY_PARTITIONS` says, rounded to whole topics; 500 by default.
fn topics() -> i32 {
    let wanted = std::env::var("VANNE_MANY_PARTITIONS").ok().and_then(|text| text.parse::<i32>().ok());
    (wanted.unwrap_or(TOPIC) / TOPIC).max(1)
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what one wants to see")]
fn many_assigned_partitions_stay_within_the_memory_budget() {
    let begun = Instant::now();
    // Its own: thousands of open files and maps are nobody else's business. Small indexes, or they fill its disk.
    let kafka = Kafka::start_with(&[("log.index.size.max.bytes", "4096"), ("num.io.threads", "4")]);
    let names: Vec<_> = (0..topics()).map(|_| kafka.topic("many", TOPIC)).collect();
    println!("{} topics of {TOPIC} partitions after {:?}", names.len(), begun.elapsed());
    let scene = Scene::at(&kafka, Store::shared(Kind::Minio).bucket("many"), "many-base", 1)
        .set("source.topics", format!("{names:?}"))
        .set("host.memory", format!("\"{}MiB\"", MEMORY >> 20))
        .set("source.properties", r#"{ "session.timeout.ms" = "30000" }"#);
    // One in ten partitions gets data.
    let busy: Vec<i32> = (0..TOPIC).step_by(10).collect();
    let messages = |numbers: std::ops::Range<u64>| -> Vec<_> {
        busy.iter().flat_map(|p| numbers.clone().map(|n| Message::numbered(*p, n, RECORD))).collect()
    };
    kafka.produce(&names[0], &messages(0..100));
    for name in &names[1..] {
        kafka.produce(name, &[Message::new(7, r#"{"p":-1,"n":0}"#)]);
    }

    let mut host = Launch::run(&scene.file()).environment("VANNE_LOG", "warn,host=debug").start();
    let begun = Instant::now();
    let lanes = names.len() * usize::try_from(TOPIC).expect("a count");
    let taken_over = until(Duration::from_secs(300), || {
        assert!(host.is_running(), "{}", host.stderr());
        host.stderr().matches("taken over").count() >= lanes
    });
    assert!(taken_over, "{lanes} lanes do not start: {}", host.stderr().matches("taken over").count());
    println!("{lanes} lanes began after {:?}", begun.elapsed());
    await_records(&mut host, &scene.lake(), busy.len() * 100);
    kafka.produce(&names[0], &messages(100..200));
    await_records(&mut host, &scene.lake(), busy.len() * 200);
    let peak = host.peak_memory();
    println!("{lanes} partitions: {} MiB resident at the most, host.memory {} MiB", peak >> 20, MEMORY >> 20);
    assert!(peak < MEMORY + BASE, "{} MiB", peak >> 20);
    signal(host.pid(), crate::support::process::Signal::Terminate);
    host.expect_exit(Duration::from_secs(30), 0);
    let look = scene.look();
    let first: std::collections::BTreeMap<_, _> =
        look.partitions().into_iter().filter(|(partition, _)| *partition >= 0).collect();
    assert_eq!(first.len(), busy.len());
    for (partition, found) in first {
        assert!(found.duplicates.is_empty() && found.disorder.is_empty(), "{found:?}");
        assert_eq!(found.seen.len(), 200, "partition {partition}");
    }
}
