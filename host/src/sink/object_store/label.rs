//! What stands on an object besides its bytes, where the store keeps such things.
//!
//! Owns names and values of the metadata, and the content type. Readers must not need labels: a folder
//! keeps none, and Azure none on objects that were uploaded in parts. All of it is in the entry too.
//!
//! `Content-Encoding` is never set: clients and proxies undo an encoding on their own, and would then
//! hand out something else than the file that its name, length and checksum promise. A compressed object
//! is a file of that format.

use crate::config::{Compression, Format};
use crate::ledger::{Entry, TransformEntry};
use crate::record::Variant;
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
    /// Number of the revision; 0: none was known.
    pub revision: u64,
    /// Which of the revision's versions made the object.
    pub variant: Variant,
    /// `sha256:` and the digest of the configuration.
    pub config_digest: String,
    /// What it went through, in order: the transforms of its variant.
    pub transforms: Vec<Version>,
}

/// The plugin of a transform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The plugin's own name.
    pub plugin: String,
    /// The plugin's own version.
    pub version: String,
    /// `sha256:` and the digest of its component.
    pub digest: String,
}

impl Version {
    fn of(transform: &TransformEntry) -> Self {
        let TransformEntry { plugin, version, digest, .. } = transform;
        Self { plugin: plugin.clone(), version: version.clone(), digest: digest.clone() }
    }
}

impl Provenance {
    /// That of an entry's objects of one variant.
    #[must_use]
    pub fn of(entry: &Entry, variant: Variant) -> Self {
        let transforms = if variant.is_stable() { &entry.transforms } else { &entry.candidate };
        Self {
            pipeline: entry.pipeline.clone(),
            topic: entry.topic.clone(),
            partition: entry.partition,
            start: entry.start,
            nonce: entry.nonce.clone(),
            revision: entry.revision,
            variant,
            config_digest: entry.config_digest.clone(),
            transforms: transforms.iter().map(Version::of).collect(),
        }
    }

    /// Labels of an object; `offsets` are those of its first and last record, where they are known when
    /// it is labelled (an upload in parts is labelled when it begins).
    #[must_use]
    pub fn labels(&self, content_type: Option<&'static str>, offsets: Option<(u64, u64)>) -> Labels {
        let each =
            |text: fn(&Version) -> String| self.transforms.iter().map(text).collect::<Vec<_>>().join(" ");
        // In the order of what is missed most where not all of it fits: digests are proof, and what a plugin
        // calls itself, which may be long, follows from them.
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
        if self.revision > 0 {
            metadata.push(("revision", self.revision.to_string()));
        }
        if !self.variant.is_stable() {
            metadata.push(("variant", String::from("candidate")));
        }
        metadata.push(("config-digest", self.config_digest.clone()));
        metadata.push(("transforms-sha256", each(|it| it.digest.trim_start_matches("sha256:").to_owned())));
        metadata.push(("transforms", each(|it| format!("{}@{}", it.plugin, it.version))));
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
            revision: 12,
            variant: Variant::Candidate,
            config_digest: format!("sha256:{}", "a".repeat(64)),
            transforms: vec![
                Version {
                    plugin: "access-log".into(),
                    version: version.into(),
                    digest: format!("sha256:{}", "b".repeat(64)),
                };
                transforms
            ],
        }
    }

    fn value<'a>(labels: &'a Labels, name: &str) -> Option<&'a str> {
        labels.metadata.iter().find(|(found, _)| *found == name).map(|(_, value)| &**value)
    }

    #[test]
    fn labels_say_what_made_an_object() {
        let labels = provenance("0.1.0", 2).labels(Some("application/zstd"), None);
        let digest = "b".repeat(64);
        for (name, expected) in [
            ("revision", "12"),
            ("variant", "candidate"),
            ("transforms-sha256", &format!("{digest} {digest}")),
            ("transforms", "access-log@0.1.0 access-log@0.1.0"),
        ] {
            assert_eq!(value(&labels, name), Some(expected), "{name}");
        }
        let usual = Provenance { revision: 0, variant: Variant::Stable, ..provenance("0.1.0", 0) };
        let labels = usual.labels(None, None);
        for name in ["revision", "variant", "transforms", "transforms-sha256"] {
            assert_eq!(value(&labels, name), None, "{name}");
        }
    }

    #[test]
    fn digests_stay_where_not_all_fits() {
        let labels = provenance(&"9".repeat(1000), 10).labels(None, Some((7, 9)));
        assert_eq!(value(&labels, "transforms-sha256").map(str::len), Some(10 * 65 - 1));
        assert_eq!((value(&labels, "transforms"), value(&labels, "revision")), (None, Some("12")));
    }

    proptest! {
        #[test]
        fn labels_fit_the_tightest_store_whatever_a_plugin_calls_itself(version in any::<String>(), count in 0_usize..200) {
            let labels = provenance(&version, count).labels(None, Some((7, 9)));
            let mut bytes = 0;
            for (name, value) in &labels.metadata {
                bytes += name.len() + value.len();
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
                prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
                prop_assert!(!value.is_empty() && value.trim() == value);
            }
            prop_assert!(bytes <= METADATA_BYTES_MAX);
            prop_assert!(labels.metadata.contains(&("last-offset", "9".into())));
            prop_assert!(labels.metadata.contains(&("revision", "12".into())));
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
