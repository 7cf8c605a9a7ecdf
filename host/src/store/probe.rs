//! Whether a store keeps the promises that exactly-once rests on, tried before the first record.
//!
//! Owns the trial, which runs once per store and host version: its success is kept in
//! `_probe/<version>.json`. Invariant: a store that lets two writers create one name, or shows or lists
//! something else than was written, is refused.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use thiserror::Error;

use super::{Created, Error, ErrorKind, Labels, Store};
use crate::clock::{self, Random};
use crate::retry::Backoff;

/// Rounds of the race, and writers in each: a store that checks before it writes lost 36 of 100 rounds
/// of 20 writers, so that it passes five about once in ten starts of five different versions.
const ROUNDS: usize = 5;
const WRITERS: usize = 20;

/// How often a request without an answer is sent; the client inside has its own tries.
const TRIES: u32 = 4;

/// Why a store is not used.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// It answers, and does not do what is needed.
    #[error("the store at {place} does not {promise}: {seen}")]
    Lacks {
        /// Place of the store.
        place: String,
        /// What it would have to do.
        promise: &'static str,
        /// What it did.
        seen: String,
        /// What to do.
        advice: &'static str,
    },
    /// The trial could not be made.
    #[error("the store at {place} can't be tried")]
    Failed {
        /// Place of the store.
        place: String,
        /// What to do.
        advice: &'static str,
        /// What it said.
        #[source]
        source: Error,
    },
}

impl ProbeError {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Lacks { advice, .. } | Self::Failed { advice, .. } => advice,
        }
    }
}

/// Tries a store under the folder `root`, unless this host version did before.
///
/// # Errors
/// Where the store lacks a promise, or could not be tried.
pub async fn probe(store: &dyn Store, root: &str, host_version: &str) -> Result<(), ProbeError> {
    let safe =
        |letter: char| if letter.is_ascii_alphanumeric() || ".-_".contains(letter) { letter } else { '_' };
    let version: String = host_version.chars().map(safe).collect();
    let done = format!("{root}/_probe/{version}.json");
    let random = Random::from_system().unwrap_or_else(|_| Random::seeded(clock::now_ms().unsigned_abs()));
    let unique = clock::unique_id().unwrap_or_else(|_| format!("{:016x}", random.next_u64()));
    let trial = Trial { store, random, folder: format!("{root}/_probe/{version}-{unique}") };
    if trial.get(&done).await?.is_some() {
        return Ok(());
    }
    let answer = trial.run().await;
    trial.clean().await;
    answer?;
    let result = serde_json::json!({
        "version": 1, "host_version": host_version, "at": clock::rfc3339(clock::now_ms()),
    });
    trial.create(&done, &format!("{result}\n")).await?;
    Ok(())
}

struct Trial<'a> {
    store: &'a dyn Store,
    random: Random,
    folder: String,
}

const ONE_WINNER: &str = "create an object for exactly one of several writers";
const OTHER_STORE: &str =
    "use a store with conditional writes (If-None-Match), such as S3, MinIO, GCS or Azure";

impl Trial<'_> {
    async fn run(&self) -> Result<(), ProbeError> {
        self.create_twice().await?;
        for round in 0..ROUNDS {
            self.race(round).await?;
        }
        self.publish().await?;
        self.list().await
    }

    fn lacks(&self, promise: &'static str, seen: impl Into<String>, advice: &'static str) -> ProbeError {
        ProbeError::Lacks { place: self.store.place().to_owned(), promise, seen: seen.into(), advice }
    }

    fn failed(&self, source: Error) -> ProbeError {
        let advice = match source.kind {
            ErrorKind::NotFound => "there is no such bucket or container; make it, or correct the `url`",
            ErrorKind::Denied => {
                "the credentials must allow to read, write, list and delete; check `options`"
            }
            ErrorKind::Refused => "it can't do what is needed; use another, or correct `url` and `options`",
            ErrorKind::Unknown => "no usable answer; check the `url`, `endpoint`, `region` and credentials",
        };
        ProbeError::Failed { place: self.store.place().to_owned(), advice, source }
    }

    /// Calls until there is an answer, a few times.
    async fn settle<T, F>(&self, call: impl Fn() -> F) -> Result<T, ProbeError>
    where
        F: Future<Output = super::Result<T>>,
    {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        loop {
            match call().await {
                Ok(value) => return Ok(value),
                Err(error) if error.kind == ErrorKind::Unknown && backoff.tries() + 1 < TRIES => {
                    tokio::time::sleep(backoff.next_wait(&self.random)).await;
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    async fn create(&self, path: &str, body: &str) -> Result<Created, ProbeError> {
        self.settle(|| self.store.create(path, Bytes::from(body.to_owned()))).await
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>, ProbeError> {
        self.settle(|| self.store.get(path)).await
    }

    async fn create_twice(&self) -> Result<(), ProbeError> {
        let path = format!("{}/twice.json", self.folder);
        // The first may say `Exists` of its own lost success; the body tells.
        self.create(&path, "first").await?;
        let second = self.create(&path, "second").await?;
        let body = self.get(&path).await?;
        if body.as_deref() != Some(b"first") {
            let body = body.as_deref().map(String::from_utf8_lossy);
            let seen = format!("read back `{}` where `first` was written first", body.unwrap_or_default());
            return Err(self.lacks(ONE_WINNER, seen, OTHER_STORE));
        }
        if second == Created::Created {
            return Err(self.lacks(ONE_WINNER, "the second create was accepted as well", OTHER_STORE));
        }
        Ok(())
    }

    async fn race(&self, round: usize) -> Result<(), ProbeError> {
        for attempt in 0..TRIES {
            let path = format!("{}/race-{round}-{attempt}.json", self.folder);
            let body_of = |writer| Bytes::from(format!("writer {writer}"));
            let writers: Vec<_> =
                (0..WRITERS).map(|writer| self.store.create(&path, body_of(writer))).collect();
            let answers = join_all(writers).await;
            let created = |answer: &super::Result<Created>| matches!(answer, Ok(Created::Created));
            let winners: Vec<_> = (0..WRITERS).filter(|writer| created(&answers[*writer])).collect();
            if winners.len() > 1 {
                let seen = format!("{} of {WRITERS} at once were told that they won", winners.len());
                return Err(self.lacks(ONE_WINNER, seen, OTHER_STORE));
            }
            let body = self.get(&path).await?;
            match (winners.first(), body) {
                (Some(winner), Some(body)) if body == format!("writer {winner}") => return Ok(()),
                (Some(winner), body) => {
                    let seen = format!("writer {winner} won, and {body:?} was read back");
                    return Err(self.lacks(ONE_WINNER, seen, OTHER_STORE));
                }
                // Nobody heard of winning: an answer was lost. The next attempt has another name.
                (None, _) => {}
            }
            if let Some(Err(error)) = answers.into_iter().find(Result::is_err)
                && (error.kind != ErrorKind::Unknown || attempt + 1 == TRIES)
            {
                return Err(self.failed(error));
            }
        }
        Err(self.lacks(ONE_WINNER, "nobody of several writers was told that they won", OTHER_STORE))
    }

    async fn publish(&self) -> Result<(), ProbeError> {
        const COPIES: &str = "copy an object within itself";
        let (from, to) = (format!("{}/from.staged", self.folder), format!("{}/to.json", self.folder));
        let body = Bytes::from_static(b"body");
        let no_labels = Labels::default();
        self.settle(|| self.store.put(&from, body.clone(), &no_labels)).await?;
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        loop {
            let answer = self.store.publish(&from, &to).await;
            let head = self.settle(|| self.store.head(&to)).await?;
            if head == Some(body.len() as u64) {
                break;
            }
            if backoff.tries() == TRIES {
                let Err(error) = answer else {
                    let seen = format!("said that it did, and the copy's length is {head:?}");
                    return Err(self.lacks(COPIES, seen, "use another store"));
                };
                return Err(self.failed(error));
            }
            tokio::time::sleep(backoff.next_wait(&self.random)).await;
        }
        if self.get(&to).await? != Some(body) {
            return Err(self.lacks(COPIES, "the copy holds something else", "use another store"));
        }
        Ok(())
    }

    async fn list(&self) -> Result<(), ProbeError> {
        const LISTS: &str = "list every object in order, right after it was written";
        let folder = format!("{}/list", self.folder);
        let all: Vec<_> = [9_999_999_u64, 10_000_000, 10_000_001]
            .iter()
            .map(|start| format!("{folder}/{start:020}.json"))
            .collect();
        for path in all.iter().rev() {
            self.create(path, "x").await?;
        }
        for after in [None, Some(all[0].as_str())] {
            let listed = self.settle(|| self.store.list_after(&folder, after, 10)).await?;
            let found: Vec<_> = listed.into_iter().map(|object| object.path).collect();
            let expected = &all[usize::from(after.is_some())..];
            if found != expected {
                let seen = format!("expected {expected:?} after {after:?}, found {found:?}");
                return Err(self.lacks(LISTS, seen, "use a store with consistent, ordered listings"));
            }
        }
        Ok(())
    }

    /// Removes what the trial left, as far as that goes.
    async fn clean(&self) {
        let listed = self.store.list_after(&self.folder, None, 1000).await.unwrap_or_default();
        for object in listed {
            if let Err(error) = self.store.delete(&object.path).await {
                tracing::debug!(%error, "an object of the store's trial stays");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Arc;

    use async_trait::async_trait;

    use super::*;
    use crate::store::faults::{Fault, Faulty, Operation, Rates};
    use crate::store::{Listed, Upload, memory};

    /// What is broken in a store.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Breach {
        CheckThenWrite,
        Overwrites,
        CopiesNothing,
        ListsLate,
    }

    #[derive(Debug)]
    struct Broken(Arc<dyn Store>, Breach);

    #[async_trait]
    impl Store for Broken {
        fn place(&self) -> &str {
            self.0.place()
        }
        fn domain(&self) -> &str {
            self.0.domain()
        }
        async fn create(&self, path: &str, bytes: Bytes) -> crate::store::Result<Created> {
            match self.1 {
                Breach::CheckThenWrite => {
                    if self.0.head(path).await?.is_some() {
                        return Ok(Created::Exists);
                    }
                    tokio::task::yield_now().await;
                }
                Breach::Overwrites => {}
                _ => return self.0.create(path, bytes).await,
            }
            self.0.put(path, bytes, &Labels::default()).await?;
            Ok(Created::Created)
        }
        async fn put(&self, path: &str, bytes: Bytes, labels: &Labels) -> crate::store::Result<()> {
            self.0.put(path, bytes, labels).await
        }
        async fn get(&self, path: &str) -> crate::store::Result<Option<Bytes>> {
            self.0.get(path).await
        }
        async fn get_range(&self, path: &str, range: Range<u64>) -> crate::store::Result<Option<Bytes>> {
            self.0.get_range(path, range).await
        }
        async fn head(&self, path: &str) -> crate::store::Result<Option<u64>> {
            self.0.head(path).await
        }
        async fn upload(&self, path: &str, labels: &Labels) -> crate::store::Result<Box<dyn Upload>> {
            self.0.upload(path, labels).await
        }
        async fn publish(&self, from: &str, to: &str) -> crate::store::Result<()> {
            if self.1 == Breach::CopiesNothing { Ok(()) } else { self.0.publish(from, to).await }
        }
        async fn delete(&self, path: &str) -> crate::store::Result<()> {
            self.0.delete(path).await
        }
        async fn list_after(
            &self,
            prefix: &str,
            after: Option<&str>,
            limit: usize,
        ) -> crate::store::Result<Vec<Listed>> {
            let mut listed = self.0.list_after(prefix, after, limit).await?;
            if self.1 == Breach::ListsLate {
                listed.pop();
            }
            Ok(listed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_lacks_a_promise_is_refused_and_tried_again_next_time() {
        for breach in [Breach::CheckThenWrite, Breach::Overwrites, Breach::CopiesNothing, Breach::ListsLate] {
            let store = Broken(memory(), breach);
            for _ in 0..2 {
                let error = probe(&store, "_vanne", "0.1.0").await.unwrap_err();
                assert!(matches!(error, ProbeError::Lacks { .. }), "{breach:?}: {error}");
            }
        }
    }

    #[tokio::test]
    async fn a_good_store_is_tried_once_a_version_and_left_clean() {
        let store = Faulty::new(memory(), 1);
        probe(store.as_ref(), "_vanne", "0.1.0").await.unwrap();
        let creates = store.calls(Operation::Create);
        probe(store.as_ref(), "_vanne", "0.1.0").await.unwrap();
        assert_eq!(store.calls(Operation::Create), creates);
        let spawned = store.clone();
        tokio::spawn(async move { probe(spawned.as_ref(), "_vanne", "0.2.0/odd").await })
            .await
            .unwrap()
            .unwrap();
        assert!(store.calls(Operation::Create) > creates);
        let left = store.list_after("", None, 10).await.unwrap();
        let left: Vec<_> = left.iter().map(|object| object.path.as_str()).collect();
        assert_eq!(left, ["_vanne/_probe/0.1.0.json", "_vanne/_probe/0.2.0_odd.json"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shaky_network_does_not_fail_the_trial_of_a_good_store() {
        for seed in 0..20 {
            let store = Faulty::new(memory(), seed);
            store.random(Some(Rates { unsent: 20, answer_lost: 20, echo: 20, ..Rates::default() }));
            probe(store.as_ref(), "_vanne", "0.1.0").await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn denial_and_silence_say_what_to_do() {
        let store = Faulty::new(memory(), 1);
        store.script(Operation::Create, "", Fault::Denied, 1);
        let error = probe(store.as_ref(), "_vanne", "0.1.0").await.unwrap_err();
        assert!(error.advice().contains("credentials must allow"), "{error}");
        store.script(Operation::Get, "", Fault::Unsent, 100);
        let error = probe(store.as_ref(), "_vanne", "0.1.0").await.unwrap_err();
        assert!(error.advice().contains("no usable answer"), "{error}");
    }
}
