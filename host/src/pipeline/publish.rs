//! What publishing an entry means to a pipeline: its objects in place, then its dead letters in their
//! topic.
//!
//! Owns the order of the two. Invariant: an entry counts as published only when both are done, so that
//! neither the next entry nor the group's offset comes before a dead letter.

use async_trait::async_trait;

use super::letters::LetterTopic;
use crate::ledger::{Kind, LastEntry, Publish, PublishError};
use crate::sink::object_store::Publisher;

/// Publishes entries, in the ledger's words.
#[derive(Debug)]
pub(super) struct EntryPublisher {
    /// Puts objects in place.
    pub(super) objects: Publisher,
    /// Where dead letters go besides, where the configuration says so.
    pub(super) letters: Option<LetterTopic>,
}

#[async_trait]
impl Publish for EntryPublisher {
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
