//! `examples/chain` as it stands, but for the build of its plugins: a filter, four real plugins in order, and
//! two sinks.

use std::path::Path;

use serde_json::Value;

use super::super::guests::guest;
use super::host::Workspace;
use super::lake::text;

const RECORDS: u64 = 20_000;

fn example() -> Workspace {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/chain/pipeline.toml");
    let mut lines: Vec<String> = Vec::new();
    for line in std::fs::read_to_string(path).expect("the example is there").lines() {
        let plugin = line.strip_prefix("plugin = ").and_then(|path| path.rsplit('/').next());
        match plugin.and_then(|file| file.strip_suffix(".wasm\"")) {
            Some(name) => lines.push(format!("plugin = {:?}", guest(name))),
            None if line.starts_with("records = ") => lines.push(format!("records = {RECORDS}")),
            None if line.starts_with("build = ") => {}
            None => lines.push(line.to_owned()),
        }
    }
    let workspace = Workspace::new();
    workspace.write("pipeline.toml", lines.join("\n").as_bytes());
    workspace
}

#[test]
fn four_plugins_behind_a_filter_deliver_to_two_sinks() {
    let (run, lake) = example().deliver();
    let read = |prefix: &str| -> Vec<Value> {
        let objects: Vec<_> = lake.below(prefix).collect();
        let lines = objects.iter().flat_map(|object| object.lines().map(<[u8]>::to_vec).collect::<Vec<_>>());
        lines.map(|line| serde_json::from_slice(&line).expect("JSON lines")).collect()
    };
    let (all, errors) = (read("all/"), read("errors/"));
    let filtered = run.number("records_filtered");
    assert!(filtered > RECORDS / 20, "static files: {run}");
    assert_eq!(lake.sum("dropped"), filtered, "nothing else is dropped");
    assert_eq!(all.len() as u64 + filtered + lake.letters().len() as u64, RECORDS, "{run}");
    for record in &all {
        let names: Vec<_> = record.as_object().expect("an object").keys().map(String::as_str).collect();
        assert!(
            names.contains(&"@timestamp") && !names.contains(&"user") && !names.contains(&"agent"),
            "{names:?}"
        );
        assert!(!text(record, "path").starts_with("/static/"), "{record}");
        assert!(text(record, "client").starts_with('*'), "{record}");
    }
    assert!(!errors.is_empty(), "the generator makes some server errors");
    let in_range =
        |record: &Value| record["status"].as_u64().is_some_and(|status| (500..600).contains(&status));
    assert!(errors.iter().all(in_range));
    assert_eq!(errors.len(), all.iter().filter(|record| in_range(record)).count());
    for letter in lake.letters() {
        assert_eq!(text(&letter["transform"], "name"), "parse", "{letter}");
    }
}
