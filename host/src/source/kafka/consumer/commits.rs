//! Offsets on their way to the group.
//!
//! Owns what is to be committed and what was sent. Invariant: per partition only the newest matters, one
//! request is under way at a time (but at a revocation), and a failure never stops anything: a committed
//! offset is advice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::super::native::{self, Place};
use super::Context;
use crate::record::TopicPartition;

/// A request without an answer is given up after so long; librdkafka's own bound is 60 s.
const ANSWER_MAX: Duration = Duration::from_secs(65);

/// Wait after a failed request.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
struct Note {
    offset: u64,
    metadata: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Commits {
    waiting: BTreeMap<TopicPartition, Note>,
    sent: BTreeMap<TopicPartition, Note>,
    requests: usize,
    give_up: Option<Instant>,
    not_before: Option<Instant>,
}

impl Commits {
    /// Takes an offset, in place of an older one that still waits.
    pub(super) fn add(&mut self, partition: TopicPartition, offset: u64, metadata: String) {
        self.waiting.insert(partition, Note { offset, metadata });
    }

    /// Forgets what may no longer be committed.
    pub(super) fn forget(&mut self, partition: &TopicPartition) {
        self.waiting.remove(partition);
        self.sent.remove(partition);
    }

    /// Whether nothing waits or is under way.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.requests == 0
    }

    /// Sends what waits, if nothing is under way.
    pub(super) fn serve(&mut self, consumer: &BaseConsumer<Context>, now: Instant) {
        if self.give_up.is_some_and(|give_up| now >= give_up) {
            tracing::warn!("no answer to a commit of offsets");
            self.requests = 0;
            self.give_up = None;
            self.sent.clear();
        }
        let too_early = self.not_before.is_some_and(|not_before| now < not_before);
        if self.requests == 0 && !too_early {
            self.send(consumer, now);
        }
    }

    /// Sends what waits without more ado: a revocation is about to be answered.
    pub(super) fn send(&mut self, consumer: &BaseConsumer<Context>, now: Instant) {
        if self.waiting.is_empty() {
            return;
        }
        self.not_before = None;
        let notes = std::mem::take(&mut self.waiting);
        match native::commit(consumer, &list(&notes)) {
            Ok(()) => {
                self.sent.extend(notes);
                self.requests += 1;
                self.give_up = Some(now + ANSWER_MAX);
            }
            Err(error) => {
                tracing::warn!(%error, partitions = notes.len(), "offsets could not be committed");
                self.put_back(notes, now);
            }
        }
    }

    fn put_back(&mut self, notes: BTreeMap<TopicPartition, Note>, now: Instant) {
        self.not_before = Some(now + RETRY);
        for (partition, note) in notes {
            self.waiting.entry(partition).or_insert(note);
        }
    }

    /// Takes the answer of a request.
    pub(super) fn answered(&mut self, result: Option<RDKafkaErrorCode>, places: &[Place], now: Instant) {
        self.requests = self.requests.saturating_sub(1);
        if self.requests == 0 {
            self.give_up = None;
        }
        let mut failed = BTreeMap::new();
        let mut code = None;
        for place in places {
            let partition = TopicPartition { topic: place.topic.as_str().into(), partition: place.partition };
            let note = self.sent.remove(&partition);
            let Some(error) = place.error.or(result).filter(|error| *error != RDKafkaErrorCode::NoOffset)
            else {
                continue;
            };
            code = Some(error);
            if let Some(note) = note.filter(|_| may_succeed_later(error)) {
                failed.insert(partition, note);
            }
        }
        match code {
            Some(code) => {
                let error = KafkaError::ConsumerCommit(code);
                let retried = failed.len();
                tracing::warn!(%error, partitions = places.len(), retried, "offsets were not committed");
                self.put_back(failed, now);
            }
            None => tracing::debug!(partitions = places.len(), "offsets committed"),
        }
    }
}

fn may_succeed_later(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::RebalanceInProgress
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::BrokerTransportFailure
            | Code::WaitingForCoordinator
    )
}

fn list(notes: &BTreeMap<TopicPartition, Note>) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(notes.len());
    for (partition, note) in notes {
        let mut element = list.add_partition(&partition.topic, partition.partition);
        let offset = Offset::Offset(i64::try_from(note.offset).unwrap_or(i64::MAX));
        element.set_offset(offset).expect("an offset that is not negative can be told");
        element.set_metadata(&note.metadata);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition: number }
    }

    fn place(number: i32, error: Option<RDKafkaErrorCode>) -> Place {
        Place { topic: String::from("t"), partition: number, offset: 1, error }
    }

    fn sent(numbers: &[i32]) -> Commits {
        let note = |number: &i32| (partition(*number), Note { offset: 1, metadata: String::from("old") });
        Commits { sent: numbers.iter().map(note).collect(), requests: 1, ..Commits::default() }
    }

    #[test]
    fn what_may_succeed_later_is_kept_unless_a_newer_one_waits() {
        let mut commits = sent(&[0, 1, 2]);
        commits.add(partition(1), 9, String::from("new"));
        let error = Some(RDKafkaErrorCode::RebalanceInProgress);
        commits.answered(None, &[place(0, error), place(1, error), place(2, None)], Instant::now());
        assert_eq!(commits.waiting.len(), 2);
        assert_eq!(commits.waiting[&partition(0)].metadata, "old");
        assert_eq!(commits.waiting[&partition(1)].metadata, "new");
        assert_eq!(commits.requests, 0);
    }

    #[test]
    fn what_belongs_to_another_generation_is_dropped() {
        let mut commits = sent(&[0]);
        let error = RDKafkaErrorCode::IllegalGeneration;
        commits.answered(Some(error), &[place(0, None)], Instant::now());
        assert!(commits.is_done());
    }
}
