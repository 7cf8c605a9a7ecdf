//! What only a person can decide: where a chain begins that the ledger can't vouch for.
//!
//! Owns the way from a decision to `_start.json`. Invariant: reads no record and joins no group; a topic
//! that has chains is left as it is.

use std::sync::Arc;

use super::delivery::Delivery;
use super::error::chain_text;
use super::letters::LetterTopic;
use super::revisions::again;
use super::target::Targets;
use super::topics::{self, Asker};
use super::{Error, Stats};
use crate::config::{self, Broker};
use crate::ledger::{self, Created, Ledger, PartitionLog, StartAt, Starts, TopicIdentity};
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

/// Carries out a decision for every topic of a pipeline that it is about; the others, such as those that have
/// their chains, are left as they are.
///
/// # Errors
/// What the ledger or the broker refuses; topics before it are decided then. Where there is no topic that it is
/// about: why not, for the first.
pub async fn decide(config: config::Pipeline, decision: Decision) -> Result<Vec<Starts>, Error> {
    let Broker::Kafka { brokers } = &config.source.broker else { return Err(Error::EmbeddedDecision) };
    let targets = Targets::open(&config).await?;
    let ledger = targets.open_ledger(&config).await?;
    let asker = Asker::new(Queries::new(&config.source, brokers)?, false);
    let letters = match decision {
        Decision::Adopt(_) => {
            let stats = Arc::new(Stats::default());
            LetterTopic::open(&config, brokers, &asker, targets.letter_store(), stats).await?
        }
        Decision::NewChain(_) => None,
    };
    let delivery = Delivery::new(targets, letters);
    let mut decided = Vec::new();
    let mut left = None;
    for name in &config.source.topics {
        let topic = TopicIdentity { name: name.clone(), id: asker.topic_id(name).await? };
        let starts = match &decision {
            Decision::NewChain(at) => new_chain(&ledger, &asker, &topic, *at).await,
            Decision::Adopt(from) => adopt(&ledger, &delivery, &topic, from).await,
        };
        match starts {
            Ok(starts) => decided.push(starts),
            Err(error) if decision.is_not_about(&error) => {
                tracing::info!(topic = name, why = %chain_text(&error), "the topic is left as it is");
                left = left.or(Some(error));
            }
            Err(error) => return Err(error),
        }
    }
    match left {
        Some(error) if decided.is_empty() => Err(error),
        _ => Ok(decided),
    }
}

/// Makes a new revision with the content of revision `to`, for hosts that do not run: those that start find it.
/// Returns its number.
///
/// # Errors
/// Where there is no such revision, and what the ledger refuses.
pub async fn roll_back(config: config::Pipeline, to: u64) -> Result<u64, Error> {
    let Broker::Kafka { .. } = &config.source.broker else { return Err(Error::EmbeddedDecision) };
    let ledger = Targets::open(&config).await?.open_ledger(&config).await?;
    let revisions = ledger.revisions();
    loop {
        let newest = revisions.newest().await?.map_or(0, |newest| newest.revision);
        let Some(earlier) = revisions.read(to).await? else { return Err(Error::NoRevision { to, newest }) };
        if let Created::Mine = revisions.create(&again(&earlier, newest + 1)).await? {
            return Ok(newest + 1);
        }
    }
}

impl Decision {
    /// Whether a topic is not meant: of several topics one may have been made again, and a renamed pipeline may
    /// read more topics than it did.
    fn is_not_about(&self, error: &Error) -> bool {
        match error {
            Error::Ledger(ledger::Error::AlreadyStarted { .. }) => true,
            Error::Ledger(ledger::Error::Start { .. }) => matches!(self, Self::Adopt(_)),
            _ => false,
        }
    }
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
    delivery: &Delivery,
    topic: &TopicIdentity,
    from: &str,
) -> Result<Starts, Error> {
    let old = delivery.targets.open_old_ledger(from).await?;
    Ok(ledger.adopt(&old, topic, &delivery.targets.sink_places(), delivery).await?)
}
