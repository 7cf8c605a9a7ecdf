//! Where a shape of the pipeline delivers to, and what publishing an entry means there: its objects in place,
//! then its dead letters in their topic.
//!
//! Owns the order of the two. Invariant: an entry counts as published only when both are done, so that
//! neither the next entry nor the group's offset comes before a dead letter.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::letters::LetterTopic;
use super::target::Targets;
use crate::ledger::{Kind, LastEntry, Publish, PublishError};
use crate::sink::object_store::Publisher;

/// The sinks of a shape, opened; shared by all shapes that deliver to the same places.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Its places.
    pub(super) targets: Targets,
    /// Puts objects in place.
    pub(super) objects: Publisher,
    /// Where dead letters go besides, where the configuration says so.
    letters: Option<LetterTopic>,
}

impl Delivery {
    pub(super) fn new(targets: Targets, letters: Option<LetterTopic>) -> Self {
        let objects = targets.publisher(CancellationToken::new());
        Self { targets, objects, letters }
    }
}

#[async_trait]
impl Publish for Delivery {
    async fn publish(&self, entry: &LastEntry) -> Result<(), PublishError> {
        let published = self.objects.publish(&entry.entry, &entry.inline).await;
        published.map_err(|error| PublishError {
            kind: if error.halts() { Kind::Halted } else { Kind::Transient },
            message: error.to_string(),
            source: Some(Box::new(error)),
        })?;
        match &self.letters {
            Some(letters) => letters.produce(entry).await,
            None => Ok(()),
        }
    }
}
