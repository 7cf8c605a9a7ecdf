//! The bytes of an object of dead letters, piece by piece.
//!
//! Owns where they are found: in the entry, in staging, or at the object's place. Invariant: pieces are
//! in order and without a hole, and make up the object's length.

use bytes::Bytes;

use super::failure;
use crate::ledger::{Kind, LastEntry, ObjectEntry, PublishError, Staged};
use crate::store::{self, ErrorKind, Store};

/// What is read at once: a request is worth its time, and 16 lanes at once hold little.
const PIECE_BYTES: u64 = 1 << 20;

/// An object that is being read.
#[derive(Debug)]
pub(super) enum Pieces<'a> {
    /// All of it is at hand.
    AtHand(Option<Bytes>),
    /// It is in a store.
    Stored {
        /// The store.
        store: &'a dyn Store,
        /// Where it may be: nobody but hosts touches what is staged, so that comes first.
        paths: Vec<&'a str>,
        /// What is read already.
        position: u64,
        /// The object's length.
        bytes: u64,
    },
}

impl<'a> Pieces<'a> {
    /// The bytes of an object that the entry names.
    pub(super) fn of(
        store: &'a dyn Store,
        last: &LastEntry,
        object: &'a ObjectEntry,
    ) -> Result<Self, PublishError> {
        match &object.staged {
            Staged::Inline { .. } => match last.inline_bytes(object) {
                Some(bytes) => Ok(Self::AtHand(Some(bytes))),
                None => Err(PublishError {
                    kind: Kind::Halted,
                    message: format!("the bytes of `{}` are not in its entry", object.path),
                    source: None,
                }),
            },
            Staged::Path(staged) => {
                let paths = vec![staged.as_str(), object.path.as_str()];
                Ok(Self::Stored { store, paths, position: 0, bytes: object.bytes })
            }
        }
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, PublishError> {
        match self {
            Self::AtHand(bytes) => Ok(bytes.take()),
            Self::Stored { position, bytes, .. } if position == bytes => Ok(None),
            Self::Stored { store, paths, position, bytes } => {
                let range = *position..(*position + PIECE_BYTES).min(*bytes);
                while let Some(path) = paths.first() {
                    if let Some(piece) = read(*store, path, range.clone()).await? {
                        *position = range.end;
                        return Ok(Some(piece));
                    }
                    // Published by a rename since, or removed by another host after it was published.
                    paths.remove(0);
                }
                // It was seen in its place a moment ago: who publishes again finds out what became of it.
                Err(failure("an object of dead letters is gone while it is produced"))
            }
        }
    }
}

async fn read(
    store: &dyn Store,
    path: &str,
    range: std::ops::Range<u64>,
) -> Result<Option<Bytes>, PublishError> {
    let wanted = range.end - range.start;
    let refused = |error: store::Error| PublishError {
        kind: if error.kind == ErrorKind::Refused { Kind::Halted } else { Kind::Transient },
        message: format!("dead letters at `{path}` can't be read"),
        source: Some(Box::new(error)),
    };
    match store.get_range(path, range).await.map_err(refused)? {
        Some(piece) if piece.len() as u64 == wanted => Ok(Some(piece)),
        Some(piece) => Err(failure(&format!("`{path}` gave {} bytes instead of {wanted}", piece.len()))),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::entry;
    use super::*;
    use crate::store::faults::{Fault, Faulty, Operation};
    use crate::store::{Labels, memory};

    const STAGED: &str = "_vanne/x.staged";
    const FINAL: &str = "dead/x.jsonl";

    fn body(bytes: usize) -> Bytes {
        (0..bytes).map(|at| u8::try_from(at % 251).expect("small")).collect()
    }

    fn object(staged: Staged, bytes: u64) -> ObjectEntry {
        ObjectEntry {
            path: FINAL.to_owned(),
            staged,
            bytes,
            records: 1,
            crc64nvme: "0".repeat(16),
            first_offset: 0,
            last_offset: 0,
            content_type: None,
            content_encoding: None,
            variant: crate::record::Variant::Stable,
            runs: Vec::new(),
        }
    }

    fn last(inline: Bytes) -> LastEntry {
        LastEntry { entry: entry(), inline, digest: String::new() }
    }

    async fn read_all(mut pieces: Pieces<'_>) -> Result<Vec<Bytes>, PublishError> {
        let mut read = Vec::new();
        while let Some(piece) = pieces.next().await? {
            read.push(piece);
        }
        Ok(read)
    }

    #[tokio::test]
    async fn bytes_in_the_entry_are_read_from_there() {
        let store = Faulty::new(memory(), 1);
        let object = object(Staged::Inline { start: 3, bytes: 4 }, 4);
        let last = last(Bytes::from_static(b"---abcd--"));
        let pieces = Pieces::of(&*store, &last, &object).expect("it is there");
        assert_eq!(read_all(pieces).await.expect("at hand"), [Bytes::from_static(b"abcd")]);
        assert_eq!(store.calls(Operation::Get), 0);
        let torn = LastEntry { inline: Bytes::from_static(b"---a"), ..last };
        assert!(Pieces::of(&*store, &torn, &object).is_err_and(|error| error.kind == Kind::Halted));
    }

    #[tokio::test]
    async fn staged_bytes_are_read_in_pieces_from_wherever_they_are() {
        let body = body(2 * (1 << 20) + 77);
        let object = object(Staged::Path(STAGED.to_owned()), body.len() as u64);
        let last = last(Bytes::new());
        for places in [&[STAGED][..], &[FINAL], &[STAGED, FINAL]] {
            let store = Faulty::new(memory(), 1);
            for place in places {
                store.put(place, body.clone(), &Labels::default()).await.expect("memory");
            }
            let pieces = Pieces::of(&*store, &last, &object).expect("it is somewhere");
            let read = read_all(pieces).await.expect("it is there");
            assert_eq!(read.iter().map(Bytes::len).collect::<Vec<_>>(), [1 << 20, 1 << 20, 77]);
            assert_eq!(read.concat(), body, "{places:?}");
        }
    }

    #[tokio::test]
    async fn an_object_that_moves_or_goes_while_it_is_read_is_found_or_missed_for_now() {
        let body = body((1 << 20) + 5);
        let object = object(Staged::Path(STAGED.to_owned()), body.len() as u64);
        let last = last(Bytes::new());
        let store = Faulty::new(memory(), 1);
        store.put(STAGED, body.clone(), &Labels::default()).await.expect("memory");
        let mut pieces = Pieces::of(&*store, &last, &object).expect("it is there");
        pieces.next().await.expect("it is there").expect("a piece");
        store.put(FINAL, body.clone(), &Labels::default()).await.expect("memory");
        store.delete(STAGED).await.expect("memory");
        assert_eq!(pieces.next().await.expect("moved"), Some(body.slice(1 << 20..)));
        assert_eq!(pieces.next().await.expect("the end"), None);

        store.delete(FINAL).await.expect("memory");
        let gone = read_all(Pieces::of(&*store, &last, &object).expect("asked later")).await;
        assert!(gone.is_err_and(|error| error.kind == Kind::Transient));
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_is_a_failure_for_now_and_a_refusal_halts() {
        let object = object(Staged::Path(STAGED.to_owned()), 4);
        let last = last(Bytes::new());
        for (fault, kind) in [(Fault::Unsent, Kind::Transient), (Fault::Refused, Kind::Halted)] {
            let store = Faulty::new(memory(), 1);
            store.script(Operation::GetRange, "", fault, u64::MAX);
            let failed = read_all(Pieces::of(&*store, &last, &object).expect("asked later")).await;
            let error = failed.expect_err("no answer");
            assert_eq!(error.kind, kind);
            assert!(error.message.contains(STAGED), "{}", error.message);
        }
    }
}
