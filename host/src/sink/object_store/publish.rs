//! Putting the objects of a committed entry into place.
//!
//! Owns the proof: an object is published when a HEAD shows it with its length, whatever the answers
//! were. Invariant: nothing is ever removed or written but the final paths that the entry names (and,
//! when told so, its staged paths); everything can be repeated by anyone.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use super::label::known_content_type;
use super::patience::{Patience, Settling, Stopped, Waits};
use super::{Provenance, PublishError};
use crate::crash;
use crate::ledger::{Entry, ObjectEntry, Staged};
use crate::store::{ErrorKind, Store};

/// Requests of one entry in flight at once. The requests are short, and a lane publishes one entry at a
/// time; more would only queue in the store.
const IN_FLIGHT: usize = 16;

/// Publishes entries of one pipeline. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Publisher {
    stores: Arc<BTreeMap<String, Arc<dyn Store>>>,
    patience: Patience,
}

impl Publisher {
    /// For sinks by name (dead letters are one), each with the store that it delivers to, opened at the
    /// root. `cancelled` ends every wait.
    #[must_use]
    pub fn new(stores: BTreeMap<String, Arc<dyn Store>>, cancelled: CancellationToken) -> Self {
        Self { stores: Arc::new(stores), patience: Patience::new(cancelled) }
    }

    /// Puts every object of an entry into place; `inline` are the bytes behind the entry's JSON line.
    ///
    /// Waits for a store that is away. Repeatable, by several at once; may be dropped at any time.
    ///
    /// # Errors
    /// See [`PublishError`]. Where an object is [`PublishError::Missing`] and the entry is known to be
    /// closed, a reader removed it: then that is no error.
    pub async fn publish(&self, entry: &Entry, inline: &Bytes) -> Result<(), PublishError> {
        // Made before the stream is, whose type then holds no closure and is `Send`.
        let each: Vec<_> =
            entry.objects().map(|(sink, object)| self.publish_object(sink, object, entry, inline)).collect();
        futures::stream::iter(each).buffer_unordered(IN_FLIGHT).try_collect::<()>().await
    }

    async fn publish_object(
        &self,
        sink: &str,
        object: &ObjectEntry,
        entry: &Entry,
        inline: &Bytes,
    ) -> Result<(), PublishError> {
        let Some(store) = self.stores.get(sink) else {
            return Err(PublishError::UnknownSink { sink: sink.to_owned(), path: object.path.clone() });
        };
        let one = One { store: store.as_ref(), sink, object, patience: &self.patience };
        match &object.staged {
            Staged::Path(staged) => one.move_staged(staged).await?,
            Staged::Inline { start, bytes } => {
                let body = slice(inline, *start, *bytes).ok_or_else(|| one.not_inline())?;
                one.put(body, &Provenance::of(entry, object.variant)).await?;
            }
        }
        crash::point("publish:object-placed");
        Ok(())
    }

    /// Removes what an entry staged, once all of it is published. Best effort: what stays is collected
    /// later.
    pub async fn drop_staged(&self, entry: &Entry) {
        let staged = entry.objects().filter_map(|(sink, object)| match &object.staged {
            Staged::Path(path) => Some((sink.to_owned(), path.clone())),
            Staged::Inline { .. } => None,
        });
        self.discard(staged.collect()).await;
    }

    /// Removes staged objects, by sink and path, of an attempt that no entry names and none will. Best
    /// effort.
    pub async fn discard(&self, staged: Vec<(String, String)>) {
        let each: Vec<_> = staged.iter().map(|(sink, path)| self.discard_object(sink, path)).collect();
        futures::stream::iter(each).buffer_unordered(IN_FLIGHT).collect::<()>().await;
    }

    async fn discard_object(&self, sink: &str, path: &str) {
        let Some(store) = self.stores.get(sink) else { return };
        if let Ok(Err(error)) = self.patience.call(store.delete(path)).await {
            tracing::warn!(%error, cause = %error.source, "a staged object stays");
        }
    }
}

fn slice(inline: &Bytes, start: u64, bytes: u64) -> Option<Bytes> {
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(usize::try_from(bytes).ok()?)?;
    (end <= inline.len()).then(|| inline.slice(start..end))
}

/// One object on its way.
struct One<'a> {
    store: &'a dyn Store,
    sink: &'a str,
    object: &'a ObjectEntry,
    patience: &'a Patience,
}

/// What a look at the final path showed.
enum Seen {
    InPlace,
    Absent,
    OtherSize(u64),
    Nothing,
}

impl One<'_> {
    fn stopped(&self, stopped: Stopped) -> PublishError {
        match stopped {
            Stopped::Cancelled => PublishError::Cancelled,
            Stopped::Failed(source) => {
                PublishError::Store { sink: self.sink.to_owned(), path: self.object.path.clone(), source }
            }
        }
    }

    fn not_inline(&self) -> PublishError {
        PublishError::Inline { sink: self.sink.to_owned(), path: self.object.path.clone() }
    }

    fn unproven(&self) -> PublishError {
        PublishError::Unproven {
            sink: self.sink.to_owned(),
            path: self.object.path.clone(),
            place: self.store.place().to_owned(),
        }
    }

    fn missing(&self, staged: &str) -> PublishError {
        PublishError::Missing {
            sink: self.sink.to_owned(),
            path: self.object.path.clone(),
            staged: staged.to_owned(),
        }
    }

    fn wrong_size(&self, found: u64) -> PublishError {
        PublishError::WrongSize {
            sink: self.sink.to_owned(),
            path: self.object.path.clone(),
            expected: self.object.bytes,
            found,
        }
    }

    /// Looks at the final path; after a look that failed it has waited.
    async fn look(&self, waits: &mut Waits<'_>) -> Result<Seen, Stopped> {
        match self.patience.call(self.store.head(&self.object.path)).await? {
            Ok(Some(length)) if length == self.object.bytes => Ok(Seen::InPlace),
            Ok(Some(length)) => Ok(Seen::OtherSize(length)),
            Ok(None) => Ok(Seen::Absent),
            Err(error) => waits.after(error).await.map(|()| Seen::Nothing),
        }
    }

    /// Has the store move or copy it, until it is seen in place. A copy may go on in the background, so
    /// that whatever is seen instead has to be seen for a while.
    async fn move_staged(&self, staged: &str) -> Result<(), PublishError> {
        let stopped = |why| self.stopped(why);
        let mut waits = self.patience.begin();
        let (mut gone, mut hollow, mut other) =
            (Settling::default(), Settling::default(), Settling::default());
        loop {
            let publish = self.store.publish(staged, &self.object.path);
            let answer = self.patience.call(publish).await.map_err(stopped)?;
            match self.look(&mut waits).await.map_err(stopped)? {
                Seen::InPlace => return Ok(()),
                Seen::OtherSize(found) if other.seen() => return Err(self.wrong_size(found)),
                Seen::OtherSize(_) => waits.wait().await.map_err(stopped)?,
                Seen::Nothing => {
                    (gone, hollow, other) = Default::default();
                }
                Seen::Absent => {
                    other.broken();
                    match answer {
                        Ok(()) => {
                            gone.broken();
                            if hollow.seen() {
                                return Err(self.unproven());
                            }
                            waits.wait().await.map_err(stopped)?;
                        }
                        Err(error) if error.kind == ErrorKind::NotFound => {
                            hollow.broken();
                            if gone.seen() {
                                return Err(self.missing(staged));
                            }
                            waits.after(error).await.map_err(stopped)?;
                        }
                        Err(error) => {
                            (gone, hollow) = Default::default();
                            waits.after(error).await.map_err(stopped)?;
                        }
                    }
                }
            }
        }
    }

    /// Puts its bytes, until it is seen in place.
    async fn put(&self, body: Bytes, provenance: &Provenance) -> Result<(), PublishError> {
        if body.len() as u64 != self.object.bytes {
            return Err(self.not_inline());
        }
        let offsets = (self.object.first_offset, self.object.last_offset);
        let content_type = known_content_type(self.object.content_type.as_deref());
        let labels = provenance.labels(content_type, Some(offsets));
        let stopped = |why| self.stopped(why);
        let mut waits = self.patience.begin();
        let (mut hollow, mut other) = (Settling::default(), Settling::default());
        loop {
            let put = self.store.put(&self.object.path, body.clone(), &labels);
            if let Err(error) = self.patience.call(put).await.map_err(stopped)? {
                (hollow, other) = Default::default();
                waits.after(error).await.map_err(stopped)?;
                continue;
            }
            match self.look(&mut waits).await.map_err(stopped)? {
                Seen::InPlace => return Ok(()),
                Seen::OtherSize(found) if other.seen() => return Err(self.wrong_size(found)),
                Seen::Absent if hollow.seen() => return Err(self.unproven()),
                Seen::OtherSize(_) | Seen::Absent => waits.wait().await.map_err(stopped)?,
                Seen::Nothing => (hollow, other) = Default::default(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::super::patience::MISSING_AFTER;
    use super::*;
    use crate::ledger::{CutCause, DEAD_LETTER_SINK, SinkEntry};
    use crate::store::faults::{Fault, Faulty, Operation, Rates};
    use crate::store::{Labels, memory};

    const INLINE: &[u8] = b"dead letter\nfirst line\n";

    fn object(path: &str, staged: Staged, bytes: u64) -> ObjectEntry {
        ObjectEntry {
            path: path.into(),
            staged,
            bytes,
            records: 1,
            crc64nvme: String::from("0000000000000000"),
            first_offset: 5,
            last_offset: 6,
            content_type: Some("application/x-ndjson".into()),
            content_encoding: None,
            variant: crate::record::Variant::Stable,
            runs: Vec::new(),
        }
    }

    fn sink(objects: Vec<ObjectEntry>) -> SinkEntry {
        SinkEntry { objects, written: 1, failed: 0 }
    }

    fn entry() -> Entry {
        let dead = object("dead/x.jsonl", Staged::Inline { start: 0, bytes: 12 }, 12);
        let small = object("lake/small.jsonl", Staged::Inline { start: 12, bytes: 11 }, 11);
        let staged =
            (0..20).map(|n| object(&format!("lake/{n}.jsonl"), Staged::Path(format!("s/{n}.staged")), 6));
        Entry {
            version: 1,
            pipeline: "logs".into(),
            topic: "access".into(),
            topic_id: "AAAAAAAAAAAAAAAAAAAAAA".into(),
            partition: 0,
            start: 5,
            end: 7,
            nonce: "00000000000000aa".into(),
            previous: None,
            cause: CutCause::Age,
            cut_at: "2026-11-24T11:30:00.000Z".into(),
            read: 2,
            empty: 0,
            dropped: 0,
            dead: 0,
            kept: 2,
            unplaced: 0,
            sinks: BTreeMap::from([
                (DEAD_LETTER_SINK.to_owned(), sink(vec![dead])),
                ("lake".to_owned(), sink(std::iter::once(small).chain(staged).collect())),
            ]),
            transforms: Vec::new(),
            candidate: Vec::new(),
            revision: 0,
            config_digest: "sha256:00".into(),
            host_version: "0.1.0".into(),
        }
    }

    async fn staged() -> (Arc<Faulty>, Publisher, Entry) {
        let store = Faulty::new(memory(), 1);
        let entry = entry();
        for (_, object) in entry.objects() {
            if let Staged::Path(path) = &object.staged {
                store.inner().put(path, Bytes::from("staged"), &Labels::default()).await.unwrap();
            }
        }
        (store.clone(), publisher(&store), entry)
    }

    fn publisher(store: &Arc<Faulty>) -> Publisher {
        let one: Arc<dyn Store> = store.clone();
        let stores = BTreeMap::from([("lake".to_owned(), one.clone()), (DEAD_LETTER_SINK.to_owned(), one)]);
        Publisher::new(stores, CancellationToken::new())
    }

    fn inline() -> Bytes {
        Bytes::from_static(INLINE)
    }

    async fn in_place(store: &Faulty, entry: &Entry) {
        for (_, object) in entry.objects() {
            assert_eq!(
                store.inner().head(&object.path).await.unwrap(),
                Some(object.bytes),
                "{}",
                object.path
            );
        }
        let small = store.inner().get("lake/small.jsonl").await.unwrap();
        assert_eq!(small.as_deref(), Some(b"first line\n".as_slice()));
    }

    #[tokio::test]
    async fn objects_are_in_place_and_stay_when_it_is_repeated() {
        let (store, publisher, entry) = staged().await;
        publisher.publish(&entry, &inline()).await.unwrap();
        in_place(&store, &entry).await;
        publisher.publish(&entry, &inline()).await.unwrap();
        publisher.drop_staged(&entry).await;
        assert_eq!(store.list_after("s", None, 100).await.unwrap(), []);
        publisher.publish(&entry, &inline()).await.unwrap();
        in_place(&store, &entry).await;
    }

    #[tokio::test(start_paused = true)]
    async fn faults_of_the_store_only_take_time() {
        for seed in 0..30 {
            let (calm, _, entry) = staged().await;
            let store = Faulty::new(calm.inner().clone(), seed);
            let late_by = Duration::from_secs(5);
            store.random(Some(Rates { unsent: 150, answer_lost: 150, late: 100, echo: 20, late_by }));
            publisher(&store).publish(&entry, &inline()).await.unwrap();
            in_place(&store, &entry).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_no_proof() {
        let (store, publisher, entry) = staged().await;
        store.script(Operation::Publish, "lake/3.jsonl", Fault::Hollow, 3);
        store.script(Operation::Put, "lake/small", Fault::Hollow, 2);
        publisher.publish(&entry, &inline()).await.unwrap();
        in_place(&store, &entry).await;
        let (store, publisher, entry) = staged().await;
        store.script(Operation::Publish, "lake/3.jsonl", Fault::Hollow, u64::MAX);
        let error = publisher.publish(&entry, &inline()).await.unwrap_err();
        assert!(matches!(&error, PublishError::Unproven { path, .. } if path == "lake/3.jsonl"), "{error}");
        assert!(error.halts());
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_is_nowhere_halts_after_a_time_out_and_not_before() {
        let (store, publisher, entry) = staged().await;
        store.inner().delete("s/7.staged").await.unwrap();
        let begun = Instant::now();
        let error = publisher.publish(&entry, &inline()).await.unwrap_err();
        assert!(matches!(&error, PublishError::Missing { path, .. } if path == "lake/7.jsonl"), "{error}");
        assert!(error.halts() && begun.elapsed() >= MISSING_AFTER);
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_lands_late_by_another_hand_is_published() {
        let (store, publisher, entry) = staged().await;
        store.inner().delete("s/7.staged").await.unwrap();
        let late = store.inner().clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            late.put("lake/7.jsonl", Bytes::from("staged"), &Labels::default()).await.unwrap();
        });
        publisher.publish(&entry, &inline()).await.unwrap();
        in_place(&store, &entry).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_no_proof_of_absence() {
        let (store, publisher, entry) = staged().await;
        store.script(Operation::Publish, "lake/7.jsonl", Fault::Unsent, 60);
        store.script(Operation::Head, "lake/2.jsonl", Fault::Unsent, 60);
        let begun = Instant::now();
        publisher.publish(&entry, &inline()).await.unwrap();
        assert!(begun.elapsed() > 3 * MISSING_AFTER);
        in_place(&store, &entry).await;
    }

    #[tokio::test(start_paused = true)]
    async fn something_else_in_its_place_halts_and_is_left_alone() {
        let (store, publisher, entry) = staged().await;
        store.inner().delete("s/4.staged").await.unwrap();
        store.inner().put("lake/4.jsonl", Bytes::from("other bytes"), &Labels::default()).await.unwrap();
        let error = publisher.publish(&entry, &inline()).await.unwrap_err();
        assert!(matches!(error, PublishError::WrongSize { expected: 6, found: 11, .. }), "{error}");
        assert_eq!(store.head("lake/4.jsonl").await.unwrap(), Some(11));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bad_entry_or_a_removed_sink_halts() {
        let (_, publisher, mut entry) = staged().await;
        let error = publisher.publish(&entry, &Bytes::from_static(b"short")).await.unwrap_err();
        assert!(matches!(error, PublishError::Inline { .. }) && error.halts());
        let removed = sink(vec![object("old/x", Staged::Path("s/0.staged".into()), 6)]);
        entry.sinks.insert("old".into(), removed);
        let error = publisher.publish(&entry, &inline()).await.unwrap_err();
        assert!(matches!(error, PublishError::UnknownSink { .. }) && error.halts());
    }

    #[tokio::test(start_paused = true)]
    async fn denial_is_waited_for_and_then_shown() {
        let (store, publisher, entry) = staged().await;
        store.script(Operation::Publish, "lake/1.jsonl", Fault::Denied, 2);
        publisher.publish(&entry, &inline()).await.unwrap();
        let (store, publisher, entry) = staged().await;
        store.script(Operation::Publish, "lake/1.jsonl", Fault::Denied, u64::MAX);
        let error = publisher.publish(&entry, &inline()).await.unwrap_err();
        assert!(matches!(&error, PublishError::Store { .. }) && !error.halts(), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_publisher_whose_store_is_away_can_be_cancelled() {
        let (store, _, entry) = staged().await;
        store.script(Operation::Publish, "", Fault::Unsent, u64::MAX);
        let one: Arc<dyn Store> = store.clone();
        let stores = BTreeMap::from([("lake".to_owned(), one.clone()), (DEAD_LETTER_SINK.to_owned(), one)]);
        let cancelled = CancellationToken::new();
        let publisher = Publisher::new(stores, cancelled.clone());
        // Also shows that publishing can be spawned.
        let task = tokio::spawn(async move { publisher.publish(&entry, &inline()).await });
        tokio::time::sleep(Duration::from_secs(3600)).await;
        cancelled.cancel();
        assert!(matches!(task.await.unwrap(), Err(PublishError::Cancelled)));
    }

    #[tokio::test(start_paused = true)]
    async fn two_at_once_on_a_folder_publish_each_object_once() {
        let folder = tempfile::tempdir().unwrap();
        let url = url::Url::from_directory_path(folder.path()).unwrap();
        let location = crate::config::Location { url, options: BTreeMap::new() };
        let store = Faulty::new(crate::store::open(&location).unwrap(), 1);
        let entry = entry();
        for number in 0..20 {
            let path = format!("s/{number}.staged");
            store.put(&path, Bytes::from("staged"), &Labels::default()).await.unwrap();
        }
        let (one, two) = (publisher(&store), publisher(&store));
        let inline = inline();
        let (first, second) = tokio::join!(one.publish(&entry, &inline), two.publish(&entry, &inline));
        first.unwrap();
        second.unwrap();
        in_place(&store, &entry).await;
        assert_eq!(store.list_after("lake", None, 100).await.unwrap().len(), 21);
    }
}
