//! The topics of a pipeline at its start: ids, claims, and where each partition begins.
//!
//! Owns the first contact with each topic. Invariant: claims stand before a start is resolved, and a
//! start is resolved once for all hosts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Error;
use super::build::EndOffsets;
use super::context::Topic;
use super::target::Targets;
use crate::config::{self, Start};
use crate::ledger::{Commit, Ledger, PartitionLog, StartAt, Starts, TopicIdentity, resolve};
use crate::record::TopicPartition;
use crate::source::kafka::{self, Queries};

/// Asks a broker, on threads that may wait.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    queries: Arc<Queries>,
    is_embedded: bool,
}

/// Stands for the id of an embedded broker's topics, which it does not have: each run of an embedded
/// broker has a ledger of its own, so that no two topics of one name meet.
const EMBEDDED_ID: &str = "embedded";

impl Asker {
    pub(super) fn new(queries: Queries, is_embedded: bool) -> Self {
        Self { queries: Arc::new(queries), is_embedded }
    }

    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Queries) -> Result<T, kafka::Error> + Send + 'static,
    ) -> Result<T, kafka::Error> {
        let queries = Arc::clone(&self.queries);
        match tokio::task::spawn_blocking(move || question(&queries)).await {
            Ok(answer) => answer,
            Err(_) => Err(kafka::Error::Panicked),
        }
    }

    pub(super) async fn topic_id(&self, topic: &str) -> Result<String, kafka::Error> {
        if self.is_embedded {
            return Ok(EMBEDDED_ID.to_owned());
        }
        let topic = topic.to_owned();
        self.ask(move |queries| queries.topic_id(&topic)).await
    }

    pub(super) async fn partitions(&self, topic: &str) -> Result<Vec<TopicPartition>, kafka::Error> {
        let name: Arc<str> = Arc::from(topic);
        let asked = Arc::clone(&name);
        let numbers = self.ask(move |queries| queries.partitions(&asked)).await?;
        let partition = |partition| TopicPartition { topic: Arc::clone(&name), partition };
        Ok(numbers.into_iter().map(partition).collect())
    }

    pub(super) async fn commits(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<Commit>>, kafka::Error> {
        let asked = partitions.to_vec();
        let commits = self.ask(move |queries| queries.committed(&asked)).await?;
        let commit = |commit: kafka::Committed| Commit { offset: commit.offset, metadata: commit.metadata };
        Ok(commits.into_iter().map(|known| known.map(commit)).collect())
    }

    /// The end of each partition's log.
    async fn latest(&self, partitions: &[TopicPartition]) -> Result<Vec<u64>, kafka::Error> {
        let asked = partitions.to_vec();
        let logs = self.ask(move |queries| watermarks(queries, asked)).await?;
        Ok(logs.into_iter().map(|(_, log)| log.high).collect())
    }

    /// The end that each partition of the topics has now.
    pub(super) async fn ends(&self, topics: &BTreeMap<Arc<str>, Topic>) -> Result<EndOffsets, kafka::Error> {
        let mut ends = EndOffsets::new();
        for topic in topics.keys() {
            let partitions = self.partitions(topic).await?;
            let logs = self.ask(move |queries| watermarks(queries, partitions)).await?;
            ends.extend(logs.into_iter().map(|(partition, log)| (partition, log.high)));
        }
        Ok(ends)
    }
}

fn watermarks(
    queries: &Queries,
    partitions: Vec<TopicPartition>,
) -> Result<Vec<(TopicPartition, kafka::Watermarks)>, kafka::Error> {
    partitions
        .into_iter()
        .map(|partition| {
            let log = queries.watermarks(&partition)?;
            Ok((partition, log))
        })
        .collect()
}

/// Identifies, claims and begins every topic.
pub(super) async fn begin(
    config: &config::Pipeline,
    ledger: &Ledger,
    targets: &Targets,
    asker: &Asker,
) -> Result<BTreeMap<Arc<str>, Topic>, Error> {
    let mut topics = BTreeMap::new();
    for name in &config.source.topics {
        let identity = TopicIdentity { name: name.clone(), id: asker.topic_id(name).await? };
        targets.claim(ledger, &identity).await?;
        let starts = starts(config, ledger, &identity, asker).await?;
        topics.insert(Arc::from(name.as_str()), Topic { identity, starts });
    }
    Ok(topics)
}

async fn starts(
    config: &config::Pipeline,
    ledger: &Ledger,
    topic: &TopicIdentity,
    asker: &Asker,
) -> Result<Starts, Error> {
    if let Some(starts) = ledger.starts(topic).await? {
        return Ok(starts);
    }
    let partitions = asker.partitions(&topic.name).await?;
    let commits = asker.commits(&partitions).await?;
    ledger.check_first_start(topic, commits.iter().any(Option::is_some)).await?;
    let at = start_at(config, topic, asker, &partitions).await?;
    let logs = logs(asker, partitions, commits).await?;
    Ok(ledger.record_starts(topic, resolve(topic, &at, &logs)?).await?)
}

/// The logs of a topic's partitions, with what the group committed for each.
pub(super) async fn logs(
    asker: &Asker,
    partitions: Vec<TopicPartition>,
    commits: Vec<Option<Commit>>,
) -> Result<Vec<PartitionLog>, Error> {
    let ends = asker.ask(move |queries| watermarks(queries, partitions)).await?;
    let log = |((partition, log), committed): ((TopicPartition, kafka::Watermarks), Option<Commit>)| {
        PartitionLog { partition: partition.partition, earliest: log.low, latest: log.high, committed }
    };
    Ok(ends.into_iter().zip(commits).map(log).collect())
}

async fn start_at(
    config: &config::Pipeline,
    topic: &TopicIdentity,
    asker: &Asker,
    partitions: &[TopicPartition],
) -> Result<StartAt, Error> {
    Ok(match &config.source.start {
        Start::Earliest => StartAt::Earliest,
        Start::Latest => StartAt::Latest,
        Start::Offsets(offsets) => StartAt::Offsets(offsets.get(&topic.name).cloned().unwrap_or_default()),
        Start::Time(ms) => {
            let (ms, asked) = (*ms, partitions.to_vec());
            let offsets = asker.ask(move |queries| queries.offsets_for_time(&asked, ms)).await?;
            let latest = asker.latest(partitions).await?;
            let found = offsets.into_iter().zip(latest).map(|(found, latest)| found.unwrap_or(latest));
            let numbers = partitions.iter().map(|partition| partition.partition);
            StartAt::Offsets(numbers.zip(found).collect())
        }
    })
}
