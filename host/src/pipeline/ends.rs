//! `--until-end`: the end of each partition as it was at start, and who has got there.
//!
//! Owns the list. Partitions that other members of the group work are looked up in the group's commits,
//! which come after their entries are published. Invariant: a partition that has reached its end stays
//! so.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::context::Context;
use super::lane;
use crate::record::TopicPartition;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The ends noted at start.
#[derive(Debug)]
pub(super) struct Ends {
    until: HashMap<TopicPartition, u64>,
    reached: HashSet<TopicPartition>,
    looked: Instant,
}

impl Ends {
    pub(super) fn new(until: HashMap<TopicPartition, u64>) -> Self {
        Self { until, reached: HashSet::new(), looked: Instant::now() }
    }

    /// Where a partition's end was; one that came later has none, and is not waited for.
    pub(super) fn of(&self, partition: &TopicPartition) -> Option<u64> {
        Some(self.until.get(partition).copied().unwrap_or(0))
    }

    pub(super) fn reached(&mut self, partition: &TopicPartition) {
        self.reached.insert(partition.clone());
    }

    pub(super) fn all_reached(&self) -> bool {
        self.until.keys().all(|partition| self.reached.contains(partition))
    }

    /// Looks up how far other members of the group are. A failed look-up is made again later.
    pub(super) async fn look_at_others(
        &mut self,
        context: &Context,
        lanes: &HashMap<TopicPartition, lane::Handle>,
    ) {
        if self.looked.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked = Instant::now();
        let elsewhere: Vec<_> = self
            .until
            .keys()
            .filter(|partition| !lanes.contains_key(*partition) && !self.reached.contains(*partition))
            .cloned()
            .collect();
        if elsewhere.is_empty() {
            return;
        }
        match context.committed(&elsewhere).await {
            Ok(commits) => {
                for partition in elsewhere {
                    let end = self.until[&partition];
                    if commits.get(&partition).is_some_and(|commit| commit.offset >= end) {
                        self.reached.insert(partition);
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "could not look up the group's commits"),
        }
    }
}
