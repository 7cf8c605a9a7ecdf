//! Where the partitions of a topic begin.
//!
//! Owns `_start.json`, which resolves the pipeline's `start` once for a topic id and all partitions it
//! has then, and the refusals that guard that moment. Kafka's answers come in as data. Invariant: once
//! a topic has a start it never changes, so two writers can't fork a chain at its first entry.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::document::{self, DOCUMENT_VERSION};
use super::path::{self, topic_of};
use super::{Commit, Error, Ledger, Result, TopicIdentity};
use crate::clock;

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
        self.check(&TopicIdentity { name: name.to_owned(), id: "any".into() })?;
        let folder = path::pipeline_folder(&self.root, &self.pipeline);
        let first = format!("{folder}/{name}@");
        let topics =
            self.folders(&folder, first, |path| topic_of(&folder, path).filter(|topic| topic.name == name));
        Ok(topics.await?.into_iter().map(|topic| topic.id).collect())
    }

    /// What `parse` makes of the first path in each folder of `folder` that comes after `first`, without
    /// listing what is in them; ends at the first path that it makes nothing of, unless `first` is the
    /// folder itself.
    pub(super) async fn folders<T>(
        &self,
        folder: &str,
        first: String,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>> {
        let everything = first == folder;
        let mut after = first;
        let mut found = Vec::new();
        while let Some(listed) = self.store.list_after(folder, Some(&after), 1).await?.pop() {
            let inner = listed.path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
            let child = inner.and_then(|inner| inner.split_once('/')).map(|(child, _)| child);
            match (parse(&listed.path), everything) {
                (Some(item), _) => found.push(item),
                (None, true) => {}
                (None, false) => break,
            }
            after = match child {
                // `0` is the byte behind `/`: this is the least name behind all that the folder holds.
                Some(child) => format!("{folder}/{child}0"),
                None => listed.path,
            };
        }
        Ok(found)
    }

    fn own_starts(&self, topic: &TopicIdentity, path: String, starts: Starts) -> Result<Starts> {
        if (&starts.topic, &starts.topic_id) == (&topic.name, &topic.id) {
            return Ok(starts);
        }
        let reason = format!("it is the start of topic `{}` (id `{}`)", starts.topic, starts.topic_id);
        Err(Error::Malformed { path, place: self.store.place().to_owned(), reason })
    }
}
