//! The entry of a cut: what the lane knows, in the ledger's words.
//!
//! Owns the translation. Pure but for the time of the cut.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::commit::{Cut, Inline};
use super::stager::StagedObject;
use crate::batch::{Accounts, Chunk, ObjectSummary, SinkAccounts};
use crate::clock;
use crate::ledger::{ENTRY_VERSION, Entry, ObjectEntry, RolloutMode, SinkEntry, Staged, TransformEntry};
use crate::sink::object_store::{ObjectName, checksum};

/// An object of a cut, and where its bytes wait.
#[derive(Clone, Debug)]
pub(super) struct PlacedObject {
    staged: Staged,
    summary: ObjectSummary,
    crc64nvme: String,
}

/// Where the bytes of a cut wait.
#[derive(Debug, Default)]
pub(super) struct Placed {
    objects: BTreeMap<(Arc<str>, u32), PlacedObject>,
    /// What stands behind the entry's line.
    pub(super) inline: Inline,
}

impl Placed {
    /// All of it in the entry; each chunk is a whole object.
    pub(super) fn inline(chunks: Vec<Chunk>) -> Self {
        let mut placed = Self::default();
        let mut start = 0;
        for chunk in chunks {
            let bytes = chunk.bytes.len() as u64;
            if let Some(summary) = chunk.last {
                let staged = Staged::Inline { start, bytes };
                let crc64nvme = checksum([&chunk.bytes]);
                let object = PlacedObject { staged, summary, crc64nvme };
                placed.objects.insert((chunk.sink, chunk.object), object);
            }
            start += bytes;
            placed.inline.push(chunk.bytes);
        }
        placed
    }

    /// All of it in staging.
    pub(super) fn staged(objects: Vec<StagedObject>) -> Self {
        let objects = objects
            .into_iter()
            .map(|object| {
                let staged = Staged::Path(object.staged);
                let placed = PlacedObject { staged, summary: object.summary, crc64nvme: object.crc64nvme };
                ((object.sink, object.number), placed)
            })
            .collect();
        Self { objects, inline: Inline::new() }
    }
}

/// The entry of a cut whose bytes are placed.
pub(super) fn build(cut: &Cut, accounts: &Accounts, placed: &Placed) -> Entry {
    let shape = &cut.shape;
    // A shadow's output is in no object.
    let candidate = shape.candidate.iter().filter(|it| matches!(it.mode, RolloutMode::Share { .. }));
    let candidate = candidate.flat_map(|it| &it.version.provenance);
    let cut_ms = clock::now_ms();
    let sinks = accounts
        .sinks
        .iter()
        .filter(|sink| sink.written + sink.failed > 0)
        .map(|sink| (sink.sink.to_string(), sink_entry(cut, placed, sink, cut_ms)))
        .collect();
    Entry {
        version: ENTRY_VERSION,
        pipeline: shape.config.name.clone(),
        topic: cut.chain.topic().name.clone(),
        topic_id: cut.chain.topic().id.clone(),
        partition: cut.chain.partition(),
        start: accounts.range.start,
        end: accounts.range.end,
        nonce: cut.names.nonce.clone(),
        previous: cut.tail.previous(),
        cause: cut.cause,
        cut_at: clock::rfc3339(cut_ms),
        read: accounts.read,
        empty: accounts.empty(),
        dropped: accounts.dropped,
        dead: accounts.dead,
        kept: accounts.kept,
        unplaced: accounts.unplaced,
        sinks,
        transforms: shape.stable.provenance.iter().map(transform_entry).collect(),
        candidate: candidate.map(transform_entry).collect(),
        revision: shape.revision,
        config_digest: shape.config.digest.clone(),
        host_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn transform_entry(provenance: &crate::batch::Provenance) -> TransformEntry {
    TransformEntry {
        name: provenance.name.clone(),
        plugin: provenance.plugin.clone(),
        version: provenance.version.clone(),
        digest: provenance.digest.clone(),
        grants: provenance.grants.clone(),
    }
}

fn sink_entry(cut: &Cut, placed: &Placed, accounts: &SinkAccounts, cut_ms: i64) -> SinkEntry {
    let objects = (0_u32..)
        .map_while(|number| placed.objects.get(&(Arc::clone(&accounts.sink), number)).map(|it| (number, it)))
        .map(|(number, object)| object_entry(cut, &accounts.sink, number, object, cut_ms))
        .collect();
    SinkEntry { objects, written: accounts.written, failed: accounts.failed }
}

fn object_entry(cut: &Cut, sink: &str, number: u32, object: &PlacedObject, cut_ms: i64) -> ObjectEntry {
    let summary = &object.summary;
    let names = &cut.names;
    let name = ObjectName {
        topic: &names.origin.topic,
        partition: names.origin.partition,
        start: names.start,
        nonce: &names.nonce,
        number,
        oldest_ms: summary.oldest_ms.unwrap_or(-1),
        cut_ms,
    };
    let targets = &cut.shape.delivery.targets;
    ObjectEntry {
        path: targets.final_path(sink, &name),
        staged: object.staged.clone(),
        bytes: summary.bytes,
        records: summary.records,
        crc64nvme: object.crc64nvme.clone(),
        first_offset: summary.first_offset,
        last_offset: summary.last_offset,
        content_type: Some(targets.content_type(sink).to_owned()),
        content_encoding: None,
        variant: summary.variant,
        runs: summary.runs.clone(),
    }
}
