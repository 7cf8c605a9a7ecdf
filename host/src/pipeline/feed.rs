//! What fills an embedded broker while the pipeline runs.
//!
//! Owns the feeder's place in the order: it runs beside the lanes, tells when it has put everything in,
//! and what the ends of the partitions are then.

use std::sync::Arc;
use std::time::Duration;

use super::Error;
use super::build::EndOffsets;
use crate::config::{self, Broker};
use crate::record::TopicPartition;
use crate::source::kafka::{EmbeddedBroker, Feeder, TakenIn};

/// The running feeder.
#[derive(Debug)]
pub(super) struct Feed {
    feeder: Feeder,
    topic: Arc<str>,
    others: Vec<TopicPartition>,
}

impl Feed {
    /// Starts to feed the pipeline's first topic.
    pub(super) fn start(config: &config::Pipeline, broker: &EmbeddedBroker) -> Result<Self, Error> {
        let Broker::Embedded { partitions, feed } = &config.source.broker else {
            return Err(Error::SourceGone);
        };
        let mut topics = config.source.topics.iter().map(|topic| Arc::<str>::from(topic.as_str()));
        let topic = topics.next().ok_or(Error::SourceGone)?;
        let others = topics
            .flat_map(|topic| {
                (0..*partitions).map(move |partition| TopicPartition { topic: topic.clone(), partition })
            })
            .collect();
        let feeder = Feeder::spawn(broker, &topic, *partitions, feed)?;
        Ok(Self { feeder, topic, others })
    }

    /// Tells the feeder what the lanes took in.
    pub(super) fn hook(&self) -> TakenIn {
        self.feeder.hook()
    }
}

/// How often the feeder is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Waits until everything is fed, for ever where nothing feeds; the ends of all partitions then.
/// Cancel-safe.
pub(super) async fn ended(feed: &mut Option<Feed>) -> Result<EndOffsets, Error> {
    let Some(running) = feed.as_ref() else { return std::future::pending().await };
    while !running.feeder.progress().ended {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let Some(finished) = feed.take() else { return Ok(EndOffsets::new()) };
    finished.feeder.join()?;
    let ends = finished.feeder.progress().ends.unwrap_or_default();
    let fed = (0_i32..).zip(ends).map(|(partition, end)| {
        let topic = Arc::clone(&finished.topic);
        (TopicPartition { topic, partition }, end)
    });
    Ok(fed.chain(finished.others.iter().cloned().map(|partition| (partition, 0))).collect())
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.feeder.stop();
    }
}
