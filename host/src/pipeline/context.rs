//! What all lanes of a pipeline share.
//!
//! Owns nothing that changes but counters. Invariant: everything here is made before the first lane and
//! outlives the last.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::cpu::CpuPool;
use super::memory::Memory;
use super::target::Target;
use super::{Error, Stats, lane};
use crate::batch::{CutPolicy, Provenance, Sinks};
use crate::clock::Random;
use crate::config;
use crate::ledger::{Chain, Commit, Entry, LanePath, LastEntry, Ledger, Publish, PublishError, Starts, Tail, TopicIdentity};
use crate::record::{DEAD_LETTER_SINK, Epoch, TopicPartition};
use crate::sink::object_store::Publisher;
use crate::source::Command;
use crate::source::kafka::{EmbeddedBroker, Handle, Queries, Watermarks};
use crate::transform;

/// Chains that are taken over at once: each is a handful of requests, and an assignment of 5,000
/// partitions must not become 5,000 connections.
pub(super) const TAKE_OVERS: usize = 64;

/// How long a command waits while the source is busy with others.
const SOURCE_BUSY: Duration = Duration::from_millis(5);

/// The folder of a store that is Vanne's own.
pub(super) const OWN_FOLDER: &str = "_vanne";

/// A topic that the pipeline reads.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) identity: TopicIdentity,
    pub(super) starts: Starts,
}

/// The shared parts of a pipeline.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) config: config::Pipeline,
    pub(super) ledger: Ledger,
    pub(super) topics: BTreeMap<Arc<str>, Topic>,
    pub(super) targets: BTreeMap<Arc<str>, Target>,
    pub(super) publisher: Publisher,
    pub(super) sinks: Arc<Sinks>,
    pub(super) cut_policy: CutPolicy,
    pub(super) transforms: Arc<transform::Chain>,
    pub(super) provenance: Vec<Provenance>,
    pub(super) cpu: CpuPool,
    pub(super) source: Handle,
    pub(super) queries: Arc<Queries>,
    pub(super) embedded: Option<EmbeddedBroker>,
    pub(super) random: Random,
    pub(super) stats: Arc<Stats>,
    pub(super) memory: Memory,
    pub(super) take_overs: Semaphore,
    pub(super) epochs: AtomicU64,
    pub(super) instances: AtomicU64,
    pub(super) stopping: CancellationToken,
}
