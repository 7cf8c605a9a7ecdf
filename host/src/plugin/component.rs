//! A plugin under its configuration: compiled, linked, described and configured once, ready to be made
//! into instances.
//!
//! Owns the checks before a plugin serves, each with its own error. Invariant: a `Plugin` that exists
//! has answered `describe` and accepted its configuration.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre, Linker};

use super::bindings::vanne::transform::types::Fields;
use super::engine::{Engine, hex};
use super::error::Error;
use super::exports::Exports;
use super::granted::Granted;
use super::instance::Instance;
use super::output::Identity;
use super::state::State;
use super::waiting::Waiting;
use super::wasi;
use crate::config::{Grants, Limits};
use crate::record::TopicPartition;

/// What makes a component into a transform.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// The transform's name.
    pub transform: &'a str,
    /// JSON text for `configure`; empty where the pipeline has none.
    pub config: &'a str,
    /// What an instance may use.
    pub limits: &'a Limits,
    /// What an instance may reach.
    pub grants: &'a Grants,
}

/// Who a plugin says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The parts of a record that a plugin looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reads {
    /// The key.
    pub key: bool,
    /// The value.
    pub value: bool,
    /// The headers.
    pub headers: bool,
}

/// `sha256:` and the digest of a component's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest(String);

impl Digest {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hex(&Sha256::digest(bytes))))
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn hex(&self) -> &str {
        self.0.trim_start_matches("sha256:")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A plugin that can serve.
pub struct Plugin {
    pub(super) engine: Engine,
    pub(super) pre: InstancePre<State>,
    pub(super) exports: Exports,
    pub(super) pipeline: String,
    pub(super) transform: String,
    pub(super) config: String,
    pub(super) limits: Limits,
    pub(super) granted: Arc<Granted>,
    /// Where its calls wait; `None`: they never do.
    pub(super) waiting: Option<Arc<Waiting>>,
    digest: Digest,
    info: Info,
    reads: Reads,
    traits: Vec<String>,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Plugin")
            .field("transform", &self.transform)
            .field("info", &self.info)
            .field("digest", &self.digest)
            .field("reads", &self.reads)
            .finish_non_exhaustive()
    }
}

impl Plugin {
    /// Loads a component's file: compiles or finds it in the cache, links, describes and configures it.
    /// It may take seconds of CPU.
    ///
    /// # Errors
    /// Where the file is missing or is no transform for this host, or the plugin refuses the config.
    pub fn load(engine: &Engine, path: &Path, spec: Spec<'_>) -> Result<Arc<Self>, Error> {
        let wasm = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::from_bytes(engine, &wasm, &path.display().to_string(), spec)
    }

    /// The same from a component's bytes; `origin` names them in errors.
    ///
    /// # Errors
    /// As `load`.
    pub fn from_bytes(
        engine: &Engine,
        wasm: &[u8],
        origin: &str,
        spec: Spec<'_>,
    ) -> Result<Arc<Self>, Error> {
        check_binary(wasm, origin)?;
        let digest = Digest::of(wasm);
        let component =
            engine.component(wasm, digest.hex()).map_err(|error| compile_error(&error, origin))?;
        let mut plugin = Self::link(engine, &component, digest, origin, spec)?;
        plugin.probe()?;
        Ok(Arc::new(plugin))
    }

    /// Checks and links a component, without asking it anything.
    pub(super) fn link(
        engine: &Engine,
        component: &Component,
        digest: Digest,
        origin: &str,
        spec: Spec<'_>,
    ) -> Result<Self, Error> {
        let exports = Exports::find(engine, component, origin)?;
        check_imports(engine, component, origin)?;
        let granted = Granted::resolve(spec.grants, spec.transform)?;
        let waiting = if spec.grants.may_block() { Some(engine.waiting()?) } else { None };
        let pre = link(engine, component, waiting.is_some())
            .map_err(|error| Error::Link { origin: origin.to_owned(), text: format!("{error:#}") })?;
        Ok(Self {
            engine: engine.clone(),
            pre,
            exports,
            pipeline: spec.pipeline.to_owned(),
            transform: spec.transform.to_owned(),
            config: spec.config.to_owned(),
            limits: spec.limits.clone(),
            granted: Arc::new(granted),
            waiting,
            digest,
            info: Info { name: String::new(), version: String::new() },
            reads: Reads { key: true, value: true, headers: true },
            traits: Vec::new(),
        })
    }

    /// Asks an instance who it is, before it is given any configuration.
    pub(super) fn describe(&self) -> Result<Info, Error> {
        let info = Instance::describe(self, Arc::new(self.identity(None)))?;
        Ok(Info { name: info.name, version: info.version })
    }

    /// Asks a first instance who it is and what it reads.
    pub(super) fn probe(&mut self) -> Result<(), Error> {
        let (_, info, plan) = Instance::start(self, Arc::new(self.identity(None)))?;
        self.info = Info { name: info.name, version: info.version };
        self.reads = Reads {
            key: plan.reads.contains(Fields::KEY),
            value: plan.reads.contains(Fields::VALUE),
            headers: plan.reads.contains(Fields::HEADERS),
        };
        self.traits = plan.traits;
        Ok(())
    }

    /// Makes an instance for a lane: described and configured, about 0.1 ms for a plugin in Rust.
    ///
    /// # Errors
    /// Where the machine has no memory for it, or the plugin does not start as it did before.
    pub fn instantiate(&self, origin: &TopicPartition) -> Result<Instance, Error> {
        let (instance, _, _) = Instance::start(self, Arc::new(self.identity(Some(origin))))?;
        Ok(instance)
    }

    fn identity(&self, origin: Option<&TopicPartition>) -> Identity {
        Identity {
            pipeline: self.pipeline.clone(),
            transform: self.transform.clone(),
            topic: origin.map(|origin| Arc::clone(&origin.topic)),
            partition: origin.map(|origin| origin.partition),
        }
    }

    /// The transform's name in the pipeline.
    #[must_use]
    pub fn transform(&self) -> &str {
        &self.transform
    }

    /// Who the plugin says it is.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Time limit of a call.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.limits.timeout
    }

    /// What it was granted, such as `clock` or `env:REGION`.
    #[must_use]
    pub fn grants(&self) -> Vec<String> {
        self.granted.grants().names()
    }

    /// Whether a call may wait for a clock, a disk or a peer: its thread stands still meanwhile, and must
    /// not be one of those that other lanes need.
    #[must_use]
    pub fn may_block(&self) -> bool {
        self.waiting.is_some()
    }

    /// Digest of the component's file.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What it looks at; the rest is not passed to it.
    #[must_use]
    pub fn reads(&self) -> Reads {
        self.reads
    }

    /// What it promises, such as `pure`.
    #[must_use]
    pub fn traits(&self) -> &[String] {
        &self.traits
    }
}

/// The first eight bytes: `\0asm`, then a version and a layer, which tells a module from a component.
pub(super) fn check_binary(wasm: &[u8], origin: &str) -> Result<(), Error> {
    match wasm {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => Err(Error::CoreModule { origin: origin.to_owned() }),
        _ => {
            let begins = wasm[..wasm.len().min(16)].escape_ascii().to_string();
            Err(Error::NotWasm { origin: origin.to_owned(), begins })
        }
    }
}

pub(super) fn compile_error(error: &wasmtime::Error, origin: &str) -> Error {
    Error::Compile { origin: origin.to_owned(), text: format!("{error:#}") }
}

/// What a component asks of the host.
pub(super) fn imports(engine: &Engine, component: &Component) -> impl Iterator<Item = String> {
    let kind = component.component_type();
    let asked = kind
        .imports(engine.wasmtime())
        // A type alone asks nothing of the host.
        .filter(|(_, import)| !matches!(import.ty, ComponentItem::Type(_)))
        .map(|(name, _)| name.to_owned());
    asked.collect::<Vec<_>>().into_iter()
}

fn check_imports(engine: &Engine, component: &Component, origin: &str) -> Result<(), Error> {
    let unknown: Vec<_> = imports(engine, component).filter(|name| wasi::answer(name).is_none()).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Error::UnknownImports {
        origin: origin.to_owned(),
        names: quoted(&unknown.iter().map(String::as_str).collect::<Vec<_>>()),
    })
}

/// Whether a name such as `wasi:io/poll@0.2.6` is of that interface in one of those versions.
pub(super) fn fits(name: &str, wanted: &str, versions: &str) -> bool {
    name.split_once('@').is_some_and(|(interface, version)| {
        interface == wanted && version.strip_prefix(versions).is_some_and(|patch| !patch.is_empty())
    })
}

pub(super) fn quoted(names: &[&str]) -> String {
    if names.is_empty() {
        return String::from("none");
    }
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn link(engine: &Engine, component: &Component, may_block: bool) -> wasmtime::Result<InstancePre<State>> {
    let mut linker = Linker::new(engine.wasmtime());
    match may_block {
        true => wasi::add_waiting_to_linker(&mut linker)?,
        false => wasi::add_to_linker(&mut linker)?,
    }
    linker.instantiate_pre(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_contract_fits() {
        assert!(fits("wasi:io/poll@0.2.6", "wasi:io/poll", "0.2."));
        assert!(!fits("wasi:io/poll@0.3.0", "wasi:io/poll", "0.2."));
        assert!(!fits("wasi:io/poll@0.2.", "wasi:io/poll", "0.2."));
        assert!(!fits("wasi:io/poll", "wasi:io/poll", "0.2."));
        assert!(!fits("wasi:io/pollen@0.2.6", "wasi:io/poll", "0.2."));
    }

    #[test]
    fn a_file_is_told_by_its_first_bytes() {
        assert!(check_binary(b"\0asm\x0d\0\x01\0", "x").is_ok());
        assert!(matches!(check_binary(b"\0asm\x01\0\0\0", "x"), Err(Error::CoreModule { .. })));
        let error = check_binary(b"(component)\n", "x").expect_err("text");
        assert!(error.to_string().contains("(component)\\n"), "{error}");
        assert!(matches!(check_binary(b"", "x"), Err(Error::NotWasm { .. })));
    }
}
