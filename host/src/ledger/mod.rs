//! The ledger: write-once entries that say which range of a partition became which objects.
//!
//! Owns where entries, claims and starts lie, what they say, and the rules by which any number of
//! writers (owners, losers, takers, and those who do not know that they were replaced) share one chain:
//!
//! - one entry a start offset, **create-only: that create is the commit** ([`Chain::create`]);
//! - **publish before next**: nobody creates an entry before the one it follows is published, so only a
//!   chain's last entry can be in doubt ([`Tail`], [`Chain::take_over`], [`Chain::follow`]);
//! - a create without an answer is sent again, byte for byte, until an entry is *read* at that start;
//! - an entry is mine only when nonce **and** digest are mine;
//! - nobody removes what somebody else has staged, unless it lies below the last entry's start
//!   ([`Chain::collect_garbage`]);
//! - revisions are numbered create-only as well, and never fall along a chain ([`Revisions`]).
//!
//! Does not know how objects are made, staged or put in place (that is a [`Publish`]), nor Kafka: what
//! a group committed comes in as a [`Commit`], and what logs hold as a [`PartitionLog`].
//!
//! Invariant: along a chain every entry starts where the one before it ends, names it by its digest,
//! has no lower revision, and was created only after all objects of that one were in place.
//!
//! # The way of a lane
//!
//! [`Ledger::open`]; [`Ledger::claim`] for each sink; [`Ledger::starts`] or, the first time,
//! [`Ledger::check_first_start`], [`resolve`], [`Ledger::record_starts`]; [`Ledger::chain`];
//! [`Chain::take_over`], or [`Chain::begin`] where there is no entry yet; then, range after range: stage,
//! [`Chain::create`], [`Chain::publish`], and [`Chain::commit`] for Kafka. On [`Outcome::Theirs`]: [`Chain::follow`], drop own staging, seek to the
//! new end. At the end of its time: [`Chain::close`].

mod admin;
mod chain;
mod claim;
mod codec;
mod commit;
mod create;
mod document;
mod entry;
mod error;
mod garbage;
mod identity;
mod kept;
mod lookup;
mod path;
mod patience;
mod revision;
mod revisions;
mod search;
mod start;
mod take_over;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use chain::{Chain, Tail};
pub use claim::SinkPlace;
pub use codec::{INLINE_BYTES_MAX, LastEntry};
pub use commit::{Commit, Note};
pub use create::Outcome;
pub use entry::*;
pub use error::{Conflict, Error, Kind, PublishError, Result};
pub use identity::{Ledger, Options, Place, TopicIdentity, machine_id};
pub use kept::{COMPONENT_BYTES_MAX, CONFIG_BYTES_MAX};
pub use lookup::pipelines;
pub use path::{LanePath, StagedName, check_pipeline, check_sink, is_unique_id};
pub use revision::*;
pub use revisions::{Created, Revisions};
pub use start::{Origin, PartitionLog, StartAt, Starts, resolve};
pub use take_over::Publish;
