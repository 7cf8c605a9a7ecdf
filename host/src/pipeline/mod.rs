//! The order of the stages: partitions in, objects out, exactly once.
//!
//! ```text
//!  source ──batches (2)──▶ lane ──job (1)──▶ cpu pool: transform, encode, compress
//!    ▲                      │ ▲                    │
//!    │                      │ └──── chunks ◀───────┘
//!    │                      ├──chunks (1)──▶ stager ──▶ store
//!    │                      └──one cut at a time──▶ commit: create entry ▶ publish ▶ commit offset
//!    └────────────────── assign, seek, unassign, commit ◀── supervisor
//! ```
//!
//! Numbers are what each hand-off holds at the most. Owns what no stage may know: which stage follows
//! which, lanes and their epochs, draining, the end of a run. Invariant: a range's offset is committed
//! after its entry is published, and its entry is created after the one before it is published.

mod build;
mod check;
mod code;
mod context;
mod cpu;
mod decide;
mod delivery;
mod ends;
mod error;
mod explain;
mod feed;
mod files;
mod inspect;
mod lane;
mod letters;
mod memory;
mod names;
mod operator;
mod operator_words;
mod preload;
mod progress;
mod revisions;
mod roster;
mod stats;
mod supervisor;
mod taken;
mod target;
mod topics;

pub use build::{Prepared, RunOptions, prepare};
pub use check::{Finding, check};
pub use decide::{At, Decision, decide, roll_back};
pub use error::{Error, chain_text};
pub use explain::{ExplainError, Explanation, Presence, explain};
pub(crate) use files::Files;
pub use inspect::{Subject, inspect};
pub use operator::Operator;
pub use preload::{Preload, preload};
pub use stats::Stats;
pub use supervisor::{Outcome, Summary};
pub use taken::Taken;
