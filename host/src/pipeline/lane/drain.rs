//! How a lane ends in good order.
//!
//! Owns the order: no intake, the running cut, one last cut, the closed marker. Invariant: at the
//! deadline the lane lets go of everything at once; staging of a create without an answer is left, and
//! nothing more is committed.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::commit::{self, commit_offset};
use super::{Ended, Error, Lane};
use crate::crash;
use crate::ledger::Kind;
use crate::pipeline::error::chain_text;
use crate::record::CutCause;
use crate::source::Command;

/// How long a lane that stops the pipeline may deliver what it has.
const DELIVER_BEFORE: Duration = Duration::from_secs(10);

impl Lane {
    /// Delivers what was taken in and ends, by `deadline` at the latest.
    pub(super) async fn drain(&mut self, cause: CutCause, deadline: Instant) -> Result<Ended, Error> {
        self.context.tell(Command::Stop { partition: self.names.origin.clone() }).await;
        self.wait_for(None);
        match timeout_at(deadline, self.deliver_rest(cause)).await {
            Ok(delivered) => delivered.map(|()| Ended::Drained),
            Err(_) => {
                tracing::warn!(lane = %self.names.origin, position = self.position, committed = self.tail.end,
                    "the deadline passed before the lane had drained; what is not committed comes again");
                Ok(Ended::TimedOut)
            }
        }
    }

    /// The partition's end, as noted at start, is published: says so to the group, and ends.
    pub(super) async fn finish(&mut self) -> Result<Ended, Error> {
        if self.until.is_some_and(|until| self.tail.end > until) {
            // Another member may have got further since; or the log was cut off behind its records.
            match self.look_at_log().await {
                Err(error) if !error.may_pass() => return Err(error),
                _ => {}
            }
        }
        self.context.tell(Command::Stop { partition: self.names.origin.clone() }).await;
        if let Some(last) = &self.tail.last {
            commit_offset(&self.context, &self.chain, &self.names, last).await;
        }
        self.close().await?;
        Ok(Ended::Reached)
    }

    /// Delivers what stands before the record that stops the pipeline, as far as that goes within a drain's time, and
    /// ends with the error.
    pub(super) async fn deliver_before(&mut self, error: Error) -> Result<(), Error> {
        self.context.tell(Command::Stop { partition: self.names.origin.clone() }).await;
        let delivered =
            timeout_at(Instant::now() + DELIVER_BEFORE, self.deliver_rest(CutCause::Shutdown)).await;
        if let Ok(Err(other)) = delivered {
            tracing::warn!(lane = %self.names.origin, error = %chain_text(&other),
                "what was taken in before can't be delivered; it comes again");
        }
        Err(error)
    }

    async fn deliver_rest(&mut self, cause: CutCause) -> Result<(), Error> {
        self.settle_running_cut().await?;
        self.cut_wanted = Some(cause);
        self.cut().await?;
        self.settle_running_cut().await?;
        self.close().await
    }

    async fn settle_running_cut(&mut self) -> Result<(), Error> {
        if self.committing.is_none() {
            return Ok(());
        }
        let settled = commit::settled(&mut self.committing).await?;
        self.settle(settled).await
    }

    /// Whether there is a last entry to close, and nothing behind it.
    pub(super) fn may_close(&self) -> bool {
        let is_idle = self.committing.is_none() && self.range().is_empty();
        is_idle && !self.tail.closed && self.tail.last.is_some()
    }

    /// Says that the last entry is published for good, where nothing follows it.
    pub(super) async fn close(&mut self) -> Result<(), Error> {
        if !self.may_close() {
            return Ok(());
        }
        if let Some(work) = &mut self.work {
            work.release_instances();
        }
        let Some(last) = &self.tail.last else { return Ok(()) };
        match self.chain.close(last).await {
            Ok(()) => self.tail.closed = true,
            // The marker may be left out: the next owner looks at the objects instead.
            Err(error) if error.kind() == Kind::Transient => {
                tracing::warn!(lane = %self.names.origin, %error, "the chain's last entry could not be marked as closed");
                self.last_settled = Instant::now();
            }
            Err(error) => return Err(error.into()),
        }
        crash::point("lane:closed");
        Ok(())
    }
}
