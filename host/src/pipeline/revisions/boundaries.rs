//! Where each partition went over to a revision, read back from what is committed.
//!
//! Owns the question, over all partitions of all hosts. Reads the ledger only. Invariant: what it says of a
//! partition follows from entries that stand.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::{Instant, sleep_until};

use crate::ledger::{Chain, Commit, LastEntry};
use crate::pipeline::context::{Context, TAKE_OVERS};
use crate::pipeline::error::chain_text;
use crate::pipeline::lane;
use crate::record::TopicPartition;

/// How often partitions that have shown nothing are looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How far a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Reached {
    /// An entry of the revision is committed.
    Swapped {
        /// The last offset before; `None`: there is none.
        last_old: Option<u64>,
        /// The first offset under it, and start of its first entry.
        first_new: u64,
    },
    /// Everything is committed, and there is nothing new: the revision holds from here.
    Idle {
        /// The next offset.
        from: u64,
    },
    /// Nothing seen yet.
    Pending,
}

/// Where a partition went over.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Boundary {
    /// The partition.
    pub(in crate::pipeline) partition: TopicPartition,
    /// How far it is.
    pub(in crate::pipeline) reached: Reached,
}

/// Waits until every partition has shown a revision, or for as long as `wait`.
pub(in crate::pipeline) async fn boundaries(
    context: &Arc<Context>,
    revision: u64,
    wait: Duration,
) -> Vec<Boundary> {
    let deadline = Instant::now() + wait;
    let mut all = partitions(context).await;
    loop {
        let pending: Vec<_> =
            all.iter_mut().filter(|boundary| boundary.reached == Reached::Pending).collect();
        if pending.is_empty() {
            break;
        }
        look(context, revision, pending).await;
        let is_done = all.iter().all(|boundary| boundary.reached != Reached::Pending);
        if is_done || Instant::now() >= deadline {
            break;
        }
        sleep_until(deadline.min(Instant::now() + LOOK_EVERY)).await;
    }
    all
}

/// Every partition of every topic, whichever host has it.
async fn partitions(context: &Context) -> Vec<Boundary> {
    let mut all = Vec::new();
    for topic in context.topics.keys() {
        match context.asker.partitions(topic).await {
            Ok(partitions) => all.extend(partitions),
            Err(error) => tracing::warn!(%topic, %error, "the topic's partitions can't be asked for"),
        }
    }
    all.sort_by(|one, other| (&one.topic, one.partition).cmp(&(&other.topic, other.partition)));
    all.into_iter().map(|partition| Boundary { partition, reached: Reached::Pending }).collect()
}

async fn look(context: &Context, revision: u64, pending: Vec<&mut Boundary>) {
    let asked: Vec<_> = pending.iter().map(|boundary| boundary.partition.clone()).collect();
    let commits = context.committed(&asked).await.unwrap_or_default();
    let looks = pending.into_iter().map(|boundary| {
        let commit = commits.get(&boundary.partition).cloned();
        async move {
            match reached(context, &boundary.partition, revision, commit).await {
                Ok(reached) => boundary.reached = reached,
                Err(error) => tracing::debug!(lane = %boundary.partition, error = %chain_text(&error),
                    "the chain can't be looked at yet"),
            }
        }
    });
    futures::stream::iter(looks).for_each_concurrent(TAKE_OVERS, |look| look).await;
}

async fn reached(
    context: &Context,
    partition: &TopicPartition,
    revision: u64,
    commit: Option<Commit>,
) -> Result<Reached, lane::Error> {
    let chain = context.chain(partition)?;
    let tail = chain.tail(commit.as_ref()).await?;
    if let Some(last) = tail.as_ref().and_then(|tail| tail.last.clone())
        && last.entry.revision >= revision
    {
        return first_of(&chain, last, revision).await;
    }
    let log = context.watermarks(partition).await?;
    let end = match &tail {
        Some(tail) => tail.end,
        None => chain.begin(log.low).await?.end,
    };
    Ok(if end >= log.high { Reached::Idle { from: end } } else { Reached::Pending })
}

/// Goes back to the first entry of a revision or a later one.
async fn first_of(chain: &Chain, last: LastEntry, revision: u64) -> Result<Reached, lane::Error> {
    let mut first = last;
    loop {
        let first_new = first.entry.start;
        let Some(previous) = &first.entry.previous else {
            return Ok(Reached::Swapped { last_old: None, first_new });
        };
        match chain.read(previous.start).await? {
            Some(before) if before.entry.revision >= revision => first = before,
            Some(_) | None => {
                return Ok(Reached::Swapped { last_old: first_new.checked_sub(1), first_new });
            }
        }
    }
}
