//! Two worlds, one meaning: the same plugin through each world of the contract leaves the same results,
//! and neither world lets a bad plugin do more than the other.

#![allow(missing_docs, reason = "a test")]

#[path = "common/guests.rs"]
mod guests;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use host::clock::Moment;
use host::config::{Grants, Limits, Policy};
use host::plugin::{Cache, CallError, Engine, Inputs, Plugin, Spec};
use host::record::{
    Annotation, Arena, Batch, Epoch, Failed, NewRecord, OffsetRange, TopicPartition, Transformed,
};
use host::transform::Chain;
use proptest::collection::vec;
use proptest::prelude::*;

use guests::guest;

/// The columnar one first.
const WORLDS: [&str; 2] = ["test-guest", "test-guest-ergonomic"];
const MEMORY: usize = 256 << 20;

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let cache = Cache::open(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache"));
        Engine::new(Some(cache.expect("the folder is ours"))).expect("the engine starts")
    })
}

fn load(name: &str, config: &str, timeout_ms: u64) -> Arc<Plugin> {
    let timeout = Duration::from_millis(timeout_ms);
    let limits = Limits { memory: MEMORY, timeout, ..Limits::default() };
    let grants = &Grants::default();
    let spec = Spec { pipeline: "web", transform: "test", config, limits: &limits, grants };
    Plugin::load(engine(), &guest(name), spec).expect("the plugin loads")
}

/// The plugin of each world, under no configuration.
fn plugins() -> &'static [Arc<Plugin>; 2] {
    static PLUGINS: OnceLock<[Arc<Plugin>; 2]> = OnceLock::new();
    PLUGINS.get_or_init(|| WORLDS.map(|name| load(name, "", 20_000)))
}

fn origin() -> TopicPartition {
    TopicPartition { topic: Arc::from("clicks"), partition: 3 }
}

fn batch<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> Batch {
    let mut records = Arena::default();
    for (offset, value) in (100..).zip(values) {
        let record = NewRecord {
            key: (offset % 3 > 0).then_some(b"the key"),
            value: value.map(str::as_bytes),
            timestamp_ms: 1_700_000_000_123 + offset as i64,
            offset,
            index: 0,
        };
        let headers = [(&b"trace"[..], Some(&b"abc"[..])), (b"", Some(b"")), (b"none", None)];
        assert!(records.push(record, headers.into_iter().take(offset as usize % 4)));
    }
    let end = 100 + records.len() as u64;
    Batch { origin: origin(), epoch: Epoch(1), range: OffsetRange { start: 100, end }, records }
}

/// All that a batch became, without backtraces, in which each crate has its own name.
fn account(batch: &Batch, result: &Transformed) -> String {
    let output = |output: &host::record::Output| {
        let record = result.record(&batch.records, output);
        let annotation: Option<&Annotation> = result.annotation(output);
        format!("{output:?} {record:?} {annotation:?}\n")
    };
    let failed = |failed: &Failed| {
        let Failed { input, index, value, condition, failure, attempts, .. } = failed;
        let detail = failure.detail.lines().next().unwrap_or_default();
        format!("{input} {index:?} {condition:?} {} {detail} {value:?} {attempts}\n", failure.code)
    };
    let outputs: String = result.outputs.iter().map(output).collect();
    let whole: String = result.failed.iter().map(failed).collect();
    let partial: String = result.partial.iter().map(failed).collect();
    format!("{outputs}dropped {}\n{whole}{partial}{:?}\n", result.dropped, result.rest)
}

/// What a chain of so many of the plugin makes of a batch, and of the rest of it as often as it comes again.
fn run(plugin: &Arc<Plugin>, steps: usize, batch: &Batch) -> String {
    let transforms = vec![(Arc::clone(plugin), Policy::default()); steps];
    let mut lane = Chain::new(transforms).lane(origin());
    let (mut said, mut from) = (String::new(), 0);
    for _ in 0..100 {
        match lane.process(batch, from, Moment::now()) {
            Ok(result) => {
                said.push_str(&account(batch, &result));
                let Some(rest) = result.rest else { return said };
                from = rest.from;
            }
            Err(stop) => return said + &stop.to_string(),
        }
    }
    panic!("it comes to an end: {said}");
}

/// Asks both worlds and gives the one answer.
fn agreed(plugins: &[Arc<Plugin>; 2], steps: usize, batch: &Batch) -> String {
    let [columnar, ergonomic] = plugins.each_ref().map(|plugin| run(plugin, steps, batch));
    assert_eq!(columnar, ergonomic, "columnar, ergonomic");
    columnar
}

const COMMANDS: [&str; 22] = [
    "plain",
    "",
    "drop",
    "fail BadTime no time",
    "replace new",
    "replace echo",
    "replace annotate",
    "tombstone",
    "emit 0",
    "emit 1",
    "emit 3",
    "number 2 {\"a\":1}",
    "partial",
    "annotate",
    "route gold",
    "echo",
    "context partition",
    "context moon",
    "counter",
    "log a word",
    "env PATH",
    "output 5000",
];

#[test]
fn every_outcome_means_the_same_in_both() {
    let values = COMMANDS.map(Some).into_iter().chain([None]);
    let all = batch(values);
    for steps in 1..4 {
        let said = agreed(plugins(), steps, &all);
        assert!(said.contains("Produced") && said.contains("BadTime") && said.contains("gold"), "{said}");
    }
}

#[test]
fn a_retry_cuts_both_short_and_an_attempt_reaches_both() {
    let texts = ["annotate", "emit 2", "fail Bad a", "retry-once 250", "replace echo", "retry", "echo"];
    for steps in 1..3 {
        let said = agreed(plugins(), steps, &batch(texts.map(Some)));
        assert!(said.contains("from: 3") && said.contains("Some(250)"), "{said}");
        assert!(said.contains("RetryAttemptsExhausted"), "{said}");
    }
}

#[test]
fn a_call_can_be_refused_postponed_or_miscounted_in_both() {
    for (config, expected) in [
        (r#"{"retry": "not yet"}"#, "RetryAttemptsExhausted"),
        (r#"{"fatal": "no key"}"#, "no key"),
        (r#"{"wrong_count": true}"#, "the plugin gave 0 outcomes for 1 messages"),
    ] {
        let plugins = WORLDS.map(|name| load(name, config, 20_000));
        let said = agreed(&plugins, 1, &batch(["a", "b", "c"].map(Some)));
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_header_name_that_is_not_text_reaches_neither() {
    let mut batch = batch(["a", "counter", "b", "echo"].map(Some));
    let mut records = Arena::default();
    for (record, name) in batch.records.iter().zip([&b"\xff"[..], b"ok", b"\xfe", b"ok"]) {
        let record =
            NewRecord { key: None, value: record.value, timestamp_ms: 1, offset: record.offset, index: 0 };
        assert!(records.push(record, [(name, Some(&b"v"[..]))]));
    }
    batch.records = records;
    let said = agreed(plugins(), 1, &batch);
    assert_eq!(said.matches("None BadHeader").count(), 2, "{said}");
}

#[test]
fn a_bad_record_is_found_and_dies_alone_in_both() {
    for (bad, code) in [
        ("panic no such luck", "PluginTrap"),
        ("trap", "PluginTrap"),
        ("exit", "PluginTrap"),
        ("recurse", "PluginTrap"),
        ("alloc", "PluginOutOfMemory"),
        ("output 70000000", "OutputTooLarge"),
    ] {
        let texts = ["annotate", "replace a", bad, "emit 2", "drop", "partial", "route gold"];
        let said = agreed(plugins(), 1, &batch(texts.map(Some)));
        assert!(said.contains("2 None") && said.contains(code), "{bad}: {said}");
        assert!(said.contains("Output { input: 6"), "{bad}: {said}");
    }
}

#[test]
fn an_endless_loop_ends_at_the_limit_in_both() {
    for name in WORLDS {
        let plugin = load(name, "", 300);
        let batch = batch(["loop"].map(Some));
        let mut instance = plugin.instantiate(&origin()).expect("an instance");
        let started = Instant::now();
        let error =
            instance.process(&Inputs::of_batch(&batch.records), 0..1, 0, &mut |_| ()).expect_err("too long");
        assert!(matches!(error, CallError::Timeout { limit_ms: 300, .. }), "{name}: {error}");
        assert!(started.elapsed() < Duration::from_secs(5), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_batch_means_the_same_in_both(
        commands in vec(0..COMMANDS.len() + 2, 1..40),
        steps in 1_usize..4,
    ) {
        let value = |command: &usize| match *command {
            // Rare enough that bisection has something to find, and the rest something to keep.
            0 => Some("panic at random"),
            command if command == COMMANDS.len() => None,
            command => Some(COMMANDS[command.min(COMMANDS.len() - 1)]),
        };
        let batch = batch(commands.iter().map(value).collect::<Vec<_>>());
        agreed(plugins(), steps, &batch);
    }
}
