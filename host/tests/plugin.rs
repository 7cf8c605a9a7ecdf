//! Real plugins in the real engine: what they may do, what becomes of what they do, and what they
//! cannot do.

#![allow(missing_docs, reason = "a test")]

#[path = "plugin/grants.rs"]
mod grants;
#[path = "common/guests.rs"]
mod guests;
#[path = "plugin/inspect.rs"]
mod inspect;
#[path = "plugin/logs.rs"]
mod logs;
#[path = "plugin/stamp.rs"]
mod stamp;
#[path = "common/stamps.rs"]
mod stamps;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use host::clock::Moment;
use host::config::{Grants, Limits, Policy};
use host::plugin::{Cache, CallError, Engine, Error, Inputs, Plugin, Spec};
use host::record::{
    Annotation, Arena, Batch, Condition, Epoch, NewRecord, OffsetRange, Postponement, Rest, TopicPartition,
    Transformed, Wait,
};
use host::transform::{Chain, LaneChain, Stop};

use guests::guest;

const MEMORY: usize = 256 << 20;
/// The default grants.
static NOTHING: Grants =
    Grants { clock: false, random: false, env: Vec::new(), files: BTreeMap::new(), network: Vec::new() };
const TIMESTAMP_MS: i64 = 1_700_000_000_123;

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let cache = Cache::open(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache"));
        Engine::new(Some(cache.expect("the folder is ours"))).expect("the engine starts")
    })
}

fn limits(timeout_ms: u64) -> Limits {
    Limits { memory: MEMORY, timeout: Duration::from_millis(timeout_ms), ..Limits::default() }
}

fn spec<'a>(config: &'a str, limits: &'a Limits) -> Spec<'a> {
    Spec { pipeline: "web", transform: "test", config, limits, grants: &NOTHING }
}

fn load(name: &str, config: &str) -> Arc<Plugin> {
    try_load(name, config).expect("the plugin loads")
}

fn try_load(name: &str, config: &str) -> Result<Arc<Plugin>, Error> {
    // Long enough for a loaded machine; the tests of the limit itself set their own.
    Plugin::load(engine(), &guest(name), spec(config, &limits(20_000)))
}

fn origin() -> TopicPartition {
    TopicPartition { topic: Arc::from("clicks"), partition: 3 }
}

fn lane(plugins: Vec<Arc<Plugin>>) -> Lane {
    let transforms = plugins.into_iter().map(|plugin| (plugin, Policy::default()));
    Lane(Chain::new(transforms.collect()).lane(origin()))
}

/// A lane that is always asked now.
struct Lane(LaneChain);

impl Lane {
    fn process(&mut self, batch: &Batch, from: u32) -> Result<Transformed, Stop> {
        self.0.process(batch, from, Moment::now())
    }
}

fn batch(values: &[&str]) -> Batch {
    let mut records = Arena::default();
    for (offset, value) in (100..).zip(values) {
        push(&mut records, offset, value, &[(b"trace", Some(b"abc"))]);
    }
    whole(records)
}

fn push(records: &mut Arena, offset: u64, value: &str, headers: &[(&[u8], Option<&[u8]>)]) {
    let record = NewRecord {
        key: Some(b"the key"),
        value: Some(value.as_bytes()),
        timestamp_ms: TIMESTAMP_MS,
        offset,
        index: 0,
    };
    assert!(records.push(record, headers.iter().copied()));
}

fn whole(records: Arena) -> Batch {
    let end = 100 + records.len() as u64;
    Batch { origin: origin(), epoch: Epoch(1), range: OffsetRange { start: 100, end }, records }
}

fn values(batch: &Batch, result: &Transformed) -> Vec<Option<String>> {
    let outputs = result.outputs.iter();
    let values = outputs.map(|output| result.record(&batch.records, output).value);
    values.map(|value| value.map(|value| String::from_utf8_lossy(value).into_owned())).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

fn run(config: &str, texts: &[&str]) -> (Batch, Transformed) {
    let batch = batch(texts);
    let result = lane(vec![load("test-guest", config)]).process(&batch, 0).expect("runs");
    (batch, result)
}

#[test]
fn good_outcomes_become_records() {
    let (batch, result) = run(
        "",
        &["plain", "drop", "replace new", "tombstone", "emit 3", "emit 0", "fail BadTime no time", "partial"],
    );
    let expected = [
        Some("plain"),
        Some("new"),
        None,
        Some("emit 3#0"),
        Some("emit 3#1"),
        Some("emit 3#2"),
        Some("whole"),
    ];
    assert_eq!(values(&batch, &result), expected.map(|value| value.map(str::to_owned)));
    let names: Vec<_> = result.outputs.iter().map(|output| (output.input, output.index)).collect();
    assert_eq!(names, [(0, 0), (2, 0), (3, 0), (4, 0), (4, 1), (4, 2), (7, 0)]);
    assert_eq!(result.dropped, 2);
    let [failed] = &result.failed[..] else { panic!("one failed: {:?}", result.failed) };
    assert_eq!((failed.input, &*failed.failure.code, &*failed.failure.detail), (6, "BadTime", "no time"));
    let [partial] = &result.partial[..] else { panic!("one in part: {:?}", result.partial) };
    assert_eq!((partial.input, partial.index, partial.value.as_deref()), (7, Some(1), Some(&b"part"[..])));
    // A replaced record keeps its key, headers and place; an emitted one has what it was given.
    let replaced = result.record(&batch.records, &result.outputs[1]);
    assert_eq!(
        (replaced.key, replaced.offset, replaced.timestamp_ms),
        (Some(&b"the key"[..]), 102, TIMESTAMP_MS)
    );
    assert_eq!(replaced.headers.iter().collect::<Vec<_>>(), [(&b"trace"[..], Some(&b"abc"[..]))]);
    let emitted = result.record(&batch.records, &result.outputs[4]);
    assert_eq!((emitted.key, emitted.offset, emitted.index), (None, 104, 1));
    assert_eq!(emitted.timestamp_ms, TIMESTAMP_MS);
}

#[test]
fn the_next_transform_sees_what_the_first_left() {
    let first = load("test-guest", "");
    let second = Arc::clone(&first);
    let batch = batch(&["annotate", "route gold", "replace echo", "emit 2", "replace drop"]);
    let result = lane(vec![first, second]).process(&batch, 0).expect("runs");
    let annotations: Vec<_> =
        result.outputs.iter().map(|output| result.annotation(output).cloned()).collect();
    let annotated = Annotation {
        partition_keys: vec![(String::from("kind"), String::from("test"))],
        headers: vec![(String::from("annotated"), Some(b"yes".to_vec()))],
        ..Annotation::default()
    };
    let routed = Annotation { routes: vec![String::from("gold")], ..Annotation::default() };
    assert_eq!(annotations, [Some(annotated), Some(routed), None]);
    let echoed = &values(&batch, &result)[2];
    let expected = "topic=clicks\npartition=3\noffset=102\nindex=0\nattempt=0\n\
                    timestamp=1700000000123\nkey=the key\nheader trace=abc\n";
    assert_eq!(echoed.as_deref(), Some(expected));
    // `emit 2#0` is a command again, whose number is none, so that it emits nothing.
    assert_eq!(result.dropped, 2);
    let inputs: Vec<_> = result.outputs.iter().map(|output| output.input).collect();
    assert_eq!(inputs, [0, 1, 2]);
}

#[test]
fn what_a_transform_annotated_is_shown_to_the_next() {
    let plugin = load("test-guest", "");
    let mut records = Arena::default();
    // The guest would obey the value again, so the second call gets another batch at the same place.
    push(&mut records, 100, "annotate", &[(b"annotated", Some(b"no")), (b"trace", None)]);
    let first = lane(vec![Arc::clone(&plugin)]).process(&whole(records.clone()), 0).expect("runs");
    let mut echo = Arena::default();
    push(&mut echo, 100, "echo", &[(b"annotated", Some(b"no")), (b"trace", None)]);
    let mut instance = plugin.instantiate(&origin()).expect("an instance");
    let mut seen = Vec::new();
    instance
        .process(&Inputs::of_transformed(&echo, &first), 0..1, 4, &mut |verdict| match verdict {
            host::plugin::Verdict::Replace { value: Some(value), .. } => seen.push(value.to_vec()),
            other => panic!("{other:?}"),
        })
        .expect("runs");
    let expected = "topic=clicks\npartition=3\noffset=100\nindex=0\nattempt=4\ntimestamp=1700000000123\n\
                    key=the key\nheader trace=null\nheader annotated=yes\npartition key kind=test\n";
    assert_eq!(String::from_utf8_lossy(&seen[0]), expected);
}

#[test]
fn a_bad_record_fails_alone_and_says_why() {
    let cases = [
        ("panic no such luck", "PluginTrap", "no such luck"),
        ("trap", "PluginTrap", "unreachable"),
        ("exit", "PluginTrap", "exit"),
        ("recurse", "PluginTrap", "misdeeds::recurse"),
        ("alloc", "PluginOutOfMemory", "268435456 bytes"),
        ("output 70000000", "OutputTooLarge", "67108864 bytes"),
    ];
    let mut lane = lane(vec![load("test-guest", "")]);
    for (bad, code, detail) in cases {
        let batch = batch(&["a", "b", bad, "c", "drop", "replace d"]);
        let result = lane.process(&batch, 0).expect("runs");
        assert_eq!(values(&batch, &result), some(&["a", "b", "c", "d"]), "{bad}");
        let [failed] = &result.failed[..] else { panic!("{bad}: {:?}", result.failed) };
        assert_eq!((failed.input, &*failed.failure.code), (2, code), "{bad}: {}", failed.failure.detail);
        let report = failed.report.as_deref().cloned().unwrap_or_default();
        let said = [&*failed.failure.detail, &report.backtrace, &report.log].join("\n");
        assert!(said.contains(detail), "{bad}: {said}");
        assert_eq!(result.dropped, 1, "{bad}");
    }
}

#[test]
fn a_traps_report_names_the_functions_and_keeps_what_was_said() {
    let (_, result) = run("", &["panic at the disco"]);
    let report = result.failed[0].report.as_deref().expect("a report");
    assert!(report.backtrace.contains("misdeeds::commit"), "{}", report.backtrace);
    assert!(report.log.contains("at the disco"), "{}", report.log);
    assert!(report.backtrace.len() + report.log.len() < 16 * 1024);
}

#[test]
fn an_endless_loop_ends_at_the_limit() {
    let plugin = Plugin::load(engine(), &guest("test-guest"), spec("", &limits(300))).expect("loads");
    let started = Instant::now();
    let batch = batch(&["loop"]);
    let mut instance = plugin.instantiate(&origin()).expect("an instance");
    let error =
        instance.process(&Inputs::of_batch(&batch.records), 0..1, 0, &mut |_| ()).expect_err("too long");
    assert!(matches!(error, CallError::Timeout { limit_ms: 300, .. }), "{error}");
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(5), "{took:?}");
    let result = lane(vec![plugin]).process(&batch, 0).expect("runs");
    assert_eq!(result.failed[0].failure.code, "PluginTimeout");
}

#[test]
fn a_sleep_is_over_at_once() {
    let started = Instant::now();
    let (batch, result) = run("", &["sleep 3600000", "sleep 3600000"]);
    assert_eq!(values(&batch, &result), some(&["sleep 3600000", "sleep 3600000"]));
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[test]
fn files_network_and_environment_are_denied() {
    let (batch, result) = run("", &["file /etc/hostname", "connect 127.0.0.1:9", "env PATH"]);
    for value in values(&batch, &result).into_iter().flatten() {
        assert!(value.starts_with("denied: "), "{value}");
    }
    assert_eq!(result.outputs.len(), 3);
}

#[test]
fn context_says_where_the_plugin_runs() {
    let names =
        ["context pipeline", "context transform", "context topic", "context partition", "context moon"];
    let (batch, result) = run("", &names);
    let expected = [Some("web"), Some("test"), Some("clicks"), Some("3"), None];
    assert_eq!(values(&batch, &result), expected.map(|value| value.map(str::to_owned)));
}

#[test]
fn an_instance_lives_as_long_as_nothing_ends_it() {
    let mut lane = lane(vec![load("test-guest", "")]);
    let counted = |lane: &mut Lane, texts: &[&str]| {
        let batch = batch(texts);
        let result = lane.process(&batch, 0).expect("runs");
        values(&batch, &result).into_iter().flatten().last().unwrap_or_default()
    };
    assert_eq!(counted(&mut lane, &["counter", "counter"]), "2");
    assert_eq!(counted(&mut lane, &["counter"]), "3");
    assert!(lane.0.memory_bytes() >= 64 * 1024);
    lane.0.release();
    assert_eq!(lane.0.memory_bytes(), 0);
    assert_eq!(counted(&mut lane, &["counter"]), "1");
    assert_eq!(counted(&mut lane, &["counter", "trap"]), "1");
}

/// Where the results end, and the wish that ended them.
fn wished(result: &Transformed) -> (u32, u32, Postponement) {
    let Some(Rest { from, wait: Wait::Wish { attempt, wish, .. } }) = result.rest.clone() else {
        panic!("nothing is postponed: {:?}", result.rest)
    };
    (from, attempt, wish)
}

#[test]
fn retries_cut_the_batch() {
    let mut lane = lane(vec![load("test-guest", "")]);
    let batch = batch(&["a", "retry-once 250", "b"]);
    let result = lane.process(&batch, 0).expect("runs");
    assert_eq!(values(&batch, &result), some(&["a"]));
    let (from, attempt, wish) = wished(&result);
    assert_eq!((from, attempt, &*wish.code, wish.after_ms), (1, 1, "Later", Some(250)));
    let result = lane.process(&batch, from).expect("runs");
    assert_eq!((result.outputs.len(), result.rest), (2, None));
}

#[test]
fn a_record_that_wants_to_come_again_for_ever_runs_out_of_retries() {
    let mut lane = lane(vec![load("test-guest", "")]);
    let batch = batch(&["retry 10", "a"]);
    for nth in 1..=3 {
        let result = lane.process(&batch, 0).expect("runs");
        let (from, attempt, wish) = wished(&result);
        assert_eq!((from, attempt, wish.after_ms, result.outputs.len()), (0, nth, Some(10), 0));
    }
    let result = lane.process(&batch, 0).expect("runs");
    assert_eq!((values(&batch, &result), result.rest), (some(&["a"]), None));
    let [failed] = &result.failed[..] else { panic!("{:?}", result.failed) };
    assert_eq!((failed.condition, failed.attempts), (Condition::RetryAttemptsExhausted, 4));
}

#[test]
fn a_whole_call_can_be_postponed_or_given_up() {
    let mut later = lane(vec![load("test-guest", r#"{"retry": "not yet"}"#)]);
    for nth in 1..=3 {
        let result = later.process(&batch(&["a", "b"]), 0).expect("postponed");
        let (from, attempt, wish) = wished(&result);
        assert_eq!((from, attempt, &*wish.reason), (0, nth, "not yet"));
    }
    let result = later.process(&batch(&["a", "b"]), 0).expect("out of retries");
    assert_eq!((result.failed.len(), result.rest), (2, None));
    let mut never = lane(vec![load("test-guest", r#"{"fatal": "no key"}"#)]);
    let stop = never.process(&batch(&["a"]), 0).expect_err("given up");
    assert!(matches!(stop, Stop::Fatal { text, .. } if text == "no key"));
}

#[test]
fn a_wrong_count_blames_every_record_that_lacks_an_outcome() {
    let (_, result) = run(r#"{"wrong_count": true}"#, &["a", "b"]);
    assert_eq!(result.failed.len(), 2);
    assert_eq!(result.failed[0].failure.code, "WrongCount");
    assert_eq!(result.failed[0].failure.detail, "the plugin gave 0 outcomes for 1 messages");
}

#[test]
fn a_header_name_that_is_not_text_fails_its_record_if_headers_are_read() {
    let mut records = Arena::default();
    push(&mut records, 100, "a", &[(b"\xff", None)]);
    push(&mut records, 101, "counter", &[]);
    push(&mut records, 102, "b", &[(b"\xfe", Some(b"x"))]);
    let batch = whole(records);
    let result = lane(vec![load("test-guest", "")]).process(&batch, 0).expect("runs");
    assert_eq!(values(&batch, &result), some(&["1"]));
    let failed: Vec<_> = result.failed.iter().map(|failed| (failed.input, &*failed.failure.code)).collect();
    assert_eq!(failed, [(0, "BadHeader"), (2, "BadHeader")]);
    let result = lane(vec![load("identity", "")]).process(&batch, 0).expect("runs");
    assert_eq!(result.outputs.len(), 3, "identity reads no headers");
}

#[test]
fn a_plugin_says_who_it_is_and_what_it_reads() {
    let identity = load("identity", "");
    assert_eq!(identity.info().name, "identity");
    assert!(identity.digest().as_str().starts_with("sha256:"));
    assert_eq!(identity.digest().as_str().len(), 7 + 64);
    assert_eq!(identity.traits(), ["pure"]);
    let reads = identity.reads();
    assert!(!reads.key && !reads.value && !reads.headers);
    let batch = batch(&["a", "b"]);
    let result = lane(vec![identity]).process(&batch, 0).expect("runs");
    assert_eq!(values(&batch, &result), some(&["a", "b"]));
}

#[test]
fn access_log_lines_become_json() {
    let line = r#"203.0.113.9 - ada [24/Nov/2026:11:47:41 +0000] "GET /x?y=1 HTTP/1.1" 404 512 "-" "curl/8""#;
    let batch = batch(&[line, "no log line at all"]);
    let result = lane(vec![load("access-log", "")]).process(&batch, 0).expect("runs");
    let value = values(&batch, &result).remove(0).expect("a value");
    let value: serde_json::Value = serde_json::from_str(&value).expect("JSON");
    assert_eq!(value["status"], 404);
    assert_eq!(result.failed.len(), 1);
    assert_eq!(result.failed[0].input, 1);
}

#[test]
fn without_transforms_everything_goes_on() {
    let batch = batch(&["a", "b"]);
    let result = lane(Vec::new()).process(&batch, 0).expect("runs");
    assert_eq!(values(&batch, &result), some(&["a", "b"]));
    assert_eq!(result.produced.len(), 0);
}

#[test]
fn a_batch_without_records_calls_nobody() {
    let result = lane(vec![load("test-guest", r#"{"fatal": "no"}"#)]).process(&batch(&[]), 0).expect("runs");
    assert!(result.outputs.is_empty());
}

#[test]
fn a_refused_config_gives_the_plugins_own_words() {
    let error = try_load("test-guest", r#"{"refuse": "`field` is missing"}"#).expect_err("refused");
    assert_eq!(error.to_string(), "the plugin refuses its config: `field` is missing");
    let error = try_load("test-guest", r#"{"refusse": 1}"#).expect_err("an unknown key");
    assert!(error.to_string().contains("refusse"), "{error}");
    let error = try_load("test-guest", r#"{"trap_on_configure": true}"#).expect_err("traps");
    assert!(matches!(error, Error::Start { step: "configure", .. }), "{error}");
}

/// A component with every `from` made `to`, which must be as long.
fn altered(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut wasm = std::fs::read(guest("test-guest")).expect("built");
    let mut position = 0;
    while let Some(found) = wasm[position..].windows(from.len()).position(|window| window == from.as_bytes())
    {
        position += found;
        wasm[position..position + to.len()].copy_from_slice(to.as_bytes());
    }
    assert!(position > 0, "`{from}` stands in it");
    wasm
}

fn refused(wasm: &[u8]) -> String {
    let limits = limits(1_000);
    let error = Plugin::from_bytes(engine(), wasm, "x.wasm", spec("", &limits)).expect_err("refused");
    error.to_string()
}

#[test]
fn what_is_no_transform_is_refused_by_name() {
    let missing = Plugin::load(engine(), Path::new("/no/such.wasm"), spec("", &limits(1_000)));
    assert_eq!(missing.expect_err("missing").to_string(), "plugin `/no/such.wasm` cannot be read");
    let core = refused(b"\0asm\x01\0\0\0");
    assert!(core.contains("core module") && core.contains("--target wasm32-wasip2"), "{core}");
    let text = refused(b"#!/bin/sh\n");
    assert!(text.contains("is no WebAssembly") && text.contains("#!/bin/sh"), "{text}");
    let torn = std::fs::read(guest("test-guest")).expect("built");
    assert!(refused(&torn[..torn.len() / 2]).contains("does not compile"));
}

#[test]
fn another_contract_is_refused_by_name() {
    let version = refused(&altered("vanne:transform/columnar@0.1.0", "vanne:transform/columnar@0.9.0"));
    assert!(version.contains("another version of the contract"), "{version}");
    assert!(version.contains("`vanne:transform/columnar@0.9.0`"), "{version}");
    let other = refused(&altered("vanne:transform/", "other:transform/"));
    assert!(
        other.contains("is no transform") && other.contains("other:transform/lifecycle@0.1.0"),
        "{other}"
    );
    let imports = refused(&altered("vanne:transform/context@0.1.0", "vanne:transform/windows@0.1.0"));
    assert!(imports.ends_with("does not offer: `vanne:transform/windows@0.1.0`"), "{imports}");
}

#[test]
fn a_second_start_compiles_nothing_and_a_damaged_file_is_made_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("cache");
    let compiled = || {
        let engine = Engine::new(Some(Cache::open(&folder).expect("private"))).expect("starts");
        let plugin = Plugin::load(&engine, &guest("identity"), spec("", &limits(20_000))).expect("loads");
        assert_eq!(plugin.info().name, "identity");
        engine.compiled()
    };
    assert_eq!((compiled(), compiled()), (1, 0));
    let file =
        std::fs::read_dir(&folder).expect("readable").next().expect("one file").expect("a file").path();
    let mut bytes = std::fs::read(&file).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(&file, &bytes).expect("damaged");
    assert_eq!((compiled(), compiled()), (1, 0));
    std::fs::write(&file, &bytes[..middle]).expect("torn");
    assert_eq!((compiled(), compiled()), (1, 0));
}
