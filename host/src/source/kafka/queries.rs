//! Questions to a cluster: topics, ids, ends, committed offsets.
//!
//! Owns a client of its own, which joins no group. Every call blocks until the answer or its time-out:
//! call it where blocking is allowed (`spawn_blocking`). Invariant: asking changes nothing.

use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use super::consumer::Context;
use super::embedded::EMBEDDED_TOPIC_ID_PREFIX;
use super::{Error, native, properties};
use crate::config::{Broker, Source};
use crate::record::TopicPartition;

/// Time for the first answer: a connection, TLS and a login, with one retry.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The ends of a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// Offset of the oldest record that is left.
    pub low: u64,
    /// Offset that the next record gets; with transactions, the end of what `read_committed` can see.
    pub high: u64,
}

/// What a group has committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to read.
    pub offset: u64,
    /// The text beside it.
    pub metadata: String,
}

/// A client that only asks.
pub struct Queries {
    client: BaseConsumer<Context>,
    brokers: String,
    group: String,
    embedded: bool,
    timeout: Duration,
}

impl std::fmt::Debug for Queries {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Queries").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

impl Queries {
    /// Makes the client; nothing is asked yet.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn new(source: &Source, brokers: &str) -> Result<Self, Error> {
        let properties = properties::for_queries(source, brokers)?;
        let client = BaseConsumer::from_config_and_context(&properties, Context).map_err(Error::create)?;
        Ok(Self {
            client,
            brokers: brokers.to_owned(),
            group: source.group.clone(),
            embedded: matches!(source.broker, Broker::Embedded { .. }),
            timeout: TIMEOUT,
        })
    }

    /// Waits so long for each answer instead of 10 s.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Numbers of a topic's partitions, in order.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Denied`], [`Error::TopicMissing`] and the like.
    pub fn partitions(&self, topic: &str) -> Result<Vec<i32>, Error> {
        const OPERATION: &str = "describe the topic";
        let refused = |source| self.error(OPERATION, topic, source);
        self.drain();
        let metadata = self.client.fetch_metadata(Some(topic), self.timeout).map_err(refused)?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Err(refused(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)));
        };
        if let Some(code) = found.error() {
            return Err(refused(KafkaError::MetadataFetch(code.into())));
        }
        let mut partitions: Vec<i32> = found.partitions().iter().map(|partition| partition.id()).collect();
        partitions.sort_unstable();
        if partitions.is_empty() {
            return Err(refused(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)));
        }
        Ok(partitions)
    }

    /// The id of a topic, as Kafka prints it; it tells a topic from one of the same name made later. For
    /// the embedded broker, whose topics have none that lasts: [`EMBEDDED_TOPIC_ID_PREFIX`] and the name.
    ///
    /// # Errors
    /// As [`Queries::partitions`]; [`Error::Answer`] for a broker without topic ids (older than 2.8).
    pub fn topic_id(&self, topic: &str) -> Result<String, Error> {
        const OPERATION: &str = "ask for the topic's id";
        if self.embedded {
            return self.partitions(topic).map(|_| format!("{EMBEDDED_TOPIC_ID_PREFIX}{topic}"));
        }
        self.drain();
        match native::topic_id(&self.client, topic, self.timeout) {
            Ok(Some(id)) => Ok(id),
            Ok(None) => Err(Error::Answer {
                brokers: self.brokers.clone(),
                operation: OPERATION,
                subject: topic.to_owned(),
                answer: String::from("no id; topic ids need Kafka 2.8 or later"),
            }),
            Err((code, reason)) => {
                tracing::debug!(topic, %code, reason, "no topic id");
                Err(self.error(OPERATION, topic, KafkaError::MetadataFetch(code)))
            }
        }
    }

    /// The ends of a partition's log.
    ///
    /// # Errors
    /// As [`Queries::partitions`].
    pub fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks, Error> {
        const OPERATION: &str = "ask for the ends of the log";
        self.drain();
        let (low, high) = self
            .client
            .fetch_watermarks(&partition.topic, partition.partition, self.timeout)
            .map_err(|source| self.error(OPERATION, &partition.to_string(), source))?;
        match (u64::try_from(low), u64::try_from(high)) {
            (Ok(low), Ok(high)) => Ok(Watermarks { low, high }),
            _ => Err(Error::Answer {
                brokers: self.brokers.clone(),
                operation: OPERATION,
                subject: partition.to_string(),
                answer: format!("`{low}` and `{high}`"),
            }),
        }
    }

    /// What the group has committed, in the order asked for; `None` where it has not.
    ///
    /// # Errors
    /// As [`Queries::partitions`]; one bad partition fails the whole question.
    pub fn committed(&self, partitions: &[TopicPartition]) -> Result<Vec<Option<Committed>>, Error> {
        const OPERATION: &str = "ask for the committed offsets of the group";
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        self.drain();
        let list = list_of(partitions, Offset::Invalid);
        let answer = self
            .client
            .committed_offsets(list, self.timeout)
            .map_err(|source| self.error(OPERATION, &self.group, source))?;
        self.read(OPERATION, &answer, partitions, |element| match element.offset() {
            Offset::Offset(offset) => u64::try_from(offset)
                .ok()
                .map(|offset| Committed { offset, metadata: element.metadata().to_owned() }),
            _ => None,
        })
    }

    /// The first offset whose record is of this time or later, in the order asked for; `None` where there
    /// is none. The embedded broker can't search by time and always says `None`.
    ///
    /// # Errors
    /// As [`Queries::committed`].
    pub fn offsets_for_time(
        &self,
        partitions: &[TopicPartition],
        time_ms: i64,
    ) -> Result<Vec<Option<u64>>, Error> {
        const OPERATION: &str = "search offsets by time";
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        self.drain();
        let list = list_of(partitions, Offset::Offset(time_ms.max(0)));
        let answer = self
            .client
            .offsets_for_times(list, self.timeout)
            .map_err(|source| self.error(OPERATION, &partitions[0].topic, source))?;
        self.read(OPERATION, &answer, partitions, |element| match element.offset() {
            Offset::Offset(offset) => u64::try_from(offset).ok(),
            _ => None,
        })
    }

    /// Takes what librdkafka has to say (its log, lost connections), or it would pile up: nobody polls
    /// this client otherwise.
    fn drain(&self) {
        const EVENTS_MAX: usize = 256;
        for _ in 0..EVENTS_MAX {
            // `None` also stands for an event that was taken care of, so that it is no sign of the end.
            if let Some(Err(error)) = self.client.poll(Duration::ZERO) {
                tracing::debug!(%error, "the client for questions met an error");
            }
        }
    }

    /// Picks the answers in the order of the question.
    fn read<T>(
        &self,
        operation: &'static str,
        answer: &TopicPartitionList,
        partitions: &[TopicPartition],
        value: impl Fn(&TopicPartitionListElem<'_>) -> Option<T>,
    ) -> Result<Vec<Option<T>>, Error> {
        let read_one = |partition: &TopicPartition| {
            let Some(element) = answer.find_partition(&partition.topic, partition.partition) else {
                return Err(Error::Answer {
                    brokers: self.brokers.clone(),
                    operation,
                    subject: partition.to_string(),
                    answer: String::from("nothing"),
                });
            };
            let refused = |source| self.error(operation, &partition.to_string(), source);
            element.error().map_err(refused)?;
            Ok(value(&element))
        };
        partitions.iter().map(read_one).collect()
    }

    fn error(&self, operation: &'static str, subject: &str, source: KafkaError) -> Error {
        Error::from_request(&self.brokers, operation, subject, self.timeout, source)
    }
}

fn list_of(partitions: &[TopicPartition], offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition)
            .set_offset(offset)
            .expect("an offset that is not negative, or invalid, can be told");
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;
    use crate::source::kafka::EmbeddedBroker;
    use crate::source::kafka::test_support::partition;

    #[test]
    fn a_cluster_tells_partitions_and_ends() {
        let broker = EmbeddedBroker::start().expect("a free port");
        broker.create_topic("t", 3).expect("new");
        let queries = Queries::new(&Source::for_tests("t", &[]), broker.bootstrap()).expect("valid");
        assert_eq!(queries.partitions("t").expect("there"), [0, 1, 2]);
        let ends = queries.watermarks(&partition("t", 1)).expect("there");
        assert_eq!(ends, Watermarks { low: 0, high: 0 });
        let committed = queries.committed(&[partition("t", 0), partition("t", 2)]).expect("there");
        assert_eq!(committed, [None, None]);
    }

    #[test]
    fn a_missing_topic_and_a_missing_broker_are_told_apart() {
        let broker = EmbeddedBroker::start().expect("a free port");
        let queries = Queries::new(&Source::for_tests("t", &[]), broker.bootstrap()).expect("valid");
        let missing = queries.partitions("nowhere").expect_err("no such topic");
        assert!(matches!(&missing, Error::TopicMissing { topic, .. } if topic == "nowhere"), "{missing}");
        let away = Queries::new(&Source::for_tests("t", &[]), "127.0.0.1:1")
            .expect("valid")
            .with_timeout(Duration::from_millis(300))
            .partitions("t")
            .expect_err("nobody listens");
        assert!(matches!(&away, Error::Unreachable { brokers, .. } if brokers == "127.0.0.1:1"), "{away}");
    }
}
