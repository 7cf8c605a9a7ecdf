//! Which ledger this is: its place, its id, and the machine that it belongs to.
//!
//! Owns `_ledger.json`. Invariant: an open [`Ledger`] has read the id that stands in its store, so that
//! two processes with equal ids write into the same place.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::document::{self, DOCUMENT_VERSION};
use super::path::{self, check_pipeline, check_root, check_topic, hexadecimal, is_unique_id};
use super::patience::Patience;
use super::{Chain, Error, Result, Starts};
use crate::clock;
use crate::store::Store;

/// A topic as Kafka knows it: the name, and the id that a topic made again under that name changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicIdentity {
    /// Its name.
    pub name: String,
    /// Its id: up to 64 letters, digits, `_` and `-`, as Kafka's tools print it.
    pub id: String,
}

/// A store, and the folder in it in which Vanne keeps what is its own (mostly `_vanne`).
#[derive(Clone, Debug)]
pub struct Place {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The folder; empty for the store's root.
    pub root: String,
}

impl Place {
    /// The place as text, for messages.
    #[must_use]
    pub fn text(&self) -> String {
        place_text(&*self.store, &self.root)
    }
}

/// A store's place and a folder in it.
pub(super) fn place_text(store: &dyn Store, root: &str) -> String {
    path::join(store.place().trim_end_matches('/'), root).trim_end_matches('/').to_owned()
}

/// How a ledger is opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Accept a ledger that another machine created, for all of them see the same folder.
    pub shared: bool,
    /// This machine ([`machine_id`]) where the store is a folder of it; `None` for a store that
    /// everybody reaches.
    pub machine: Option<String>,
    /// Refuse where there is no ledger yet, instead of creating one.
    pub existing: bool,
}

/// `_ledger.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct LedgerFile {
    version: u32,
    id: String,
    created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
}

/// The ledger of one pipeline. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(super) store: Arc<dyn Store>,
    pub(super) root: Arc<str>,
    pub(super) pipeline: Arc<str>,
    pub(super) patience: Patience,
    id: Arc<str>,
}

impl Ledger {
    /// Opens the ledger in the folder `root` of a store for a pipeline, and creates it where there is none.
    ///
    /// May be called by any number of processes at once; all get the same id. Repeatable.
    ///
    /// # Errors
    /// [`Error::Name`]; [`Error::AnotherMachine`]; [`Error::Absent`] with [`Options::existing`];
    /// [`Error::Malformed`] and [`Error::Newer`]; [`Error::Store`]; [`Error::Entropy`].
    pub async fn open(store: Arc<dyn Store>, root: &str, pipeline: &str, options: &Options) -> Result<Self> {
        check_root(root)?;
        check_pipeline(pipeline)?;
        let patience = Patience::from_system()?;
        let path = path::ledger_file(root);
        let file = read_or_create(&*store, &patience, &path, options).await?;
        let file = file.ok_or_else(|| Error::Absent { root: root.into(), place: store.place().into() })?;
        if !is_unique_id(&file.id) {
            let reason = format!("the id `{}` is not 16 hexadecimal digits", file.id);
            return Err(Error::Malformed { path, place: store.place().into(), reason });
        }
        if let (Some(found), Some(own), false) = (file.machine, &options.machine, options.shared)
            && found != *own
        {
            let (root, place) = (root.to_owned(), store.place().to_owned());
            return Err(Error::AnotherMachine { root, place, found, own: own.clone() });
        }
        let (root, pipeline, id) = (root.into(), pipeline.into(), file.id.into());
        Ok(Self { store, root, pipeline, patience, id })
    }

    /// The same ledger for another pipeline.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn of_pipeline(&self, pipeline: &str) -> Result<Self> {
        check_pipeline(pipeline)?;
        Ok(Self { pipeline: pipeline.into(), ..self.clone() })
    }

    /// The id: 16 hexadecimal digits, drawn when the ledger was created.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The pipeline that it was opened for.
    #[must_use]
    pub fn pipeline(&self) -> &str {
        &self.pipeline
    }

    /// The folder that it lies in.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The store that it lies in.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Where it lies, as text for messages.
    #[must_use]
    pub fn place(&self) -> String {
        place_text(&*self.store, &self.root)
    }

    /// The chain of one partition. Touches no store.
    ///
    /// Takes what [`Ledger::starts`] or [`Ledger::record_starts`] gave, for without a resolved start no
    /// chain may be read.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn chain(&self, topic: &TopicIdentity, partition: i32, starts: &Starts) -> Result<Chain> {
        Chain::new(self.clone(), topic, partition, starts)
    }

    /// Checks the names that a path for a topic is made of.
    pub(super) fn check(&self, topic: &TopicIdentity) -> Result<()> {
        check_topic(topic)
    }
}

async fn read_or_create(
    store: &dyn Store,
    patience: &Patience,
    path: &str,
    options: &Options,
) -> Result<Option<LedgerFile>> {
    if let Some(file) = document::read::<LedgerFile>(store, path).await? {
        return Ok(Some(file));
    }
    if options.existing {
        return Ok(None);
    }
    let file = LedgerFile {
        version: DOCUMENT_VERSION,
        id: clock::unique_id().map_err(Error::Entropy)?,
        created_at: clock::rfc3339(clock::now_ms()),
        machine: options.machine.clone(),
    };
    document::create_or_read(store, patience, path, &file).await.map(Some)
}

/// This machine, as 16 hexadecimal digits that tell nobody which one it is.
///
/// From the id that the system was installed with, else from the host's name. Reads small files, so
/// call it once, at start.
#[must_use]
pub fn machine_id() -> String {
    let read = |path| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let sources =
        ["/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/hostname", "/etc/hostname"];
    let name = sources.into_iter().filter_map(read).find(|text| !text.is_empty() && text != "uninitialized");
    let name = name.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    hexadecimal(&Sha256::digest(format!("vanne machine {name}")))[..16].to_owned()
}
