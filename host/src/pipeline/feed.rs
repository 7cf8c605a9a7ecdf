//! What fills an embedded broker while the pipeline runs.
//!
//! Owns the feeder's place in the order: it runs beside the lanes, tells when it has put everything in,
//! and what the ends of the partitions are then.

use std::collections::HashMap;

use super::Error;
use super::build::EndOffsets;
use crate::config::{self, Broker};
use crate::record::TopicPartition;
use crate::source::kafka::{EmbeddedBroker, Feeder};

/// The running feeder.
#[derive(Debug)]
pub(super) struct Feed {
    feeder: Feeder,
    topic: std::sync::Arc<str>,
    others: Vec<TopicPartition>,
}

impl Feed {
    /// Starts to feed the pipeline's first topic.
    pub(super) fn start(config: &config::Pipeline, broker: &EmbeddedBroker) -> Result<Self, Error> {
        let Broker::Embedded { partitions, feed } = &config.source.broker else { return Err(Error::SourceGone) };
        let mut topics = config.source.topics.iter().map(|topic| std::sync::Arc::<str>::from(topic.as_str()));
        let topic = topics.next().ok_or(Error::SourceGone)?;
        let others = topics
            .flat_map(|topic| {
                (0..*partitions).map(move |partition| TopicPartition { topic: topic.clone(), partition })
            })
            .collect();
        let feeder = Feeder::start(broker, &topic, *partitions, feed)?;
        Ok(Self { feeder, topic, others })
    }
}

/// Waits until everything is fed, for ever where nothing feeds; the ends of all partitions then.
/// Cancel-safe.
pub(super) async fn ended(feed: &mut Option<Feed>) -> Result<EndOffsets, Error> {
    let Some(running) = feed else { return std::future::pending().await };
    let ends = running.feeder.ended().await;
    let finished = feed.take();
    let mut all: EndOffsets = HashMap::new();
    if let Some(feed) = finished {
        for (partition, end) in ends? {
            all.insert(TopicPartition { topic: feed.topic.clone(), partition }, end);
        }
        all.extend(feed.others.into_iter().map(|partition| (partition, 0)));
    }
    Ok(all)
}
