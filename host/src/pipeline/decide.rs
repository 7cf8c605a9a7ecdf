//! What only a person can decide: where a chain begins that the ledger can't vouch for.
//!
//! Owns the way from a decision to `_start.json`. Invariant: reads no record and joins no group; a topic
//! that has chains is left as it is.

use tokio_util::sync::CancellationToken;

use super::Error;
use super::context::EntryPublisher;
use super::target::Targets;
use super::topics::{self, Asker};
use crate::config::{self, Broker};
use crate::ledger::{Ledger, PartitionLog, StartAt, Starts, TopicIdentity};
use crate::source::kafka::Queries;

/// A decision.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Begin new chains here.
    NewChain(At),
    /// Go on behind the chains of the pipeline of this name.
    Adopt(String),
}

/// Where new chains begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// At what the group committed; where it committed nothing, at the oldest record.
    Committed,
    /// At the oldest record.
    Earliest,
    /// At the end.
    Latest,
    /// At this offset in every partition.
    Offset(u64),
}

/// Carries out a decision for every topic of a pipeline.
///
/// # Errors
/// What the ledger or the broker refuses; topics before it are decided then.
pub async fn decide(config: config::Pipeline, decision: Decision) -> Result<Vec<Starts>, Error> {
    let Broker::Kafka { brokers } = &config.source.broker else { return Err(Error::EmbeddedDecision) };
    let targets = Targets::open(&config).await?;
    let ledger = targets.open_ledger(&config).await?;
    let asker = Asker::new(Queries::new(&config.source, brokers)?, false);
    let mut decided = Vec::new();
    for name in &config.source.topics {
        let topic = TopicIdentity { name: name.clone(), id: asker.topic_id(name).await? };
        let starts = match &decision {
            Decision::NewChain(at) => new_chain(&ledger, &asker, &topic, *at).await?,
            Decision::Adopt(from) => adopt(&ledger, &targets, &topic, from).await?,
        };
        decided.push(starts);
    }
    Ok(decided)
}

async fn new_chain(ledger: &Ledger, asker: &Asker, topic: &TopicIdentity, at: At) -> Result<Starts, Error> {
    let partitions = asker.partitions(&topic.name).await?;
    let commits = asker.commits(&partitions).await?;
    let logs: Vec<PartitionLog> = topics::logs(asker, partitions, commits).await?;
    let start = match at {
        At::Committed => StartAt::Committed,
        At::Earliest => StartAt::Earliest,
        At::Latest => StartAt::Latest,
        At::Offset(offset) => StartAt::Offsets(logs.iter().map(|log| (log.partition, offset)).collect()),
    };
    Ok(ledger.new_chain(topic, &start, &logs).await?)
}

async fn adopt(
    ledger: &Ledger,
    targets: &Targets,
    topic: &TopicIdentity,
    from: &str,
) -> Result<Starts, Error> {
    let old = targets.open_old_ledger(from).await?;
    let publisher = EntryPublisher(targets.publisher(CancellationToken::new()));
    Ok(ledger.adopt(&old, topic, &targets.sink_places(), &publisher).await?)
}
