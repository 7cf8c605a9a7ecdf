//! What can go wrong with a broker.

use thiserror::Error;

/// An error of the Kafka source.
#[derive(Debug, Error)]
pub enum Error {
    /// librdkafka's own words.
    #[error("kafka: {0}")]
    Client(#[from] rdkafka::error::KafkaError),
}
