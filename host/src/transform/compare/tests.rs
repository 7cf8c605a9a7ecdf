//! What counts as a difference, as tables.

use super::*;
use crate::record::{
    Annotation, Arena, Condition, Failed, Failure, NewRecord, Output, OutputSource, Transformed,
};

/// What an input became.
#[derive(Clone)]
enum Made {
    Same,
    Annotated(Annotation),
    Records(Vec<Record>),
    Dropped,
    Failed(&'static str),
    /// So many outputs as they were, and these failures beside them.
    Partly(u32, Vec<&'static str>),
}

#[derive(Clone)]
struct Record {
    key: Option<&'static str>,
    value: Option<String>,
    timestamp_ms: i64,
    headers: Vec<(&'static str, &'static str)>,
}

fn record(value: &str) -> Record {
    Record { key: Some("k"), value: Some(value.to_owned()), timestamp_ms: 7, headers: vec![("h", "1")] }
}

fn value(text: &str) -> Made {
    Made::Records(vec![record(text)])
}

fn batch(records: usize) -> Arena {
    let mut arena = Arena::default();
    for nth in 0..records {
        push(&mut arena, 100 + nth as u64, &record(r#"{"a":1}"#));
    }
    arena
}

fn push(arena: &mut Arena, offset: u64, record: &Record) {
    let new = NewRecord {
        key: record.key.map(str::as_bytes),
        value: record.value.as_deref().map(str::as_bytes),
        timestamp_ms: record.timestamp_ms,
        offset,
        index: 0,
    };
    let headers = record.headers.iter().map(|(name, value)| (name.as_bytes(), Some(value.as_bytes())));
    assert!(arena.push(new, headers));
}

fn results(made: &[Made]) -> Transformed {
    let mut results = Transformed::default();
    for (input, made) in (0..).zip(made) {
        add(&mut results, input, made);
    }
    results
}

fn add(results: &mut Transformed, input: u32, made: &Made) {
    let failure = |code: &str| Failure { code: code.to_owned(), detail: String::from("why") };
    let output = |index, source, annotation| Output { input, index, source, annotation };
    match made {
        Made::Same => results.outputs.push(output(0, OutputSource::Input, None)),
        Made::Annotated(annotation) => {
            results.annotations.push(annotation.clone());
            let nth = results.annotations.len() as u32 - 1;
            results.outputs.push(output(0, OutputSource::Input, Some(nth)));
        }
        Made::Records(records) => {
            for (index, record) in (0..).zip(records) {
                push(&mut results.produced, 0, record);
                let source = OutputSource::Produced(results.produced.len() as u32 - 1);
                results.outputs.push(output(index, source, None));
            }
        }
        Made::Dropped => results.dropped += 1,
        Made::Failed(code) => {
            results.failed.push(Failed::whole(input, Condition::ProcessingFailed, failure(code)));
        }
        Made::Partly(outputs, codes) => {
            results.outputs.extend((0..*outputs).map(|index| output(index, OutputSource::Input, None)));
            for (index, code) in (*outputs..).zip(codes) {
                let condition = Condition::ProcessingFailed;
                results.partial.push(Failed::partial(input, index, None, condition, failure(code)));
            }
        }
    }
}

fn compared(old: &[Made], new: &[Made]) -> Comparison {
    let records = batch(old.len());
    Comparison::of(&records, 0..old.len() as u32, &results(old), &results(new))
}

fn examples(old: Made, new: Made) -> Vec<String> {
    let lines = compared(&[Made::Same, old], &[Made::Same, new]).lines();
    lines[1..].to_vec()
}

fn annotation(route: &str, key: &str, header: &str) -> Made {
    Made::Annotated(Annotation {
        routes: vec![route.to_owned()],
        partition_keys: vec![(String::from("day"), key.to_owned())],
        headers: vec![(String::from("x"), Some(header.as_bytes().to_vec()))],
    })
}

#[test]
fn what_says_the_same_is_equal() {
    let two = || Made::Records(vec![record("1"), record("2")]);
    for (old, new) in [
        (Made::Same, value(r#"{"a":1}"#)),
        (Made::Same, value(r#" {"a": 1.0} "#)),
        (value("plain"), value("plain")),
        (Made::Same, Made::Annotated(Annotation::default())),
        (annotation("r", "1", "h"), annotation("r", "1", "h")),
        (two(), two()),
        (Made::Dropped, Made::Dropped),
        (Made::Failed("Bad"), Made::Failed("Bad")),
        (Made::Partly(1, vec!["Bad"]), Made::Partly(1, vec!["Bad"])),
        (Made::Partly(0, vec!["Bad"]), Made::Partly(0, vec!["Bad"])),
    ] {
        assert_eq!(examples(old, new), [""; 0]);
    }
}

/// What two versions made of a record, and how that is told.
type Difference = (Made, Made, &'static [&'static str]);

fn assert_told(table: Vec<Difference>) {
    for (old, new, expected) in table {
        let found = examples(old, new);
        let expected: Vec<_> = expected
            .iter()
            .map(|line| {
                if line.starts_with(',') {
                    format!("offset 101{line}")
                } else {
                    format!("offset 101: {line}")
                }
            })
            .collect();
        assert_eq!(found, expected);
    }
}

/// The record, changed.
fn changed(change: fn(&mut Record)) -> Made {
    let mut record = record(r#"{"a":1}"#);
    change(&mut record);
    Made::Records(vec![record])
}

#[test]
fn fates_and_numbers_of_outputs_that_differ_are_told() {
    assert_told(vec![
        (Made::Same, Made::Dropped, &["fate: `delivered` became `dropped`"]),
        (Made::Dropped, Made::Failed("Bad"), &["fate: `dropped` became `failed: ProcessingFailed Bad: why`"]),
        (
            Made::Partly(0, vec!["Bad"]),
            Made::Same,
            &["fate: `failed: ProcessingFailed Bad: why` became `delivered`"],
        ),
        (
            Made::Failed("Bad"),
            Made::Failed("Worse"),
            &["failure: `ProcessingFailed Bad: why` became `ProcessingFailed Worse: why`"],
        ),
        (
            Made::Partly(1, vec!["Bad"]),
            Made::Partly(1, vec!["Worse"]),
            &[", output 1: failure: `ProcessingFailed Bad: why` became `ProcessingFailed Worse: why`"],
        ),
        (
            Made::Partly(2, vec!["Bad"]),
            Made::Partly(1, vec!["Bad", "Bad"]),
            &["count: `2 outputs` became `1 outputs`", "count: `1 failed outputs` became `2 failed outputs`"],
        ),
        (
            Made::Records(vec![record("1"), record("2")]),
            Made::Records(vec![record("1"), record("3")]),
            &[", output 1: value at $: `2` became `3`"],
        ),
    ]);
}

#[test]
fn parts_of_a_record_that_differ_are_told() {
    assert_told(vec![
        (Made::Same, changed(|it| it.key = None), &["key: `k` became nothing"]),
        (Made::Same, changed(|it| it.key = Some("l")), &["key: `k` became `l`"]),
        (Made::Same, changed(|it| it.timestamp_ms = 8), &["timestamp: `7` became `8`"]),
        (Made::Same, changed(|it| it.headers = vec![("h", "2")]), &["headers at h: `h: 1` became `h: 2`"]),
        (Made::Same, changed(|it| it.headers.clear()), &["headers at h: `h: 1` became nothing"]),
        (
            annotation("r", "1", "h"),
            annotation("s", "2", "i"),
            &[
                "routes: `r` became `s`",
                "partition-keys: `day=1` became `day=2`",
                "headers at x: `x: h` became `x: i`",
            ],
        ),
    ]);
}

#[test]
fn values_that_differ_are_told_with_their_place() {
    assert_told(vec![
        (Made::Same, changed(|it| it.value = None), &[r#"value: `{"a":1}` became nothing"#]),
        (
            Made::Same,
            value(r#"{"a":2,"b":[]}"#),
            &["value at $.a: `1` became `2`", "added at $.b: nothing became `[]`"],
        ),
        (
            Made::Same,
            value(r#"{"b":1}"#),
            &["missing at $.a: `1` became nothing", "added at $.b: nothing became `1`"],
        ),
        (Made::Same, value(r#"{"a":"1"}"#), &[r#"type at $.a: `1` became `"1"`"#]),
        (Made::Same, value("plain"), &[r#"type at $: `{"a":1}` became `plain`"#]),
        (value("plain"), value("other"), &["value: `plain` became `other`"]),
    ]);
}

#[test]
fn records_are_counted_once_and_kinds_by_record() {
    let old = [Made::Same, Made::Same, Made::Same, Made::Dropped];
    let new = [value(r#"{"b":1,"c":2}"#), Made::Same, value(r#"{"a":2}"#), Made::Same];
    let comparison = compared(&old, &new);
    assert_eq!((comparison.records, comparison.equal, comparison.different), (4, 1, 3));
    let kinds = [(Kind::Fate, 1), (Kind::Value, 1), (Kind::Missing, 1), (Kind::Added, 1)];
    assert_eq!(comparison.kinds, BTreeMap::from(kinds));
    assert_eq!(
        comparison.lines()[0],
        "4 records compared: 1 equal, 3 different (fate 1, value 1, missing 1, added 1)"
    );
    assert!(!comparison.is_equal());
}

#[test]
fn a_part_of_a_batch_is_compared_by_itself() {
    let old = [Made::Same, Made::Failed("a"), Made::Partly(1, vec!["a"]), Made::Same];
    let new = [Made::Dropped, Made::Failed("a"), Made::Partly(1, vec!["a"]), Made::Dropped];
    let comparison = Comparison::of(&batch(4), 1..3, &results(&old), &results(&new));
    assert_eq!((comparison.records, comparison.equal), (2, 2));
}

#[test]
fn examples_are_few_short_and_not_all_alike() {
    let long = |letter: &str| format!("[\"{}ä\"]", letter.repeat(1_000));
    let news: Vec<_> = (0..100)
        .map(|nth| if nth < 50 { value(&long("x")) } else { value(&format!("{{\"k{nth}\":1}}")) })
        .collect();
    let comparison = compared(&vec![value(&long("y")); 100], &news);
    assert_eq!((comparison.different, comparison.examples.len()), (100, 2 * ALIKE_MAX));
    for example in &comparison.examples {
        let texts = [Some(&example.path), example.old.as_ref(), example.new.as_ref()];
        assert!(texts.into_iter().flatten().all(|text| text.len() <= TEXT_MAX), "{example}");
    }
    let apart: Vec<_> = (0..100).map(|nth| value(&format!("{{\"k{nth}\":1}}"))).collect();
    assert_eq!(compared(&vec![value("{}"); 100], &apart).examples.len(), EXAMPLES_MAX);
}

#[test]
fn large_values_are_compared_as_bytes() {
    let large = |space: &str| format!("[\"{}\",{space}1]", "x".repeat(256 * 1024));
    let found = compared(&[value(&large(""))], &[value(&large(" "))]);
    assert_eq!((found.different, found.examples[0].path.as_str()), (1, ""));
    let small = |space: &str| format!("[\"{}\",{space}1]", "x".repeat(1024));
    assert!(compared(&[value(&small(""))], &[value(&small(" "))]).is_equal());
}

#[test]
fn what_is_too_much_work_is_not_compared_and_never_called_equal() {
    const MORE: usize = 10_050;
    let mut news = vec![value(r#"{"a":1.0}"#); MORE];
    news.extend(vec![Made::Same; 10]);
    news.push(Made::Dropped);
    let found = compared(&vec![Made::Same; news.len()], &news);
    assert_eq!((found.equal, found.different, found.not_compared), (10_010, 1, 50));
    assert_eq!(found.records, found.equal + found.different);
    assert_eq!(found.lines()[1], "50 more could not be compared");
}

#[test]
fn comparisons_add_up_and_stay_small() {
    let one = || compared(&[Made::Same, Made::Same], &[Made::Same, value(r#"{"a":2}"#)]);
    let mut sum = Comparison::default();
    for _ in 0..10 {
        sum.merge(one());
    }
    sum.merge(Comparison { not_compared: 3, unreliable: true, ..Comparison::default() });
    assert_eq!((sum.records, sum.equal, sum.different, sum.not_compared), (20, 10, 10, 3));
    assert_eq!((sum.kinds[&Kind::Value], sum.examples.len(), sum.unreliable), (10, ALIKE_MAX, true));
    for _ in 0..10 {
        let mut other = one();
        for nth in 0..5 {
            let path = format!("$.{nth}");
            other.examples.push(Example { path, ..other.examples[0].clone() });
        }
        sum.merge(other);
    }
    assert!(sum.examples.len() <= EXAMPLES_MAX);
}

#[test]
fn a_comparison_reads_back_from_json() {
    let comparison = compared(&[Made::Same], &[value(r#"{"a":2}"#)]);
    let json = serde_json::to_string(&comparison).expect("it can be written");
    assert!(json.contains(r#""kinds":{"value":1}"#), "{json}");
    assert_eq!(serde_json::from_str::<Comparison>(&json).expect("it can be read"), comparison);
    for kind in Kind::ALL {
        let name = serde_json::to_value(kind).expect("a word");
        assert_eq!(name, kind.name());
    }
}
