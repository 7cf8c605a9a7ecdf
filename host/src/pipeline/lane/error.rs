//! Why a lane halts. Each of these leaves its records in Kafka and its chain as it is.

use thiserror::Error;

use crate::ledger::Kind;
use crate::pipeline::cpu::JobLost;
use crate::record::{OffsetRange, TopicPartition};
use crate::transform::Stop;
use crate::{batch, ledger, sink, source};

impl Error {
    /// Whether asking again later may help, and does no harm.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Ledger(error) => error.kind() == Kind::Transient,
            Self::Source(error) => !matches!(error, source::kafka::Error::TopicMissing { .. }),
            _ => false,
        }
    }

    /// Whether the other lanes must not go on either.
    pub(in crate::pipeline) fn stops_pipeline(&self) -> bool {
        matches!(self, Self::Stopped { .. })
    }
}

/// What halted a lane.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// A transform's failure stops the pipeline.
    #[error("the pipeline stops in offsets {range} of {lane}")]
    Stopped {
        /// The lane.
        lane: TopicPartition,
        /// The batch.
        range: OffsetRange,
        /// What happened, and why it stops the pipeline.
        source: Box<Stop>,
    },
    /// A range can't be built.
    #[error("a range can't be built")]
    Batch(#[from] batch::Error),
    /// The ledger can't or must not go on.
    #[error("the chain can't go on")]
    Ledger(#[from] ledger::Error),
    /// Bytes can't be staged.
    #[error("bytes can't be staged")]
    Stage(#[from] sink::object_store::StageError),
    /// Objects can't be published.
    #[error("an entry can't be published")]
    Publish(#[from] ledger::PublishError),
    /// The broker can't be asked.
    #[error("the broker can't be asked about the partition")]
    Source(#[from] source::kafka::Error),
    /// The chain ends beyond the partition.
    #[error(
        "the log of {lane} ends at offset {high}, before the end of its chain at {end}: it was truncated, and \
         what is written there now would be skipped; make the topic again under a new id, then run `host \
         ledger new-chain --at earliest`"
    )]
    Truncated {
        /// The lane.
        lane: TopicPartition,
        /// End of the log.
        high: u64,
        /// End of the chain.
        end: u64,
    },
    /// The topic is not the one that the chain is about.
    #[error(
        "topic `{topic}` now has the id `{now}`, but this lane reads `{before}`: the topic was deleted and made \
         again; restart the host, which says what to do"
    )]
    TopicMadeAgain {
        /// Its name.
        topic: String,
        /// The id now.
        now: String,
        /// The id that the lane began with.
        before: String,
    },
    /// An embedded broker can't be read again.
    #[error(
        "{lane} would have to be read again from offset {offset}, which an embedded broker does not keep; \
         run it again"
    )]
    EmbeddedRewind {
        /// The lane.
        lane: TopicPartition,
        /// The offset.
        offset: u64,
    },
    /// The stager ended before its range.
    #[error("staging ended before its range")]
    StagingLost,
    /// A job of the lane panicked.
    #[error(transparent)]
    JobLost(#[from] JobLost),
    /// A task of the lane panicked: a bug in the host.
    #[error("a task of the lane was lost: {0}")]
    TaskLost(String),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Entropy(#[from] std::io::Error),
}
