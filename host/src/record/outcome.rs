//! What became of a batch's records in the transforms: verdicts that point into the input (forward) or
//! into an arena of what was made new (replace, emit).
//!
//! Owns the shape and the accounts. Invariant: each input of the batch is exactly one of dropped, dead
//! (`failed`) or kept (it stands in `outputs` or `partial`), but for those from `rest` on.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Arena, RecordRef};

/// Why a record, or one of its outputs, could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A short stable word for machines, such as `BadTime`.
    pub code: String,
    /// What a person needs to mend it.
    pub detail: String,
}

/// A record that is to come again, with all after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postponement {
    /// A short stable word for machines.
    pub code: String,
    /// Why, for people.
    pub reason: String,
    /// When to try again, in milliseconds; `None` leaves it to the host's backoff.
    pub after_ms: Option<u32>,
}

/// What a transform added to a record without touching its key or value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotation {
    /// Names of the sinks it goes to; empty: every sink that takes records without routes.
    pub routes: Vec<String>,
    /// Values for `!{partition:NAME}` in a prefix.
    pub partition_keys: Vec<(String, String)>,
    /// Headers beside those of the record.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Which arena holds an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputSource {
    /// The input record itself, unchanged.
    Input,
    /// The record at this position of [`Transformed::produced`].
    Produced(u32),
}

/// One record to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// Position in the batch of the record that it came from.
    pub input: u32,
    /// Which of the records that its offset became.
    pub index: u32,
    /// Where its bytes are.
    pub source: OutputSource,
    /// Position in [`Transformed::annotations`].
    pub annotation: Option<u32>,
}

/// What kind of failure it was, in the words that dead letters and metrics use.
///
/// The names follow AWS Lambda's on-failure destinations where it has one (`RetryAttemptsExhausted`,
/// `RecordAgeExceeded`), and say the true cause where it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Condition {
    /// The plugin's own verdict on this record, or on one of its outputs.
    ProcessingFailed,
    /// The plugin trapped: panic, exit, exhausted stack.
    Trap,
    /// The call took longer than it may.
    Timeout,
    /// The plugin wanted more memory than it may have.
    OutOfMemory,
    /// The plugin gave more bytes than it may.
    OutputTooLarge,
    /// The plugin's answer breaks the contract: a wrong count, a bound that is out of bounds.
    BadResponse,
    /// The plugin said that no call can succeed.
    Fatal,
    /// The plugin asked for a retry more often than the policy allows.
    RetryAttemptsExhausted,
    /// The record was older than the policy allows when its turn came.
    RecordAgeExceeded,
    /// A header's name is not UTF-8, which the plugin contract cannot carry.
    BadHeader,
    /// The filter needs JSON, and the record holds none.
    FilterNotJson,
    /// An output is routed to a sink that there is not.
    UnknownRoute,
    /// The sink's format cannot hold the output.
    SinkRefused,
}

/// What a plugin left behind when a call failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Functions, innermost first, one a line; empty where the component names none.
    pub backtrace: String,
    /// The last 4 KiB of what it logged or printed in the call.
    pub log: String,
}

/// A failure and the record that it struck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Position in the batch.
    pub input: u32,
    /// Which output failed; `None`: the record as a whole.
    pub index: Option<u32>,
    /// The value of the output that failed, where there is one.
    pub value: Option<Vec<u8>>,
    /// What kind of failure.
    pub condition: Condition,
    /// Why.
    pub failure: Failure,
    /// Position of the transform that failed; `None`: none was called.
    pub transform: Option<u16>,
    /// How often the transform was asked about the record, counted over its retries; 0: never.
    pub attempts: u32,
    /// When it was first asked, milliseconds since 1970 UTC; `None`: never, or only this once.
    pub first_attempt_ms: Option<i64>,
    /// What the plugin left behind; shared by the records of one call.
    pub report: Option<Arc<Report>>,
}

impl Failed {
    /// A failure of the record at `input` as a whole, of which nothing else is known.
    #[must_use]
    pub fn whole(input: u32, condition: Condition, failure: Failure) -> Self {
        Self {
            input,
            index: None,
            value: None,
            condition,
            failure,
            transform: None,
            attempts: 0,
            first_attempt_ms: None,
            report: None,
        }
    }

    /// A failure of one output of the record at `input`.
    #[must_use]
    pub fn partial(
        input: u32,
        index: u32,
        value: Option<Vec<u8>>,
        condition: Condition,
        failure: Failure,
    ) -> Self {
        Self { index: Some(index), value, ..Self::whole(input, condition, failure) }
    }
}

/// The inputs of a batch that have no results yet, and come again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// The first of them.
    pub from: u32,
    /// When they come again.
    pub wait: Wait,
}

/// When the rest of a batch comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// At once: it was more than can be done in one go.
    Not,
    /// Later, at a transform's wish.
    Wish {
        /// The transform.
        transform: Arc<str>,
        /// How often it has wished so for the first of them.
        attempt: u32,
        /// What it said.
        wish: Postponement,
    },
}

/// The results of a batch.
#[derive(Debug, Default)]
pub struct Transformed {
    /// Records to deliver, in order of their inputs.
    pub outputs: Vec<Output>,
    /// Bytes of the outputs that are not their input.
    pub produced: Arena,
    /// Annotations that outputs refer to.
    pub annotations: Vec<Annotation>,
    /// Inputs that were filtered out.
    pub dropped: u64,
    /// Inputs that failed as a whole.
    pub failed: Vec<Failed>,
    /// Outputs that failed, of inputs that are kept.
    pub partial: Vec<Failed>,
    /// Where the results end, if before the batch does.
    pub rest: Option<Rest>,
}

impl Transformed {
    /// Forgets the results and keeps the memory.
    pub fn clear(&mut self) {
        self.outputs.clear();
        self.produced.clear();
        self.annotations.clear();
        self.dropped = 0;
        self.failed.clear();
        self.partial.clear();
        self.rest = None;
    }

    /// The record that an output stands for; `input` is the arena of the batch.
    #[must_use]
    pub fn record<'a>(&'a self, input: &'a Arena, output: &Output) -> RecordRef<'a> {
        let record = match output.source {
            OutputSource::Input => input.record(output.input as usize),
            OutputSource::Produced(position) => self.produced.record(position as usize),
        };
        RecordRef { index: output.index, ..record }
    }

    /// The annotation of an output.
    #[must_use]
    pub fn annotation(&self, output: &Output) -> Option<&Annotation> {
        output.annotation.map(|position| &self.annotations[position as usize])
    }
}
