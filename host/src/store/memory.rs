//! A store in this process's memory, for tests and for what is thrown away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use object_store::memory::InMemory;

use super::Store;
use super::cloud::{Clients, Cloud, LabelRules};

/// A new, empty store; its place differs from that of every other.
#[must_use]
pub fn memory() -> Arc<dyn Store> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let place = format!("memory:{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let objects = Arc::new(InMemory::new());
    let clients = Clients { small: objects.clone(), large: objects.clone(), parts: objects, pages: None };
    let labels = LabelRules { on_uploads: true, underscores: false };
    Arc::new(Cloud::new(place, clients, labels))
}
