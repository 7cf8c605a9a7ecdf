//! What a transform's policy makes of records that fail, that want to come again, and of a plugin that gives up.

use super::host::{Pipeline, Run, Workspace, together};
use super::lake::{Lake, number, text};
use super::lines::{dealt, input, with};

fn pipeline(keys: &str) -> Pipeline {
    Pipeline::default().partitions(1).guest("test-guest", keys)
}

fn deliver(pipeline: &Pipeline, lines: &[String]) -> (Run, Lake) {
    Workspace::with(pipeline, &input(lines)).deliver()
}

fn without(lines: &[String], places: &[usize]) -> Vec<String> {
    let kept = lines.iter().enumerate().filter(|(place, _)| !places.contains(place));
    kept.map(|(_, line)| line.clone()).collect()
}

fn at(places: &[u64], condition: &str) -> Vec<(i32, u64, String)> {
    places.iter().map(|place| (0, *place, condition.to_owned())).collect()
}

#[test]
fn all_outcomes_in_one_batch_keep_their_order() {
    let lines = [
        "first",
        "annotate",
        "replace other",
        "emit 0",
        "emit 1",
        "emit 2",
        "drop",
        "fail Bad it is",
        "tombstone",
        "retry-once 10",
        "partial",
        "last",
    ];
    let (run, lake) = deliver(&pipeline(""), &lines.map(String::from));
    let delivered = [
        "first",
        "annotate",
        "other",
        "emit 1#0",
        "emit 2#0",
        "emit 2#1",
        "",
        "retry-once 10",
        "whole",
        "last",
    ];
    assert_eq!(lake.texts("", 0), delivered, "{run}");
    assert_eq!(lake.conditions(), at(&[7, 10], "ProcessingFailed"), "{run}");
    assert_eq!(["read", "kept", "dropped", "dead"].map(|name| lake.sum(name)), [12, 9, 2, 1]);
}

#[test]
fn retries_run_out_and_the_record_is_a_dead_letter() {
    together([
        &|| {
            let lines = with(&[(0, "retry 10"), (5, "retry 10"), (11, "retry 10")], 12);
            let (run, lake) = deliver(&pipeline(""), &lines);
            assert_eq!(lake.texts("", 0), without(&lines, &[0, 5, 11]), "{run}");
            assert_eq!(lake.conditions(), at(&[0, 5, 11], "RetryAttemptsExhausted"), "{run}");
            for letter in lake.letters() {
                assert_eq!((text(&letter, "code"), number(&letter, "attempts")), ("Later", 4), "{letter}");
                assert!(number(&letter, "first_attempt_ms") < number(&letter, "failed_ms"), "{letter}");
            }
            assert!(!run.stderr.contains("\"attempt\":4"), "three retries, not four: {run}");
        },
        &|| {
            let lines = with(&[(1, "retry 60000"), (2, "retry-once 60000")], 4);
            let (run, lake) = deliver(&pipeline("retries = 0"), &lines);
            assert_eq!(lake.texts("", 0), without(&lines, &[1, 2]), "{run}");
            assert_eq!(lake.conditions(), at(&[1, 2], "RetryAttemptsExhausted"), "{run}");
            assert!(lake.letters().iter().all(|letter| number(letter, "attempts") == 1), "{run}");
        },
        &|| {
            // The plugin puts every call off.
            let lines = with(&[], 5);
            let (run, lake) = deliver(&pipeline("retries = 1\nconfig = { retry = \"busy\" }"), &lines);
            assert_eq!(lake.conditions(), at(&[0, 1, 2, 3, 4], "RetryAttemptsExhausted"), "{run}");
            assert!(lake.letters().iter().all(|letter| text(letter, "detail") == "busy"), "{run}");
        },
    ]);
}

#[test]
fn what_fails_is_dropped_where_that_is_wanted() {
    let bad = [(0, "trap"), (3, "fail Bad it is"), (7, "retry 10"), (9, "panic at the end")];
    let lines = with(&bad, 10);
    let (run, lake) = deliver(&pipeline("on_error = \"drop\"\nretries = 1"), &lines);
    assert_eq!(lake.texts("", 0), without(&lines, &[0, 3, 7, 9]), "{run}");
    assert_eq!((run.number("records_dropped"), run.number("dead_letters")), (4, 0), "{run}");
    assert_eq!((lake.sum("dropped"), lake.letters().len()), (4, 0));
}

#[test]
fn a_failure_stops_the_pipeline_where_that_is_wanted() {
    let stops = |value: &str, place: usize, batch: &str, words: &[&str]| {
        let lines = with(&[(place, value)], 12);
        let workspace =
            Workspace::with(&pipeline("on_error = \"stop\"\nretries = 1").batch(batch), &input(&lines));
        let run = workspace.run();
        let offset = format!("failed at offset {place}, and its `on_error`");
        run.expect(2, &["step-0", &offset]);
        run.expect(2, words);
        let lake = workspace.lake();
        assert_eq!(lake.texts("", 0), lines[..place], "what is before it is delivered: {run}");
        assert_eq!((lake.letters().len(), lake.sum("read")), (0, place as u64), "{run}");
        assert_eq!(text(&run.report(), "outcome"), "halted");
    };
    together([
        &|| stops("fail Bad it is green", 5, "", &["Bad: it is green"]),
        &|| stops("fail Bad it is green", 0, "", &["Bad: it is green"]),
        &|| stops("trap", 7, "records = 3", &["PluginTrap"]),
        &|| stops("partial", 11, "", &["a part that can't be made"]),
        &|| stops("retry 10", 4, "", &["RetryAttemptsExhausted", "asked to come again"]),
    ]);
}

#[test]
fn fatal_is_about_the_plugin_first_and_about_messages_later() {
    let lines = with(&[(5, "fatal there is no table")], 12);
    let one_by_one = |keys: &str| pipeline(keys).batch("records = 1");
    together([
        &|| {
            let (run, lake) = deliver(&one_by_one(""), &lines);
            assert_eq!(lake.texts("", 0), without(&lines, &[5]), "{run}");
            assert_eq!(lake.conditions(), at(&[5], "Fatal"), "{run}");
            assert!(text(&lake.letters()[0], "detail").contains("there is no table"), "{run}");
        },
        &|| {
            let workspace = Workspace::with(&one_by_one("on_fatal = \"stop\""), &input(&lines));
            let run = workspace.run();
            run.expect(2, &["step-0", "gave up", "there is no table"]);
            let lake = workspace.lake();
            assert_eq!((lake.texts("", 0), lake.letters().len()), (lines[..5].to_vec(), 0), "{run}");
        },
        &|| {
            let first = with(&[(0, "fatal there is no table")], 12);
            let workspace = Workspace::with(&one_by_one(""), &input(&first));
            let run = workspace.run();
            run.expect(2, &["step-0", "gave up", "there is no table"]);
            assert!(workspace.lake().entries.is_empty(), "{run}");
        },
    ]);
}

#[test]
fn a_record_that_waits_holds_back_only_what_follows_it() {
    // So long that nobody lives to see it, in one partition; the other one goes on, and so does what was before it.
    let waits = with(&[(3, "retry 300000")], 8);
    let mut goes_on = with(&[], 8);
    goes_on[7] = String::from("log the other is in");
    let pipeline =
        Pipeline::default().guest("test-guest", "").cut("interval = \"100ms\"").feed("file = \"-\"");
    let workspace = Workspace::with(&pipeline, b"");
    let mut process = workspace.start(&["run", "--json", "pipeline.toml"], &[]);
    process.say(&dealt(&[waits.clone(), goes_on.clone()]));
    process.wait_for("a plugin asked for a retry");
    process.wait_for("the other is in");
    // No breaker holds it: its wait is the plugin's own wish.
    process.signal("USR1");
    process.wait_for("held lanes try again now");
    process.say(b"in the first\nlog the second is in\n");
    process.wait_for("the second is in");
    process.signal("TERM");
    let run = process.end();
    assert_eq!((run.code, run.report()["outcome"].as_str()), (Some(0), Some("drained")), "{run}");
    assert_eq!(run.stderr.matches("a plugin asked for a retry").count(), 1, "{run}");
    let lake = workspace.lake();
    assert_eq!(lake.texts("", 0), waits[..3], "{run}");
    assert_eq!(lake.texts("", 1), [&goes_on[..], &[String::from("log the second is in")]].concat(), "{run}");
    assert!(lake.letters().is_empty(), "{run}");
}
