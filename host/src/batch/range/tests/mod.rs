//! What becomes of records in a range.

mod properties;
mod side_by_side;

use std::collections::BTreeMap;

use super::*;
use crate::batch::{Content, DeadLetter, ObjectSummary, Original, SinkSpec};
use crate::config::{Compression, Format};
use crate::record::{
    Annotation, Arena, Condition, Epoch, Failed, Failure, NewRecord, Output, OutputSource, Report, Rest,
    TopicPartition, Wait,
};

const PART_BYTES: usize = 1 << 10;
const START: u64 = 1_000;
const BOTH: [Variant; 2] = [Variant::Stable, Variant::Candidate];

fn spec(name: &str, format: Format, compression: Compression, default: bool) -> SinkSpec {
    SinkSpec { name: Arc::from(name), format, compression, buffer_bytes: 4 << 10, default }
}

fn specs() -> Vec<SinkSpec> {
    let lake = spec("lake", Format::JsonLines, Compression::None, true);
    let archive = spec("archive", Format::Raw, Compression::Zstd, true);
    let errors = spec("errors", Format::Raw, Compression::Gzip, false);
    vec![lake, archive, errors]
}

fn plan() -> Arc<Sinks> {
    Sinks::new(specs(), PART_BYTES, "sha256:c0")
}

fn plan_with_candidate() -> Arc<Sinks> {
    Sinks::with_candidate(specs(), PART_BYTES, "sha256:c0", "sha256:c1")
}

/// Records at every second offset from `start` on.
fn batch(start: u64, values: &[&[u8]]) -> Batch {
    let mut records = Arena::default();
    for (offset, value) in (start..).step_by(2).zip(values) {
        let record = NewRecord { value: Some(value), timestamp_ms: 7, offset, ..NewRecord::default() };
        assert!(records.push(record, []));
    }
    let end = start + 2 * values.len() as u64;
    let origin = TopicPartition { topic: Arc::from("t"), partition: 0 };
    Batch { origin, epoch: Epoch(1), range: OffsetRange { start, end }, records }
}

fn part<'a>(variant: Variant, transformed: &'a Transformed) -> Part<'a> {
    Part { variant, transformed, transforms: &[] }
}

fn worked<'a>(batch: &'a Batch, from: u32, parts: &'a [Part<'a>]) -> Worked<'a> {
    let rest = parts.iter().find_map(|part| part.transformed.rest.as_ref()).map(|rest| rest.from);
    Worked { batch, from, rest, parts, now_ms: 50 }
}

/// Takes in what the stable version made of a batch.
fn take_in(range: &mut OpenRange, batch: &Batch, from: u32, transformed: &Transformed) -> Result<(), Error> {
    range.take_in(&worked(batch, from, &[part(Variant::Stable, transformed)]))
}

fn forward(input: u32, annotation: Option<u32>) -> Output {
    Output { input, index: 0, source: OutputSource::Input, annotation }
}

fn routed(routes: &[&str]) -> Annotation {
    Annotation { routes: routes.iter().map(ToString::to_string).collect(), ..Annotation::default() }
}

fn failure(code: &str) -> Failure {
    Failure { code: String::from(code), detail: String::from("why") }
}

/// The objects of a sink by number, each with its lines; chunks of objects may lie between each other.
fn objects(plan: &Sinks, chunks: &[Chunk], sink: &str) -> Vec<(ObjectSummary, Vec<String>)> {
    let spec = plan.specs().iter().find(|spec| *spec.name == *sink).expect("a sink");
    let mut objects: BTreeMap<u32, (Vec<u8>, Option<ObjectSummary>)> = BTreeMap::new();
    for chunk in chunks.iter().filter(|chunk| *chunk.sink == *sink) {
        let (bytes, summary) = objects.entry(chunk.object).or_default();
        assert!(summary.is_none(), "bytes of `{sink}` come after their object's end");
        bytes.extend_from_slice(&chunk.bytes);
        summary.clone_from(&chunk.last);
    }
    assert!(objects.keys().copied().eq(0..u32::try_from(objects.len()).expect("few")), "a number is missing");
    let ended = objects.into_values().map(|(object, summary)| {
        let summary = summary.expect("each object has an end");
        assert_eq!(summary.bytes, object.len() as u64);
        let text = match spec.compression {
            Compression::None => object,
            Compression::Zstd => zstd::stream::decode_all(&object[..]).expect("zstd"),
            Compression::Gzip => {
                let mut text = Vec::new();
                let mut decoder = flate2::read::GzDecoder::new(&object[..]);
                std::io::Read::read_to_end(&mut decoder, &mut text).expect("gzip");
                text
            }
        };
        let lines = String::from_utf8(text).expect("text").lines().map(String::from).collect();
        (summary, lines)
    });
    ended.collect()
}

fn lines(plan: &Sinks, chunks: &[Chunk], sink: &str) -> Vec<String> {
    objects(plan, chunks, sink).into_iter().flat_map(|(_, lines)| lines).collect()
}

fn letters(plan: &Sinks, chunks: &[Chunk]) -> Vec<DeadLetter<'static>> {
    let lines = lines(plan, chunks, crate::record::DEAD_LETTER_SINK);
    lines.iter().map(|line| DeadLetter::parse(line.as_bytes()).expect("a letter")).collect()
}

fn value_of<'a>(letter: &'a DeadLetter<'_>) -> Option<&'a [u8]> {
    match &letter.original {
        Original::Here(content) => content.value.as_deref(),
        Original::AtIndex(index) => panic!("it stands at index {index}"),
    }
}

fn transforms() -> [Provenance; 2] {
    ["parse", "redact"].map(|name| Provenance {
        name: String::from(name),
        plugin: String::from("p"),
        version: String::from("1"),
        digest: String::from("sha256:00"),
        grants: Vec::new(),
    })
}

#[test]
fn a_letter_says_which_transform_failed_and_what_it_left_behind() {
    let plan = plan();
    let mut range = OpenRange::new(Arc::clone(&plan), START);
    let batch = batch(START, &[b"a", b"b", b"[0]"]);
    let report = Report { backtrace: String::from("inner\nouter\n"), log: String::from("said\n") };
    let trap = Failed {
        transform: Some(1),
        attempts: 4,
        first_attempt_ms: Some(20),
        report: Some(Arc::new(report)),
        ..Failed::whole(0, Condition::Trap, failure("Trap"))
    };
    let once = Failed { attempts: 1, ..Failed::whole(1, Condition::ProcessingFailed, failure("Bad")) };
    let transformed =
        Transformed { outputs: vec![forward(2, None)], failed: vec![trap, once], ..Transformed::default() };
    let transforms = transforms();
    let parts = [Part { transforms: &transforms, ..part(Variant::Stable, &transformed) }];
    range.take_in(&worked(&batch, 0, &parts)).expect("accounted");
    let closed = range.cut().expect("memory");
    let letters = letters(&plan, &closed.chunks);
    let [trap, once] = &letters[..] else { panic!("two letters: {letters:?}") };
    assert_eq!(trap.transform.as_deref(), Some(&transforms[1]));
    assert_eq!((&trap.backtrace[..], &*trap.log), (&["inner".into(), "outer".into()][..], "said\n"));
    assert_eq!((trap.attempts, trap.first_attempt_ms, trap.failed_ms), (4, Some(20), 50));
    assert_eq!((&*trap.transforms, &*trap.config_digest), (&transforms[..], "sha256:c0"));
    assert_eq!((once.attempts, once.first_attempt_ms), (1, Some(50)));
    assert_eq!((&once.transform, once.backtrace.len(), &*once.log), (&None, 0, ""));
}

#[test]
fn the_record_stands_once_an_offset_and_object_however_many_outputs_fail() {
    let plan = plan();
    let mut range = OpenRange::new(Arc::clone(&plan), START);
    let batch = batch(START, &[b"the record", b"another"]);
    let failed = |input, index, value: &[u8]| {
        Failed::partial(input, index, Some(value.to_vec()), Condition::ProcessingFailed, failure("x"))
    };
    let partial = (0..50).map(|index| failed(0, index, b"made")).chain([failed(1, 7, b"other")]);
    let transformed = Transformed { partial: partial.collect(), ..Transformed::default() };
    take_in(&mut range, &batch, 0, &transformed).expect("accounted");
    let closed = range.cut().expect("memory");
    let letters = letters(&plan, &closed.chunks);
    assert_eq!(letters.len(), 51);
    assert_eq!(value_of(&letters[0]), Some(&b"the record"[..]));
    assert!(letters[1..50].iter().all(|letter| letter.original == Original::AtIndex(0)));
    assert_eq!(value_of(&letters[50]), Some(&b"another"[..]));
    let made = |value: &'static [u8]| {
        Some(Content { timestamp_ms: -1, value: Some(value.into()), ..Content::default() })
    };
    assert!(letters[..50].iter().all(|letter| letter.output == made(b"made")));
    assert_eq!(letters[50].output, made(b"other"));
}

#[test]
fn each_object_of_dead_letters_can_be_understood_alone() {
    let lake = spec("lake", Format::Raw, Compression::None, true);
    let plan = Sinks::new(vec![lake], 5 << 20, "");
    let mut range = OpenRange::new(Arc::clone(&plan), START);
    let batch = batch(START, &[b"the record"]);
    let value = vec![b'x'; 8 << 20];
    let failed =
        |index| Failed::partial(0, index, Some(value.clone()), Condition::ProcessingFailed, failure("x"));
    let transformed = Transformed { partial: (0..10).map(failed).collect(), ..Transformed::default() };
    take_in(&mut range, &batch, 0, &transformed).expect("accounted");
    let closed = range.cut().expect("memory");
    let objects = closed.accounts.sinks.last().expect("dead letters").objects.len();
    assert_eq!(objects, 2, "80 MiB are more than one object of dead letters");
    let letters = letters(&plan, &closed.chunks);
    let whole: Vec<_> =
        letters.iter().filter(|letter| matches!(letter.original, Original::Here(_))).collect();
    assert_eq!(whole.iter().map(|letter| letter.index).collect::<Vec<_>>(), [Some(0), Some(8)]);
}

#[test]
fn an_output_stands_beside_its_record_where_it_is_another() {
    let plan = plan();
    let mut range = OpenRange::new(Arc::clone(&plan), START);
    let batch = batch(START, &[b"no json", b"was json"]);
    let mut produced = Arena::default();
    let made = NewRecord {
        key: Some(b"k"),
        value: Some(b"not json either"),
        timestamp_ms: 9,
        offset: START + 2,
        index: 0,
    };
    assert!(produced.push(made, [(&b"h"[..], None)]));
    let header = (String::from("added"), Some(b"1".to_vec()));
    let transformed = Transformed {
        outputs: vec![forward(0, Some(0)), Output { source: OutputSource::Produced(0), ..forward(1, None) }],
        produced,
        annotations: vec![Annotation { headers: vec![header], ..Annotation::default() }],
        ..Transformed::default()
    };
    let transforms = transforms();
    let parts = [Part { transforms: &transforms, ..part(Variant::Stable, &transformed) }];
    range.take_in(&worked(&batch, 0, &parts)).expect("accounted");
    let closed = range.cut().expect("memory");
    let letters = letters(&plan, &closed.chunks);
    assert_eq!(letters.iter().map(value_of).collect::<Vec<_>>(), [&b"no json"[..], b"was json"].map(Some));
    let outputs: Vec<_> = letters.iter().map(|letter| letter.output.clone().expect("another")).collect();
    assert_eq!((outputs[0].value.as_deref(), outputs[0].headers.len()), (Some(&b"no json"[..]), 1));
    assert_eq!((outputs[1].key.as_deref(), outputs[1].timestamp_ms), (Some(&b"k"[..]), 9));
    assert_eq!(outputs[1].value.as_deref(), Some(&b"not json either"[..]));
    assert_eq!((letters[0].attempts, letters[0].first_attempt_ms), (1, Some(50)));
}

#[test]
fn outputs_go_where_their_routes_say() {
    let plan = plan();
    let mut range = OpenRange::new(Arc::clone(&plan), START);
    let batch = batch(START, &[b"[0]", b"[1]", b"[2]", b"[3]"]);
    let transformed = Transformed {
        outputs: vec![forward(0, None), forward(1, Some(0)), forward(2, Some(1)), forward(3, Some(2))],
        annotations: vec![routed(&["errors", "errors"]), routed(&["lake", "nowhere"]), routed(&[])],
        ..Transformed::default()
    };
    take_in(&mut range, &batch, 0, &transformed).expect("accounted");
    let closed = range.cut().expect("memory");
    assert_eq!(lines(&plan, &closed.chunks, "lake"), ["[0]", "[2]", "[3]"]);
    assert_eq!(lines(&plan, &closed.chunks, "archive"), ["[0]", "[3]"]);
    assert_eq!(lines(&plan, &closed.chunks, "errors"), ["[1]"]);
    let letters = letters(&plan, &closed.chunks);
    assert_eq!(letters.len(), 1);
    assert_eq!((&*letters[0].code, letters[0].offset), ("UnknownRoute", START + 4));
    assert_eq!((letters[0].condition, letters[0].attempts), (Condition::UnknownRoute, 0));
    assert_eq!(letters[0].sink.as_deref(), Some("nowhere"));
    let accounts = closed.accounts;
    assert_eq!((accounts.read, accounts.kept, accounts.unplaced, accounts.empty()), (4, 4, 1, 4));
    assert_eq!(accounts.range, OffsetRange { start: START, end: START + 8 });
    assert!(!closed.handed_out);
}

#[test]
fn a_value_that_one_sink_can_not_hold_is_a_dead_letter_of_that_sink() {
    let plan = plan();
    let mut range = OpenRange::new(Arc::clone(&plan), START);
    let batch = batch(START, &[b"plain text"]);
    let transformed = Transformed { outputs: vec![forward(0, None)], ..Transformed::default() };
    take_in(&mut range, &batch, 0, &transformed).expect("accounted");
    let closed = range.cut().expect("memory");
    assert_eq!(lines(&plan, &closed.chunks, "archive"), ["plain text"]);
    let letters = letters(&plan, &closed.chunks);
    assert_eq!((&*letters[0].code, letters[0].sink.as_deref()), ("NotJson", Some("lake")));
    assert_eq!((letters[0].condition, letters[0].index), (Condition::SinkRefused, Some(0)));
    // The output is the record, which stands there already.
    assert_eq!((value_of(&letters[0]), &letters[0].output), (Some(&b"plain text"[..]), &None));
    let lake = &closed.accounts.sinks[0];
    assert_eq!((lake.written, lake.failed, lake.objects.len()), (0, 1, 0));
    assert_eq!((closed.accounts.kept, closed.accounts.dead), (1, 0));
}

#[test]
fn what_no_sink_takes_is_dropped_and_what_failed_whole_is_dead() {
    let only = Sinks::new(vec![spec("errors", Format::Raw, Compression::None, false)], PART_BYTES, "");
    let mut range = OpenRange::new(Arc::clone(&only), START);
    let batch = batch(START, &[b"a", b"b", b"c"]);
    let failed = Failed::whole(1, Condition::ProcessingFailed, failure("BadTime"));
    let transformed = Transformed {
        outputs: vec![forward(0, None)],
        dropped: 1,
        failed: vec![failed],
        ..Transformed::default()
    };
    take_in(&mut range, &batch, 0, &transformed).expect("accounted");
    let closed = range.cut().expect("memory");
    let accounts = &closed.accounts;
    assert_eq!((accounts.dropped, accounts.dead, accounts.kept), (2, 1, 0));
    let letters = letters(&only, &closed.chunks);
    assert_eq!((letters[0].index, letters[0].sink.as_deref()), (None, None));
    assert_eq!((value_of(&letters[0]), &letters[0].output), (Some(&b"b"[..]), &None));
}

#[test]
fn dead_letters_stand_in_the_order_of_offsets_whatever_made_them() {
    let plan = plan();
    let mut range = OpenRange::new(Arc::clone(&plan), START);
    let batch = batch(START, &[b"no json", b"whole", b"part", b"no json", b"whole", b"no json"]);
    let failed = |input, index| Failed { index, ..Failed::whole(input, Condition::Trap, failure("x")) };
    let transformed = Transformed {
        outputs: vec![forward(0, None), forward(2, None), forward(3, None), forward(5, None)],
        partial: vec![failed(2, Some(1))],
        failed: vec![failed(1, None), failed(4, None)],
        ..Transformed::default()
    };
    take_in(&mut range, &batch, 0, &transformed).expect("accounted");
    let closed = range.cut().expect("memory");
    let offsets: Vec<_> = letters(&plan, &closed.chunks).iter().map(|letter| letter.offset).collect();
    assert_eq!(offsets, [0, 2, 4, 4, 6, 8, 10].map(|offset| START + offset));
    let letters = closed.accounts.sinks.last().expect("dead letters");
    assert_eq!((letters.objects[0].first_offset, letters.objects[0].last_offset), (START, START + 10));
}

#[test]
fn a_batch_that_is_to_come_again_is_taken_in_two_pieces() {
    let plan = plan();
    let mut range = OpenRange::new(Arc::clone(&plan), START);
    let batch = batch(START, &[b"[0]", b"[1]", b"[2]"]);
    let first = Transformed {
        outputs: vec![forward(0, None)],
        rest: Some(Rest { from: 1, wait: Wait::Not }),
        ..Transformed::default()
    };
    take_in(&mut range, &batch, 0, &first).expect("accounted");
    assert_eq!(range.position(), START + 2);
    let closed = range.cut().expect("memory");
    assert_eq!((closed.accounts.read, closed.accounts.empty()), (1, 1));
    let second = Transformed { outputs: vec![forward(1, None)], dropped: 1, ..Transformed::default() };
    take_in(&mut range, &batch, 1, &second).expect("accounted");
    assert_eq!((range.start(), range.position()), (START + 2, START + 6));
    assert!(take_in(&mut range, &batch, 0, &second).is_err(), "taken in twice");
}

#[test]
fn results_that_do_not_account_for_their_batch_change_nothing() {
    let mut range = OpenRange::new(plan(), START);
    let batch = batch(START, &[b"[0]", b"[1]"]);
    let failed = |input| Failed::whole(input, Condition::Trap, failure("x"));
    let produced = Output { source: OutputSource::Produced(0), ..forward(0, None) };
    let wrong = [
        Transformed { dropped: 1, ..Transformed::default() },
        Transformed { outputs: vec![forward(2, None)], dropped: 2, ..Transformed::default() },
        Transformed { outputs: vec![forward(0, Some(0))], dropped: 1, ..Transformed::default() },
        Transformed { outputs: vec![produced], dropped: 1, ..Transformed::default() },
        Transformed {
            outputs: vec![forward(0, None)],
            failed: vec![failed(0)],
            dropped: 1,
            ..Transformed::default()
        },
        Transformed { failed: vec![failed(0), failed(0)], dropped: 1, ..Transformed::default() },
    ];
    for transformed in &wrong {
        let refused = take_in(&mut range, &batch, 0, transformed);
        assert!(matches!(refused, Err(Error::Unaccounted { .. })), "{transformed:?}");
    }
    let ahead = self::batch(START + 1, &[]);
    let hole = take_in(&mut range, &ahead, 0, &Transformed::default());
    assert!(matches!(hole, Err(Error::OutOfOrder { .. })));
    assert!(range.is_empty() && range.state() == RangeState::default() && range.held_bytes() == 0);
}

#[test]
fn a_batch_without_records_moves_the_position() {
    let mut range = OpenRange::new(plan(), START);
    let mut gap = batch(START, &[]);
    gap.range.end = START + 30;
    take_in(&mut range, &gap, 0, &Transformed::default()).expect("accounted");
    let state = range.state();
    assert_eq!((state.offsets, state.first_passed_ms, state.first_buffered_ms), (30, Some(50), None));
    let closed = range.cut().expect("memory");
    assert_eq!((closed.accounts.read, closed.accounts.empty()), (0, 30));
    assert!(closed.chunks.is_empty() && range.is_empty());
}
