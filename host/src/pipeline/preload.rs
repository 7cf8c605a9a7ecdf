//! Puts made-up records into a pipeline's first topic, for `host bench`.

use super::Error;
use crate::config::{self, Broker};
use crate::source::kafka;

/// How much.
#[derive(Clone, Copy, Debug)]
pub struct Preload {
    /// Records.
    pub records: u64,
    /// Bytes of each.
    pub bytes: usize,
}

/// Fills the topic and waits until the broker has all of it.
///
/// # Errors
/// An embedded broker (it keeps too little), or one that does not take the records.
pub async fn preload(config: &config::Pipeline, preload: Preload) -> Result<(), Error> {
    let Broker::Kafka { brokers } = &config.source.broker else { return Err(Error::EmbeddedBench) };
    let (source, brokers) = (config.source.clone(), brokers.clone());
    let filled = tokio::task::spawn_blocking(move || {
        kafka::preload(&source, &brokers, preload.records, preload.bytes)
    });
    match filled.await {
        Ok(filled) => Ok(filled?),
        Err(_) => Err(kafka::Error::Panicked.into()),
    }
}
