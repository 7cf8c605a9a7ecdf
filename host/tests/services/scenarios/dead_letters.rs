//! Dead letters from the outside: what stands in their objects and in their topic, and that neither loses one when
//! hosts, brokers and stores go away.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::{RUN, Scene, assert_says, await_records};
use crate::guests::guest;
use crate::support::host::Launch;
use crate::support::kafka::{Kafka, Message};
use crate::support::location::Location;
use crate::support::process::Signal;
use crate::support::reader::{everything, json_lines};
use crate::support::stores::{Kind, Store};
use crate::support::{PATIENCE, unique, until};

/// A scene whose dead letters go to a topic as well; answers the topic's name.
fn with_topic<'k>(
    scene: Scene<'k>,
    partitions: i32,
    config: &[(&str, &str)],
    guest_config: &str,
) -> (Scene<'k>, String) {
    let topic = unique("dead-letters");
    scene.kafka.create_topic(&topic, partitions, config);
    let mut scene = scene.set("dead_letter.topic", format!("{topic:?}")).set("host.cache", r#""cache""#);
    let plugin = guest("test-guest");
    scene.pipeline = scene
        .pipeline
        .append(&format!("[[transforms]]\nname = \"guest\"\nplugin = {plugin:?}\n{guest_config}"));
    (scene, topic)
}

/// Each record fails, whatever it holds.
const ALL_FAIL: &str = "config = { wrong_count = true }";

fn letters(scene: &Scene<'_>) -> Vec<Value> {
    json_lines(&scene.bucket.under(&format!("dead/{}", scene.name)))
}

/// The messages of a topic with the headers that the host added, by name.
fn messages(kafka: &Kafka, topic: &str) -> Vec<(Message, BTreeMap<String, String>)> {
    let read =
        (0..kafka.partitions(topic)).flat_map(|partition| kafka.read(topic, partition, "read_committed"));
    read.map(|(_, mut message)| {
        let first = message.headers.iter().position(|(name, _)| name == "vanne.pipeline").expect("a letter");
        let added = message.headers.split_off(first);
        let text = |value: Option<Vec<u8>>| String::from_utf8(value.expect("a value")).expect("text");
        (message, added.into_iter().map(|(name, value)| (name, text(value))).collect())
    })
    .collect()
}

/// The bytes under a name of a letter.
fn bytes(letter: &Value, name: &str) -> Option<Vec<u8>> {
    match letter.get(format!("{name}_base64")).and_then(Value::as_str) {
        Some(encoded) => Some(BASE64_STANDARD.decode(encoded).expect("base64")),
        None => letter[name].as_str().map(|text| text.as_bytes().to_vec()),
    }
}

fn headers(letter: &Value) -> Vec<(String, Option<Vec<u8>>)> {
    let headers = letter["headers"].as_array().expect("a list");
    headers
        .iter()
        .map(|header| (header["name"].as_str().expect("text").to_owned(), bytes(header, "value")))
        .collect()
}

/// Partition, offset and index, as the headers and the letters say it.
type Id = (String, String, Option<String>);

fn id_of_letter(letter: &Value) -> Id {
    let index = letter.get("index").map(Value::to_string);
    (letter["partition"].to_string(), letter["offset"].to_string(), index)
}

fn id_of_message(added: &BTreeMap<String, String>) -> Id {
    (added["vanne.partition"].clone(), added["vanne.offset"].clone(), added.get("vanne.index").cloned())
}

/// Object and topic hold the same letters, each once if nothing was sent again; answers how many there are.
fn assert_agree(scene: &Scene<'_>, topic: &str) -> usize {
    let letters: BTreeMap<_, _> = letters(scene).into_iter().map(|it| (id_of_letter(&it), it)).collect();
    let messages = messages(scene.kafka, topic);
    let by_id: BTreeMap<_, _> = messages.iter().map(|it| (id_of_message(&it.1), it)).collect();
    assert_eq!(by_id.keys().collect::<Vec<_>>(), letters.keys().collect::<Vec<_>>());
    let nonces: Vec<_> =
        scene.entries().iter().map(|entry| entry["nonce"].as_str().expect("text").to_owned()).collect();
    for (_, added) in &messages {
        let letter = &letters[&id_of_message(added)];
        for (header, member) in [
            ("vanne.topic", "topic"),
            ("vanne.condition", "condition"),
            ("vanne.code", "code"),
            ("vanne.detail", "detail"),
            ("vanne.failed_at", "failed_at"),
            ("vanne.config_digest", "config_digest"),
        ] {
            assert_eq!(letter[member].as_str(), Some(&*added[header]), "{member} of {letter}");
        }
        assert_eq!(letter["attempts"].to_string(), added["vanne.attempts"]);
        assert_eq!(added["vanne.pipeline"], scene.name);
        assert!(nonces.contains(&added["vanne.nonce"]), "{added:?}");
    }
    letters.len()
}

#[test]
fn dead_letters_in_objects_and_topic_hold_the_records_as_they_were() {
    let (scene, topic) = with_topic(Scene::new("letters", 2), 3, &[], ALL_FAIL);
    let time = 1_795_478_400_000;
    let mut records = vec![
        Message::new(0, "plain"),
        Message::new(0, b"\xff\xfe\x00".to_vec()).key(b"\x00\xff".to_vec()),
        Message::new(1, "with headers")
            .key("key")
            .header("a", b"1")
            .header("a", b"\xff")
            .header("vanne.code", b"mine"),
        Message::new(1, "").key(""),
        Message { partition: 0, key: Some(b"tombstone".to_vec()), ..Message::default() },
    ];
    records[2].headers.push(("none".to_owned(), None));
    let records: Vec<_> = records.into_iter().map(|record| record.timestamp(time)).collect();
    let offsets = scene.kafka.produce(&scene.topic, &records);
    let report = scene.run_until_end();
    assert_eq!(
        (&report["dead_letters"], &report["dead_letters_in_topic"]),
        (&5.into(), &5.into()),
        "{report}"
    );
    assert_eq!(assert_agree(&scene, &topic), 5);
    scene.assert_committed();

    let (letters, messages) = (letters(&scene), messages(scene.kafka, &topic));
    for (record, offset) in records.iter().zip(&offsets) {
        let here = |id: Id| (id.0, id.1) == (record.partition.to_string(), offset.to_string());
        let letter = letters.iter().find(|letter| here(id_of_letter(letter))).expect("its letter");
        assert_eq!(
            (&bytes(letter, "key"), &bytes(letter, "value")),
            (&record.key, &record.value),
            "{letter}"
        );
        assert_eq!(
            (headers(letter), &letter["timestamp_ms"]),
            (record.headers.clone(), &time.into()),
            "{letter}"
        );
        assert_eq!((&letter["code"], letter.get("index")), (&"WrongCount".into(), None), "{letter}");
        let (message, added) =
            messages.iter().find(|(_, added)| here(id_of_message(added))).expect("its message");
        assert_eq!((&message.key, &message.value), (&record.key, &record.value), "{added:?}");
        assert_eq!(message.headers, record.headers, "{added:?}");
        if record.key.is_none() {
            assert_eq!(message.partition, record.partition % 3, "without a key, partitions keep the order");
        }
        let path = &added["vanne.object"];
        let path =
            path.split_once(&scene.name).expect("a path below the pipeline's").1.trim_start_matches('/');
        let objects = everything(&scene.bucket.under(&format!("dead/{}", scene.name)));
        assert!(objects.contains_key(path), "`{path}` is none of {:?}", objects.keys());
    }
}

#[test]
fn dead_letters_of_outputs_name_the_output_and_bring_the_record() {
    let (scene, topic) = with_topic(Scene::new("parts", 1), 1, &[], "");
    let records =
        ["partial", "route nowhere", "replace no json"].map(|value| Message::new(0, value).key("k"));
    scene.kafka.produce(&scene.topic, &records);
    scene.produce(0..10);
    scene.run_until_end();
    // `whole`, which the first record becomes as well, is no JSON either.
    assert_eq!(assert_agree(&scene, &topic), 4);
    let letters = letters(&scene);
    let find = |code: &str| letters.iter().find(|letter| letter["code"] == code).expect("a letter");
    let (part, unknown) = (find("Part"), find("UnknownRoute"));
    assert_eq!((&part["output"]["value"], &part["sink"]), (&"part".into(), &Value::Null));
    assert_eq!(
        (&unknown["sink"], unknown.get("output")),
        (&"nowhere".into(), None),
        "it is the record itself"
    );
    let replaced = letters.iter().find(|letter| letter["offset"] == 2).expect("a letter");
    assert_eq!(
        (&replaced["value"], &replaced["output"]["value"]),
        (&"replace no json".into(), &"no json".into())
    );
    assert_eq!((&replaced["condition"], &replaced["sink"]), (&"SinkRefused".into(), &"lake".into()));
    for (message, added) in messages(scene.kafka, &topic) {
        let record = &records[added["vanne.offset"].parse::<usize>().expect("a number")];
        assert_eq!((&message.key, &message.value), (&record.key, &record.value), "{added:?}");
    }
}

#[test]
fn dead_letters_reach_their_topic_in_order_whatever_kills_the_host_in_between() {
    let (scene, topic) = with_topic(Scene::new("killed", 1), 1, &[], ALL_FAIL);
    // First what travels in the entry, then what is staged: more than 256 KiB.
    let mut expected = 0;
    for (point, count) in [("entry:created", 20), ("publish:object-placed", 20), ("entry:created", 300)] {
        scene.kafka.produce_numbered(&scene.topic, 0, expected..expected + count, 2_000);
        expected += count;
        let mut host = Launch::run_until_end(&scene.file()).crash_at(point, 1).start();
        host.expect_crash(RUN);
        assert!(
            letters_in_topic(&scene, &topic) < usize::try_from(expected).expect("few"),
            "nothing is sent before {point}"
        );
    }
    let mut host = Launch::run_until_end(&scene.file()).crash_at("commit:sent", 1).start();
    host.expect_crash(RUN);
    let report = scene.run_until_end();
    assert_eq!(report["outcome"], "drained", "{report}");
    assert_eq!(assert_agree(&scene, &topic) as u64, expected);
    // Some may be there twice; the first ones of each are in order.
    let mut offsets: Vec<u64> = Vec::new();
    for (_, added) in messages(scene.kafka, &topic) {
        let offset = added["vanne.offset"].parse().expect("a number");
        if !offsets.contains(&offset) {
            offsets.push(offset);
        }
    }
    assert_eq!(offsets, (0..expected).collect::<Vec<_>>());
    scene.assert_committed();
}

fn letters_in_topic(scene: &Scene<'_>, topic: &str) -> usize {
    scene.kafka.read(topic, 0, "read_committed").len()
}

#[test]
fn dead_letters_wait_for_a_broker_that_is_away() {
    let kafka = Kafka::start();
    let bucket = Store::shared(Kind::Minio).bucket("broker-away");
    let (scene, topic) = with_topic(Scene::at(&kafka, bucket, "broker-away", 1), 1, &[], "");
    // The group must not take the partition away meanwhile: what then happens is the business of take-overs.
    let scene = scene.set("source.properties", r#"{ "session.timeout.ms" = "60000" }"#);
    scene.kafka.produce(&scene.topic, &[Message::new(0, "fail Odd not today")]);
    let mut host = Launch::run(&scene.file()).pause_at("entry:created", 1).start();
    assert!(until(PATIENCE, || host.is_paused()), "{}", host.stderr());
    kafka.server().stop();
    host.resume();
    host.expect_log("dead letters wait for their topic", PATIENCE);
    assert_says(&host.stderr(), &[&topic, &format!("{}/0", scene.topic)]);
    assert_eq!(letters(&scene).len(), 1, "the object is there, and the lane waits behind it");
    kafka.server().start_again();
    host.expect_log("the dead letters that waited are in their topic", PATIENCE);
    scene.produce(0..20);
    await_records(&mut host, &scene.lake(), 20);
    // The group's side of the client comes back by itself, perhaps later than the producer's; a drain waits for it no
    // longer than it may, since the ledger has the offsets.
    let (_, end) = scene.kafka.watermarks(&scene.topic, 0);
    let is_committed = || scene.committed().get(&0).is_some_and(|commit| commit.offset == end);
    assert!(until(PATIENCE, is_committed), "{}", host.stderr());
    host.terminate();
    host.expect_exit(Duration::from_secs(30), 0);
    assert_eq!(assert_agree(&scene, &topic), 1);
    scene.assert_committed();
}

#[test]
fn dead_letters_whose_topic_is_gone_hold_up_their_own_lane_only() {
    let (scene, topic) = with_topic(Scene::new("topic-gone", 2), 1, &[], "");
    scene.kafka.produce(&scene.topic, &[Message::new(0, "fail Odd first")]);
    let mut host = scene.start();
    assert!(until(PATIENCE, || letters_in_topic(&scene, &topic) == 1), "{}", host.stderr());
    scene.kafka.delete_topic(&topic);
    scene.kafka.produce(&scene.topic, &[Message::new(0, "fail Odd second")]);
    host.expect_log("dead letters wait for their topic", PATIENCE);
    scene.produce(0..10);
    // Partition 0 stands behind its dead letter.
    await_records(&mut host, &scene.lake(), 10);
    std::thread::sleep(Duration::from_secs(2));
    scene.look().assert_exactly_once(&[(1, 10)].into());
    scene.kafka.create_topic(&topic, 1, &[]);
    await_records(&mut host, &scene.lake(), 20);
    let read = messages(scene.kafka, &topic);
    assert!(!read.is_empty() && read.iter().all(|(_, added)| added["vanne.detail"] == "second"), "{read:?}");
    host.terminate();
    host.expect_exit(Duration::from_secs(30), 0);
    scene.assert_delivered(10);
    scene.assert_committed();
}

#[test]
fn dead_letters_that_are_too_large_for_their_topic_are_there_without_their_values() {
    let limit = [("max.message.bytes", "4000")];
    // What does not shrink by compression: Kafka's limit counts the compressed batch.
    let noise = |bytes: usize| Message::numbered(0, 7, bytes).value.expect("a value");
    let (scene, topic) = with_topic(Scene::new("large", 1), 1, &limit, ALL_FAIL);
    let records = [
        Message::new(0, "small").key("a"),
        Message::new(0, noise(20_000)).key("b").header("h", b"1"),
        Message::new(0, "small again").key("c").header("h", &noise(20_000)),
        Message::new(0, "the last").key("d"),
    ];
    scene.kafka.produce(&scene.topic, &records);
    let (mut host, report) = scene.run_until_end_as(0);
    assert!(!host.is_running());
    assert_eq!(
        (&report["dead_letters_in_topic"], &report["dead_letters_shortened"]),
        (&4.into(), &2.into()),
        "{report}"
    );
    assert_says(&host.stderr(), &["too large for their topic", &topic]);
    assert_eq!(assert_agree(&scene, &topic), 4);
    let by_offset: BTreeMap<_, _> =
        messages(scene.kafka, &topic).into_iter().map(|it| (it.1["vanne.offset"].clone(), it)).collect();
    for (offset, left_out) in
        [("0", None), ("1", Some("value")), ("2", Some("key,value,headers")), ("3", None)]
    {
        let (message, added) = &by_offset[offset];
        assert_eq!(added.get("vanne.left_out").map(String::as_str), left_out, "{added:?}");
        let record = &records[offset.parse::<usize>().expect("a number")];
        assert_eq!(message.value.is_some(), left_out.is_none());
        assert_eq!(message.key, record.key.clone().filter(|_| left_out != Some("key,value,headers")));
    }
    let letters = letters(&scene);
    let whole: Vec<_> = letters.iter().map(|letter| bytes(letter, "value")).collect();
    assert_eq!(whole, records.map(|record| record.value), "the object has them whole");
}

#[test]
fn dead_letters_wait_for_their_store() {
    let store = Store::start(Kind::Minio);
    let place: Location = store.bucket("problems").under("letters");
    let (scene, topic) = with_topic(Scene::new("store-away", 1), 1, &[], "");
    let scene = scene
        .set("dead_letter.url", format!("{:?}", place.url))
        .set("dead_letter.options", place.options_toml());
    scene.produce(0..10);
    let mut host = scene.start();
    await_records(&mut host, &scene.lake(), 10);
    assert!(until(PATIENCE, || scene.committed().get(&0).is_some_and(|commit| commit.offset == 10)));
    store.server().signal(Signal::Kill);
    scene.kafka.produce(&scene.topic, &[Message::new(0, "fail Odd not today")]);
    let bucket = place.url.trim_start_matches("s3://").split('/').next().expect("a name").to_owned();
    host.expect_log("the store does not do it", PATIENCE);
    assert_says(&host.stderr(), &[&bucket, "letters/"]);
    scene.produce(10..20);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(scene.committed()[&0].offset, 10, "no offset is committed before its dead letter");
    assert_eq!(letters_in_topic(&scene, &topic), 0, "nor is it in the topic");
    store.server().start_again();
    await_records(&mut host, &scene.lake(), 20);
    assert!(until(PATIENCE, || letters_in_topic(&scene, &topic) == 1), "{}", host.stderr());
    assert_eq!(json_lines(&place).len(), 1);
    host.terminate();
    host.expect_exit(Duration::from_secs(30), 0);
    scene.assert_delivered(20);
}

#[test]
fn a_dead_letter_topic_that_is_missing_is_refused_with_the_way_out() {
    let topic = unique("no-letters");
    let scene = Scene::new("no-letters", 1).set("dead_letter.topic", format!("{topic:?}"));
    scene.produce(0..10);
    let create = format!("--create --topic {topic} ");
    let wanted = ["`dead_letter.topic`", &topic, "does not exist", "hint: ", "kafka-topics.sh", &create];
    assert_says(&scene.refused(), &wanted);
    let mut host = scene.start_command(&["validate", "--connect"]);
    host.expect_exit(RUN, 1);
    assert_says(&host.stderr(), &wanted);
    scene.kafka.create_topic(&topic, 2, &[]);
    assert_says(&scene.command(&["validate", "--connect"]), &["2 partitions get dead letters"]);
}
