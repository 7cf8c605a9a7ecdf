//! What stands in the ledger: one JSON document an entry, and, behind it, the bytes of small objects.
//!
//! Owns the words of the format (version 1). Does not know where entries lie or how they get there.
//! Invariant: every published field is either required for reading or has a default, and a reader
//! ignores fields that it does not know, so that later versions can add.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::record::{CutCause, DEAD_LETTER_SINK};
use crate::record::{OffsetRange, OffsetRun, Variant};

/// An object that an entry puts into the lake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectEntry {
    /// Path in the sink's store, from the store's root.
    pub path: String,
    /// Where its bytes wait.
    pub staged: Staged,
    /// Length in bytes, as delivered.
    pub bytes: u64,
    /// Records in it.
    pub records: u64,
    /// CRC-64/NVME of the bytes as delivered, 16 hexadecimal digits (S3's own default checksum).
    pub crc64nvme: String,
    /// Offset of its first record.
    pub first_offset: u64,
    /// Offset of its last record.
    pub last_offset: u64,
    /// `Content-Type` label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Content-Encoding` label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// The version of the transforms that made it; no object holds records of two.
    #[serde(default, skip_serializing_if = "Variant::is_stable")]
    pub variant: Variant,
    /// The offsets of its records, where the range went through two versions; empty: all of the range's
    /// from its first to its last offset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<OffsetRun>,
}

/// Where the bytes of an object wait until it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Staged {
    /// In an object of the same store.
    Path(String),
    /// In this entry, behind the JSON line: first byte and length, counted from after the newline.
    /// Its length is the object's ([`ObjectEntry::bytes`]).
    Inline {
        /// First byte.
        start: u64,
        /// Number of bytes.
        bytes: u64,
    },
}

/// What one sink gets from a range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkEntry {
    /// Its objects, in order of their first records.
    pub objects: Vec<ObjectEntry>,
    /// Records written into them.
    pub written: u64,
    /// Outputs meant for this sink that could not be written; each is a dead letter.
    #[serde(default)]
    pub failed: u64,
}

/// A transform that a range went through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransformEntry {
    /// Its name in the configuration.
    pub name: String,
    /// The plugin's own name.
    pub plugin: String,
    /// The plugin's own version.
    pub version: String,
    /// `sha256:` and the digest of the component.
    pub digest: String,
    /// What it was granted, such as `clock` or `env:REGION`; nothing by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<String>,
}

/// The entry before another one in its chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Previous {
    /// Where it starts, and so where it lies.
    pub start: u64,
    /// `sha256:` and the digest of all of it, JSON line and bytes.
    pub digest: String,
}

/// One range of one partition, and everything that came of it. **Its create is the commit.**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Format: [`ENTRY_VERSION`].
    pub version: u32,
    /// The pipeline that wrote it.
    pub pipeline: String,
    /// Name of the topic.
    pub topic: String,
    /// Id of the topic.
    pub topic_id: String,
    /// The partition.
    pub partition: i32,
    /// First offset of the range.
    pub start: u64,
    /// First offset after it.
    pub end: u64,
    /// 16 hexadecimal digits, drawn anew each time a lane begins to stage at a start offset.
    pub nonce: String,
    /// The entry that ends where this one starts; `None` for the first of a chain.
    pub previous: Option<Previous>,
    /// Why it ended.
    pub cause: CutCause,
    /// When it was cut (RFC 3339, UTC).
    pub cut_at: String,
    /// Records read.
    pub read: u64,
    /// Offsets of the range that hold no record.
    pub empty: u64,
    /// Records that were filtered out, or that no sink takes.
    pub dropped: u64,
    /// Records that failed as a whole.
    pub dead: u64,
    /// Records of which something was delivered, or tried: `read = dropped + dead + kept`.
    pub kept: u64,
    /// Outputs that failed before any sink: not made, or routed to one that is not there. Each is a dead
    /// letter, so that of those there are `dead + unplaced` and the sinks' `failed`.
    #[serde(default)]
    pub unplaced: u64,
    /// By the sink's name; dead letters stand under [`DEAD_LETTER_SINK`].
    pub sinks: BTreeMap<String, SinkEntry>,
    /// In the order in which they ran.
    pub transforms: Vec<TransformEntry>,
    /// Those of the candidate, where the revision has one that records went through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidate: Vec<TransformEntry>,
    /// Number of the revision that made it; 0: by a host that knew none. Never falls along a chain.
    #[serde(default)]
    pub revision: u64,
    /// `sha256:` and the digest of the configuration that made it.
    pub config_digest: String,
    /// The program that wrote it.
    pub host_version: String,
}

/// The [`Entry::version`] that this program writes, and the highest that it reads.
pub const ENTRY_VERSION: u32 = 1;

impl Entry {
    /// The range.
    #[must_use]
    pub fn range(&self) -> OffsetRange {
        OffsetRange { start: self.start, end: self.end }
    }

    /// Every object with the name of its sink.
    pub fn objects(&self) -> impl Iterator<Item = (&str, &ObjectEntry)> {
        self.sinks
            .iter()
            .flat_map(|(sink, part)| part.objects.iter().map(move |object| (sink.as_str(), object)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_stand_in_an_entry_only_where_there_are_any() {
        let text = r#"{"name":"a","plugin":"p","version":"1","digest":"sha256:00"}"#;
        let mut entry: TransformEntry = serde_json::from_str(text).expect("of an older host");
        assert!(entry.grants.is_empty());
        assert_eq!(serde_json::to_string(&entry).expect("JSON"), text);
        entry.grants = vec![String::from("clock")];
        let written = serde_json::to_string(&entry).expect("JSON");
        assert!(written.ends_with(r#","grants":["clock"]}"#), "{written}");
        assert_eq!(serde_json::from_str::<TransformEntry>(&written).expect("reads"), entry);
    }
}
