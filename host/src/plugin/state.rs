//! What one instance has on the host's side: its tables, limits, clock, random numbers and log.
//!
//! Owns the limits on memory, tables and handles. Invariant: whatever a guest asks for, the host holds
//! no more for it than these.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::bindings::vanne::transform::{context, log, types};
use super::granted::{Granted, Reach};
use super::output::{Identity, Output};
use super::wasi::Virtual;
use crate::config::Limits;
use crate::record::RecordRef;

/// Handles that a guest holds at once: streams and timers; a guest that needs more leaks them.
const HANDLES_MAX: usize = 1024;
/// Linear memories in a component.
const MEMORIES_MAX: usize = 10;
/// Tables in a component.
const TABLES_MAX: usize = 100;

/// The data of a store.
pub(super) struct State {
    pub(super) table: ResourceTable,
    pub(super) wasi: WasiCtx,
    pub(super) limiter: Limiter,
    pub(super) identity: Arc<Identity>,
    pub(super) output: Output,
    pub(super) clocks: Virtual,
    pub(super) granted: Arc<Granted>,
    pub(super) reach: Arc<Reach>,
    /// The ports that are granted for the name of each lookup that goes on, by its handle.
    pub(super) lookups: BTreeMap<u32, Vec<u16>>,
}

impl State {
    /// # Errors
    /// Where a granted folder is no longer there.
    pub(super) fn new(
        identity: Arc<Identity>,
        limits: &Limits,
        granted: Arc<Granted>,
    ) -> wasmtime::Result<Self> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        let output = Output::new(Arc::clone(&identity), limits.log_lines);
        let reach = Arc::new(Reach::new(&granted.grants().network));
        Ok(Self {
            table,
            wasi: granted.context(&reach)?,
            limiter: Limiter::new(limits),
            identity,
            output,
            clocks: Virtual::default(),
            granted,
            reach,
            lookups: BTreeMap::new(),
        })
    }

    /// Before a call: the clock and the random numbers are those of its first record.
    pub(super) fn begin_call(&mut self, first: Option<&RecordRef<'_>>) {
        self.output.begin_call();
        self.limiter.refused = false;
        self.clocks.begin_call(&self.identity, first);
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for State {}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) {
        let level = match level {
            log::Level::Trace => tracing::Level::TRACE,
            log::Level::Debug => tracing::Level::DEBUG,
            log::Level::Info => tracing::Level::INFO,
            log::Level::Warn => tracing::Level::WARN,
            log::Level::Error => tracing::Level::ERROR,
        };
        self.output.line(level, &message);
    }
}

impl context::Host for State {
    fn get(&mut self, name: String) -> Option<String> {
        match name.as_str() {
            "pipeline" => Some(self.identity.pipeline.clone()),
            "transform" => Some(self.identity.transform.clone()),
            "topic" => self.identity.topic.as_deref().map(str::to_owned),
            "partition" => self.identity.partition.map(|partition| partition.to_string()),
            _ => None,
        }
    }
}

/// Counts what an instance has grown to.
#[derive(Debug)]
pub(super) struct Limiter {
    memory_bytes_max: usize,
    memory_bytes: usize,
    table_elements_max: usize,
    table_elements: usize,
    instances_max: usize,
    /// Memory was refused since the call began.
    pub(super) refused: bool,
}

impl Limiter {
    fn new(limits: &Limits) -> Self {
        Self {
            memory_bytes_max: limits.memory,
            memory_bytes: 0,
            table_elements_max: limits.table_elements,
            table_elements: 0,
            instances_max: limits.instances,
            refused: false,
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.memory_bytes_max {
            self.refused = true;
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > self.table_elements_max {
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances_max
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_of_an_instance_share_one_limit() {
        let mut limiter = Limiter::new(&Limits { memory: 100, ..Limits::default() });
        let mut grow = |current, desired| limiter.memory_growing(current, desired, None).expect("no error");
        assert!(grow(0, 60) && grow(0, 30));
        assert!(!grow(60, 80));
        assert!(grow(60, 70));
        assert_eq!((limiter.memory_bytes(), limiter.refused), (100, true));
    }

    #[test]
    fn all_tables_of_an_instance_share_one_limit() {
        let mut limiter = Limiter::new(&Limits { table_elements: 1_000, ..Limits::default() });
        let mut grow = |current, desired| limiter.table_growing(current, desired, None).expect("no error");
        assert!(grow(0, 999));
        assert!(!grow(0, 2));
        assert!(grow(0, 1));
    }
}
