//! Tests of the servers themselves, as the other tests of this target use them: what is claimed here about a store or
//! a broker holds before the host's use of it is judged.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::support::host::Pipeline;
use crate::support::kafka::{Committed, Ending, Kafka, Message};
use crate::support::location::Location;
use crate::support::process::{Signal, signal, spawn, tied, wait_for_end};
use crate::support::reader::{Reader, everything, json_lines};
use crate::support::stores::{Kind, Store};
use crate::support::{PATIENCE, unique, until, wait};

#[test]
fn kafka_takes_keys_headers_and_timestamps_to_the_named_partition() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("records", 3);
    // Years before any retention that is reckoned from now.
    let first = 1_700_000_000_000;
    let message = |number| Message::numbered(2, number, 200).key("key").timestamp(first);
    let mut messages: Vec<_> = (0..10).map(message).collect();
    messages[3] = messages[3].clone().header("name", b"value").header("name", b"again");
    messages[4].headers.push(("null".to_owned(), None));
    messages[5].key = None;
    messages[6].value = None;
    assert_eq!(kafka.produce(&topic, &messages), (0..10).collect::<Vec<_>>());
    assert_eq!(kafka.watermarks(&topic, 2), (0, 10));
    assert_eq!(kafka.watermarks(&topic, 0), (0, 0));
    let read: Vec<_> =
        kafka.read(&topic, 2, "read_committed").into_iter().map(|(_, message)| message).collect();
    assert_eq!(read, messages);
    let size = messages[0].value.as_ref().map_or(0, Vec::len);
    assert!((200..220).contains(&size), "records have about the size asked for");
}

#[test]
fn kafka_hides_aborted_transactions_from_committed_reads_only() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("transactions", 1);
    kafka.transaction(&topic, &[Message::new(0, "kept")], Ending::Commit);
    kafka.transaction(&topic, &[Message::new(0, "dropped")], Ending::Abort);
    kafka.produce(&topic, &[Message::new(0, "last")]);

    let values = |isolation| {
        kafka
            .read(&topic, 0, isolation)
            .into_iter()
            .filter_map(|(_, message)| message.value)
            .collect::<Vec<_>>()
    };
    assert_eq!(values("read_committed"), [b"kept".as_slice(), b"last"]);
    assert_eq!(values("read_uncommitted"), [b"kept".as_slice(), b"dropped", b"last"]);
    // Each transaction ends with a control record, which takes an offset of its own.
    assert_eq!(kafka.watermarks(&topic, 0), (0, 5));
}

#[test]
fn kafka_topics_grow_shrink_and_are_made_again() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("changes", 1);
    kafka.produce(&topic, &[Message::new(0, "one"), Message::new(0, "two")]);
    kafka.delete_records(&topic, 0, 1);
    assert_eq!(kafka.watermarks(&topic, 0), (1, 2));
    kafka.add_partitions(&topic, 3);
    assert_eq!(kafka.partitions(&topic), 3);
    kafka.delete_topic(&topic);
    kafka.create_topic(&topic, 2, &[("retention.ms", "-1")]);
    assert_eq!(kafka.watermarks(&topic, 0), (0, 0));
}

#[test]
fn kafka_groups_can_be_set_by_hand_and_deleted() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("groups", 2);
    let group = unique("group");
    kafka.produce(&topic, &[Message::new(1, "one")]);
    assert_eq!(kafka.committed(&group, &topic), BTreeMap::new());
    kafka.commit(&group, &topic, 1, 1);
    let expected = Committed { offset: 1, metadata: String::new() };
    assert_eq!(kafka.committed(&group, &topic), BTreeMap::from([(1, expected)]));
    assert_eq!(kafka.members(&group), 0);
    kafka.delete_group(&group);
    assert_eq!(kafka.committed(&group, &topic), BTreeMap::new());
}

#[test]
fn kafka_notices_within_seconds_that_a_member_died() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("members", 1);
    let group = unique("members");
    kafka.produce(&topic, &[Message::new(0, "one")]);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.brokers())
        .set("group.id", &group)
        .set("session.timeout.ms", "1000")
        .set("heartbeat.interval.ms", "250")
        // Polling stops for longer than this, so it leaves its heartbeats out, as if it hung.
        .set("max.poll.interval.ms", "1000")
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("valid properties");
    consumer.subscribe(&[&topic]).expect("a name");
    assert!(until(PATIENCE, || consumer
        .poll(Duration::from_millis(100))
        .is_some_and(|polled| polled.is_ok())));
    assert_eq!(kafka.members(&group), 1);
    assert!(until(PATIENCE, || kafka.members(&group) == 0), "the group forgets it");
    kafka.commit(&group, &topic, 0, 1);
}

#[test]
fn kafka_keeps_acknowledged_records_over_a_crash() {
    let kafka = Kafka::start();
    let topic = kafka.topic("crash", 1);
    kafka.produce(&topic, &[Message::new(0, "kept")]);
    kafka.server().signal(Signal::Kill);
    kafka.server().start_again();
    assert_eq!(kafka.read(&topic, 0, "read_committed").len(), 1);
}

#[test]
fn minio_keeps_the_rules_that_the_ledger_needs() {
    keeps_the_rules(Kind::Minio);
}

#[test]
fn versitygw_keeps_the_rules_that_the_ledger_needs() {
    keeps_the_rules(Kind::Versitygw);
}

#[test]
fn azurite_keeps_the_rules_that_the_ledger_needs() {
    match Kind::Azurite.unavailable() {
        None => keeps_the_rules(Kind::Azurite),
        // `.ci/servers` has said so aloud; where it was not run at all, the store's start fails above.
        Some(cause) => assert!(!cause.trim().is_empty(), "`.ci/servers` gives a cause"),
    }
}

#[test]
fn a_store_keeps_its_objects_over_a_crash() {
    let store = Store::start(Kind::Minio);
    let client = store.bucket("crash").store();
    put(&client, "kept", "content").expect("the store takes it");
    store.server().signal(Signal::Kill);
    store.server().start_again();
    assert_eq!(get(&client, "kept"), "content");
}

#[test]
fn the_reader_reads_from_a_store_what_it_reads_from_a_folder() {
    let folder = crate::support::process::scratch("reader");
    let local = Location::folder(folder.path());
    for place in [local, Store::shared(Kind::Minio).bucket("reader").under("lake")] {
        let store = place.store();
        let name = |piece: u32| format!("2026/topic-3-00000000000000000000-{piece}-0123abcd");
        let gzip = {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, &lines(0..2)).expect("memory takes bytes");
            encoder.finish().expect("memory takes bytes")
        };
        put(&store, &format!("{}.jsonl.gz", name(0)), gzip).expect("the store takes it");
        put(&store, &format!("{}.jsonl.zst", name(1)), zstd::encode_all(&lines(2..4)[..], 3).expect("bytes"))
            .expect("the store takes it");
        put(&store, "_vanne/staging/ignored.jsonl", "not a record").expect("the store takes it");
        let mut reader = Reader::at(&place);
        let look = reader.look();
        look.assert_exactly_once(&BTreeMap::from([(3, 4)]));
        put(&store, &format!("{}.jsonl", name(2)), lines(4..5)).expect("the store takes it");
        reader.look().assert_exactly_once(&BTreeMap::from([(3, 5)]));
        assert_eq!(
            json_lines(&place).iter().map(|line| line["n"].as_u64()).collect::<Vec<_>>(),
            (0..5).map(Some).collect::<Vec<_>>()
        );
        assert_eq!(everything(&place).len(), 4, "three objects and a staged one");
    }
}

#[test]
fn signals_reach_the_program_itself() {
    let mut command = tied("sleep");
    command.arg("600");
    let mut child = spawn(command).expect("it starts");
    let pid = child.id();
    // The third field: running, sleeping, stopped.
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    assert!(until(PATIENCE, || state().contains("(sleep) S")));
    signal(pid, Signal::Stop);
    assert!(until(PATIENCE, || state().contains("(sleep) T")));
    signal(pid, Signal::Continue);
    assert!(until(PATIENCE, || state().contains("(sleep) S")));
    signal(pid, Signal::Terminate);
    let status = wait_for_end(&mut child, PATIENCE).expect("it ends");
    assert_eq!(status.signal(), Some(15));
}

#[test]
fn a_pipeline_file_is_toml() {
    let kafka = Kafka::shared();
    let sink = Store::shared(Kind::Minio).location("lake").under("access");
    let pipeline = Pipeline::new("name", kafka, &["one", "two"], &sink)
        .set("cut.interval", r#""1s""#)
        .unset("sinks.lake.compression")
        .append("[[transforms]]\nname = \"parse\"");
    let table: toml::Table = pipeline.text().parse().expect("it is TOML");
    assert_eq!(table["cut"]["interval"].as_str(), Some("1s"));
    assert_eq!(table["source"]["topics"].as_array().map(Vec::len), Some(2));
    assert_eq!(table["sinks"]["lake"]["url"].as_str(), Some("s3://lake/access"));
    assert_eq!(table["sinks"]["lake"]["options"]["allow_http"].as_str(), Some("true"));
    assert!(table["sinks"]["lake"].get("compression").is_none());
    assert_eq!(table["transforms"][0]["name"].as_str(), Some("parse"));
}

/// The rules of an object store on which exactly-once stands.
fn keeps_the_rules(kind: Kind) {
    let store = Store::shared(kind).bucket("rules").under("prefix").store();

    create(&store, "entry", "first").expect("nothing is there yet");
    assert!(
        matches!(create(&store, "entry", "second"), Err(Error::AlreadyExists { .. })),
        "a second create is refused"
    );
    assert_eq!(get(&store, "entry"), "first");

    for round in 0..5 {
        let name = format!("race-{round}");
        let racers = (0..20).map(|racer| {
            let (store, name) = (store.clone(), name.clone());
            async move { create_later(&store, &name, racer.to_string()).await.is_ok().then_some(racer) }
        });
        let winners: Vec<_> = wait(futures::future::join_all(racers)).into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "one of twenty creates at once wins");
        assert_eq!(get(&store, &name), winners[0].to_string(), "and its content stands");
    }

    let from = Path::from("entry");
    let to = Path::from("published/entry");
    wait(store.copy(&from, &to)).expect("a copy within the store");
    assert_eq!(get(&store, "published/entry"), "first");
    let missing = wait(store.copy(&Path::from("nothing"), &to));
    assert!(matches!(missing, Err(Error::NotFound { .. })), "a missing source is told: {missing:?}");
    assert_eq!(wait(store.head(&to)).expect("a head").size, 5);

    let prefix = Path::from("race-0");
    let listed: Vec<_> =
        wait(store.list_with_offset(None, &prefix).try_collect::<Vec<_>>()).expect("a listing");
    let mut listed: Vec<_> = listed.into_iter().map(|meta| meta.location.to_string()).collect();
    listed.sort();
    assert_eq!(listed, ["race-1", "race-2", "race-3", "race-4"], "a listing starts after the offset");

    wait(store.delete(&from)).expect("a deletion");
    assert!(matches!(wait(store.head(&from)), Err(Error::NotFound { .. })), "what is deleted is gone");
}

fn create(store: &Arc<dyn ObjectStore>, path: &str, content: &'static str) -> object_store::Result<()> {
    wait(create_later(store, path, content))
}

async fn create_later(
    store: &Arc<dyn ObjectStore>,
    path: &str,
    content: impl Into<Bytes>,
) -> object_store::Result<()> {
    let payload = PutPayload::from_bytes(content.into());
    store.put_opts(&Path::from(path), payload, PutMode::Create.into()).await.map(|_| ())
}

fn put(store: &Arc<dyn ObjectStore>, path: &str, content: impl Into<Bytes>) -> object_store::Result<()> {
    let payload = PutPayload::from_bytes(content.into());
    wait(store.put(&Path::from(path), payload)).map(|_| ())
}

fn get(store: &Arc<dyn ObjectStore>, path: &str) -> String {
    let place = Path::from(path);
    let bytes = wait(async { store.get(&place).await?.bytes().await }).expect("the object is there");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Numbered records of partition 3, as lines.
fn lines(numbers: std::ops::Range<u64>) -> Vec<u8> {
    let lines = numbers.map(|number| Message::numbered(3, number, 60).value.unwrap_or_default());
    lines.flat_map(|line| line.into_iter().chain([b'\n'])).collect()
}
