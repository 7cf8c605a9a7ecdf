//! Finding the revisions that other hosts made, and the sinks of those that are past.
//!
//! Owns loading what stands in the ledger. Invariant: a newest revision that can't be loaded leaves this host
//! without one, so that no lane goes on with what others have left behind.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Current, Shape, Shapes, Unable};
use crate::ledger::{Kind, LastEntry, Publish, PublishError, Revision};
use crate::pipeline::Error;
use crate::pipeline::delivery::Delivery;
use crate::pipeline::error::chain_text;

/// How long before a store that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// When the ledger was asked last for a lane that begins a range.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// When the last question that was answered was put.
    answered: Option<Instant>,
    /// When one last got no answer, since then.
    failed: Option<Instant>,
}

impl Shapes {
    /// Looks for a newer revision, and loads it.
    ///
    /// # Errors
    /// The ledger can't be asked. That a revision can't be loaded is no error but a state.
    pub(in crate::pipeline) async fn follow(self: &Arc<Self>) -> Result<(), Error> {
        let _one_at_a_time = self.changing.lock().await;
        self.catch_up().await
    }

    /// Looks for a newer revision, and sees what was made before the call. Lanes that ask at once share a look, which
    /// is one small request where there is nothing new, and waits for no compiler then.
    pub(in crate::pipeline) async fn look_now(self: &Arc<Self>) {
        let asked = Instant::now();
        loop {
            let mut looked = self.looked.lock().await;
            if looked.answered.is_some_and(|began| began >= asked) {
                return;
            }
            // One question a second, and one line in the log, however many lanes wait for the answer.
            if looked.failed.is_none_or(|failed| failed.elapsed() >= ASK_AGAIN) {
                let began = Instant::now();
                match self.look().await {
                    Ok(()) => {
                        *looked = Looked { answered: Some(began), failed: None };
                        return;
                    }
                    Err(error) => tracing::warn!(error = %chain_text(&error),
                        "the ledger can't be asked for newer revisions, without which no range is begun"),
                }
                looked.failed = Some(Instant::now());
            }
            drop(looked);
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    async fn look(self: &Arc<Self>) -> Result<(), Error> {
        let Current { shape, unable } = self.current();
        let known = shape.revision.max(unable.map_or(0, |unable| unable.revision));
        match self.loader.revisions.newest_from(known).await? {
            None => Ok(()),
            Some(_) => self.follow().await,
        }
    }

    /// Loads a revision at least as new as one that stands in an entry; returns once this host has it, or is
    /// known to be unable to run it.
    pub(in crate::pipeline) async fn load_at_least(self: &Arc<Self>, revision: u64) {
        loop {
            let followed = self.follow().await;
            let current = self.current();
            let unable = current.unable.map_or(0, |unable| unable.revision);
            if current.shape.revision.max(unable) >= revision {
                return;
            }
            let why = followed.err().map(|error| chain_text(&error));
            tracing::warn!(revision, why, "an entry is of a revision that can't be read yet");
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    pub(super) async fn catch_up(self: &Arc<Self>) -> Result<(), Error> {
        let current = self.current();
        let Some(newest) = self.loader.revisions.newest_from(current.shape.revision).await? else {
            return Ok(());
        };
        match self.load(&newest, &current.shape).await {
            Ok(shape) => self.announce(shape),
            Err(error) => self.give_up(&newest, &error),
        }
        Ok(())
    }

    async fn load(&self, revision: &Revision, near: &Shape) -> Result<Arc<Shape>, Error> {
        let blueprint = self.loader.blueprint(revision).await?;
        let loaded = self.loader.load(blueprint, Some(near)).await?;
        Ok(loaded.into_shape(revision.clone()))
    }

    /// This host can't run what the others run.
    fn give_up(&self, newest: &Revision, error: &Error) {
        let why = chain_text(error);
        let is_known = |unable: &Arc<Unable>| unable.revision == newest.revision && unable.why == why;
        if self.current.borrow().unable.as_ref().is_some_and(is_known) {
            return;
        }
        tracing::error!(revision = newest.revision, error = %why, made_by = newest.made_by,
            "ALARM: this host can't run the newest revision, so its lanes stand still; mend what is missing here, \
             or roll back: `host rollback {}`; it is tried again every few seconds", newest.pipeline);
        let unable = Unable { revision: newest.revision, why };
        self.current.send_modify(|current| current.unable = Some(Arc::new(unable)));
    }

    /// Where a revision's entries deliver to, if need be opened again.
    async fn delivery_of(&self, revision: u64) -> Result<Arc<Delivery>, Error> {
        let shape = self.shape();
        // An entry of a host that knew no revisions says 0.
        if revision == shape.revision || revision == 0 {
            return Ok(Arc::clone(&shape.delivery));
        }
        let known = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).get(&revision).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let Some(document) = self.loader.revisions.read(revision).await? else {
            return Ok(Arc::clone(&shape.delivery));
        };
        let config = self.loader.config(&document.config).await?;
        let delivery = self.loader.delivery(&config, Some(&shape)).await?;
        self.remember(revision, Arc::clone(&delivery));
        Ok(delivery)
    }
}

#[async_trait]
impl Publish for Shapes {
    async fn publish(&self, entry: &LastEntry) -> Result<(), PublishError> {
        let delivery = self.delivery_of(entry.entry.revision).await.map_err(|error| PublishError {
            kind: Kind::Transient,
            message: format!("the sinks of revision {} can't be opened", entry.entry.revision),
            source: Some(Box::new(error)),
        })?;
        delivery.publish(entry).await
    }
}
