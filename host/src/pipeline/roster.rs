//! Who works here: the lanes of this process, as others may see them.
//!
//! Owns a few numbers a lane. Does not reach the lanes. Invariant: a lane stands here from its assignment until
//! its partition is given back, also after it has halted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::record::TopicPartition;

/// What a lane is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Activity {
    /// It looks for its place in the ledger.
    #[default]
    Beginning,
    /// It works, or waits for records.
    Working,
    /// A circuit breaker holds it.
    Held,
    /// It was told to pause, or can't run the newest revision.
    AtRest,
    /// It stopped with an alarm.
    Halted,
}

const ACTIVITIES: [Activity; 5] =
    [Activity::Beginning, Activity::Working, Activity::Held, Activity::AtRest, Activity::Halted];

/// What others see of a lane.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The offset up to which it has taken records in.
    pub(super) position: AtomicU64,
    /// End of its last published entry.
    pub(super) committed: AtomicU64,
    /// The revision that it works under.
    pub(super) revision: AtomicU64,
    activity: AtomicU8,
}

impl Facts {
    /// Says what the lane is doing.
    pub(super) fn set_activity(&self, activity: Activity) {
        self.activity.store(activity as u8, Ordering::Relaxed);
    }

    /// What the lane is doing.
    pub(super) fn activity(&self) -> Activity {
        let nth = usize::from(self.activity.load(Ordering::Relaxed));
        ACTIVITIES.get(nth).copied().unwrap_or_default()
    }
}

/// All lanes.
#[derive(Debug, Default)]
pub(super) struct Roster {
    lanes: Mutex<BTreeMap<TopicPartition, Arc<Facts>>>,
}

impl Roster {
    /// A lane comes.
    pub(super) fn enter(&self, lane: &TopicPartition) -> Arc<Facts> {
        let facts = Arc::new(Facts::default());
        self.lock().insert(lane.clone(), Arc::clone(&facts));
        facts
    }

    /// A lane halted; it stays to be seen.
    pub(super) fn halted(&self, lane: &TopicPartition) {
        self.lock().entry(lane.clone()).or_default().set_activity(Activity::Halted);
    }

    /// A lane goes.
    pub(super) fn leave(&self, lane: &TopicPartition) {
        self.lock().remove(lane);
    }

    /// All of them, by topic and partition.
    pub(super) fn all(&self) -> Vec<(TopicPartition, Arc<Facts>)> {
        self.lock().iter().map(|(lane, facts)| (lane.clone(), Arc::clone(facts))).collect()
    }

    /// How many there are, and how many do this.
    pub(super) fn count(&self, activity: Activity) -> (u64, u64) {
        let lanes = self.lock();
        let busy = lanes.values().filter(|facts| facts.activity() == activity).count();
        (lanes.len() as u64, busy as u64)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<TopicPartition, Arc<Facts>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_seen_until_it_goes_also_when_it_has_halted() {
        let roster = Roster::default();
        let lane = TopicPartition { topic: "t".into(), partition: 3 };
        let facts = roster.enter(&lane);
        assert_eq!(facts.activity(), Activity::Beginning);
        for activity in ACTIVITIES {
            facts.set_activity(activity);
            assert_eq!((facts.activity(), roster.count(activity)), (activity, (1, 1)));
        }
        roster.halted(&lane);
        assert_eq!(roster.count(Activity::Halted), (1, 1));
        roster.leave(&lane);
        assert!(roster.all().is_empty());
    }
}
