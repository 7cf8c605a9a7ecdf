//! Going on where somebody else stopped, or won.
//!
//! Owns the order of take-over: find the end, publish what stands there unless it is closed, and only
//! then go on. Does not know how an object is put in place: that is a [`Publish`]. Invariant: a tail
//! returned from here is published.

use async_trait::async_trait;

use super::codec::LastEntry;
use super::{Chain, Commit, Error, Kind, PublishError, Result, Tail};

/// Puts the objects of an entry in place.
#[async_trait]
pub trait Publish: Send + Sync {
    /// Puts every object of an entry at its final path, and returns once each was *seen* there with its
    /// length by a HEAD: an answer of the store proves nothing.
    ///
    /// Called for entries of this process and of others, alive or dead, perhaps by several processes at
    /// once and more than once: an object that is there already is fine. One that is neither staged nor
    /// there is an error of kind [`Kind::Halted`](super::Kind::Halted), unless it shows up while the
    /// publisher waits for a request time-out.
    async fn publish(&self, entry: &LastEntry) -> std::result::Result<(), PublishError>;
}

impl Chain {
    /// Takes the chain over: finds its end, publishes the last entry unless it is closed, and returns the
    /// tail, behind which the next entry may be created; `None` while the chain has no entry.
    ///
    /// Nothing is deleted or aborted: the other writer may be alive. Repeatable, and may be dropped.
    ///
    /// # Errors
    /// Those of [`Chain::tail`], and [`Error::Publish`].
    pub async fn take_over(&self, hint: Option<&Commit>, publisher: &dyn Publish) -> Result<Option<Tail>> {
        match self.tail(hint).await? {
            Some(Tail { last: Some(last), closed: false, .. }) => {
                self.publish(last, publisher).await.map(Some)
            }
            tail => Ok(tail),
        }
    }

    /// Publishes an entry that [`Outcome::Mine`](super::Outcome::Mine) showed, and returns the tail, behind
    /// which the next entry may be created.
    ///
    /// Where the publisher misses an object for good, the chain is looked at again: if somebody else went
    /// on, or closed the entry, it was published, and a reader has taken the object since. Then the tail
    /// may end *beyond* this entry: the lane was taken over and has to go on there.
    ///
    /// Repeatable, and may be dropped.
    ///
    /// # Errors
    /// [`Error::Publish`]; those of [`Chain::tail`].
    pub async fn publish(&self, entry: LastEntry, publisher: &dyn Publish) -> Result<Tail> {
        let mut last = entry;
        loop {
            let Err(source) = publisher.publish(&last).await else { return Ok(Tail::published(last)) };
            let halted = source.kind == Kind::Halted;
            let failure =
                Error::Publish { chain: self.lane().folder().to_owned(), range: last.entry.range(), source };
            if !halted {
                return Err(failure);
            }
            let newest = self.walk(last.clone()).await?;
            let closed = self.is_closed(&newest, None).await?;
            if closed {
                return Ok(Tail::closed(newest));
            }
            if newest.entry.start == last.entry.start {
                return Err(failure);
            }
            last = newest;
        }
    }

    /// Goes on behind another writer's entry, which [`Outcome::Theirs`](super::Outcome::Theirs) showed:
    /// follows the chain from there to its end, publishes the last entry unless it is closed, and returns
    /// the tail.
    ///
    /// The entries in between need nothing, since each next one proves that they are published.
    /// Repeatable, and may be dropped.
    ///
    /// # Errors
    /// Those of [`Chain::tail`], and [`Error::Publish`].
    pub async fn follow(&self, from: LastEntry, publisher: &dyn Publish) -> Result<Tail> {
        let last = self.walk(from).await?;
        if self.is_closed(&last, None).await? {
            return Ok(Tail::closed(last));
        }
        self.publish(last, publisher).await
    }
}
