//! A plugin that fails so often that its partition is better held.

use super::host::{Pipeline, Workspace, together};
use super::lines::{dealt, with};

/// More than the breaker needs to tell.
const RECORDS: usize = 1_500;

/// A partition of which everything fails, and a good one that says when it is through.
fn half_bad(records: usize) -> [Vec<String>; 2] {
    let mut good = with(&[(records - 1, "log the other is in")], records);
    good[0].push_str(" first");
    [vec![String::from("fail Bad it is"); records], good]
}

#[test]
fn a_partition_of_which_everything_fails_is_held_and_the_others_go_on() {
    let partitions = half_bad(RECORDS);
    // It does not try again by itself within this test.
    let pipeline = Pipeline::default().guest("test-guest", "circuit_breaker = { pause = \"24h\" }");
    let workspace = Workspace::with(&pipeline, &dealt(&partitions));
    let mut process = workspace.start(&["run", "--until-end", "--json", "pipeline.toml"], &[]);
    process.wait_for("ALARM");
    process.wait_for("the other is in");
    process.signal("USR1");
    process.wait_for("held lanes try again now");
    process.wait_for_times("ALARM", 2);
    process.signal("TERM");
    let run = process.end();
    assert_eq!((run.code, run.report()["outcome"].as_str()), (Some(0), Some("drained")), "{run}");
    let alarm = run.stderr.lines().find(|line| line.contains("ALARM")).unwrap_or_default();
    for words in ["step-0", "t/0", "records failed", "SIGUSR1"] {
        assert!(alarm.contains(words), "`{words}` is missing: {alarm}");
    }
    assert!(run.number("holds") >= 2, "{run}");
    let lake = workspace.lake();
    assert_eq!(lake.texts("", 1), partitions[1], "{run}");
    // What came before it opened stands, and nothing beyond is committed.
    let (letters, read) = (lake.letters().len() as u64, run.number("records_read"));
    assert!(letters < 1_000, "{letters} dead letters: {run}");
    assert_eq!(read, letters + RECORDS as u64, "{run}");
}

#[test]
fn a_breaker_is_configured_and_switched_off() {
    together([
        &|| {
            let pipeline = Pipeline::default().guest("test-guest", "circuit_breaker = false");
            let (run, lake) = Workspace::with(&pipeline, &dealt(&half_bad(RECORDS))).deliver();
            assert_eq!((lake.letters().len(), run.number("holds")), (RECORDS, 0), "{run}");
            assert!(!run.stderr.contains("ALARM"), "{run}");
        },
        &|| {
            // It tries again by itself after each pause.
            let breaker = "circuit_breaker = { max_failures = \"10%\", records = 10, pause = \"1s\" }";
            let pipeline = Pipeline::default().partitions(1).guest("test-guest", breaker);
            let lines = with(&[(3, "fail Bad a"), (4, "trap"), (5, "fail Bad b")], 20);
            let workspace = Workspace::with(&pipeline, &dealt(&[lines]));
            let mut process = workspace.start(&["run", "--json", "pipeline.toml"], &[]);
            process.wait_for_times("ALARM", 3);
            process.signal("TERM");
            let run = process.end();
            assert_eq!((run.code, run.number("dead_letters")), (Some(0), 0), "{run}");
            assert!(run.number("holds") >= 3, "{run}");
        },
        &|| {
            // Less than a thousand records do not tell.
            let (run, lake) = {
                let pipeline = Pipeline::default().guest("test-guest", "");
                Workspace::with(&pipeline, &dealt(&half_bad(400))).deliver()
            };
            assert_eq!((lake.letters().len(), run.number("holds")), (400, 0), "{run}");
        },
    ]);
}
