//! A broker in this process, for trying and testing: librdkafka's mock cluster.
//!
//! Owns the cluster and its topics. Its limits, which a user must know: nothing outlives the process; a
//! partition keeps 5 MiB of batches or 100,000 of them, and drops older ones without a word; there are
//! no transactions, no topic ids and no search by time. Invariant: the cluster lives as long as this.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::producer::{BaseProducer, Producer};

use super::{Error, native};

/// The mock cluster has no topic ids; an embedded topic's id is this and its name. A real one is base64
/// of 16 bytes, 22 characters without a dot, so that the two can't be taken for each other.
pub const EMBEDDED_TOPIC_ID_PREFIX: &str = "embedded.";

/// A group's first assignment waits so long for further members; the mock's own 3 s would be most of a
/// quickstart's time.
const GROUP_DELAY: Duration = Duration::from_millis(50);

/// The embedded broker; dropping it ends it.
pub struct EmbeddedBroker {
    producer: BaseProducer,
    bootstrap: String,
}

impl std::fmt::Debug for EmbeddedBroker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("EmbeddedBroker").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

impl EmbeddedBroker {
    /// Starts it on a free port of this machine.
    ///
    /// # Errors
    /// When no port can be opened.
    pub fn start() -> Result<Self, Error> {
        let refused = |source| Error::embedded("start", source);
        let mut config = ClientConfig::new();
        config.set("test.mock.num.brokers", "1");
        // Nobody polls this client, so that its log would pile up.
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let producer: BaseProducer = config.create().map_err(refused)?;
        native::set_group_delay(&producer, GROUP_DELAY);
        let bootstrap =
            producer.client().mock_cluster().map(|cluster| cluster.bootstrap_servers()).ok_or_else(|| {
                refused(rdkafka::error::KafkaError::MockCluster(rdkafka::error::RDKafkaErrorCode::Fail))
            })?;
        Ok(Self { producer, bootstrap })
    }

    /// Makes a topic.
    ///
    /// # Errors
    /// When it exists already, or the number is not positive.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), Error> {
        let refused = |source| Error::embedded("make a topic", source);
        let cluster = self.producer.client().mock_cluster().ok_or_else(|| {
            refused(rdkafka::error::KafkaError::MockCluster(rdkafka::error::RDKafkaErrorCode::Fail))
        })?;
        cluster.create_topic(topic, partitions, 1).map_err(refused)
    }

    /// Answers the next requests of a kind with these errors.
    #[cfg(test)]
    pub(super) fn fail_next(
        &self,
        request: rdkafka::types::RDKafkaApiKey,
        errors: &[rdkafka::types::RDKafkaRespErr],
    ) {
        let cluster = self.producer.client().mock_cluster().expect("made with one");
        cluster.request_errors(request, errors);
    }

    /// Where clients connect to, as `host:port`.
    #[must_use]
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }
}
