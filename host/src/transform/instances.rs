//! The instance of a transform in a lane: made when it is first needed, dropped when a call kills it.
//!
//! Invariant: a dead instance is never called again.

use std::ops::Range;
use std::time::Duration;

use crate::clock;
use crate::plugin::{CallError, Error, Inputs, Verdict};

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

/// The place of an instance.
#[derive(Default)]
pub(super) struct Slot {
    call: Option<Box<dyn Call>>,
    /// It has answered since it was made, so that it may have changed.
    used: bool,
}

/// What a call is about.
pub(super) struct Ask<'a> {
    pub(super) inputs: &'a Inputs<'a>,
    pub(super) range: Range<usize>,
    pub(super) attempt: u32,
}

/// How a call went.
pub(super) struct Answer {
    pub(super) result: Result<(), CallError>,
    pub(super) took: Duration,
    /// The instance was not fresh: what it had become by earlier calls may be to blame.
    pub(super) used: bool,
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

    /// Makes the instance, where there is none.
    pub(super) fn warm(&mut self, make: &dyn Make) -> Result<(), Error> {
        if self.call.is_none() {
            self.call = Some(make.make()?);
        }
        Ok(())
    }

    /// Makes one call, on a fresh instance where there is none.
    pub(super) fn call(
        &mut self,
        make: &dyn Make,
        ask: &Ask<'_>,
        take: &mut dyn FnMut(Verdict<'_>),
    ) -> Result<Answer, Error> {
        let call = match &mut self.call {
            Some(call) => call,
            empty => empty.insert(make.make()?),
        };
        let used = std::mem::replace(&mut self.used, true);
        let began = clock::running();
        let result = call.process(ask.inputs, ask.range.clone(), ask.attempt, take);
        let took = clock::running().saturating_sub(began);
        if result.as_ref().is_err_and(CallError::kills) {
            self.clear();
        }
        Ok(Answer { result, took, used })
    }
}
