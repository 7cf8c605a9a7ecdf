//! Finding the last entry of a chain by listing.
//!
//! Owns the search; what stands in entries is not its business. There is no pointer to the head: a
//! stale or lost one would be one more thing to distrust. Invariant: the answer does not depend on
//! the hint, only the number of requests does.

use super::path::{LaneFile, LanePath};
use super::{Error, Result};
use crate::store::Store;

/// Names a listing asks for: one request of every store.
const PAGE: usize = 1000;

/// Offsets of Kafka are signed: none is above.
const HIGHEST: u64 = i64::MAX as u64;

/// First distance when the search goes away from what it knows: the offsets of one folder.
const FIRST_STRIDE: u64 = 1_000_000;

/// How far below a hint the search goes before it takes the hint for nonsense and begins at the front.
const LONGEST_STRIDE_DOWN: u64 = 256 * FIRST_STRIDE;

/// What is known of a chain after some looks: the last entry starts at or above `below`, and below `above`.
#[derive(Debug)]
struct Bounds {
    below: Option<u64>,
    above: u64,
    stride: u64,
    /// How many offsets the entries of the last page covered that was full.
    span: Option<u64>,
}

/// What one look at a chain showed.
#[derive(Debug)]
struct Look {
    /// The greatest start seen.
    last: Option<u64>,
    /// Whether there is nothing behind it.
    complete: bool,
}

/// The start of the last entry, looking first where the hint points to.
pub(super) async fn last_start(store: &dyn Store, lane: &LanePath, hint: Option<u64>) -> Result<Option<u64>> {
    let mut bounds = Bounds { below: None, above: HIGHEST + 1, stride: FIRST_STRIDE, span: None };
    let mut next = Some(hint.unwrap_or(0).min(HIGHEST));
    while let Some(at) = next {
        match look(store, lane, at).await? {
            Look { last: Some(last), complete: true } => return Ok(Some(last)),
            Look { last: Some(last), complete: false } => {
                bounds.below = bounds.below.max(Some(last));
                bounds.span = Some(last.saturating_sub(at).max(1));
            }
            Look { last: None, .. } if at == 0 => return Ok(None),
            Look { last: None, .. } => bounds.above = at,
        }
        next = bounds.next();
    }
    Ok(bounds.below)
}

impl Bounds {
    /// Where to look next; `None` once nothing lies between the bounds.
    fn next(&mut self) -> Option<u64> {
        match self.below {
            None => Some(self.downward()),
            Some(below) if below + 1 >= self.above => None,
            Some(below) => Some(self.between(below)),
        }
    }

    /// Below a hint ahead of the chain, folder-wise: the hint's own folder mostly shows the last entry.
    fn downward(&mut self) -> u64 {
        let folder = (self.above - 1) / FIRST_STRIDE * FIRST_STRIDE;
        let stride = self.stride;
        self.stride = stride.saturating_mul(16);
        if stride > LONGEST_STRIDE_DOWN {
            self.stride = FIRST_STRIDE;
            return 0;
        }
        folder.saturating_sub(stride - FIRST_STRIDE)
    }

    /// Strictly between the bounds: half a page below the upper one if that is near, else upward in
    /// strides that double, never past the middle. Each look halves what is left, or better, but for one
    /// try of the first kind after every full page.
    fn between(&mut self, below: u64) -> u64 {
        let near = self.span.take().filter(|span| (self.above - below) / span <= PAGE as u64);
        if let Some(span) = near {
            return (self.above - (span / 2).max(1)).max(below + 1);
        }
        let middle = below + 1 + (self.above - below - 1) / 2;
        let stride = self.stride;
        self.stride = stride.saturating_mul(2);
        below.saturating_add(stride).min(middle)
    }
}

/// Lists from an offset on, until at least one entry is seen or the chain is at its end.
async fn look(store: &dyn Store, lane: &LanePath, at: u64) -> Result<Look> {
    let mut after = lane.before_entry(at);
    loop {
        let page = store.list_after(lane.folder(), Some(&after), PAGE).await.map_err(Error::Store)?;
        let mut last = None;
        let mut complete = page.len() < PAGE;
        for listed in &page {
            match lane.classify(&listed.path) {
                LaneFile::Entry(start) => last = Some(start),
                LaneFile::Other => {}
                LaneFile::Behind => {
                    complete = true;
                    break;
                }
            }
        }
        match page.into_iter().next_back() {
            Some(listed) if last.is_none() && !complete => after = listed.path,
            _ => return Ok(Look { last, complete }),
        }
    }
}

/// The start of the first entry.
pub(super) async fn first_start(store: &dyn Store, lane: &LanePath) -> Result<Option<u64>> {
    let mut after: Option<String> = None;
    loop {
        let page = store.list_after(lane.folder(), after.as_deref(), PAGE).await?;
        for listed in &page {
            match lane.classify(&listed.path) {
                LaneFile::Entry(start) => return Ok(Some(start)),
                LaneFile::Other => {}
                LaneFile::Behind => return Ok(None),
            }
        }
        match page.into_iter().next_back() {
            Some(listed) => after = Some(listed.path),
            None => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::TopicIdentity;
    use super::super::testing::{FaultyStore, block_on};
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn lane() -> LanePath {
        let topic = TopicIdentity { name: "t".into(), id: "id".into() };
        LanePath::new("_vanne", "p", &topic, 0).expect("these names are possible")
    }

    fn chain_of(starts: impl IntoIterator<Item = u64>) -> FaultyStore {
        let store = FaultyStore::new();
        for start in starts {
            store.set(&lane().entry(start), Bytes::from_static(b"x"));
        }
        store
    }

    fn find(store: &FaultyStore, hint: Option<u64>) -> Option<u64> {
        block_on(last_start(store, &lane(), hint)).expect("the store answers")
    }

    #[test]
    fn the_last_entry_is_found_across_9_999_999_and_10_000_000() {
        let store = chain_of([0, 9_999_998, 9_999_999, 10_000_000, 10_000_007]);
        let hints = [None, Some(0), Some(9_999_999), Some(10_000_000), Some(10_000_007), Some(10_000_050)];
        for hint in hints.into_iter().chain([Some(20_000_000), Some(u64::MAX)]) {
            assert_eq!(find(&store, hint), Some(10_000_007), "{hint:?}");
        }
    }

    #[test]
    fn what_lies_beside_entries_is_no_entry() {
        let store = chain_of([5]);
        store.set(&lane().closed(7), Bytes::new());
        for number in 0..2500 {
            store.set(&format!("{}.search.tasks-{number:04}.json", lane().before_entry(5)), Bytes::new());
            store.set(&format!("{}/{number}.staged", lane().staging()), Bytes::new());
        }
        for hint in [None, Some(4), Some(5), Some(6), Some(3_000_000)] {
            assert_eq!(find(&store, hint), Some(5), "{hint:?}");
        }
        assert_eq!(block_on(first_start(&store, &lane())).expect("the store answers"), Some(5));
    }

    #[test]
    fn an_empty_chain_has_no_last_entry() {
        for hint in [None, Some(0), Some(1), Some(123_456_789), Some(u64::MAX)] {
            assert_eq!(find(&FaultyStore::new(), hint), None);
        }
    }

    #[test]
    fn a_good_hint_costs_few_listings() {
        let store = chain_of((0..20_000).map(|nth| nth * 1_000));
        // The last but one folder is full: a page from its front does not show its end.
        for (hint, cost) in
            [(19_999_000, 1), (19_998_000, 1), (19_999_001, 2), (20_000_000, 3), (20_000_001, 4)]
        {
            let before = store.listings();
            assert_eq!(find(&store, Some(hint)), Some(19_999_000));
            assert_eq!(store.listings() - before, cost, "hint {hint}");
        }
    }

    #[test]
    fn no_hint_costs_some_thirty_listings_at_most() {
        let store = chain_of((0..20_000).map(|nth| nth * 1_000));
        for hint in [None, Some(7), Some(u64::MAX), Some(1 << 40)] {
            let before = store.listings();
            assert_eq!(find(&store, hint), Some(19_999_000));
            assert!(store.listings() - before <= 30, "{hint:?}: {}", store.listings() - before);
        }
    }

    proptest! {
        #[test]
        fn the_hint_never_changes_the_answer(
            steps in proptest::collection::vec(prop_oneof![1_u64..3, 1_u64..2_000_000, 1_u64..1 << 40], 0..60),
            dense in 0_u64..1500,
            hint in proptest::option::of(prop_oneof![any::<u64>(), 0_u64..1 << 42, 0_u64..3_000_000]),
        ) {
            let sparse = steps.iter().scan(dense, |start, step| { *start += step; Some(*start) });
            let starts: Vec<u64> = (0..dense).chain(sparse).collect();
            let store = chain_of(starts.iter().copied());
            prop_assert_eq!(find(&store, hint), starts.last().copied());
        }
    }
}
