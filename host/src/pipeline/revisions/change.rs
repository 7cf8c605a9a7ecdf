//! From a wish to a new revision.
//!
//! Owns the order of a change, whatever it is: look at the newest revision, load, try on real records, write
//! down, announce. Invariant: until a new revision stands in the ledger nothing changes; once it stands, it
//! is announced here, and the other hosts find it.

use std::sync::Arc;

use bytes::Bytes;

use super::blueprint::Reason;
use super::propose::{Forced, Proposal};
use super::shape::Shape;
use super::{Current, Shapes};
use crate::ledger::{Created, RolloutMode, ShareBy};
use crate::pipeline::Error;
use crate::pipeline::error::chain_text;
use crate::transform::{Probe, Side, probe};

/// What is to change.
#[derive(Clone, Debug)]
pub(in crate::pipeline) enum Change {
    /// The component of a transform: for all records, or as a candidate.
    Swap {
        /// The transform.
        transform: String,
        /// Its new code.
        component: Bytes,
        /// How it comes in; `None`: for all records.
        rollout: Option<RolloutMode>,
        /// Even if it fails on the records that it is tried on.
        force: bool,
    },
    /// The candidate becomes what runs.
    Promote,
    /// The candidate is given up.
    Abort,
    /// An earlier revision's content holds again: of this one, or of the last one with other content.
    Rollback(Option<u64>),
    /// The candidate gets another share.
    Weights {
        /// Hundredths of a percent.
        share: u16,
        /// Of what; `None`: as before.
        by: Option<ShareBy>,
    },
    /// A shadow that differs is not promoted by itself any more.
    KeepShadow,
    /// This host's file is read again, and every component that it names.
    Reload,
}

/// What came of it.
#[derive(Debug)]
pub(in crate::pipeline) struct Changed {
    /// The revision that held before.
    pub(in crate::pipeline) from: u64,
    /// What holds now.
    pub(in crate::pipeline) shape: Arc<Shape>,
    /// A line for each part that changes.
    pub(in crate::pipeline) what: Vec<String>,
    /// The trial on real records.
    pub(in crate::pipeline) probe: Option<Probe>,
}

/// Why nothing changed.
#[derive(Debug, thiserror::Error)]
pub(in crate::pipeline) enum Rejected {
    /// There is no such transform.
    #[error("revision {revision} has no transform `{transform}`; it has {known}")]
    NoTransform {
        /// The revision.
        revision: u64,
        /// What was named.
        transform: String,
        /// What there is.
        known: String,
    },
    /// There is no such revision.
    #[error("there is no revision {0} to go back to")]
    NoRevision(u64),
    /// No other version ran alone before.
    #[error("there is no version to go back to before that of revision {0}")]
    NothingBefore(u64),
    /// There is nothing to promote, to abort or to weigh.
    #[error("revision {0} has no candidate")]
    NoCandidate(u64),
    /// A candidate is there already.
    #[error("revision {0} has a candidate; promote or abort it first")]
    CandidateStands(u64),
    /// A shadow has no share.
    #[error("the candidate of revision {0} is a shadow, which has no share")]
    Shadow(u64),
    /// It needs a restart.
    #[error("{0}")]
    NeedsRestart(String),
    /// It fails on records that the version before did not fail on.
    #[error(
        "the new version fails on {failed} of the last {records} records, the old one on {before}: {first}"
    )]
    Trial {
        /// How many fail.
        failed: u64,
        /// How many fail with what runs now.
        before: u64,
        /// How many were tried.
        records: u64,
        /// The first failure.
        first: String,
    },
    /// Another host was quicker.
    #[error("another host made revision {0} at the same time")]
    Overtaken(u64),
    /// The newest revision can't run here, so that nothing can be put behind it.
    #[error("revision {revision} can't run on this host: {why}")]
    Unable {
        /// The revision.
        revision: u64,
        /// Why.
        why: String,
    },
    /// What is new can't be loaded, or the ledger can't be asked.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Shapes {
    /// Makes a change; `why` is for the people who read revisions.
    ///
    /// # Errors
    /// Why nothing changed. After [`Rejected::Failed`] of the ledger the revision may stand all the same, and
    /// is then found like any other host's.
    pub(in crate::pipeline) async fn change(
        self: &Arc<Self>,
        change: Change,
        why: Option<String>,
    ) -> Result<Changed, Rejected> {
        let _one_at_a_time = self.changing.lock().await;
        self.catch_up().await?;
        let (before, number) = self.stand(&change)?;
        let Proposal { blueprint, reason, what, tried, own, is_unseen } =
            self.propose(&before, change).await?;
        let reason = Reason { why: reason.why.or(why), ..reason };
        let mut draft = blueprint.draft(number, reason);
        let is_next = number == before.revision + 1;
        if is_next && draft.content() == before.document.content() && !is_unseen {
            if let Some(own) = own {
                self.take_own(own);
            }
            return Ok(Changed { from: before.revision, shape: before, what: Vec::new(), probe: None });
        }
        let loaded = self.loader.load(blueprint.clone(), Some(&before)).await?;
        loaded.name_plugins(&mut draft);
        let probe = match tried {
            Some(forced) => self.try_out(&before, &loaded, forced).await?,
            None => None,
        };
        self.loader.keep(&blueprint).await?;
        match self.loader.revisions.create(&draft).await.map_err(Error::Ledger)? {
            Created::Mine => {}
            Created::Theirs(theirs) => return Err(Rejected::Overtaken(theirs.revision)),
        }
        if let Some(own) = own {
            self.take_own(own);
        }
        let shape = loaded.into_shape(draft);
        self.announce(Arc::clone(&shape));
        Ok(Changed { from: before.revision, shape, what, probe })
    }

    /// What runs, and the number of what comes next. A host that can't run the newest revision may go back to
    /// another one, and do nothing else.
    fn stand(&self, change: &Change) -> Result<(Arc<Shape>, u64), Rejected> {
        let Current { shape, unable } = self.current();
        match (unable, change) {
            (None, _) => {
                let next = shape.revision + 1;
                Ok((shape, next))
            }
            (Some(unable), Change::Rollback(_)) => Ok((shape, unable.revision + 1)),
            (Some(unable), _) => Err(Rejected::Unable { revision: unable.revision, why: unable.why.clone() }),
        }
    }

    /// Tries what is new on real records, beside what runs.
    async fn try_out(
        &self,
        before: &Arc<Shape>,
        loaded: &super::loader::Loaded,
        Forced(forced): Forced,
    ) -> Result<Option<Probe>, Rejected> {
        let Some(batch) = self.sample() else { return Ok(None) };
        let (old, new) = (before.stable.chain.clone(), loaded.newest().clone());
        let tried = tokio::task::spawn_blocking(move || probe(Some(&old), &new, &batch)).await;
        let probe = tried.map_err(|error| Error::System(std::io::Error::other(error)))?;
        let before = probe.stable.as_ref().map_or(0, Side::breaks);
        let failed = probe.candidate.breaks();
        let is_worse = failed > before || (probe.candidate.error.is_some() && !is_stuck(&probe));
        if is_worse && !forced {
            let found = probe.candidate.first_broken.as_ref();
            let found =
                found.map(|found| format!("offset {}: {:?}: {}", found.offset, found.condition, found.text));
            let first = found.or(probe.candidate.error).unwrap_or_default();
            return Err(Rejected::Trial { failed, before, records: probe.records, first });
        }
        Ok(Some(probe))
    }
}

/// Whether what runs now can't be tried either.
fn is_stuck(probe: &Probe) -> bool {
    probe.stable.as_ref().is_some_and(|side| side.error.is_some())
}

/// What a person reads of a rejection, with all its causes.
pub(in crate::pipeline) fn rejection_text(rejected: &Rejected) -> String {
    chain_text(rejected)
}
