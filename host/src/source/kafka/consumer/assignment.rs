//! The partitions that the group gave, and the answers that librdkafka waits for.
//!
//! Owns who owns what, and the calls `assign`, `incremental_assign` and their opposites. Invariant: a
//! gift is answered at once with an assignment of nothing, so that the partitions which stay go on and
//! the group is never kept waiting for a ledger; a partition is added as soon as its start is known. A
//! revocation is answered once, when each of its partitions was given back.
//!
//! While a revocation has no answer, librdkafka fetches nothing for any partition of this member; what
//! was polled before goes on its way.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::Context;
use crate::record::TopicPartition;

/// Under an eager protocol every change assigns all partitions anew and fetches again what was
/// prefetched, so that the starts of a gift are collected for so long.
const EAGER_COLLECT: Duration = Duration::from_millis(300);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    eager: bool,
    owned: HashSet<TopicPartition>,
    /// What librdkafka fetches.
    assigned: HashSet<TopicPartition>,
    /// Wanted back, not yet answered.
    revoking: BTreeSet<TopicPartition>,
    /// Those of them that were given back.
    returned: BTreeSet<TopicPartition>,
    /// To be assigned from these offsets.
    starts: BTreeMap<TopicPartition, u64>,
    collect_until: Option<Instant>,
    lost: bool,
}

impl Assignment {
    pub(super) fn owns(&self, partition: &TopicPartition) -> bool {
        self.owned.contains(partition) && !self.revoking.contains(partition)
    }

    /// Whether it was lost, so that nothing may be committed for it.
    pub(super) fn may_commit(&self, partition: &TopicPartition) -> bool {
        self.owned.contains(partition) && !(self.lost && self.revoking.contains(partition))
    }

    pub(super) fn owned_count(&self) -> usize {
        self.owned.len()
    }

    /// Takes a gift and lets the group go on.
    pub(super) fn given(&mut self, consumer: &BaseConsumer<Context>, partitions: &[TopicPartition]) {
        self.eager = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Eager);
        self.lost = false;
        if self.eager {
            self.owned.clear();
            self.assigned.clear();
            self.starts.clear();
        }
        self.owned.extend(partitions.iter().cloned());
        let nothing = TopicPartitionList::new();
        let answer =
            if self.eager { consumer.assign(&nothing) } else { consumer.incremental_assign(&nothing) };
        log_failure("answer an assignment", answer);
    }

    /// Notes what the group wants back; returns whether it is lost already.
    pub(super) fn revoked(
        &mut self,
        consumer: &BaseConsumer<Context>,
        partitions: &[TopicPartition],
    ) -> bool {
        self.lost = consumer.assignment_lost();
        self.revoking.extend(partitions.iter().cloned());
        for partition in partitions {
            self.starts.remove(partition);
            if !self.owned.contains(partition) {
                // Given back of its own accord before: nobody is to be asked again.
                self.returned.insert(partition.clone());
            }
        }
        self.answer_revocation(consumer);
        self.lost
    }

    /// What is to be given back before the group goes on.
    pub(super) fn unanswered(&self) -> Vec<TopicPartition> {
        self.revoking.difference(&self.returned).cloned().collect()
    }

    /// Partitions of a revocation without an answer that were lost since it came.
    pub(super) fn lost_meanwhile(&mut self, consumer: &BaseConsumer<Context>) -> Vec<TopicPartition> {
        if self.lost || self.revoking.is_empty() || !consumer.assignment_lost() {
            return Vec::new();
        }
        self.lost = true;
        self.revoking.iter().cloned().collect()
    }

    /// Notes a start, carried out by [`Assignment::serve`].
    pub(super) fn start(&mut self, partition: TopicPartition, offset: u64, now: Instant) {
        self.starts.insert(partition, offset);
        if self.eager {
            self.collect_until.get_or_insert(now + EAGER_COLLECT);
        }
    }

    /// Whether librdkafka reads it already.
    pub(super) fn is_assigned(&self, partition: &TopicPartition) -> bool {
        self.assigned.contains(partition)
    }

    /// Takes back partitions that their lanes are done with. Returns those that the group did not ask
    /// for: they stay with this member, and are to be paused.
    pub(super) fn given_back(
        &mut self,
        consumer: &BaseConsumer<Context>,
        partitions: Vec<TopicPartition>,
    ) -> Vec<TopicPartition> {
        let mut unasked = Vec::new();
        for partition in partitions {
            if self.revoking.contains(&partition) {
                self.owned.remove(&partition);
                self.returned.insert(partition);
            } else if self.assigned.contains(&partition) || self.starts.contains_key(&partition) {
                self.owned.remove(&partition);
                self.starts.remove(&partition);
                unasked.push(partition);
            }
            // Else it is a second answer to a revocation, and must not touch a gift made since.
        }
        self.answer_revocation(consumer);
        unasked
    }

    fn answer_revocation(&mut self, consumer: &BaseConsumer<Context>) {
        if self.revoking.is_empty() || !self.revoking.is_subset(&self.returned) {
            return;
        }
        let back: Vec<_> = self.revoking.iter().filter(|one| self.assigned.contains(*one)).cloned().collect();
        if self.eager {
            self.assigned.clear();
            log_failure("give partitions back", consumer.unassign());
        } else {
            self.unassign_incrementally(consumer, &back);
        }
        self.revoking.clear();
        self.returned.clear();
        self.lost = false;
    }

    fn unassign_incrementally(&mut self, consumer: &BaseConsumer<Context>, back: &[TopicPartition]) {
        for partition in back {
            self.assigned.remove(partition);
        }
        let Err(error) = consumer.incremental_unassign(&list(back)) else { return };
        // The group waits for this answer, whatever we thought that we have.
        tracing::warn!(%error, "partitions could not be given back as a whole");
        let kept = consumer.assignment().map(|kept| kept.to_topic_map()).unwrap_or_default();
        let there: Vec<_> = back
            .iter()
            .filter(|one| kept.contains_key(&(one.topic.to_string(), one.partition)))
            .cloned()
            .collect();
        log_failure("give partitions back", consumer.incremental_unassign(&list(&there)));
    }

    /// Assigns what has a start, and returns what runs now. `position` tells where the others stand, for an eager protocol, which
    /// takes all at once.
    pub(super) fn serve(
        &mut self,
        consumer: &BaseConsumer<Context>,
        now: Instant,
        position: impl Fn(&TopicPartition) -> Option<u64>,
    ) -> Vec<TopicPartition> {
        if self.starts.is_empty() {
            return Vec::new();
        }
        if self.eager {
            let all_known =
                self.owned.iter().all(|one| self.starts.contains_key(one) || self.assigned.contains(one));
            if !all_known && self.collect_until.is_some_and(|until| now < until) {
                return Vec::new();
            }
            for partition in &self.assigned {
                if let Some(offset) = position(partition) {
                    self.starts.entry(partition.clone()).or_insert(offset);
                }
            }
        }
        self.collect_until = None;
        let starts = std::mem::take(&mut self.starts);
        let offsets = list_at(&starts);
        let answer =
            if self.eager { consumer.assign(&offsets) } else { consumer.incremental_assign(&offsets) };
        let started: Vec<_> = starts.into_keys().collect();
        if answer.is_ok() {
            self.assigned.extend(started.iter().cloned());
            // A pause may outlive an assignment.
            log_failure("resume partitions", consumer.resume(&offsets));
        }
        log_failure("assign partitions", answer);
        started
    }

    /// Moves a start that was not carried out yet; false where there is none.
    pub(super) fn move_start(&mut self, partition: &TopicPartition, offset: u64) -> bool {
        self.starts.get_mut(partition).map(|start| *start = offset).is_some()
    }

    /// Reads a partition anew from an offset where a seek is not possible (its fetcher gave up). Put off
    /// while a revocation waits, whose answer this would be taken for.
    pub(super) fn reassign(
        &mut self,
        consumer: &BaseConsumer<Context>,
        partition: &TopicPartition,
        offset: u64,
        now: Instant,
    ) -> bool {
        if !self.eager && !self.revoking.is_empty() {
            return false;
        }
        if !self.eager && self.assigned.remove(partition) {
            log_failure("begin anew", consumer.incremental_unassign(&list(std::slice::from_ref(partition))));
        }
        self.start(partition.clone(), offset, now);
        true
    }
}

fn list(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}

pub(super) fn list_at<'a>(
    offsets: impl IntoIterator<Item = (&'a TopicPartition, &'a u64)>,
) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        let offset = Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX));
        list.add_partition_offset(&partition.topic, partition.partition, offset)
            .expect("an offset that is not negative can be told");
    }
    list
}

fn log_failure(what: &'static str, answer: KafkaResult<()>) {
    if let Err(error) = answer {
        tracing::error!(%error, what, "the group refused a call");
    }
}
