//! What a filter keeps from the transforms: they are not called for it, and its offsets are done.

use super::host::{Pipeline, Run, Workspace, together};
use super::lake::{Lake, number, text};
use super::lines::{dealt, good};

fn filtered(patterns: &str, keys: &str) -> Pipeline {
    let filter = format!("[filter]\npatterns = [{patterns}]\n{keys}\n");
    Pipeline::default().guest("test-guest", "").rest(&filter)
}

/// Runs it over two partitions, and checks that no call failed and that the entries reach both ends.
fn passes(pipeline: &Pipeline, partitions: &[Vec<String>; 2]) -> (Run, Lake) {
    let (run, lake) = Workspace::with(pipeline, &dealt(partitions)).deliver();
    assert!(!run.stderr.contains("a plugin's call failed"), "a plugin saw what it should not: {run}");
    for (partition, lines) in (0..).zip(partitions) {
        let last = lake.entries[&partition].last().expect("it is committed");
        assert_eq!(number(last, "end"), lines.len() as u64, "{run}");
    }
    (run, lake)
}

fn lines<const LINES: usize>(lines: [&str; LINES]) -> Vec<String> {
    lines.map(String::from).to_vec()
}

#[test]
fn what_is_filtered_never_meets_a_plugin() {
    together([
        &|| {
            // Whatever is no good would make the plugin trap or hang; long stretches of it stand at both ends.
            let bad = ["trap", "loop", "panic", "exit"].map(String::from);
            let stretch = |records: usize| bad.iter().cycle().take(records).cloned();
            let mixed: Vec<_> = stretch(40)
                .chain((0..5).map(good))
                .chain(stretch(3))
                .chain((5..10).map(good))
                .chain(stretch(40))
                .collect();
            let only_bad: Vec<_> = stretch(mixed.len()).collect();
            let pipeline = filtered("'{\"value\": [{\"prefix\": \"good \"}]}'", "");
            let (run, lake) = passes(&pipeline, &[mixed, only_bad]);
            assert_eq!(lake.texts("", 0), (0..10).map(good).collect::<Vec<_>>(), "{run}");
            assert_eq!(lake.objects.iter().filter(|object| object.partition == 1).count(), 0, "{run}");
            let counts = [
                "records_read",
                "records_filtered",
                "records_filtered_not_json",
                "records_dropped",
                "dead_letters",
            ];
            assert_eq!(counts.map(|name| run.number(name)), [186, 176, 0, 176, 0], "{run}");
        },
        &|| {
            // The records of a feed have no key.
            let both = [lines(["trap", "loop"]), lines(["exit", "panic"])];
            let (run, _) = passes(&filtered("'{\"key\": [{\"exists\": true}]}'", ""), &both);
            assert_eq!((run.number("records_filtered"), run.number("objects")), (4, 0), "{run}");
            let both = [lines(["a", "b"]), lines(["c", "d"])];
            let (run, lake) = passes(&filtered("{ key = [{ exists = false }], partition = [1] }", ""), &both);
            assert_eq!((lake.texts("", 0), lake.texts("", 1)), (Vec::new(), both[1].clone()), "{run}");
        },
    ]);
}

#[test]
fn what_is_no_json_is_counted_apart_or_buried() {
    const PATTERNS: &str = "'{\"value\": {\"status\": [{\"numeric\": [\">=\", 500]}]}}'";
    let both = [
        lines([r#"{"status":500}"#, "trap", r#"{"status":200}"#, r#"{"status":503,"a":1}"#]),
        lines(["loop", r#"{"state":1}"#, r#"{"status":"500"}"#, "{"]),
    ];
    let delivered = lines([r#"{"status":500}"#, r#"{"status":503,"a":1}"#]);
    let counts = ["records_filtered", "records_filtered_not_json", "records_dropped", "dead_letters"];
    together([
        &|| {
            let (run, lake) = passes(&filtered(PATTERNS, ""), &both);
            assert_eq!((lake.texts("", 0), lake.texts("", 1).len()), (delivered.clone(), 0), "{run}");
            assert_eq!(counts.map(|name| run.number(name)), [3, 3, 6, 0], "{run}");
        },
        &|| {
            let (run, lake) = passes(&filtered(PATTERNS, "not_json = \"dead-letter\""), &both);
            assert_eq!((lake.texts("", 0), lake.texts("", 1).len()), (delivered.clone(), 0), "{run}");
            assert_eq!(counts.map(|name| run.number(name)), [3, 3, 3, 3], "{run}");
            let not_json = |partition, offset| (partition, offset, String::from("FilterNotJson"));
            assert_eq!(lake.conditions(), [not_json(0, 1), not_json(1, 0), not_json(1, 3)], "{run}");
            let letters = lake.letters();
            let letter =
                letters.iter().find(|letter| text(letter, "value") == "trap").expect("it is buried whole");
            assert!(
                letter["transform"].is_null() && letter["first_attempt_ms"].is_null(),
                "nobody saw it: {letter}"
            );
            assert_eq!(number(letter, "attempts"), 0, "{letter}");
        },
    ]);
}
