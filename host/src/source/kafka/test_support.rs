//! What the tests of this folder share.

use std::collections::BTreeMap;

use crate::config::{Broker, Source, Start};
use crate::record::TopicPartition;

/// A source of one topic whose broker is not marked as embedded.
pub(super) fn real_source(topic: &str) -> Source {
    Source {
        broker: Broker::Kafka { brokers: String::from("unused") },
        topics: vec![topic.to_owned()],
        group: String::from("g"),
        start: Start::Earliest,
        properties: BTreeMap::new(),
    }
}

pub(super) fn partition(topic: &str, number: i32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition: number }
}
