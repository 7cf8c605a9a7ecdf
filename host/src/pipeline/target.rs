//! The places that a pipeline writes to: one for each sink and one for dead letters.
//!
//! Owns which store is which, paths in them, the claims, and where the ledger is. Does not know lanes.
//! Invariant: every store here has passed the start probe.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Error;
use crate::batch::SinkSpec;
use crate::clock;
use crate::config::{self, Compression, Format, Location, ObjectSink, Prefix, PrefixPart, Sink};
use crate::ledger::{self, Chain, Ledger, Options, Place, SinkPlace, Tail, TopicIdentity};
use crate::record::DEAD_LETTER_SINK;
use crate::sink::object_store::{ObjectName, Provenance, Publisher, StagedWriter, content_type, extension};
use crate::store::{self, Store};

/// The folder of a store that is Vanne's own.
pub(super) const OWN_FOLDER: &str = "_vanne";

/// Length at which an object of dead letters is closed: the default of every other sink.
const DEAD_LETTER_BUFFER_BYTES: u64 = 64 << 20;

/// One place that objects go to.
#[derive(Debug)]
struct Target {
    place: Place,
    /// Where its url points to, from the store's root: empty, or with a `/` at its end.
    folder: String,
    /// The folder of all its objects: that of the url, and that with which the prefix begins.
    claimed: String,
    prefix: Prefix,
    spec: SinkSpec,
    /// The place for people.
    shown: String,
    /// The store's root for people.
    root_shown: String,
}

/// Every place of a pipeline.
#[derive(Debug)]
pub(super) struct Targets {
    by_name: BTreeMap<Arc<str>, Target>,
    /// Where the ledger lies.
    ledger: Place,
    is_ledger_shared: bool,
}

impl Targets {
    /// Opens and probes every store.
    pub(super) async fn open(config: &config::Pipeline) -> Result<Self, Error> {
        let mut by_name = BTreeMap::new();
        for (name, sink) in &config.sinks {
            let Sink::ObjectStore(sink) = sink;
            let target = open_sink(name, sink).await?;
            by_name.insert(Arc::from(name.as_str()), target);
        }
        let dead_letters = open_dead_letters(config, &by_name).await?;
        by_name.insert(Arc::from(DEAD_LETTER_SINK), dead_letters);
        let ledger = open_ledger_place(config, &by_name).await?;
        let is_ledger_shared = config.ledger.as_ref().is_some_and(|ledger| ledger.shared);
        Ok(Self { by_name, ledger, is_ledger_shared })
    }

    /// The pipeline's ledger, made where there is none.
    pub(super) async fn open_ledger(&self, config: &config::Pipeline) -> Result<Ledger, Error> {
        Ok(self.ledger_of(&config.name, false).await?)
    }

    /// Whether the ledger lies where it lies for others.
    pub(super) fn has_ledger_of(&self, other: &Self) -> bool {
        let place = |targets: &Self| (targets.ledger.store.place().to_owned(), targets.ledger.root.clone());
        place(self) == place(other)
    }

    /// The ledger under another pipeline's name.
    pub(super) async fn open_old_ledger(&self, name: &str) -> Result<Ledger, Error> {
        Ok(self.ledger_of(name, true).await?)
    }

    async fn ledger_of(&self, pipeline: &str, existing: bool) -> ledger::Result<Ledger> {
        let is_local = self.ledger.store.domain().starts_with("file:");
        let machine = is_local.then(ledger::machine_id);
        let options = Options { shared: self.is_ledger_shared, machine, existing };
        Ledger::open(Arc::clone(&self.ledger.store), &self.ledger.root, pipeline, &options).await
    }

    /// Claims every place for a topic.
    pub(super) async fn claim(&self, ledger: &Ledger, topic: &TopicIdentity) -> ledger::Result<()> {
        for sink in self.sink_places() {
            ledger.claim(sink, topic).await?;
        }
        Ok(())
    }

    /// Every place, as the ledger claims it.
    pub(super) fn sink_places(&self) -> Vec<SinkPlace<'_>> {
        self.by_name
            .iter()
            .map(|(name, target)| SinkPlace { sink: name, place: &target.place, prefix: &target.claimed })
            .collect()
    }

    /// What ranges have to know of the sinks; dead letters are the range's own affair.
    pub(super) fn specs(&self) -> Vec<SinkSpec> {
        let sinks = self.by_name.iter().filter(|(name, _)| &***name != DEAD_LETTER_SINK);
        sinks.map(|(_, target)| target.spec.clone()).collect()
    }

    /// Where objects go, by sink, for people.
    pub(super) fn places(&self) -> BTreeMap<String, String> {
        self.by_name.iter().map(|(name, target)| (name.to_string(), target.shown.clone())).collect()
    }

    /// Who puts objects in place.
    pub(super) fn publisher(&self, cancelled: CancellationToken) -> Publisher {
        let stores =
            self.by_name.iter().map(|(name, target)| (name.to_string(), Arc::clone(&target.place.store)));
        Publisher::new(stores.collect(), cancelled)
    }

    /// The store that has the dead letters.
    pub(super) fn letter_store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.target(DEAD_LETTER_SINK).place.store)
    }

    fn target(&self, sink: &str) -> &Target {
        self.by_name.get(sink).expect("ranges name only the pipeline's sinks")
    }

    /// Begins to stage an object.
    pub(super) fn writer(
        &self,
        sink: &str,
        path: &str,
        provenance: &Provenance,
        cancel: &CancellationToken,
    ) -> StagedWriter {
        let store = Arc::clone(&self.target(sink).place.store);
        let labels = provenance.labels(Some(self.content_type(sink)), None);
        StagedWriter::new(store, path.to_owned(), labels, cancel.clone())
    }

    /// What is in a sink's objects.
    pub(super) fn content_type(&self, sink: &str) -> &'static str {
        let spec = &self.target(sink).spec;
        content_type(spec.format, spec.compression)
    }

    /// Where an object goes in the end.
    pub(super) fn final_path(&self, sink: &str, name: &ObjectName<'_>) -> String {
        let target = self.target(sink);
        let extension = extension(target.spec.format, target.spec.compression);
        name.path(&target.folder, &target.prefix, extension)
    }

    /// Removes what earlier writers of the lane staged and can't commit any more.
    pub(super) async fn collect_garbage(&self, chain: &Chain, tail: &Tail) {
        let mut places: Vec<Place> = Vec::new();
        for target in self.by_name.values() {
            if places.iter().all(|place| place.store.place() != target.place.store.place()) {
                places.push(target.place.clone());
            }
        }
        if let Err(error) = chain.collect_garbage(tail, &places).await {
            tracing::debug!(%error, "staged garbage is left to the next take-over");
        }
    }
}

async fn open_sink(name: &str, sink: &ObjectSink) -> Result<Target, Error> {
    let (place, folder) = open_place(&format!("sinks.{name}"), &sink.location).await?;
    let shown = sink.location.url.to_string();
    let root_shown = shown.trim_end_matches('/').trim_end_matches(folder.trim_matches('/')).to_owned();
    let spec = SinkSpec {
        name: Arc::from(name),
        format: sink.format,
        compression: sink.compression,
        buffer_bytes: sink.buffer_bytes,
        default: sink.default,
    };
    let claimed = format!("{folder}{}", sink.prefix.folder());
    Ok(Target { place, folder, claimed, prefix: sink.prefix.clone(), spec, root_shown, shown })
}

/// Opens and probes the store of a location; the folder in it is where the location's url points to.
async fn open_place(key: &str, location: &Location) -> Result<(Place, String), Error> {
    let refuse =
        |source: Box<dyn std::error::Error + Send + Sync>| Error::Store { what: key.to_owned(), source };
    let (root, folder) = store::split(location).map_err(|error| refuse(error.into()))?;
    let store: Arc<dyn Store> = store::open(&root).map_err(|error| refuse(error.into()))?;
    let version = env!("CARGO_PKG_VERSION");
    store::probe(&*store, OWN_FOLDER, version).await.map_err(|error| refuse(error.into()))?;
    Ok((Place { store, root: OWN_FOLDER.to_owned() }, folder))
}

/// The place of dead letters: where the configuration says, or `dead/<pipeline>/` beside `_vanne/` of the
/// first sink.
async fn open_dead_letters(
    config: &config::Pipeline,
    targets: &BTreeMap<Arc<str>, Target>,
) -> Result<Target, Error> {
    let (place, folder, shown) = match &config.dead_letter.location {
        Some(location) => {
            let (place, folder) = open_place(DEAD_LETTER_SINK, location).await?;
            (place, folder, location.url.to_string())
        }
        None => {
            let first = first_target(config, targets)?;
            let folder = format!("dead/{}/", config.name);
            let shown = format!("{}/{folder}", first.root_shown.trim_end_matches('/'));
            (first.place.clone(), folder, shown)
        }
    };
    let spec = SinkSpec {
        name: Arc::from(DEAD_LETTER_SINK),
        format: Format::JsonLines,
        compression: Compression::None,
        buffer_bytes: DEAD_LETTER_BUFFER_BYTES,
        default: false,
    };
    let prefix = Prefix { parts: vec![PrefixPart::Topic, PrefixPart::Text(String::from("/"))] };
    let claimed = folder.clone();
    Ok(Target { place, folder, claimed, prefix, spec, root_shown: shown.clone(), shown })
}

fn first_target<'a>(
    config: &config::Pipeline,
    targets: &'a BTreeMap<Arc<str>, Target>,
) -> Result<&'a Target, Error> {
    config.sinks.keys().next().and_then(|name| targets.get(name.as_str())).ok_or(Error::NoSink)
}

async fn open_ledger_place(
    config: &config::Pipeline,
    targets: &BTreeMap<Arc<str>, Target>,
) -> Result<Place, Error> {
    if let Some(ledger) = &config.ledger {
        let (place, folder) = open_place("ledger", &ledger.location).await?;
        let root = folder.trim_matches('/');
        let root = if root.is_empty() { OWN_FOLDER } else { root };
        return Ok(Place { root: root.to_owned(), ..place });
    }
    Ok(first_target(config, targets)?.place.clone())
}

/// A name for one run of an embedded broker: its time, and four digits that tell runs of one second
/// apart.
pub(super) fn run_id() -> std::io::Result<String> {
    let time = clock::rfc3339(clock::now_ms()).replace(['-', ':'], "");
    let seconds = time.split('.').next().unwrap_or(&time);
    Ok(format!("{seconds}Z-{}", &clock::unique_id()?[..4]))
}

/// Gives the output of one run of an embedded broker a folder of its own: its offsets begin at 0 each
/// time, so that its chains can't be those of an earlier run.
pub(super) fn separate_run(config: &mut config::Pipeline, run: &str) {
    let separate = |location: &mut Location| {
        let path = format!("{}/{run}", location.url.path().trim_end_matches('/'));
        location.url.set_path(&path);
    };
    for Sink::ObjectStore(sink) in config.sinks.values_mut() {
        separate(&mut sink.location);
    }
    config.dead_letter.location.iter_mut().for_each(separate);
    if let Some(ledger) = &mut config.ledger {
        separate(&mut ledger.location);
    }
}
