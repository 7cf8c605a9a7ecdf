//! Where an object lies, and where the ledger that knows it is.
//!
//! Owns reading addresses, and which store a pipeline's file or, without one, the object's own place
//! means. Opens nothing. Invariant: nothing that is found here has to be made first.

use std::path::{Path, PathBuf};

use url::Url;

use super::Error;
use crate::config::{self, Broker, Location, Pipeline, Sink};
use crate::ledger::{Entry, ObjectEntry};
use crate::pipeline::target::{OWN_FOLDER, separate_run};
use crate::record::DEAD_LETTER_SINK;
use crate::sink::object_store::ParsedName;
use crate::store;

/// Where an object may lie, by its address, and where the ledger is.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    /// At least one.
    pub(super) candidates: Vec<Candidate>,
    /// The root of the ledger's store.
    pub(super) ledger: Location,
    /// The ledger's folder in it.
    pub(super) ledger_root: String,
}

/// What the address means to one sink.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// The sink; `None`: any.
    sink: Option<String>,
    /// The root of its store.
    pub(super) store: Location,
    /// The object's path from there.
    pub(super) key: String,
}

/// Reads an address or a path, which may be relative.
pub(super) fn address(text: &str) -> Result<Url, Error> {
    let wrong = |reason: String| Error::Address { text: text.to_owned(), reason };
    let folder = std::env::current_dir().map_err(|error| wrong(error.to_string()))?;
    config::address(text, &folder).map_err(wrong)
}

/// Where an object and its ledger are.
pub(super) fn find(object: &Url, config: Option<Pipeline>) -> Result<Spot, Error> {
    match config {
        Some(config) => of_pipeline(object, config),
        None if object.scheme() == "file" => of_folders_above(object),
        None => of_bucket(object),
    }
}

/// Whether a location is a folder that is not there, and that opening it would make.
pub(super) fn is_missing_folder(location: &Location) -> bool {
    location.url.scheme() == "file" && location.url.to_file_path().is_ok_and(|folder| !folder.is_dir())
}

/// The objects of an entry that have a name, in whatever folder.
pub(super) fn namesakes(entry: &Entry, name: &ParsedName) -> Vec<String> {
    let name = name.to_string();
    let paths = entry.objects().map(|(_, object)| &object.path);
    paths.filter(|path| path.rsplit('/').next() == Some(&name)).cloned().collect()
}

impl Spot {
    /// One of any sink, in the store that has the ledger too.
    fn beside_ledger(store: Location, key: String) -> Self {
        let candidates = vec![Candidate { sink: None, store: store.clone(), key }];
        Self { candidates, ledger: store, ledger_root: OWN_FOLDER.to_owned() }
    }

    /// What an entry says of the object: its sink, itself, and where that sink has it.
    pub(super) fn object_of(&self, entry: &Entry) -> Option<(String, ObjectEntry, &Candidate)> {
        self.candidates.iter().find_map(|candidate| {
            let is_of = |sink: &str| candidate.sink.as_ref().is_none_or(|one| one == sink);
            let mut objects = entry.objects();
            let found = objects.find(|(sink, object)| is_of(sink) && object.path == candidate.key);
            found.map(|(sink, object)| (sink.to_owned(), object.clone(), candidate))
        })
    }
}

/// The nearest folder above the object that holds a ledger is its sink's too.
fn of_folders_above(object: &Url) -> Result<Spot, Error> {
    let path = local_path(object)?;
    let holds = |folder: &Path| folder.join(OWN_FOLDER).join("_ledger.json").is_file();
    let above = || Error::NoLedgerAbove { path: path.display().to_string() };
    let folder = path.ancestors().skip(1).find(|folder| holds(folder)).ok_or_else(above)?;
    let url = Url::from_file_path(folder).map_err(|()| above())?;
    let key = key_in_folder(&path, folder).ok_or_else(above)?;
    Ok(Spot::beside_ledger(bare(url), key))
}

/// Without a pipeline's file, the ledger is expected where it is by default.
fn of_bucket(object: &Url) -> Result<Spot, Error> {
    let (store, folder) = store::split(&bare(object.clone()))?;
    Ok(Spot::beside_ledger(store, folder.trim_end_matches('/').to_owned()))
}

fn of_pipeline(object: &Url, mut config: Pipeline) -> Result<Spot, Error> {
    let elsewhere =
        |config: &Pipeline| Error::Elsewhere { address: object.to_string(), pipeline: config.name.clone() };
    if let (Broker::Embedded { .. }, Some(run)) = (&config.source.broker, run_of(object, &config)) {
        separate_run(&mut config, &run);
    }
    let candidates: Vec<_> = places(&config)?
        .into_iter()
        .filter_map(|(sink, store)| Some(Candidate { key: key_in(object, &store)?, sink: Some(sink), store }))
        .collect();
    let ledger = ledger_of(&config)?.filter(|_| !candidates.is_empty());
    let (ledger, ledger_root) = ledger.ok_or_else(|| elsewhere(&config))?;
    Ok(Spot { candidates, ledger, ledger_root })
}

/// The roots of the stores that a pipeline writes to, by sink.
fn places(config: &Pipeline) -> Result<Vec<(String, Location)>, Error> {
    let mut places = Vec::new();
    for (name, Sink::ObjectStore(sink)) in &config.sinks {
        places.push((name.clone(), store::split(&sink.location)?.0));
    }
    let letters = match &config.dead_letter.location {
        Some(location) => Some(store::split(location)?.0),
        None => places.first().map(|(_, location)| location.clone()),
    };
    places.extend(letters.map(|location| (DEAD_LETTER_SINK.to_owned(), location)));
    Ok(places)
}

/// The root of the ledger's store and its folder there, as a run of the pipeline has them.
fn ledger_of(config: &Pipeline) -> Result<Option<(Location, String)>, Error> {
    if let Some(ledger) = &config.ledger {
        let (root, folder) = store::split(&ledger.location)?;
        let folder = folder.trim_matches('/');
        return Ok(Some((root, if folder.is_empty() { OWN_FOLDER } else { folder }.to_owned())));
    }
    let Some(Sink::ObjectStore(first)) = config.sinks.values().next() else { return Ok(None) };
    Ok(Some((store::split(&first.location)?.0, OWN_FOLDER.to_owned())))
}

/// The run of an embedded broker that an object is of: the folder below the one that is configured.
fn run_of(object: &Url, config: &Pipeline) -> Option<String> {
    let sinks = config.sinks.values().map(|Sink::ObjectStore(sink)| &sink.location);
    sinks.chain(&config.dead_letter.location).find_map(|location| {
        let inner = if object.scheme() == "file" {
            key_in(object, location)?
        } else {
            let (root, folder) = store::split(location).ok()?;
            key_in(object, &root)?.strip_prefix(&folder)?.to_owned()
        };
        inner.split_once('/').map(|(run, _)| run.to_owned())
    })
}

/// An object's path from the root of a store, if it lies there.
fn key_in(object: &Url, root: &Location) -> Option<String> {
    let url = &root.url;
    if object.scheme() == "file" || url.scheme() == "file" {
        let (path, folder) = (object.to_file_path().ok()?, url.to_file_path().ok()?);
        return key_in_folder(&path, &folder);
    }
    let bucket = |url: &Url| (url.username().to_owned(), url.host_str().map(str::to_owned));
    if bucket(object) != bucket(url) || kind(object) != kind(url) {
        return None;
    }
    let (_, folder) = store::split(&bare(object.clone())).ok()?;
    Some(folder.trim_end_matches('/').to_owned())
}

/// Schemes that mean the same store have the same kind.
fn kind(url: &Url) -> &str {
    match url.scheme() {
        "s3a" => "s3",
        "abfs" | "abfss" => "abfs",
        other => other,
    }
}

fn key_in_folder(path: &Path, folder: &Path) -> Option<String> {
    path.strip_prefix(folder).ok()?.to_str().map(str::to_owned)
}

fn local_path(object: &Url) -> Result<PathBuf, Error> {
    object.to_file_path().map_err(|()| Error::Address {
        text: object.to_string(),
        reason: String::from("it is not the path of a file"),
    })
}

fn bare(url: Url) -> Location {
    Location { url, options: Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(text: &str) -> Pipeline {
        let head = "version = 1\nname = \"p\"\n";
        let text = format!("{head}{text}");
        config::parse(&text, Path::new("/etc/vanne"), "p.toml", &|_| None).expect("the pipeline is sound")
    }

    fn kafka(rest: &str) -> Pipeline {
        pipeline(&format!("[source]\ntype = \"kafka\"\nbrokers = \"h:9092\"\ntopics = [\"t\"]\n{rest}"))
    }

    fn embedded(rest: &str) -> Pipeline {
        let feed = "feed = { generate = \"access-log\", records = 1 }";
        pipeline(&format!("[source]\ntype = \"embedded\"\ntopics = [\"t\"]\n{feed}\n{rest}"))
    }

    fn url(text: &str) -> Url {
        address(text).expect("it is an address")
    }

    /// Store, path, sinks, ledger and its folder.
    fn spot(object: &str, config: Option<Pipeline>) -> (String, String, Vec<Option<String>>, String, String) {
        let Spot { candidates, ledger, ledger_root } = find(&url(object), config).expect("it is found");
        let sinks = candidates.iter().map(|candidate| candidate.sink.clone()).collect();
        let Candidate { store, key, .. } = candidates.into_iter().next().expect("there is one");
        (store.url.to_string(), key, sinks, ledger.url.to_string(), ledger_root)
    }

    const LAKE: &str = "[sinks.lake]\ntype = \"object-store\"\nurl = \"s3://lake/access\"\n";

    #[test]
    fn without_a_file_the_ledger_is_at_the_root_of_the_bucket() {
        let (store, key, sinks, ledger, root) = spot("s3://lake/a/b=1/t-0.jsonl", None);
        assert_eq!(
            (&*store, &*key, &*ledger, &*root),
            ("s3://lake", "a/b=1/t-0.jsonl", "s3://lake", "_vanne")
        );
        assert_eq!(sinks, [None]);
    }

    #[test]
    fn a_pipelines_file_says_where_the_ledger_is_and_which_sinks_it_can_be() {
        let config = kafka(&format!(
            "{LAKE}options = {{ region = \"x\" }}\n[ledger]\nurl = \"s3://book/deep/er\"\noptions = {{ region = \"y\" }}\n"
        ));
        let (store, key, sinks, ledger, root) = spot("s3://lake/access/x.jsonl", Some(config.clone()));
        assert_eq!(
            (&*store, &*key, &*ledger, &*root),
            ("s3://lake", "access/x.jsonl", "s3://book", "deep/er")
        );
        assert_eq!(sinks, [Some("lake".into()), Some("dead_letter".into())]);
        let found = find(&url("s3://lake/x"), Some(config.clone())).expect("the bucket is the sink's");
        assert!(found.candidates.iter().all(|candidate| candidate.store.options["region"].reveal() == "x"));
        for other in ["s3://other/x", "gs://lake/x", "/lake/x"] {
            let error = find(&url(other), Some(config.clone())).expect_err("it writes elsewhere");
            assert!(matches!(error, Error::Elsewhere { .. }), "{other}: {error}");
        }
    }

    #[test]
    fn a_run_of_an_embedded_broker_has_its_own_ledger() {
        let config = embedded("[sinks.lake]\ntype = \"object-store\"\nurl = \"/data/out\"\n");
        let (store, key, _, ledger, root) = spot("/data/out/20261124T-1/2026/x.jsonl", Some(config));
        assert_eq!((&*store, &*key), ("file:///data/out/20261124T-1", "2026/x.jsonl"));
        assert_eq!((&*ledger, &*root), ("file:///data/out/20261124T-1", "_vanne"));
    }

    #[test]
    fn a_path_leads_to_the_nearest_ledger_above() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = folder.path().join("run");
        for inner in ["_vanne", "run/_vanne", "run/a/_vanne"] {
            std::fs::create_dir_all(folder.path().join(inner)).expect("a folder can be made");
        }
        for inner in ["_vanne/_ledger.json", "run/_vanne/_ledger.json"] {
            std::fs::write(folder.path().join(inner), "{}").expect("a file can be written");
        }
        let object = run.join("a/b/x.jsonl");
        let (store, key, ..) = spot(object.to_str().expect("text"), None);
        assert_eq!((store, &*key), (Url::from_file_path(&run).expect("a path").to_string(), "a/b/x.jsonl"));
        let error = find(&url("/nowhere-at-all/x.jsonl"), None).expect_err("nothing is above");
        assert!(error.hint().expect("there is a way out").contains("--pipeline"), "{error}");
    }
}
