//! Why the ledger could not do something, and what that means to whoever asked.

use thiserror::Error;

use crate::record::OffsetRange;
use crate::store;

/// A result of the ledger.
pub type Result<T> = std::result::Result<T, Error>;

/// What to do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Wait and ask again: the store is away, or does not let us in at the moment.
    Transient,
    /// What stands in the ledger can't be right, or can't be understood: the lane stops with an alarm
    /// and writes nothing, for going on could lose or double records.
    Halted,
    /// The pipeline must not run as it is configured; a person decides ([`Error::hint`] says how).
    Refused,
}

/// Something in the ledger that did not work.
///
/// Whatever the error of a [`Chain::create`](super::Chain::create) is: own staging of that range has
/// to be left, since the entry may stand, or may land later.
#[derive(Debug, Error)]
pub enum Error {
    /// The store did not do it.
    #[error("the ledger's store did not answer as it should")]
    Store(#[from] store::Error),

    /// An object of the ledger can't be parsed, or contradicts itself or its name.
    #[error("`{path}` in {place} is not what the ledger expects there: {reason}")]
    Malformed {
        /// Path of the object.
        path: String,
        /// Place of the store.
        place: String,
        /// What is wrong.
        reason: String,
    },

    /// An object of the ledger was written by a later version of the program.
    #[error("`{path}` in {place} has format version {found}, but this host reads up to version {known}")]
    Newer {
        /// Path of the object.
        path: String,
        /// Place of the store.
        place: String,
        /// Version of the object.
        found: u64,
        /// The highest that is understood here.
        known: u32,
    },

    /// Entries do not follow each other as they must.
    #[error("the chain of {chain} is broken at offset {start}: {reason}")]
    Broken {
        /// Folder of the chain.
        chain: String,
        /// Start of the entry at which it shows.
        start: u64,
        /// What is wrong.
        reason: String,
    },

    /// An entry to be created does not fit the chain or itself: a bug in the host, found before harm.
    #[error("an entry for {range} of {chain} was not created, because {reason}")]
    Unfit {
        /// Folder of the chain.
        chain: String,
        /// Its range.
        range: OffsetRange,
        /// What is wrong.
        reason: String,
    },

    /// A revision to be created breaks a rule, or what it names is not kept; nothing was sent.
    #[error("revision {revision} of pipeline `{pipeline}` was not created, because {reason}")]
    UnfitRevision {
        /// Its number.
        revision: u64,
        /// The pipeline.
        pipeline: String,
        /// What is wrong.
        reason: String,
    },

    /// Something to be kept beside the revisions is too large.
    #[error("the {what} has {bytes} bytes, and the ledger keeps up to {most}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its length.
        bytes: u64,
        /// The bound.
        most: u64,
    },

    /// The objects of an entry could not be put in place.
    #[error("the entry for {range} of {chain} could not be published")]
    Publish {
        /// Folder of the chain.
        chain: String,
        /// Range of the entry.
        range: OffsetRange,
        /// Why.
        #[source]
        source: PublishError,
    },

    /// A name that can't be part of the ledger's paths.
    #[error("the {what} `{name}` can't be used in the ledger's paths: {reason}")]
    Name {
        /// What it names.
        what: &'static str,
        /// The name.
        name: String,
        /// Which rule it breaks.
        reason: &'static str,
    },

    /// There is no ledger at this place, and none was to be created.
    #[error("there is no ledger at `{root}` in {place}")]
    Absent {
        /// Folder of the ledger.
        root: String,
        /// Place of the store.
        place: String,
    },

    /// A local ledger that another machine created.
    #[error(
        "the ledger at `{root}` in {place} was created on another machine (`{found}`, this one is `{own}`)"
    )]
    AnotherMachine {
        /// Folder of the ledger.
        root: String,
        /// Place of the store.
        place: String,
        /// The machine that it was created on.
        found: String,
        /// This machine.
        own: String,
    },

    /// The group's committed offset was written under another ledger.
    #[error(
        "the offset that the group committed for {topic}/{partition} belongs to the ledger `{found}`, \
         but this is the ledger `{own}` at {place}"
    )]
    AnotherLedger {
        /// Name of the topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Id in the commit.
        found: String,
        /// Id of this ledger.
        own: String,
        /// Where this ledger is.
        place: String,
    },

    /// The sink's place belongs to somebody else.
    #[error(
        "{} already receives topic `{}` from {}, and must not from {} as well (`{}`)",
        .0.url, .0.topic, .0.owner, .0.asker, .0.path
    )]
    Claimed(Box<Conflict>),

    /// The consumer group has offsets, but this ledger knows nothing of the topic.
    #[error(
        "the group has committed offsets for topic `{topic}`, but pipeline `{pipeline}` has no chain for it \
         in the ledger at {place}: the pipeline was renamed, the ledger moved, or another program uses the group"
    )]
    CommitsWithoutChain {
        /// Name of the topic.
        topic: String,
        /// The pipeline.
        pipeline: String,
        /// Where this ledger is.
        place: String,
    },

    /// The topic was deleted and made again.
    #[error(
        "topic `{topic}` now has the id `{id}`, but the chains of pipeline `{pipeline}` belong to the id {others}: \
         the topic was deleted and made again"
    )]
    TopicMadeAgain {
        /// Name of the topic.
        topic: String,
        /// Its id now.
        id: String,
        /// The pipeline.
        pipeline: String,
        /// Ids that have chains here, in backticks.
        others: String,
    },

    /// The topic's start is resolved already, otherwise than is asked for now.
    #[error("topic `{topic}` (id `{id}`) already has its start in `{path}`, made by {by}, and that is final")]
    AlreadyStarted {
        /// Name of the topic.
        topic: String,
        /// Its id.
        id: String,
        /// Path of the start.
        path: String,
        /// What made it.
        by: String,
    },

    /// An explicit start that the topic does not have.
    #[error("topic `{topic}` can't start where it was told to: {reason}")]
    Start {
        /// Name of the topic.
        topic: String,
        /// What is wrong.
        reason: String,
    },

    /// The system has no random numbers to give.
    #[error("the system gave no random numbers for an id")]
    Entropy(#[source] std::io::Error),
}

impl Error {
    /// What to do.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Store(error) => match error.kind {
                store::ErrorKind::Refused => Kind::Refused,
                store::ErrorKind::Unknown | store::ErrorKind::NotFound | store::ErrorKind::Denied => {
                    Kind::Transient
                }
            },
            Self::Publish { source, .. } => source.kind,
            Self::Malformed { .. } | Self::Newer { .. } | Self::Broken { .. } | Self::Unfit { .. } => {
                Kind::Halted
            }
            Self::UnfitRevision { .. }
            | Self::TooLarge { .. }
            | Self::Name { .. }
            | Self::Absent { .. }
            | Self::AnotherMachine { .. }
            | Self::AnotherLedger { .. }
            | Self::Claimed(_)
            | Self::CommitsWithoutChain { .. }
            | Self::TopicMadeAgain { .. }
            | Self::AlreadyStarted { .. }
            | Self::Start { .. }
            | Self::Entropy(_) => Kind::Refused,
        }
    }

    /// What a person can do, as a line of its own, with the command to run where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::AnotherMachine { .. } => {
                "a local ledger guards one machine only; if all machines see the same folder, set `shared = true` in \
                 `[ledger]`, else use a bucket"
                    .into()
            }
            Self::AnotherLedger { .. } => {
                "set `[ledger] url` back to where it was, or give one of the two pipelines another group"
                    .into()
            }
            Self::Claimed(conflict) => format!(
                "give this sink another url or prefix; or, once pipeline `{pipeline}` is stopped for good, take \
                 over its chains with `host ledger adopt --from {pipeline}` (if its ledger no longer exists, \
                 delete `{path}`)",
                pipeline = conflict.owner_pipeline,
                path = conflict.path,
            ),
            Self::CommitsWithoutChain { .. } => {
                "`host ledger adopt --from OLD` goes on behind the chains of the pipeline's old name or ledger; \
                 `host ledger new-chain --at committed|earliest|OFFSET` begins without them"
                    .into()
            }
            Self::TopicMadeAgain { .. } => "`host ledger new-chain --at earliest` begins a chain for the new topic; \
                 what the old one delivered stays"
                .into(),
            Self::Newer { .. } => "run a newer host: downgrading below the ledger's format is not possible".into(),
            Self::Malformed { path, .. } => format!(
                "restore `{path}` as it was (a noncurrent version of it, if the bucket keeps them); do not delete it"
            ),
            Self::Broken { .. } => {
                "look at the entries around that offset; somebody deleted or replaced objects of the ledger, or two \
                 ledgers were merged"
                    .into()
            }
            _ => return None,
        };
        Some(text)
    }
}

/// Two who want to write a topic into one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The place.
    pub url: String,
    /// Name of the topic.
    pub topic: String,
    /// Who owns it.
    pub owner: String,
    /// The owner's pipeline.
    pub owner_pipeline: String,
    /// Who asked.
    pub asker: String,
    /// Path of the claim.
    pub path: String,
}

/// Why an entry's objects are not all in place, as the publisher tells it.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct PublishError {
    /// What to do; an object that is neither staged nor in place is [`Kind::Halted`].
    pub kind: Kind,
    /// What happened.
    pub message: String,
    /// What was underneath.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}
