//! Three writers that do not know of each other, one chain, and a store that loses answers, delays
//! creates and answers with conflicts, under a seed; an observer reads the store itself at all times.
//!
//! Writers die and come back at random moments, sleep in the middle of everything, abandon creates and
//! stage the same start again, and are told nonsense by the group. Revisions rise all the while; a writer
//! looks for them at the start of its life and loads a higher one that it meets in a chain, but now and then
//! one is a zombie that does neither. Whatever they do: every object in the lake belongs to the one entry
//! of its range, only the last entry's may be missing, and revisions never fall along the chain.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::codec;
use super::path::LaneFile;
use super::testing::{FaultyStore, Publisher, block_on, chain, entry, object, within};
use super::{Chain, Commit, Entry, Error, Kind, LastEntry, Outcome, Place, Result, Staged, StagedName, Tail};
use crate::clock::Random;

/// The partition's length: some 1,000 ranges of 1 to 5 offsets.
const END: u64 = 3_000;

/// What happened, to show that the course of events had what it is meant to have.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    mine: u64,
    theirs: u64,
    abandoned: u64,
    deaths: u64,
    /// Entries of a zombie that were refused, for the chain had gone on to a higher revision.
    fallen: u64,
    /// Digest of the last entry, and so of the whole chain.
    head: String,
}

struct World {
    store: FaultyStore,
    random: Arc<Random>,
    chain: Chain,
    publisher: Publisher,
    group: Mutex<Option<Commit>>,
    /// The newest revision.
    revision: AtomicU64,
    tally: Mutex<Tally>,
    /// Writers that still run.
    running: Mutex<u64>,
}

impl World {
    async fn new(seed: u64) -> Self {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        let publisher = Publisher::new(&store);
        let random = Arc::new(Random::seeded(seed));
        store.chaos(&random, 12);
        let (group, tally, running) = (Mutex::default(), Mutex::default(), Mutex::new(3));
        let revision = AtomicU64::new(1);
        Self { store, random, chain, publisher, group, revision, tally, running }
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }

    fn one_in(&self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn count(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().expect("nobody panics with the lock held"));
    }

    fn group(&self) -> std::sync::MutexGuard<'_, Option<Commit>> {
        self.group.lock().expect("nobody panics with the lock held")
    }

    /// Sleeps now and then, sometimes long enough for others to take the lane over and go far.
    async fn pause(&self) {
        let turns = if self.one_in(40) { self.below(2_000) } else { self.below(3) };
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    /// Up to three objects, in the entry or staged; the last object of an entry says what it holds.
    fn stage(&self, tail: &Tail, revision: u64) -> (Entry, Vec<Bytes>) {
        let end = (tail.end + 1 + self.below(5)).min(END);
        let mut made = entry(tail.end, end);
        made.revision = revision;
        made.nonce = format!("{:016x}", self.random.next_u64());
        made.previous = tail.previous();
        let mut inline: Vec<Bytes> = Vec::new();
        for number in 0..u32::try_from(self.below(4)).expect("it is below 4") {
            let bytes = contents(&made, number);
            let staged = if self.one_in(2) {
                let start = inline.iter().map(Bytes::len).sum::<usize>() as u64;
                inline.push(bytes.clone());
                Staged::Inline { start, bytes: bytes.len() as u64 }
            } else {
                let name =
                    StagedName { start: made.start, nonce: made.nonce.clone(), sink: "lake".into(), number };
                let path = self.chain.lane().staged(&name).expect("the name is possible");
                self.store.set(&path, bytes.clone());
                Staged::Path(path)
            };
            let path = format!("lake/{:020}-{number}-{}", made.start, made.nonce);
            let part = object(&path, staged, bytes.len() as u64, made.start, end - 1);
            made.sinks.entry("lake".into()).or_default().objects.push(part);
        }
        (made, inline)
    }

    fn drop_staging(&self, made: &Entry) {
        for (_, object) in made.objects() {
            if let Staged::Path(path) = &object.staged {
                self.store.remove(path);
            }
        }
    }

    async fn writer(&self) {
        while !self.life().await {
            self.count(|tally| tally.deaths += 1);
            self.pause().await;
        }
        *self.running.lock().expect("nobody panics with the lock held") -= 1;
    }

    /// From start to the partition's end (true) or to a sudden death (false).
    async fn life(&self) -> bool {
        let newest = self.revision.load(Ordering::Relaxed);
        let is_zombie = self.one_in(8);
        let mut revision = if is_zombie { 1 + self.below(newest) } else { newest };
        let Some(mut tail) = self.take_over().await else { return false };
        while tail.end < END {
            if !is_zombie {
                revision = revision.max(tail.last.as_ref().map_or(0, |last| last.entry.revision));
            }
            let (made, inline) = self.stage(&tail, revision);
            self.pause().await;
            if tail.last.as_ref().is_some_and(|last| last.entry.revision > revision) {
                self.refused(&tail, &made, &inline).await;
                return false;
            }
            let Some(outcome) = self.create(&tail, &made, &inline).await else {
                // Death, or the deadline of a drain that is then called off: the same start again.
                if self.one_in(2) {
                    return false;
                }
                self.count(|tally| tally.abandoned += 1);
                continue;
            };
            self.pause().await;
            let settled = match outcome {
                Outcome::Mine(last) => self.publish(last).await,
                Outcome::Theirs(last) => self.adopt(last, &made).await,
            };
            let Some(settled) = settled else { return false };
            tail = settled;
            self.tidy(&tail).await;
        }
        true
    }

    async fn take_over(&self) -> Option<Tail> {
        let hint = self.group().clone();
        loop {
            let taken = async {
                match self.chain.take_over(hint.as_ref(), &self.publisher).await? {
                    Some(tail) => Ok(tail),
                    None => self.chain.begin(0).await,
                }
            };
            match self.alive(taken).await? {
                Ok(tail) => return Some(tail),
                Err(()) => self.pause().await,
            }
        }
    }

    /// An entry that falls is refused before anything is sent, whatever the store is up to.
    async fn refused(&self, tail: &Tail, made: &Entry, inline: &[Bytes]) {
        assert!(matches!(self.chain.create(tail, made, inline).await, Err(Error::Unfit { .. })));
        self.drop_staging(made);
        self.count(|tally| tally.fallen += 1);
    }

    async fn create(&self, tail: &Tail, made: &Entry, inline: &[Bytes]) -> Option<Outcome> {
        let turns = if self.one_in(3) { self.below(12) } else { u64::MAX };
        let outcome = within(turns, self.chain.create(tail, made, inline)).await?;
        Some(outcome.expect("it waits until it knows"))
    }

    async fn publish(&self, last: LastEntry) -> Option<Tail> {
        self.count(|tally| tally.mine += 1);
        let end = last.entry.end;
        let tail = loop {
            match self.alive(self.chain.publish(last.clone(), &self.publisher)).await? {
                Ok(tail) => break tail,
                Err(()) => self.pause().await,
            }
        };
        assert_eq!(tail.end, end, "no object is ever taken away here");
        self.pause().await;
        if !self.one_in(5) {
            *self.group() = Some(self.chain.commit(&last));
        }
        if self.one_in(10) {
            self.alive(self.chain.close(&last)).await?.ok();
        }
        Some(tail)
    }

    async fn adopt(&self, theirs: LastEntry, mine: &Entry) -> Option<Tail> {
        self.count(|tally| tally.theirs += 1);
        let tail = loop {
            match self.alive(self.chain.follow(theirs.clone(), &self.publisher)).await? {
                Ok(tail) => break tail,
                Err(()) => self.pause().await,
            }
        };
        self.drop_staging(mine);
        Some(tail)
    }

    async fn tidy(&self, tail: &Tail) {
        if self.one_in(4) {
            let place = Place { store: Arc::new(self.store.clone()), root: "_vanne".into() };
            // Nothing depends on it, and the store may be away.
            self.chain.collect_garbage(tail, &[place]).await.ok();
        }
    }

    /// What a call comes to, `Err` where it may be tried again; `None`: the writer died in it.
    async fn alive<T>(&self, call: impl Future<Output = Result<T>>) -> Option<std::result::Result<T, ()>> {
        let turns = if self.one_in(8) { self.below(30) } else { u64::MAX };
        let result = within(turns, call).await?;
        Some(result.map_err(|error| assert_eq!(error.kind(), Kind::Transient, "{error:?}")))
    }

    /// An operator and a console consumer in the same group.
    async fn meddle(&self) {
        while *self.running.lock().expect("nobody panics with the lock held") > 0 {
            for _ in 0..self.below(3_000) {
                tokio::task::yield_now().await;
            }
            let offset =
                [0, self.below(END), u64::MAX][usize::try_from(self.below(3)).expect("it is below 3")];
            *self.group() = (!self.one_in(3)).then(|| Commit { offset, metadata: String::new() });
        }
    }

    /// A person who swaps again and again.
    async fn swap(&self) {
        while *self.running.lock().expect("nobody panics with the lock held") > 0 {
            for _ in 0..self.below(4_000) {
                tokio::task::yield_now().await;
            }
            self.revision.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn observe(&self) {
        while *self.running.lock().expect("nobody panics with the lock held") > 0 {
            for _ in 0..self.below(1_500) {
                tokio::task::yield_now().await;
            }
            let entries = self.entries();
            self.check(&entries, entries.len().saturating_sub(1));
        }
    }

    /// The chain, read from what is in the store and not by the code under test.
    fn entries(&self) -> Vec<LastEntry> {
        let snapshot = self.store.snapshot();
        let lane = self.chain.lane();
        let bodies = snapshot.iter().filter(|(path, _)| matches!(lane.classify(path), LaneFile::Entry(_)));
        bodies.map(|(_, body)| codec::decode(body).expect("nobody writes nonsense")).collect()
    }

    /// The chain is tiled, each range has one owner, no revision falls, and the first `published` entries'
    /// objects are there.
    fn check(&self, entries: &[LastEntry], published: usize) {
        let mut end = 0;
        for (before, after) in entries.iter().zip(entries.iter().skip(1)) {
            let link = after.entry.previous.as_ref().expect("it is not the first");
            assert_eq!((link.start, &link.digest), (before.entry.start, &before.digest));
            assert!(
                after.entry.revision >= before.entry.revision,
                "a revision falls at {}",
                after.entry.start
            );
        }
        for entry in entries {
            assert_eq!(entry.entry.start, end, "the chain has a hole or an overlap");
            end = entry.entry.end;
        }
        let snapshot = self.store.snapshot();
        let delivered: BTreeMap<&str, &Bytes> = snapshot
            .iter()
            .filter(|(path, _)| path.starts_with("lake/"))
            .map(|(path, bytes)| (path.as_str(), bytes))
            .collect();
        let mut promised = BTreeMap::new();
        for (nth, entry) in entries.iter().enumerate() {
            for (number, (_, object)) in (0..).zip(entry.entry.objects()) {
                let bytes = contents(&entry.entry, number);
                assert!(
                    nth >= published || delivered.contains_key(object.path.as_str()),
                    "lost: {}",
                    object.path
                );
                promised.insert(object.path.as_str(), bytes);
            }
        }
        for (path, bytes) in delivered {
            assert_eq!(promised.get(path), Some(bytes), "doubled, or of nobody: {path}");
        }
    }
}

fn contents(entry: &Entry, number: u32) -> Bytes {
    Bytes::from(format!("object {number} of {} by {}\n", entry.range(), entry.nonce))
}

fn simulate(seed: u64) -> Tally {
    block_on(async {
        let world = World::new(seed).await;
        let writers = async { tokio::join!(world.writer(), world.writer(), world.writer()) };
        tokio::join!(writers, world.meddle(), world.swap(), world.observe());
        // What is still under way lands, and somebody undisturbed takes over.
        world.store.calm();
        world.store.land();
        let tail = world.chain.take_over(None, &world.publisher).await.expect("the store is calm");
        let tail = tail.expect("there are entries");
        assert_eq!(tail.end, END);
        let entries = world.entries();
        world.check(&entries, entries.len());
        let last = entries.last().map_or(0, |last| last.entry.revision);
        assert!(last > 20, "seed {seed} is too quiet: its last revision is {last}");
        let mut tally = world.tally.into_inner().expect("nobody panics with the lock held");
        tally.head = tail.last.expect("there is an entry").digest;
        tally
    })
}

#[test]
fn writers_that_race_and_die_lose_nothing_and_double_nothing() {
    let seeds =
        std::env::var("VANNE_SIMULATION_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(4);
    for seed in 0..seeds {
        let course = std::panic::catch_unwind(|| simulate(seed));
        let tally = course.unwrap_or_else(|_| panic!("seed {seed} went wrong, see above"));
        let Tally { mine, theirs, abandoned, deaths, fallen, .. } = tally;
        assert!(
            mine > 500 && theirs > 100 && abandoned > 50 && deaths > 100 && fallen > 10,
            "seed {seed} is too quiet: {tally:?}"
        );
    }
}

#[test]
fn a_seed_gives_the_same_course_of_events_again() {
    // But for the ledger's id, which is in no entry, nothing is drawn from anywhere else.
    assert_eq!(simulate(77), simulate(77));
}
