//! Plugins that fail, refuse, postpone and route: only the records to blame are dead letters.

use std::os::unix::fs::MetadataExt as _;

use super::super::guests::guest;
use super::host::{Pipeline, Workspace, sink, together};
use super::lake::{Lake, number, text};
use super::lines::{input, with};

/// Long enough for a good call on a busy machine, short enough for a test.
const LIMITS: &str = "limits = { memory = \"16MiB\", timeout = \"1s\" }";

fn codes(lake: &Lake) -> Vec<(u64, String)> {
    lake.codes().into_iter().map(|(_, offset, code)| (offset, code)).collect()
}

#[test]
fn one_bad_record_takes_no_other_with_it() {
    // What a record says, where it stands, and the code of its dead letter.
    let panics =
        [(0, "panic boom", "PluginTrap"), (7, "trap", "PluginTrap"), (39, "panic last", "PluginTrap")];
    let exits = [(11, "exit", "PluginTrap"), (12, "exit", "PluginTrap"), (20, "recurse", "PluginTrap")];
    let loops = [(3, "loop", "PluginTimeout")];
    let hoards = [(5, "alloc", "PluginOutOfMemory"), (30, "alloc", "PluginOutOfMemory")];
    let fails =
        [(1, "partial", "Part"), (2, "fail BadColour it is green", "BadColour"), (9, "partial", "Part")];
    together([
        &|| only_these_are_dead(&panics),
        &|| only_these_are_dead(&exits),
        &|| only_these_are_dead(&loops),
        &|| only_these_are_dead(&hoards),
        &|| only_these_are_dead(&fails),
    ]);
}

fn only_these_are_dead(bad: &[(usize, &str, &str)]) {
    let others: Vec<_> = bad.iter().map(|(place, line, _)| (*place, *line)).collect();
    let lines = with(&others, 40);
    let pipeline = Pipeline::default().partitions(1).guest("test-guest", LIMITS);
    let (run, lake) = Workspace::with(&pipeline, &input(&lines)).deliver();
    let delivered: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("good") || *line == "partial")
        .map(|line| line.replace("partial", "whole"))
        .collect();
    assert_eq!(lake.texts("", 0), delivered, "{bad:?}: {run}");
    let expected: Vec<_> = bad.iter().map(|(place, _, code)| (*place as u64, (*code).to_owned())).collect();
    assert_eq!(codes(&lake), expected, "{bad:?}: {run}");
    assert_eq!(run.number("dead_letters"), bad.len() as u64, "{bad:?}");
}

#[test]
fn dead_letters_tell_what_a_person_needs() {
    let lines = with(&[(2, "panic the colour is green"), (4, "partial")], 6);
    let pipeline = Pipeline::default().partitions(1).guest("test-guest", LIMITS);
    let (_, lake) = Workspace::with(&pipeline, &input(&lines)).deliver();
    let letters = lake.letters();
    assert_eq!(text(&letters[0], "value"), "panic the colour is green");
    let (detail, log) = (text(&letters[0], "detail"), text(&letters[0], "log"));
    assert!(log.contains("the colour is green"), "{detail}: {log}");
    let backtrace = letters[0]["backtrace"].as_array().expect("where it trapped");
    assert!(backtrace.iter().any(|name| name.to_string().contains("panic")), "{backtrace:?}");
    assert_eq!((number(&letters[0], "offset"), letters[0].get("index")), (2, None));
    assert_eq!((letters[0].get("output"), number(&letters[0], "attempts")), (None, 1));
    assert_eq!(text(&letters[0]["transform"], "name"), "step-0");
    assert_eq!(text(&letters[0]["transforms"][0], "plugin"), "test-guest");
    // The output that could not be made is numbered after those that were.
    assert_eq!(
        (number(&letters[1], "index"), text(&letters[1]["output"], "value"), text(&letters[1], "value")),
        (1, "part", "partial")
    );
}

#[test]
fn a_plugin_that_loses_count_delivers_nothing_and_loses_nothing() {
    let lines = with(&[], 12);
    let pipeline = Pipeline::default().partitions(1).guest("test-guest", "config = { wrong_count = true }");
    let (run, lake) = Workspace::with(&pipeline, &input(&lines)).deliver();
    let expected: Vec<_> = (0..12).map(|offset| (offset, String::from("WrongCount"))).collect();
    assert_eq!((codes(&lake), run.number("records_written")), (expected, 0), "{run}");
}

#[test]
fn a_plugin_that_gives_up_halts_its_lane() {
    together([
        &|| {
            let pipeline =
                Pipeline::default().guest("test-guest", "config = { fatal = \"the database is gone\" }");
            let workspace = Workspace::with(&pipeline, &input(&with(&[], 10)));
            let run = workspace.run();
            run.expect(2, &["the lane halted", "step-0", "the database is gone"]);
            assert_eq!(text(&run.report(), "outcome"), "halted");
            let lanes = run.report()["halted_lanes"].to_string();
            assert!(lanes.contains("the database is gone") && lanes.contains("t/"), "{lanes}");
            assert!(workspace.lake().entries.is_empty(), "nothing is committed");
        },
        &|| {
            // One partition gets nothing, and the feed ends after the other one's lane has halted.
            let pipeline = Pipeline::default().guest("test-guest", "config = { fatal = \"no\" }");
            let workspace = Workspace::with(&pipeline.feed("file = \"-\""), b"");
            let mut process = workspace.start(&["run", "--until-end", "pipeline.toml"], &[]);
            process.say(b"only one\n");
            process.wait_for("the lane halted");
            process.input = None;
            process.end().expect(2, &["gave up"]);
        },
    ]);
}

#[test]
fn plugins_that_can_not_serve_are_refused_before_anything_is_read() {
    let workspace = Workspace::new();
    workspace.write("in.log", b"a\n");
    workspace.write("text.wasm", b"this is no plugin");
    workspace.write("core.wasm", b"\0asm\x01\0\0\0");
    workspace.write("empty.wasm", b"");
    // An empty component, which is no transform: layer 1, version 13.
    workspace.write("other.wasm", b"\0asm\x0d\0\x01\0");
    let component = std::fs::read(guest("identity")).expect("the guest is there");
    workspace.write("cut.wasm", &component[..component.len() / 2]);
    workspace.write("version.wasm", &replaced(&component, b"columnar@0.1.0", b"columnar@0.9.0"));
    let refused = |path: &str, keys: &str, words: &[&str]| {
        let name = format!(
            "{}.toml",
            path.rsplit('/').next().unwrap_or_default().replace('.', "-") + &keys.len().to_string()
        );
        workspace.write(&name, Pipeline::default().plugin(path, keys).text().as_bytes());
        for command in [&["run", "--until-end", &*name][..], &["validate", "--connect", &*name]] {
            workspace.host(command).expect(1, words);
        }
    };
    let test_guest = guest("test-guest").display().to_string();
    refused("missing.wasm", "", &["transforms[0].plugin", "missing.wasm"]);
    refused("text.wasm", "", &["step-0", "is no WebAssembly", "this is no"]);
    refused("core.wasm", "", &["is a core module, not a component", "wasm32-wasip2"]);
    refused("empty.wasm", "", &["empty.wasm"]);
    refused("other.wasm", "", &["is no transform", "vanne:transform"]);
    refused("cut.wasm", "", &["cut.wasm", "does not compile"]);
    refused("version.wasm", "", &["another version of the contract", "0.9.0", "0.1.0"]);
    refused(
        &test_guest,
        "config = { refuse = \"I want a colour\" }",
        &["refuses its config", "I want a colour"],
    );
    refused(&test_guest, "config = { colour = 1 }", &["step-0", "colour"]);
    refused(&test_guest, "config = { trap_on_configure = true }", &["step-0", "fails to configure"]);
    assert!(
        workspace.runs().iter().all(|run| !run.join("_vanne/p/t@embedded/0").exists()),
        "nothing is written"
    );
}

/// The bytes with one text in place of another of its length, wherever it stands.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let places: Vec<_> = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "the text is there");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

#[test]
fn postponed_records_come_again_in_their_order() {
    together([
        &|| {
            let lines = with(&[(3, "retry-once 100"), (8, "retry-once 50"), (9, "retry-once 50")], 12);
            let pipeline = Pipeline::default().partitions(1).guest("test-guest", "");
            let (run, lake) = Workspace::with(&pipeline, &input(&lines)).deliver();
            assert_eq!(lake.texts("", 0), lines, "{run}");
            assert!(run.stderr.contains("a plugin asked for a retry"), "{run}");
        },
        &|| {
            // With retries without end, one that never succeeds holds its partition back, and a drain leaves it in Kafka.
            let lines = with(&[(3, "retry 100")], 6);
            let pipeline = Pipeline::default().partitions(1).guest("test-guest", "retries = -1");
            let workspace = Workspace::with(&pipeline, &input(&lines));
            let mut process = workspace.start(&["run", "--json", "pipeline.toml"], &[]);
            process.input = None;
            process.wait_for("\"attempt\":2");
            process.signal("TERM");
            let run = process.end();
            assert_eq!((run.code, run.number("records_read")), (Some(0), 3), "{run}");
            let lake = workspace.lake();
            assert_eq!((lake.texts("", 0), lake.causes(0)), (lines[..3].to_vec(), vec!["shutdown"]));
        },
    ]);
}

#[test]
fn records_are_emitted_dropped_and_routed() {
    together([
        &|| {
            let lines =
                ["a", "emit 3", "drop", "emit 0", "replace b", "tombstone", "emit 1"].map(String::from);
            let pipeline = Pipeline::default().partitions(1).guest("test-guest", "");
            let (run, lake) = Workspace::with(&pipeline, &input(&lines)).deliver();
            let expected = ["a", "emit 3#0", "emit 3#1", "emit 3#2", "b", "", "emit 1#0"];
            assert_eq!(lake.texts("", 0), expected, "{run}");
            assert_eq!((lake.sum("read"), lake.sum("dropped"), lake.sum("kept")), (7, 2, 5));
        },
        &|| {
            // What the first made of a record is a record of its own to the second.
            let lines = ["replace echo", "x"].map(String::from);
            let pipeline = Pipeline::default().partitions(1).guest("test-guest", "").guest("test-guest", "");
            let (_, lake) = Workspace::with(&pipeline, &input(&lines)).deliver();
            let texts = lake.texts("", 0);
            for line in ["topic=t", "partition=0", "offset=0", "index=0", "attempt=0"] {
                assert!(texts.iter().any(|text| text == line), "{line}: {texts:?}");
            }
            let names: Vec<_> = lake.entries[&0][0]["transforms"]
                .as_array()
                .expect("two")
                .iter()
                .map(|it| text(it, "name"))
                .collect();
            assert_eq!(names, ["step-0", "step-1"]);
        },
        &|| {
            let lines = [
                "everywhere but quiet",
                "route a",
                "route b",
                "route quiet",
                "route nowhere",
                "annotate",
                "route b quiet",
                "route a nowhere",
            ]
            .map(String::from);
            let keys =
                |name: &str| format!("prefix = \"{name}/\"\nformat = \"raw\"\ncompression = \"none\"\n");
            let pipeline = Pipeline::default().partitions(1).guest("test-guest", "").sinks(&[
                sink("a", &keys("a")),
                sink("b", &keys("b")),
                sink("quiet", &format!("{}default = false", keys("quiet"))),
            ]);
            let (run, lake) = Workspace::with(&pipeline, &input(&lines)).deliver();
            assert_eq!(
                lake.texts("a/", 0),
                ["everywhere but quiet", "route a", "annotate", "route a nowhere"],
                "{run}"
            );
            assert_eq!(lake.texts("b/", 0), ["everywhere but quiet", "route b", "annotate", "route b quiet"]);
            assert_eq!(lake.texts("quiet/", 0), ["route quiet", "route b quiet"]);
            let unknown = |offset| (offset, String::from("UnknownRoute"));
            assert_eq!(codes(&lake), [unknown(4), unknown(7)], "{run}");
            assert!(text(&lake.letters()[0], "detail").contains("nowhere"));
        },
    ]);
}

#[test]
fn a_second_start_finds_the_compiled_plugin() {
    let pipeline = Pipeline::default().guest("identity", "").rest("[host]\ncache = \"cache\"\n");
    let workspace = Workspace::with(&pipeline, b"a\n");
    // A file that is compiled again is another file under the old name.
    let cached = || {
        let files = std::fs::read_dir(workspace.path().join("cache")).expect("the cache's folder");
        let files = files.map(|file| file.expect("an entry"));
        files.map(|file| (file.path(), file.metadata().expect("a file").ino())).collect::<Vec<_>>()
    };
    assert_eq!(workspace.run().code, Some(0));
    let first = cached();
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!((workspace.run().code, cached()), (Some(0), first.clone()));

    std::fs::write(&first[0].0, b"no machine code").expect("the file is ours");
    let run = workspace.run();
    assert!(run.code == Some(0) && run.stderr.contains("compiling it again"), "{run}");
    assert_ne!(cached(), first);
}
