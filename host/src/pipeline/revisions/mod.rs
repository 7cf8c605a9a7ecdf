//! The revisions of a pipeline in this process: which one runs, and how the next one comes.
//!
//! Owns the current shape, its announcement to the lanes, and changes. `start` says what a host begins with,
//! `change` makes new revisions, `follow` finds those of other hosts, `keeper` does what nobody asks for:
//! looking, judging, rolling back. Does not know lanes. Invariant: the number of what is announced never
//! falls, and is one that stands in the ledger.

mod blueprint;
mod boundaries;
mod change;
mod follow;
mod guard;
mod keeper;
mod loader;
mod pauses;
mod propose;
mod samples;
mod shape;
mod start;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

pub(in crate::pipeline) use blueprint::again;
pub(in crate::pipeline) use boundaries::{Boundary, Reached, boundaries};
pub(in crate::pipeline) use change::{Change, Changed, Rejected, rejection_text};
pub(in crate::pipeline) use keeper::{Keeper, Notice};
pub(in crate::pipeline) use loader::Loader;
pub(in crate::pipeline) use pauses::Pause;
pub(in crate::pipeline) use shape::Shape;

use super::Error;
use super::delivery::Delivery;
use crate::config::Swap;
use crate::ledger::{Revision, TopicIdentity};
use crate::record::{Batch, TopicPartition};

/// Notices that may wait for the keeper: one of each lane that loses its candidate says the same.
const NOTICES: usize = 16;

/// What lanes are to run.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Current {
    /// The newest revision that this host could load.
    pub(in crate::pipeline) shape: Arc<Shape>,
    /// There is a newer one, which it can't run: then it runs none.
    pub(in crate::pipeline) unable: Option<Arc<Unable>>,
}

/// A revision that this host can't run.
#[derive(Debug)]
pub(in crate::pipeline) struct Unable {
    /// Its number.
    pub(in crate::pipeline) revision: u64,
    /// Why, for people.
    pub(in crate::pipeline) why: String,
}

/// The revisions.
#[derive(Debug)]
pub(in crate::pipeline) struct Shapes {
    current: watch::Sender<Current>,
    loader: Arc<Loader>,
    changing: tokio::sync::Mutex<()>,
    /// When the last look for newer revisions began that was answered.
    looked: tokio::sync::Mutex<follow::Looked>,
    /// Where entries of earlier revisions deliver to, the last ones.
    deliveries: Mutex<BTreeMap<u64, Arc<Delivery>>>,
    samples: samples::Samples,
    pauses: pauses::Pauses,
    notices: mpsc::Sender<Notice>,
    options: RwLock<Swap>,
}

impl Shapes {
    /// Begins with the newest revision, which is made where this host's file says something new.
    ///
    /// # Errors
    /// What can't be loaded; what the ledger refuses.
    pub(in crate::pipeline) async fn begin(
        loader: Loader,
        options: &Swap,
    ) -> Result<(Arc<Self>, mpsc::Receiver<Notice>), Error> {
        let loader = Arc::new(loader);
        let shape = start::first_shape(&loader).await?;
        let (notices, noticed) = mpsc::channel(NOTICES);
        let shapes = Self {
            current: watch::Sender::new(Current { shape, unable: None }),
            loader,
            changing: tokio::sync::Mutex::default(),
            looked: tokio::sync::Mutex::default(),
            deliveries: Mutex::default(),
            samples: samples::Samples::new(options.probe),
            pauses: pauses::Pauses::default(),
            notices,
            options: RwLock::new(options.clone()),
        };
        Ok((Arc::new(shapes), noticed))
    }

    /// The topics are known, and the first shape's places are claimed for them.
    pub(in crate::pipeline) fn know_topics(&self, topics: Vec<TopicIdentity>) {
        self.loader.know_topics(topics);
    }

    /// The newest revision that is loaded.
    pub(in crate::pipeline) fn shape(&self) -> Arc<Shape> {
        Arc::clone(&self.current.borrow().shape)
    }

    /// What lanes are to run now.
    pub(in crate::pipeline) fn current(&self) -> Current {
        self.current.borrow().clone()
    }

    /// Watches what is to be run.
    pub(in crate::pipeline) fn watch(&self) -> watch::Receiver<Current> {
        self.current.subscribe()
    }

    /// Age at which the first range under another revision is cut.
    pub(in crate::pipeline) fn prove_after(&self) -> Duration {
        self.options.read().unwrap_or_else(PoisonError::into_inner).prove
    }

    /// How new versions are taken in and watched on this host.
    fn options(&self) -> Swap {
        self.options.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// This host's file was read again, and holds from now on.
    fn take_own(&self, own: blueprint::Half) {
        let options = own.config.swap.clone();
        self.samples.want(options.probe);
        *self.options.write().unwrap_or_else(PoisonError::into_inner) = options;
        self.loader.set_own(own);
    }

    /// The newest revisions of the ledger, the newest first.
    ///
    /// # Errors
    /// Those of the ledger.
    pub(in crate::pipeline) async fn history(&self, limit: usize) -> Result<Vec<Revision>, Error> {
        let revisions = &self.loader.revisions;
        let Some(newest) = revisions.newest().await? else { return Ok(Vec::new()) };
        let mut number = newest.revision;
        let mut history = vec![newest];
        while history.len() < limit && number > 1 {
            number -= 1;
            history.extend(revisions.read(number).await?);
        }
        Ok(history)
    }

    /// Keeps a few records of a batch, now and then, to try new versions on.
    pub(in crate::pipeline) fn offer_sample(&self, batch: &Batch, running: Duration) {
        self.samples.offer(batch, running);
    }

    /// Records that new versions are tried on.
    pub(in crate::pipeline) fn sample(&self) -> Option<Batch> {
        self.samples.get()
    }

    /// A lane has made its first call under a revision.
    pub(in crate::pipeline) fn note_pause(&self, lane: &TopicPartition, pause: Pause) {
        self.pauses.note(lane, pause);
    }

    /// How long this host's lanes stood still for a revision.
    pub(in crate::pipeline) fn pauses(&self, revision: u64) -> HashMap<TopicPartition, Pause> {
        self.pauses.of(revision)
    }

    /// Tells the keeper something; a repeat may be dropped.
    pub(in crate::pipeline) fn notice(&self, notice: Notice) {
        let _repeats_may_be_dropped = self.notices.try_send(notice);
    }

    /// Gives a new shape to the lanes.
    fn announce(&self, shape: Arc<Shape>) {
        let before = self.shape();
        tracing::info!(revision = shape.revision, cause = ?shape.document.cause, before = before.revision,
            made_by = shape.document.made_by, why = shape.document.why, "another revision runs from the next cut on");
        self.remember(before.revision, Arc::clone(&before.delivery));
        // A new version that gives up at its first records must not take the running pipeline with it: it is
        // a failure of those records, and the limits for a rollback see it.
        shape.stable.chain.prove();
        self.current.send_modify(|current| {
            if shape.revision > current.shape.revision {
                *current = Current { shape, unable: None };
            }
        });
    }

    fn remember(&self, revision: u64, delivery: Arc<Delivery>) {
        /// Revisions whose sinks are kept open: entries in doubt are of the last few.
        const KEPT: usize = 8;
        let mut deliveries = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
        deliveries.insert(revision, delivery);
        while deliveries.len() > KEPT {
            deliveries.pop_first();
        }
    }
}
