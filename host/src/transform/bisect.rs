//! Calls a transform until each record has a verdict: a call that fails is made again in halves until
//! the records to blame stand alone.
//!
//! Invariant: verdicts come in the order of the records, one each, until a wish to retry ends them. With
//! k bad records among n it takes at most `1 + k (2 log2 n + 1)` calls: two for each halving, and one more
//! where a record has to be tried on a fresh instance before it is blamed.

use std::ops::Range;

use crate::plugin::{CallError, Error, Inputs, Verdict};
use crate::record::{Failure, Postponement};

/// Something that can be asked for verdicts: an instance, or its double in a test.
pub(super) trait Call: Send {
    /// Asks what becomes of the records in `range`, and hands each verdict to `take` in order. Where it
    /// fails, `take` was not called.
    fn process(
        &mut self,
        inputs: &Inputs<'_>,
        range: Range<usize>,
        attempt: u32,
        take: &mut dyn FnMut(Verdict<'_>),
    ) -> Result<(), CallError>;

    /// Linear memory that it holds.
    fn memory_bytes(&self) -> usize;
}

/// Where a fresh one comes from.
pub(super) trait Make {
    /// Makes one.
    fn make(&self) -> Result<Box<dyn Call>, Error>;
}

/// The instance of a lane, made when it is first needed.
#[derive(Default)]
pub(super) struct Slot {
    call: Option<Box<dyn Call>>,
    /// It has answered since it was made, so that it may have changed.
    used: bool,
}

impl Slot {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.call.is_none()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.call.as_ref().map_or(0, |call| call.memory_bytes())
    }

    fn process(
        &mut self,
        make: &dyn Make,
        run: &Run<'_>,
        range: Range<usize>,
        take: &mut dyn FnMut(Verdict<'_>),
    ) -> Result<Result<(), CallError>, Error> {
        let call = match &mut self.call {
            Some(call) => call,
            empty => empty.insert(make.make()?),
        };
        let result = call.process(run.inputs, range, run.attempt, take);
        self.used = true;
        if result.as_ref().is_err_and(CallError::kills) {
            self.clear();
        }
        Ok(result)
    }
}

/// What is to be done.
pub(super) struct Run<'a> {
    /// The transform's name, for the log.
    pub(super) transform: &'a str,
    pub(super) inputs: &'a Inputs<'a>,
    pub(super) attempt: u32,
    /// `fatal` ends the run instead of being searched for: nothing has succeeded yet.
    pub(super) fatal_stops: bool,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Each record has its verdict.
    Done,
    /// From this record on they come again.
    Postponed(usize, Postponement),
    /// The plugin says that no call can succeed.
    Fatal(String),
}

/// Gives each record its verdict.
///
/// # Errors
/// Where a fresh instance is needed and cannot be made.
pub(super) fn bisect(
    slot: &mut Slot,
    make: &dyn Make,
    run: &Run<'_>,
    take: &mut dyn FnMut(usize, Verdict<'_>),
) -> Result<End, Error> {
    let mut fatal_stops = run.fatal_stops;
    let mut failed_calls = 0_u64;
    let mut waiting: Vec<_> = std::iter::once(0..run.inputs.len()).collect();
    while let Some(range) = waiting.pop() {
        if range.is_empty() {
            continue;
        }
        let used = slot.used;
        let mut position = range.start;
        let mut postponed = None;
        let result = slot.process(make, run, range.clone(), &mut |verdict| match (&postponed, verdict) {
            (Some(_), _) => {}
            (None, Verdict::Retry(wish)) => postponed = Some(wish),
            (None, verdict) => {
                take(position, verdict);
                position += 1;
            }
        })?;
        if let Some(wish) = postponed {
            return Ok(End::Postponed(position, wish));
        }
        if let Err(error) = &result {
            failed_calls += 1;
            // Once a batch: the dead letters hold the rest.
            if failed_calls == 1 {
                warn(run, &range, error);
            }
        }
        match result {
            Ok(()) => fatal_stops = false,
            Err(CallError::Retry(wish)) => return Ok(End::Postponed(range.start, wish)),
            Err(CallError::Fatal(text)) if fatal_stops => return Ok(End::Fatal(text)),
            Err(_) if range.len() > 1 => {
                let middle = range.start + range.len() / 2;
                waiting.push(middle..range.end);
                waiting.push(range.start..middle);
            }
            // What an instance has become by its earlier calls is not this record's fault.
            Err(CallError::Trap { .. } | CallError::OutOfMemory { .. }) if used => waiting.push(range),
            Err(error) => take(range.start, Verdict::Fail(blame(&error))),
        }
    }
    Ok(End::Done)
}

fn warn(run: &Run<'_>, range: &Range<usize>, error: &CallError) {
    let (transform, code, records) = (run.transform, error.code(), range.len());
    let offset = run.inputs.record(range.start).offset;
    tracing::warn!(transform, code, records, offset, "a plugin's call failed");
}

fn blame(error: &CallError) -> Failure {
    Failure { code: error.code().to_owned(), detail: error.to_string() }
}
