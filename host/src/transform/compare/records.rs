//! What two versions made of each input, beside each other.

use std::ops::Range;

use serde_json::Value;

use super::json::differences;
use super::{Comparison, Example, Kind, cut_text};
use crate::record::{Annotation, Arena, Failed, Output, OutputSource, RecordRef, Transformed};

/// Larger values are compared as bytes: to take one apart costs many times its size.
const JSON_MAX: usize = 256 * 1024;

/// What one comparison may still take apart.
#[derive(Debug)]
pub(in super::super) struct Budget {
    records: u32,
    bytes: usize,
}

impl Default for Budget {
    /// A batch of ordinary records, in some tens of milliseconds.
    fn default() -> Self {
        Self { records: 10_000, bytes: 64 << 20 }
    }
}

impl Budget {
    /// Whether so many bytes may be taken apart; they are paid for then.
    fn pay(&mut self, bytes: usize) -> bool {
        let can = self.records > 0 && bytes <= self.bytes;
        if can {
            self.records -= 1;
            self.bytes -= bytes;
        }
        can
    }
}

/// What a record became under one version.
struct Became<'a> {
    results: &'a Transformed,
    outputs: &'a [Output],
    partial: &'a [Failed],
    failed: Option<&'a Failed>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Delivered,
    Dropped,
    Failed,
}

impl<'a> Became<'a> {
    fn fate(&self) -> Fate {
        match (self.outputs, self.failures().next()) {
            ([], None) => Fate::Dropped,
            ([], Some(_)) => Fate::Failed,
            _ => Fate::Delivered,
        }
    }

    fn failures(&self) -> impl Iterator<Item = &'a Failed> + use<'a> {
        self.failed.into_iter().chain(self.partial)
    }

    fn fate_text(&self) -> String {
        match (self.fate(), self.failures().next()) {
            (Fate::Failed, Some(failed)) => format!("failed: {}", failure_text(failed)),
            (Fate::Dropped, _) => String::from("dropped"),
            _ => String::from("delivered"),
        }
    }
}

/// Goes through results in order of their inputs.
struct Cursor<'a> {
    results: &'a Transformed,
    outputs: &'a [Output],
    partial: &'a [Failed],
    failed: &'a [Failed],
}

impl<'a> Cursor<'a> {
    fn at(results: &'a Transformed, input: u32) -> Self {
        let failures = |list: &'a [Failed]| &list[list.partition_point(|failed| failed.input < input)..];
        let outputs = &results.outputs;
        Self {
            results,
            outputs: &outputs[outputs.partition_point(|output| output.input < input)..],
            partial: failures(&results.partial),
            failed: failures(&results.failed),
        }
    }

    fn next(&mut self, input: u32) -> Became<'a> {
        let failed = split_off(&mut self.failed, |failed| failed.input == input);
        Became {
            results: self.results,
            outputs: split_off(&mut self.outputs, |output| output.input == input),
            partial: split_off(&mut self.partial, |failed| failed.input == input),
            failed: failed.first(),
        }
    }
}

fn split_off<'a, T>(list: &mut &'a [T], belongs: impl Fn(&T) -> bool) -> &'a [T] {
    let count = list.iter().take_while(|item| belongs(item)).count();
    let (first, rest) = list.split_at(count);
    *list = rest;
    first
}

impl Comparison {
    /// Of what two versions made of the same `inputs` of a batch. Both have results for all of them.
    #[must_use]
    pub fn of(records: &Arena, inputs: Range<u32>, old: &Transformed, new: &Transformed) -> Self {
        let mut comparison = Self::default();
        comparison.look(records, inputs, old, new, &mut Budget::default());
        comparison
    }

    /// Adds more inputs, within a budget.
    pub(in super::super) fn look(
        &mut self,
        records: &Arena,
        inputs: Range<u32>,
        old: &Transformed,
        new: &Transformed,
        budget: &mut Budget,
    ) {
        let (mut olds, mut news) = (Cursor::at(old, inputs.start), Cursor::at(new, inputs.start));
        for input in inputs {
            let mut pair = Pair {
                records,
                offset: records.offset(input as usize),
                comparison: self,
                budget,
                kinds: 0,
                unseen: false,
            };
            pair.compare(&olds.next(input), &news.next(input));
            let (kinds, unseen) = (pair.kinds, pair.unseen);
            self.count(kinds, unseen);
        }
    }

    fn count(&mut self, kinds: u16, unseen: bool) {
        if kinds == 0 && unseen {
            self.not_compared += 1;
            return;
        }
        self.records += 1;
        self.equal += u64::from(kinds == 0);
        self.different += u64::from(kinds != 0);
        for kind in Kind::ALL.into_iter().filter(|kind| kinds & kind.bit() != 0) {
            *self.kinds.entry(kind).or_default() += 1;
        }
    }
}

/// One input under both versions.
struct Pair<'a> {
    records: &'a Arena,
    offset: u64,
    comparison: &'a mut Comparison,
    budget: &'a mut Budget,
    /// In what they differ.
    kinds: u16,
    /// Something was too much work.
    unseen: bool,
}

/// Where a difference is.
#[derive(Clone, Copy)]
struct At<'a> {
    index: u32,
    kind: Kind,
    path: &'a str,
}

impl Pair<'_> {
    fn compare(&mut self, old: &Became<'_>, new: &Became<'_>) {
        if old.fate() != new.fate() {
            self.differ(At { index: 0, kind: Kind::Fate, path: "" }, || {
                (Some(old.fate_text()), Some(new.fate_text()))
            });
            return;
        }
        for (word, one, other) in [
            ("outputs", old.outputs.len(), new.outputs.len()),
            ("failed outputs", old.partial.len(), new.partial.len()),
        ] {
            if one != other {
                let text = |count| Some(format!("{count} {word}"));
                let at = At { index: 0, kind: Kind::Count, path: "" };
                self.differ(at, || (text(one), text(other)));
            }
        }
        for (one, other) in old.failures().zip(new.failures()) {
            if (one.condition, &one.failure.code) != (other.condition, &other.failure.code) {
                let at = At { index: one.index.unwrap_or(0), kind: Kind::Failure, path: "" };
                self.differ(at, || (Some(failure_text(one)), Some(failure_text(other))));
            }
        }
        for (one, other) in old.outputs.iter().zip(new.outputs) {
            self.outputs((old.results, one), (new.results, other));
        }
    }

    fn outputs(&mut self, old: (&Transformed, &Output), new: (&Transformed, &Output)) {
        let untouched = |output: &Output| (output.source, output.annotation) == (OutputSource::Input, None);
        if untouched(old.1) && untouched(new.1) {
            return;
        }
        let index = old.1.index;
        let one = old.0.record(self.records, old.1);
        let other = new.0.record(self.records, new.1);
        let none = Annotation::default();
        let added = old.0.annotation(old.1).unwrap_or(&none);
        let other_added = new.0.annotation(new.1).unwrap_or(&none);
        let at = |kind| At { index, kind, path: "" };
        if one.key != other.key {
            self.differ(at(Kind::Key), || (one.key.map(bytes_text), other.key.map(bytes_text)));
        }
        if one.timestamp_ms != other.timestamp_ms {
            let text = |record: &RecordRef<'_>| Some(record.timestamp_ms.to_string());
            self.differ(at(Kind::Timestamp), || (text(&one), text(&other)));
        }
        if added.routes != other_added.routes {
            let text = |added: &Annotation| Some(added.routes.join(", "));
            self.differ(at(Kind::Routes), || (text(added), text(other_added)));
        }
        if added.partition_keys != other_added.partition_keys {
            let keys = |added: &Annotation| {
                let keys = added.partition_keys.iter().map(|(name, value)| format!("{name}={value}"));
                Some(keys.collect::<Vec<_>>().join(", "))
            };
            self.differ(at(Kind::PartitionKeys), || (keys(added), keys(other_added)));
        }
        self.headers(index, (&one, added), (&other, other_added));
        self.values(index, one.value, other.value);
    }

    fn headers(
        &mut self,
        index: u32,
        old: (&RecordRef<'_>, &Annotation),
        new: (&RecordRef<'_>, &Annotation),
    ) {
        let (mut olds, mut news) = (headers(old.0, old.1), headers(new.0, new.1));
        loop {
            let (one, other) = (olds.next(), news.next());
            let Some((name, _)) = one.or(other) else { return };
            if one != other {
                let path = bytes_text(name);
                let text = |header: Option<Header<'_>>| header.map(header_text);
                let at = At { index, kind: Kind::Headers, path: &path };
                self.differ(at, || (text(one), text(other)));
                return;
            }
        }
    }

    fn values(&mut self, index: u32, old: Option<&[u8]>, new: Option<&[u8]>) {
        if old == new {
            return;
        }
        let whole = At { index, kind: Kind::Value, path: "" };
        let (Some(one), Some(other)) = (old, new) else {
            self.differ(whole, || (old.map(bytes_text), new.map(bytes_text)));
            return;
        };
        if one.len().max(other.len()) > JSON_MAX {
            self.differ(whole, || (Some(bytes_text(one)), Some(bytes_text(other))));
            return;
        }
        if !self.budget.pay(one.len() + other.len()) {
            self.unseen = true;
            return;
        }
        let parsed = |bytes| serde_json::from_slice::<Value>(bytes).ok();
        match (parsed(one), parsed(other)) {
            (Some(one), Some(other)) => {
                for found in differences(&one, &other) {
                    let at = At { index, kind: found.kind, path: &found.path };
                    let text = |value: Option<&Value>| value.map(Value::to_string);
                    self.differ(at, || (text(found.old), text(found.new)));
                }
            }
            (None, None) => self.differ(whole, || (Some(bytes_text(one)), Some(bytes_text(other)))),
            _ => {
                let at = At { index, kind: Kind::Type, path: "$" };
                self.differ(at, || (Some(bytes_text(one)), Some(bytes_text(other))));
            }
        }
    }

    /// Takes note of a difference; its texts are made where there is room to show them.
    fn differ(&mut self, at: At<'_>, texts: impl FnOnce() -> (Option<String>, Option<String>)) {
        self.kinds |= at.kind.bit();
        let At { index, kind, path } = at;
        let path = cut_text(path);
        if self.comparison.shows(kind, &path) {
            let (old, new) = texts();
            let cut = |text: Option<String>| text.map(|text| cut_text(&text));
            let example = Example { offset: self.offset, index, kind, path, old: cut(old), new: cut(new) };
            self.comparison.examples.push(example);
        }
    }
}

type Header<'a> = (&'a [u8], Option<&'a [u8]>);

fn headers<'a>(record: &RecordRef<'a>, added: &'a Annotation) -> impl Iterator<Item = Header<'a>> + use<'a> {
    let added = added.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_deref()));
    record.headers.iter().chain(added)
}

fn header_text((name, value): Header<'_>) -> String {
    let value = value.map_or_else(|| String::from("no value"), bytes_text);
    format!("{}: {value}", bytes_text(name))
}

fn failure_text(failed: &Failed) -> String {
    let failure = &failed.failure;
    format!("{:?} {}: {}", failed.condition, failure.code, failure.detail)
}

/// Bytes for a person; a little more than is shown of them.
fn bytes_text(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(super::TEXT_MAX + 4)];
    String::from_utf8_lossy(shown).into_owned()
}
