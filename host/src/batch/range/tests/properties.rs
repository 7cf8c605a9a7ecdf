//! What holds for all results of all shares: the accounts, the objects and their runs agree with each
//! other, with the bytes, and with which version had which record.

use super::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// What a transform may make of one input.
#[derive(Clone, Debug)]
enum Made {
    Drop,
    Fail,
    /// Outputs by the annotation they carry, and outputs that could not be made.
    Emit(Vec<Option<u32>>, usize),
}

/// One input: what is made of it, whether it is JSON, and which version has it.
#[derive(Clone, Debug)]
struct Input {
    made: Made,
    is_json: bool,
    variant: Variant,
}

const ROUTES: [&[&str]; 4] = [&["lake"], &["errors", "archive"], &["nowhere"], &["lake", "nowhere"]];

fn input() -> impl Strategy<Value = Input> {
    let output = option::of(0_u32..4);
    let made = prop_oneof![
        Just(Made::Drop),
        Just(Made::Fail),
        (vec(output, 1..4), 0_usize..2).prop_map(|(outputs, partial)| Made::Emit(outputs, partial)),
    ];
    let variant = proptest::sample::select(&BOTH[..]);
    (made, any::<bool>(), variant).prop_map(|(made, is_json, variant)| Input { made, is_json, variant })
}

impl Input {
    /// A value that says where the record stands and which version it is meant for.
    fn value(&self, offset: u64) -> String {
        let stamp = format!("{offset} {:?} {}", self.variant, "x".repeat(200));
        if self.is_json { format!("[\"{stamp}\"]") } else { stamp }
    }

    /// How often its record goes into a sink.
    fn written_into(&self, sink: &SinkSpec) -> usize {
        let Made::Emit(outputs, _) = &self.made else { return 0 };
        let is_meant = |output: &&Option<u32>| match output {
            None => sink.default,
            Some(nth) => ROUTES[*nth as usize].contains(&&*sink.name),
        };
        let can_hold = self.is_json || sink.format != Format::JsonLines;
        if can_hold { outputs.iter().filter(is_meant).count() } else { 0 }
    }
}

/// What the version makes of its inputs from `from` up to `until`.
fn transformed(inputs: &[Input], variant: Variant, from: u32, until: u32) -> Transformed {
    let mut result = Transformed {
        annotations: ROUTES.iter().map(|routes| routed(routes)).collect(),
        ..Transformed::default()
    };
    for (nth, input) in (0..).zip(inputs).filter(|(nth, _)| (from..until).contains(nth)) {
        let failed = |index| Failed { index, ..Failed::whole(nth, Condition::Trap, failure("x")) };
        match &input.made {
            _ if input.variant != variant => {}
            Made::Drop => result.dropped += 1,
            Made::Fail => result.failed.push(failed(None)),
            Made::Emit(outputs, partial) => {
                result.outputs.extend(outputs.iter().map(|annotation| forward(nth, *annotation)));
                result.partial.extend((0..*partial).map(|_| failed(Some(9))));
            }
        }
    }
    result
}

/// Takes a batch in, in two pieces where `rest` says so; what either version has none of is left out
/// now and then, and the order of parts says nothing.
fn take_in_shares(range: &mut OpenRange, batch: &Batch, inputs: &[Input], rest: Option<u32>, turned: bool) {
    let count = u32::try_from(inputs.len()).expect("few");
    let middle = rest.map_or(count, |rest| rest.min(count));
    for (from, until) in [(0, middle), (middle, count)] {
        if from == until && from > 0 {
            continue;
        }
        let [stable, candidate] = BOTH.map(|variant| transformed(inputs, variant, from, until));
        let mut parts = vec![part(Variant::Stable, &stable), part(Variant::Candidate, &candidate)];
        let has = |part: &Part<'_>| inputs.iter().any(|input| input.variant == part.variant);
        parts.retain(has);
        if turned {
            parts.reverse();
        }
        let rest = (until < count).then_some(until);
        let worked = Worked { rest, ..worked(batch, from, &parts) };
        range.take_in(&worked).expect("accounted");
    }
}

/// The runs of records at `offsets`, by the rule as it is written: one goes on as long as nothing that
/// another version made something of lies between.
fn runs_of(offsets: &[u64], other: &[u64]) -> Vec<OffsetRun> {
    let mut runs: Vec<OffsetRun> = Vec::new();
    for offset in offsets.iter().copied() {
        match runs.last_mut().filter(|run| !other.iter().any(|it| (run.last..offset).contains(it))) {
            Some(run) => run.last = offset,
            None => runs.push(OffsetRun { first: offset, last: offset }),
        }
    }
    runs
}

fn offset_of(line: &str) -> u64 {
    let digits = line.trim_start_matches("[\"").split(' ').next().expect("a first word");
    digits.parse().expect("an offset")
}

/// A range that has ended: all its bytes, and what went into it.
struct Filled<'a> {
    plan: Arc<Sinks>,
    chunks: Vec<Chunk>,
    read: Vec<(u64, &'a Input)>,
}

impl Filled<'_> {
    fn check_accounts(&self, accounts: &Accounts, end: u64) -> Result<(), TestCaseError> {
        prop_assert_eq!(accounts.read, self.read.len() as u64);
        prop_assert_eq!(accounts.read, accounts.dropped + accounts.dead + accounts.kept);
        prop_assert_eq!(accounts.empty() + accounts.read, end - START);
        let failed: u64 = accounts.sinks.iter().map(|sink| sink.failed).sum();
        let letters = letters(&self.plan, &self.chunks).len() as u64;
        prop_assert_eq!(letters, accounts.dead + accounts.unplaced + failed);
        for (sink, spec) in accounts.sinks.iter().zip(self.plan.specs()) {
            let objects = objects(&self.plan, &self.chunks, &spec.name);
            let summaries: Vec<_> = objects.iter().map(|(summary, _)| summary.clone()).collect();
            prop_assert_eq!(&sink.objects, &summaries);
            prop_assert!(summaries.is_sorted_by_key(|summary| summary.first_offset));
            prop_assert_eq!(summaries.iter().map(|summary| summary.records).sum::<u64>(), sink.written);
            for (variant, other) in [(BOTH[0], BOTH[1]), (BOTH[1], BOTH[0])] {
                let of_variant = objects.iter().filter(|(summary, _)| summary.variant == variant);
                self.check_objects(spec, of_variant.cloned().collect(), variant, other)?;
            }
        }
        Ok(())
    }

    /// The objects of one sink and variant hold its records in order, nothing else, and know their runs.
    fn check_objects(
        &self,
        spec: &SinkSpec,
        objects: Vec<(ObjectSummary, Vec<String>)>,
        variant: Variant,
        other: Variant,
    ) -> Result<(), TestCaseError> {
        let is_dead_letters = *spec.name == *crate::record::DEAD_LETTER_SINK;
        let (own, foreign) = (self.made_by(variant), self.made_by(other));
        let mut delivered = Vec::new();
        for (summary, lines) in objects {
            let offset = |line: &String| {
                let letter = is_dead_letters.then(|| DeadLetter::parse(line.as_bytes()).expect("a letter"));
                letter.map_or_else(|| offset_of(line), |letter| letter.offset)
            };
            let offsets: Vec<_> = lines.iter().map(offset).collect();
            prop_assert!(offsets.iter().all(|offset| own.contains(offset)));
            prop_assert_eq!(summary.records, offsets.len() as u64);
            prop_assert_eq!(Some(summary.first_offset), offsets.first().copied());
            prop_assert_eq!(Some(summary.last_offset), offsets.last().copied());
            let has_runs = self.plan.has_candidate();
            prop_assert_eq!(summary.runs, if has_runs { runs_of(&offsets, &foreign) } else { Vec::new() });
            delivered.extend(lines);
        }
        if !is_dead_letters {
            let expected = self.read.iter().filter(|(_, input)| input.variant == variant);
            let expected: Vec<_> = expected
                .flat_map(|(offset, input)| vec![input.value(*offset); input.written_into(spec)])
                .collect();
            prop_assert_eq!(delivered, expected);
        }
        Ok(())
    }

    /// Offsets of the records that a version made something of.
    fn made_by(&self, variant: Variant) -> Vec<u64> {
        let made = |input: &Input| !matches!(input.made, Made::Drop) && input.variant == variant;
        self.read.iter().filter(|(_, input)| made(input)).map(|(offset, _)| *offset).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_accounts_agree_with_each_other_and_with_the_bytes(
        mut batches in vec((vec(input(), 0..24), option::of(0_u32..24), any::<bool>()), 1..12),
        drains in vec(any::<bool>(), 12),
        has_candidate in prop_oneof![3 => Just(true), 1 => Just(false)],
    ) {
        let plan = if has_candidate { plan_with_candidate() } else { plan() };
        if !has_candidate {
            let inputs = batches.iter_mut().flat_map(|(inputs, ..)| inputs);
            inputs.for_each(|input| input.variant = Variant::Stable);
        }
        let mut range = OpenRange::new(Arc::clone(&plan), START);
        let (mut chunks, mut read) = (Vec::new(), Vec::new());
        for ((inputs, rest, turned), drain) in batches.iter().zip(&drains) {
            let offsets = (range.position()..).step_by(2);
            read.extend(offsets.clone().zip(inputs));
            let values: Vec<_> = offsets.zip(inputs).map(|(offset, input)| input.value(offset)).collect();
            let values: Vec<_> = values.iter().map(String::as_bytes).collect();
            let batch = batch(range.position(), &values);
            take_in_shares(&mut range, &batch, inputs, *rest, *turned);
            while *drain && let Some(chunk) = range.next_chunk() {
                chunks.push(chunk);
            }
        }
        let before = range.state();
        let end = range.position();
        let closed = range.cut().expect("memory");
        prop_assert_eq!(closed.handed_out, !chunks.is_empty());
        prop_assert_eq!((range.start(), range.held_bytes()), (end, 0));
        prop_assert_eq!(range.state(), RangeState::default());
        chunks.extend(closed.chunks);
        for chunk in chunks.iter().filter(|chunk| chunk.last.is_none()) {
            prop_assert_eq!(chunk.bytes.len(), PART_BYTES);
        }

        let filled = Filled { plan, chunks, read };
        filled.check_accounts(&closed.accounts, end)?;
        let objects = || closed.accounts.sinks.iter().flat_map(|sink| &sink.objects);
        prop_assert_eq!(objects().map(|object| object.runs.len() as u64).sum::<u64>(), before.runs);
        let bytes: u64 = objects().map(|object| object.bytes).sum();
        prop_assert!(before.encoded_bytes > 0 || bytes == 0);
    }
}
