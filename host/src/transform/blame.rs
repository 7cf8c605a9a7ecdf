//! Why a record failed, and what its dead letter will say of it.
//!
//! Owns the words of failures that the host itself finds. Does not decide what becomes of the record.

use std::sync::Arc;
use std::time::Duration;

use super::attempts::Attempts;
use crate::plugin::CallError;
use crate::record::{Condition, Failure, Postponement, Report};

/// Why a record failed, and what is known about it.
#[derive(Debug)]
pub(super) struct Blame {
    pub(super) condition: Condition,
    pub(super) failure: Failure,
    /// How often the plugin was asked about it.
    pub(super) attempts: u32,
    pub(super) first_attempt_ms: Option<i64>,
    pub(super) report: Option<Arc<Report>>,
}

impl Blame {
    /// Asked once, and nothing left behind.
    pub(super) fn of(condition: Condition, failure: Failure) -> Self {
        Self { condition, failure, attempts: 1, first_attempt_ms: None, report: None }
    }

    /// With how often the record at `offset` was asked about, this time included.
    pub(super) fn tried(self, attempts: &Attempts, offset: u64) -> Self {
        let wishes = attempts.wishes(offset);
        // The last wish of all and the call that it answered are one attempt.
        let is_counted = self.condition == Condition::RetryAttemptsExhausted && wishes > 0;
        let attempts_made = wishes.saturating_add(u32::from(!is_counted));
        Self { attempts: attempts_made, first_attempt_ms: attempts.first_ms(offset), ..self }
    }
}

/// A record that has no retries left.
pub(super) fn exhausted(wish: Postponement) -> Blame {
    let Postponement { code, reason, .. } = wish;
    Blame::of(Condition::RetryAttemptsExhausted, Failure { code, detail: reason })
}

/// A record that is older than it may be.
pub(super) fn too_old(age_ms: i64, most: Duration) -> Blame {
    let detail =
        format!("the record is {} s old, `max_record_age` is {} s", age_ms / 1000, most.as_secs_f64());
    Blame::of(Condition::RecordAgeExceeded, Failure { code: String::from("RecordAgeExceeded"), detail })
}

/// The record that a failed call is to blame on.
pub(super) fn of_call(error: &CallError) -> Blame {
    let failure = Failure { code: error.code().to_owned(), detail: error.to_string() };
    let report = error.report().map(Arc::new);
    Blame { report, ..Blame::of(error.condition(), failure) }
}
