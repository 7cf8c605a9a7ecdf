//! What stands on an object besides its bytes, where the store keeps such things.
//!
//! Owns names and values of the metadata, and the content type. Readers must not need labels: a folder
//! keeps none, and Azure none on objects that were uploaded in parts. All of it is in the entry too.
//!
//! `Content-Encoding` is never set: clients and proxies undo an encoding on their own, and would then
//! hand out something else than the file that its name, length and checksum promise. A compressed object
//! is a file of that format.

use crate::config::{Compression, Format};
use crate::ledger::Entry;
use crate::store::Labels;

/// Bytes of all metadata at the most: S3 takes 2 KiB with the names.
const METADATA_BYTES_MAX: usize = 1800;

/// What every object of one attempt shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The pipeline.
    pub pipeline: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// First offset of the range.
    pub start: u64,
    /// Nonce of the attempt.
    pub nonce: String,
    /// `sha256:` and the digest of the configuration.
    pub config_digest: String,
    /// Name and version of each transform, in order.
    pub transforms: Vec<(String, String)>,
}

impl Provenance {
    /// That of an entry.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let transform =
            |transform: &crate::ledger::TransformEntry| (transform.name.clone(), transform.version.clone());
        Self {
            pipeline: entry.pipeline.clone(),
            topic: entry.topic.clone(),
            partition: entry.partition,
            start: entry.start,
            nonce: entry.nonce.clone(),
            config_digest: entry.config_digest.clone(),
            transforms: entry.transforms.iter().map(transform).collect(),
        }
    }

    /// Labels of an object; `offsets` are those of its first and last record, where they are known when
    /// it is labelled (an upload in parts is labelled when it begins).
    #[must_use]
    pub fn labels(&self, content_type: Option<&'static str>, offsets: Option<(u64, u64)>) -> Labels {
        let transforms = self.transforms.iter().map(|(name, version)| format!("{name}@{version}"));
        let mut metadata = vec![
            ("pipeline", self.pipeline.clone()),
            ("topic", self.topic.clone()),
            ("partition", self.partition.to_string()),
            ("start", self.start.to_string()),
            ("nonce", self.nonce.clone()),
        ];
        if let Some((first, last)) = offsets {
            metadata.push(("first-offset", first.to_string()));
            metadata.push(("last-offset", last.to_string()));
        }
        metadata.push(("config-digest", self.config_digest.clone()));
        metadata.push(("transforms", transforms.collect::<Vec<_>>().join(" ")));
        let mut left = METADATA_BYTES_MAX;
        metadata.retain_mut(|(name, value)| {
            *value = plain(value);
            let size = name.len() + value.len();
            let fits = !value.is_empty() && size <= left;
            left -= if fits { size } else { 0 };
            fits
        });
        Labels { content_type, content_encoding: None, metadata }
    }
}

/// A text as an HTTP header takes it in every store: visible ASCII and single spaces inside.
fn plain(text: &str) -> String {
    let visible = |letter: char| if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' };
    let text: String = text.chars().map(visible).collect();
    text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Content type of an object, compressed ones by their compression.
#[must_use]
pub fn content_type(format: Format, compression: Compression) -> &'static str {
    match (compression, format) {
        (Compression::Gzip, _) => "application/gzip",
        (Compression::Zstd, _) => "application/zstd",
        (Compression::None, Format::JsonLines) => "application/x-ndjson",
        (Compression::None, Format::Raw) => "text/plain",
    }
}

/// The content type that stands in an entry, if it is one of those above.
pub(super) fn known_content_type(text: Option<&str>) -> Option<&'static str> {
    let known = ["application/gzip", "application/zstd", "application/x-ndjson", "text/plain"];
    known.into_iter().find(|one| Some(*one) == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn provenance(version: &str, transforms: usize) -> Provenance {
        Provenance {
            pipeline: "logs".into(),
            topic: "access".into(),
            partition: 3,
            start: 7,
            nonce: "00000000000000aa".into(),
            config_digest: format!("sha256:{}", "a".repeat(64)),
            transforms: vec![("parse".into(), version.into()); transforms],
        }
    }

    proptest! {
        #[test]
        fn labels_fit_the_tightest_store_whatever_a_plugin_calls_itself(version in any::<String>(), count in 0_usize..200) {
            let labels = provenance(&version, count).labels(None, Some((7, 9)));
            let mut bytes = 0;
            for (name, value) in &labels.metadata {
                bytes += name.len() + value.len();
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
                prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
                prop_assert!(!value.is_empty() && value.trim() == value);
            }
            prop_assert!(bytes <= METADATA_BYTES_MAX);
            prop_assert!(labels.metadata.contains(&("last-offset", "9".into())));
        }
    }

    #[test]
    fn every_content_type_that_is_given_is_known_again() {
        for format in [Format::Raw, Format::JsonLines] {
            for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
                let text = content_type(format, compression);
                assert_eq!(known_content_type(Some(text)), Some(text));
            }
        }
        assert_eq!(known_content_type(Some("x/y")), None);
        assert_eq!(known_content_type(None), None);
    }
}
