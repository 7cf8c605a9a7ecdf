//! Where the partitions of a topic begin.
//!
//! Owns `_start.json`, which resolves the pipeline's `start` once for a topic id and all partitions it
//! has then, and the refusals that guard that moment. Kafka's answers come in as data. Invariant: once
//! a topic has a start it never changes, so two writers can't fork a chain at its first entry.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::document::{self, DOCUMENT_VERSION};
use super::path;
use super::{Commit, Error, Ledger, Result, TopicIdentity};
use crate::clock;
use crate::store::Store;

/// Where to begin, as the pipeline or a person says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// At the first record that each log still has.
    Earliest,
    /// Behind the last record of each log.
    Latest,
    /// At what the group committed; where it committed nothing, at the earliest.
    Committed,
    /// At these offsets (of a time, or as written); partitions that are not named at their earliest.
    Offsets(BTreeMap<i32, u64>),
}

/// A partition's log and what the group committed for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLog {
    /// The partition.
    pub partition: i32,
    /// Offset of the first record it still has.
    pub earliest: u64,
    /// Offset that its next record will get.
    pub latest: u64,
    /// What the group committed.
    pub committed: Option<Commit>,
}

/// How a topic's start came to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Origin {
    /// The pipeline's first start: `start` of its configuration.
    Configured,
    /// `host ledger new-chain`.
    NewChain,
    /// `host ledger adopt`.
    Adopted {
        /// The pipeline whose chains end where these begin.
        pipeline: String,
        /// Its ledger.
        ledger: String,
    },
}

impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Configured => write!(formatter, "the pipeline's first start"),
            Self::NewChain => write!(formatter, "`host ledger new-chain`"),
            Self::Adopted { pipeline, .. } => write!(formatter, "`host ledger adopt --from {pipeline}`"),
        }
    }
}

/// `_start.json`: the resolved start of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starts {
    pub(super) version: u32,
    /// Name of the topic.
    pub topic: String,
    /// Its id.
    pub topic_id: String,
    /// The offset at which each partition begins that existed then; one that is not here begins at the
    /// earliest record of its log ([`Chain::begin`](super::Chain::begin)).
    pub partitions: BTreeMap<i32, u64>,
    /// How it came to be.
    pub origin: Origin,
    /// Ledgers whose notes may still stand beside the group's offsets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) supersedes: Vec<String>,
    /// When (RFC 3339, UTC).
    pub resolved_at: String,
}

/// Resolves a start for every partition of a topic.
///
/// # Errors
/// [`Error::Start`] for a partition or an offset that the topic does not have.
pub fn resolve(topic: &TopicIdentity, at: &StartAt, logs: &[PartitionLog]) -> Result<BTreeMap<i32, u64>> {
    let refuse = |reason: String| Err(Error::Start { topic: topic.name.clone(), reason });
    if let StartAt::Offsets(offsets) = at {
        let unknown = offsets.keys().find(|partition| logs.iter().all(|log| log.partition != **partition));
        if let Some(partition) = unknown {
            return refuse(format!("there is no partition {partition}"));
        }
    }
    let mut starts = BTreeMap::new();
    for log in logs {
        let &PartitionLog { partition, earliest, latest, .. } = log;
        let (start, lowest) = match at {
            StartAt::Earliest => (earliest, earliest),
            StartAt::Latest => (latest, earliest),
            // Below the log's start it stays: the lane tells what was lost, as a gap.
            StartAt::Committed => (log.committed.as_ref().map_or(earliest, |commit| commit.offset), 0),
            StartAt::Offsets(offsets) => (offsets.get(&partition).copied().unwrap_or(earliest), earliest),
        };
        if start < lowest || start > latest {
            return refuse(format!(
                "offset {start} of partition {partition} is outside its log, which has {earliest} to {latest}"
            ));
        }
        starts.insert(partition, start);
    }
    Ok(starts)
}

impl Ledger {
    /// The topic's start, where it is resolved already.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Newer`], [`Error::Store`], [`Error::Name`].
    pub async fn starts(&self, topic: &TopicIdentity) -> Result<Option<Starts>> {
        self.check(topic)?;
        let path = self.start_file(topic);
        let starts = document::read::<Starts>(&*self.store, &path).await?;
        starts.map(|starts| self.own_starts(topic, path, starts)).transpose()
    }

    /// Whether a topic without a start may get one from the configuration, or a person has to decide.
    ///
    /// `has_commits`: whether the group has committed an offset for any of its partitions.
    ///
    /// # Errors
    /// [`Error::TopicMadeAgain`] where another id under this name has chains here;
    /// [`Error::CommitsWithoutChain`] with `has_commits`; [`Error::Malformed`] where the topic has chains
    /// but its start is gone; [`Error::Store`], [`Error::Name`]. [`Error::hint`] says what to run.
    pub async fn check_first_start(&self, topic: &TopicIdentity, has_commits: bool) -> Result<()> {
        let ids = self.ids_of(&topic.name).await?;
        if ids.contains(&topic.id) {
            // Either somebody resolved it at this moment, or chains are there and it is gone.
            return match self.starts(topic).await? {
                Some(_) => Ok(()),
                None => Err(Error::Malformed {
                    path: self.start_file(topic),
                    place: self.store.place().to_owned(),
                    reason: "it is missing, although the topic has chains".into(),
                }),
            };
        }
        let (topic_name, pipeline) = (topic.name.clone(), self.pipeline().to_owned());
        if !ids.is_empty() {
            let others = ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
            return Err(Error::TopicMadeAgain { topic: topic_name, id: topic.id.clone(), pipeline, others });
        }
        if has_commits {
            return Err(Error::CommitsWithoutChain { topic: topic_name, pipeline, place: self.place() });
        }
        Ok(())
    }

    /// Records the start of a topic, create-only, and returns the one that holds: of several hosts that
    /// start at once, the first one's.
    ///
    /// # Errors
    /// As [`Ledger::starts`].
    pub async fn record_starts(
        &self,
        topic: &TopicIdentity,
        partitions: BTreeMap<i32, u64>,
    ) -> Result<Starts> {
        self.record(topic, partitions, Origin::Configured, Vec::new()).await
    }

    pub(super) async fn record(
        &self,
        topic: &TopicIdentity,
        partitions: BTreeMap<i32, u64>,
        origin: Origin,
        supersedes: Vec<String>,
    ) -> Result<Starts> {
        self.check(topic)?;
        let starts = Starts {
            version: DOCUMENT_VERSION,
            topic: topic.name.clone(),
            topic_id: topic.id.clone(),
            partitions,
            origin,
            supersedes,
            resolved_at: clock::rfc3339(clock::now_ms()),
        };
        let path = self.start_file(topic);
        let standing = document::create_or_read(&*self.store, &self.patience, &path, &starts).await?;
        self.own_starts(topic, path, standing)
    }

    pub(super) fn start_file(&self, topic: &TopicIdentity) -> String {
        path::start_file(&self.root, &self.pipeline, topic)
    }

    /// Ids under which topics of a name have something here.
    async fn ids_of(&self, name: &str) -> Result<Vec<String>> {
        Ok(self.topics_named(name).await?.into_iter().map(|topic| topic.id).collect())
    }

    fn own_starts(&self, topic: &TopicIdentity, path: String, starts: Starts) -> Result<Starts> {
        if (&starts.topic, &starts.topic_id) == (&topic.name, &topic.id) {
            return Ok(starts);
        }
        let reason = format!("it is the start of topic `{}` (id `{}`)", starts.topic, starts.topic_id);
        Err(Error::Malformed { path, place: self.store.place().to_owned(), reason })
    }
}

/// What `parse` makes of the first path in each folder of `folder` that comes after `first`, without
/// listing what is in them; ends at the first path that it makes nothing of, unless `first` is the folder
/// itself.
pub(super) async fn folders<T>(
    store: &dyn Store,
    folder: &str,
    first: String,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>> {
    let everything = first == folder;
    let within = path::join(folder, "");
    let mut after = first;
    let mut found = Vec::new();
    while let Some(listed) = store.list_after(folder, Some(&after), 1).await?.pop() {
        let child = listed.path.strip_prefix(&within).and_then(|inner| inner.split_once('/'));
        match (parse(&listed.path), everything) {
            (Some(item), _) => found.push(item),
            (None, true) => {}
            (None, false) => break,
        }
        after = match child {
            // `0` is the byte behind `/`: this is the least name behind all that the folder holds.
            Some((child, _)) => format!("{within}{child}0"),
            None => listed.path,
        };
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fault, FaultyStore, block_on, ledger, topic};
    use super::super::{Kind, Options};
    use super::*;
    use bytes::Bytes;
    use std::sync::Arc;

    fn log(partition: i32, earliest: u64, latest: u64, committed: Option<u64>) -> PartitionLog {
        let committed = committed.map(|offset| Commit { offset, metadata: String::new() });
        PartitionLog { partition, earliest, latest, committed }
    }

    async fn empty_ledger(store: &FaultyStore) -> Ledger {
        Ledger::open(Arc::new(store.clone()), "_vanne", "logs", &Options::default())
            .await
            .expect("it is created")
    }

    #[test]
    fn a_start_is_resolved_for_every_partition() {
        let logs = [log(0, 5, 50, Some(20)), log(1, 0, 0, None)];
        let starts = |at: StartAt| resolve(&topic(), &at, &logs).expect("the offsets exist");
        assert_eq!(starts(StartAt::Earliest), BTreeMap::from([(0, 5), (1, 0)]));
        assert_eq!(starts(StartAt::Latest), BTreeMap::from([(0, 50), (1, 0)]));
        assert_eq!(starts(StartAt::Committed), BTreeMap::from([(0, 20), (1, 0)]));
        assert_eq!(starts(StartAt::Offsets(BTreeMap::from([(0, 7)]))), BTreeMap::from([(0, 7), (1, 0)]));
    }

    #[test]
    fn offsets_that_a_topic_does_not_have_are_refused() {
        let logs = [log(0, 5, 50, Some(51))];
        for at in [
            StartAt::Committed,
            StartAt::Offsets(BTreeMap::from([(0, 4)])),
            StartAt::Offsets(BTreeMap::from([(0, 51)])),
            StartAt::Offsets(BTreeMap::from([(3, 5)])),
        ] {
            let error = resolve(&topic(), &at, &logs).expect_err("there is no such offset");
            assert!(error.kind() == Kind::Refused && error.to_string().contains("access-logs"), "{error}");
        }
        // What retention took since the commit is for the lane to tell, as a gap.
        let starts = resolve(&topic(), &StartAt::Committed, &[log(0, 5, 50, Some(2))]);
        assert_eq!(starts.expect("it may begin below the log"), BTreeMap::from([(0, 2)]));
    }

    #[test]
    fn of_hosts_that_start_at_once_the_first_ones_start_holds() {
        block_on(async {
            let store = FaultyStore::new();
            let ledger = empty_ledger(&store).await;
            assert_eq!(ledger.starts(&topic()).await.expect("the store answers"), None);
            store.script("create", Fault::LostAnswer);
            let mine =
                ledger.record_starts(&topic(), BTreeMap::from([(0, 5)])).await.expect("it is recorded");
            let theirs = ledger.record_starts(&topic(), BTreeMap::from([(0, 9), (1, 9)])).await;
            assert_eq!(theirs.expect("the first one is read"), mine);
            assert_eq!(mine.partitions, BTreeMap::from([(0, 5)]));
            assert_eq!(ledger.starts(&topic()).await.expect("the store answers"), Some(mine));
        });
    }

    #[test]
    fn a_group_with_commits_but_no_chain_is_refused_with_the_commands_that_decide() {
        block_on(async {
            let ledger = empty_ledger(&FaultyStore::new()).await;
            ledger.check_first_start(&topic(), false).await.expect("nothing speaks against a first start");
            let error = ledger.check_first_start(&topic(), true).await.expect_err("the group has commits");
            assert!(matches!(error, Error::CommitsWithoutChain { .. }), "{error}");
            let hint = error.hint().expect("there is a way out");
            assert!(hint.contains("host ledger adopt") && hint.contains("host ledger new-chain"), "{hint}");
        });
    }

    #[test]
    fn a_topic_made_again_is_refused_with_the_command_that_decides() {
        block_on(async {
            let store = FaultyStore::new();
            let (ledger, _) = ledger(&store).await;
            ledger.check_first_start(&topic(), true).await.expect("this id has its start");
            let again = TopicIdentity { id: "topic-id-2".into(), ..topic() };
            let error = ledger.check_first_start(&again, true).await.expect_err("the other id has a start");
            assert!(matches!(error, Error::TopicMadeAgain { .. }), "{error}");
            assert!(error.to_string().contains("`topic-id-1`"), "{error}");
            assert!(error.hint().expect("there is a way out").contains("host ledger new-chain"));
            // A topic whose name only begins alike is another topic.
            for name in ["access-log", "access-logs-2", "access"] {
                let other = TopicIdentity { name: name.into(), id: "topic-id-3".into() };
                ledger.check_first_start(&other, false).await.expect("it has nothing here");
            }
        });
    }

    #[test]
    fn chains_without_their_start_halt() {
        block_on(async {
            let store = FaultyStore::new();
            let (ledger, starts) = ledger(&store).await;
            let chain = ledger.chain(&topic(), 0, &starts).expect("the names are possible");
            store.set(&chain.lane().entry(0), Bytes::from_static(b"x"));
            store.remove(&ledger.start_file(&topic()));
            let error = ledger.check_first_start(&topic(), true).await.expect_err("its start is gone");
            assert_eq!(error.kind(), Kind::Halted, "{error}");
        });
    }
}
