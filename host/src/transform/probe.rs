//! A version tried on some records before it serves: beside the one that serves, or alone.
//!
//! Owns the trial and what is said of it; whether that is good enough is the caller's. Invariant: it leaves
//! nothing behind in the chains that it tries, makes no letters, waits for no retry, and is bounded in
//! time but for the call that it is in.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::chain::Chain;
use super::compare::{Budget, Comparison};
use super::numbers::{Accounts, VersionNumbers};
use super::versions::text;
use crate::clock::{self, Moment};
use crate::config::{OnError, Policy};
use crate::record::{Arena, Batch, Condition, Failed, Output, Transformed};

/// Longest trial of one version: records that each take a call's whole limit end it.
const TIME_MAX: Duration = Duration::from_secs(30);
/// Longest text of a finding, or of an output that is shown, in bytes.
const TEXT_MAX: usize = 1_000;
/// Outputs that are shown, and failures.
const SHOWN_MAX: usize = 5;

/// How a trial went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Records that there were to try.
    pub records: u64,
    /// The version that serves, where there is one.
    pub stable: Option<Side>,
    /// The version that is tried.
    pub candidate: Side,
    /// What they made of the records, beside each other; `None`: there is but one.
    pub comparison: Option<Comparison>,
}

/// How one version fared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Records without a fate, because the trial ended before them.
    pub untried: u64,
    /// Records, or outputs of them, of which a call trapped, took too long, ran out of memory or gave a bad
    /// answer; and those that wanted to come again, which are `RetryAttemptsExhausted` here.
    pub broken: BTreeMap<Condition, u64>,
    /// Records, or outputs of them, that failed by the plugin's own verdict.
    pub failed: u64,
    /// The first record in `broken` that did not want to come again.
    pub first_broken: Option<Finding>,
    /// The first record in `failed`.
    pub first_failed: Option<Finding>,
    /// The first outputs, five at the most.
    #[serde(default)]
    pub outputs: Vec<Shown>,
    /// The first records, or outputs of them, that failed in whatever way, five at the most.
    #[serde(default)]
    pub failures: Vec<Finding>,
    /// Why no more was tried: the plugin said that no call can succeed, an instance cannot be made.
    pub error: Option<String>,
    /// Everything in numbers.
    pub numbers: VersionNumbers,
}

/// A record that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its offset.
    pub offset: u64,
    /// The transform that failed.
    pub transform: Option<String>,
    /// What kind of failure.
    pub condition: Condition,
    /// What was said of it.
    pub text: String,
}

/// An output, for people: texts are cut, and bytes that are not UTF-8 are replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Offset of the record that it was made of.
    pub offset: u64,
    /// Which of the records that its offset became.
    pub index: u32,
    /// Its key.
    pub key: Option<String>,
    /// Its value; `None`: a null.
    pub value: Option<String>,
    /// The sinks that it is routed to.
    pub routes: Vec<String>,
}

impl Side {
    /// Records that broke a call, but for those that wanted to come again.
    #[must_use]
    pub fn breaks(&self) -> u64 {
        let is_break = |(condition, _): &(&Condition, &u64)| is_break(**condition);
        self.broken.iter().filter(is_break).map(|(_, records)| records).sum()
    }
}

/// Tries a version on the records of a batch, and the one that serves on the same. Both take CPU time, as
/// [`super::LaneChain`] says.
#[must_use]
pub fn probe(stable: Option<&Chain>, candidate: &Chain, batch: &Batch) -> Probe {
    let ran = Trial::run(candidate, batch);
    let stable_ran = stable.map(|chain| Trial::run(chain, batch));
    let comparison = stable_ran.as_ref().map(|stable_ran| {
        let mut comparison = compare(&batch.records, stable_ran, &ran);
        comparison.unreliable = !(candidate.is_pure() && stable.is_none_or(Chain::is_pure));
        comparison
    });
    Probe {
        records: batch.records.len() as u64,
        stable: stable_ran.map(|ran| ran.side),
        candidate: ran.side,
        comparison,
    }
}

/// Results in the pieces in which they came.
#[derive(Default)]
struct Trial {
    side: Side,
    pieces: Vec<(Range<u32>, Transformed)>,
}

impl Trial {
    fn run(chain: &Chain, batch: &Batch) -> Self {
        let mut trial = Self::default();
        let chain = &chain.under(for_trial);
        let mut lane = chain.lane(batch.origin.clone());
        let count = u32::try_from(batch.records.len()).expect("a batch has fewer than 2^32 records");
        let began = clock::running();
        let mut from = 0;
        while from < count && clock::running().saturating_sub(began) < TIME_MAX {
            let went = clock::running();
            let results = match lane.process(batch, from, Moment::now()) {
                Ok(results) => results,
                Err(stop) => {
                    trial.side.error = Some(cut(&text(&stop)));
                    break;
                }
            };
            let busy = clock::running().saturating_sub(went);
            let until = results.rest.as_ref().map_or(count, |rest| rest.from);
            let reached = lane.reaching(batch, from..until);
            let accounts = Accounts { inputs: u64::from(until - from), reached };
            trial.side.numbers += VersionNumbers::of(&batch.records, &results, accounts, busy);
            trial.take(chain, &batch.records, from..until, results);
            from = until;
        }
        trial.side.untried = u64::from(count - from);
        trial
    }

    fn take(&mut self, chain: &Chain, records: &Arena, inputs: Range<u32>, results: Transformed) {
        // In order of their inputs, so that the first is the first.
        let mut failures: Vec<_> = results.failed.iter().chain(&results.partial).collect();
        failures.sort_by_key(|failed| failed.input);
        for failed in failures {
            // It is the filter's doing.
            if failed.condition == Condition::FilterNotJson {
                continue;
            }
            let finding = || Some(finding(chain, records, failed));
            if self.side.failures.len() < SHOWN_MAX {
                self.side.failures.extend(finding());
            }
            match failed.condition {
                Condition::ProcessingFailed => {
                    self.side.failed += 1;
                    self.side.first_failed = self.side.first_failed.take().or_else(finding);
                }
                condition => {
                    *self.side.broken.entry(condition).or_default() += 1;
                    if is_break(condition) {
                        self.side.first_broken = self.side.first_broken.take().or_else(finding);
                    }
                }
            }
        }
        let room = SHOWN_MAX - self.side.outputs.len();
        let shown = results.outputs.iter().take(room).map(|output| show(records, &results, output));
        self.side.outputs.extend(shown);
        if inputs.is_empty() {
            return;
        }
        self.pieces.push((inputs, results));
    }
}

/// Whether a condition is a fault of the code: not its own verdict, nor a wish to be asked later, nor the
/// record's header that cannot be passed.
fn is_break(condition: Condition) -> bool {
    !matches!(
        condition,
        Condition::ProcessingFailed | Condition::RetryAttemptsExhausted | Condition::BadHeader
    )
}

/// Every failure is listed and nothing ends the trial but `fatal`; a wish to be asked later is a failure at
/// once; and records that were kept for the purpose may be of any age.
fn for_trial(policy: &Policy) -> Policy {
    Policy {
        retries: Some(0),
        max_record_age: None,
        on_error: OnError::DeadLetter,
        circuit_breaker: None,
        ..policy.clone()
    }
}

fn finding(chain: &Chain, records: &Arena, failed: &Failed) -> Finding {
    let failure = &failed.failure;
    Finding {
        offset: records.offset(failed.input as usize),
        transform: failed.transform.and_then(|position| chain.transform(position)).map(str::to_owned),
        condition: failed.condition,
        text: cut(&format!("{}: {}", failure.code, failure.detail)),
    }
}

fn show(records: &Arena, results: &Transformed, output: &Output) -> Shown {
    let record = results.record(records, output);
    let text = |bytes: &[u8]| cut(&String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_MAX)]));
    let routes = results.annotation(output).map(|added| added.routes.iter().take(SHOWN_MAX));
    Shown {
        offset: records.offset(output.input as usize),
        index: output.index,
        key: record.key.map(text),
        value: record.value.map(text),
        routes: routes.into_iter().flatten().cloned().collect(),
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_MAX)].to_owned()
}

/// Piece by piece: they end at different places where calls took too long.
fn compare(records: &Arena, old: &Trial, new: &Trial) -> Comparison {
    let (mut comparison, mut budget) = (Comparison::default(), Budget::default());
    let (mut olds, mut news) = (old.pieces.iter().peekable(), new.pieces.iter().peekable());
    let mut from = 0;
    while let (Some((one, old)), Some((other, new))) = (olds.peek(), news.peek()) {
        let until = one.end.min(other.end);
        comparison.look(records, from..until, old, new, &mut budget);
        from = until;
        olds.next_if(|(range, _)| range.end == until);
        news.next_if(|(range, _)| range.end == until);
    }
    comparison.not_compared += records.len() as u64 - u64::from(from);
    comparison
}
