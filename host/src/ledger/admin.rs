//! What a person decides: to begin anew, or to go on behind another pipeline's chains.
//!
//! Owns `new-chain` and `adopt`. Both write a topic's start before its pipeline first runs, for a start
//! is final. Invariant: each may be run again after it was interrupted, and then completes.

use std::collections::{BTreeMap, BTreeSet};

use super::path::{self, partition_of, topic_of};
use super::start::folders;
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
        folders(&*self.store, &folder, folder.clone(), |path| topic_of(&folder, path)).await
    }

    /// The partitions of a topic that have something in this pipeline's ledger, in order.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Name`].
    pub async fn partitions(&self, topic: &TopicIdentity) -> Result<Vec<i32>> {
        self.check(topic)?;
        let folder = path::topic_folder(&self.root, &self.pipeline, topic);
        let of = |path: &str| partition_of(&folder, path);
        let mut partitions = folders(&*self.store, &folder, folder.clone(), of).await?;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::{FaultyStore, Publisher, block_on, staged_entry, topic};
    use super::super::{Commit, Kind, Options, Outcome, Place};
    use super::*;

    async fn ledger(store: &FaultyStore, root: &str, pipeline: &str) -> Ledger {
        Ledger::open(Arc::new(store.clone()), root, pipeline, &Options::default()).await.expect("it opens")
    }

    /// A pipeline `logs` with starts for partitions 0 and 1, and one unpublished entry in 0.
    async fn stopped(store: &FaultyStore) -> Ledger {
        let old = ledger(store, "_vanne", "logs").await;
        let partitions = BTreeMap::from([(0, 0), (1, 500)]);
        let starts = old.record_starts(&topic(), partitions).await.expect("it is recorded");
        let chain = old.chain(&topic(), 0, &starts).expect("the names are possible");
        let tail = chain.begin(0).await.expect("it is recorded");
        let made = staged_entry(store, &chain, &tail, 10, "00000000000000aa");
        chain.create(&tail, &made, &[]).await.expect("nothing is in the way");
        old
    }

    #[test]
    fn adopt_publishes_the_last_entries_and_goes_on_behind_them() {
        block_on(async {
            let store = FaultyStore::new();
            let old = stopped(&store).await;
            let place = Place { store: Arc::new(store.clone()), root: "_vanne".into() };
            let sink = SinkPlace { sink: "lake", place: &place, prefix: "lake" };
            old.claim(sink, &topic()).await.expect("nobody owns it");
            let new = ledger(&store, "_vanne", "renamed").await;
            new.claim(sink, &topic()).await.expect_err("the old one owns it");

            let publisher = Publisher::new(&store);
            let starts =
                new.adopt(&old, &topic(), &[sink], &publisher).await.expect("the old one is stopped");
            assert_eq!(starts.partitions, BTreeMap::from([(0, 10), (1, 500)]));
            assert!(store.snapshot().contains_key("lake/00000000000000000000-00000000000000aa"));
            new.claim(sink, &topic()).await.expect("it was handed on");
            old.claim(sink, &topic()).await.expect_err("the old one must not start again");

            let again = new.adopt(&old, &topic(), &[sink], &publisher).await.expect("it may be run again");
            assert_eq!((again, publisher.starts()), (starts.clone(), vec![0]));
            let chain = new.chain(&topic(), 0, &starts).expect("the names are possible");
            assert_eq!(chain.begin(0).await.expect("it is recorded").end, 10);
        });
    }

    #[test]
    fn adopt_from_another_ledger_accepts_its_notes() {
        block_on(async {
            let store = FaultyStore::new();
            let old = stopped(&store).await;
            let new = ledger(&store, "moved", "logs").await;
            let publisher = Publisher::new(&store);
            let starts = new.adopt(&old, &topic(), &[], &publisher).await.expect("the old one is stopped");
            let chain = new.chain(&topic(), 0, &starts).expect("the names are possible");
            let note = Commit::published(old.id(), 10, "00000000000000aa");
            assert_eq!(chain.tail(Some(&note)).await.expect("the note is known"), None);
            let tail = chain.begin(0).await.expect("it is recorded");
            let made = staged_entry(&store, &chain, &tail, 20, "00000000000000bb");
            assert!(matches!(chain.create(&tail, &made, &[]).await, Ok(Outcome::Mine(_))));
            let stranger = Commit::published("ffffffffffffffff", 10, "00000000000000aa");
            assert_eq!(chain.tail(Some(&stranger)).await.map_err(|error| error.kind()), Err(Kind::Refused));
        });
    }

    #[test]
    fn adopt_does_not_replace_a_start() {
        block_on(async {
            let store = FaultyStore::new();
            let old = stopped(&store).await;
            let publisher = Publisher::new(&store);
            let own = old.adopt(&old, &topic(), &[], &publisher).await;
            assert!(matches!(own, Err(Error::Start { .. })));
            let new = ledger(&store, "_vanne", "renamed").await;
            let nothing =
                new.adopt(&ledger(&store, "_vanne", "nobody").await, &topic(), &[], &publisher).await;
            assert!(matches!(nothing, Err(Error::Start { .. })));
            new.record_starts(&topic(), BTreeMap::from([(0, 3)])).await.expect("it is recorded");
            let late = new.adopt(&old, &topic(), &[], &publisher).await;
            assert!(matches!(late, Err(Error::AlreadyStarted { .. })));
        });
    }

    #[test]
    fn a_new_chain_begins_where_a_person_says() {
        block_on(async {
            let store = FaultyStore::new();
            let old = stopped(&store).await;
            let again = TopicIdentity { id: "topic-id-2".into(), ..topic() };
            let log = |partition, committed| PartitionLog { partition, earliest: 1, latest: 90, committed };
            let logs =
                [log(0, Some(Commit::published("00000000000000ff", 40, "00000000000000aa"))), log(1, None)];
            let starts =
                old.new_chain(&again, &StartAt::Committed, &logs).await.expect("the topic has no start");
            assert_eq!(starts.partitions, BTreeMap::from([(0, 40), (1, 1)]));
            let repeated =
                old.new_chain(&again, &StartAt::Committed, &logs).await.expect("it may be run again");
            assert_eq!(repeated, starts);
            let other = old.new_chain(&again, &StartAt::Earliest, &logs).await;
            assert!(matches!(other, Err(Error::AlreadyStarted { .. })));
            let chain = old.chain(&again, 0, &starts).expect("the names are possible");
            let tail =
                chain.tail(logs[0].committed.as_ref()).await.expect("the note was known when it was decided");
            assert_eq!(tail, None);
            old.check_first_start(&again, true).await.expect("it is decided");
        });
    }

    #[test]
    fn topics_and_partitions_are_found_without_reading_what_is_in_them() {
        block_on(async {
            let store = FaultyStore::new();
            let ledger = ledger(&store, "_vanne", "logs").await;
            let names = ["a", "a-b", "a.b", "b"];
            let ids = ["1", "10", "2"];
            for (name, id) in names.iter().flat_map(|name| ids.iter().map(move |id| (*name, *id))) {
                let topic = TopicIdentity { name: name.into(), id: id.into() };
                let starts = ledger.record_starts(&topic, BTreeMap::new()).await.expect("it is recorded");
                for partition in [0, 1, 2, 10, 11, 100] {
                    let chain = ledger.chain(&topic, partition, &starts).expect("the names are possible");
                    (0..30).for_each(|start| store.set(&chain.lane().entry(start), bytes::Bytes::new()));
                }
            }
            for inner in ["revision/00000000000000000001.json", "component/00.wasm", "config/00.toml"] {
                store.set(&format!("_vanne/logs/{inner}"), bytes::Bytes::new());
            }
            let before = store.listings();
            let topics = ledger.topics().await.expect("the store answers");
            assert_eq!(topics.len(), names.len() * ids.len());
            assert!(store.listings() - before <= topics.len() + 4);
            assert_eq!(
                ledger.partitions(&topics[0]).await.expect("the store answers"),
                [0, 1, 2, 10, 11, 100]
            );
            let made_again = TopicIdentity { name: "a".into(), id: "3".into() };
            let error =
                ledger.check_first_start(&made_again, false).await.expect_err("three others have chains");
            assert!(error.to_string().contains("`1`, `10`, `2`"), "{error}");
        });
    }
}
