//! What the ledger refuses to decide by itself, the commands that decide, and what it does not let itself be told.

use std::time::Duration;

use object_store::ObjectStoreExt as _;

use super::{RUN, Scene, assert_says};
use crate::support::host::Launch;
use crate::support::kafka::Message;
use crate::support::stores::{Kind, Store};
use crate::support::{unique, wait};

#[test]
fn a_renamed_pipeline_is_refused_and_goes_on_after_adopt() {
    let scene = Scene::new("renamed", 3);
    scene.produce(0..100);
    scene.run_until_end();
    scene.produce(100..150);
    let name = unique("new-name");
    let renamed = scene.renamed(&name);
    let said = renamed.refused();
    assert_says(
        &said,
        &[&scene.name, &scene.topic, "hint:", &format!("host ledger adopt --from {}", scene.name)],
    );

    let missing = renamed.command_refused(&["ledger", "adopt", "--from", "nobody"]);
    assert_says(&missing, &["nobody", &scene.topic]);
    let said = renamed.command(&["ledger", "adopt", "--from", &scene.name]);
    assert_says(&said, &[&scene.topic, "partition 2 begins at 100"]);
    let report = renamed.run_until_end();
    assert_eq!(report["records_read"], 150);
    scene.assert_delivered(150);

    // Neither goes the old one on, nor does adopting again change anything.
    let said = scene.refused();
    assert_says(&said, &[&name, "hint:"]);
    renamed.command(&["ledger", "adopt", "--from", &scene.name]);
    renamed.run_until_end();
    scene.assert_delivered(150);
}

#[test]
fn a_renamed_pipeline_that_reads_one_topic_more_adopts_what_there_is() {
    let scene = Scene::new("one-more", 1);
    scene.produce(0..30);
    scene.run_until_end();
    let another = scene.kafka.topic("one-more", 1);
    let renamed =
        scene.renamed(&unique("wider")).set("source.topics", format!("[{another:?}, {:?}]", scene.topic));
    let said = renamed.command(&["ledger", "adopt", "--from", &scene.name]);
    assert_says(&said, &[&scene.topic, "partition 0 begins at 30"]);
    assert!(!said.contains(&another), "{said}");
    let message = |number: u64| Message::new(0, format!(r#"{{"p":5,"n":{number}}}"#));
    scene.kafka.produce(&another, &(0..10).map(message).collect::<Vec<_>>());
    scene.produce(30..40);
    renamed.run_until_end();
    scene.look().assert_exactly_once(&[(0, 40), (5, 10)].into());
}

#[test]
fn adopt_after_a_crash_publishes_what_the_old_pipeline_had_committed() {
    let scene = Scene::new("adopt-crash", 1);
    scene.produce(0..100);
    let mut host = Launch::run_until_end(&scene.file()).crash_at("entry:created", 1).start();
    host.expect_crash(RUN);
    let (before, entries) = (scene.look().records(), scene.entries().len());
    assert_eq!((before, entries), (0, 1), "committed, and nothing published");
    let renamed = scene.renamed(&unique("heir"));
    renamed.command(&["ledger", "adopt", "--from", &scene.name]);
    renamed.run_until_end();
    scene.assert_delivered(100);
}

#[test]
fn a_moved_bucket_is_refused_and_goes_on_at_the_committed_offsets() {
    let mut scene = Scene::new("moved", 2);
    scene.produce(0..100);
    scene.run_until_end();
    scene.produce(100..140);
    scene.bucket = Store::shared(Kind::Minio).bucket("moved-to");
    scene.change("sinks.lake.url", format!("{:?}", scene.lake().url));
    let said = scene.refused();
    assert_says(
        &said,
        &["committed offsets", &scene.topic, "no chain", "hint:", "host ledger new-chain --at committed"],
    );

    let said = scene.command(&["ledger", "new-chain", "--at", "committed"]);
    assert_says(&said, &["partition 0 begins at 100", "partition 1 begins at 100"]);
    let other = scene.command_refused(&["ledger", "new-chain", "--at", "earliest"]);
    assert_says(&other, &[&scene.topic, "already has its start"]);
    let report = scene.run_until_end();
    assert_eq!(report["records_read"], 80);
    let numbers: std::collections::BTreeSet<_> = (100..140).map(|number| (number, 0)).collect();
    scene.look().assert_exactly(&[(0, numbers.clone()), (1, numbers)].into());
    scene.assert_committed();
}

#[test]
fn an_offset_that_the_log_does_not_have_is_refused() {
    let scene = Scene::new("no-offset", 1);
    scene.produce(0..10);
    let said = scene.command_refused(&["ledger", "new-chain", "--at", "11"]);
    assert_says(&said, &[&scene.topic, "offset 11 of partition 0", "0 to 10"]);
    // An argument that is wrong has the exit code of a refusal, not clap's, which is the one of a halted lane.
    let said = scene.command_refused(&["ledger", "new-chain", "--at", "sometime"]);
    assert_says(&said, &["sometime", "`committed`, `earliest`, `latest` or an offset"]);
    scene.command(&["ledger", "new-chain", "--at", "4"]);
    scene.run_until_end();
    scene.assert_delivered_numbers(4..10);
}

#[test]
fn a_group_set_forward_by_hand_between_create_and_publish_loses_nothing() {
    let scene = Scene::new("set-forward", 1).set("cut.records", "50").set("batch.records", "50");
    scene.produce(0..200);
    let mut host = Launch::run_until_end(&scene.file()).crash_at("entry:created", 2).start();
    host.expect_crash(RUN);
    scene.kafka.commit(&scene.name, &scene.topic, 0, 180);
    assert!(scene.look().records() < 200);
    scene.run_until_end();
    scene.assert_delivered(200);
    scene.assert_committed();
}

#[test]
fn a_group_set_back_by_hand_doubles_nothing() {
    let scene = Scene::new("set-back", 1).set("cut.records", "50").set("batch.records", "50");
    scene.produce(0..200);
    scene.run_until_end();
    scene.kafka.commit(&scene.name, &scene.topic, 0, 10);
    scene.produce(200..220);
    let report = scene.run_until_end();
    assert_eq!(report["records_read"], 20);
    scene.assert_delivered(220);
    scene.assert_committed();
}

#[test]
fn a_deleted_group_and_removed_objects_neither_halt_nor_come_again() {
    let scene = Scene::new("taken-away", 2);
    scene.produce(0..100);
    scene.run_until_end();
    remove_delivered(&scene);
    scene.kafka.delete_group(&scene.name);
    let report = scene.run_until_end();
    assert_eq!((&report["outcome"], &report["records_read"]), (&"drained".into(), &0.into()));
    assert!(scene.visible().is_empty(), "what was taken away does not come again: {:?}", scene.visible());
    scene.produce(100..130);
    scene.run_until_end();
    let numbers: std::collections::BTreeSet<_> = (100..130).map(|number| (number, 0)).collect();
    scene.look().assert_exactly(&[(0, numbers.clone()), (1, numbers)].into());
}

#[test]
fn removed_objects_do_not_come_again_after_a_kill_either() {
    // Killed after the commit: no marker closes the chain, only the note beside the group's offset.
    let scene = Scene::new("taken-killed", 1);
    scene.produce(0..100);
    let mut host = scene.start();
    super::await_records(&mut host, &scene.lake(), 100);
    let committed = || scene.committed().get(&0).is_some_and(|commit| commit.offset == 100);
    assert!(crate::support::until(Duration::from_secs(20), committed));
    host.kill();
    remove_delivered(&scene);
    let report = scene.run_until_end();
    assert_eq!(report["records_read"], 0);
    assert!(scene.visible().is_empty());
}

/// As a reader that moves delivered objects on.
fn remove_delivered(scene: &Scene<'_>) {
    let store = scene.bucket.store();
    for path in scene.visible() {
        wait(store.delete(&object_store::path::Path::from(path.as_str()))).expect("it is there");
    }
}
