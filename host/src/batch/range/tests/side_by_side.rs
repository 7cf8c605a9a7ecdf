//! Two versions in one range.

use super::*;
use crate::batch::RUNS_MAX;

fn forwards(inputs: impl IntoIterator<Item = u32>) -> Transformed {
    Transformed {
        outputs: inputs.into_iter().map(|input| forward(input, None)).collect(),
        ..Transformed::default()
    }
}

#[test]
fn the_letters_of_a_version_name_its_transforms_and_its_configuration() {
    let plan = plan_with_candidate();
    let mut range = OpenRange::new(Arc::clone(&plan), START);
    let batch = batch(START, &[b"a", b"b", b"c", b"no json"]);
    let trap = |input| Failed { transform: Some(0), ..Failed::whole(input, Condition::Trap, failure("x")) };
    let stable = Transformed { failed: vec![trap(0), trap(2)], ..Transformed::default() };
    let candidate = Transformed { failed: vec![trap(1)], ..forwards([3]) };
    let [old, new] = transforms();
    let parts = [
        Part { transforms: std::slice::from_ref(&old), ..part(Variant::Stable, &stable) },
        Part { transforms: std::slice::from_ref(&new), ..part(Variant::Candidate, &candidate) },
    ];
    range.take_in(&worked(&batch, 0, &parts)).expect("accounted");
    let closed = range.cut().expect("memory");
    let dead = objects(&plan, &closed.chunks, crate::record::DEAD_LETTER_SINK);
    let known: Vec<_> = dead.iter().map(|(summary, lines)| (summary.variant, lines.len())).collect();
    assert_eq!(known, [(Variant::Stable, 2), (Variant::Candidate, 2)]);
    for ((_, lines), (provenance, config)) in dead.iter().zip([(&old, "sha256:c0"), (&new, "sha256:c1")]) {
        for line in lines {
            let letter = DeadLetter::parse(line.as_bytes()).expect("a letter");
            assert_eq!(&*letter.transforms, std::slice::from_ref(provenance));
            assert_eq!(&*letter.config_digest, config);
            assert!(letter.transform.is_none_or(|transform| *transform == *provenance));
        }
    }
}

#[test]
fn the_record_stands_once_an_offset_though_letters_of_two_versions_alternate() {
    let plan = plan_with_candidate();
    let mut range = OpenRange::new(Arc::clone(&plan), START);
    let batch = batch(START, &[b"a", b"b", b"c", b"d"]);
    let failed = |input, index| Failed::partial(input, index, None, Condition::Trap, failure("x"));
    let of = |inputs: [u32; 2]| Transformed {
        partial: inputs.iter().flat_map(|input| (0..3).map(|index| failed(*input, index))).collect(),
        ..Transformed::default()
    };
    let (stable, candidate) = (of([0, 2]), of([1, 3]));
    let parts = [part(Variant::Stable, &stable), part(Variant::Candidate, &candidate)];
    range.take_in(&worked(&batch, 0, &parts)).expect("accounted");
    let closed = range.cut().expect("memory");
    assert_eq!((closed.accounts.kept, closed.accounts.unplaced), (4, 12));
    for (_, lines) in objects(&plan, &closed.chunks, crate::record::DEAD_LETTER_SINK) {
        let letters: Vec<_> =
            lines.iter().map(|line| DeadLetter::parse(line.as_bytes()).expect("a letter")).collect();
        let is_here = |letter: &DeadLetter<'_>| matches!(letter.original, Original::Here(_));
        assert_eq!(letters.iter().map(is_here).collect::<Vec<_>>(), [true, false, false, true, false, false]);
    }
}

#[test]
fn two_open_objects_of_a_sink_hand_out_parts_under_their_own_numbers() {
    let lake = SinkSpec { buffer_bytes: 1 << 20, ..spec("lake", Format::Raw, Compression::None, true) };
    let plan = Sinks::with_candidate(vec![lake], PART_BYTES, "", "");
    let mut range = OpenRange::new(Arc::clone(&plan), START);
    let value = vec![b'x'; 600];
    let (mut chunks, mut held) = (Vec::new(), 0);
    for _ in 0..4 {
        let batch = batch(range.position(), &[&value, &value, &value, &value]);
        let (stable, candidate) = (forwards([1, 3]), forwards([0, 2]));
        let parts = [part(Variant::Stable, &stable), part(Variant::Candidate, &candidate)];
        range.take_in(&worked(&batch, 0, &parts)).expect("accounted");
        held = range.held_bytes();
        chunks.extend(std::iter::from_fn(|| range.next_chunk()));
    }
    assert!(held >= 2 * 1200, "both objects hold memory: {held}");
    let numbers: Vec<_> = chunks.iter().map(|chunk| chunk.object).collect();
    assert!(numbers.contains(&0) && numbers.contains(&1), "{numbers:?}");
    assert!(chunks.iter().all(|chunk| chunk.last.is_none() && chunk.bytes.len() == PART_BYTES));
    let closed = range.cut().expect("memory");
    chunks.extend(closed.chunks);
    let variants: Vec<_> = objects(&plan, &chunks, "lake")
        .iter()
        .map(|(summary, _)| (summary.variant, summary.records))
        .collect();
    assert_eq!(variants, [(Variant::Candidate, 8), (Variant::Stable, 8)], "in order of their first records");
}

#[test]
fn an_object_without_records_takes_no_number() {
    let plan = plan_with_candidate();
    let mut range = OpenRange::new(Arc::clone(&plan), START);
    let batch = batch(START, &[b"no json", b"[1]"]);
    let (stable, candidate) = (forwards([0]), forwards([1]));
    let parts = [part(Variant::Stable, &stable), part(Variant::Candidate, &candidate)];
    range.take_in(&worked(&batch, 0, &parts)).expect("accounted");
    let closed = range.cut().expect("memory");
    let lake = objects(&plan, &closed.chunks, "lake");
    assert_eq!((lake.len(), lake[0].0.variant), (1, Variant::Candidate));
    assert_eq!((closed.accounts.sinks[0].written, closed.accounts.sinks[0].failed), (1, 1));
}

#[test]
fn an_input_that_two_versions_have_or_a_version_that_is_not_there_changes_nothing() {
    let batch = batch(START, &[b"[0]", b"[1]"]);
    let (first, both, dropped) =
        (forwards([0]), forwards([0, 1]), Transformed { dropped: 1, ..Transformed::default() });
    let failed = Failed::whole(1, Condition::Trap, failure("x"));
    let failed = Transformed { failed: vec![failed], ..Transformed::default() };
    let wrong = [[&first, &both], [&both, &failed], [&both, &dropped], [&first, &Transformed::default()]];
    let mut range = OpenRange::new(plan_with_candidate(), START);
    let refused = |range: &mut OpenRange, parts: &[Part<'_>]| {
        let refused = range.take_in(&worked(&batch, 0, parts));
        assert!(matches!(refused, Err(Error::Unaccounted { .. })), "{parts:?}");
        assert!(range.is_empty() && range.state() == RangeState::default() && range.held_bytes() == 0);
    };
    for [stable, candidate] in wrong {
        refused(&mut range, &[part(Variant::Stable, stable), part(Variant::Candidate, candidate)]);
    }
    let mut second = forwards([1]);
    refused(&mut range, &BOTH.map(|_| part(Variant::Candidate, &second)));
    refused(&mut range, &[part(Variant::Candidate, &first), part(Variant::Candidate, &second)]);
    refused(&mut range, &[]);
    refused(&mut OpenRange::new(plan(), START), &[part(Variant::Candidate, &both)]);
    second.dropped = 1;
    refused(&mut range, &[part(Variant::Stable, &first), part(Variant::Candidate, &second)]);
}

#[test]
fn a_range_is_due_when_versions_took_turns_too_often() {
    let lake = SinkSpec { buffer_bytes: 1 << 30, ..spec("lake", Format::Raw, Compression::None, true) };
    let plan = Sinks::with_candidate(vec![lake], PART_BYTES, "", "");
    let mut range = OpenRange::new(plan, START);
    let policy = CutPolicy::new(&crate::config::Cut {
        interval: std::time::Duration::from_secs(900),
        size: None,
        records: None,
        min_size: 0,
        max_interval: std::time::Duration::from_secs(900),
    });
    let values: Vec<&[u8]> = vec![b"x"; 1_000];
    let (stable, candidate) = (forwards((0..1_000).step_by(2)), forwards((1..1_000).step_by(2)));
    for _ in 0..10 {
        assert_eq!(range.due(&policy, 50), None);
        let batch = batch(range.position(), &values);
        let parts = [part(Variant::Stable, &stable), part(Variant::Candidate, &candidate)];
        range.take_in(&worked(&batch, 0, &parts)).expect("accounted");
    }
    assert_eq!(range.due(&policy, 50), Some(CutCause::Runs));
    assert_eq!(range.state().runs, RUNS_MAX, "ten batches of a thousand");
    let closed = range.cut().expect("memory");
    let runs = |object: &ObjectSummary| (object.variant, object.runs.len());
    let objects: Vec<_> = closed.accounts.sinks[0].objects.iter().map(runs).collect();
    assert_eq!(objects, [(Variant::Stable, 5_000), (Variant::Candidate, 5_000)]);
}

#[test]
fn a_range_goes_on_under_another_plan_with_what_was_measured() {
    let of = |names: [&str; 2]| {
        let specs = names.map(|name| spec(name, Format::Raw, Compression::Zstd, true));
        Sinks::with_candidate(specs.to_vec(), PART_BYTES, "", "")
    };
    let mut range = OpenRange::new(of(["lake", "archive"]), START);
    let batch = batch(START, &[&[b'x'; 2_000]]);
    take_in(&mut range, &batch, 0, &forwards([0])).expect("accounted");
    range.cut().expect("memory");
    let more = self::batch(range.position(), &[&[b'x'; 2_000]]);
    take_in(&mut range, &more, 0, &forwards([0])).expect("accounted");
    let (position, measured) = (range.position(), range.sinks[1].ratio);
    let mut old = range.hand_over(of(["archive", "new"]));
    assert_eq!((range.start(), range.position(), range.is_empty()), (position, position, true));
    let ratios: Vec<_> = range.sinks.iter().map(|sink| sink.ratio).collect();
    assert_eq!(ratios[0], measured);
    assert_ne!(ratios[0], ratios[1], "it was measured");
    assert_eq!(range.plan.specs()[1].name.as_ref(), "new");
    let closed = old.cut().expect("memory");
    assert_eq!((closed.accounts.range.end, closed.accounts.read), (position, 1), "nothing of it is lost");
}
