//! Where calls wait that may: for a clock, a disk or a peer that was granted.
//!
//! Owns a small runtime of its own, so that a waiting guest holds no thread but the one that called it.
//! Invariant: `wait` ends at its limit, whatever the future waits for.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use wasmtime::Trap;

use super::error::Error;

/// Threads that look after sockets and timers; the guests run on their callers' threads.
const THREADS: usize = 2;
/// Threads in calls of the system that cannot be cut short: file operations and name lookups. One that
/// hangs (a pipe in a granted folder) holds its thread; with all of them held, others wait until their
/// limit.
const SYSTEM_THREADS: usize = 64;

/// The runtime; its threads are left behind when it is dropped, since one may hang.
#[derive(Debug)]
pub(super) struct Waiting {
    runtime: Option<Runtime>,
}

impl Waiting {
    pub(super) fn start() -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(SYSTEM_THREADS)
            .thread_name("plugin-waiting")
            .enable_all()
            .build()
            .map_err(|error| Error::Engine { text: error.to_string() })?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Runs a call to its end, or until its limit: then it is dropped where it waits, and the error is the
    /// one of a call that was interrupted. The calling thread is held.
    pub(super) fn wait<T: Send>(
        &self,
        limit: Duration,
        call: impl Future<Output = wasmtime::Result<T>> + Send,
    ) -> wasmtime::Result<T> {
        let Some(runtime) = &self.runtime else { wasmtime::bail!("the engine is going away") };
        let bounded = async move {
            let result = tokio::time::timeout(limit, call).await;
            result.unwrap_or_else(|_| Err(Trap::Interrupt.into()))
        };
        if Handle::try_current().is_err() {
            return runtime.block_on(bounded);
        }
        // A thread of another runtime must not block in this one: loading is called from such.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name(String::from("plugin-start"));
            let running = thread.spawn_scoped(scope, || runtime.block_on(bounded))?;
            running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_ends_at_its_limit_from_any_thread() {
        let waiting = Waiting::start().expect("threads");
        let hang = || {
            let limit = Duration::from_millis(20);
            waiting.wait(limit, std::future::pending::<wasmtime::Result<()>>()).expect_err("interrupted")
        };
        assert_eq!(hang().downcast_ref(), Some(&Trap::Interrupt));
        let other = Runtime::new().expect("a runtime");
        other.block_on(async { assert_eq!(hang().downcast_ref(), Some(&Trap::Interrupt)) });
        assert_eq!(waiting.wait(Duration::from_secs(60), async { Ok(7) }).expect("ends"), 7);
        // In a runtime its drop must not wait for anything either.
        other.block_on(async { drop(waiting) });
    }
}
