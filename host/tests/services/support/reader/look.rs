//! What one look found, and the judgement over it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use super::{Object, Record};

/// How many findings a failure shows of each sort: one is enough to start from, a thousand hide it.
const SHOWN: usize = 10;

/// What one look found.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(crate) objects: Vec<Arc<Object>>,
    /// Objects that vanished, changed, or can't be read: none of that may ever happen.
    pub(crate) broken: Vec<String>,
    /// What a killed writer to a local folder may leave: hidden files, and object_store's own, `<name>#<digits>`.
    pub(crate) temporary: Vec<String>,
}

/// One partition in one look.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    /// The numbers and output indexes that are there.
    pub(crate) seen: BTreeSet<(u64, u32)>,
    /// The same record in two places, or twice in one.
    pub(crate) duplicates: Vec<String>,
    /// A record before one of a lower number.
    pub(crate) disorder: Vec<String>,
}

impl Partition {
    /// The ranges of numbers below the highest one that are not there.
    pub(crate) fn gaps(&self) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut next = 0;
        for &(number, _) in &self.seen {
            if number > next {
                gaps.push(next..number);
            }
            next = number + 1;
        }
        gaps
    }
}

impl Look {
    /// How many records are visible, duplicates included.
    pub(crate) fn records(&self) -> usize {
        self.objects.iter().map(|object| object.records.len()).sum()
    }

    /// Each partition by itself, with what is wrong in it.
    pub(crate) fn partitions(&self) -> BTreeMap<i32, Partition> {
        let mut partitions = BTreeMap::<i32, Partition>::new();
        let mut places = BTreeMap::<Record, &str>::new();
        for object in &self.objects {
            for record in &object.records {
                let partition = partitions.entry(record.partition).or_default();
                partition.seen.insert((record.number, record.index));
                if let Some(first) = places.insert(*record, &object.path) {
                    partition.duplicates.push(format!("{record:?} in `{first}` and in `{}`", object.path));
                }
            }
            for pair in object.records.windows(2) {
                let same_lane = pair[0].partition == pair[1].partition;
                if same_lane && pair[0] > pair[1] {
                    let found = format!("{:?} before {:?} in `{}`", pair[0], pair[1], object.path);
                    partitions.entry(pair[0].partition).or_default().disorder.push(found);
                }
            }
        }
        for (partition, found) in self.disorder_across_objects() {
            partitions.entry(partition).or_default().disorder.push(found);
        }
        partitions
    }

    /// In a partition, all of an object with a higher start offset comes after all of one with a lower; and in one
    /// folder, all of a later piece of an entry after all of an earlier one of the same version.
    fn disorder_across_objects(&self) -> Vec<(i32, String)> {
        let mut spans = BTreeMap::<i32, Vec<Span<'_>>>::new();
        for object in &self.objects {
            for partition in object.records.iter().map(|record| record.partition).collect::<BTreeSet<_>>() {
                let own = object.records.iter().filter(|record| record.partition == partition);
                let own = own.map(|record| (record.number, record.index));
                let (Some(start), Some(first), Some(last)) = (object.start, own.clone().min(), own.max())
                else {
                    continue;
                };
                spans.entry(partition).or_default().push(Span { start, object, first, last });
            }
        }
        let mut found = Vec::new();
        for (partition, mut spans) in spans {
            spans.sort_by_key(|span| span.start);
            let entries: Vec<_> = spans.chunk_by(|a, b| a.start == b.start).collect();
            found.extend(disorder_of_entries(&entries).into_iter().map(|text| (partition, text)));
            let in_entries = entries.iter().flat_map(|entry| disorder_of_pieces(entry));
            found.extend(in_entries.map(|text| (partition, text)));
        }
        found
    }

    /// Holds at any moment of a run: nothing twice, nothing out of order, nothing half written, changed or gone.
    pub(crate) fn assert_sound(&self) {
        let findings = self.findings();
        assert!(findings.is_empty(), "what is visible is not sound:\n{findings}");
    }

    /// Holds at the end: for each partition exactly the numbers below the one given, each once, and nothing else.
    pub(crate) fn assert_exactly_once(&self, expected: &BTreeMap<i32, u64>) {
        let expected = expected
            .iter()
            .map(|(partition, count)| (*partition, (0..*count).map(|number| (number, 0)).collect()));
        self.assert_exactly(&expected.collect());
    }

    /// Holds at the end: for each partition exactly these numbers and output indexes, each once, and nothing else.
    pub(crate) fn assert_exactly(&self, expected: &BTreeMap<i32, BTreeSet<(u64, u32)>>) {
        let mut findings = self.findings();
        let partitions = self.partitions();
        let nothing = BTreeSet::new();
        let named: BTreeSet<_> = expected.keys().chain(partitions.keys()).copied().collect();
        for partition in named {
            let wanted = expected.get(&partition).unwrap_or(&nothing);
            let seen = partitions.get(&partition).map_or(&nothing, |partition| &partition.seen);
            report(&mut findings, &format!("lost in partition {partition}"), wanted.difference(seen));
            report(&mut findings, &format!("not expected in partition {partition}"), seen.difference(wanted));
        }
        assert!(
            findings.is_empty(),
            "not exactly once, of {} records in {} objects:\n{findings}",
            self.records(),
            self.objects.len()
        );
    }

    /// All that is wrong at any moment, as text; empty when nothing is.
    pub(super) fn findings(&self) -> String {
        let mut findings = String::new();
        report(&mut findings, "broken", &self.broken);
        for (number, partition) in self.partitions() {
            report(&mut findings, &format!("duplicates in partition {number}"), &partition.duplicates);
            report(&mut findings, &format!("disorder in partition {number}"), &partition.disorder);
        }
        findings
    }
}

/// An object's share of a partition.
struct Span<'a> {
    start: u64,
    object: &'a Object,
    first: (u64, u32),
    last: (u64, u32),
}

fn disorder_of_entries(entries: &[&[Span<'_>]]) -> Vec<String> {
    let mut found = Vec::new();
    let mut highest: Option<&Span<'_>> = None;
    for entry in entries {
        for span in *entry {
            if let Some(before) = highest.filter(|before| before.last > span.first) {
                found.push(format!(
                    "`{}` starts at number {}, but `{}`, of a lower start offset, has {}",
                    span.object.path, span.first.0, before.object.path, before.last.0
                ));
            }
        }
        highest = highest.into_iter().chain(entry.iter()).max_by_key(|span| span.last);
    }
    found
}

/// Pieces of two versions of a plugin, which tell themselves apart by their stamps, have no order among each other.
fn disorder_of_pieces(entry: &[Span<'_>]) -> Vec<String> {
    let of_order = |span: &Span<'_>| {
        let folder = span.object.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        (folder.to_owned(), span.object.stamps.first().copied().flatten())
    };
    let mut pieces: Vec<_> = entry.iter().collect();
    pieces.sort_by_key(|span| (of_order(span), span.object.piece));
    let in_order =
        |pair: &[&Span<'_>]| of_order(pair[0]) != of_order(pair[1]) || pair[0].last < pair[1].first;
    let wrong = pieces.windows(2).filter(|pair| !in_order(pair));
    wrong
        .map(|pair| format!("`{}` does not come before `{}`", pair[0].object.path, pair[1].object.path))
        .collect()
}

fn report<T: std::fmt::Debug>(findings: &mut String, what: &str, found: impl IntoIterator<Item = T>) {
    let mut found = found.into_iter();
    let shown: Vec<_> = found.by_ref().take(SHOWN).map(|item| format!("    {item:?}")).collect();
    if !shown.is_empty() {
        let more = found.count();
        writeln!(findings, "  {what} ({}):\n{}", shown.len() + more, shown.join("\n"))
            .expect("a string takes text");
    }
}
