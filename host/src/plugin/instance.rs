//! One store and one instance: what a lane calls.
//!
//! Owns the limits of a call and what a trap is called; what goes into a call and comes out of it is the
//! business of each world (`ergonomic`, `columnar`). Invariant: each call starts with its whole time
//! limit, and an error other than a wrong or malformed answer or the plugin's own leaves a dead instance.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use wasmtime::component::{self, ComponentNamedList, Lift, Lower, TypedFunc};
use wasmtime::{Store, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::bindings::exports::vanne::transform::lifecycle::{Plan, PluginInfo};
use super::bindings::vanne::transform::types::BatchInfo;
use super::columnar::Columnar;
use super::component::{Plugin, Reads};
use super::engine::Engine;
use super::ergonomic;
use super::error::{CallError, Error};
use super::exports;
use super::output::Identity;
use super::state::State;
use super::verdict::{Inputs, Verdict};
use super::waiting::Waiting;
use crate::config::Limits;
use crate::record::{Condition, Failure, RecordRef};

/// Functions of a backtrace that are kept.
const FRAMES_MAX: usize = 20;

/// An instance of a plugin, for one lane.
pub struct Instance {
    caller: Caller,
    process: Process,
    reads: Reads,
}

/// The function that does the work, by the world that it is of.
enum Process {
    Ergonomic(ergonomic::Process),
    Columnar(Box<Columnar>),
}

impl fmt::Debug for Instance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Instance")
            .field("identity", &self.caller.store.data().identity)
            .finish_non_exhaustive()
    }
}

impl Instance {
    /// Makes, describes and configures an instance.
    pub(super) fn start(plugin: &Plugin, identity: Arc<Identity>) -> Result<(Self, PluginInfo, Plan), Error> {
        let (mut caller, functions, process, info) = Self::described(plugin, identity)?;
        let configure: TypedFunc<(&str,), _> = functions.configure;
        let plan = caller.call(configure, (plugin.config.as_str(),), None);
        let (plan,) = plan.map_err(failed(plugin, "configure"))?;
        let plan = plan.map_err(|text| Error::Refused { transform: plugin.transform.clone(), text })?;
        Ok((Self { caller, process, reads: plugin.reads() }, info, plan))
    }

    /// Makes an instance only to ask who it is.
    pub(super) fn describe(plugin: &Plugin, identity: Arc<Identity>) -> Result<PluginInfo, Error> {
        Self::described(plugin, identity).map(|(_, _, _, info)| info)
    }

    fn described(
        plugin: &Plugin,
        identity: Arc<Identity>,
    ) -> Result<(Caller, Lifecycle, Process, PluginInfo), Error> {
        let mut caller = Caller::new(plugin, identity).map_err(failed(plugin, "instantiate"))?;
        let (functions, process) = caller.instantiate(plugin).map_err(failed(plugin, "instantiate"))?;
        let (info,) = caller.call(functions.describe, (), None).map_err(failed(plugin, "describe"))?;
        Ok((caller, functions, process, info))
    }

    /// Asks what becomes of the records in `range`, and hands each verdict to `take` in order. Where it
    /// fails, `take` was not called.
    ///
    /// # Errors
    /// See [`CallError`]; [`CallError::kills`] says whether the instance is dead.
    pub fn process(
        &mut self,
        inputs: &Inputs<'_>,
        range: Range<usize>,
        attempt: u32,
        take: &mut dyn FnMut(Verdict<'_>),
    ) -> Result<(), CallError> {
        match &mut self.process {
            Process::Ergonomic(process) => {
                ergonomic::process(*process, &mut self.caller, self.reads, inputs, range, attempt, take)
            }
            Process::Columnar(columnar) => {
                columnar.process(&mut self.caller, self.reads, inputs, range, attempt, take)
            }
        }
    }

    /// Linear memory that it has grown to; it never shrinks.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.caller.store.data().limiter.memory_bytes()
    }
}

fn failed(plugin: &Plugin, step: &'static str) -> impl FnOnce(CallError) -> Error {
    let transform = plugin.transform.clone();
    move |error| Error::Start { transform, step, text: error.in_full() }
}

/// The functions of `lifecycle`.
#[derive(Clone, Copy)]
struct Lifecycle {
    describe: TypedFunc<(), (PluginInfo,)>,
    configure: TypedFunc<(&'static str,), (Result<Plan, String>,)>,
}

/// The store, and the limits that each call into it has.
pub(super) struct Caller {
    store: Store<State>,
    ticks: u64,
    limits: Limits,
    /// For a plugin whose calls may wait.
    waiting: Option<Arc<Waiting>>,
}

impl Caller {
    fn new(plugin: &Plugin, identity: Arc<Identity>) -> Result<Self, CallError> {
        let limits = plugin.limits.clone();
        let state = State::new(identity, &limits, Arc::clone(&plugin.granted)).map_err(|error| {
            let message = format!("{error:#}");
            CallError::Trap { message, backtrace: String::new(), output: String::new() }
        })?;
        let mut store = Store::new(plugin.engine.wasmtime(), state);
        store.limiter(|state| &mut state.limiter);
        // It holds for what one import passes as well.
        store.set_hostcall_fuel(limits.output);
        Ok(Self { store, ticks: Engine::ticks(limits.timeout), limits, waiting: plugin.waiting.clone() })
    }

    fn instantiate(&mut self, plugin: &Plugin) -> Result<(Lifecycle, Process), CallError> {
        self.begin(None);
        let instance = match &self.waiting {
            None => plugin.pre.instantiate(&mut self.store),
            Some(waiting) => waiting.wait(self.limits.timeout, plugin.pre.instantiate_async(&mut self.store)),
        };
        let functions = instance.and_then(|instance| self.functions(plugin, &instance));
        self.end(functions)
    }

    fn functions(
        &mut self,
        plugin: &Plugin,
        instance: &component::Instance,
    ) -> wasmtime::Result<(Lifecycle, Process)> {
        let store = &mut self.store;
        let lifecycle = Lifecycle {
            describe: instance.get_typed_func(&mut *store, plugin.exports.describe)?,
            configure: instance.get_typed_func(&mut *store, plugin.exports.configure)?,
        };
        let process = match &plugin.exports.process {
            exports::Process::Ergonomic(index) => {
                Process::Ergonomic(instance.get_typed_func(&mut *store, index)?)
            }
            exports::Process::Columnar(index) => {
                let process = instance.get_typed_func(&mut *store, index)?;
                Process::Columnar(Box::new(Columnar::new(process)))
            }
        };
        Ok((lifecycle, process))
    }

    /// Who is called, for whom.
    pub(super) fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.store.data().identity)
    }

    /// What a call fails with that passes more than the instance can hold.
    pub(super) fn out_of_memory(&self) -> CallError {
        let limit_bytes = self.limits.memory as u64;
        CallError::OutOfMemory { limit_bytes, backtrace: String::new(), output: String::new() }
    }

    /// Bytes that one call may give back.
    pub(super) fn output_bytes_max(&self) -> usize {
        self.limits.output
    }

    /// Calls a function of the instance: the one place where a guest runs. `first` is the call's first
    /// record, by which the clock and the random numbers go.
    pub(super) fn call<P, R>(
        &mut self,
        function: TypedFunc<P, R>,
        params: P,
        first: Option<&RecordRef<'_>>,
    ) -> Result<R, CallError>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        self.begin(first);
        let result = match &self.waiting {
            None => function.call(&mut self.store, params),
            Some(waiting) => waiting.wait(self.limits.timeout, function.call_async(&mut self.store, params)),
        };
        self.end(result)
    }

    fn begin(&mut self, first: Option<&RecordRef<'_>>) {
        self.store.data_mut().begin_call(first);
        self.store.set_epoch_deadline(self.ticks);
    }

    fn end<T>(&mut self, result: wasmtime::Result<T>) -> Result<T, CallError> {
        self.store.data().output.end_call();
        result.map_err(|error| call_error(&self.store, &error, &self.limits))
    }
}

impl Identity {
    /// What all messages of a call have in common.
    pub(super) fn batch_info(&self) -> BatchInfo<'_> {
        BatchInfo {
            topic: self.topic.as_deref().unwrap_or_default(),
            // Kafka's partitions are never negative, though its wire type is signed.
            partition: self.partition.unwrap_or(0).unsigned_abs(),
        }
    }
}

/// The verdict of a record that no plugin can be asked about.
pub(super) fn bad_header() -> Verdict<'static> {
    let failure = Failure {
        code: String::from("BadHeader"),
        detail: String::from("a header's name is not UTF-8, which the plugin contract cannot carry"),
    };
    Verdict::NotPassed(Condition::BadHeader, failure)
}

/// Gives a failed call its name.
fn call_error(store: &Store<State>, error: &wasmtime::Error, limits: &Limits) -> CallError {
    let output = store.data().output.tail();
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(functions).unwrap_or_default();
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::Interrupt) {
        let limit_ms = u64::try_from(limits.timeout.as_millis()).unwrap_or(u64::MAX);
        return CallError::Timeout { limit_ms, backtrace, output };
    }
    if store.data().limiter.refused {
        return CallError::OutOfMemory { limit_bytes: limits.memory as u64, backtrace, output };
    }
    // The engine's error for this has no public type.
    let text = error.root_cause().to_string();
    if backtrace.is_empty() && text.contains("fuel allocated for hostcalls") {
        return CallError::OutputTooLarge { limit_bytes: limits.output as u64 };
    }
    let message = match error.downcast_ref::<I32Exit>() {
        Some(I32Exit(status)) => format!("the plugin called exit with status {status}"),
        None => text,
    };
    CallError::Trap { message, backtrace, output }
}

/// The functions of a backtrace, innermost first, one a line, as the engine writes them without its
/// headline and addresses.
fn functions(backtrace: &WasmBacktrace) -> String {
    let text = backtrace.to_string();
    let frames = text.lines().skip(1).filter(|line| !line.starts_with("note:"));
    let names: Vec<_> = frames.take(FRAMES_MAX).map(function).collect();
    names.join("\n")
}

/// `   0: 0x1234 - module.wasm!some::function` without all that stands before the function.
fn function(line: &str) -> &str {
    let named = line.split_once(" - ").map_or(line, |(_, rest)| rest).trim();
    named.split_once('!').map_or(named, |(_, function)| function)
}
