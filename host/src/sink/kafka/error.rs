//! Why there is no producer. Once there is one, it waits instead of failing.

use rdkafka::error::KafkaError;
use thiserror::Error;

/// An error of a Kafka topic as a sink.
#[derive(Debug, Error)]
pub enum Error {
    /// librdkafka refuses a property of `source.properties`.
    #[error("`source.properties` has `{key}`, which librdkafka refuses for a producer: {reason}")]
    Property {
        /// The property's name.
        key: String,
        /// librdkafka's words, without the value.
        reason: String,
    },
    /// The client could not be made of properties that are each valid.
    #[error("the Kafka producer could not be made of `source.properties`")]
    Create(#[source] Box<KafkaError>),
}

impl Error {
    /// Sorts librdkafka's refusal; its values may be secrets, so they are not shown.
    pub(super) fn create(source: KafkaError) -> Self {
        match source {
            KafkaError::ClientConfig(_, reason, key, value) => {
                let reason = if value.is_empty() { reason } else { reason.replace(&value, "***") };
                Self::Property { key, reason }
            }
            source => Self::Create(Box::new(source)),
        }
    }
}
