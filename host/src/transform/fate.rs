//! The accounts of one transform: verdicts into outputs, and the fate of each input of the batch.
//!
//! Owns the merging of annotations and the numbering of what an offset became. Invariant: an input is
//! dropped only if nothing of it is left and nothing of it failed; it has failed only if it was one
//! record and that failed; otherwise it is kept.

use super::blame::Blame;
use super::scope::Scope;
use super::spares::Spares;
use crate::plugin::{Emission, Inputs, Verdict};
use crate::record::{
    Annotation, Arena, Condition, Failed, Failure, NewRecord, Output, OutputSource, RecordRef, Rest,
    Transformed, Wait,
};

/// Which transform the accounts are of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of {
    /// Its position in the chain.
    pub(super) transform: u16,
    /// What fails counts as dropped.
    pub(super) drops_failed: bool,
}

/// Collects the verdicts of one transform.
pub(super) struct Fates<'a> {
    of: Of,
    inputs: &'a Inputs<'a>,
    spares: &'a Spares,
    step: Step,
    group: Option<Group>,
    /// Annotations and produced records of the transforms before, which stay where they are.
    annotations_before: usize,
    produced_before: usize,
    bytes_before: usize,
}

/// What one transform adds to what was before it.
#[derive(Default)]
pub(super) struct Step {
    outputs: Vec<Output>,
    produced: Arena,
    annotations: Vec<Annotation>,
    dropped: u64,
    failed: Vec<Failed>,
    partial: Vec<Failed>,
    rest: Option<Rest>,
}

/// The records of one input, which stand side by side.
struct Group {
    input: u32,
    records: usize,
    outputs_start: usize,
    partial_start: usize,
    fails: Vec<(usize, Blame)>,
}

impl<'a> Fates<'a> {
    pub(super) fn new(of: Of, inputs: &'a Inputs<'a>, spares: &'a Spares) -> Self {
        let previous = inputs.previous();
        let mut step = Step::default();
        step.outputs.reserve(inputs.len());
        Self {
            of,
            inputs,
            spares,
            step,
            group: None,
            annotations_before: previous.map_or(0, |previous| previous.annotations.len()),
            produced_before: previous.map_or(0, |previous| previous.produced.len()),
            bytes_before: previous.map_or(0, |previous| previous.produced.bytes()),
        }
    }

    /// Takes the verdict of the record at `position`; they come in order. (`fail` comes by [`Fates::fail`],
    /// `retry` by [`Fates::end_before`].)
    pub(super) fn add(&mut self, position: usize, verdict: Verdict<'_>) {
        self.enter(self.inputs.origin(position));
        match verdict {
            Verdict::Forward => self.forward(position, self.annotation_before(position)),
            Verdict::Annotate(added) => {
                let annotation = self.annotate(position, added);
                self.forward(position, annotation);
            }
            Verdict::Replace { value, annotation } => self.replace(position, value, annotation),
            Verdict::Emit(emission) => self.emit(position, emission),
            Verdict::Drop | Verdict::Retry(_) => {}
            Verdict::Fail(failure) => self.note(position, Blame::of(Condition::ProcessingFailed, failure)),
            Verdict::NotPassed(condition, failure) => self.note(position, Blame::of(condition, failure)),
        }
    }

    /// The last failure of an output, where the verdict just taken brought one.
    pub(super) fn failed_in_part(&self) -> Option<&Failed> {
        let start = self.group.as_ref()?.partial_start;
        self.step.partial.get(start..)?.last()
    }

    /// The record at `position` failed; records come in order, as by [`Fates::add`].
    pub(super) fn fail(&mut self, position: usize, blame: Blame) {
        self.enter(self.inputs.origin(position));
        self.note(position, blame);
    }

    /// The input of the record at `position` comes again, with all after it.
    pub(super) fn end_before(&mut self, position: usize, wait: Wait) {
        let input = self.inputs.origin(position);
        match &self.group {
            Some(group) if group.input == input => {
                self.step.outputs.truncate(group.outputs_start);
                self.step.partial.truncate(group.partial_start);
                self.group = None;
            }
            _ => self.leave(),
        }
        self.step.rest = Some(Rest { from: input, wait });
    }

    /// Ends the accounts.
    pub(super) fn finish(mut self) -> Step {
        self.leave();
        self.step
    }

    fn enter(&mut self, input: u32) {
        match &mut self.group {
            Some(group) if group.input == input => group.records += 1,
            _ => {
                self.leave();
                self.group = Some(Group {
                    input,
                    records: 1,
                    outputs_start: self.step.outputs.len(),
                    partial_start: self.step.partial.len(),
                    fails: Vec::new(),
                });
            }
        }
    }

    /// Closes the group: now it is known whether the input is dropped, failed or kept.
    fn leave(&mut self) {
        let Some(group) = self.group.take() else { return };
        let is_one_for_one = group.fails.is_empty()
            && self.step.outputs.len() == group.outputs_start + 1
            && self.step.partial.len() == group.partial_start;
        if is_one_for_one {
            // Most groups: kept, and numbered 0 already.
            return;
        }
        let outputs = &mut self.step.outputs[group.outputs_start..];
        for (index, output) in (0..).zip(outputs.iter_mut()) {
            output.index = index;
        }
        let rest = outputs.len() + self.step.partial.len() - group.partial_start;
        let kept = rest > 0 || self.failed_in_part_before(group.input);
        let alone = group.records == 1 && !kept;
        if group.fails.is_empty() && !kept {
            self.step.dropped += 1;
        }
        if self.of.drops_failed {
            self.step.dropped += u64::from(!group.fails.is_empty() && !kept);
            return;
        }
        for (position, blame) in group.fails {
            let Blame { condition, failure, attempts, first_attempt_ms, report } = blame;
            let whole = Failed {
                transform: Some(self.of.transform),
                attempts,
                first_attempt_ms,
                report,
                ..Failed::whole(group.input, condition, failure)
            };
            if alone {
                self.step.failed.push(whole);
            } else {
                let value = self.inputs.record(position).value.map(<[u8]>::to_vec);
                self.step.partial.push(Failed { index: Some(0), value, ..whole });
            }
        }
    }

    fn failed_in_part_before(&self, input: u32) -> bool {
        let before = self.inputs.previous().map_or(&[][..], |previous| &previous.partial);
        before.binary_search_by_key(&input, |failed| failed.input).is_ok()
    }

    fn annotation_before(&self, position: usize) -> Option<u32> {
        self.inputs.previous().and_then(|previous| previous.outputs[position].annotation)
    }

    fn annotate(&mut self, position: usize, added: Annotation) -> Option<u32> {
        let annotation = match self.inputs.annotation(position) {
            Some(before) => merged(before, added),
            None => merged(&Annotation::default(), added),
        };
        self.keep_annotation(annotation)
    }

    fn keep_annotation(&mut self, annotation: Annotation) -> Option<u32> {
        if annotation == Annotation::default() {
            return None;
        }
        self.step.annotations.push(annotation);
        Some(nth(self.annotations_before + self.step.annotations.len() - 1))
    }

    fn forward(&mut self, position: usize, annotation: Option<u32>) {
        let source = match self.inputs.previous() {
            None => OutputSource::Input,
            Some(previous) => previous.outputs[position].source,
        };
        self.push(position, source, annotation);
    }

    fn push(&mut self, position: usize, source: OutputSource, annotation: Option<u32>) {
        let input = self.inputs.origin(position);
        self.step.outputs.push(Output { input, index: 0, source, annotation });
    }

    fn replace(&mut self, position: usize, value: Option<&[u8]>, added: Option<Annotation>) {
        let record = self.inputs.record(position);
        let new = NewRecord { value, ..plain(&record) };
        if !self.produce(new, record.headers.iter()) {
            self.note(position, Blame::of(Condition::OutputTooLarge, too_large()));
            return;
        }
        let source = self.last_produced();
        let annotation = match added {
            Some(added) => self.annotate(position, added),
            None => self.annotation_before(position),
        };
        self.push(position, source, annotation);
    }

    fn emit(&mut self, position: usize, emission: &mut dyn Emission) {
        let input = self.inputs.origin(position);
        let record = self.inputs.record(position);
        while let Some(output) = emission.next_output() {
            let new = NewRecord {
                key: output.key,
                value: output.value,
                timestamp_ms: output.timestamp_ms.unwrap_or(record.timestamp_ms),
                ..plain(&record)
            };
            if !self.produce(new, output.headers.iter()) {
                let value = output.value.map(<[u8]>::to_vec);
                self.fail_in_part(input, value, Condition::OutputTooLarge, too_large());
                continue;
            }
            let source = self.last_produced();
            let added = Annotation {
                routes: output.routes,
                partition_keys: output.partition_keys,
                headers: Vec::new(),
            };
            // Most have none, and merging costs as much as the record's copy.
            let annotation = match added == Annotation::default() {
                true => None,
                false => self.keep_annotation(merged(&Annotation::default(), added)),
            };
            self.push(position, source, annotation);
        }
        while let Some((failure, value)) = emission.next_failure() {
            let value = value.map(<[u8]>::to_vec);
            self.fail_in_part(input, value, Condition::ProcessingFailed, failure);
        }
    }

    /// One of the records that `input` was to become could not be made.
    fn fail_in_part(&mut self, input: u32, value: Option<Vec<u8>>, condition: Condition, failure: Failure) {
        if self.of.drops_failed {
            return;
        }
        let failed = Failed::partial(input, 0, value, condition, failure);
        self.step.partial.push(Failed { transform: Some(self.of.transform), attempts: 1, ..failed });
    }

    fn note(&mut self, position: usize, blame: Blame) {
        if let Some(group) = &mut self.group {
            group.fails.push((position, blame));
        }
    }

    /// Puts a record where it still fits once it stands behind those of the transforms before.
    fn produce<'h>(
        &mut self,
        record: NewRecord<'_>,
        headers: impl Iterator<Item = (&'h [u8], Option<&'h [u8]>)> + Clone,
    ) -> bool {
        let header_bytes: usize =
            headers.clone().map(|(name, value)| 8 + name.len() + value.map_or(0, <[u8]>::len)).sum();
        let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + header_bytes;
        if self.step.produced.is_empty() {
            // Most transforms make as much as they are given, or less.
            self.step.produced = self.spares.take(self.inputs.batch_bytes(), self.inputs.len());
        }
        self.bytes_before + self.step.produced.bytes() + bytes <= Arena::BYTES_MAX
            && self.step.produced.push(record, headers)
    }

    fn last_produced(&self) -> OutputSource {
        OutputSource::Produced(nth(self.produced_before + self.step.produced.len() - 1))
    }
}

fn nth(position: usize) -> u32 {
    u32::try_from(position).expect("a batch becomes fewer than 2^32 records: they are held in memory")
}

fn plain<'r>(record: &RecordRef<'r>) -> NewRecord<'r> {
    NewRecord {
        key: record.key,
        value: record.value,
        timestamp_ms: record.timestamp_ms,
        offset: record.offset,
        index: record.index,
    }
}

fn too_large() -> Failure {
    Failure {
        code: String::from("OutputTooLarge"),
        detail: format!("what a batch became has more than {} bytes", Arena::BYTES_MAX),
    }
}

/// What is added, on what was there: routes replace as a whole, keys and headers by name, and of two
/// keys of one name the later stays.
fn merged(before: &Annotation, added: Annotation) -> Annotation {
    let routes = if added.routes.is_empty() { before.routes.clone() } else { added.routes };
    let mut partition_keys = before.partition_keys.clone();
    for (name, value) in added.partition_keys {
        partition_keys.retain(|(replaced, _)| *replaced != name);
        partition_keys.push((name, value));
    }
    let replaced = |name: &String| added.headers.iter().any(|(new, _)| new == name);
    let mut headers: Vec<_> = before.headers.iter().filter(|(name, _)| !replaced(name)).cloned().collect();
    headers.extend(added.headers);
    Annotation { routes, partition_keys, headers }
}

/// Puts what a transform did on top of what was before it; `scope` are the inputs of the batch that the
/// chain accounts for.
pub(super) fn merge(
    previous: Option<Transformed>,
    step: Step,
    scope: &Scope<'_>,
    spares: &Spares,
) -> Transformed {
    let mut whole = previous.unwrap_or_default();
    whole.outputs = step.outputs;
    if whole.produced.is_empty() {
        whole.produced = step.produced;
    } else {
        for record in step.produced.iter() {
            let fits = whole.produced.push_ref(&record, record.index);
            debug_assert!(fits, "`produce` has counted the bytes of both");
        }
        spares.give(step.produced);
    }
    whole.annotations.extend(step.annotations);
    whole.dropped += step.dropped;
    whole.failed.extend(step.failed);
    whole.failed.sort_by_key(|failed| failed.input);
    whole.partial.extend(step.partial);
    whole.partial.sort_by_key(|failed| failed.input);
    if let Some(rest) = step.rest {
        cut(&mut whole, scope, rest);
    }
    number_failures(&mut whole);
    debug_assert!(balanced(&whole, scope), "each input has one fate");
    whole
}

/// Takes back what was decided about the inputs that come again. What was made of them stays among what
/// was produced, and nothing points at it.
pub(super) fn cut(whole: &mut Transformed, scope: &Scope<'_>, rest: Rest) {
    let from = rest.from;
    whole.outputs.retain(|output| output.input < from);
    whole.failed.retain(|failed| failed.input < from);
    whole.partial.retain(|failed| failed.input < from);
    // Drops of earlier transforms are not listed, so those behind the cut are found by what is left.
    whole.dropped = scope.before(from) - kept(whole) - whole.failed.len() as u64;
    whole.rest = Some(rest);
}

/// Failures of an input are numbered after its outputs, so that offset and index name each of them.
fn number_failures(whole: &mut Transformed) {
    let mut outputs = whole.outputs.iter().peekable();
    let mut last = None;
    let mut index = 0;
    for failed in &mut whole.partial {
        if last != Some(failed.input) {
            while outputs.next_if(|output| output.input < failed.input).is_some() {}
            index = 0;
            while outputs.next_if(|output| output.input == failed.input).is_some() {
                index += 1;
            }
            last = Some(failed.input);
        }
        failed.index = Some(index);
        index += 1;
    }
}

/// Inputs that stand in the outputs or among the partial failures.
fn kept(whole: &Transformed) -> u64 {
    let mut outputs = whole.outputs.iter().map(|output| output.input).peekable();
    let mut partial = whole.partial.iter().map(|failed| failed.input).peekable();
    let mut kept = 0;
    while let Some(input) = [outputs.peek(), partial.peek()].into_iter().flatten().min().copied() {
        kept += 1;
        while outputs.next_if_eq(&input).is_some() {}
        while partial.next_if_eq(&input).is_some() {}
    }
    kept
}

fn balanced(whole: &Transformed, scope: &Scope<'_>) -> bool {
    let end = whole.rest.as_ref().map_or(u32::MAX, |rest| rest.from);
    whole.dropped + whole.failed.len() as u64 + kept(whole) == scope.before(end)
}
