//! How a run without an end is ended.

use std::time::{Duration, Instant};

use super::host::{Pipeline, Process, Workspace, together};

/// What a drain may take by its promise, and some for a busy machine.
const DRAIN: Duration = Duration::from_secs(30);

#[test]
fn the_first_signal_drains_and_the_second_ends_at_once() {
    together([&|| drains("INT"), &|| drains("TERM"), &second_signal, &deadline]);
}

fn drains(signal: &str) {
    let pipeline = Pipeline::default().feed("file = \"-\"").guest("test-guest", "");
    let workspace = Workspace::with(&pipeline, b"");
    let mut process = workspace.start(&["run", "--json", "pipeline.toml"], &[]);
    let mut lines: Vec<_> = (0..1000).map(|number| format!("line {number}")).collect();
    // The last line of each partition tells that the plugin had it.
    lines.extend([String::from("log the first is in"), String::from("log the second is in")]);
    process.say(format!("{}\n", lines.join("\n")).as_bytes());
    process.wait_for("the first is in");
    process.wait_for("the second is in");
    process.signal(signal);
    let signalled = Instant::now();
    let run = process.end();
    assert!(signalled.elapsed() < DRAIN, "{run}");
    assert_eq!((run.code, run.report()["outcome"].as_str()), (Some(0), Some("drained")), "{run}");
    let lake = workspace.lake();
    for partition in 0..2 {
        let expected: Vec<_> = lines.iter().skip(partition).step_by(2).cloned().collect();
        let number = i32::try_from(partition).expect("few");
        assert_eq!((lake.texts("", number), lake.causes(number)), (expected, vec!["shutdown"]), "{run}");
    }
}

/// A pipeline whose only lane is busy with a call that does not end.
fn busy() -> (Workspace, Process) {
    let limits = "limits = { timeout = \"5m\" }";
    let pipeline = Pipeline::default().partitions(1).feed("file = \"-\"").guest("test-guest", limits);
    let workspace = Workspace::with(&pipeline, b"");
    let mut process = workspace.start(&["run", "--json", "pipeline.toml"], &[]);
    process.say(b"log the plugin is there\n");
    process.wait_for("the plugin is there");
    process.say(b"loop\n");
    process.wait_until_busy();
    (workspace, process)
}

fn second_signal() {
    let (_workspace, mut process) = busy();
    process.signal("INT");
    process.wait_for("draining");
    process.signal("TERM");
    let signalled = Instant::now();
    let run = process.end();
    assert_eq!(run.code, Some(130), "{run}");
    assert!(run.stderr.contains("second signal") && signalled.elapsed() < Duration::from_secs(5), "{run}");
}

fn deadline() {
    let (_workspace, process) = busy();
    process.signal("TERM");
    let signalled = Instant::now();
    let run = process.end();
    assert_eq!((run.code, run.report()["outcome"].as_str()), (Some(3), Some("deadline-passed")), "{run}");
    assert!(signalled.elapsed() < DRAIN + Duration::from_secs(10), "{run}");
}
