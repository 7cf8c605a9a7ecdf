//! Creating an entry: the commit.
//!
//! Owns what an answer of the store means for who owns a range. Invariant: [`Outcome`] is returned only
//! for an entry that stands in the ledger at that start; as long as that is not known, the same bytes
//! are sent again.

use bytes::Bytes;
use tracing::{error, info, warn};

use super::chain::fall;
use super::codec::{self, Encoded, LastEntry};
use super::{Chain, Entry, Error, Result, Tail};
use crate::retry::Backoff;
use crate::store::{self, Created, ErrorKind};

/// Who owns the range that starts where the chain ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This attempt: the entry stands, byte for byte. Publish it.
    Mine(LastEntry),
    /// Another attempt, perhaps an earlier one of this process whose create came late. Publish *its*
    /// objects ([`Chain::follow`]), then drop own staging of this attempt and go on at its end.
    Theirs(LastEntry),
}

impl Outcome {
    /// The entry that stands.
    #[must_use]
    pub fn entry(&self) -> &LastEntry {
        match self {
            Self::Mine(entry) | Self::Theirs(entry) => entry,
        }
    }
}

/// What the store has been answering, so that only a change of it is logged.
struct Weather<'a> {
    chain: &'a Chain,
    start: u64,
    trouble: Option<ErrorKind>,
    away: Backoff,
    denied: Backoff,
}

impl Chain {
    /// Creates the entry at the chain's end, create-only. **This is the commit point of the range.**
    ///
    /// Returns only when an entry is known to stand at that start. For as long as it takes, without a
    /// bound, the same bytes are sent again: after an answer that says nothing, after a conflict, and
    /// (slowly, with an error in the log when it begins) while the store denies access. A caller with a
    /// deadline drops the future.
    ///
    /// **After a drop and after any error the entry may stand, or may come to stand seconds later.** Then
    /// own staging must be left alone, nothing may be committed to Kafka for the range, and the range
    /// may only be tried again with a new nonce and new staged names; if the first attempt turns out to
    /// stand, that try gets [`Outcome::Theirs`], and whoever takes over publishes it.
    ///
    /// # Errors
    /// [`Error::Unfit`] where the entry does not continue `tail`, has a lower revision than it, breaks a rule
    /// of its own, or `tail` is not published (a bug; nothing was sent); [`Error::Store`] of kind refused, where trying again is
    /// useless; [`Error::Malformed`], [`Error::Newer`] and [`Error::Broken`] for what stands there instead.
    pub async fn create(&self, tail: &Tail, entry: &Entry, inline: &[Bytes]) -> Result<Outcome> {
        let unfit =
            |reason| Error::Unfit { chain: self.lane().folder().to_owned(), range: entry.range(), reason };
        self.check_fits(tail, entry).map_err(unfit)?;
        let encoded = codec::encode(entry, inline).map_err(unfit)?;
        let path = self.lane().entry(entry.start);
        let mut weather = Weather::new(self, entry.start);
        loop {
            match self.ledger.store.create(&path, encoded.body.clone()).await {
                Ok(Created::Created) => {
                    weather.cleared();
                    return Ok(Outcome::Mine(mine(entry, encoded)));
                }
                Ok(Created::Exists) => {}
                Err(error) if error.kind == ErrorKind::Refused => return Err(error.into()),
                // Denied says that this request did nothing; an earlier one may have, so look all the same.
                Err(error) => weather.clouded(error),
            }
            match self.ledger.store.get(&path).await {
                Ok(Some(body)) => {
                    weather.cleared();
                    return self.judge(tail, entry, encoded, &body);
                }
                Ok(None) => {}
                Err(error) if error.kind == ErrorKind::Refused => return Err(error.into()),
                Err(error) => weather.clouded(error),
            }
            weather.wait().await;
        }
    }

    /// Says whose the entry is that was read.
    fn judge(&self, tail: &Tail, entry: &Entry, encoded: Encoded, body: &Bytes) -> Result<Outcome> {
        // A nonce is part of the bytes: equal digests mean equal nonces. Both are asked for, since the rule
        // says both, and the digest alone would be trusted with one bit less.
        let standing = self.understand(entry.start, body)?;
        if standing.entry.nonce == entry.nonce && standing.digest == encoded.digest {
            return Ok(Outcome::Mine(mine(entry, encoded)));
        }
        if standing.entry.previous != tail.previous() {
            return Err(
                self.broken(entry.start, "another writer's entry continues another chain than this one")
            );
        }
        if let Some(last) = &tail.last {
            self.check_revision(&last.entry, &standing.entry)?;
        }
        Ok(Outcome::Theirs(standing))
    }

    /// Why an entry may not be created behind a tail.
    fn check_fits(&self, tail: &Tail, entry: &Entry) -> std::result::Result<(), String> {
        if !tail.is_published() {
            return Err("the entry before it is not published".into());
        }
        if entry.start != tail.end {
            return Err(format!("the chain ends at {}", tail.end));
        }
        if entry.previous != tail.previous() {
            return Err("it does not name the entry before it".into());
        }
        if let Some(reason) = tail.last.as_ref().and_then(|last| fall(&last.entry, entry)) {
            return Err(reason);
        }
        self.stranger(entry).map_or(Ok(()), Err)
    }
}

fn mine(entry: &Entry, encoded: Encoded) -> LastEntry {
    LastEntry { entry: entry.clone(), inline: encoded.inline, digest: encoded.digest }
}

impl<'a> Weather<'a> {
    fn new(chain: &'a Chain, start: u64) -> Self {
        let patience = &chain.ledger.patience;
        Self { chain, start, trouble: None, away: patience.away(), denied: patience.denied() }
    }

    /// Notes an answer that says nothing, or no.
    fn clouded(&mut self, failure: store::Error) {
        if self.trouble == Some(failure.kind) {
            return;
        }
        self.trouble = Some(failure.kind);
        let (chain, start) = (self.chain.lane().folder(), self.start);
        let failure = &failure as &dyn std::error::Error;
        if self.trouble == Some(ErrorKind::Denied) {
            error!(
                chain,
                start,
                error = failure,
                "the store denies access to the ledger; trying again for ever"
            );
        } else {
            warn!(
                chain,
                start,
                error = failure,
                "it is not known whether the entry stands; sending it again"
            );
        }
    }

    fn cleared(&self) {
        if self.trouble.is_some() {
            let tries = self.away.tries() + self.denied.tries();
            info!(
                chain = self.chain.lane().folder(),
                start = self.start,
                tries,
                "the entry is known again to stand"
            );
        }
    }

    async fn wait(&mut self) {
        let backoff = match self.trouble {
            Some(ErrorKind::Denied) => &mut self.denied,
            _ => &mut self.away,
        };
        self.chain.ledger.patience.wait(backoff).await;
    }
}
