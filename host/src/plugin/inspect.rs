//! All that can be told of a component: what it is, what it asks for, whether this host would run it, and
//! what it costs.
//!
//! Invariant: a component that is refused is still described as far as it can be.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::Component;

use super::component::{Digest, Info, Plugin, Reads, Spec, check_binary, compile_error, imports};
use super::engine::Engine;
use super::error::Error;
use super::exports::{contract, worlds};
use super::wasi;
use crate::clock;
use crate::record::TopicPartition;

/// Instances that are made for the figures, at the most.
const INSTANCES: usize = 200;
/// Time for them, at the most.
const INSTANCES_TIME: Duration = Duration::from_secs(2);

/// What is known of a component.
#[derive(Debug)]
pub struct Inspection {
    /// Bytes of its file.
    pub bytes: usize,
    /// Digest of its file.
    pub digest: Digest,
    /// The worlds that it is of, as `wit/` names them.
    pub worlds: Vec<&'static str>,
    /// The contract's interfaces that it exports, with their versions.
    pub contract: Vec<String>,
    /// What it asks of the host, in its order.
    pub imports: Vec<Import>,
    /// Who it says it is.
    pub info: Option<Info>,
    /// What it looks at under its configuration.
    pub reads: Option<Reads>,
    /// What it promises under its configuration.
    pub traits: Vec<String>,
    /// What it costs.
    pub figures: Figures,
    /// Why this host would not run it; `None`: it would.
    pub refusal: Option<Error>,
}

/// An interface that a component imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// With its version.
    pub name: String,
    /// What answers it; `None`: this host has nothing of that name.
    pub answer: Option<&'static str>,
}

/// What a component costs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Compiling it.
    pub compile: Option<Duration>,
    /// Reading and verifying the compiled form in the cache.
    pub load: Option<Duration>,
    /// Making, describing and configuring an instance: half of them took no longer.
    pub instance_p50: Option<Duration>,
    /// 99 of 100 took no longer.
    pub instance_p99: Option<Duration>,
    /// How many were made.
    pub instances: usize,
}

/// Looks into a component's file, and tries it under `spec`. It may take seconds of CPU.
///
/// # Errors
/// Where the file cannot be read. What it is refused for stands in the inspection.
pub fn inspect(engine: &Engine, path: &Path, spec: Spec<'_>) -> Result<Inspection, Error> {
    let wasm = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let mut inspection = Inspection {
        bytes: wasm.len(),
        digest: Digest::of(&wasm),
        worlds: Vec::new(),
        contract: Vec::new(),
        imports: Vec::new(),
        info: None,
        reads: None,
        traits: Vec::new(),
        figures: Figures::default(),
        refusal: None,
    };
    let origin = path.display().to_string();
    inspection.refusal = inspection.fill(engine, &wasm, &origin, spec).err();
    Ok(inspection)
}

impl Inspection {
    fn fill(&mut self, engine: &Engine, wasm: &[u8], origin: &str, spec: Spec<'_>) -> Result<(), Error> {
        check_binary(wasm, origin)?;
        let component = self.compile(engine, wasm, origin)?;
        self.contract = contract(engine, &component);
        self.worlds = worlds(&self.contract);
        let import = |name: String| Import { answer: wasi::answer(&name), name };
        self.imports = imports(engine, &component).map(import).collect();
        let mut plugin = Plugin::link(engine, &component, self.digest.clone(), origin, spec)?;
        self.info = Some(plugin.describe()?);
        plugin.probe()?;
        self.reads = Some(plugin.reads());
        self.traits = plugin.traits().to_vec();
        self.measure(&plugin)
    }

    fn compile(&mut self, engine: &Engine, wasm: &[u8], origin: &str) -> Result<Component, Error> {
        let began = clock::running();
        let component = engine.compile(wasm).map_err(|error| compile_error(&error, origin))?;
        self.figures.compile = Some(clock::running().saturating_sub(began));
        engine.keep(&component, self.digest.hex());
        let began = clock::running();
        if engine.cached(self.digest.hex()).is_some() {
            self.figures.load = Some(clock::running().saturating_sub(began));
        }
        Ok(component)
    }

    fn measure(&mut self, plugin: &Plugin) -> Result<(), Error> {
        let origin = TopicPartition { topic: Arc::from("inspect"), partition: 0 };
        let began = clock::running();
        let mut times = Vec::with_capacity(INSTANCES);
        while times.len() < INSTANCES && clock::running().saturating_sub(began) < INSTANCES_TIME {
            let began = clock::running();
            plugin.instantiate(&origin)?;
            times.push(clock::running().saturating_sub(began));
        }
        times.sort();
        self.figures.instances = times.len();
        self.figures.instance_p50 = percentile(&times, 50);
        self.figures.instance_p99 = percentile(&times, 99);
        Ok(())
    }

    /// The versions of the contract that it was built for, such as `0.1.0`.
    #[must_use]
    pub fn contract_versions(&self) -> String {
        let mut versions: Vec<_> = self.contract.iter().filter_map(|name| name.split_once('@')).collect();
        versions.sort_by_key(|(_, version)| *version);
        versions.dedup_by_key(|(_, version)| *version);
        let mut text = String::new();
        for (nth, (_, version)) in versions.into_iter().enumerate() {
            // Writing to a text can't fail.
            write!(text, "{}{version}", if nth > 0 { ", " } else { "" }).ok();
        }
        text
    }
}

/// The least time that so many of a hundred do not exceed; `times` are sorted.
fn percentile(times: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (times.len() * percent).div_ceil(100);
    times.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Some(Duration::from_millis(100)));
        assert_eq!(percentile(&times, 99), Some(Duration::from_millis(198)));
        assert_eq!(percentile(&times[..1], 99), Some(Duration::from_millis(1)));
        assert_eq!(percentile(&[], 50), None);
    }
}
