//! What the service tests stand on: real servers, the `host` binary as a process, and a reader that knows nothing of
//! either's inner workings.
//!
//! All of it blocks and none of it needs a runtime around it, so it can be called from `#[test]` and from
//! `#[tokio::test]` alike.

#![allow(dead_code, reason = "a library for the tests of this target, of which each needs another part")]

pub(crate) mod host;
pub(crate) mod kafka;
pub(crate) mod location;
pub(crate) mod process;
pub(crate) mod reader;
pub(crate) mod stores;

use std::future::Future;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a test waits for something that takes a second or two on an idle machine: builds may run beside it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a future to its end on a runtime of our own and blocks meanwhile, also inside of another runtime.
pub(crate) fn wait<F>(future: F) -> F::Output
where
    F: Future + Send,
    F::Output: Send,
{
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime starts")
    });
    std::thread::scope(|scope| match scope.spawn(|| runtime.block_on(future)).join() {
        Ok(output) => output,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Asks again every 20 ms until the answer is true; false when `patience` is over.
pub(crate) fn until(patience: Duration, mut asks: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if asks() {
            return true;
        }
        if started.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A name that no other test of this machine has: for topics, groups, buckets. Lower case letters, digits and `-`.
pub(crate) fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{stem}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Where `.ci/servers` puts the servers.
pub(crate) fn servers_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("VANNE_SERVERS") {
        return folder.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).unwrap_or_else(|| {
        let home = std::env::var_os("HOME").expect("`HOME` is set");
        PathBuf::from(home).join(".cache")
    });
    cache.join("vanne-servers")
}

/// A file of a server that must be there.
pub(crate) fn required(server: &str, file: &str) -> PathBuf {
    let path = servers_folder().join(server).join(file);
    assert!(path.exists(), "`{}` is not there: run `.ci/servers`, which gets {server}", path.display());
    path
}
