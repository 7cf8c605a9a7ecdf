//! The world `columnar-transform`: one buffer of records in, one buffer of results out.
//!
//! Owns the call; `gather` makes what goes in, `answer` checks and reads what comes out.

use std::ops::Range;

use wasmtime::component::TypedFunc;

use super::answer::Answer;
use super::bindings::exports::vanne::transform::columnar as wit;
use super::bindings::vanne::transform::types::{BatchError, BatchInfo};
use super::component::Reads;
use super::ergonomic::batch_error;
use super::error::CallError;
use super::gather::{Gather, TooLarge};
use super::instance::{Caller, bad_header};
use super::verdict::{Inputs, Verdict};

type Params<'a> = (BatchInfo<'a>, wit::Batch<'a>);
type Results = (Result<wit::Results, BatchError>,);
/// `columnar.process`.
pub(super) type Process = TypedFunc<Params<'static>, Results>;

/// The function, and the memory that its calls share.
pub(super) struct Columnar {
    process: Process,
    gather: Gather,
}

impl Columnar {
    pub(super) fn new(process: Process) -> Self {
        Self { process, gather: Gather::default() }
    }

    /// Asks what becomes of the records in `range`, and hands each verdict to `take` in order. Where it
    /// fails, `take` was not called.
    pub(super) fn process(
        &mut self,
        caller: &mut Caller,
        reads: Reads,
        inputs: &Inputs<'_>,
        range: Range<usize>,
        attempt: u32,
        take: &mut dyn FnMut(Verdict<'_>),
    ) -> Result<(), CallError> {
        let passed = self.gather.pass(inputs, range.clone(), reads, attempt);
        let passed = passed.map_err(|TooLarge| caller.out_of_memory())?;
        let skips = |position: usize| passed.skipped.binary_search(&position).is_ok();
        let Some(first) = range.clone().find(|position| !skips(*position)) else {
            range.for_each(|_| take(bad_header()));
            return Ok(());
        };
        let messages = passed.batch.present.len();
        let identity = caller.identity();
        let process: TypedFunc<Params<'_>, Results> = self.process;
        let first = inputs.record(first);
        let (results,) = caller.call(process, (identity.batch_info(), passed.batch), Some(&first))?;
        let mut answer = Answer::check(results.map_err(batch_error)?, messages, caller.output_bytes_max())?;
        for position in range {
            if skips(position) {
                take(bad_header());
            } else {
                answer.hand_next(take);
            }
        }
        Ok(())
    }
}
