//! A revision of the pipeline as this process runs it.
//!
//! Owns what a swap or a reload may change, all of it at once, and the numbers of each version. Invariant: a
//! shape never changes but for its numbers; a lane that is given another one ends its range first, so that a
//! range, its objects and its entry are of one shape.

use std::sync::{Arc, Mutex, PoisonError};

use crate::batch::{CutPolicy, Provenance, Sinks};
use crate::config;
use crate::ledger::{Entry, Revision, RolloutMode, ShareBy, TransformEntry};
use crate::pipeline::code;
use crate::pipeline::delivery::Delivery;
use crate::pipeline::names::Names;
use crate::record::{TopicPartition, Variant};
use crate::sink;
use crate::store::PART_BYTES;
use crate::transform::{Chain, Comparison, LaneVersions, Mode, Split, SplitBy, VersionNumbers};

/// The transforms in one version.
#[derive(Debug)]
pub(in crate::pipeline) struct Version {
    /// Compiled and configured.
    pub(in crate::pipeline) chain: Chain,
    /// What entries and dead letters say about them.
    pub(in crate::pipeline) provenance: Vec<Provenance>,
    /// Digest of the configuration that they have.
    pub(in crate::pipeline) config_digest: String,
    numbers: Mutex<VersionNumbers>,
}

impl Version {
    /// Of loaded transforms.
    pub(in crate::pipeline) fn new(chain: Chain, config_digest: &str) -> Self {
        let provenance = code::provenance(&chain);
        Self { chain, provenance, config_digest: config_digest.to_owned(), numbers: Mutex::default() }
    }

    /// Adds what it did with a batch.
    pub(in crate::pipeline) fn add(&self, numbers: VersionNumbers) {
        *self.numbers.lock().unwrap_or_else(PoisonError::into_inner) += numbers;
    }

    /// What it did on this host under this revision.
    pub(in crate::pipeline) fn numbers(&self) -> VersionNumbers {
        *self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A second version beside the stable one.
#[derive(Debug)]
pub(in crate::pipeline) struct Candidate {
    /// The version.
    pub(in crate::pipeline) version: Version,
    /// What it gets, and what becomes of its output.
    pub(in crate::pipeline) mode: RolloutMode,
    comparison: Mutex<Comparison>,
}

impl Candidate {
    pub(super) fn new(version: Version, mode: RolloutMode) -> Self {
        Self { version, mode, comparison: Mutex::default() }
    }

    /// Adds how its output for a batch differs.
    pub(in crate::pipeline) fn compare(&self, batch: Comparison) {
        self.comparison.lock().unwrap_or_else(PoisonError::into_inner).merge(batch);
    }

    /// How its output differs, on this host under this revision.
    pub(in crate::pipeline) fn comparison(&self) -> Comparison {
        self.comparison.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lane_mode(&self) -> Mode {
        let RolloutMode::Share { share, by } = self.mode else { return Mode::Shadow };
        let by = match by {
            ShareBy::Batches => SplitBy::Batches,
            ShareBy::Keys => SplitBy::Keys,
        };
        Mode::Share(Split::new(share, by).expect("a revision that was read has a share that is one"))
    }
}

/// A loaded revision.
#[derive(Debug)]
pub(in crate::pipeline) struct Shape {
    /// Its number.
    pub(in crate::pipeline) revision: u64,
    /// As it stands in the ledger.
    pub(in crate::pipeline) document: Revision,
    /// Its configuration, on this host.
    pub(in crate::pipeline) config: config::Pipeline,
    /// Where it delivers to.
    pub(in crate::pipeline) delivery: Arc<Delivery>,
    /// What ranges have to know of that.
    pub(in crate::pipeline) sinks: Arc<Sinks>,
    /// When ranges end.
    pub(in crate::pipeline) cut_policy: CutPolicy,
    /// What records go through.
    pub(in crate::pipeline) stable: Version,
    /// What runs beside.
    pub(in crate::pipeline) candidate: Option<Candidate>,
}

impl Shape {
    /// Of loaded transforms and opened sinks.
    pub(in crate::pipeline) fn new(
        document: Revision,
        config: config::Pipeline,
        delivery: Arc<Delivery>,
        stable: Version,
        candidate: Option<Candidate>,
    ) -> Self {
        let delivers = candidate.as_ref().filter(|it| matches!(it.mode, RolloutMode::Share { .. }));
        let (specs, digest) = (delivery.targets.specs(), &*config.digest);
        Self {
            revision: document.revision,
            sinks: match delivers {
                Some(it) => Sinks::with_candidate(specs, PART_BYTES, digest, &it.version.config_digest),
                None => Sinks::new(specs, PART_BYTES, digest),
            },
            cut_policy: CutPolicy::new(&config.cut),
            document,
            config,
            delivery,
            stable,
            candidate,
        }
    }

    /// A lane's instances of the transforms, none made yet.
    pub(in crate::pipeline) fn lane(&self, origin: &TopicPartition) -> LaneVersions {
        let candidate = self.candidate.as_ref();
        let candidate = candidate.map(|it| (it.version.chain.lane(origin.clone()), it.lane_mode()));
        LaneVersions::new(self.stable.chain.lane(origin.clone()), candidate)
    }

    /// Whether a call may wait for a clock, a disk or a peer.
    pub(in crate::pipeline) fn may_block(&self) -> bool {
        let candidate = self.candidate.as_ref().is_some_and(|it| it.version.chain.may_block());
        candidate || self.stable.chain.may_block()
    }

    /// A version of it.
    pub(in crate::pipeline) fn version(&self, variant: Variant) -> &Version {
        match (variant, &self.candidate) {
            (Variant::Candidate, Some(candidate)) => &candidate.version,
            _ => &self.stable,
        }
    }

    /// Whether an entry was made by these very transforms and this configuration.
    pub(in crate::pipeline) fn made(&self, entry: &Entry) -> bool {
        let same = |(entry, own): (&TransformEntry, &Provenance)| {
            entry.name == own.name && entry.digest == own.digest
        };
        entry.config_digest == self.config.digest
            && entry.transforms.len() == self.stable.provenance.len()
            && entry.transforms.iter().zip(&self.stable.provenance).all(same)
    }

    /// What every object of one attempt and version is labelled with.
    pub(in crate::pipeline) fn labels(
        &self,
        names: &Names,
        variant: Variant,
    ) -> sink::object_store::Provenance {
        let version = self.version(variant);
        sink::object_store::Provenance {
            pipeline: self.config.name.clone(),
            topic: names.origin.topic.to_string(),
            partition: names.origin.partition,
            start: names.start,
            nonce: names.nonce.clone(),
            revision: self.revision,
            variant,
            config_digest: version.config_digest.clone(),
            transforms: version.provenance.iter().map(label).collect(),
        }
    }
}

fn label(provenance: &Provenance) -> sink::object_store::Version {
    sink::object_store::Version {
        plugin: provenance.plugin.clone(),
        version: provenance.version.clone(),
        digest: provenance.digest.clone(),
    }
}
