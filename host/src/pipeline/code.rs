//! The pipeline's transforms, loaded.
//!
//! Owns the step from components' bytes to a chain. Invariant: a plugin that loads has told its name and
//! accepted its configuration.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::Error;
use crate::batch::Provenance;
use crate::config::{self, NotJson, Transform};
use crate::filter::Filter;
use crate::plugin::{self, Cache, Engine, Plugin, Spec};
use crate::transform::{Chain, Sieve};

/// Bytes of a component at the most: the ledger keeps it, and one with a Python interpreter has some 40 MiB.
const COMPONENT_BYTES_MAX: u64 = 256 << 20;

/// The process's one engine, started when the first plugin needs it.
#[derive(Debug)]
pub(super) struct Engines {
    cache: Option<PathBuf>,
    engine: Mutex<Option<Engine>>,
}

impl Engines {
    /// Compiled plugins are kept in `cache`, or in the user's cache folder.
    pub(super) fn new(cache: Option<PathBuf>) -> Self {
        Self { cache, engine: Mutex::new(None) }
    }

    /// The engine.
    pub(super) fn get(&self) -> Result<Engine, plugin::Error> {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = &*engine {
            return Ok(engine.clone());
        }
        let folder = self.cache.clone().or_else(default_cache_folder);
        let started = Engine::new(folder.and_then(|folder| Cache::open_or_warn(&folder)))?;
        Ok(engine.insert(started).clone())
    }
}

/// The user's cache folder, by the XDG base directory rules.
fn default_cache_folder() -> Option<PathBuf> {
    let own = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let base = own.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    base.map(|folder| folder.join("vanne").join("components"))
}

/// Reads the component's file of every transform, in order.
pub(super) fn read(config: &config::Pipeline) -> Result<Vec<Bytes>, Error> {
    config.transforms.iter().map(read_component).collect()
}

/// Reads a transform's file.
pub(super) fn read_component(transform: &Transform) -> Result<Bytes, Error> {
    read_bounded(&transform.plugin).map_err(|source| Error::Plugin {
        transform: transform.name.clone(),
        source: plugin::Error::Read { path: transform.plugin.clone(), source },
    })
}

fn read_bounded(path: &Path) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    File::open(path)?.take(COMPONENT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > COMPONENT_BYTES_MAX {
        let most = config::show_size(COMPONENT_BYTES_MAX);
        return Err(io::Error::other(format!("it has more than {most}, and no component is so large")));
    }
    Ok(bytes.into())
}

/// Compiles (or takes from the cache), links and configures every transform, whose components stand in their
/// order. It may take seconds of CPU.
pub(super) fn load(
    engines: &Engines,
    config: &config::Pipeline,
    components: &[Bytes],
) -> Result<Chain, Error> {
    let mut transforms = Vec::with_capacity(config.transforms.len());
    for (transform, component) in config.transforms.iter().zip(components) {
        let refuse = |source| Error::Plugin { transform: transform.name.clone(), source };
        let spec = Spec {
            pipeline: &config.name,
            transform: &transform.name,
            config: &transform.config,
            limits: &transform.limits,
            grants: &transform.grants,
        };
        let engine = engines.get().map_err(refuse)?;
        let origin = transform.plugin.display().to_string();
        let plugin = Plugin::from_bytes(&engine, component, &origin, spec).map_err(refuse)?;
        transforms.push((plugin, transform.policy.clone()));
    }
    let chain = Chain::new(transforms);
    Ok(match sieve(config) {
        Some(sieve) => chain.behind(sieve),
        None => chain,
    })
}

/// The filter that stands before the transforms.
fn sieve(config: &config::Pipeline) -> Option<Sieve> {
    let filter = config.filter.as_ref()?;
    let patterns: Vec<_> = filter.patterns.iter().map(String::as_str).collect();
    let parsed = Filter::parse(&patterns).expect("the configuration has been read, patterns included");
    Some(Sieve::new(parsed, filter.not_json == NotJson::DeadLetter))
}

/// What entries and dead letters say about the transforms.
pub(super) fn provenance(chain: &Chain) -> Vec<Provenance> {
    let of = |plugin: &Arc<Plugin>| Provenance {
        name: plugin.transform().to_owned(),
        plugin: plugin.info().name.clone(),
        version: plugin.info().version.clone(),
        digest: plugin.digest().as_str().to_owned(),
        grants: plugin.grants(),
    };
    chain.plugins().map(of).collect()
}
