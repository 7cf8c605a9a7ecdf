//! Whichever way records take into the columns, what is read of them is what they are.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::record::{Headers, Output, OutputSource, Transformed};

type Bytes = Vec<u8>;
type Header = (Bytes, Option<Bytes>);
type Plain = (Option<Bytes>, Option<Bytes>, Vec<Header>);

/// A message, as a plugin reads it.
#[derive(Debug, Default, PartialEq)]
struct Read {
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<Header>,
    offset: u64,
    index: u32,
    attempt: u32,
    labels: Vec<Bytes>,
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..12)
}

fn plain() -> impl Strategy<Value = Plain> {
    // A name that is not UTF-8 once in a while.
    let name = prop_oneof![8 => "[a-c]".prop_map(Bytes::from), 1 => Just(b"\xff".to_vec())];
    let headers = prop_oneof![3 => Just(Vec::new()), 1 => vec((name, option::of(bytes())), 0..3)];
    (option::of(bytes()), option::of(bytes()), headers)
}

fn reads() -> impl Strategy<Value = Reads> {
    any::<[bool; 3]>().prop_map(|[key, value, headers]| Reads { key, value, headers })
}

fn arena(records: &[Plain]) -> Arena {
    let mut arena = Arena::default();
    for (offset, (key, value, headers)) in (100..).zip(records) {
        let (key, value) = (key.as_deref(), value.as_deref());
        let record = NewRecord { key, value, timestamp_ms: 7, offset, index: 0 };
        let headers = headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref()));
        assert!(arena.push(record, headers));
    }
    arena
}

fn part(batch: &Batch<'_>, at: usize, nth: usize) -> Option<Bytes> {
    let (start, end) = (batch.bounds[at * 3 + nth] as usize, batch.bounds[at * 3 + nth + 1] as usize);
    (batch.present[at] & 1 << nth != 0).then(|| batch.data[start..end].to_vec())
}

fn labels(batch: &Batch<'_>, at: usize) -> Vec<Bytes> {
    let Some(bounds) = batch.label_bounds.get(at * 2..at * 2 + 3) else { return Vec::new() };
    [&bounds[..2], &bounds[1..]]
        .map(|part| batch.labels[part[0] as usize..part[1] as usize].to_vec())
        .to_vec()
}

fn read(batch: &Batch<'_>) -> Vec<Read> {
    let messages = batch.present.len();
    assert_eq!((batch.bounds.len(), batch.bounds[0]), (messages * 3 + 1, 0));
    assert!(batch.bounds.is_sorted());
    assert_eq!(batch.bounds[messages * 3] as usize, batch.data.len());
    assert_eq!((batch.offsets.len(), batch.timestamps_ms.len()), (messages, messages));
    let read = |at| Read {
        key: part(batch, at, 0),
        value: part(batch, at, 1),
        headers: owned(Headers::encoded(&part(batch, at, 2).unwrap_or_default())),
        offset: batch.offsets[at],
        index: batch.indexes.get(at).copied().unwrap_or_default(),
        attempt: batch.attempts.get(at).copied().unwrap_or_default(),
        labels: labels(batch, at),
    };
    (0..messages).map(read).collect()
}

fn owned(headers: Headers<'_>) -> Vec<Header> {
    headers.iter().map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect()
}

fn bad(headers: &[Header]) -> bool {
    headers.iter().any(|(name, _)| std::str::from_utf8(name).is_err())
}

proptest! {
    #[test]
    fn a_stretch_of_the_batch_is_passed_as_the_plan_reads_it(
        records in vec(plain(), 1..12),
        reads in reads(),
        cut in any::<[prop::sample::Index; 2]>(),
        attempt in 0_u32..2,
        before in vec(plain(), 0..3),
    ) {
        let arena = arena(&records);
        let (start, end) = (cut[0].index(records.len()), cut[1].index(records.len()) + 1);
        let range = start.min(end - 1)..end.max(start + 1);
        let mut gather = Gather::default();
        // What an earlier call left in the memory is of no consequence.
        let earlier = self::arena(&before);
        gather.pass(&Inputs::of_batch(&earlier), 0..before.len(), reads, 3).expect("it fits");
        let passed = gather.pass(&Inputs::of_batch(&arena), range.clone(), reads, attempt).expect("it fits");
        let mut expected = Vec::new();
        let mut skipped = Vec::new();
        for position in range {
            let (key, value, headers) = records[position].clone();
            if reads.headers && bad(&headers) {
                skipped.push(position);
                continue;
            }
            expected.push(Read {
                key: key.filter(|_| reads.key),
                value: value.filter(|_| reads.value),
                headers: if reads.headers { headers } else { Vec::new() },
                offset: 100 + position as u64,
                attempt,
                ..Read::default()
            });
        }
        prop_assert_eq!(passed.skipped, skipped);
        prop_assert_eq!(read(&passed.batch), expected);
    }

    #[test]
    fn what_transforms_before_left_is_passed_with_what_they_added(
        sources in vec(any::<bool>(), 1..8),
        annotated in vec(option::of(0_u32..2), 8),
        reads in reads(),
    ) {
        let plain = |text: &str| {
            (Some(text.into()), Some([text, "!"].concat().into()), vec![(b"h".to_vec(), None)])
        };
        let batch = arena(&vec![plain("in"); sources.len()]);
        let annotations = vec![
            Annotation {
                routes: vec![String::from("r")],
                partition_keys: vec![(String::from("k"), String::from("v"))],
                headers: Vec::new(),
            },
            Annotation { headers: vec![(String::from("h"), Some(b"new".to_vec()))], ..Annotation::default() },
        ];
        let output = |(input, (produced, annotation)): (u32, (&bool, &Option<u32>))| Output {
            input,
            index: 2,
            source: if *produced { OutputSource::Produced(0) } else { OutputSource::Input },
            annotation: *annotation,
        };
        let previous = Transformed {
            outputs: (0..).zip(sources.iter().zip(&annotated)).map(output).collect(),
            produced: arena(&[plain("out")]),
            annotations,
            ..Transformed::default()
        };
        let mut gather = Gather::default();
        let inputs = Inputs::of_transformed(&batch, &previous);
        let passed = gather.pass(&inputs, 0..sources.len(), reads, 0).expect("it fits");
        let read = read(&passed.batch);
        let labelled = annotated[..sources.len()].contains(&Some(0));
        for ((read, produced), annotation) in read.iter().zip(&sources).zip(&annotated) {
            let text = if *produced { "out" } else { "in" };
            prop_assert_eq!(read.key.as_deref(), reads.key.then_some(text.as_bytes()));
            let header = if *annotation == Some(1) { Some(b"new".to_vec()) } else { None };
            let headers = if reads.headers { vec![(b"h".to_vec(), header)] } else { Vec::new() };
            prop_assert_eq!(&read.headers, &headers);
            let labels = match (labelled, annotation) {
                (true, Some(0)) => vec![b"\x01\0\0\0r".to_vec(), b"\x01\0\0\0k\x01\0\0\0v".to_vec()],
                (true, _) => vec![Vec::new(), Vec::new()],
                (false, _) => Vec::new(),
            };
            prop_assert_eq!(&read.labels, &labels);
            prop_assert_eq!(read.index, 2);
        }
    }
}

#[test]
fn a_batch_that_is_read_as_a_whole_is_passed_as_it_lies() {
    let records = vec![(Some(b"k".to_vec()), Some(b"value".to_vec()), vec![(b"h".to_vec(), None)]); 3];
    let arena = arena(&records);
    let columns = arena.columns(0..3);
    let mut gather = Gather::default();
    let reads = Reads { key: true, value: true, headers: true };
    let passed = gather.pass(&Inputs::of_batch(&arena), 0..3, reads, 0).expect("it fits");
    assert_eq!(passed.batch.data.as_ptr(), columns.data.as_ptr());
    assert_eq!(passed.batch.bounds.as_ptr(), columns.bounds.as_ptr());
    assert_eq!(passed.batch.present.as_ptr(), columns.present.as_ptr());
    assert_eq!((passed.batch.indexes.len(), passed.batch.attempts.len()), (0, 0));
}

#[test]
fn what_is_not_read_is_hidden_where_it_is_little_and_cut_out_where_it_is_much() {
    let records = vec![(Some(vec![b'k'; 4]), Some(vec![b'v'; 100]), Vec::new()); 3];
    let arena = arena(&records);
    let passed = |reads| {
        let mut gather = Gather::default();
        let passed = gather.pass(&Inputs::of_batch(&arena), 0..3, reads, 0).expect("it fits");
        (passed.batch.data.len(), passed.batch.present.to_vec())
    };
    let value = Reads { key: false, value: true, headers: false };
    assert_eq!(passed(value), (312, vec![2; 3]));
    let key = Reads { key: true, value: false, headers: true };
    assert_eq!(passed(key), (12, vec![1; 3]));
    let nothing = Reads { key: false, value: false, headers: false };
    assert_eq!(passed(nothing), (0, vec![0; 3]));
}

#[test]
fn what_a_transform_forwarded_is_passed_as_it_lies_in_the_batch() {
    let records = vec![(Some(b"k".to_vec()), Some(b"value".to_vec()), vec![(b"h".to_vec(), None)]); 4];
    let arena = arena(&records);
    let forward = |input| Output { input, index: 0, source: OutputSource::Input, annotation: None };
    let previous = |inputs: &[u32]| Transformed {
        outputs: inputs.iter().copied().map(forward).collect(),
        ..Transformed::default()
    };
    let reads = Reads { key: true, value: true, headers: true };
    let as_it_lies = |previous: &Transformed| {
        let mut gather = Gather::default();
        let inputs = Inputs::of_transformed(&arena, previous);
        let passed = gather.pass(&inputs, 0..inputs.len(), reads, 0).expect("it fits");
        assert_eq!(passed.batch.offsets[0], 101);
        read(&passed.batch);
        passed.batch.data.as_ptr() == arena.columns(1..2).data.as_ptr()
    };
    assert!(as_it_lies(&previous(&[1, 2, 3])));
    assert!(!as_it_lies(&previous(&[1, 3])));
    assert!(!as_it_lies(&previous(&[1, 1, 2])));
    let renumbered =
        Transformed { outputs: vec![Output { index: 1, ..forward(1) }], ..Transformed::default() };
    assert!(!as_it_lies(&renumbered));
}
