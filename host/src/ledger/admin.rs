//! What a person decides: to begin anew, or to go on behind another pipeline's chains.
//!
//! Owns `new-chain` and `adopt`. Both write a topic's start before its pipeline first runs, for a start
//! is final. Invariant: each may be run again after it was interrupted, and then completes.

use std::collections::{BTreeMap, BTreeSet};

use super::path::{self, partition_of, topic_of};
use super::{
    Error, Ledger, Origin, PartitionLog, Publish, Result, SinkPlace, StartAt, Starts, TopicIdentity, resolve,
};

impl Ledger {
    /// Begins chains for a topic where a person says, although the group has offsets or another topic of
    /// this name has chains here: `host ledger new-chain`.
    ///
    /// Notes of other ledgers beside the committed offsets are no reason to refuse a lane from then on.
    /// Nothing is taken from the old chains; what lies between them and the new start is not delivered,
    /// and what lies in both is delivered twice: that is the decision.
    ///
    /// # Errors
    /// [`Error::AlreadyStarted`] where the topic has another start; [`Error::Start`] for offsets that the
    /// topic does not have; those of [`Ledger::starts`].
    pub async fn new_chain(
        &self,
        topic: &TopicIdentity,
        at: &StartAt,
        logs: &[PartitionLog],
    ) -> Result<Starts> {
        let partitions = resolve(topic, at, logs)?;
        let notes = logs.iter().filter_map(|log| log.committed.as_ref()?.note());
        let others: BTreeSet<String> =
            notes.map(|note| note.ledger).filter(|ledger| ledger != self.id()).collect();
        let starts =
            self.record(topic, partitions.clone(), Origin::NewChain, others.into_iter().collect()).await?;
        if starts.origin == Origin::NewChain && starts.partitions == partitions {
            return Ok(starts);
        }
        Err(self.already_started(topic, &starts))
    }

    /// Goes on for a topic behind the chains of another pipeline, or of this one in another ledger:
    /// `host ledger adopt`.
    ///
    /// In this order: the last entry of each old chain is published and closed; the ends become the
    /// topic's start here; the claims of `sinks` pass to this pipeline, so that the old one is refused if
    /// it is started again. `publisher` must reach the *old* pipeline's sinks. `sinks` are this one's.
    ///
    /// **The old pipeline must be stopped everywhere, for good.** One that still runs goes on writing
    /// behind the end that was read here, and those records are delivered twice.
    ///
    /// # Errors
    /// [`Error::Start`] where the old pipeline is this one, or has no start for the topic;
    /// [`Error::AlreadyStarted`] where the topic has a start here that is not from there;
    /// [`Error::Claimed`] where a third one owns a sink's place; those of [`Chain::take_over`](super::Chain::take_over).
    pub async fn adopt(
        &self,
        old: &Self,
        topic: &TopicIdentity,
        sinks: &[SinkPlace<'_>],
        publisher: &dyn Publish,
    ) -> Result<Starts> {
        if (old.id(), old.pipeline()) == (self.id(), self.pipeline()) {
            let reason = "it would adopt its own chains".to_owned();
            return Err(Error::Start { topic: topic.name.clone(), reason });
        }
        let origin = Origin::Adopted { pipeline: old.pipeline().to_owned(), ledger: old.id().to_owned() };
        let starts = match self.starts(topic).await? {
            Some(starts) => starts,
            None => self.record_adopted(old, topic, origin.clone(), publisher).await?,
        };
        if starts.origin != origin {
            return Err(self.already_started(topic, &starts));
        }
        for sink in sinks {
            self.take_claim(*sink, topic, old).await?;
        }
        Ok(starts)
    }

    /// The topics that have something in this pipeline's ledger.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn topics(&self) -> Result<Vec<TopicIdentity>> {
        let folder = path::pipeline_folder(&self.root, &self.pipeline);
        self.folders(&folder, folder.clone(), |path| topic_of(&folder, path)).await
    }

    /// The partitions of a topic that have something in this pipeline's ledger, in order.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Name`].
    pub async fn partitions(&self, topic: &TopicIdentity) -> Result<Vec<i32>> {
        self.check(topic)?;
        let folder = path::topic_folder(&self.root, &self.pipeline, topic);
        let mut partitions =
            self.folders(&folder, folder.clone(), |path| partition_of(&folder, path)).await?;
        partitions.sort_unstable();
        Ok(partitions)
    }

    async fn record_adopted(
        &self,
        old: &Self,
        topic: &TopicIdentity,
        origin: Origin,
        publisher: &dyn Publish,
    ) -> Result<Starts> {
        let old_starts = old.starts(topic).await?.ok_or_else(|| {
            let reason =
                format!("pipeline `{}` has no chain for it in the ledger at {}", old.pipeline(), old.place());
            Error::Start { topic: topic.name.clone(), reason }
        })?;
        let ends = old.ends(topic, &old_starts, publisher).await?;
        let mut supersedes = old_starts.supersedes;
        if old.id() != self.id() {
            supersedes.push(old.id().to_owned());
        }
        self.record(topic, ends, origin, supersedes).await
    }

    /// Where each chain ends, after its last entry is published; partitions without an entry end where
    /// they start.
    async fn ends(
        &self,
        topic: &TopicIdentity,
        starts: &Starts,
        publisher: &dyn Publish,
    ) -> Result<BTreeMap<i32, u64>> {
        let mut ends = starts.partitions.clone();
        let partitions: BTreeSet<i32> =
            self.partitions(topic).await?.into_iter().chain(ends.keys().copied()).collect();
        for partition in partitions {
            let chain = self.chain(topic, partition, starts)?;
            let Some(tail) = chain.take_over(None, publisher).await? else { continue };
            if let Some(last) = tail.last.as_ref().filter(|_| !tail.closed) {
                chain.close(last).await?;
            }
            ends.insert(partition, tail.end);
        }
        Ok(ends)
    }

    fn already_started(&self, topic: &TopicIdentity, starts: &Starts) -> Error {
        Error::AlreadyStarted {
            topic: topic.name.clone(),
            id: topic.id.clone(),
            path: self.start_file(topic),
            by: starts.origin.to_string(),
        }
    }
}
