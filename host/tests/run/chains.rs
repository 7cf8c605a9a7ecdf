//! Several transforms in a row, each with a policy of its own.

use super::host::{Pipeline, Run, Workspace, sink, together};
use super::lake::{Lake, number, text};
use super::lines::input;

fn deliver(pipeline: &Pipeline, lines: &[&str]) -> (Run, Lake) {
    let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
    Workspace::with(pipeline, &input(&lines)).deliver()
}

/// Buries what fails in the first, drops it in the second, and has no patience in the third.
fn chain() -> Pipeline {
    let pipeline = Pipeline::default().partitions(1);
    pipeline
        .guest("test-guest", "")
        .guest("test-guest", "on_error = \"drop\"\nlimits = { memory = \"16MiB\" }")
        .guest("test-guest", "retries = 0")
}

#[test]
fn each_transform_has_a_policy_of_its_own_and_a_letter_names_the_one_that_failed() {
    // `replace` hands the rest of the line to the next transform.
    let lines = [
        "fail First no",
        "good",
        "replace fail Second no",
        "replace alloc",
        "replace replace fail Third no",
        "retry 10",
        "replace replace retry 10",
        "replace replace trap",
        "replace replace replace through",
        "replace drop",
    ];
    let (run, lake) = deliver(&chain(), &lines);
    assert_eq!(lake.texts("", 0), ["good", "through"], "{run}");
    let mut letters = lake.letters();
    letters.sort_by_key(|letter| number(letter, "offset"));
    let found: Vec<_> = letters
        .iter()
        .map(|letter| {
            let name = text(&letter["transform"], "name");
            (number(letter, "offset"), name, text(letter, "condition"), number(letter, "attempts"))
        })
        .collect();
    let expected = [
        (0, "step-0", "ProcessingFailed", 1),
        (4, "step-2", "ProcessingFailed", 1),
        (5, "step-0", "RetryAttemptsExhausted", 4),
        (6, "step-2", "RetryAttemptsExhausted", 1),
        (7, "step-2", "Trap", 1),
    ];
    assert_eq!(found, expected, "{run}");
    for letter in &letters {
        let offset = usize::try_from(number(letter, "offset")).expect("few");
        assert_eq!(text(letter, "value"), lines[offset], "the record as it was read: {letter}");
        let names: Vec<_> =
            letter["transforms"].as_array().expect("all").iter().map(|it| text(it, "name")).collect();
        assert_eq!(names, ["step-0", "step-1", "step-2"]);
    }
    assert_eq!((lake.sum("dropped"), lake.sum("dead"), lake.sum("kept")), (3, 5, 2), "{run}");
}

#[test]
fn the_last_of_a_chain_stops_after_what_all_of_it_let_through() {
    let pipeline = Pipeline::default()
        .partitions(1)
        .guest("test-guest", "")
        .guest("test-guest", "on_error = \"stop\"")
        .guest("test-guest", "");
    let lines = ["a", "fail First no", "replace b", "replace fail Second no", "c"].map(String::from);
    let workspace = Workspace::with(&pipeline, &input(&lines));
    let run = workspace.run();
    run.expect(2, &["transform `step-1` failed at offset 3", "Second: no"]);
    let lake = workspace.lake();
    assert_eq!(lake.texts("", 0), ["a", "b"], "{run}");
    assert_eq!(lake.conditions(), [(0, 1, String::from("ProcessingFailed"))], "{run}");
}

#[test]
fn what_one_record_became_is_looked_at_piece_by_piece_by_the_next() {
    together([
        &|| {
            let pipeline = Pipeline::default().partitions(1).guest("test-guest", "").guest("identity", "");
            let (run, lake) = deliver(&pipeline, &["emit 3", "drop", "emit 2"]);
            assert_eq!(
                lake.texts("", 0),
                ["emit 3#0", "emit 3#1", "emit 3#2", "emit 2#0", "emit 2#1"],
                "{run}"
            );
        },
        &|| {
            let keys = |name: &str, rest: &str| {
                format!("prefix = \"{name}/\"\nformat = \"raw\"\ncompression = \"none\"\n{rest}")
            };
            let pipeline =
                Pipeline::default().partitions(1).guest("test-guest", "").guest("test-guest", "").sinks(&[
                    sink("a", &keys("a", "")),
                    sink("b", &keys("b", "")),
                    sink("quiet", &keys("quiet", "default = false")),
                ]);
            let lines =
                ["replace route b", "replace route quiet a", "replace plain", "replace route nowhere"];
            let (run, lake) = deliver(&pipeline, &lines);
            assert_eq!(lake.texts("a/", 0), ["route quiet a", "plain"], "{run}");
            assert_eq!(lake.texts("b/", 0), ["route b", "plain"]);
            assert_eq!(lake.texts("quiet/", 0), ["route quiet a"]);
            assert_eq!(lake.conditions(), [(0, 3, String::from("UnknownRoute"))]);
            let letter = &lake.letters()[0];
            assert!(letter["transform"].is_null(), "no transform failed: {letter}");
            assert_eq!(text(letter, "value"), "replace route nowhere");
            assert_eq!(text(&letter["output"], "value"), "route nowhere");
        },
    ]);
}
