//! A range's bytes on their way to the store, while the range is still open.
//!
//! Owns one task a range and the uploads in it. Does not know entries. Invariant: an object is reported
//! as staged only when the store has all of it; what is staged is left alone when the lane goes away,
//! unless its own lane says that no entry can name it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Error;
use crate::batch::{Chunk, ObjectSummary};
use crate::crash;
use crate::pipeline::context::Context;
use crate::pipeline::names::Names;
use crate::pipeline::revisions::Shape;
use crate::sink::object_store::{StageError, StagedWriter};

/// Chunks that a range may have on their way: one, which is being sent. The next one waits in the lane,
/// which takes no input meanwhile, so that a lane holds two parts and a batch at the most.
const CHUNKS: usize = 1;

/// An object that lies in staging, whole.
#[derive(Clone, Debug)]
pub(super) struct StagedObject {
    pub(super) sink: Arc<str>,
    pub(super) number: u32,
    pub(super) staged: String,
    pub(super) summary: ObjectSummary,
    pub(super) crc64nvme: String,
}

/// Where a range's objects are staged.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) context: Arc<Context>,
    pub(super) shape: Arc<Shape>,
    pub(super) names: Names,
}

/// The way to a range's staging task. Dropped, it abandons what is under way.
#[derive(Debug)]
pub(super) struct Stager {
    sender: Option<mpsc::Sender<Sent>>,
    slots: Arc<Semaphore>,
    task: JoinHandle<Result<Option<Vec<StagedObject>>, Error>>,
    cancel: CancellationToken,
}

impl Stager {
    pub(super) fn start(place: Place) -> Self {
        let (sender, receiver) = mpsc::channel(CHUNKS);
        let cancel = CancellationToken::new();
        let task = tokio::spawn(stage(place, receiver, cancel.clone()));
        Self { sender: Some(sender), slots: Arc::new(Semaphore::new(CHUNKS)), task, cancel }
    }

    /// Hands a chunk over; waits while the store is slower than the lane.
    pub(super) async fn send(&mut self, chunk: Chunk) -> Result<(), Error> {
        let slot = self.slot().await?;
        if self.send_now(chunk, slot) { Ok(()) } else { Err(failure((&mut self.task).await)) }
    }

    /// Waits until nothing is being sent. Cancel-safe.
    async fn slot(&mut self) -> Result<OwnedSemaphorePermit, Error> {
        tokio::select! {
            biased;
            slot = Arc::clone(&self.slots).acquire_owned() => match slot {
                Ok(slot) => Ok(slot),
                Err(_) => Err(Error::StagingLost),
            },
            // The task ends early only by an error, and then never gives the slot back.
            ended = &mut self.task => Err(failure(ended)),
        }
    }

    /// Hands a chunk over; there is room, since its slot was free. False where the task has ended.
    fn send_now(&mut self, chunk: Chunk, slot: OwnedSemaphorePermit) -> bool {
        let sender = self.sender.as_ref().expect("a stager is not used after its end");
        sender.try_send(Sent { chunk, _slot: slot }).is_ok()
    }

    /// Ends the range's staging. `None`: bytes were lost on the way, so the range has to be made again.
    pub(super) async fn finish(mut self) -> Result<Option<Vec<StagedObject>>, Error> {
        self.sender = None;
        match (&mut self.task).await {
            Ok(staged) => staged,
            Err(error) => Err(Error::TaskLost(error.to_string())),
        }
    }
}

type Ended = Result<Result<Option<Vec<StagedObject>>, Error>, tokio::task::JoinError>;

/// Why a staging task ended before its range.
fn failure(ended: Ended) -> Error {
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(_)) => Error::StagingLost,
        Err(error) => Error::TaskLost(error.to_string()),
    }
}

/// A chunk on its way, and the slot that is free again once it is sent.
#[derive(Debug)]
struct Sent {
    chunk: Chunk,
    _slot: OwnedSemaphorePermit,
}

impl Drop for Stager {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Hands the first chunk of `outbox` over; for ever where there is nothing to hand over. Cancel-safe:
/// between leaving the outbox and standing in the channel a chunk never waits.
pub(super) async fn send_first(
    stager: Option<&mut Stager>,
    outbox: &mut VecDeque<Chunk>,
) -> Result<(), Error> {
    let Some(stager) = stager else { return std::future::pending().await };
    let slot = stager.slot().await?;
    let Some(chunk) = outbox.pop_front() else { return Ok(()) };
    if stager.send_now(chunk, slot) { Ok(()) } else { Err(failure((&mut stager.task).await)) }
}

async fn stage(
    place: Place,
    mut chunks: mpsc::Receiver<Sent>,
    cancel: CancellationToken,
) -> Result<Option<Vec<StagedObject>>, Error> {
    let mut open: BTreeMap<(Arc<str>, u32), (String, StagedWriter)> = BTreeMap::new();
    let mut staged = Vec::new();
    loop {
        let chunk = tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            chunk = chunks.recv() => chunk,
        };
        let Some(Sent { chunk, _slot }) = chunk else { break };
        let key = (Arc::clone(&chunk.sink), chunk.object);
        if !open.contains_key(&key) {
            open.insert(key.clone(), place.begin(&chunk, &cancel)?);
        }
        let (_, writer) = open.get_mut(&key).expect("it was put there");
        let _upload = place.context.uploads.acquire().await;
        if !chunk.bytes.is_empty() {
            match writer.write(chunk.bytes).await {
                Ok(()) => crash::point("stage:part-uploaded"),
                Err(StageError::Lost { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        let Some(summary) = chunk.last else { continue };
        let (path, mut writer) = open.remove(&key).expect("it was put there");
        match writer.finish().await {
            Ok(finished) => staged.push(StagedObject {
                sink: key.0,
                number: key.1,
                staged: path,
                summary,
                crc64nvme: finished.crc64nvme,
            }),
            Err(StageError::Lost { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    if cancel.is_cancelled() {
        for (_, writer) in open.into_values() {
            writer.abandon().await;
        }
        place.drop_own(&staged).await;
        return Ok(None);
    }
    Ok(Some(staged))
}

impl Place {
    fn begin(&self, chunk: &Chunk, cancel: &CancellationToken) -> Result<(String, StagedWriter), Error> {
        let path = self.names.staged(&chunk.sink, chunk.object)?;
        let labels = self.shape.labels(&self.names, chunk.variant);
        let writer = self.shape.delivery.targets.writer(&chunk.sink, &path, &labels, cancel);
        Ok((path, writer))
    }

    /// Removes finished objects of a range that was given up before any create: no entry can name them.
    async fn drop_own(&self, staged: &[StagedObject]) {
        let staged = staged.iter().map(|object| (object.sink.to_string(), object.staged.clone()));
        self.shape.delivery.objects.discard(staged.collect()).await;
    }
}
