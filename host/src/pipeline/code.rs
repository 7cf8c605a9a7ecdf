//! The pipeline's transforms, loaded.
//!
//! Owns the step from the configuration's files to a chain. Invariant: a plugin that loads has told its
//! name and accepted its configuration.

use std::path::PathBuf;
use std::sync::Arc;

use super::Error;
use crate::batch::Provenance;
use crate::config::{self, NotJson};
use crate::filter::Filter;
use crate::plugin::{self, Cache, Engine, Plugin, Spec};
use crate::transform::{Chain, Sieve};

/// Compiles (or takes from the cache), links and configures every transform.
pub(super) fn load(config: &config::Pipeline) -> Result<Chain, Error> {
    let refuse = |transform: &str, source| Error::Plugin { transform: transform.to_owned(), source };
    let chain = |transforms| match sieve(config) {
        Some(sieve) => Chain::new(transforms).behind(sieve),
        None => Chain::new(transforms),
    };
    let Some(first) = config.transforms.first() else { return Ok(chain(Vec::new())) };
    let engine = engine(config.host.cache.clone()).map_err(|error| refuse(&first.name, error))?;
    let mut transforms = Vec::with_capacity(config.transforms.len());
    for transform in &config.transforms {
        let spec = Spec {
            pipeline: &config.name,
            transform: &transform.name,
            config: &transform.config,
            limits: &transform.limits,
            grants: &transform.grants,
        };
        let plugin =
            Plugin::load(&engine, &transform.plugin, spec).map_err(|error| refuse(&transform.name, error))?;
        transforms.push((plugin, transform.policy.clone()));
    }
    Ok(chain(transforms))
}

/// The filter that stands before the transforms.
fn sieve(config: &config::Pipeline) -> Option<Sieve> {
    let filter = config.filter.as_ref()?;
    let patterns: Vec<_> = filter.patterns.iter().map(String::as_str).collect();
    let parsed = Filter::parse(&patterns).expect("the configuration has been read, patterns included");
    Some(Sieve::new(parsed, filter.not_json == NotJson::DeadLetter))
}

/// An engine that keeps compiled plugins in `cache`, or in the user's cache folder.
pub(super) fn engine(cache: Option<PathBuf>) -> Result<Engine, plugin::Error> {
    let folder = cache.or_else(default_cache_folder);
    Engine::new(folder.and_then(|folder| Cache::open_or_warn(&folder)))
}

/// The user's cache folder, by the XDG base directory rules.
fn default_cache_folder() -> Option<PathBuf> {
    let own = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let base = own.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    base.map(|folder| folder.join("vanne").join("components"))
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
