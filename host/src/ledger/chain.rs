//! One partition's chain: reading its end, and saying that its end is published.
//!
//! Owns what counts as the tail and as closed. Creating is `create`, publishing what somebody left
//! behind is `take_over`. Invariant: a [`Tail`] was read from the store, or follows from an entry that
//! was; what Kafka says only decides where to look first.

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::codec::{self, LastEntry};
use super::document::{self, DOCUMENT_VERSION, Flaw};
use super::search;
use super::{Commit, Error, LanePath, Ledger, Note, Previous, Result, Starts, TopicIdentity};
use crate::clock;

/// The chain of one partition. Cheap to clone; holds no state of the chain.
#[derive(Clone, Debug)]
pub struct Chain {
    pub(super) ledger: Ledger,
    pub(super) lane: LanePath,
    pub(super) topic: TopicIdentity,
    pub(super) partition: i32,
    /// Ids of ledgers whose notes in Kafka are no reason to refuse: the chain was begun knowing them.
    superseded: Vec<String>,
    /// The partition's start, where the topic's start names it.
    configured: Option<u64>,
}

/// The end of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Where the next entry starts.
    pub end: u64,
    /// The entry that ends there; `None` before the first.
    pub last: Option<LastEntry>,
    /// Whether that entry is proved to be published for good: do not publish it again, for a reader may
    /// have taken away what it delivered.
    pub closed: bool,
    /// Whether a next entry may be created.
    published: bool,
}

impl Tail {
    /// The tail of a chain without entries, at the start that was recorded for it.
    pub(super) fn begin(start: u64) -> Self {
        Self { end: start, last: None, closed: true, published: true }
    }

    /// The tail behind an entry that stands in the ledger and **whose objects are all published and
    /// verified**. This is the caller's promise; the next entry's create rests on it.
    #[must_use]
    pub fn published(last: LastEntry) -> Self {
        Self { end: last.entry.end, last: Some(last), closed: false, published: true }
    }

    /// The tail behind an entry that is proved to be published.
    pub(super) fn closed(last: LastEntry) -> Self {
        Self { closed: true, ..Self::published(last) }
    }

    /// What the next entry has to name as the one before it.
    #[must_use]
    pub fn previous(&self) -> Option<Previous> {
        let last = self.last.as_ref()?;
        Some(Previous { start: last.entry.start, digest: last.digest.clone() })
    }

    /// Whether the last entry is known to be published, so that the next one may be created.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.published
    }
}

/// `_start.json` in a lane's folder, of a partition that the topic got later.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct LaterStart {
    version: u32,
    start: u64,
    resolved_at: String,
}

/// `<start>.closed.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Closed {
    version: u32,
    start: u64,
    nonce: String,
    digest: String,
    closed_at: String,
}

/// Why an entry may not follow another one by their revisions.
pub(super) fn fall(before: &super::Entry, entry: &super::Entry) -> Option<String> {
    let (earlier, later) = (before.revision, entry.revision);
    (later < earlier)
        .then(|| format!("it is of revision {later}, and the one before it of revision {earlier}"))
}

impl Chain {
    pub(super) fn new(
        ledger: Ledger,
        topic: &TopicIdentity,
        partition: i32,
        starts: &Starts,
    ) -> Result<Self> {
        let lane = LanePath::new(&ledger.root, &ledger.pipeline, topic, partition)?;
        let superseded = starts.supersedes.clone();
        let configured = starts.partitions.get(&partition).copied();
        Ok(Self { ledger, lane, topic: topic.clone(), partition, superseded, configured })
    }

    /// The paths of this lane, in the ledger's own store.
    #[must_use]
    pub fn lane(&self) -> &LanePath {
        &self.lane
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &TopicIdentity {
        &self.topic
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// The offset and note to commit to Kafka once an entry is published.
    #[must_use]
    pub fn commit(&self, published: &LastEntry) -> Commit {
        Commit::published(self.ledger.id(), published.entry.end, published.nonce())
    }

    /// Finds the end of the chain; `None` while it has no entry.
    ///
    /// `hint` is what the group committed for this partition. It says where to look first and, by its
    /// note, may prove that the last entry is published; whatever its offset is, even ahead of the
    /// chain, the ledger wins. Reads only. A few requests where the hint is right, some 20 to 30 where
    /// it is missing or wrong.
    ///
    /// # Errors
    /// [`Error::AnotherLedger`]; [`Error::Broken`] where the last two entries do not fit each other;
    /// [`Error::Malformed`] and [`Error::Newer`]; [`Error::Store`], after which asking again is useful.
    pub async fn tail(&self, hint: Option<&Commit>) -> Result<Option<Tail>> {
        let note = self.own_note(hint)?;
        let offset = hint.map(|commit| commit.offset);
        let Some(start) = search::last_start(&*self.ledger.store, &self.lane, offset).await? else {
            self.warn_if_behind(None, note.as_ref());
            return Ok(None);
        };
        let listed = self.read(start).await?;
        let listed = listed.ok_or_else(|| self.broken(start, "the entry is listed, but is not there"))?;
        let last = self.walk(listed.clone()).await?;
        if last.entry.start == listed.entry.start {
            self.check_previous(&last).await?;
        }
        self.warn_if_behind(Some(&last), note.as_ref());
        let closed = self.is_closed(&last, note.as_ref()).await?;
        Ok(Some(Tail { end: last.entry.end, last: Some(last), closed, published: closed }))
    }

    /// The tail of a chain of which [`Chain::tail`] said `None`: where the partition starts.
    ///
    /// That is the offset in the topic's start, else (the topic got the partition later) `earliest`, the
    /// start of its log now, which is recorded create-only: two writers who asked the broker at different
    /// times must not begin two chains.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Newer`], [`Error::Store`].
    pub async fn begin(&self, earliest: u64) -> Result<Tail> {
        if let Some(start) = self.configured {
            return Ok(Tail::begin(start));
        }
        let resolved_at = clock::rfc3339(clock::now_ms());
        let document = LaterStart { version: DOCUMENT_VERSION, start: earliest, resolved_at };
        let Ledger { store, patience, .. } = &self.ledger;
        let standing = document::create_or_read(&**store, patience, &self.lane.start(), &document).await?;
        Ok(Tail::begin(standing.start))
    }

    /// Says once and for all that an entry is published: a restart need not look at its objects again,
    /// even when the group's offsets have expired and readers have taken the objects away.
    ///
    /// For the owner, **after** publishing: at drain, revoke, shutdown, and when idle for long.
    /// Repeatable; may be left out.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn close(&self, last: &LastEntry) -> Result<()> {
        let document = Closed {
            version: DOCUMENT_VERSION,
            start: last.entry.start,
            nonce: last.entry.nonce.clone(),
            digest: last.digest.clone(),
            closed_at: clock::rfc3339(clock::now_ms()),
        };
        let path = self.lane.closed(last.entry.start);
        let Ledger { store, patience, .. } = &self.ledger;
        let standing = document::create_or_read(&**store, patience, &path, &document).await?;
        self.check_closed(&standing, last)
    }

    /// The entry that starts at an offset; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Newer`], [`Error::Store`].
    pub async fn read(&self, start: u64) -> Result<Option<LastEntry>> {
        let path = self.lane.entry(start);
        let body = self.ledger.store.get(&path).await?;
        body.map(|body| self.understand(start, &body)).transpose()
    }

    /// Reads a body found at a start, and checks that it belongs there.
    pub(super) fn understand(&self, start: u64, body: &bytes::Bytes) -> Result<LastEntry> {
        let path = self.lane.entry(start);
        let flaw = |flaw: Flaw| flaw.at(&*self.ledger.store, &path);
        let read = codec::decode(body).map_err(flaw)?;
        match self.stranger(&read.entry) {
            None if read.entry.start == start => Ok(read),
            None => Err(flaw(Flaw::Malformed(format!("it is the entry for {}", read.entry.range())))),
            Some(reason) => Err(flaw(Flaw::Malformed(reason))),
        }
    }

    /// Why an entry is not one of this chain.
    pub(super) fn stranger(&self, entry: &super::Entry) -> Option<String> {
        let here = (&*self.ledger.pipeline, &*self.topic.name, &*self.topic.id, self.partition);
        let there = (&*entry.pipeline, &*entry.topic, &*entry.topic_id, entry.partition);
        (here != there).then(|| format!("it says that it belongs to {there:?} instead of {here:?}"))
    }

    /// Goes on from an entry to the last one, each found by its name, for a listing may be old.
    pub(super) async fn walk(&self, from: LastEntry) -> Result<LastEntry> {
        let mut last = from;
        while let Some(next) = self.read(last.entry.end).await? {
            self.check_link(&last, &next)?;
            last = next;
        }
        Ok(last)
    }

    pub(super) fn check_link(&self, before: &LastEntry, entry: &LastEntry) -> Result<()> {
        let start = entry.entry.start;
        match &entry.entry.previous {
            Some(previous)
                if previous.start == before.entry.start
                    && previous.digest == before.digest
                    && before.entry.end == start =>
            {
                self.check_revision(&before.entry, &entry.entry)
            }
            Some(_) => Err(self.broken(start, "the entry names another one before it than stands there")),
            None => Err(self.broken(start, "the entry names none before it, but one stands there")),
        }
    }

    /// Revisions never fall along a chain.
    pub(super) fn check_revision(&self, before: &super::Entry, entry: &super::Entry) -> Result<()> {
        match fall(before, entry) {
            None => Ok(()),
            Some(reason) => Err(self.broken(entry.start, &format!("the entry falls back: {reason}"))),
        }
    }

    /// Checks the last link, as far as the entry before the last still exists.
    async fn check_previous(&self, last: &LastEntry) -> Result<()> {
        let start = last.entry.start;
        let Some(previous) = &last.entry.previous else {
            let first = search::first_start(&*self.ledger.store, &self.lane).await?;
            return if first.is_none_or(|first| first == start) {
                Ok(())
            } else {
                Err(self.broken(start, "the entry names none before it, but entries stand before it"))
            };
        };
        match self.read(previous.start).await? {
            Some(before) => self.check_link(&before, last),
            None => {
                warn!(
                    chain = self.lane.folder(),
                    start,
                    previous = previous.start,
                    "the last but one entry is gone"
                );
                Ok(())
            }
        }
    }

    /// Whether an entry is proved to be published; that a next one exists is excluded already.
    pub(super) async fn is_closed(&self, last: &LastEntry, note: Option<&Note>) -> Result<bool> {
        if note.is_some_and(|note| note.end == last.entry.end && note.nonce == last.entry.nonce) {
            return Ok(true);
        }
        let path = self.lane.closed(last.entry.start);
        match document::read::<Closed>(&*self.ledger.store, &path).await? {
            Some(closed) => self.check_closed(&closed, last).map(|()| true),
            None => Ok(false),
        }
    }

    /// A marker is made from an entry that was read: where they differ, one of them was replaced.
    fn check_closed(&self, closed: &Closed, last: &LastEntry) -> Result<()> {
        let here = (last.entry.start, &last.entry.nonce, &last.digest);
        if (closed.start, &closed.nonce, &closed.digest) == here {
            return Ok(());
        }
        Err(self.broken(last.entry.start, "the entry and its `.closed.json` are of different attempts"))
    }

    /// The hint's note where it is this ledger's.
    fn own_note(&self, hint: Option<&Commit>) -> Result<Option<Note>> {
        let Some(note) = hint.and_then(Commit::note) else { return Ok(None) };
        if note.ledger == self.ledger.id() {
            return Ok(Some(note));
        }
        if self.superseded.contains(&note.ledger) {
            return Ok(None);
        }
        Err(Error::AnotherLedger {
            topic: self.topic.name.clone(),
            partition: self.partition,
            found: note.ledger,
            own: self.ledger.id().to_owned(),
            place: self.ledger.place(),
        })
    }

    /// A note of ours names an entry that was published here: where the chain ends before it, somebody
    /// set the store back. The ledger wins, but this should be seen.
    fn warn_if_behind(&self, last: Option<&LastEntry>, note: Option<&Note>) {
        let end = last.map(|last| last.entry.end);
        if let Some(note) = note.filter(|note| end.is_none_or(|end| end < note.end)) {
            warn!(
                chain = self.lane.folder(),
                end,
                committed = note.end,
                "the chain ends before an entry that the group knows to be published; the ledger was set back?"
            );
        }
    }

    pub(super) fn broken(&self, start: u64, reason: &str) -> Error {
        Error::Broken { chain: self.lane.folder().to_owned(), start, reason: reason.to_owned() }
    }
}
