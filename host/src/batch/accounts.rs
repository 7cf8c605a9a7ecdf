//! The sinks of a pipeline as a range sees them, and what a range says of itself when it has ended.
//!
//! Owns the words and no rule. Invariant: [`Sinks`] always holds one sink more than is configured, the
//! last, for dead letters.

use std::sync::Arc;

use bytes::Bytes;

use super::ObjectSummary;
use super::parts::Parts;
use crate::config::{Compression, Format};
use crate::record::{DEAD_LETTER_SINK, OffsetRange, Variant};

/// What a range has to know of a sink.
#[derive(Clone, Debug)]
pub struct SinkSpec {
    /// Its name, which is also a route.
    pub name: Arc<str>,
    /// What its lines are.
    pub format: Format,
    /// How its objects are compressed.
    pub compression: Compression,
    /// Length after compression at which an object is closed.
    pub buffer_bytes: u64,
    /// Whether it takes outputs without routes.
    pub default: bool,
}

/// The sinks of a pipeline with, last, the one for dead letters; shared by its lanes.
#[derive(Debug)]
pub struct Sinks {
    specs: Vec<SinkSpec>,
    part_bytes: usize,
    config_digest: String,
    candidate_config_digest: Option<String>,
    parts: Arc<Parts>,
}

impl Sinks {
    /// Length at which an object of dead letters is closed: as the default of every other sink.
    const DEAD_LETTER_BUFFER_BYTES: u64 = 64 << 20;

    /// From the configured sinks; `part_bytes` is the size of an upload's parts, `config_digest` what dead
    /// letters say about the configuration.
    #[must_use]
    pub fn new(configured: Vec<SinkSpec>, part_bytes: usize, config_digest: &str) -> Arc<Self> {
        Arc::new(Self::of(configured, part_bytes, config_digest))
    }

    /// As [`Sinks::new`], where a candidate may run beside the stable version: its dead letters say
    /// `candidate_config_digest`, and objects come with the runs of their offsets.
    #[must_use]
    pub fn with_candidate(
        configured: Vec<SinkSpec>,
        part_bytes: usize,
        config_digest: &str,
        candidate_config_digest: &str,
    ) -> Arc<Self> {
        let candidate_config_digest = Some(candidate_config_digest.to_owned());
        Arc::new(Self { candidate_config_digest, ..Self::of(configured, part_bytes, config_digest) })
    }

    fn of(configured: Vec<SinkSpec>, part_bytes: usize, config_digest: &str) -> Self {
        let mut specs = configured;
        specs.push(SinkSpec {
            name: Arc::from(DEAD_LETTER_SINK),
            format: Format::JsonLines,
            compression: Compression::None,
            buffer_bytes: Self::DEAD_LETTER_BUFFER_BYTES,
            default: false,
        });
        Self {
            specs,
            part_bytes: part_bytes.max(1),
            config_digest: config_digest.to_owned(),
            candidate_config_digest: None,
            parts: Arc::default(),
        }
    }

    /// Every sink; the last is for dead letters.
    #[must_use]
    pub fn specs(&self) -> &[SinkSpec] {
        &self.specs
    }

    /// The sinks but the one for dead letters.
    pub(super) fn configured(&self) -> &[SinkSpec] {
        self.specs.split_last().map_or(&[], |(_, configured)| configured)
    }

    /// Position of the sink for dead letters.
    pub(super) fn dead_letters(&self) -> usize {
        self.specs.len() - 1
    }

    pub(super) fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }

    /// Whether records may go through another version than the stable one.
    #[inline]
    pub(super) fn has_candidate(&self) -> bool {
        self.candidate_config_digest.is_some()
    }

    /// What the dead letters of a version say about the configuration.
    pub(super) fn config_digest(&self, variant: Variant) -> &str {
        let candidate = self.candidate_config_digest.as_deref().filter(|_| !variant.is_stable());
        candidate.unwrap_or(&self.config_digest)
    }

    pub(super) fn part_bytes(&self) -> usize {
        self.part_bytes
    }
}

/// Bytes of an object, to be put behind those that were handed out before.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The sink.
    pub sink: Arc<str>,
    /// Which of the sink's objects in this range, from 0, whichever version made it.
    pub object: u32,
    /// Which version made it.
    pub variant: Variant,
    /// A part's length but for the last, which is shorter or equal, and may be empty where others went
    /// before.
    pub bytes: Bytes,
    /// What the object holds; there in its last chunk only.
    pub last: Option<ObjectSummary>,
}

/// What a sink got of a range, over all versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkAccounts {
    /// The sink.
    pub sink: Arc<str>,
    /// Its objects, of whichever version: each stands at the position that is its number
    /// ([`Chunk::object`]), which is the order of their first records.
    pub objects: Vec<ObjectSummary>,
    /// Records written into them.
    pub written: u64,
    /// Outputs meant for it that it can't hold; each is a dead letter.
    pub failed: u64,
}

/// What became of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// The range.
    pub range: OffsetRange,
    /// Records read.
    pub read: u64,
    /// Records filtered out, or that no sink takes.
    pub dropped: u64,
    /// Records that failed as a whole.
    pub dead: u64,
    /// Records of which something was delivered, or tried.
    pub kept: u64,
    /// Outputs that failed before any sink: not made, or routed to one that is not there.
    pub unplaced: u64,
    /// Every sink in the order of [`Sinks::specs`], those that got nothing too; dead letters last.
    pub sinks: Vec<SinkAccounts>,
}

impl Accounts {
    /// Offsets that hold no record.
    #[must_use]
    pub fn empty(&self) -> u64 {
        self.range.offsets().saturating_sub(self.read)
    }
}

/// A range that has ended.
#[derive(Debug)]
pub struct ClosedRange {
    /// What became of it.
    pub accounts: Accounts,
    /// The bytes that were not handed out before; an object's chunks in order.
    pub chunks: Vec<Chunk>,
    /// Whether bytes were handed out while it was open, so that `chunks` are not all of it.
    pub handed_out: bool,
}

impl ClosedRange {
    /// Length of [`ClosedRange::chunks`].
    #[must_use]
    pub fn chunk_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum()
    }
}
