//! Removing what abandoned attempts staged.
//!
//! Owns the one rule by which anything staged is deleted by somebody who may not have staged it.
//! Invariant: only objects whose start lies below the start of the chain's last entry go. Every range
//! below that is published, so no entry still needs them, and none that would can be created any more.

use std::sync::Arc;

use super::{Chain, LanePath, Place, Result, Tail};
use crate::store::Store;

/// Objects removed from one place in one call: a lane must not wait long for tidying.
const DELETES_MAX: usize = 100;

/// Names looked at in one request.
const PAGE: usize = 1000;

impl Chain {
    /// Removes objects of this lane that abandoned attempts have left in the sinks' places, a bounded
    /// number a call, and says how many it removed. For the owner, now and then; nothing depends on it.
    ///
    /// # Errors
    /// [`Error::Store`](super::Error::Store); [`Error::Name`](super::Error::Name) for a place's folder.
    pub async fn collect_garbage(&self, tail: &Tail, places: &[Place]) -> Result<usize> {
        let Some(last) = &tail.last else { return Ok(0) };
        let mut removed = 0;
        let mut seen: Vec<(String, &str)> = Vec::new();
        for Place { store, root } in places {
            let place = (store.place().to_owned(), root.as_str());
            if seen.contains(&place) {
                continue;
            }
            seen.push(place);
            let lane = LanePath::new(root, self.ledger.pipeline(), self.topic(), self.partition())?;
            removed += sweep(store, &lane, last.entry.start).await?;
        }
        Ok(removed)
    }
}

/// Names begin with their start, so what can go comes first.
async fn sweep(store: &Arc<dyn Store>, lane: &LanePath, below: u64) -> Result<usize> {
    let mut removed = 0;
    let page = store.list_after(&lane.staging(), None, PAGE).await?;
    for listed in page {
        let Some(name) = lane.parse_staged(&listed.path) else { continue };
        if name.start >= below || removed == DELETES_MAX {
            break;
        }
        store.delete(&listed.path).await?;
        removed += 1;
    }
    Ok(removed)
}
