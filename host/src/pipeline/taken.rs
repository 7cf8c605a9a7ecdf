//! Taking in what changed in this host's files, for whoever develops a plugin.
//!
//! Owns the wait for this host's lanes, and what is told of the trial. Changes nothing in another way than a
//! reload does. Invariant: what it says is live has been taken up by every lane of this host that is not
//! counted as behind.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Operator;
use super::operator::declined;
use super::revisions::Change;
use super::roster::Activity;
use crate::control::Declined;
use crate::transform::Probe;

/// How often lanes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What came of reading the files again.
#[derive(Debug)]
pub struct Taken {
    /// The revision that holds now.
    pub revision: u64,
    /// The one that held before; the same where nothing changed.
    pub before: u64,
    /// What becomes of each part, a line each; none where nothing changed.
    pub what: Vec<String>,
    /// Both versions on the last real records; `None`: there are none, or nothing changed.
    pub probe: Option<Probe>,
    /// Lanes of this host that had not gone over in time: a call goes on, or a cut.
    pub behind: usize,
}

impl Operator {
    /// The revision that runs on this host.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.context.shapes.shape().revision
    }

    /// Reads this host's files again and takes in what changed, all or nothing; returns once every lane of
    /// this host has gone over, or after `wait`.
    ///
    /// # Errors
    /// Why everything goes on as before.
    pub async fn take_in(&self, wait: Duration) -> Result<Taken, Declined> {
        let changed = self.context.shapes.change(Change::Reload, None).await;
        let changed = changed.map_err(|rejected| declined(&rejected))?;
        let revision = changed.shape.revision;
        let deadline = Instant::now() + wait;
        let mut behind = self.behind(revision);
        while behind > 0 && Instant::now() < deadline {
            sleep(LOOK_EVERY).await;
            behind = self.behind(revision);
        }
        Ok(Taken { revision, before: changed.from, what: changed.what, probe: changed.probe, behind })
    }

    /// Lanes that do not work under a revision yet, nor under a later one.
    fn behind(&self, revision: u64) -> usize {
        let lanes = self.context.roster.all();
        let is_behind = |facts: &super::roster::Facts| {
            facts.activity() != Activity::Halted && facts.revision.load(Ordering::Relaxed) < revision
        };
        lanes.iter().filter(|(_, facts)| is_behind(facts)).count()
    }
}
