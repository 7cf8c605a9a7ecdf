//! A pipeline's revisions in the ledger: their numbers, and what they name.
//!
//! Owns numbering. Numbers are given create-only, so that of two hosts that make the next revision at
//! once one wins and the other reads what the winner made. Does not decide when a revision is made or
//! which one runs. Invariant: a revision exists only where the one before it exists, and where every
//! component and configuration that it names is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::document::{self, DOCUMENT_BYTES_MAX, Flaw};
use super::kept::Kept;
use super::path::{self, parse_revision};
use super::{Error, Ledger, Result, Revision};
use crate::clock;

/// Names in one listing: one request of every store.
const PAGE: usize = 1000;

/// How far [`Revisions::find_content`] looks back: content older than so many changes counts as new.
const FOUND_WITHIN: u64 = 1000;

/// Revisions that are read at once on the way back.
const READ_AT_ONCE: usize = 16;

/// The revisions of one pipeline. Cheap to clone; clones share what they have seen.
#[derive(Clone, Debug)]
pub struct Revisions {
    ledger: Ledger,
    /// The highest number that is known to stand: where to begin to look. Numbers never go away.
    seen: Arc<AtomicU64>,
}

/// What a create came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// The number is this revision's.
    Mine,
    /// Another host's revision has the number; look at it, and decide anew.
    Theirs(Box<Revision>),
}

/// A revision as it is written. The nonce tells two that are equal otherwise: containers of one image may
/// share their name, process number and millisecond.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    #[serde(flatten)]
    revision: Revision,
    #[serde(default)]
    nonce: String,
}

impl Ledger {
    /// The pipeline's revisions. Touches no store. Keep it: it remembers the highest number seen.
    #[must_use]
    pub fn revisions(&self) -> Revisions {
        Revisions { ledger: self.clone(), seen: Arc::default() }
    }
}

impl Revisions {
    /// The newest revision; `None` where there is none yet. Sees every one that was created before the
    /// call. Two or three requests; once for each 1,000 revisions more the first time.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Newer`], [`Error::Store`].
    pub async fn newest(&self) -> Result<Option<Revision>> {
        let known = match self.seen.load(Ordering::Relaxed) {
            0 => self.last_listed(0).await?,
            seen => seen,
        };
        match self.newest_from(known).await? {
            None if known > 0 => self.standing(known).await.map(Some),
            newest => Ok(newest),
        }
    }

    /// The newest revision above a known number; `None` where there is none above: one request then.
    ///
    /// # Errors
    /// As [`Revisions::newest`].
    pub async fn newest_from(&self, known: u64) -> Result<Option<Revision>> {
        let Some(mut newest) = self.read(known.saturating_add(1)).await? else { return Ok(None) };
        let listed = self.last_listed(newest.revision).await?;
        if listed > newest.revision {
            newest = self.standing(listed).await?;
        }
        // A listing may be older than the call: what was created since is found by its name.
        while let Some(next) = self.read(newest.revision.saturating_add(1)).await? {
            newest = next;
        }
        Ok(Some(newest))
    }

    /// The revision of a number; `None` where there is none.
    ///
    /// # Errors
    /// As [`Revisions::newest`].
    pub async fn read(&self, number: u64) -> Result<Option<Revision>> {
        let path = self.path(number);
        let Some(revision) = document::read::<Revision>(&*self.ledger.store, &path).await? else {
            return Ok(None);
        };
        self.fitting(revision, number).map(Some)
    }

    /// Creates a revision, create-only, with the number that it says. What it names has to be kept before.
    ///
    /// After an error, and after a drop, it may stand, or may come to stand seconds later: look at
    /// [`Revisions::newest`] then, and compare [`Revision::content`].
    ///
    /// # Errors
    /// [`Error::UnfitRevision`] where it breaks a rule, the one before it does not exist, or what it names
    /// is not kept (nothing was sent); [`Error::Malformed`] and [`Error::Newer`] for what stands there
    /// instead; [`Error::Store`].
    pub async fn create(&self, revision: &Revision) -> Result<Created> {
        let number = revision.revision;
        revision.check(self.ledger.pipeline(), number).map_err(|reason| self.unfit(number, reason))?;
        self.check_before(number).await?;
        self.check_kept(revision).await?;
        let nonce = clock::unique_id().map_err(Error::Entropy)?;
        let written = Written { revision: revision.clone(), nonce };
        let bytes = document::write(&written).len();
        if bytes > DOCUMENT_BYTES_MAX {
            let reason = format!("it has {bytes} bytes, and {DOCUMENT_BYTES_MAX} are possible");
            return Err(self.unfit(number, reason));
        }
        let Ledger { store, patience, .. } = &self.ledger;
        let standing = document::create_or_read(&**store, patience, &self.path(number), &written).await?;
        if standing == written {
            self.note(number);
            return Ok(Created::Mine);
        }
        Ok(Created::Theirs(Box::new(self.fitting(standing.revision, number)?)))
    }

    /// The newest revision with a content ([`Revision::content`]), among the newest thousand.
    ///
    /// # Errors
    /// As [`Revisions::newest`].
    pub async fn find_content(&self, content: &str) -> Result<Option<Revision>> {
        let Some(newest) = self.newest().await? else { return Ok(None) };
        if newest.content() == content {
            return Ok(Some(newest));
        }
        let oldest = newest.revision.saturating_sub(FOUND_WITHIN).max(1);
        // Made before the stream is, whose type then holds no closure and is `Send`.
        let reads: Vec<_> = (oldest..newest.revision).rev().map(|number| self.read(number)).collect();
        let mut back = futures::stream::iter(reads).buffered(READ_AT_ONCE);
        while let Some(earlier) = back.try_next().await? {
            if let Some(found) = earlier.filter(|earlier| earlier.content() == content) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Keeps a component, unless it is kept, and returns `sha256:` and its digest.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over [`COMPONENT_BYTES_MAX`](super::COMPONENT_BYTES_MAX); [`Error::Malformed`]
    /// where something else stands under its name; [`Error::Store`].
    pub async fn keep_component(&self, component: Bytes) -> Result<String> {
        Kept::Component.keep(&self.ledger, component).await
    }

    /// A component by its digest, which is checked.
    ///
    /// # Errors
    /// [`Error::Name`] for what is no digest; [`Error::Malformed`] where it is missing or damaged;
    /// [`Error::Store`].
    pub async fn component(&self, digest: &str) -> Result<Bytes> {
        Kept::Component.read(&self.ledger, digest).await
    }

    /// Keeps a configuration, unless it is kept, and returns `sha256:` and its digest.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over [`CONFIG_BYTES_MAX`](super::CONFIG_BYTES_MAX); [`Error::Malformed`] where
    /// something else stands under its name; [`Error::Store`].
    pub async fn keep_config(&self, text: &str) -> Result<String> {
        Kept::Config.keep(&self.ledger, Bytes::copy_from_slice(text.as_bytes())).await
    }

    /// A configuration by its digest, which is checked.
    ///
    /// # Errors
    /// As [`Revisions::component`].
    pub async fn config(&self, digest: &str) -> Result<String> {
        let bytes = Kept::Config.read(&self.ledger, digest).await?;
        match String::from_utf8(bytes.into()) {
            Ok(text) => Ok(text),
            Err(error) => {
                let path = Kept::Config.path(&self.ledger, digest)?;
                Err(Flaw::Malformed(error.to_string()).at(&*self.ledger.store, &path))
            }
        }
    }

    /// Where a kept configuration lies; `None` where there is none of that digest.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Store`].
    pub async fn config_path(&self, digest: &str) -> Result<Option<String>> {
        let path = Kept::Config.path(&self.ledger, digest)?;
        Ok(self.ledger.store.head(&path).await?.map(|_| path))
    }

    fn path(&self, number: u64) -> String {
        path::revision_file(&self.ledger.root, &self.ledger.pipeline, number)
    }

    fn note(&self, number: u64) {
        self.seen.fetch_max(number, Ordering::Relaxed);
    }

    /// A revision that was read at a number, where it belongs there.
    fn fitting(&self, revision: Revision, number: u64) -> Result<Revision> {
        let checked = revision.check(self.ledger.pipeline(), number);
        checked.map_err(|reason| Flaw::Malformed(reason).at(&*self.ledger.store, &self.path(number)))?;
        self.note(number);
        Ok(revision)
    }

    /// A revision that is known to be there.
    async fn standing(&self, number: u64) -> Result<Revision> {
        self.read(number).await?.ok_or_else(|| {
            let flaw = Flaw::Malformed("it was there, and is missing".into());
            flaw.at(&*self.ledger.store, &self.path(number))
        })
    }

    /// The highest number that a listing shows above `after`; else `after`.
    async fn last_listed(&self, after: u64) -> Result<u64> {
        let folder = path::revision_folder(&self.ledger.root, &self.ledger.pipeline);
        let (mut from, mut last) = (self.path(after), after);
        loop {
            let page = self.ledger.store.list_after(&folder, Some(&from), PAGE).await?;
            let numbers = page.iter().filter_map(|listed| parse_revision(&folder, &listed.path));
            last = numbers.max().unwrap_or(last);
            match page.last() {
                Some(listed) if page.len() == PAGE => from.clone_from(&listed.path),
                _ => return Ok(last),
            }
        }
    }

    fn unfit(&self, revision: u64, reason: String) -> Error {
        Error::UnfitRevision { revision, pipeline: self.ledger.pipeline().to_owned(), reason }
    }

    /// Checks that the number leaves no hole.
    async fn check_before(&self, number: u64) -> Result<()> {
        let before = number - 1;
        if before > self.seen.load(Ordering::Relaxed) && self.read(before).await?.is_none() {
            return Err(self.unfit(number, format!("there is no revision {before} before it")));
        }
        Ok(())
    }

    /// Checks that everything that it names is kept.
    async fn check_kept(&self, revision: &Revision) -> Result<()> {
        let configs = revision.configs().into_iter().map(|digest| (Kept::Config, digest));
        let components = revision.components().into_iter().map(|digest| (Kept::Component, digest));
        for (kept, digest) in configs.chain(components) {
            if !kept.is_kept(&self.ledger, digest).await? {
                let reason = format!("`{}` is not kept", kept.path(&self.ledger, digest)?);
                return Err(self.unfit(revision.revision, reason));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
