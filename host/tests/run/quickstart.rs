//! The README's first command, but for the build of the plugin and with fewer records.

use std::path::Path;

use serde_json::Value;

use super::super::guests::guest;
use super::host::{Run, Workspace};
use super::lake::{Lake, number, text};

const RECORDS: u64 = 20_000;

/// The example as a clone has it, with the guest that the tests build.
fn clone() -> Workspace {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart/pipeline.toml");
    let example = std::fs::read_to_string(example).expect("the example is there");
    let mut lines: Vec<String> = Vec::new();
    for line in example.lines() {
        if line.starts_with("plugin = ") {
            lines.push(format!("plugin = {:?}", guest("access-log")));
        } else if line.starts_with("records = ") {
            lines.push(format!("records = {RECORDS}"));
        } else if !line.starts_with("build = ") {
            lines.push(line.to_owned());
        }
    }
    let workspace = Workspace::new();
    workspace.write("pipeline.toml", lines.join("\n").as_bytes());
    workspace
}

fn check(run: &Run, lake: &Lake) {
    assert_eq!(run.code, Some(0), "{run}");
    let (mut delivered, mut objects, mut bytes) = (0, 0, 0);
    for object in lake.below("") {
        assert!(object.path.ends_with(".jsonl.zst"), "{}", object.path);
        objects += 1;
        bytes += object.length;
        for line in object.lines() {
            let record: Value = serde_json::from_slice(line).expect("JSON lines");
            assert!(
                !text_of(&record, "client").is_empty() && record["status"].as_u64() != Some(301),
                "{record}"
            );
            delivered += 1;
        }
    }
    let letters = lake.letters();
    for letter in &letters {
        assert_eq!(text(letter, "topic"), "access-logs");
        assert!(text(letter, "code").starts_with("Bad"), "{letter}");
        assert!(
            letter["transforms"][0]["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:"))
        );
    }
    assert!(!letters.is_empty(), "the generator makes some malformed lines");
    assert_eq!(lake.sum("read"), RECORDS);
    let dropped = lake.sum("dropped");
    assert!(dropped > 0, "statuses of class 3xx are filtered");
    assert_eq!(RECORDS, delivered + dropped + letters.len() as u64);

    let counted = [
        ("records_read", RECORDS),
        ("records_written", delivered),
        ("records_dropped", dropped),
        ("dead_letters", letters.len() as u64),
        ("objects", objects),
        ("object_bytes", bytes),
        ("entries", lake.all_entries().count() as u64),
        ("gap_offsets", 0),
        ("adopted_entries", 0),
    ];
    for (name, found) in counted {
        assert_eq!(run.number(name), found, "{name}: {run}");
    }
    assert_eq!(text(&run.report(), "outcome"), "drained");

    // The generator's clock never goes back, so that order shows in the times of a partition.
    for partition in 0..4 {
        let lines = lake.lines("", partition);
        let times: Vec<String> =
            lines.iter().map(|line| text_of(&serde_json::from_slice(line).expect("JSON"), "time")).collect();
        assert!(times.len() > 1000 && times.is_sorted(), "partition {partition} is out of order");
        assert!(
            lake.entries[&partition].iter().map(|entry| number(entry, "read")).sum::<u64>() >= RECORDS / 5
        );
    }
}

fn text_of(record: &Value, name: &str) -> String {
    text(record, name).to_owned()
}

#[test]
fn the_quickstart_runs_again_and_again_in_one_clone() {
    let clone = clone();
    let first = clone.run();
    let second = clone.run();
    let runs = clone.runs();
    assert_eq!(runs.len(), 2, "each run has a folder of its own: {runs:?}");
    check(&first, &Lake::read(&runs[0]));
    check(&second, &Lake::read(&runs[1]));
    for (run, folder) in [(&first, &runs[0]), (&second, &runs[1])] {
        let place = text(&run.report()["places"], "lake").to_owned();
        assert!(
            place.ends_with(&folder.file_name().expect("a name").to_string_lossy().into_owned()),
            "{place}"
        );
    }
}

#[test]
fn people_read_where_it_went_and_how_much() {
    let clone = clone();
    let run = clone.host(&["run", "--until-end", "pipeline.toml"]);
    assert_eq!(run.code, Some(0), "{run}");
    let lake = clone.lake();
    let delivered = lake.below("").map(|object| object.lines().count()).sum::<usize>();
    for words in [
        String::from("quickstart: drained after"),
        format!("{RECORDS:>12} records\n"),
        format!("{delivered:>12} records in {} objects", lake.below("").count()),
        format!("{:>12} in 4 objects", lake.letters().len()),
        String::from("Look at them"),
        clone.runs()[0].display().to_string(),
    ] {
        assert!(run.stdout.contains(&words), "`{words}` is missing: {run}");
    }
}
