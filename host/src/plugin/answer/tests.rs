//! Answers that keep the rules read back as they were written; others are refused by name, and none makes
//! the host panic.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::plugin::bindings::vanne::transform::types::Partial;

type Bytes = Vec<u8>;

/// A record, as a plugin means it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Meant {
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<(String, Option<Bytes>)>,
    timestamp_ms: Option<i64>,
    routes: Vec<String>,
    partition_keys: Vec<(String, String)>,
}

/// A verdict, as a plugin means it.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Forward,
    Annotate(Meant),
    Replace(Meant),
    Emit(Vec<Meant>, Vec<(String, Option<Bytes>)>),
    Drop,
    Fail(String),
    Retry(String, Option<u32>),
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..12)
}

fn meant() -> impl Strategy<Value = Meant> {
    let text = || "[a-zä]{0,4}";
    let labels = prop_oneof![
        3 => Just((Vec::new(), Vec::new())),
        1 => (vec(text(), 0..3), vec((text(), text()), 0..3)),
    ];
    let headers = vec((text(), option::of(bytes())), 0..3);
    (option::of(bytes()), option::of(bytes()), headers, option::of(any::<i64>()), labels).prop_map(
        |(key, value, headers, timestamp_ms, (routes, partition_keys))| Meant {
            key,
            value,
            headers,
            timestamp_ms,
            routes,
            partition_keys,
        },
    )
}

fn annotation() -> impl Strategy<Value = Meant> {
    meant().prop_map(|meant| Meant { key: None, value: None, timestamp_ms: None, ..meant })
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        Just(Said::Forward),
        Just(Said::Drop),
        annotation().prop_map(Said::Annotate),
        (annotation(), option::of(bytes()))
            .prop_map(|(meant, value)| Said::Replace(Meant { value, ..meant })),
        (vec(meant(), 0..4), vec(("[a-z]{1,3}", option::of(bytes())), 0..2))
            .prop_map(|(outputs, lost)| Said::Emit(outputs, lost)),
        "[a-z]{1,3}".prop_map(Said::Fail),
        ("[a-z]{1,3}", option::of(any::<u32>())).prop_map(|(code, after)| Said::Retry(code, after)),
    ]
}

fn empty() -> Results {
    Results {
        verdicts: Vec::new(),
        counts: Vec::new(),
        data: Vec::new(),
        bounds: vec![0],
        present: Vec::new(),
        timestamps_ms: Vec::new(),
        labels: Vec::new(),
        label_bounds: vec![0],
        failures: Vec::new(),
        lost: Vec::new(),
        postponements: Vec::new(),
    }
}

fn text(data: &mut Bytes, text: &[u8]) {
    data.extend((text.len() as u32).to_le_bytes());
    data.extend(text);
}

fn write(results: &mut Results, meant: &Meant) {
    let data = &mut results.data;
    data.extend(meant.key.iter().flatten());
    results.bounds.push(data.len() as u32);
    data.extend(meant.value.iter().flatten());
    results.bounds.push(data.len() as u32);
    for (name, value) in &meant.headers {
        text(data, name.as_bytes());
        match value {
            Some(value) => text(data, value),
            None => data.extend(u32::MAX.to_le_bytes()),
        }
    }
    results.bounds.push(data.len() as u32);
    let bits = [
        (meant.key.is_some(), 1),
        (meant.value.is_some(), 2),
        (!meant.headers.is_empty(), 4),
        (meant.timestamp_ms.is_some(), 8),
    ];
    results.present.push(bits.iter().filter(|(there, _)| *there).map(|(_, bit)| bit).sum());
    results.timestamps_ms.extend(meant.timestamp_ms);
    meant.routes.iter().for_each(|route| text(&mut results.labels, route.as_bytes()));
    results.label_bounds.push(results.labels.len() as u32);
    for (name, value) in &meant.partition_keys {
        text(&mut results.labels, name.as_bytes());
        text(&mut results.labels, value.as_bytes());
    }
    results.label_bounds.push(results.labels.len() as u32);
}

fn failed(code: &str) -> WitFailure {
    WitFailure { code: code.to_owned(), detail: format!("{code} it is") }
}

fn results(said: &[Said]) -> Results {
    let mut results = empty();
    for (message, said) in (0..).zip(said) {
        let verdict = match said {
            Said::Forward => 0,
            Said::Annotate(meant) => {
                write(&mut results, meant);
                1
            }
            Said::Replace(meant) => {
                write(&mut results, meant);
                2
            }
            Said::Emit(outputs, lost) => {
                results.counts.push(outputs.len() as u32);
                outputs.iter().for_each(|output| write(&mut results, output));
                let partial = |(code, value): &(String, _)| Partial {
                    failure: failed(code),
                    value: Clone::clone(value),
                };
                results.lost.extend(lost.iter().map(|lost| LostPart { message, partial: partial(lost) }));
                3
            }
            Said::Drop => 4,
            Said::Fail(code) => {
                results.failures.push(failed(code));
                5
            }
            Said::Retry(code, after_ms) => {
                let wish =
                    WitPostponement { code: code.clone(), reason: String::from("why"), after_ms: *after_ms };
                results.postponements.push(wish);
                6
            }
        };
        results.verdicts.push(verdict);
    }
    if results.labels.is_empty() {
        results.label_bounds.clear();
    }
    results
}

fn annotated(annotation: Option<Annotation>) -> Meant {
    let Annotation { routes, partition_keys, headers } = annotation.unwrap_or_default();
    Meant { routes, partition_keys, headers, ..Meant::default() }
}

fn heard(verdict: Verdict<'_>) -> Said {
    match verdict {
        Verdict::Forward => Said::Forward,
        Verdict::Annotate(annotation) => Said::Annotate(annotated(Some(annotation))),
        Verdict::Replace { value, annotation } => {
            Said::Replace(Meant { value: value.map(<[u8]>::to_vec), ..annotated(annotation) })
        }
        Verdict::Emit(emission) => {
            let (mut outputs, mut lost) = (Vec::new(), Vec::new());
            while let Some(output) = emission.next_output() {
                let header = |(name, value): (&[u8], Option<&[u8]>)| {
                    (String::from_utf8(name.to_vec()).expect("text"), value.map(<[u8]>::to_vec))
                };
                outputs.push(Meant {
                    key: output.key.map(<[u8]>::to_vec),
                    value: output.value.map(<[u8]>::to_vec),
                    headers: output.headers.iter().map(header).collect(),
                    timestamp_ms: output.timestamp_ms,
                    routes: output.routes,
                    partition_keys: output.partition_keys,
                });
            }
            while let Some((failure, value)) = emission.next_failure() {
                lost.push((failure.code, value.map(<[u8]>::to_vec)));
            }
            Said::Emit(outputs, lost)
        }
        Verdict::Drop => Said::Drop,
        Verdict::Fail(failure) => Said::Fail(failure.code),
        Verdict::Retry(wish) => Said::Retry(wish.code, wish.after_ms),
        Verdict::NotPassed(..) => panic!("no plugin says so"),
    }
}

fn read(results: Results, messages: usize) -> Result<Vec<Said>, CallError> {
    let mut answer = Answer::check(results, messages, 64 << 20)?;
    let mut said = Vec::new();
    (0..messages).for_each(|_| answer.hand_next(&mut |verdict| said.push(heard(verdict))));
    assert_eq!(said.len(), messages, "one verdict each");
    assert_eq!(answer.records.next, answer.records.present.len(), "no record is left over");
    assert!(answer.lost.next().is_none() && answer.records.timestamps_ms.next().is_none());
    Ok(said)
}

/// Changes one number of an answer.
fn spoil(results: &mut Results, list: u8, at: usize, to: u32) {
    fn set<T>(list: &mut [T], at: usize, to: T) {
        if !list.is_empty() {
            let at = at % list.len();
            list[at] = to;
        }
    }
    let byte = to as u8;
    match list {
        0 => set(&mut results.verdicts, at, byte % 9),
        1 => set(&mut results.counts, at, to),
        2 => set(&mut results.data, at, byte),
        3 => set(&mut results.bounds, at, to),
        4 => set(&mut results.present, at, byte % 20),
        5 => set(&mut results.labels, at, byte),
        6 => set(&mut results.label_bounds, at, to),
        7 => drop(results.failures.pop()),
        8 => drop(results.postponements.pop()),
        9 => drop(results.timestamps_ms.pop()),
        10 => results.present.push(byte),
        11 => results.bounds.truncate(at % 5),
        12 => results.label_bounds.truncate(at % 5),
        13 => results.lost.iter_mut().for_each(|lost| lost.message = to),
        _ => results.data.push(byte),
    }
}

proptest! {
    #[test]
    fn what_keeps_the_rules_is_read_as_it_was_meant(said in vec(said(), 0..12)) {
        let read = read(results(&said), said.len());
        prop_assert_eq!(read, Ok(said));
    }

    #[test]
    fn what_was_not_asked_for_is_not_the_next_messages(said in vec(said(), 1..8)) {
        let mut answer = Answer::check(results(&said), said.len(), 64 << 20).expect("it keeps the rules");
        for said in &said {
            match said {
                // As a transform does with what stands behind a wish to retry.
                Said::Emit(..) => answer.hand_next(&mut |_| ()),
                other => answer.hand_next(&mut |verdict| assert_eq!(&heard(verdict), other)),
            }
        }
    }

    #[test]
    fn a_spoiled_answer_is_refused_or_read_and_never_a_panic(
        said in vec(said(), 0..8),
        spoils in vec((0_u8..15, any::<usize>(), prop_oneof![0_u32..40, any::<u32>()]), 1..4),
    ) {
        let mut results = results(&said);
        for (list, at, to) in spoils {
            spoil(&mut results, list, at, to);
        }
        if let Err(error) = read(results, said.len()) {
            prop_assert!(error.kills());
        }
    }

    #[test]
    fn noise_is_refused_or_read_and_never_a_panic(
        verdicts in vec(0_u8..8, 0..5),
        counts in vec(prop_oneof![0_u32..4, any::<u32>()], 0..3),
        data in bytes(),
        bounds in vec(0_u32..14, 0..12),
        present in vec(0_u8..17, 0..4),
        labels in bytes(),
        label_bounds in vec(0_u32..14, 0..9),
        timestamps_ms in vec(any::<i64>(), 0..3),
    ) {
        let messages = verdicts.len();
        let results = Results {
            verdicts, counts, data, bounds, present, timestamps_ms, labels, label_bounds, ..empty()
        };
        if let Err(error) = read(results, messages) {
            prop_assert!(error.kills());
        }
    }
}

/// An answer to one message that breaks a rule, and how it is refused.
fn refused(spoil: impl FnOnce(&mut Results)) -> String {
    let meant = Meant {
        value: Some(b"value".to_vec()),
        headers: vec![(String::from("h"), None)],
        routes: vec![String::from("r")],
        ..Meant::default()
    };
    let mut results = results(&[Said::Replace(meant)]);
    spoil(&mut results);
    read(results, 1).expect_err("it breaks a rule").to_string()
}

#[test]
fn a_refusal_says_which_entry_and_what_was_expected() {
    let expect = |spoil: &dyn Fn(&mut Results), text: &str| {
        let error = refused(spoil);
        assert_eq!(error.trim_start_matches("the plugin's answer breaks the contract: "), text);
    };
    expect(
        &|results| results.verdicts[0] = 7,
        "`verdicts` at position 0, expected a verdict from 0 to 6, found 7",
    );
    expect(&|results| results.counts.push(1), "`counts`, expected 0 entries, found 1");
    expect(
        &|results| results.present.push(0),
        "`present`, expected 1 entries, by the verdicts and the counts, found 2",
    );
    expect(&|results| results.bounds.clear(), "`bounds`, expected 4 entries, found none");
    expect(&|results| results.bounds.truncate(3), "`bounds`, expected 4 entries, found 3");
    expect(&|results| results.bounds[0] = 1, "`bounds` at position 0, expected 0, found 1");
    expect(
        &|results| results.bounds[1] = 9,
        "`bounds` at position 2, expected at least 9, the bound before it, found 5",
    );
    expect(
        &|results| results.data.push(0),
        "`bounds` at position 3, expected 15, the number of bytes, found 14",
    );
    expect(
        &|results| results.present[0] = 3,
        "`present` at position 0, expected no bit but those of 6, found 3",
    );
    expect(&|results| results.timestamps_ms.push(1), "`timestamps-ms`, expected 0 entries, found 1");
    expect(
        &|results| results.data[5] = 9,
        "`data` at position 5, expected a length of a header's name of 5 at most, found 9",
    );
    expect(
        &|results| results.data[9] = 0xff,
        "`data` at position 9, expected a header's name in UTF-8, found another byte after 0 of 1",
    );
    expect(
        &|results| results.labels[..4].fill(0xff),
        "`labels` at position 4, expected a route's name, found a null",
    );
    expect(&|results| results.label_bounds.truncate(2), "`label-bounds`, expected 3 entries, found 2");
    expect(&|results| results.failures.push(failed("x")), "`failures`, expected 0 entries, found 1");
    let lost = || LostPart { message: 0, partial: Partial { failure: failed("x"), value: None } };
    expect(
        &|results| results.lost.push(lost()),
        "`lost` at position 0, expected a message with verdict 3 (emit), found 0",
    );
}

#[test]
fn an_answer_of_nothing_but_counts_is_held_to_the_output_limit() {
    let records = 2_000_000;
    let results = Results {
        verdicts: vec![EMIT],
        counts: vec![records as u32],
        bounds: vec![0; records * 3 + 1],
        present: vec![0; records],
        label_bounds: Vec::new(),
        ..empty()
    };
    assert!(matches!(read(results, 1), Err(CallError::OutputTooLarge { .. })));
}

#[test]
fn another_number_of_verdicts_is_a_wrong_count() {
    let error = read(results(&[Said::Forward]), 2).expect_err("one is missing");
    assert_eq!(error, CallError::WrongCount { expected: 2, got: 1 });
}
