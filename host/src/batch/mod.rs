//! What a lane has read and not yet committed: open objects, and the accounts of their range.
//!
//! Owns encoding outputs into objects, when a range is due to end, and what becomes of each record.
//! Does not know where objects go, the ledger, or the clock: it hands out bytes and numbers, and is
//! told the time. Everything here is plain data worked by one thread at a time.
//!
//! Invariant: of every record taken in, exactly one of dropped, dead and kept is counted, and every
//! failure is a dead letter in the same range. No object holds records of two versions of the transforms.

mod accounts;
mod buffer;
mod bury;
mod cut;
mod dead_letter;
mod error;
mod fates;
mod parts;
mod range;

pub use accounts::{Accounts, Chunk, ClosedRange, SinkAccounts, SinkSpec, Sinks};
pub use buffer::{Finished, ObjectBuffer, ObjectSummary, Ratio, STREAM_FROM_BYTES};
pub use cut::{CutPolicy, DROPPED_OFFSETS_MAX, RUNS_MAX, RangeState};
pub use dead_letter::{Content, DeadLetter, Header, Original, Provenance};
pub use error::Error;
pub use range::{OpenRange, Part, Worked};
