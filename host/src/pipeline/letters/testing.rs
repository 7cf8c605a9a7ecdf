//! What the tests of this folder share.

use std::collections::BTreeMap;

use crate::ledger::{CutCause, ENTRY_VERSION, Entry};

/// An entry that names nothing.
pub(super) fn entry() -> Entry {
    Entry {
        version: ENTRY_VERSION,
        pipeline: "logs".into(),
        topic: "t".into(),
        topic_id: "id".into(),
        partition: 5,
        start: 0,
        end: 10,
        nonce: "00000000000000aa".into(),
        previous: None,
        cause: CutCause::Age,
        cut_at: "2026-11-24T00:00:00.000Z".into(),
        read: 10,
        empty: 0,
        dropped: 0,
        dead: 0,
        kept: 10,
        unplaced: 0,
        sinks: BTreeMap::new(),
        transforms: Vec::new(),
        candidate: Vec::new(),
        revision: 0,
        config_digest: "sha256:c0".into(),
        host_version: "0".into(),
    }
}
