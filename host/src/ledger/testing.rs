//! Doubles for the ledger's tests: a store in memory with faults, a publisher, and small entries.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;

use super::patience::Patience;
use super::{
    Chain, CutCause, ENTRY_VERSION, Entry, Kind, LastEntry, Ledger, ObjectEntry, Options, Publish,
    PublishError, Staged, Starts, Tail, TopicIdentity,
};
use crate::clock::Random;
use crate::store::{Created, Error, ErrorKind, Labels, Listed, Result, Store, Upload};

/// Runs a future to its end on this thread.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime needs nothing that is not there").block_on(future)
}

/// What a future comes to before it gives way for the nth time; `None`: it was dropped then.
pub(super) async fn within<F: Future>(turns: u64, future: F) -> Option<F::Output> {
    let turns = async {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        output = future => Some(output),
        () = turns => None,
    }
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is done; the answer is lost.
    LostAnswer,
    /// It is not done; the answer is lost.
    LostRequest,
    /// The answer is lost; it is done when [`FaultyStore::land`] is called.
    Late,
    /// A create is answered with "exists", and is not done (S3's 409).
    Conflict,
    /// Access is denied.
    Denied,
    /// The store can't do this.
    Refused,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Bytes>,
    late: VecDeque<(String, Bytes)>,
    script: VecDeque<(&'static str, Fault)>,
    /// Random faults: the generator, and how many requests in 100 fail.
    chaos: Option<(Arc<Random>, u64)>,
    requests: BTreeMap<&'static str, usize>,
}

/// A store in memory that fails as it is told. Clones share everything.
#[derive(Clone, Debug)]
pub(super) struct FaultyStore {
    place: String,
    state: Arc<Mutex<State>>,
}

impl FaultyStore {
    pub(super) fn new() -> Self {
        Self::at("memory://lake")
    }

    pub(super) fn at(place: &str) -> Self {
        Self { place: place.into(), state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with the lock held")
    }

    /// Puts an object without a request.
    pub(super) fn set(&self, path: &str, bytes: Bytes) {
        self.state().objects.insert(path.into(), bytes);
    }

    /// Removes an object without a request.
    pub(super) fn remove(&self, path: &str) {
        self.state().objects.remove(path);
    }

    /// Everything that is there, without a request.
    pub(super) fn snapshot(&self) -> BTreeMap<String, Bytes> {
        self.state().objects.clone()
    }

    /// The next request of an operation fails so; several wait in line.
    pub(super) fn script(&self, operation: &'static str, fault: Fault) {
        self.state().script.push_back((operation, fault));
    }

    /// From now on this share of all requests fails in ways that the generator draws.
    pub(super) fn chaos(&self, random: &Arc<Random>, percent: u64) {
        self.state().chaos = Some((Arc::clone(random), percent));
    }

    /// No random faults any more.
    pub(super) fn calm(&self) {
        self.state().chaos = None;
    }

    /// Late creates come to land now.
    pub(super) fn land(&self) {
        let mut state = self.state();
        while let Some((path, bytes)) = state.late.pop_front() {
            state.objects.entry(path).or_insert(bytes);
        }
    }

    /// How many requests of an operation there were.
    pub(super) fn requests(&self, operation: &'static str) -> usize {
        self.state().requests.get(operation).copied().unwrap_or(0)
    }

    pub(super) fn listings(&self) -> usize {
        self.requests("list")
    }

    /// Which fault befalls a request, if any. Gives way to other tasks first, as a network would.
    async fn fault(&self, operation: &'static str, path: &str) -> Option<Fault> {
        let chaos = self.state().chaos.clone();
        for _ in 0..chaos.map_or(1, |(random, _)| 1 + random.next_u64() % 4) {
            tokio::task::yield_now().await;
        }
        let mut state = self.state();
        *state.requests.entry(operation).or_default() += 1;
        if let Some(at) = state.script.iter().position(|(scripted, _)| *scripted == operation) {
            return state.script.remove(at).map(|(_, fault)| fault);
        }
        let (random, percent) = state.chaos.clone()?;
        if random.next_u64() % 8 == 0
            && let Some((path, bytes)) = state.late.pop_front()
        {
            state.objects.entry(path).or_insert(bytes);
        }
        if random.next_u64() % 100 >= percent || path.ends_with("_ledger.json") {
            return None;
        }
        let faults = [Fault::LostAnswer, Fault::LostRequest, Fault::Late, Fault::Conflict, Fault::Denied];
        Some(faults[usize::try_from(random.next_u64() % 5).expect("it is below 5")])
    }

    fn error<T>(&self, kind: ErrorKind, operation: &'static str, path: &str) -> Result<T> {
        let (path, place) = (path.to_owned(), self.place.clone());
        Err(Error { kind, operation, path, place, source: "a fault of the test".into() })
    }

    /// Does a request that may be repeated, as its fault lets it.
    async fn repeatable<T>(
        &self,
        operation: &'static str,
        path: &str,
        act: impl FnOnce(&mut State) -> T,
    ) -> Result<T> {
        match self.fault(operation, path).await {
            None => Ok(act(&mut self.state())),
            Some(Fault::LostAnswer) => {
                act(&mut self.state());
                self.error(ErrorKind::Unknown, operation, path)
            }
            Some(Fault::Denied) => self.error(ErrorKind::Denied, operation, path),
            Some(Fault::Refused) => self.error(ErrorKind::Refused, operation, path),
            Some(_) => self.error(ErrorKind::Unknown, operation, path),
        }
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn place(&self) -> &str {
        &self.place
    }

    fn domain(&self) -> &str {
        &self.place
    }

    async fn create(&self, path: &str, bytes: Bytes) -> Result<Created> {
        let fault = self.fault("create", path).await;
        let mut state = self.state();
        let mut act = || {
            let vacant = !state.objects.contains_key(path);
            state.objects.entry(path.into()).or_insert_with(|| bytes.clone());
            if vacant { Created::Created } else { Created::Exists }
        };
        match fault {
            None => return Ok(act()),
            Some(Fault::LostAnswer) => {
                act();
            }
            Some(Fault::Late) => state.late.push_back((path.into(), bytes)),
            Some(Fault::Conflict) => return Ok(Created::Exists),
            Some(Fault::Denied) => return self.error(ErrorKind::Denied, "create", path),
            Some(Fault::Refused) => return self.error(ErrorKind::Refused, "create", path),
            Some(Fault::LostRequest) => {}
        }
        self.error(ErrorKind::Unknown, "create", path)
    }

    async fn put(&self, path: &str, bytes: Bytes, _labels: &Labels) -> Result<()> {
        self.repeatable("put", path, |state| state.objects.insert(path.into(), bytes)).await.map(|_| ())
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        self.repeatable("get", path, |state| state.objects.get(path).cloned()).await
    }

    async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Option<Bytes>> {
        let whole = self.get(path).await?;
        let position = |offset| usize::try_from(offset).expect("tests use small objects");
        Ok(whole.map(|bytes| bytes.slice(position(range.start)..position(range.end))))
    }

    async fn head(&self, path: &str) -> Result<Option<u64>> {
        self.repeatable("head", path, |state| state.objects.get(path).map(|bytes| bytes.len() as u64)).await
    }

    async fn upload(&self, path: &str, _labels: &Labels) -> Result<Box<dyn Upload>> {
        self.error(ErrorKind::Refused, "upload", path)
    }

    async fn publish(&self, from: &str, to: &str) -> Result<()> {
        let copied = self.repeatable("publish", from, |state| {
            let bytes = state.objects.get(from).cloned();
            bytes.map(|bytes| state.objects.insert(to.into(), bytes)).is_some()
        });
        if copied.await? { Ok(()) } else { self.error(ErrorKind::NotFound, "publish", from) }
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.repeatable("delete", path, |state| state.objects.remove(path)).await.map(|_| ())
    }

    async fn list_after(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        let folder = format!("{prefix}/");
        let list = |state: &mut State| {
            let first = after.filter(|after| *after > folder.as_str());
            let from = first.map_or(Bound::Included(folder.as_str()), Bound::Excluded);
            let behind = state.objects.range::<str, _>((from, Bound::Unbounded));
            let inside =
                behind.skip_while(|(path, _)| !path.starts_with(&folder) && path.as_str() < folder.as_str());
            let inside = inside.take_while(|(path, _)| path.starts_with(&folder)).take(limit);
            inside.map(|(path, bytes)| Listed { path: path.clone(), bytes: bytes.len() as u64 }).collect()
        };
        self.repeatable("list", prefix, list).await
    }
}

/// The topic of the tests.
pub(super) fn topic() -> TopicIdentity {
    TopicIdentity { name: "access-logs".into(), id: "topic-id-1".into() }
}

/// An entry of the tests' chain, with nothing delivered, and its start as its nonce.
pub(super) fn entry(start: u64, end: u64) -> Entry {
    Entry {
        version: ENTRY_VERSION,
        pipeline: "logs".into(),
        topic: topic().name,
        topic_id: topic().id,
        partition: 0,
        start,
        end,
        nonce: format!("{start:016x}"),
        previous: None,
        cause: CutCause::Age,
        cut_at: "2026-11-24T11:30:00.000Z".into(),
        read: end - start,
        empty: 0,
        dropped: 0,
        dead: 0,
        kept: end - start,
        unplaced: 0,
        sinks: BTreeMap::new(),
        transforms: Vec::new(),
        candidate: Vec::new(),
        revision: 0,
        config_digest: "sha256:00".into(),
        host_version: "0.1.0".into(),
    }
}

/// An object of `bytes` bytes.
pub(super) fn object(
    path: &str,
    staged: Staged,
    bytes: u64,
    first_offset: u64,
    last_offset: u64,
) -> ObjectEntry {
    ObjectEntry {
        path: path.into(),
        staged,
        bytes,
        records: last_offset - first_offset + 1,
        crc64nvme: "0000000000000000".into(),
        first_offset,
        last_offset,
        content_type: None,
        content_encoding: None,
        variant: crate::record::Variant::Stable,
        runs: Vec::new(),
    }
}

/// The pipeline `logs`' ledger in `_vanne` of a store, with a start at 0 for partition 0.
pub(super) async fn ledger(store: &FaultyStore) -> (Ledger, Starts) {
    let store: Arc<dyn Store> = Arc::new(store.clone());
    let mut ledger =
        Ledger::open(store, "_vanne", "logs", &Options::default()).await.expect("a ledger is made");
    ledger.patience = Patience::hurried();
    let starts = ledger.record_starts(&topic(), BTreeMap::from([(0, 0)])).await.expect("a start is recorded");
    (ledger, starts)
}

/// The chain of partition 0.
pub(super) async fn chain(store: &FaultyStore) -> Chain {
    let (ledger, starts) = ledger(store).await;
    ledger.chain(&topic(), 0, &starts).expect("the names are possible")
}

/// An entry behind a tail: one staged object named after the nonce, which is staged here.
pub(super) fn staged_entry(store: &FaultyStore, chain: &Chain, tail: &Tail, end: u64, nonce: &str) -> Entry {
    let mut made = entry(tail.end, end);
    (made.nonce, made.previous) = (nonce.into(), tail.previous());
    let name = super::StagedName { start: tail.end, nonce: nonce.into(), sink: "lake".into(), number: 0 };
    let staged = chain.lane().staged(&name).expect("the name is possible");
    let bytes = Bytes::from(format!("{}..{end} of {nonce}", tail.end));
    let path = format!("lake/{:020}-{nonce}", tail.end);
    let part = object(&path, Staged::Path(staged.clone()), bytes.len() as u64, tail.end, end - 1);
    made.sinks.entry("lake".into()).or_default().objects.push(part);
    store.set(&staged, bytes);
    made
}

/// Publishes into one store by copying, as the real one does: act, look, and only then drop.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) store: FaultyStore,
    /// What it published, by start and nonce.
    pub(super) published: Mutex<Vec<(u64, String)>>,
}

impl Publisher {
    pub(super) fn new(store: &FaultyStore) -> Self {
        Self { store: store.clone(), published: Mutex::default() }
    }

    /// Starts of the entries that it was asked to publish.
    pub(super) fn starts(&self) -> Vec<u64> {
        self.published
            .lock()
            .expect("no test panics with the lock held")
            .iter()
            .map(|(start, _)| *start)
            .collect()
    }

    async fn place(&self, entry: &LastEntry, object: &ObjectEntry) -> std::result::Result<(), PublishError> {
        // Doubt is waited out; only a store that answers says that something is missing.
        loop {
            match self.store.head(&object.path).await {
                Ok(Some(bytes)) if bytes == object.bytes => break,
                Ok(Some(_)) => return Err(failure(Kind::Halted, "another length")),
                Err(_) => continue,
                Ok(None) => {}
            }
            let moved = match (&object.staged, entry.inline_bytes(object)) {
                (Staged::Path(from), _) => self.store.publish(from, &object.path).await,
                (_, Some(bytes)) => self.store.put(&object.path, bytes, &Labels::default()).await,
                (Staged::Inline { .. }, None) => return Err(failure(Kind::Halted, "no such bytes")),
            };
            let missing = moved.is_err_and(|error| error.kind == ErrorKind::NotFound);
            // Somebody else may have moved it and dropped the staged bytes since the look above.
            if missing && matches!(self.store.head(&object.path).await, Ok(None)) {
                return Err(failure(Kind::Halted, "neither staged nor published"));
            }
        }
        if let Staged::Path(from) = &object.staged {
            while self.store.delete(from).await.is_err() {}
        }
        Ok(())
    }
}

fn failure(kind: Kind, message: &str) -> PublishError {
    PublishError { kind, message: message.into(), source: None }
}

#[async_trait]
impl Publish for Publisher {
    async fn publish(&self, entry: &LastEntry) -> std::result::Result<(), PublishError> {
        for (_, object) in entry.entry.objects() {
            self.place(entry, object).await?;
        }
        let seen = (entry.entry.start, entry.entry.nonce.clone());
        self.published.lock().expect("no test panics with the lock held").push(seen);
        Ok(())
    }
}
