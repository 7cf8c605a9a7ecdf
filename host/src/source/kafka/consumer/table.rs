//! All partitions of the poll thread: windows, room and memory.
//!
//! Owns which partition is paused and why: its lane has no room for what is finished, or memory is half
//! full and it holds half of its share. It goes on at an eighth: pausing throws away what librdkafka
//! prefetched, so that it must not flap. A lane that takes nothing keeps no more than its share from the
//! others. Invariant: what is done for a record does not grow with the number of partitions.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::super::native::Message;
use super::partition::{Limits, Partition};
use super::{Context, TakenIn};
use crate::record::{Epoch, NewRecord, TopicPartition};
use crate::source::Intake;
use crate::source::pool::ArenaPool;

/// How often the bytes in all intakes are counted, while there are any.
const COUNT_INTERVAL: Duration = Duration::from_millis(10);

/// A lane's share of memory never falls below this, or thousands of partitions would make batches of a
/// few records: 5,000 of them, all without room, are 40 MiB.
const SHARE_MIN: usize = 16 * 1024;

/// Windows that may wait beside two for each partition before those that ended early are dropped.
const WINDOWS_SPARE: usize = 1024;

/// A lane has at the most four batches before it: two in the intake and two here.
const BATCHES_AHEAD: usize = 4;

#[derive(Debug)]
struct Topic {
    name: Arc<str>,
    slots: Vec<Option<usize>>,
}

#[derive(Debug)]
struct Window {
    end: Instant,
    slot: usize,
    number: u64,
}

/// See the module.
pub(super) struct Table {
    limits: Limits,
    window: Duration,
    budget: usize,
    pool: Arc<ArenaPool>,
    taken_in: Option<TakenIn>,
    slots: Vec<Option<Partition>>,
    free: Vec<usize>,
    topics: Vec<Topic>,
    last_topic: usize,
    /// In order of their ends, since all are of one length.
    windows: VecDeque<Window>,
    windows_begun: u64,
    /// Slots that are blocked or paused.
    waiting: BTreeSet<usize>,
    reassigns: Vec<TopicPartition>,
    held: usize,
    queued: usize,
    counted: Instant,
    owned: usize,
}

impl Table {
    pub(super) fn new(
        limits: Limits,
        window: Duration,
        budget: usize,
        pool: Arc<ArenaPool>,
        taken_in: Option<TakenIn>,
    ) -> Self {
        Self {
            limits,
            window,
            budget,
            pool,
            taken_in,
            slots: Vec::new(),
            free: Vec::new(),
            topics: Vec::new(),
            last_topic: 0,
            windows: VecDeque::new(),
            windows_begun: 0,
            waiting: BTreeSet::new(),
            reassigns: Vec::new(),
            held: 0,
            queued: 0,
            counted: Instant::now(),
            owned: 0,
        }
    }

    /// Copies a record into its partition's batch; one that nobody wants is dropped.
    pub(super) fn take_record(&mut self, consumer: &BaseConsumer<Context>, message: &Message<'_>) {
        let Some(slot) = self.find(message.topic(), message.partition()) else { return };
        let Ok(offset) = u64::try_from(message.offset()) else { return };
        let Some(partition) = self.slots[slot].as_mut().filter(|partition| partition.wants(offset)) else {
            return;
        };
        let record = NewRecord {
            key: message.key(),
            value: message.value(),
            timestamp_ms: message.timestamp_ms(),
            offset,
            index: 0,
        };
        let before = partition.held();
        partition.push(record, message.headers(), self.limits, &self.pool);
        self.held += partition.held() - before;
        let finished = partition.is_blocked();
        self.begin_window(slot);
        if finished {
            self.settle(consumer, slot);
        }
        if self.held + self.queued >= self.budget / 2 {
            self.relieve(consumer, slot);
        }
    }

    /// Moves a position to the end of its partition.
    pub(super) fn reach(&mut self, topic: &[u8], number: i32, offset: u64) {
        let Some(slot) = self.find(topic, number) else { return };
        if let Some(partition) = self.slots[slot].as_mut() {
            partition.reach(offset);
            self.begin_window(slot);
        }
    }

    fn begin_window(&mut self, slot: usize) {
        let Some(partition) = self.slots[slot].as_mut() else { return };
        if partition.window.is_none() && partition.has_open_range() {
            self.windows_begun += 1;
            partition.window = Some(self.windows_begun);
            let end = Instant::now() + self.window;
            self.windows.push_back(Window { end, slot, number: self.windows_begun });
            self.forget_windows();
        }
    }

    /// Drops windows that ended early, by a full batch, once they are the most: there is one that counts
    /// for each partition, however many batches a window sees.
    fn forget_windows(&mut self) {
        if self.windows.len() <= 2 * self.slots.len() + WINDOWS_SPARE {
            return;
        }
        let slots = &self.slots;
        self.windows.retain(|window| {
            slots[window.slot].as_ref().is_some_and(|partition| partition.window == Some(window.number))
        });
    }

    /// Hands over what is finished, and pauses the partition where its lane has no room.
    fn settle(&mut self, consumer: &BaseConsumer<Context>, slot: usize) {
        let Some(partition) = self.slots[slot].as_mut() else { return };
        let before = partition.held();
        let taken = partition.hand_over();
        let gone = before.saturating_sub(partition.held());
        self.held = self.held.saturating_sub(gone);
        self.queued += gone;
        if let (Some(taken_in), Some(offset)) = (&self.taken_in, taken) {
            taken_in(&partition.origin, offset);
        }
        if partition.stopped || partition.is_full() {
            self.pause_slot(consumer, slot);
        }
        self.note_waiting(slot);
    }

    fn note_waiting(&mut self, slot: usize) {
        let waits = self.slots[slot]
            .as_ref()
            .is_some_and(|partition| !partition.stopped && (partition.is_blocked() || partition.paused));
        if waits {
            self.waiting.insert(slot);
        } else {
            self.waiting.remove(&slot);
        }
    }

    fn share(&self) -> usize {
        (self.budget / self.owned.max(1)).max(SHARE_MIN)
    }

    /// Memory is half full or worse, and this partition just brought a record.
    fn relieve(&mut self, consumer: &BaseConsumer<Context>, slot: usize) {
        let half_share = self.share() / 2;
        let Some(partition) = self.slots[slot].as_mut() else { return };
        if partition.waiting_bytes() >= half_share {
            partition.finish();
            self.pause_slot(consumer, slot);
            self.settle(consumer, slot);
        }
    }

    /// What is due: windows that ended, lanes that have room again.
    pub(super) fn serve(&mut self, consumer: &BaseConsumer<Context>, now: Instant, owned: usize) {
        self.owned = owned;
        self.count(now);
        while let Some(window) = self.windows.pop_front_if(|window| window.end <= now) {
            if let Some(partition) = self.slots[window.slot].as_mut()
                && partition.window == Some(window.number)
            {
                partition.end_window();
                self.settle(consumer, window.slot);
            }
        }
        let mut resumed = Vec::new();
        for slot in self.waiting.iter().copied().collect::<Vec<_>>() {
            self.settle(consumer, slot);
            if self.may_resume(slot) {
                resumed.push(slot);
            }
        }
        self.resume_slots(consumer, &resumed);
    }

    fn count(&mut self, now: Instant) {
        if self.queued > 0 && now.saturating_duration_since(self.counted) >= COUNT_INTERVAL {
            self.counted = now;
            self.queued = self.slots.iter().flatten().map(Partition::queued_bytes).sum();
        }
    }

    fn may_resume(&self, slot: usize) -> bool {
        let most = self.share().min(self.limits.bytes.saturating_mul(BATCHES_AHEAD)) / 8;
        self.slots[slot].as_ref().is_some_and(|partition| {
            partition.paused
                && !partition.stopped
                && !partition.is_blocked()
                && partition.waiting_bytes() <= most
        })
    }

    fn resume_slots(&mut self, consumer: &BaseConsumer<Context>, slots: &[usize]) {
        let mut list = TopicPartitionList::new();
        for slot in slots {
            if let Some(partition) = self.slots[*slot].as_mut() {
                partition.paused = false;
                list.add_partition(&partition.origin.topic, partition.origin.partition);
            }
            self.note_waiting(*slot);
        }
        if list.count() > 0
            && let Err(error) = consumer.resume(&list)
        {
            tracing::error!(%error, "partitions could not be resumed");
        }
    }

    fn pause_slot(&mut self, consumer: &BaseConsumer<Context>, slot: usize) {
        let Some(partition) = self.slots[slot].as_mut().filter(|partition| !partition.paused) else { return };
        partition.paused = true;
        let mut list = TopicPartitionList::new();
        list.add_partition(&partition.origin.topic, partition.origin.partition);
        if let Err(error) = consumer.pause(&list) {
            tracing::error!(%error, "a partition could not be paused");
        }
        self.note_waiting(slot);
    }

    /// Makes or replaces a partition.
    pub(super) fn set(&mut self, partition: TopicPartition, start: u64, epoch: Epoch, intake: Intake) {
        if let Some(slot) = self.find(partition.topic.as_bytes(), partition.partition) {
            if let Some(known) = self.slots[slot].as_mut() {
                self.held = self.held.saturating_sub(known.held());
                known.set_intake(intake);
                known.restart(start, epoch);
                self.note_waiting(slot);
            }
            return;
        }
        let slot = self.free.pop().unwrap_or(self.slots.len());
        self.index(&partition, Some(slot));
        let made = Some(Partition::new(partition, start, epoch, intake));
        match self.slots.get_mut(slot) {
            Some(place) => *place = made,
            None => self.slots.push(made),
        }
    }

    /// Begins anew at an offset; false where there is no such partition.
    pub(super) fn restart(&mut self, partition: &TopicPartition, offset: u64, epoch: Epoch) -> bool {
        let Some(slot) = self.find(partition.topic.as_bytes(), partition.partition) else { return false };
        let Some(known) = self.slots[slot].as_mut() else { return false };
        self.held = self.held.saturating_sub(known.held());
        known.restart(offset, epoch);
        self.note_waiting(slot);
        true
    }

    /// Takes nothing more for a partition, which librdkafka does not fetch any more.
    pub(super) fn halt(&mut self, partition: &TopicPartition) {
        let Some(slot) = self.find(partition.topic.as_bytes(), partition.partition) else { return };
        if let Some(known) = self.slots[slot].as_mut() {
            self.held = self.held.saturating_sub(known.held());
            known.stop();
        }
        self.note_waiting(slot);
    }

    /// Takes nothing more for a partition, and pauses it.
    pub(super) fn stop(&mut self, consumer: &BaseConsumer<Context>, partition: &TopicPartition) {
        self.halt(partition);
        self.pause(consumer, partition);
    }

    pub(super) fn pause(&mut self, consumer: &BaseConsumer<Context>, partition: &TopicPartition) {
        if let Some(slot) = self.find(partition.topic.as_bytes(), partition.partition) {
            self.pause_slot(consumer, slot);
        }
    }

    /// Fetches again what a stop or a want of room had paused; a seek has emptied it.
    pub(super) fn resume_if_paused(&mut self, consumer: &BaseConsumer<Context>, partition: &TopicPartition) {
        let Some(slot) = self.find(partition.topic.as_bytes(), partition.partition) else { return };
        if self.slots[slot].as_ref().is_some_and(|known| known.paused) {
            self.resume_slots(consumer, &[slot]);
        }
    }

    /// Notes that an assignment let partitions run that were paused.
    pub(super) fn note_running<'a>(&mut self, partitions: impl IntoIterator<Item = &'a TopicPartition>) {
        for partition in partitions {
            let Some(slot) = self.find(partition.topic.as_bytes(), partition.partition) else { continue };
            if let Some(known) = self.slots[slot].as_mut() {
                known.paused = false;
            }
            self.note_waiting(slot);
        }
    }

    /// Forgets a partition; its lane sees the end of its intake.
    pub(super) fn remove(&mut self, partition: &TopicPartition) {
        let Some(slot) = self.find(partition.topic.as_bytes(), partition.partition) else { return };
        if let Some(known) = self.slots[slot].take() {
            self.held = self.held.saturating_sub(known.held());
        }
        self.waiting.remove(&slot);
        self.free.push(slot);
        self.index(partition, None);
    }

    /// Where a partition stands.
    pub(super) fn position(&self, partition: &TopicPartition) -> Option<u64> {
        let topic = self.topics.iter().find(|topic| topic.name == partition.topic)?;
        let slot = (*topic.slots.get(usize::try_from(partition.partition).ok()?)?)?;
        self.slots[slot].as_ref().map(Partition::position)
    }

    /// Notes that a partition is to be assigned anew once that is possible.
    pub(super) fn reassign_later(&mut self, partition: &TopicPartition) {
        if !self.reassigns.contains(partition) {
            self.reassigns.push(partition.clone());
        }
    }

    /// Those that wait to be assigned anew, and where.
    pub(super) fn take_reassigns(&mut self) -> Vec<(TopicPartition, u64)> {
        let waiting = std::mem::take(&mut self.reassigns);
        let place = |partition: TopicPartition| {
            let position = self.position(&partition)?;
            Some((partition, position))
        };
        waiting.into_iter().filter_map(place).collect()
    }

    pub(super) fn next_window(&self) -> Option<Instant> {
        self.windows.front().map(|window| window.end)
    }

    pub(super) fn waits_for_room(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Records of one partition come in a row, so that the last topic is nearly always the right one.
    fn find(&mut self, topic: &[u8], number: i32) -> Option<usize> {
        let matches = |known: &Topic| known.name.as_bytes() == topic;
        if !self.topics.get(self.last_topic).is_some_and(matches) {
            self.last_topic = self.topics.iter().position(matches)?;
        }
        *self.topics[self.last_topic].slots.get(usize::try_from(number).ok()?)?
    }

    fn index(&mut self, partition: &TopicPartition, slot: Option<usize>) {
        let Ok(number) = usize::try_from(partition.partition) else { return };
        let position = self.topics.iter().position(|topic| topic.name == partition.topic);
        let position = position.unwrap_or_else(|| {
            self.topics.push(Topic { name: Arc::clone(&partition.topic), slots: Vec::new() });
            self.topics.len() - 1
        });
        let slots = &mut self.topics[position].slots;
        if slots.len() <= number {
            slots.resize(number + 1, None);
        }
        slots[number] = slot;
    }
}
