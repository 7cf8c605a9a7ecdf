//! One cut on its way: staging finished, entry created, objects published, offset committed.
//!
//! Owns the order of those four. Does not know the open range behind it. Invariant: nothing after a
//! step happens before that step is known to have happened; the task may be dropped at any await, and
//! then what was sent may still happen, which the next owner finds and finishes.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::Error;
use super::entry::{self, Placed};
use super::stager::{Place, Stager};
use crate::batch::{Chunk, ClosedRange, OpenRange};
use crate::crash;
use crate::ledger::{self, Chain, INLINE_BYTES_MAX, Kind, LastEntry, Outcome, Tail};
use crate::pipeline::context::Context;
use crate::pipeline::cpu::{Pool, Turn};
use crate::pipeline::error::chain_text;
use crate::pipeline::names::Names;
use crate::pipeline::revisions::Shape;
use crate::record::CutCause;
use crate::retry::Backoff;
use crate::source::Command;

/// Everything that a cut needs to become an entry.
pub(super) struct Cut {
    pub(super) context: Arc<Context>,
    /// What made it.
    pub(super) shape: Arc<Shape>,
    pub(super) chain: Arc<Chain>,
    pub(super) tail: Tail,
    pub(super) names: Names,
    pub(super) cause: CutCause,
    pub(super) stager: Option<Stager>,
    /// Chunks that were handed out and have not reached the stager.
    pub(super) outbox: VecDeque<Chunk>,
}

/// The range of a cut.
#[derive(Debug)]
pub(super) enum Ending {
    /// Its objects are closed.
    Closed(ClosedRange),
    /// They are still to be closed, which the lane does not wait for.
    Open(Box<OpenRange>),
}

/// How a cut ended.
#[derive(Debug)]
pub(super) enum Settled {
    /// It is committed and published; this is the chain's new tail.
    Committed(Tail),
    /// Another writer owns the range; its entry is published, and this is the tail after it.
    Adopted(Tail),
    /// Its staged bytes were lost before it was committed: the range has to be made again.
    Again,
}

/// A cut that is being committed; dropped, it stops where it stands.
#[derive(Debug)]
pub(super) struct Committing {
    task: JoinHandle<Result<Settled, Error>>,
}

impl Committing {
    pub(super) fn start(cut: Cut, ending: Ending) -> Self {
        Self { task: tokio::spawn(cut.commit(ending)) }
    }
}

impl Drop for Committing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits for the cut under way, for ever where there is none. Cancel-safe.
pub(super) async fn settled(committing: &mut Option<Committing>) -> Result<Settled, Error> {
    let Some(cut) = committing else { return std::future::pending().await };
    let settled = (&mut cut.task).await;
    *committing = None;
    settled.unwrap_or_else(|error| Err(Error::TaskLost(error.to_string())))
}

/// Tells the group how far a lane is, once its last entry is published.
pub(super) async fn commit_offset(context: &Context, chain: &Chain, names: &Names, published: &LastEntry) {
    let commit = chain.commit(published);
    let partition = names.origin.clone();
    context.tell(Command::Commit { partition, offset: commit.offset, metadata: commit.metadata }).await;
    crash::point("commit:sent");
}

impl Cut {
    async fn commit(mut self, ending: Ending) -> Result<Settled, Error> {
        let closed = self.close(ending).await?;
        let accounts = closed.accounts.clone();
        let Some(placed) = self.place_bytes(closed).await? else { return Ok(Settled::Again) };
        let entry = entry::build(&self, &accounts, &placed);
        crash::point("entry:before-create");
        match self.chain.create(&self.tail, &entry, &placed.inline).await? {
            Outcome::Mine(last) => {
                crash::point("entry:created");
                let tail = self.patiently(|| self.chain.publish(last.clone(), &*self.context.shapes)).await?;
                crash::point("publish:done");
                self.shape.delivery.objects.drop_staged(&entry).await;
                self.context.count(&entry);
                self.commit_tail(&tail).await;
                // A lane that was stopped for long may find that others went on behind its entry.
                Ok(if tail.end == entry.end { Settled::Committed(tail) } else { Settled::Adopted(tail) })
            }
            Outcome::Theirs(last) => {
                let tail = self.patiently(|| self.chain.follow(last.clone(), &*self.context.shapes)).await?;
                self.commit_tail(&tail).await;
                // Another writer's entry was read at this start, so that this attempt's can't stand.
                self.shape.delivery.objects.drop_staged(&entry).await;
                Ok(Settled::Adopted(tail))
            }
        }
    }

    /// Asks the ledger until it answers for good: publishing is repeatable.
    async fn patiently<F: Future<Output = ledger::Result<Tail>>>(
        &self,
        mut ask: impl FnMut() -> F,
    ) -> Result<Tail, Error> {
        let mut backoff = Backoff::for_services();
        loop {
            let error = match ask().await {
                Ok(tail) => return Ok(tail),
                Err(error) if error.kind() == Kind::Transient => error,
                Err(error) => return Err(error.into()),
            };
            let wait = backoff.next_wait(&self.context.random);
            tracing::warn!(lane = %self.names.origin, error = %chain_text(&error), ?wait,
                "a committed entry can't be published yet");
            tokio::time::sleep(wait).await;
        }
    }

    async fn commit_tail(&self, tail: &Tail) {
        if let Some(last) = &tail.last {
            commit_offset(&self.context, &self.chain, &self.names, last).await;
        }
    }

    /// The range, once its objects are closed.
    async fn close(&self, ending: Ending) -> Result<ClosedRange, Error> {
        match ending {
            Ending::Closed(closed) => Ok(closed),
            Ending::Open(mut range) => {
                let closing = self.context.pools.run(Pool::Cpu, Turn::InOrder, move || range.cut());
                Ok(closing.await??)
            }
        }
    }

    /// Brings all bytes of the cut to where the entry will say they are; `None`: they were lost.
    async fn place_bytes(&mut self, closed: ClosedRange) -> Result<Option<Placed>, Error> {
        let chunks: Vec<Chunk> = self.outbox.drain(..).chain(closed.chunks).collect();
        let bytes: u64 = chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum();
        let stager = self.stager.take();
        let are_whole = chunks.iter().all(|chunk| chunk.last.is_some());
        if stager.is_none() && !closed.handed_out && are_whole && bytes <= INLINE_BYTES_MAX {
            return Ok(Some(Placed::inline(chunks)));
        }
        let (context, shape) = (Arc::clone(&self.context), Arc::clone(&self.shape));
        let place = Place { context, shape, names: self.names.clone() };
        let mut stager = stager.unwrap_or_else(|| Stager::start(place));
        for chunk in chunks {
            stager.send(chunk).await?;
        }
        let Some(objects) = stager.finish().await? else { return Ok(None) };
        crash::point("stage:finished");
        Ok(Some(Placed::staged(objects)))
    }
}

/// Bytes that travel in an entry, in pieces.
pub(super) type Inline = Vec<Bytes>;
