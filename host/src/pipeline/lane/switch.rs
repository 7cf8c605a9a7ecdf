//! How a lane goes from one shape of the pipeline to the next.
//!
//! Owns the order: no cut under way, the open range ended where it stands, the new transforms, and on from
//! there. The old range is finished aside, so that the lane stands still only while instances are made.
//! Invariant: a range is of one shape; the shapes of a lane rise, and are never lower than its chain's.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::commit::Ending;
use super::{Error, Lane};
use crate::pipeline::cpu::Turn;
use crate::pipeline::revisions::{Pause, Shape};
use crate::record::{Batch, CutCause};

/// A shape that a lane is to go on with.
#[derive(Debug)]
pub(super) struct Wanted {
    shape: Arc<Shape>,
    noticed: Instant,
}

/// What is known of a switch until the first call under the new shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Switched {
    noticed: Instant,
    began: Instant,
    ended: Instant,
}

impl Lane {
    /// Takes note of what is to be run.
    pub(super) fn look_at_shapes(&mut self) {
        let current = self.shapes.borrow_and_update().clone();
        self.is_unable = current.unable.is_some();
        if current.shape.revision > self.shape.revision {
            let noticed = self.wanted.take().map_or_else(Instant::now, |wanted| wanted.noticed);
            self.wanted = Some(Wanted { shape: current.shape, noticed });
        }
        if self.is_unable && !self.range().is_empty() {
            self.cut_wanted = self.cut_wanted.or(Some(CutCause::Swap));
        }
    }

    /// Whether the lane is to stand still until it is told otherwise.
    pub(super) fn is_at_rest(&self) -> bool {
        self.is_unable || self.is_paused
    }

    /// Another writer's entry ends the chain: the lane goes on with what made it, or with something newer.
    pub(super) async fn follow_revision(&mut self) -> Result<(), Error> {
        let revision = self.tail.last.as_ref().map_or(0, |last| last.entry.revision);
        if revision > self.shape.revision {
            self.context.shapes.load_at_least(revision).await;
            self.look_at_shapes();
            // What others made with a revision that is not loaded here is not gone behind with an older one.
            self.is_unable |= self.wanted.as_ref().is_none_or(|wanted| wanted.shape.revision < revision);
        }
        Ok(())
    }

    /// A batch has come that begins a range: is there a revision that was made before it came?
    ///
    /// Who makes a revision is told of an idle partition that it holds there from the chain's end on, by whichever
    /// host: so a range is begun by what was the newest revision after its first batch had come.
    pub(super) fn look_before(&mut self, batch: Batch) {
        if batch.epoch != self.epoch {
            return;
        }
        // From here on the lane stands still; before, it had nothing to do.
        self.last_settled = Instant::now();
        self.first = Some(batch);
        let shapes = Arc::clone(&self.context.shapes);
        let look = async move { shapes.look_now().await };
        self.looking = Some(AbortOnDropHandle::new(tokio::spawn(look)));
    }

    /// Takes a batch that waits already, before the entry of the range before it is created: as long as it is there
    /// nobody can take the partition for idle, and so there is nothing to look for.
    pub(super) fn take_ahead(&mut self) {
        if self.first.is_none() {
            self.first = self.outlet.try_next();
        }
    }

    /// Begins a range.
    pub(super) async fn take_first(&mut self) -> Result<(), Error> {
        match self.first.take() {
            Some(batch) => self.take_batch(batch).await,
            None => Ok(()),
        }
    }

    /// Goes over to the wanted shape, where there is one and nothing is in the way.
    pub(super) async fn switch_if_wanted(&mut self) -> Result<(), Error> {
        if self.committing.is_some() {
            return Ok(());
        }
        let Some(Wanted { shape, noticed }) = self.wanted.take() else { return Ok(()) };
        let began = Instant::now();
        let next = Arc::clone(&shape);
        let pool = self.pool_of(shape.may_block());
        let ended = self.run_work(pool, Turn::Urgent, move |work| work.switch(next)).await?;
        let cause = self.cut_wanted.take().unwrap_or(CutCause::Swap);
        if !ended.is_empty() {
            self.take_ahead();
            self.commit(cause, Ending::Open(ended))?;
        }
        tracing::debug!(lane = %self.names.origin, revision = shape.revision, from = self.position,
            "the lane goes on under another revision");
        self.shape = shape;
        self.is_unproven = true;
        self.resume();
        self.switched = Some(Switched { noticed, began, ended: Instant::now() });
        Ok(())
    }

    /// The first call under the new shape begins: how long did the lane stand still?
    ///
    /// The time in which it waited for a cut that was under way already is told apart. A batch that came only
    /// after the switch waited for nothing but the switch.
    pub(super) fn note_pause(&mut self, last_call: Option<Instant>, first_call: Instant) {
        let Some(Switched { noticed, began, ended }) = self.switched.take() else { return };
        let last_call = last_call.unwrap_or(began);
        let was_waiting = self.taken_at.is_some_and(|taken| taken <= ended + AT_ONCE);
        let stood = if was_waiting {
            first_call.saturating_duration_since(last_call.max(self.last_settled.min(began)))
        } else {
            ended.saturating_duration_since(began)
        };
        let waited = began.saturating_duration_since(noticed.max(last_call));
        let pause = Pause { revision: self.shape.revision, stood, waited };
        self.context.shapes.note_pause(&self.names.origin, pause);
    }
}

/// Ends when a look for a newer revision has ended, which takes it away.
pub(super) async fn looked(looking: &mut Option<AbortOnDropHandle<()>>) {
    match looking {
        Some(look) => {
            let _it_is_never_cancelled = look.await;
            *looking = None;
        }
        None => std::future::pending().await,
    }
}

/// A batch that comes so soon after a switch has waited for it.
const AT_ONCE: std::time::Duration = std::time::Duration::from_millis(1);
