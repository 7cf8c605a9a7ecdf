//! What a revision is made of, before anything of it is compiled or opened.
//!
//! Owns the way from files and from the ledger to that, and what it is called in the ledger. Invariant: the
//! components stand in the order of the configuration's transforms.

use bytes::Bytes;

use crate::config;
use crate::ledger::{REVISION_VERSION, Revision, RevisionCause, Rollout, RolloutMode, TransformEntry};
use crate::pipeline::{Error, code};
use crate::plugin::Digest;

/// One version: a configuration and the components that it is about.
#[derive(Clone, Debug)]
pub(super) struct Half {
    /// The configuration, on this host.
    pub(super) config: config::Pipeline,
    /// A component for each transform, in order.
    pub(super) components: Vec<Bytes>,
}

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Blueprint {
    /// What runs.
    pub(super) stable: Half,
    /// What runs beside.
    pub(super) candidate: Option<(Half, RolloutMode)>,
}

/// Why and by what a revision is made.
#[derive(Clone, Debug)]
pub(super) struct Reason {
    pub(super) cause: RevisionCause,
    pub(super) of: Option<u64>,
    pub(super) why: Option<String>,
}

impl Reason {
    /// One that needs no more words.
    pub(super) fn plain(cause: RevisionCause) -> Self {
        Self { cause, of: None, why: None }
    }
}

impl Half {
    /// What this host's files hold.
    pub(super) fn read(config: &config::Pipeline) -> Result<Self, Error> {
        Ok(Self { config: config.clone(), components: code::read(config)? })
    }

    /// The component of a transform.
    pub(super) fn component(&self, transform: &str) -> Option<&Bytes> {
        let names = self.config.transforms.iter().map(|transform| &*transform.name);
        names.zip(&self.components).find(|(name, _)| *name == transform).map(|(_, component)| component)
    }

    /// The transforms as far as they are known without a look inside.
    fn entries(&self) -> Vec<TransformEntry> {
        let entry = |(transform, component): (&config::Transform, &Bytes)| TransformEntry {
            name: transform.name.clone(),
            plugin: String::new(),
            version: String::new(),
            digest: Digest::of(component).as_str().to_owned(),
            grants: transform.grants.names(),
        };
        self.config.transforms.iter().zip(&self.components).map(entry).collect()
    }
}

impl Blueprint {
    /// One version alone.
    pub(super) fn alone(stable: Half) -> Self {
        Self { stable, candidate: None }
    }

    /// The revision that this would be. What plugins call themselves is left open.
    pub(super) fn draft(&self, number: u64, reason: Reason) -> Revision {
        let rollout = self.candidate.as_ref().map(|(half, mode)| Rollout {
            config: half.config.kept.digest.clone(),
            transforms: half.entries(),
            mode: *mode,
        });
        Revision {
            version: REVISION_VERSION,
            revision: number,
            pipeline: self.stable.config.name.clone(),
            cause: reason.cause,
            of: reason.of,
            why: reason.why.map(|why| bounded(&why)),
            made_at: crate::clock::rfc3339(crate::clock::now_ms()),
            made_by: maker(),
            host_version: env!("CARGO_PKG_VERSION").to_owned(),
            config: self.stable.config.kept.digest.clone(),
            transforms: self.stable.entries(),
            rollout,
        }
    }

    /// What makes it equal to another one.
    pub(super) fn content(&self) -> String {
        self.draft(1, Reason::plain(RevisionCause::Start)).content()
    }

    /// Every version of it.
    pub(super) fn halves(&self) -> impl Iterator<Item = &Half> {
        std::iter::once(&self.stable).chain(self.candidate.iter().map(|(half, _)| half))
    }
}

/// The revision of this number that has the content of an earlier one again.
pub(in crate::pipeline) fn again(earlier: &Revision, number: u64) -> Revision {
    Revision {
        revision: number,
        cause: RevisionCause::Rollback,
        of: Some(earlier.revision),
        why: None,
        made_at: crate::clock::rfc3339(crate::clock::now_ms()),
        made_by: maker(),
        host_version: env!("CARGO_PKG_VERSION").to_owned(),
        ..earlier.clone()
    }
}

/// A text as the ledger takes it: at most [`crate::ledger::REVISION_TEXT_BYTES_MAX`] bytes.
fn bounded(text: &str) -> String {
    let end = text.floor_char_boundary(crate::ledger::REVISION_TEXT_BYTES_MAX);
    text[..end].to_owned()
}

/// Name of the machine, and number of the process.
fn maker() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = if name.trim().is_empty() { "unknown" } else { name.trim() };
    bounded(&format!("{name}/{}", std::process::id()))
}
