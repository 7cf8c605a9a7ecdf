//! Why a pipeline can't start, or can't go on as a whole.

use thiserror::Error;

use crate::{config, ledger, plugin, sink, source, store};

/// What stops a pipeline.
#[derive(Debug, Error)]
pub enum Error {
    /// The file is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The broker, or a topic.
    #[error("{0}")]
    Source(#[from] source::kafka::Error),
    /// The topic of dead letters is not there, or can't be asked for.
    #[error("`dead_letter.topic` can't be used")]
    DeadLetterTopic {
        /// Why.
        #[source]
        source: source::kafka::Error,
    },
    /// The producer for dead letters can't be made.
    #[error(transparent)]
    DeadLetterProducer(#[from] sink::kafka::Error),
    /// The source ended by itself.
    #[error("the source has ended by itself")]
    SourceGone,
    /// A store can't be opened, or does not do what is needed.
    #[error("{what} can't be used")]
    Store {
        /// Key of the configuration, such as `sinks.lake`.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is nowhere to write to.
    #[error("the pipeline has no sink that could hold its ledger and dead letters")]
    NoSink,
    /// An embedded broker has no chains that outlive it.
    #[error("an embedded broker's chains end with its run; there is nothing to decide about")]
    EmbeddedDecision,
    /// An embedded broker keeps too little for a benchmark.
    #[error(
        "an embedded broker keeps 5 MiB a partition; `host bench` needs a real Kafka (source.type = \"kafka\")"
    )]
    EmbeddedBench,
    /// The ledger refuses.
    #[error("the ledger refuses")]
    Ledger(#[from] ledger::Error),
    /// The newest revision can't be loaded at start.
    #[error("the newest revision of this pipeline, {revision}, can't run on this host")]
    Revision {
        /// Its number.
        revision: u64,
        /// Why.
        #[source]
        source: Box<Self>,
    },
    /// There is no such revision.
    #[error("there is no revision {to} to go back to; the newest is {newest}")]
    NoRevision {
        /// What was named.
        to: u64,
        /// The newest; 0: there is none.
        newest: u64,
    },
    /// Hosts that start at once got into each other's way again and again.
    #[error("other hosts make revisions of this pipeline all the time; try again")]
    RevisionsRace,
    /// A change of sinks would move the ledger.
    #[error("the ledger lies at the root of the sinks' bucket, and these sinks lie in another one")]
    LedgerMoves,
    /// A plugin can't be used.
    #[error("transform `{transform}` can't be used")]
    Plugin {
        /// Its name in the configuration.
        transform: String,
        /// Why.
        #[source]
        source: plugin::Error,
    },
    /// The machine gives no threads, no time or no random numbers.
    #[error("the system refuses")]
    System(#[from] std::io::Error),
}

impl Error {
    /// Whether asking again later may help.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Ledger(error) if error.kind() == ledger::Kind::Transient)
    }

    /// What to do about it, where it is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ledger(error) => error.hint(),
            Self::Revision { source, revision } => Some(format!(
                "{}mend what is missing on this host, or go back: `host ledger rollback --to N FILE` with an N below \
                 {revision}; `host explain OBJECT` tells which revision made an object that is well",
                source.hint().map(|hint| hint + "; or ").unwrap_or_default()
            )),
            Self::LedgerMoves => {
                Some(String::from("write `[ledger] url` with the place where it lies now, and restart once"))
            }
            Self::Source(error) => error.hint().map(str::to_owned),
            Self::DeadLetterTopic { source: source::kafka::Error::TopicMissing { topic, brokers } } => {
                // One partition keeps all letters in order, and there are few of them.
                Some(format!(
                    "create it: `kafka-topics.sh --bootstrap-server {brokers} --create --topic {topic} --partitions 1`; \
                     or remove `dead_letter.topic`"
                ))
            }
            Self::DeadLetterTopic { source } => source.hint().map(str::to_owned),
            Self::Store { source, .. } => {
                source.downcast_ref::<store::ProbeError>().map(|error| error.advice().to_owned())
            }
            _ => None,
        }
    }
}

/// An error with all its causes on one line.
#[must_use]
pub fn chain_text(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
