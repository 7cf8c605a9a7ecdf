//! Annotations and fates along a chain, against a model that looks at one input at a time.

use super::*;

#[test]
fn annotations_add_up_along_a_chain_and_emit_starts_anew() {
    let annotation = |route: &str, key: &str, header: &str| Annotation {
        routes: if route.is_empty() { Vec::new() } else { vec![route.to_owned()] },
        partition_keys: vec![(String::from("day"), key.to_owned()), (key.to_owned(), String::from("x"))],
        headers: vec![(String::from("h"), Some(header.as_bytes().to_vec())), (header.to_owned(), None)],
    };
    let first = annotation("a", "1", "one");
    let second = annotation("", "2", "two");
    let (one, two) = (first.clone(), second.clone());
    let batch = batch(3);
    let before = Factory::new(move |_| Ok(Answer::Annotate(one.clone()))).run(&batch, None).expect("runs");
    let after = Factory::new(move |record| {
        Ok(match record.offset {
            0 => Answer::Annotate(two.clone()),
            1 => Answer::Replace(Some(b"new".to_vec())),
            _ => Answer::Emit(vec![None], 0),
        })
    });
    let result = after.run(&batch, Some(before)).expect("runs");
    let annotations: Vec<_> = result.outputs.iter().map(|output| result.annotation(output)).collect();
    let text = |text: &str| text.to_owned();
    let both = Annotation {
        routes: vec![text("a")],
        partition_keys: vec![(text("1"), text("x")), (text("day"), text("2")), (text("2"), text("x"))],
        headers: vec![(text("one"), None), (text("h"), Some(b"two".to_vec())), (text("two"), None)],
    };
    assert_eq!(annotations, [Some(&both), Some(&first), None]);
    assert_eq!(result.record(&batch, &result.outputs[1]).value, Some(b"new".as_slice()));
    assert_eq!(result.record(&batch, &result.outputs[1]).key, Some(b"k".as_slice()));
}

/// What a scripted transform does with a record, by number.
pub(super) fn scripted(action: u8, record: &RecordRef<'_>) -> Result<Answer, CallError> {
    let emit = |outputs: u8, failures: usize| {
        Answer::Emit((0..outputs).map(|nth| Some(vec![nth])).collect(), failures)
    };
    Ok(match action {
        0..=2 => Answer::Forward,
        3 => Answer::Drop,
        4 => Answer::Fail(failure()),
        5 => Answer::Replace(record.value.map(|value| [value, b"!"].concat())),
        6 => emit(0, 0),
        7 => emit(1, 1),
        8 => emit(3, 0),
        9 => emit(2, 2),
        10 => emit(0, 1),
        11 => return Err(trap()),
        13 => return Err(timeout()),
        _ => Answer::Retry(wish("Later")),
    })
}

/// Which action a record meets in a step: the same in the doubles and in the model.
pub(super) fn action(actions: &[u8], step: usize, offset: u64, index: u32) -> u8 {
    let mixed = (step as u64 * 7 + offset * 31 + u64::from(index) * 13) as usize;
    actions[mixed % actions.len()]
}

/// What an input becomes, looked at alone.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Dropped,
    Failed,
    Kept { outputs: u32, partial: u32 },
    Postponed,
}

pub(super) fn model(actions: &[u8], steps: usize, offset: u64) -> Fate {
    let (mut records, mut partial) = (1, 0);
    for step in 0..steps {
        let (mut next, mut failed) = (0, 0);
        for index in 0..records {
            match action(actions, step, offset, index) {
                0..=2 | 5 => next += 1,
                3 | 6 => {}
                4 | 11 if records == 1 && partial == 0 => return Fate::Failed,
                4 | 11 => failed += 1,
                7 => (next, failed) = (next + 1, failed + 1),
                8 => next += 3,
                9 => (next, failed) = (next + 2, failed + 2),
                10 => failed += 1,
                _ => return Fate::Postponed,
            }
        }
        records = next;
        partial += failed;
        if records == 0 && partial == 0 {
            return Fate::Dropped;
        }
    }
    Fate::Kept { outputs: records, partial }
}

proptest! {
    #[test]
    fn each_input_meets_the_fate_that_it_would_meet_alone(
        records in 0_usize..40,
        steps in 0_usize..4,
        actions in vec(prop_oneof![20 => 0_u8..12, 1 => Just(12_u8)], 1..30),
    ) {
        let batch = batch(records);
        let fates: Vec<_> = (0..records as u64).map(|offset| model(&actions, steps, offset)).collect();
        let postponed = fates.iter().position(|fate| *fate == Fate::Postponed);
        let mut result = None;
        for step in 0..steps {
            let actions = actions.clone();
            let factory = Factory::new(move |record| {
                scripted(action(&actions, step, record.offset, record.index), record)
            });
            result = Some(factory.run(&batch, result.take()).expect("nothing stops it"));
        }
        let Some(result) = result else { return Ok(()) };
        prop_assert_eq!(result.rest.as_ref().map(|rest| rest.from as usize), postponed);
        check(&result, &fates[..postponed.unwrap_or(records)]);
    }
}

fn check(result: &Transformed, fates: &[Fate]) {
    let mut outputs: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for output in &result.outputs {
        outputs.entry(output.input as usize).or_default().push(output.index);
    }
    let mut partial: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for failed in &result.partial {
        partial.entry(failed.input as usize).or_default().push(failed.index.expect("a part has a number"));
    }
    assert!(result.outputs.is_sorted_by_key(|output| (output.input, output.index)));
    let mut dropped = 0;
    for (input, fate) in fates.iter().enumerate() {
        let outputs = outputs.remove(&input).unwrap_or_default();
        let partial = partial.remove(&input).unwrap_or_default();
        let whole = result.failed.iter().filter(|failed| failed.input as usize == input).count();
        let found = (outputs.len() as u32, partial.len() as u32, whole);
        let expected = match fate {
            Fate::Kept { outputs, partial } => (*outputs, *partial, 0),
            Fate::Failed => (0, 0, 1),
            Fate::Dropped => {
                dropped += 1;
                (0, 0, 0)
            }
            Fate::Postponed => unreachable!("cut off before"),
        };
        assert_eq!(found, expected, "input {input}: {fate:?}");
        let numbers: Vec<_> = outputs.into_iter().chain(partial).collect();
        assert_eq!(numbers, (0..numbers.len() as u32).collect::<Vec<_>>(), "input {input}");
    }
    assert!(outputs.is_empty() && partial.is_empty(), "nothing of what comes again");
    assert_eq!(result.dropped, dropped);
    assert!(result.failed.iter().all(|failed| (failed.input as usize) < fates.len()));
}
