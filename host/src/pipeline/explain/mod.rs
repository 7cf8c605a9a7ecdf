//! `host explain`: where an object comes from, and what made it.
//!
//! Owns the way from an object's address to its entry: the name says which partition and range to look
//! at, and the nonce in it which entry it is. `place` finds the ledger. Invariant: writes nothing, makes
//! no folder, and explains only what an entry names by its whole path.

mod error;
mod place;

pub use error::Error as ExplainError;

use std::sync::Arc;

use serde::Serialize;

use self::error::Error;
use self::place::{Candidate, Spot};
use crate::config;
use crate::ledger::{self, Entry, LastEntry, Ledger, ObjectEntry, Options, Place, Revision, TransformEntry};
use crate::sink::object_store::ParsedName;
use crate::store;

/// Everything that is known of an object.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Its address.
    pub address: String,
    /// The sink that it is of; `dead_letter` for dead letters.
    pub sink: String,
    /// What its entry says of it.
    pub object: ObjectEntry,
    /// The entry that committed it.
    pub entry: Entry,
    /// Where the entry lies.
    pub entry_at: String,
    /// `sha256:` and the digest of the whole entry.
    pub entry_digest: String,
    /// The revision that the entry names; `None`: it names none, or that one is not in the ledger.
    pub revision: Option<Revision>,
    /// Where the configuration is kept that made it; `None`: it is not kept in this ledger.
    pub config_at: Option<String>,
    /// What lies at its address now.
    pub presence: Presence,
}

/// What lies at an object's address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Presence {
    /// Something of the length that the entry says.
    InPlace,
    /// Nothing: a reader has taken it away, or it is not published yet.
    Absent,
    /// Something of another length: not what the entry says.
    OtherLength {
        /// Its length.
        bytes: u64,
    },
    /// The store did not say.
    Unknown {
        /// What it said instead.
        why: String,
    },
}

impl Explanation {
    /// The transforms that made the object: those of its variant.
    #[must_use]
    pub fn transforms(&self) -> &[TransformEntry] {
        if self.object.variant.is_stable() { &self.entry.transforms } else { &self.entry.candidate }
    }

    /// The configuration that made it: `sha256:` and its digest.
    #[must_use]
    pub fn config_digest(&self) -> &str {
        let rollout = self.revision.as_ref().and_then(|revision| revision.rollout.as_ref());
        match rollout {
            Some(rollout) if !self.object.variant.is_stable() => &rollout.config,
            _ => &self.entry.config_digest,
        }
    }
}

/// Finds the entry of an object, by its address or path, and tells what it says.
///
/// The ledger is the one of `config`; without, of the nearest folder above the object that has one, or
/// at the root of its bucket, which is opened with what the environment says.
///
/// # Errors
/// Where the address is none, or not of an object that the ledger knows. [`ExplainError::hint`] says what to do.
pub async fn explain(object: &str, config: Option<config::Pipeline>) -> Result<Explanation, Error> {
    let address = place::address(object)?;
    let file = address.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
    let name = ParsedName::parse(file).ok_or_else(|| Error::NotAName { name: file.to_owned() })?;
    let spot = place::find(&address, config)?;
    let ledger = open_ledger(&spot).await?;
    let found = find_entry(&ledger, &spot, &name).await?;
    let revisions = found.ledger.revisions();
    let revision = match found.last.entry.revision {
        0 => None,
        number => revisions.read(number).await?,
    };
    let presence = look(&found.candidate, found.object.bytes).await;
    let mut explanation = Explanation {
        address: address.to_string(),
        sink: found.sink,
        object: found.object,
        entry_at: format!("{}/{}", found.ledger.store().place(), found.path),
        entry_digest: found.last.digest,
        entry: found.last.entry,
        revision,
        config_at: None,
        presence,
    };
    let config_path = match revisions.config_path(explanation.config_digest()).await {
        // Made by a host that kept none, and said something else than a digest.
        Err(ledger::Error::Name { .. }) => None,
        other => other?,
    };
    explanation.config_at = config_path.map(|path| format!("{}/{path}", found.ledger.store().place()));
    Ok(explanation)
}

/// An entry, and what it says of the object.
struct Found {
    ledger: Ledger,
    path: String,
    last: LastEntry,
    sink: String,
    object: ObjectEntry,
    candidate: Candidate,
}

async fn open_ledger(spot: &Spot) -> Result<Place, Error> {
    let absent = || Error::NoLedger { place: spot.ledger.url.to_string(), root: spot.ledger_root.clone() };
    if place::is_missing_folder(&spot.ledger) {
        return Err(absent());
    }
    Ok(Place { store: store::open(&spot.ledger)?, root: spot.ledger_root.clone() })
}

/// Looks through all pipelines and topics that the name can be of: the nonce decides.
async fn find_entry(place: &Place, spot: &Spot, name: &ParsedName) -> Result<Found, Error> {
    let pipelines = match ledger::pipelines(place).await {
        Err(ledger::Error::Absent { root, place }) => return Err(Error::NoLedger { place, root }),
        pipelines => pipelines?,
    };
    let Some(first) = pipelines.first() else { return Err(Error::no_entry(place, name)) };
    // The machine does not matter to who only reads.
    let options = Options { existing: true, ..Options::default() };
    let any = Ledger::open(Arc::clone(&place.store), &place.root, first, &options).await?;
    let (mut nearest, mut failure) = (None, None);
    for pipeline in &pipelines {
        let ledger = any.of_pipeline(pipeline)?;
        match find_in(&ledger, spot, name).await {
            Ok(found) => return Ok(found),
            Err(error @ Error::Ledger(_)) => failure = failure.or(Some(error)),
            Err(Error::NoEntry { .. }) => {}
            Err(error) => nearest = nearest.or(Some(error)),
        }
    }
    Err(nearest.or(failure).unwrap_or_else(|| Error::no_entry(place, name)))
}

async fn find_in(ledger: &Ledger, spot: &Spot, name: &ParsedName) -> Result<Found, Error> {
    let place = ledger.place();
    let topics = match name.whole_topic() {
        Some(topic) => ledger.topics_named(topic).await?,
        None => ledger.topics().await?.into_iter().filter(|topic| name.is_of(&topic.name)).collect(),
    };
    let mut nearest = None;
    for topic in topics {
        let Some((path, last)) = ledger.entry(&topic, name.partition, name.start).await? else { continue };
        let at = format!("{}/{path}", ledger.store().place());
        if !last.entry.nonce.starts_with(&name.nonce) {
            nearest = Some(Error::OtherAttempt { entry: at, nonce: last.entry.nonce });
            continue;
        }
        let Some((sink, object, candidate)) = spot.object_of(&last.entry) else {
            let paths = place::namesakes(&last.entry, name);
            let path = spot.candidates.first().map(|candidate| candidate.key.clone()).unwrap_or_default();
            return Err(Error::NotInEntry { path, entry: at, paths });
        };
        let candidate = candidate.clone();
        return Ok(Found { ledger: ledger.clone(), path, last, sink, object, candidate });
    }
    Err(nearest.unwrap_or(Error::NoEntry { name: name.to_string(), place }))
}

/// Looks at what lies at the object's address.
async fn look(candidate: &Candidate, bytes: u64) -> Presence {
    match length(candidate).await {
        Ok(Some(found)) if found == bytes => Presence::InPlace,
        Ok(Some(found)) => Presence::OtherLength { bytes: found },
        Ok(None) => Presence::Absent,
        Err(error) => Presence::Unknown { why: super::chain_text(&error) },
    }
}

async fn length(candidate: &Candidate) -> store::Result<Option<u64>> {
    let Candidate { store, key, .. } = candidate;
    if place::is_missing_folder(store) {
        return Ok(None);
    }
    store::open(store)?.head(key).await
}
