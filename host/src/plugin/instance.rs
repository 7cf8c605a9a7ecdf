//! One store and one instance: what a lane calls.
//!
//! Owns the limits of a call and what a trap is called. Invariant: each call starts with its whole time
//! limit, and an error other than a wrong count or the plugin's own answer leaves a dead instance.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use wasmtime::{Store, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::bindings::Transform;
use super::bindings::exports::vanne::transform::lifecycle::{Plan, PluginInfo};
use super::bindings::vanne::transform::types::{BatchError, BatchInfo};
use super::component::{Plugin, Reads};
use super::engine::Engine;
use super::error::{CallError, Error};
use super::lower::{Lowered, postponement, verdict};
use super::output::Identity;
use super::state::State;
use super::verdict::{Inputs, Verdict};
use crate::record::Failure;

/// Bytes that one call may give back, and one import may pass: many times a batch, and bounded.
const OUTPUT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Functions of a backtrace that are kept.
const FRAMES_MAX: usize = 20;

/// An instance of a plugin, for one lane.
pub struct Instance {
    store: Store<State>,
    transform: Transform,
    reads: Reads,
    ticks: u64,
    limit_ms: u64,
    memory_bytes_max: u64,
}

impl fmt::Debug for Instance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Instance")
            .field("identity", &self.store.data().identity)
            .finish_non_exhaustive()
    }
}

impl Instance {
    /// Makes, describes and configures an instance.
    pub(super) fn start(plugin: &Plugin, identity: Arc<Identity>) -> Result<(Self, PluginInfo, Plan), Error> {
        let state = State::new(identity, plugin.limits.memory);
        let mut store = Store::new(plugin.engine.wasmtime(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(OUTPUT_BYTES_MAX);
        let ticks = Engine::ticks(plugin.limits.timeout);
        store.set_epoch_deadline(ticks);
        let failed = |step| {
            move |error: CallError| {
                let transform = plugin.transform.clone();
                Error::Start { transform, step, text: error.in_full() }
            }
        };
        let made = plugin.pre.instantiate(&mut store);
        let limits = (millis(plugin), plugin.limits.memory as u64);
        let transform =
            made.map_err(|error| call_error(&store, &error, limits)).map_err(failed("instantiate"))?;
        let mut instance = Self {
            store,
            transform,
            reads: plugin.reads(),
            ticks,
            limit_ms: limits.0,
            memory_bytes_max: limits.1,
        };
        let info = instance.describe().map_err(failed("describe"))?;
        let plan = instance
            .configure(&plugin.config)
            .map_err(failed("configure"))?
            .map_err(|text| Error::Refused { transform: plugin.transform.clone(), text })?;
        Ok((instance, info, plan))
    }

    fn describe(&mut self) -> Result<PluginInfo, CallError> {
        self.begin(None);
        let result = self.transform.vanne_transform_lifecycle().call_describe(&mut self.store);
        self.end(result)
    }

    fn configure(&mut self, config: &str) -> Result<Result<Plan, String>, CallError> {
        self.begin(None);
        let result = self.transform.vanne_transform_lifecycle().call_configure(&mut self.store, config);
        self.end(result)
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
        take: &mut dyn FnMut(Verdict),
    ) -> Result<(), CallError> {
        let lowered = Lowered::new(inputs, range.clone(), self.reads);
        if lowered.len() == 0 {
            range.for_each(|_| take(bad_header()));
            return Ok(());
        }
        let identity = Arc::clone(&self.store.data().identity);
        let info = BatchInfo {
            topic: identity.topic.as_deref().unwrap_or_default(),
            // Kafka's partitions are never negative, though its wire type is signed.
            partition: identity.partition.unwrap_or(0).unsigned_abs(),
        };
        let messages = lowered.messages(inputs, attempt);
        self.begin(Some(inputs.record(lowered.first())));
        let transformer = self.transform.vanne_transform_transformer();
        let result = transformer.call_process(&mut self.store, info, &messages);
        let outcomes = match self.end(result)? {
            Ok(outcomes) => outcomes,
            Err(BatchError::Retry(wish)) => return Err(CallError::Retry(postponement(wish))),
            Err(BatchError::Fatal(text)) => return Err(CallError::Fatal(text)),
        };
        if outcomes.len() != messages.len() {
            return Err(CallError::WrongCount { expected: messages.len(), got: outcomes.len() });
        }
        let mut outcomes = outcomes.into_iter();
        for position in range {
            if lowered.skips(position) {
                take(bad_header());
            } else if let Some(outcome) = outcomes.next() {
                take(verdict(outcome));
            }
        }
        Ok(())
    }

    /// Linear memory that it has grown to; it never shrinks.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory_bytes()
    }

    fn begin(&mut self, first: Option<crate::record::RecordRef<'_>>) {
        self.store.data_mut().begin_call(first.as_ref());
        self.store.set_epoch_deadline(self.ticks);
    }

    fn end<T>(&mut self, result: wasmtime::Result<T>) -> Result<T, CallError> {
        self.store.data().output.end_call();
        let limits = (self.limit_ms, self.memory_bytes_max);
        result.map_err(|error| call_error(&self.store, &error, limits))
    }
}

fn millis(plugin: &Plugin) -> u64 {
    u64::try_from(plugin.limits.timeout.as_millis()).unwrap_or(u64::MAX)
}

fn bad_header() -> Verdict {
    Verdict::Fail(Failure {
        code: String::from("BadHeader"),
        detail: String::from("a header's name is not UTF-8, which the plugin contract cannot carry"),
    })
}

/// Gives a failed call its name.
fn call_error(store: &Store<State>, error: &wasmtime::Error, limits: (u64, u64)) -> CallError {
    let output = store.data().output.tail();
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(functions).unwrap_or_default();
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::Interrupt) {
        return CallError::Timeout { limit_ms: limits.0, backtrace, output };
    }
    if store.data().limiter.refused {
        return CallError::OutOfMemory { limit_bytes: limits.1, backtrace, output };
    }
    // The engine's error for this has no public type.
    let text = error.root_cause().to_string();
    if backtrace.is_empty() && text.contains("fuel allocated for hostcalls") {
        return CallError::OutputTooLarge { limit_bytes: OUTPUT_BYTES_MAX as u64 };
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
