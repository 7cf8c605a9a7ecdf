//! What the tests of this folder share.

use crate::record::TopicPartition;

pub(super) fn partition(topic: &str, number: i32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition: number }
}
