//! Results of the columnar shape, read back as the other shape's outcomes: for tests.

use crate::bindings::columnar::exports::vanne::transform::columnar::Results;
use crate::bindings::vanne::transform::types;
use crate::columns::{
    Encoded, Entries, HEADERS_PRESENT, KEY_PRESENT, TIMESTAMP_PRESENT, Texts, VALUE_PRESENT,
    between, part,
};
use crate::message::{Header, PartitionKey};
use crate::writer::{ANNOTATE, DROP, EMIT, FAIL, FORWARD, REPLACE};

/// One outcome for each verdict.
///
/// # Panics
///
/// Where the results break the contract's rules.
pub(crate) fn outcomes(results: &Results) -> Vec<types::Outcome> {
    let mut lists = Lists {
        counts: results.counts.iter(),
        records: 0..results.present.len(),
        timestamps_ms: results.timestamps_ms.iter(),
        failures: results.failures.iter(),
        postponements: results.postponements.iter(),
    };
    let outcomes = results.verdicts.iter().zip(0..);
    let outcomes = outcomes.map(|(verdict, message)| lists.outcome(results, *verdict, message));
    let outcomes = outcomes.collect();
    assert!(
        lists.counts.len() == 0
            && lists.records.is_empty()
            && lists.timestamps_ms.len() == 0
            && lists.failures.len() == 0
            && lists.postponements.len() == 0,
        "each entry belongs to a verdict, and not {lists:?}"
    );
    outcomes
}

/// What is left of the lists whose entries belong to verdicts, in their order.
#[derive(Debug)]
struct Lists<'a> {
    counts: std::slice::Iter<'a, u32>,
    records: std::ops::Range<usize>,
    timestamps_ms: std::slice::Iter<'a, i64>,
    failures: std::slice::Iter<'a, types::Failure>,
    postponements: std::slice::Iter<'a, types::Postponement>,
}

impl Lists<'_> {
    fn outcome(&mut self, results: &Results, verdict: u8, message: u32) -> types::Outcome {
        match verdict {
            FORWARD => types::Outcome::Forward,
            ANNOTATE => types::Outcome::Annotate(annotation(self.record(results))),
            REPLACE => {
                let record = self.record(results);
                let value = record.value.clone();
                let annotation = Some(annotation(record));
                types::Outcome::Replace(types::Replacement { value, annotation })
            }
            EMIT => {
                let count = *self.counts.next().expect("a count for each emit");
                let lost = results.lost.iter().filter(|lost| lost.message == message);
                types::Outcome::Emit(types::Emission {
                    outputs: (0..count).map(|_| self.record(results)).collect(),
                    failures: lost.map(|lost| lost.partial.clone()).collect(),
                })
            }
            DROP => types::Outcome::Drop,
            FAIL => {
                let failure = self.failures.next().expect("a failure for each fail");
                types::Outcome::Fail(failure.clone())
            }
            _ => {
                let wish = self.postponements.next().expect("a wish for each retry");
                types::Outcome::Retry(wish.clone())
            }
        }
    }

    fn record(&mut self, results: &Results) -> types::Output {
        let at = self.records.next().expect("a record for each output");
        let present = results.present[at];
        let bytes = |bit| part(&results.data, &results.bounds, &results.present, at, bit);
        let label = |nth| {
            Encoded(between(
                &results.labels,
                &results.label_bounds,
                at * 2 + nth,
            ))
        };
        let headers = Encoded(bytes(HEADERS_PRESENT).unwrap_or_default());
        let timed = present & TIMESTAMP_PRESENT != 0;
        types::Output {
            key: bytes(KEY_PRESENT).map(<[u8]>::to_vec),
            value: bytes(VALUE_PRESENT).map(<[u8]>::to_vec),
            headers: Entries::<types::Header>::Encoded(headers)
                .map(|Header { name, value }| types::Header {
                    name: name.to_owned(),
                    value: value.map(<[u8]>::to_vec),
                })
                .collect(),
            timestamp_ms: timed.then(|| *self.timestamps_ms.next().expect("a time for each bit")),
            routes: Texts::Encoded(label(0)).map(str::to_owned).collect(),
            partition_keys: Entries::<types::PartitionKey>::Encoded(label(1))
                .map(|PartitionKey { name, value }| types::PartitionKey {
                    name: name.to_owned(),
                    value: value.to_owned(),
                })
                .collect(),
        }
    }
}

fn annotation(record: types::Output) -> types::Annotation {
    types::Annotation {
        routes: record.routes,
        partition_keys: record.partition_keys,
        headers: record.headers,
    }
}
