//! Which records of a batch reach the first transform.
//!
//! Owns what becomes of those that do not: dropped, or dead letters where they could not be looked at.
//! What matches is pointed at, not copied.

use std::ops::Range;

use crate::filter::{Filter, Verdict};
use crate::record::{Batch, Condition, Failed, Failure, Output, OutputSource, Rest, Transformed, Wait};

/// A filter, and what it does with what is not JSON.
#[derive(Debug)]
pub struct Sieve {
    filter: Filter,
    buries_not_json: bool,
}

/// How many records did not reach the first transform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filtered {
    /// They match no pattern.
    pub no_match: u64,
    /// A pattern looks into what is not JSON.
    pub not_json: u64,
}

impl Sieve {
    /// From compiled patterns; `buries_not_json` makes dead letters of records that a pattern cannot look
    /// into, which are dropped otherwise, as by AWS.
    #[must_use]
    pub fn new(filter: Filter, buries_not_json: bool) -> Self {
        Self { filter, buries_not_json }
    }

    /// Sieves `inputs` of a batch; `None`: all of the whole batch goes on. Records before the offset
    /// `new_from` come again, and are not counted once more.
    pub(super) fn sieve(
        &self,
        batch: &Batch,
        inputs: Range<u32>,
        new_from: u64,
        filtered: &mut Filtered,
    ) -> Option<Transformed> {
        let outputs = Vec::with_capacity(inputs.len());
        let mut passed = Transformed { outputs, ..Transformed::default() };
        for input in inputs.clone() {
            let record = batch.records.record(input as usize);
            let counted = u64::from(record.offset >= new_from);
            match self.filter.matches(&record, &batch.origin) {
                Verdict::Match => passed.outputs.push(as_it_is(input)),
                Verdict::NoMatch => {
                    filtered.no_match += counted;
                    passed.dropped += 1;
                }
                Verdict::NotJson(why) => {
                    filtered.not_json += counted;
                    if self.buries_not_json {
                        let failure =
                            Failure { code: String::from("FilterNotJson"), detail: why.to_string() };
                        passed.failed.push(Failed::whole(input, Condition::FilterNotJson, failure));
                    } else {
                        passed.dropped += 1;
                    }
                }
            }
        }
        let count = batch.records.len();
        let is_all = passed.outputs.len() == count && inputs.len() == count;
        passed.rest = rest(&inputs, count);
        (!is_all).then_some(passed)
    }
}

/// These records of a batch, all of them as they are.
pub(super) fn forward(inputs: Range<u32>, count: usize) -> Transformed {
    let rest = rest(&inputs, count);
    Transformed { outputs: inputs.map(as_it_is).collect(), rest, ..Transformed::default() }
}

fn rest(inputs: &Range<u32>, count: usize) -> Option<Rest> {
    ((inputs.end as usize) < count).then_some(Rest { from: inputs.end, wait: Wait::Not })
}

/// A record of the batch, untouched.
pub(super) fn as_it_is(input: u32) -> Output {
    Output { input, index: 0, source: OutputSource::Input, annotation: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Arena, Epoch, NewRecord, OffsetRange, TopicPartition};

    fn batch(values: &[&str]) -> Batch {
        let mut records = Arena::default();
        for (offset, value) in (0..).zip(values) {
            let value = Some(value.as_bytes());
            assert!(records.push(NewRecord { value, offset, ..NewRecord::default() }, []));
        }
        let origin = TopicPartition { topic: "t".into(), partition: 0 };
        let range = OffsetRange { start: 0, end: values.len() as u64 };
        Batch { origin, epoch: Epoch(1), range, records }
    }

    fn sieve(buries_not_json: bool) -> Sieve {
        let filter = Filter::parse(&[r#"{"value": {"a": [1]}}"#]).expect("a pattern");
        Sieve::new(filter, buries_not_json)
    }

    #[test]
    fn what_matches_goes_on_and_the_rest_is_accounted_for() {
        let batch = batch(&[r#"{"a":1}"#, r#"{"a":2}"#, "no json", r#"{"a":1}"#, r#"{"a":1}"#]);
        for (buries, dropped, failed) in [(false, 2, vec![]), (true, 1, vec![2])] {
            let mut filtered = Filtered::default();
            let passed = sieve(buries).sieve(&batch, 0..4, 0, &mut filtered).expect("not all");
            let inputs: Vec<_> = passed.outputs.iter().map(|output| output.input).collect();
            assert_eq!((inputs, passed.dropped), (vec![0, 3], dropped));
            assert_eq!(passed.failed.iter().map(|failed| failed.input).collect::<Vec<_>>(), failed);
            assert_eq!(filtered, Filtered { no_match: 1, not_json: 1 });
            assert_eq!(passed.rest, Some(Rest { from: 4, wait: Wait::Not }));
        }
    }

    #[test]
    fn what_comes_again_is_sieved_again_and_counted_once() {
        let batch = batch(&[r#"{"a":2}"#, "no json", r#"{"a":2}"#]);
        let mut filtered = Filtered::default();
        let passed = sieve(false).sieve(&batch, 0..3, 2, &mut filtered).expect("not all");
        assert_eq!((passed.dropped, filtered), (3, Filtered { no_match: 1, not_json: 0 }));
    }

    #[test]
    fn a_batch_that_matches_whole_is_left_as_it_is() {
        let batch = batch(&[r#"{"a":1}"#, r#"{"a":1}"#]);
        assert!(sieve(false).sieve(&batch, 0..2, 0, &mut Filtered::default()).is_none());
        assert!(sieve(false).sieve(&batch, 1..2, 0, &mut Filtered::default()).is_some(), "a part is named");
    }
}
