//! What a transform's policy and a filter mean for the group's offsets, and what a restart makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::{RECORD, RUN, Scene, assert_says, await_records};
use crate::guests::guest;
use crate::support::PATIENCE;
use crate::support::host::Pipeline;
use crate::support::kafka::Message;
use crate::support::reader::json_lines;

/// A pipeline whose one transform obeys its records, and whose policy changes from start to start.
struct Story {
    scene: Scene<'static>,
    /// Without the transform.
    base: Pipeline,
}

impl Story {
    fn new(stem: &str, partitions: i32) -> Self {
        let scene = Scene::new(stem, partitions).set("host.cache", r#""cache""#);
        let base = scene.pipeline.clone();
        Self { scene, base }.with("")
    }

    /// The same with these keys of the transform.
    fn with(mut self, keys: &str) -> Self {
        self.configure(keys);
        self
    }

    fn configure(&mut self, keys: &str) {
        let plugin = guest("test-guest");
        let transform = format!("[[transforms]]\nname = \"guest\"\nplugin = {plugin:?}\n{keys}");
        self.scene.pipeline = self.base.clone().append(&transform);
    }

    /// Produces one record, which says what the guest is to do.
    fn command(&self, value: &str) {
        self.scene.kafka.produce(&self.scene.topic, &[Message::new(0, value)]);
    }

    /// The dead letters, in the order of their partitions and offsets.
    fn letters(&self) -> Vec<Value> {
        let mut letters = json_lines(&self.scene.bucket.under(&format!("dead/{}", self.scene.name)));
        letters.sort_by_key(|letter| (letter["partition"].as_i64(), letter["offset"].as_u64()));
        letters
    }

    fn letter_offsets(&self, condition: &str) -> Vec<u64> {
        let letters = self.letters();
        assert!(letters.iter().all(|letter| letter["condition"] == condition), "{letters:?}");
        letters.iter().filter_map(|letter| letter["offset"].as_u64()).collect()
    }

    fn committed(&self, partition: i32) -> Option<i64> {
        self.scene.committed().get(&partition).map(|commit| commit.offset)
    }
}

#[test]
fn a_failure_that_stops_the_pipeline_stops_it_again_until_its_policy_is_another() {
    let mut story = Story::new("stops", 1).with(r#"on_error = "stop""#);
    story.scene.produce(0..10);
    story.command("fail Bad it is green");
    story.scene.produce(10..20);
    for start in 0..2 {
        let (host, report) = story.scene.run_until_end_as(2);
        assert_says(&host.stderr(), &["transform `guest` failed at offset 10", "Bad: it is green"]);
        assert_eq!(report["records_read"], if start == 0 { 10 } else { 0 }, "{report}");
        story.scene.assert_delivered(10);
        assert_eq!((story.committed(0), story.letters().len()), (Some(10), 0));
    }
    story.configure("");
    story.scene.run_until_end();
    story.scene.assert_delivered(20);
    story.scene.assert_committed();
    assert_eq!(story.letter_offsets("ProcessingFailed"), [10]);
}

#[test]
fn a_failure_that_stops_the_pipeline_costs_the_other_partitions_nothing() {
    let mut story = Story::new("stops-all", 3);
    story.base = story.base.clone().set("batch.records", "50");
    story.configure("on_error = \"stop\"");
    story.scene.produce(0..400);
    story.command("trap");
    story.scene.produce(400..800);
    for _ in 0..3 {
        // It has no end of its own: only the failure stops it.
        let mut host = story.scene.start();
        host.expect_exit(RUN, 2);
        assert_says(&host.stderr(), &["transform `guest` failed at offset 400", "PluginTrap"]);
        let look = story.scene.look();
        look.assert_sound();
        assert_eq!(look.partitions()[&0].seen.len(), 400, "what is before it, and nothing behind it");
    }
    story.configure("");
    story.scene.run_until_end();
    story.scene.assert_delivered(800);
    story.scene.assert_committed();
    assert_eq!(story.letter_offsets("Trap"), [400]);
}

#[test]
fn a_plugin_that_gives_up_at_its_first_batch_stops_every_lane() {
    // The other two have nothing to do, and would run for ever.
    let story = Story::new("gives-up", 3);
    story.command("fatal there is no table");
    let mut host = story.scene.start();
    host.expect_exit(RUN, 2);
    assert_says(&host.stderr(), &["transform `guest` gave up: there is no table"]);
    assert!(story.scene.visible().is_empty() && story.scene.entries().is_empty());
    assert!(story.scene.committed().is_empty(), "{:?}", story.scene.committed());
    assert_eq!(story.scene.kafka.members(&story.scene.name), 0, "it left the group");
}

#[test]
fn a_plugin_that_has_worked_before_is_not_stopped_by_one_record_after_a_restart() {
    let mut story = Story::new("proven", 1);
    story.scene.produce(0..10);
    story.scene.run_until_end();
    story.command("fatal this one");
    story.scene.produce(10..20);
    let report = story.scene.run_until_end();
    assert_eq!((&report["records_read"], &report["dead_letters"]), (&11.into(), &1.into()));
    assert_eq!(story.letter_offsets("Fatal"), [10]);
    story.scene.assert_delivered(20);

    // Another configuration has not shown yet that it can work at all.
    story.command("fatal that one");
    story.scene.produce(20..30);
    story.configure("retries = 7");
    let (host, _) = story.scene.run_until_end_as(2);
    assert_says(&host.stderr(), &["transform `guest` gave up: that one"]);
    story.scene.assert_delivered(20);
    // What the file said before is known, and was superseded: that it holds again is for a person to say.
    story.configure("");
    let (host, _) = story.scene.run_until_end_as(2);
    assert_says(&host.stderr(), &["is revision 1, which was superseded", "revision 2", "--to 1"]);
    let said = story.scene.command(&["ledger", "rollback", "--to", "1"]);
    assert_says(&said, &["revision 3 has the content of revision 1 again"]);
    story.scene.run_until_end();
    assert_eq!(story.letter_offsets("Fatal"), [10, 21]);
    story.scene.assert_delivered(30);
    story.scene.assert_committed();
}

#[test]
fn records_that_are_too_old_are_dead_letters_that_nobody_was_asked_about() {
    let story = Story::new("old", 1).with(r#"max_record_age = "1h""#);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later");
    let then = i64::try_from((now - Duration::from_secs(2 * 3600)).as_millis()).expect("a date");
    let aged = |number: u64| {
        let message = Message::numbered(0, number, RECORD);
        if number.is_multiple_of(3) { message.timestamp(then) } else { message }
    };
    // The oldest of all would hang.
    let old = Message::new(0, "loop").timestamp(then);
    let messages: Vec<_> = (0..9).map(aged).chain([old]).collect();
    story.scene.kafka.produce(&story.scene.topic, &messages);
    story.scene.run_until_end();
    story.scene.assert_delivered_numbers([1, 2, 4, 5, 7, 8]);
    assert_eq!(story.letter_offsets("RecordAgeExceeded"), [0, 3, 6, 9]);
    for letter in story.letters() {
        assert_eq!((&letter["attempts"], &letter["first_attempt_ms"]), (&0.into(), &Value::Null), "{letter}");
        assert_eq!(letter["timestamp_ms"], then);
    }
    story.scene.assert_committed();
}

#[test]
fn a_held_partition_loses_nothing_and_goes_on_after_a_restart_with_what_is_mended() {
    const RECORDS: u64 = 1_500;
    // It does not try again by itself within this test.
    let breaker = "config = { fail_partition = 1 }\ncircuit_breaker = { pause = \"24h\" }";
    let mut story = Story::new("held", 3).with(breaker);
    story.scene.produce(0..RECORDS);
    let mut host = story.scene.start();
    host.expect_log("ALARM", PATIENCE);
    await_records(&mut host, &story.scene.lake(), 2 * usize::try_from(RECORDS).expect("few"));
    host.try_held();
    host.expect_log_times("ALARM", 2, PATIENCE);
    assert!(host.is_running(), "{}", host.stderr());
    host.terminate();
    host.expect_exit(RUN, 0);

    // What was taken in before the breaker opened stands; nothing after it is committed, or a dead letter.
    let dead = story.letter_offsets("ProcessingFailed");
    assert!(dead.len() < 1_000, "{} dead letters", dead.len());
    assert!(story.letters().iter().all(|letter| letter["partition"] == 1));
    assert_eq!(dead, (0..dead.len() as u64).collect::<Vec<_>>());
    assert_eq!(story.committed(1).unwrap_or(0), i64::try_from(dead.len()).expect("few"));

    story.configure("");
    story.scene.run_until_end();
    let numbers = |from: u64| (from..RECORDS).map(|number| (number, 0)).collect::<BTreeSet<_>>();
    let expected = BTreeMap::from([(0, numbers(0)), (1, numbers(dead.len() as u64)), (2, numbers(0))]);
    story.scene.look().assert_exactly(&expected);
    assert_eq!(story.letters().len(), dead.len());
    story.scene.assert_committed();
}

#[test]
fn filtered_stretches_move_the_committed_offset_though_nothing_is_called() {
    let story = Story::new("filtered", 1);
    let scene = story.scene.set("filter.patterns", r#"['{"key": [{"prefix": "keep-"}]}']"#);
    let keep = |number: u64| Message::numbered(0, number, RECORD).key(format!("keep-{number}"));
    // A call with any of these would trap.
    let skip = |_| Message::new(0, "trap").key("skip");
    let messages: Vec<_> = (0..50).map(skip).chain((0..5).map(keep)).chain((0..50).map(skip)).collect();
    scene.kafka.produce(&scene.topic, &messages);
    let report = scene.run_until_end();
    let counts = ["records_read", "records_written", "records_filtered", "dead_letters"];
    assert_eq!(counts.map(|name| report[name].as_u64().unwrap_or(0)), [105, 5, 100, 0], "{report}");
    scene.assert_delivered(5);
    scene.assert_committed();

    // A stretch of nothing else.
    let before = scene.visible();
    scene.kafka.produce(&scene.topic, &(0..70).map(skip).collect::<Vec<_>>());
    let report = scene.run_until_end();
    assert_eq!(counts.map(|name| report[name].as_u64().unwrap_or(0)), [70, 0, 70, 0], "{report}");
    assert_eq!(scene.visible(), before);
    scene.assert_committed();
}
