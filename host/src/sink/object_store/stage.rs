//! Writing an object where it waits.
//!
//! Owns parts, their order, the checksum, and patience with the store. Invariant: what [`Finished`] tells
//! is staged whole; whatever ends otherwise has staged nothing that an entry may name.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use crc64fast_nvme::Digest;
use tokio_util::sync::CancellationToken;

use super::StageError;
use super::patience::{Patience, Settling, Stopped};
use crate::store::{self, ErrorKind, Labels, PART_BYTES, Store, Upload};

/// CRC-64/NVME of an object in pieces, as it stands in an entry.
#[must_use]
pub fn checksum<'a>(pieces: impl IntoIterator<Item = &'a Bytes>) -> String {
    let mut digest = Digest::new();
    pieces.into_iter().for_each(|piece| digest.write(piece));
    format!("{:016x}", digest.sum64())
}

/// A staged object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Where it waits.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// CRC-64/NVME of its bytes, 16 hexadecimal digits.
    pub crc64nvme: String,
}

/// Writes one object to its staged path: with one PUT where it is smaller than a part, in parts above.
///
/// Holds less than one part besides what a call brings. Waits for a store that is away as long as it
/// takes, or until it is cancelled. After an error only [`StagedWriter::abandon`] is of use; dropping it
/// leaves parts to the store's expiry.
#[derive(Debug)]
pub struct StagedWriter {
    store: Arc<dyn Store>,
    path: String,
    labels: Labels,
    patience: Patience,
    pieces: VecDeque<Bytes>,
    held: usize,
    digest: SumAndLength,
    upload: Option<Box<dyn Upload>>,
    was_put: bool,
}

#[derive(Default)]
struct SumAndLength {
    digest: Digest,
    bytes: u64,
}

impl std::fmt::Debug for SumAndLength {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SumAndLength").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl StagedWriter {
    /// Begins an object. Asks the store nothing yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, path: String, labels: Labels, cancelled: CancellationToken) -> Self {
        Self {
            store,
            path,
            labels,
            patience: Patience::new(cancelled),
            pieces: VecDeque::new(),
            held: 0,
            digest: SumAndLength::default(),
            upload: None,
            was_put: false,
        }
    }

    /// Where it is staged.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Bytes held in memory.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held
    }

    /// Appends bytes, and sends every part that is full. A piece of exactly a part's length, given while
    /// nothing is held, is sent without being copied.
    ///
    /// # Errors
    /// See [`StageError`].
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StageError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.digest.digest.write(&bytes);
        self.digest.bytes += bytes.len() as u64;
        self.held += bytes.len();
        self.pieces.push_back(bytes);
        while self.held >= PART_BYTES {
            let part = self.take(PART_BYTES);
            self.send_part(part).await?;
        }
        Ok(())
    }

    /// Sends the rest and ends the object, which must not be empty.
    ///
    /// # Errors
    /// See [`StageError`]; [`StageError::Lost`] also for an object without a byte.
    pub async fn finish(&mut self) -> Result<Finished, StageError> {
        if self.digest.bytes == 0 {
            return Err(self.lost("nothing was written to it"));
        }
        let rest = self.take(self.held);
        if self.upload.is_none() {
            self.put_whole(rest).await?;
        } else {
            if !rest.is_empty() {
                self.send_part(rest).await?;
            }
            self.finish_upload().await?;
        }
        Ok(Finished {
            path: self.path.clone(),
            bytes: self.digest.bytes,
            crc64nvme: format!("{:016x}", self.digest.digest.sum64()),
        })
    }

    /// Gives the object up, and removes what there is of it as far as that goes. Only for an attempt that
    /// no entry names and none will.
    pub async fn abandon(mut self) {
        if let Some(mut upload) = self.upload.take()
            && let Err(error) = upload.abort().await
        {
            tracing::debug!(%error, "parts of a given-up object stay until the store's expiry");
        }
        if self.was_put
            && let Err(error) = self.store.delete(&self.path).await
        {
            tracing::debug!(%error, "a given-up staged object stays until it is collected");
        }
    }

    /// Takes the next `length` bytes that are held.
    fn take(&mut self, length: usize) -> Bytes {
        self.held -= length;
        if let Some(first) = self.pieces.front_mut()
            && first.len() >= length
        {
            let part = first.split_to(length);
            if first.is_empty() {
                self.pieces.pop_front();
            }
            return part;
        }
        let mut part = BytesMut::with_capacity(length);
        while part.len() < length {
            let Some(first) = self.pieces.front_mut() else { break };
            let some = first.split_to(first.len().min(length - part.len()));
            part.extend_from_slice(&some);
            if first.is_empty() {
                self.pieces.pop_front();
            }
        }
        part.freeze()
    }

    fn lost(&self, seen: impl Into<String>) -> StageError {
        StageError::Lost { path: self.path.clone(), seen: seen.into() }
    }

    fn stopped(path: &str, stopped: Stopped) -> StageError {
        match stopped {
            Stopped::Cancelled => StageError::Cancelled { path: path.to_owned() },
            Stopped::Failed(source) => StageError::Store { path: path.to_owned(), source },
        }
    }

    async fn put_whole(&mut self, whole: Bytes) -> Result<(), StageError> {
        self.was_put = true;
        let stopped = |why| Self::stopped(&self.path, why);
        let mut waits = self.patience.begin();
        loop {
            let put = self.store.put(&self.path, whole.clone(), &self.labels);
            match self.patience.call(put).await.map_err(stopped)? {
                Ok(()) => return Ok(()),
                Err(error) => waits.after(error).await.map_err(stopped)?,
            }
        }
    }

    async fn send_part(&mut self, part: Bytes) -> Result<(), StageError> {
        let stopped = |why| Self::stopped(&self.path, why);
        let mut waits = self.patience.begin();
        loop {
            let Some(upload) = self.upload.as_mut() else {
                let begin = self.store.upload(&self.path, &self.labels);
                match self.patience.call(begin).await.map_err(stopped)? {
                    Ok(upload) => self.upload = Some(upload),
                    Err(error) => waits.after(error).await.map_err(stopped)?,
                }
                continue;
            };
            match self.patience.call(upload.part(part.clone())).await.map_err(stopped)? {
                Ok(()) => return Ok(()),
                Err(error) if error.kind == ErrorKind::NotFound => {
                    return Err(self.lost("it no longer knows of it"));
                }
                Err(error) => waits.after(error).await.map_err(stopped)?,
            }
        }
    }

    /// Ends the upload. After an answer that proves nothing the object's length does; an upload that does
    /// not end while the store answers, for longer than a request can be under way, is lost.
    async fn finish_upload(&mut self) -> Result<(), StageError> {
        let stopped = |why| Self::stopped(&self.path, why);
        let Some(upload) = self.upload.as_mut() else { return Ok(()) };
        let mut waits = self.patience.begin();
        let mut absent = Settling::default();
        loop {
            let error = match self.patience.call(upload.finish()).await.map_err(stopped)? {
                Ok(()) => break,
                Err(error) if matches!(error.kind, ErrorKind::Denied | ErrorKind::Refused) => {
                    waits.after(error).await.map_err(stopped)?;
                    continue;
                }
                Err(error) => error,
            };
            match self.patience.call(self.store.head(&self.path)).await.map_err(stopped)? {
                Ok(Some(length)) if length == self.digest.bytes => break,
                Ok(Some(length)) => {
                    let seen = format!("{length} bytes where {} were sent", self.digest.bytes);
                    return Err(self.lost(seen));
                }
                Ok(None) if absent.seen() => return Err(self.lost(said(&error))),
                Ok(None) => waits.after(error).await.map_err(stopped)?,
                Err(head) => {
                    absent.broken();
                    waits.after(head).await.map_err(stopped)?;
                }
            }
        }
        self.upload = None;
        self.was_put = true;
        Ok(())
    }
}

fn said(error: &store::Error) -> String {
    format!("{error}: {}", error.source)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::faults::{Fault, Faulty, Operation, Rates};
    use crate::store::memory;

    fn writer(store: &Arc<Faulty>) -> StagedWriter {
        let labels = Labels::default();
        StagedWriter::new(store.clone(), "s/x.staged".into(), labels, CancellationToken::new())
    }

    fn pattern(bytes: usize) -> Bytes {
        (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect()
    }

    async fn write_in_pieces(writer: &mut StagedWriter, body: &Bytes, piece: usize) {
        for piece in body.chunks(piece) {
            writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
            assert!(writer.held_bytes() < PART_BYTES);
        }
    }

    #[test]
    fn the_checksum_is_crc_64_nvme() {
        // The check value of the catalogue of parametrised CRC algorithms.
        assert_eq!(checksum(&[Bytes::from("1234"), Bytes::from("56789")]), "ae8b14860a799888");
    }

    #[tokio::test]
    async fn an_object_arrives_whole_whatever_its_pieces() {
        for (length, piece) in [
            (1, 1),
            (1000, 7),
            (PART_BYTES - 1, PART_BYTES),
            (PART_BYTES, PART_BYTES),
            (PART_BYTES + 1, 1 << 20),
            (3 * PART_BYTES + 5, PART_BYTES),
            (3 * PART_BYTES + 5, PART_BYTES / 3 * 2),
            (2 * PART_BYTES, 4 * PART_BYTES),
        ] {
            let store = Faulty::new(memory(), 1);
            let body = pattern(length);
            let mut writer = writer(&store);
            write_in_pieces(&mut writer, &body, piece).await;
            let finished = writer.finish().await.unwrap();
            assert_eq!(finished.bytes, length as u64);
            assert_eq!(finished.crc64nvme, checksum([&body]));
            assert_eq!(store.get("s/x.staged").await.unwrap().as_ref(), Some(&body), "{length} by {piece}");
            let small = u64::from(length < PART_BYTES);
            assert_eq!(store.calls(Operation::Put), small, "{length}");
            assert_eq!(store.calls(Operation::Part), (1 - small) * length.div_ceil(PART_BYTES) as u64);
        }
    }

    #[tokio::test]
    async fn an_empty_object_is_never_staged() {
        let store = Faulty::new(memory(), 1);
        let mut writer = writer(&store);
        writer.write(Bytes::new()).await.unwrap();
        assert!(matches!(writer.finish().await, Err(StageError::Lost { .. })));
        assert_eq!(store.list_after("", None, 1).await.unwrap(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn faults_of_the_store_only_take_time() {
        for seed in 0..30 {
            let store = Faulty::new(memory(), seed);
            store.random(Some(Rates { unsent: 200, answer_lost: 200, echo: 50, ..Rates::default() }));
            let body = pattern(2 * PART_BYTES + 77);
            let mut writer = writer(&store);
            write_in_pieces(&mut writer, &body, PART_BYTES).await;
            let finished = writer.finish().await.unwrap();
            assert_eq!(finished.bytes, body.len() as u64);
            assert_eq!(store.inner().get("s/x.staged").await.unwrap(), Some(body), "seed {seed}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_to_the_end_of_an_upload_is_settled_by_its_length() {
        let store = Faulty::new(memory(), 1);
        store.script(Operation::Finish, "", Fault::AnswerLost, 1);
        let mut writer = writer(&store);
        writer.write(pattern(PART_BYTES)).await.unwrap();
        assert_eq!(writer.finish().await.unwrap().bytes, PART_BYTES as u64);
        assert_eq!(store.calls(Operation::Finish), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_never_ends_is_lost_after_a_time_out_and_not_before() {
        let store = Faulty::new(memory(), 1);
        store.script(Operation::Finish, "", Fault::Unsent, u64::MAX);
        let mut writer = writer(&store);
        writer.write(pattern(PART_BYTES)).await.unwrap();
        let begun = tokio::time::Instant::now();
        assert!(matches!(writer.finish().await, Err(StageError::Lost { .. })));
        assert!(begun.elapsed() >= super::super::patience::MISSING_AFTER);
        writer.abandon().await;
        assert_eq!(store.calls(Operation::Abort), 1);
        assert_eq!(store.list_after("", None, 1).await.unwrap(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn denial_is_waited_for_and_then_shown_and_refusal_shown_at_once() {
        let store = Faulty::new(memory(), 1);
        store.script(Operation::Put, "", Fault::Denied, 3);
        let mut rotated = writer(&store);
        rotated.write(pattern(10)).await.unwrap();
        rotated.finish().await.unwrap();
        store.script(Operation::Put, "", Fault::Denied, u64::MAX);
        let mut denied = writer(&store);
        denied.write(pattern(10)).await.unwrap();
        let error = denied.finish().await.unwrap_err();
        assert!(matches!(error, StageError::Store { source, .. } if source.kind == ErrorKind::Denied));
        let store = Faulty::new(memory(), 1);
        store.script(Operation::Upload, "", Fault::Refused, 1);
        let error = writer(&store).write(pattern(PART_BYTES)).await.unwrap_err();
        assert!(matches!(error, StageError::Store { source, .. } if source.kind == ErrorKind::Refused));
        assert_eq!(store.calls(Operation::Upload), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_whose_store_is_away_can_be_cancelled() {
        let store = Faulty::new(memory(), 1);
        store.script(Operation::Put, "", Fault::Unsent, u64::MAX);
        let cancelled = CancellationToken::new();
        let mut writer = StagedWriter::new(store.clone(), "s/x".into(), Labels::default(), cancelled.clone());
        writer.write(pattern(10)).await.unwrap();
        let (ended, ()) = tokio::join!(writer.finish(), async {
            tokio::time::sleep(Duration::from_secs(600)).await;
            cancelled.cancel();
        });
        assert!(matches!(ended, Err(StageError::Cancelled { .. })));
    }

    #[tokio::test]
    async fn what_is_abandoned_leaves_nothing() {
        let store = Faulty::new(memory(), 1);
        let mut small = writer(&store);
        small.write(pattern(10)).await.unwrap();
        small.finish().await.unwrap();
        small.abandon().await;
        let mut large = writer(&store);
        large.write(pattern(PART_BYTES)).await.unwrap();
        large.abandon().await;
        assert_eq!(store.calls(Operation::Abort), 1);
        assert_eq!(store.list_after("", None, 1).await.unwrap(), []);
    }
}
