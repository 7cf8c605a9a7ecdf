//! The three limits of a batch, each alone, as a plugin sees them: `batch-size` becomes the number of records of its call.

use super::host::{Pipeline, Workspace, together};
use super::lines::input;

/// So long that none of these runs lives to see its end.
const NEVER: &str = "window = \"60s\"";

fn pipeline(batch: &str) -> Pipeline {
    Pipeline::default().partitions(1).batch(batch).guest("test-guest", "")
}

/// Feeds so many lines, and says in how many calls of which sizes they came.
fn sizes(batch: &str, line: &str, records: usize) -> Vec<String> {
    let workspace = Workspace::with(&pipeline(batch), &input(&vec![line.to_owned(); records]));
    let (run, lake) = workspace.deliver();
    let sizes = lake.texts("", 0);
    assert_eq!(sizes.len(), records, "{run}");
    sizes
}

#[test]
fn a_batch_ends_at_each_of_its_limits() {
    together([
        // The last batch is full too, so that nothing waits for the window.
        &|| assert_eq!(sizes(&format!("records = 7\n{NEVER}"), "batch-size", 28), vec!["7"; 28]),
        &|| assert_eq!(sizes(&format!("records = 1\n{NEVER}"), "batch-size", 5), vec!["1"; 5]),
        &by_size,
        &by_window,
    ]);
}

fn by_size() {
    // Three of these and their bookkeeping are less than 1 KiB, four are more.
    let line = format!("batch-size {}", "x".repeat(300));
    let mut process_lines = vec![line; 12];
    // A record larger than the limit is a batch of its own, and ends the one before.
    process_lines.push(format!("batch-size {}", "y".repeat(2_000)));
    let workspace = Workspace::with(&pipeline(&format!("size = \"1KiB\"\n{NEVER}")), &input(&process_lines));
    let (run, lake) = workspace.deliver();
    let mut expected = vec!["3"; 12];
    expected.push("1");
    assert_eq!(lake.texts("", 0), expected, "{run}");
}

fn by_window() {
    let feed = pipeline("window = \"2s\"").feed("file = \"-\"");
    let workspace = Workspace::with(&feed, b"");
    let mut process = workspace.start(&["run", "--until-end", "--json", "pipeline.toml"], &[]);
    process.say(b"batch-size\nbatch-size\nlog the first is in\n");
    process.wait_for("the first is in");
    process.say(b"batch-size\nlog the second is in\n");
    process.wait_for("the second is in");
    process.input = None;
    let run = process.end();
    assert_eq!(run.code, Some(0), "{run}");
    let expected = ["3", "3", "log the first is in", "2", "log the second is in"];
    assert_eq!(workspace.lake().texts("", 0), expected, "{run}");
}
