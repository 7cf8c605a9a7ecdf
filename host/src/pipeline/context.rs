//! What all lanes of a pipeline share.
//!
//! Owns nothing that changes but counters; what a swap or a reload changes is in its [`Shapes`]. Invariant:
//! everything here is made before the first lane and outlives the last.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::cpu::Pools;
use super::memory::Memory;
use super::operator::Phase;
use super::revisions::Shapes;
use super::roster::Roster;
use super::target::OWN_FOLDER;
use super::topics::Asker;
use super::{Stats, lane};
use crate::clock::Random;
use crate::config;
use crate::ledger::{Chain, Commit, Entry, LanePath, Ledger, Starts, TopicIdentity};
use crate::record::{DEAD_LETTER_SINK, Epoch, TopicPartition};
use crate::source::Command;
use crate::source::kafka::{self, EmbeddedBroker, Handle, Watermarks};

/// Chains that are taken over at once: each is a handful of requests, and an assignment of 5,000
/// partitions must not become 5,000 connections.
pub(super) const TAKE_OVERS: usize = 64;

/// How long a command waits while the source is busy with others.
const SOURCE_BUSY: Duration = Duration::from_millis(5);

/// A topic that the pipeline reads.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) identity: TopicIdentity,
    pub(super) starts: Starts,
}

/// The shared parts of a pipeline.
#[derive(Debug)]
pub(super) struct Context {
    /// This host's own file: who it is, and what it reads.
    pub(super) own: config::Pipeline,
    pub(super) ledger: Ledger,
    pub(super) topics: BTreeMap<Arc<str>, Topic>,
    pub(super) shapes: Arc<Shapes>,
    pub(super) roster: Roster,
    pub(super) phase: Phase,
    pub(super) pools: Pools,
    pub(super) source: Handle,
    pub(super) asker: Asker,
    pub(super) embedded: Option<EmbeddedBroker>,
    pub(super) random: Random,
    pub(super) stats: Arc<Stats>,
    pub(super) memory: Memory,
    pub(super) take_overs: Semaphore,
    /// Parts on their way to stores.
    pub(super) uploads: Semaphore,
    pub(super) epochs: AtomicU64,
    /// How many lanes may keep their plugin instances between batches.
    pub(super) instances: Arc<Semaphore>,
}

impl Context {
    /// A new epoch; never given twice in a process, so that no lane can mistake another's.
    pub(super) fn next_epoch(&self) -> Epoch {
        Epoch(self.epochs.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Tells the source something, waiting while it is busy; said to nobody once it has ended.
    pub(super) async fn tell(&self, command: Command) {
        let mut command = command;
        while let Err(refused) = self.source.send(command) {
            if refused.ended {
                return;
            }
            command = refused.command;
            tokio::time::sleep(SOURCE_BUSY).await;
        }
    }

    fn topic(&self, origin: &TopicPartition) -> &Topic {
        self.topics.get(&origin.topic).expect("the source reads only the pipeline's topics")
    }

    /// Whether a topic is still the one that the pipeline began with.
    pub(super) async fn check_topic(&self, name: &Arc<str>) -> Result<(), lane::Error> {
        let now = self.asker.topic_id(name).await?;
        let before = self.topics.get(name).map_or("", |topic| &topic.identity.id);
        if now == before {
            return Ok(());
        }
        Err(lane::Error::TopicMadeAgain { topic: name.to_string(), now, before: before.to_owned() })
    }

    /// The chain of a partition.
    pub(super) fn chain(&self, origin: &TopicPartition) -> Result<Chain, lane::Error> {
        let topic = self.topic(origin);
        Ok(self.ledger.chain(&topic.identity, origin.partition, &topic.starts)?)
    }

    /// The lane's paths in the sinks' stores.
    pub(super) fn staging_lane(&self, origin: &TopicPartition) -> Result<LanePath, lane::Error> {
        let topic = self.topic(origin);
        Ok(LanePath::new(OWN_FOLDER, &self.own.name, &topic.identity, origin.partition)?)
    }

    /// The ends of a partition's log.
    pub(super) async fn watermarks(&self, origin: &TopicPartition) -> Result<Watermarks, kafka::Error> {
        let asked = origin.clone();
        self.asker.ask(move |queries| queries.watermarks(&asked)).await
    }

    /// What the group has committed.
    pub(super) async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<HashMap<TopicPartition, Commit>, kafka::Error> {
        let commits = self.asker.commits(partitions).await?;
        let known = partitions.iter().cloned().zip(commits);
        Ok(known.filter_map(|(partition, commit)| Some((partition, commit?))).collect())
    }

    /// Counts a committed entry.
    pub(super) fn count(&self, entry: &Entry) {
        let stats = &self.stats;
        Stats::add(&stats.entries, 1);
        Stats::add(&stats.read, entry.read);
        Stats::add(&stats.dropped, entry.dropped);
        for (name, sink) in &entry.sinks {
            let objects = sink.objects.len() as u64;
            if name == DEAD_LETTER_SINK {
                Stats::add(&stats.dead_letters, sink.written);
                Stats::add(&stats.dead_letter_objects, objects);
            } else {
                Stats::add(&stats.written, sink.written);
                Stats::add(&stats.objects, objects);
                Stats::add(&stats.bytes, sink.objects.iter().map(|object| object.bytes).sum());
            }
        }
        tracing::debug!(topic = %entry.topic, partition = entry.partition, start = entry.start, end = entry.end,
            cause = ?entry.cause, read = entry.read, "committed");
    }

    /// Leaves the group, after outstanding commits.
    pub(super) async fn close_source(&self) {
        self.tell(Command::Close).await;
        let source = self.source.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || source.join()).await {
            tracing::error!(%error, "the source did not end well");
        }
    }
}
