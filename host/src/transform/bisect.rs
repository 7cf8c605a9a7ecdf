//! Calls a transform until each record has a verdict: a call that fails is made again in halves until
//! the records to blame stand alone, and what the plugin's policy says of a failure is done.
//!
//! Invariant: verdicts come in the order of the records, one each, until the run ends early. With k bad
//! records among n it takes at most `1 + k (2 log2 n + 1)` calls: two for each halving, and one more
//! where a record has to be tried on a fresh instance before it is blamed. A call that takes too long
//! ends the run where there is a smaller batch to try, and is searched here only within one input.

use std::ops::Range;
use std::time::Duration;

use super::attempts::Attempts;
use super::blame::{self, Blame};
use super::breaker::{Breaker, Cause, Tally};
use super::fate::Fates;
use super::instances::{Answer, Ask, Make, Slot};
use super::scope::Scope;
use crate::clock::Moment;
use crate::config::{CircuitBreaker, OnError, OnFatal, Policy};
use crate::plugin::{CallError, Error, Inputs, Verdict};
use crate::record::{Condition, Failure, Postponement};

/// What a lane keeps of a transform between batches.
pub(super) struct LaneStep {
    pub(super) slot: Slot,
    pub(super) attempts: Attempts,
    pub(super) breaker: Breaker,
}

impl LaneStep {
    pub(super) fn new(breaker: Option<CircuitBreaker>) -> Self {
        Self { slot: Slot::default(), attempts: Attempts::default(), breaker: Breaker::new(breaker) }
    }
}

/// What is to be done.
pub(super) struct Run<'a> {
    /// The transform's name, for the log.
    pub(super) transform: &'a str,
    pub(super) policy: &'a Policy,
    /// Time limit of a call.
    pub(super) limit: Duration,
    pub(super) inputs: &'a Inputs<'a>,
    /// The inputs of the batch that the chain accounts for, among which those are that are left.
    pub(super) scope: &'a Scope<'a>,
    /// `fatal` ends the run instead of being searched for.
    pub(super) fatal_stops: bool,
    pub(super) now: Moment,
}

/// How it ended.
#[derive(Debug)]
pub(super) enum End {
    /// Each record has its verdict.
    Done,
    /// From this record on they come again, at the plugin's wish; it has wished so that often.
    Postponed { position: usize, wish: Postponement, attempt: u32 },
    /// From this record on they come again at once, in smaller numbers: a call with that many of the
    /// batch's records took too long.
    TooSlow { position: usize, inputs: u32 },
    /// The records before this one are to be taken in before the run goes on to stop at it.
    Before { position: usize },
    /// The lane is to be held; nothing of the run stands.
    Held(Cause),
    /// The plugin says that no call can succeed.
    Fatal(String),
    /// The first record failed, and the policy says that this stops the pipeline.
    Failed(Condition, Failure),
}

/// How a run went.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) end: End,
    /// A call took a third of its limit or more.
    pub(super) slow: bool,
    /// A call succeeded.
    pub(super) answered: bool,
}

/// Gives each record its verdict.
///
/// # Errors
/// Where a fresh instance is needed and cannot be made.
pub(super) fn bisect(
    step: &mut LaneStep,
    make: &dyn Make,
    run: &Run<'_>,
    fates: &mut Fates<'_>,
) -> Result<Ran, Error> {
    step.breaker.begin();
    let waiting = pieces(run);
    let tally = Tally::default();
    let mut search =
        Search { step, make, run, fates, waiting, tally, slow: false, answered: false, warned: false };
    let end = search.all()?;
    Ok(Ran { end, slow: search.slow, answered: search.answered })
}

/// Records that wait for their verdicts.
enum Piece {
    /// To be asked about.
    Ask {
        range: Range<usize>,
        /// Its first record has no retries left, so that a call which wants one is a failed call.
        exhausted: bool,
    },
    /// Too old to be asked about.
    Expired(Range<usize>),
}

/// The records in pieces, the first last.
fn pieces(run: &Run<'_>) -> Vec<Piece> {
    let whole = 0..run.inputs.len();
    let Some(age) = run.policy.max_record_age else {
        return vec![Piece::Ask { range: whole, exhausted: false }];
    };
    let oldest_ms = run.now.wall_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let is_expired = |position: &usize| {
        let read_ms = run.inputs.read_ms(*position);
        read_ms != -1 && read_ms < oldest_ms
    };
    let mut pieces = Vec::new();
    let mut end = whole.end;
    while end > 0 {
        let expired = is_expired(&(end - 1));
        let start = (0..end).rev().find(|position| is_expired(position) != expired).map_or(0, |it| it + 1);
        let range = start..end;
        pieces.push(if expired { Piece::Expired(range) } else { Piece::Ask { range, exhausted: false } });
        end = start;
    }
    pieces
}

struct Search<'a, 'f> {
    step: &'a mut LaneStep,
    make: &'a dyn Make,
    run: &'a Run<'a>,
    fates: &'a mut Fates<'f>,
    /// The next one is the last.
    waiting: Vec<Piece>,
    tally: Tally,
    slow: bool,
    answered: bool,
    warned: bool,
}

/// What a record said that ends the verdicts of its call.
enum Halt {
    Wish(Postponement),
    Failed(Condition, Failure),
}

impl Search<'_, '_> {
    fn all(&mut self) -> Result<End, Error> {
        while let Some(piece) = self.waiting.pop() {
            let ended = match piece {
                Piece::Ask { range, exhausted } => self.ask(range, exhausted)?,
                Piece::Expired(range) => self.expire(range),
            };
            let running = self.run.now.running;
            if let Some(end) = ended {
                // A lane that is to be held has nothing that stands, and nothing to take note of.
                let takes_note =
                    matches!(end, End::Postponed { .. } | End::TooSlow { .. } | End::Before { .. });
                let held = if takes_note { self.step.breaker.end(running, &self.tally) } else { None };
                return Ok(held.map_or(end, End::Held));
            }
            if let Some(cause) = self.step.breaker.look(running, &self.tally) {
                return Ok(End::Held(cause));
            }
        }
        let held = self.step.breaker.end(self.run.now.running, &self.tally);
        Ok(held.map_or(End::Done, End::Held))
    }

    /// Makes one call, and decides what its end means.
    fn ask(&mut self, range: Range<usize>, exhausted: bool) -> Result<Option<End>, Error> {
        if range.is_empty() {
            return Ok(None);
        }
        let (answer, position, halt) = self.call(&range)?;
        self.slow |= answer.took >= self.run.limit / 3;
        if !matches!(answer.result, Err(CallError::Timeout { .. })) {
            self.step.breaker.answered();
        }
        self.answered |= answer.result.is_ok();
        match halt {
            Some(Halt::Wish(wish)) => return Ok(self.record_wishes(position, range.end, wish)),
            Some(Halt::Failed(condition, failure)) => {
                return Ok(Some(self.stop_at(position, condition, failure)));
            }
            None => {}
        }
        match answer.result {
            Ok(()) => Ok(None),
            Err(CallError::Retry(wish)) => Ok(self.call_wishes(range, wish, exhausted)),
            Err(CallError::Fatal(text)) if self.fatal_stops() => Ok(Some(End::Fatal(text))),
            Err(error) => {
                self.warn_once(&range, &error);
                Ok(self.call_failed(range, &error, answer.used))
            }
        }
    }

    /// One call; its verdicts go to the accounts up to one that ends them.
    fn call(&mut self, range: &Range<usize>) -> Result<(Answer, usize, Option<Halt>), Error> {
        let inputs = self.run.inputs;
        let attempt = self.step.attempts.wishes(inputs.offset(0));
        let ask = Ask { inputs, range: range.clone(), attempt };
        let stops = self.run.policy.on_error == OnError::Stop;
        let mut position = range.start;
        let mut halt = None;
        let LaneStep { slot, attempts, breaker } = &mut *self.step;
        let (fates, tally) = (&mut *self.fates, &mut self.tally);
        let answer = slot.call(self.make, &ask, &mut |verdict| {
            let failed = match verdict {
                _ if halt.is_some() => return,
                Verdict::Retry(wish) => {
                    halt = Some(Halt::Wish(wish));
                    return;
                }
                Verdict::Fail(failure) if stops => {
                    halt = Some(Halt::Failed(Condition::ProcessingFailed, failure));
                    return;
                }
                Verdict::NotPassed(condition, failure) if stops => {
                    halt = Some(Halt::Failed(condition, failure));
                    return;
                }
                Verdict::NotPassed(condition, failure) => {
                    fates.fail(position, Blame { attempts: 0, ..Blame::of(condition, failure) });
                    false
                }
                Verdict::Fail(failure) => {
                    let blame = Blame::of(Condition::ProcessingFailed, failure);
                    fates.fail(position, blame.tried(attempts, inputs.offset(position)));
                    true
                }
                verdict => {
                    fates.add(position, verdict);
                    if let Some(part) = fates.failed_in_part().filter(|_| stops) {
                        halt = Some(Halt::Failed(part.condition, part.failure.clone()));
                        return;
                    }
                    false
                }
            };
            tally.add(breaker, inputs.offset(position), failed);
            position += 1;
        })?;
        Ok((answer, position, halt))
    }

    fn fatal_stops(&self) -> bool {
        self.run.policy.on_fatal == OnFatal::Stop || (self.run.fatal_stops && !self.answered)
    }

    /// The record at `position` wants to come again; those before it have their verdicts.
    fn record_wishes(&mut self, position: usize, end: usize, wish: Postponement) -> Option<End> {
        let attempt = self.count_wish(position);
        if self.may_retry(attempt) {
            return Some(End::Postponed { position, wish, attempt });
        }
        // What came after it in the call was not looked at.
        self.waiting.push(Piece::Ask { range: position + 1..end, exhausted: false });
        self.blame(position, blame::exhausted(wish))
    }

    /// The whole call wants to come again.
    fn call_wishes(&mut self, range: Range<usize>, wish: Postponement, was_exhausted: bool) -> Option<End> {
        if !was_exhausted {
            let attempt = self.count_wish(range.start);
            if self.may_retry(attempt) {
                return Some(End::Postponed { position: range.start, wish, attempt });
            }
        }
        if range.len() == 1 {
            return self.blame(range.start, blame::exhausted(wish));
        }
        self.halve(&range, true);
        None
    }

    fn count_wish(&mut self, position: usize) -> u32 {
        let offset = self.run.inputs.offset(position);
        self.step.attempts.wish(offset, self.run.now.wall_ms)
    }

    fn may_retry(&self, attempt: u32) -> bool {
        self.run.policy.retries.is_none_or(|retries| attempt <= retries)
    }

    fn call_failed(&mut self, range: Range<usize>, error: &CallError, used: bool) -> Option<End> {
        if let CallError::Timeout { .. } = error {
            if let Some(cause) = self.step.breaker.timed_out(self.run.limit) {
                return Some(End::Held(cause));
            }
            let origin = |position| self.run.inputs.origin(position);
            let inputs = self.run.scope.within(origin(range.start), origin(range.end - 1));
            if inputs > 1 {
                return Some(End::TooSlow { position: range.start, inputs });
            }
        }
        if range.len() > 1 {
            self.halve(&range, false);
            return None;
        }
        // What an instance has become by its earlier calls is not this record's fault.
        if used && matches!(error, CallError::Trap { .. } | CallError::OutOfMemory { .. }) {
            self.waiting.push(Piece::Ask { range, exhausted: false });
            return None;
        }
        self.blame(range.start, blame::of_call(error))
    }

    fn halve(&mut self, range: &Range<usize>, exhausted: bool) {
        let middle = range.start + range.len() / 2;
        self.waiting.push(Piece::Ask { range: middle..range.end, exhausted });
        self.waiting.push(Piece::Ask { range: range.start..middle, exhausted });
    }

    /// The record at `position` is to blame for what happened.
    fn blame(&mut self, position: usize, blame: Blame) -> Option<End> {
        if self.run.policy.on_error == OnError::Stop {
            return Some(self.stop_at(position, blame.condition, blame.failure));
        }
        let offset = self.run.inputs.offset(position);
        let asked = blame.tried(&self.step.attempts, offset);
        self.fates.fail(position, asked);
        self.tally.add(&self.step.breaker, offset, true);
        None
    }

    /// Stops at the record; those before it are taken in first.
    fn stop_at(&self, position: usize, condition: Condition, failure: Failure) -> End {
        let inputs = self.run.inputs;
        if inputs.origin(position) == inputs.origin(0) {
            End::Failed(condition, failure)
        } else {
            End::Before { position }
        }
    }

    /// These are older than the policy allows: that is no failure of the plugin.
    fn expire(&mut self, range: Range<usize>) -> Option<End> {
        for position in range {
            let age_ms = self.run.now.wall_ms.saturating_sub(self.run.inputs.read_ms(position));
            let blame = blame::too_old(age_ms, self.run.policy.max_record_age.unwrap_or_default());
            if self.run.policy.on_error == OnError::Stop {
                return Some(self.stop_at(position, blame.condition, blame.failure));
            }
            let offset = self.run.inputs.offset(position);
            let wishes = self.step.attempts.wishes(offset);
            let first_attempt_ms = self.step.attempts.first_ms(offset);
            self.fates.fail(position, Blame { attempts: wishes, first_attempt_ms, ..blame });
        }
        None
    }

    /// Once a run: the dead letters hold the rest.
    fn warn_once(&mut self, range: &Range<usize>, error: &CallError) {
        if std::mem::replace(&mut self.warned, true) {
            return;
        }
        let (transform, code, records) = (self.run.transform, error.code(), range.len());
        let offset = self.run.inputs.offset(range.start);
        tracing::warn!(transform, code, records, offset, "a plugin's call failed");
    }
}
