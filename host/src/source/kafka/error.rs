//! What can go wrong with a broker, and what to do about it.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use thiserror::Error;

/// An error of the Kafka source.
#[derive(Debug, Error)]
pub enum Error {
    /// librdkafka refuses a property of `source.properties`.
    #[error("`source.properties` has `{key}`, which librdkafka refuses: {reason}")]
    Property {
        /// The property's name.
        key: String,
        /// librdkafka's words, without the value.
        reason: String,
    },
    /// A property that Vanne sets itself.
    #[error("`source.properties` has `{key}`, which Vanne sets itself; remove it")]
    Reserved {
        /// The property's name.
        key: String,
    },
    /// The client could not be made of properties that are each valid.
    #[error("the Kafka client could not be made of `source.properties`")]
    Create(#[source] Box<KafkaError>),
    /// No broker answered.
    #[error("no answer from Kafka at `{brokers}` within {seconds} s to `{operation}`")]
    Unreachable {
        /// Addresses that were tried.
        brokers: String,
        /// What was asked.
        operation: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// The broker knows no such topic.
    #[error("topic `{topic}` does not exist at `{brokers}`")]
    TopicMissing {
        /// The topic's name.
        topic: String,
        /// The cluster that was asked.
        brokers: String,
    },
    /// The broker refuses the credentials or what they may do.
    #[error("Kafka at `{brokers}` refuses `{operation}` ({reason})")]
    Denied {
        /// The cluster.
        brokers: String,
        /// What was asked.
        operation: &'static str,
        /// The broker's words.
        reason: String,
    },
    /// The client can't go on: another member with the same `group.instance.id` took over, or the like.
    #[error("the Kafka client ended: {reason} ({code})")]
    Fatal {
        /// librdkafka's name of the error.
        code: String,
        /// Its words.
        reason: String,
    },
    /// Another answer that is not the one asked for.
    #[error("Kafka at `{brokers}` could not `{operation}` for `{subject}`")]
    Request {
        /// The cluster.
        brokers: String,
        /// What was asked.
        operation: &'static str,
        /// Topic, partition or group that it was about.
        subject: String,
        /// The answer.
        #[source]
        source: Box<KafkaError>,
    },
    /// The broker answered with something that makes no sense.
    #[error("Kafka at `{brokers}` answered `{operation}` for `{subject}` with {answer}")]
    Answer {
        /// The cluster.
        brokers: String,
        /// What was asked.
        operation: &'static str,
        /// Topic, partition or group that it was about.
        subject: String,
        /// What came.
        answer: String,
    },
    /// The system gave no thread.
    #[error("the system gave no thread for the source")]
    Thread(#[source] std::io::Error),
    /// The poll thread ended by a panic: a defect.
    #[error("the source's thread ended by a panic; this is a defect of the host")]
    Panicked,
    /// The embedded broker could not be made.
    #[error("the embedded broker could not {operation}")]
    Embedded {
        /// What was tried.
        operation: &'static str,
        /// Why not.
        #[source]
        source: Box<KafkaError>,
    },
    /// What feeds the embedded broker could not be read.
    #[error("can't read `{path}`, which `source.feed` names")]
    Feed {
        /// The file, or `-`.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// What a person can do, as a line of its own.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unreachable { .. } => {
                "check `source.brokers`, the network, and that the listener speaks the `security.protocol` of \
                 `source.properties`"
            }
            Self::TopicMissing { .. } => "create it, or correct `source.topics`",
            Self::Denied { .. } => {
                "check `sasl.*` and `ssl.*` in `source.properties`, and the access rules of the topics and the group"
            }
            _ => return None,
        })
    }

    /// The client could not be made.
    pub(super) fn create(source: KafkaError) -> Self {
        Self::Create(Box::new(source))
    }

    /// The embedded broker could not do something.
    pub(super) fn embedded(operation: &'static str, source: KafkaError) -> Self {
        Self::Embedded { operation, source: Box::new(source) }
    }

    /// Sorts librdkafka's answer to a request.
    pub(super) fn from_request(
        brokers: &str,
        operation: &'static str,
        subject: &str,
        waited: std::time::Duration,
        source: KafkaError,
    ) -> Self {
        use RDKafkaErrorCode as Code;
        let brokers = brokers.to_owned();
        match source.rdkafka_error_code() {
            Some(
                Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::TimedOutQueue,
            ) => Self::Unreachable { brokers, operation, seconds: waited.as_secs() },
            Some(Code::UnknownTopic | Code::UnknownTopicOrPartition) => {
                Self::TopicMissing { topic: subject.to_owned(), brokers }
            }
            Some(code) if is_denied(code) => Self::Denied { brokers, operation, reason: code.to_string() },
            _ => {
                let source = Box::new(source);
                Self::Request { brokers, operation, subject: subject.to_owned(), source }
            }
        }
    }
}

/// Whether the broker refused who asked, not what was asked.
pub(super) fn is_denied(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::SSL
    )
}
