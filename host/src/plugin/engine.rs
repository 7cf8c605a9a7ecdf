//! The WebAssembly engine: one a process, shared by every plugin.
//!
//! Owns the compiler's settings, the ticker behind time limits, and the way from a component's bytes to
//! machine code. Invariant: code compiled here can always be interrupted.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use super::cache::Cache;
use super::error::Error;
use super::waiting::Waiting;

/// Time between two looks at a call's limit. Shorter costs wake-ups, longer lets a runaway call go on.
const TICK: Duration = Duration::from_millis(10);

/// The engine. Cheap to clone; its ticker ends with the last clone and the last plugin.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    wasmtime: wasmtime::Engine,
    cache: Option<Cache>,
    compiled: AtomicU64,
    /// Started by the first plugin whose calls may wait.
    waiting: Mutex<Option<Arc<Waiting>>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Engine").field("cache", &self.shared.cache).finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts the engine and its ticker. Without a cache every start compiles anew.
    ///
    /// # Errors
    /// Where this machine cannot run WebAssembly, or no thread can be started.
    pub fn new(cache: Option<Cache>) -> Result<Self, Error> {
        let wasmtime = wasmtime::Engine::new(&settings()).map_err(|error| engine_error(&error))?;
        start_ticker(&wasmtime)?;
        let compiled = AtomicU64::new(0);
        Ok(Self { shared: Arc::new(Shared { wasmtime, cache, compiled, waiting: Mutex::new(None) }) })
    }

    /// How many components were compiled, not found in the cache, since the engine started.
    #[must_use]
    pub fn compiled(&self) -> u64 {
        self.shared.compiled.load(Ordering::Relaxed)
    }

    /// Where the calls of plugins wait that may.
    pub(super) fn waiting(&self) -> Result<Arc<Waiting>, Error> {
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = &*waiting {
            return Ok(Arc::clone(waiting));
        }
        Ok(Arc::clone(waiting.insert(Arc::new(Waiting::start()?))))
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.shared.wasmtime
    }

    /// Ticks of a time limit, at least one whole one.
    pub(super) fn ticks(limit: Duration) -> u64 {
        let ticks = limit.as_millis().div_ceil(TICK.as_millis());
        u64::try_from(ticks).unwrap_or(u64::MAX / 2).saturating_add(1)
    }

    /// Machine code of a component, from the cache or the compiler.
    pub(super) fn component(&self, wasm: &[u8], digest: &str) -> wasmtime::Result<Component> {
        if let Some(component) = self.cached(digest) {
            return Ok(component);
        }
        let component = self.compile(wasm)?;
        self.keep(&component, digest);
        Ok(component)
    }

    /// Machine code of a component, where the cache has it.
    pub(super) fn cached(&self, digest: &str) -> Option<Component> {
        self.shared.cache.as_ref()?.load(&self.shared.wasmtime, &self.key(digest))
    }

    /// Puts machine code into the cache.
    pub(super) fn keep(&self, component: &Component, digest: &str) {
        let Some(cache) = &self.shared.cache else { return };
        match component.serialize() {
            Ok(artefact) => cache.store(&self.key(digest), &artefact),
            Err(error) => tracing::warn!(%error, "a compiled plugin cannot be kept"),
        }
    }

    pub(super) fn compile(&self, wasm: &[u8]) -> wasmtime::Result<Component> {
        self.shared.compiled.fetch_add(1, Ordering::Relaxed);
        Component::from_binary(&self.shared.wasmtime, wasm)
    }

    fn key(&self, digest: &str) -> String {
        format!("{digest}-{}", &self.settings_digest()[..16])
    }

    /// Digest of all that machine code depends on beside the component: wasmtime's version, the settings,
    /// the target and the features of this machine's CPU.
    fn settings_digest(&self) -> String {
        use std::hash::Hash as _;
        let mut hasher = Hasher(Sha256::new());
        self.shared.wasmtime.precompile_compatibility_hash().hash(&mut hasher);
        hex(&hasher.0.finalize())
    }
}

fn settings() -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    // One call at a time in a store: an empty call costs half without this.
    config.concurrency_support(false);
    config.cranelift_opt_level(wasmtime::OptLevel::Speed);
    // A wrong pointer is caught by the guard pages of a whole 4 GiB, not by a check at each access.
    config.memory_reservation(4 << 30);
    config
}

fn start_ticker(engine: &wasmtime::Engine) -> Result<(), Error> {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    std::thread::Builder::new()
        .name(String::from("plugin-ticker"))
        .spawn(tick)
        .map(drop)
        .map_err(|error| Error::Engine { text: error.to_string() })
}

fn engine_error(error: &wasmtime::Error) -> Error {
    Error::Engine { text: format!("{error:#}") }
}

/// Feeds what would be hashed into a digest that stays the same between processes.
struct Hasher(Sha256);

impl std::hash::Hasher for Hasher {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_at_least_one_whole_tick() {
        assert_eq!(Engine::ticks(Duration::ZERO), 1);
        assert_eq!(Engine::ticks(Duration::from_millis(1)), 2);
        assert_eq!(Engine::ticks(Duration::from_secs(1)), 101);
        assert!(Engine::ticks(Duration::MAX) > u64::MAX / 4);
    }

    #[test]
    fn two_engines_agree_on_the_settings_digest() {
        let digest = || Engine::new(None).expect("the engine starts").settings_digest();
        assert_eq!(digest(), digest());
    }
}
