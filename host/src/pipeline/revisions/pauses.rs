//! How long lanes stood still for the newest switch.
//!
//! Owns one figure a lane. Invariant: all figures are of one revision, the newest that a lane told of.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::record::TopicPartition;

/// How a lane went over to a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) struct Pause {
    /// The revision.
    pub(in crate::pipeline) revision: u64,
    /// From the return of the last call under the old one to the first under the new one.
    pub(in crate::pipeline) stood: Duration,
    /// How long it had to wait before that for a cut that was under way.
    pub(in crate::pipeline) waited: Duration,
}

/// The figures of the newest revision.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    known: Mutex<HashMap<TopicPartition, Pause>>,
}

impl Pauses {
    /// A lane has made its first call under a revision.
    pub(super) fn note(&self, lane: &TopicPartition, pause: Pause) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = known.values().map(|pause| pause.revision).max().unwrap_or(0);
        if pause.revision > newest {
            known.clear();
        }
        if pause.revision >= newest {
            known.insert(lane.clone(), pause);
        }
    }

    /// The figures of a revision, by lane.
    pub(super) fn of(&self, revision: u64) -> HashMap<TopicPartition, Pause> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let of = known.iter().filter(|(_, pause)| pause.revision == revision);
        of.map(|(lane, pause)| (lane.clone(), *pause)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_revision_is_kept() {
        let pauses = Pauses::default();
        let lane = |partition| TopicPartition { topic: "t".into(), partition };
        let pause =
            |revision, ms| Pause { revision, stood: Duration::from_millis(ms), waited: Duration::ZERO };
        pauses.note(&lane(0), pause(1, 5));
        pauses.note(&lane(1), pause(2, 6));
        pauses.note(&lane(2), pause(1, 7));
        assert!(pauses.of(1).is_empty());
        assert_eq!(pauses.of(2), HashMap::from([(lane(1), pause(2, 6))]));
    }
}
