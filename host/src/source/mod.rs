//! The stream: partitions of Kafka topics, as batches.
//!
//! Owns consuming: which partitions this process has, filling arenas, pausing, seeking, committing
//! offsets. Does not know lanes, ledgers or what becomes of a batch. Invariant: for each assignment of
//! a partition, batches reach the intake in order and without a hole from the offset that it was
//! assigned or last sought at, each with the epoch of that order; a stale epoch is never sent.

pub mod generator;
pub mod kafka;
pub mod lines;
mod pool;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::record::{Batch, Epoch, TopicPartition};

/// What the source tells the pipeline.
#[derive(Debug)]
pub enum Event {
    /// The group gave these partitions; answer each with [`Command::Assign`] as soon as its start is
    /// known. Nobody waits for it: the group and the other partitions go on.
    Assigned(Vec<TopicPartition>),
    /// The group wants these back, and their intakes get nothing more; answer with [`Command::Unassign`]
    /// of each, once, within the drain's deadline. Until all of them are given back, librdkafka fetches
    /// nothing for the partitions that stay, either.
    Revoked(Vec<TopicPartition>),
    /// The partitions are gone already (session lost): nothing more may be committed for them. Answer
    /// with [`Command::Unassign`]. May follow a `Revoked` of the same partitions; one answer is enough, and
    /// a second is ignored.
    Lost(Vec<TopicPartition>),
    /// The position is outside the partition's log; the partition rests until a [`Command::Seek`].
    OutOfRange {
        /// Where.
        partition: TopicPartition,
        /// The offset that was asked for.
        offset: u64,
    },
    /// The client can't go on (credentials refused, fenced instance): the pipeline ends with this.
    Fatal(kafka::Error),
}

/// What the pipeline tells the source.
#[derive(Debug)]
pub enum Command {
    /// Begin to read a partition that was given, at `start`.
    Assign {
        /// Which.
        partition: TopicPartition,
        /// First offset to read.
        start: u64,
        /// Epoch of the batches to come.
        epoch: Epoch,
        /// Where they go.
        intake: Intake,
    },
    /// Go on at another offset, in a new epoch; batches under way are dropped.
    Seek {
        /// Which.
        partition: TopicPartition,
        /// Next offset to read.
        offset: u64,
        /// Epoch of the batches to come.
        epoch: Epoch,
    },
    /// Read no more of a partition, but keep it (a draining or halted lane). What no lane has taken is
    /// dropped; what is in the intake stays there. A seek makes it go on.
    Stop {
        /// Which.
        partition: TopicPartition,
    },
    /// Give partitions back, after the commits that came before. Their intakes are let go of, so that
    /// [`Outlet::next`] comes to its end.
    Unassign {
        /// Which.
        partitions: Vec<TopicPartition>,
    },
    /// Commit an offset with a note, for lag tools and the next owner. Dropped without a word where the
    /// partition is no longer owned.
    Commit {
        /// Which.
        partition: TopicPartition,
        /// The next offset to read.
        offset: u64,
        /// Text that is kept with it.
        metadata: String,
    },
    /// Leave the group after outstanding commits, and end.
    Close,
}

/// The way from the source to one lane: a bounded channel and the count of bytes in it.
#[derive(Clone, Debug)]
pub struct Intake {
    sender: mpsc::Sender<Batch>,
    queued: Arc<AtomicUsize>,
}

/// The lane's end of an [`Intake`].
#[derive(Debug)]
pub struct Outlet {
    receiver: mpsc::Receiver<Batch>,
    queued: Arc<AtomicUsize>,
}

/// Batches that wait in an intake at the most: one that is worked next and one behind it, so that the
/// lane never waits for the source. What is beyond stays in the source, paused.
pub const INTAKE_BATCHES: usize = 2;

/// Makes the two ends.
#[must_use]
pub fn intake() -> (Intake, Outlet) {
    let (sender, receiver) = mpsc::channel(INTAKE_BATCHES);
    let queued = Arc::new(AtomicUsize::new(0));
    (Intake { sender, queued: Arc::clone(&queued) }, Outlet { receiver, queued })
}

impl Intake {
    /// Hands a batch over without waiting; a full or closed intake gives it back.
    ///
    /// # Errors
    /// The batch, and whether the lane is gone (`true`) or only busy.
    #[allow(clippy::result_large_err)] // a busy lane is no rare failure: its batch is not worth an allocation
    pub fn offer(&self, batch: Batch) -> Result<(), (Batch, bool)> {
        let bytes = batch.records.bytes();
        self.queued.fetch_add(bytes, Ordering::Relaxed);
        self.sender.try_send(batch).map_err(|refused| {
            self.queued.fetch_sub(bytes, Ordering::Relaxed);
            match refused {
                mpsc::error::TrySendError::Full(batch) => (batch, false),
                mpsc::error::TrySendError::Closed(batch) => (batch, true),
            }
        })
    }

    /// Bytes that wait in it.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Whether a batch could be handed over now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.sender.capacity() > 0
    }
}

impl Outlet {
    /// A batch that waits already.
    pub fn try_next(&mut self) -> Option<Batch> {
        let batch = self.receiver.try_recv().ok()?;
        self.queued.fetch_sub(batch.records.bytes(), Ordering::Relaxed);
        Some(batch)
    }

    /// The next batch; `None` once the source let go of the intake and it is empty. Cancel-safe.
    pub async fn next(&mut self) -> Option<Batch> {
        let batch = self.receiver.recv().await?;
        self.queued.fetch_sub(batch.records.bytes(), Ordering::Relaxed);
        Some(batch)
    }
}
