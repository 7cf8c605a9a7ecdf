//! One partition in the poll thread: the batch that is being filled, and what its lane has no room for.
//!
//! Owns batch bounds and positions; pure, with no call to librdkafka and no clock. Invariant: the ranges
//! of the batches of one epoch follow each other without a hole, from the offset that the epoch began
//! at, and each record lies in the range of its batch.

use std::collections::VecDeque;

use crate::record::{Arena, Batch, Epoch, NewRecord, OffsetRange, TopicPartition};
use crate::source::Intake;
use crate::source::pool::ArenaPool;

/// Finished batches that wait for room in the lane before the partition is paused. One is the batch that
/// the full intake refused; the second is what was polled until then.
const READY_MAX: usize = 2;

/// Bytes of an arena's lists for one record.
const RECORD_COST: usize = 37;

/// When a batch is full.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) bytes: usize,
    pub(super) records: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) origin: TopicPartition,
    pub(super) epoch: Epoch,
    /// Its fetching is paused for want of room.
    pub(super) paused: bool,
    /// It is not to be read, until a seek.
    pub(super) stopped: bool,
    /// The window that is running, by its number; `None`: nothing waits for a window's end.
    pub(super) window: Option<u64>,
    intake: Intake,
    range_start: u64,
    position: u64,
    filling: Option<Arena>,
    ready: VecDeque<Batch>,
    /// The window ended while the lane had no room.
    due: bool,
    held: usize,
}

impl Partition {
    pub(super) fn new(origin: TopicPartition, start: u64, epoch: Epoch, intake: Intake) -> Self {
        Self {
            origin,
            epoch,
            paused: false,
            stopped: false,
            window: None,
            intake,
            range_start: start,
            position: start,
            filling: None,
            ready: VecDeque::new(),
            due: false,
            held: 0,
        }
    }

    /// The offset that comes next.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Whether a record of this offset is wanted: not one from before a seek, nor one that came before.
    pub(super) fn wants(&self, offset: u64) -> bool {
        !self.stopped && offset >= self.position
    }

    /// Bytes that wait here, in no lane's hands.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Bytes that wait here or in the intake.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.held + self.intake.queued_bytes()
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.intake.queued_bytes()
    }

    /// Whether finished batches wait for room.
    pub(super) fn is_blocked(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether so many finished batches wait that no more may come.
    pub(super) fn is_full(&self) -> bool {
        self.ready.len() >= READY_MAX
    }

    /// Whether something waits for a window's end: a record, or a position that moved without one.
    pub(super) fn has_open_range(&self) -> bool {
        self.position > self.range_start
    }

    /// Copies a record into the batch, which is finished before where the record does not fit, and after
    /// where it is full then.
    pub(super) fn push<'h>(
        &mut self,
        record: NewRecord<'_>,
        headers: impl Iterator<Item = (&'h [u8], Option<&'h [u8]>)> + Clone,
        limits: Limits,
        pool: &ArenaPool,
    ) {
        debug_assert!(self.wants(record.offset));
        let bytes = record_bytes(&record, headers.clone());
        if self.filling.as_ref().is_some_and(|arena| arena.bytes() + bytes > limits.bytes) {
            self.finish();
        }
        let arena = self.filling.get_or_insert_with(|| pool.take());
        // An arena takes 4 GiB and a record of Kafka at most 2: one that is empty takes any record.
        let fitted = arena.push(record, headers);
        debug_assert!(fitted, "a record does not fit into an arena");
        self.held += bytes + RECORD_COST;
        self.position = record.offset + 1;
        if arena.bytes() >= limits.bytes || arena.len() >= limits.records {
            self.finish();
        }
    }

    /// Moves the position over offsets without records.
    pub(super) fn reach(&mut self, offset: u64) {
        if !self.stopped {
            self.position = self.position.max(offset);
        }
    }

    /// The window ended: finishes the batch, or remembers to when the lane has room again. A batch that
    /// waits may as well grow.
    pub(super) fn end_window(&mut self) {
        self.window = None;
        if self.is_blocked() {
            self.due = true;
        } else {
            self.finish();
        }
    }

    /// Ends the batch as it is; without a record and without a move, does nothing.
    pub(super) fn finish(&mut self) {
        self.window = None;
        self.due = false;
        if !self.has_open_range() {
            return;
        }
        let range = OffsetRange { start: self.range_start, end: self.position };
        self.range_start = self.position;
        self.ready.push_back(Batch {
            origin: self.origin.clone(),
            epoch: self.epoch,
            range,
            records: self.filling.take().unwrap_or_default(),
        });
    }

    /// Hands over what is finished, as far as the lane has room; returns the position up to which it was
    /// taken, where any was.
    pub(super) fn hand_over(&mut self) -> Option<u64> {
        let mut taken = None;
        loop {
            while let Some(batch) = self.ready.pop_front() {
                let (cost, end) = (cost(&batch.records), batch.range.end);
                match self.intake.offer(batch) {
                    Ok(()) => {
                        self.held = self.held.saturating_sub(cost);
                        taken = Some(end);
                    }
                    Err((batch, false)) => {
                        self.ready.push_front(batch);
                        return taken;
                    }
                    Err((_, true)) => {
                        self.stop();
                        return taken;
                    }
                }
            }
            if !self.due {
                return taken;
            }
            self.finish();
        }
    }

    /// Drops what waits and begins again elsewhere.
    pub(super) fn restart(&mut self, offset: u64, epoch: Epoch) {
        self.discard();
        self.stopped = false;
        self.epoch = epoch;
        self.range_start = offset;
        self.position = offset;
    }

    /// Takes another way to the lane, which was made anew.
    pub(super) fn set_intake(&mut self, intake: Intake) {
        self.intake = intake;
    }

    /// Takes nothing more, and drops what waits: whoever reads on begins at the last committed offset.
    pub(super) fn stop(&mut self) {
        self.discard();
        self.stopped = true;
    }

    fn discard(&mut self) {
        self.filling = None;
        self.ready.clear();
        self.window = None;
        self.due = false;
        self.held = 0;
        self.position = self.position.max(self.range_start);
        self.range_start = self.position;
    }
}

fn cost(arena: &Arena) -> usize {
    arena.bytes() + arena.len() * RECORD_COST
}

fn record_bytes<'h>(
    record: &NewRecord<'_>,
    headers: impl Iterator<Item = (&'h [u8], Option<&'h [u8]>)>,
) -> usize {
    const LENGTHS: usize = 8;
    let headers: usize =
        headers.map(|(name, value)| LENGTHS + name.len() + value.map_or(0, <[u8]>::len)).sum();
    record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{INTAKE_BATCHES, Outlet, intake};
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { bytes: 1000, records: 10 };

    fn partition() -> (Partition, Outlet) {
        let (intake, outlet) = intake();
        let origin = TopicPartition { topic: "t".into(), partition: 0 };
        (Partition::new(origin, 100, Epoch(1), intake), outlet)
    }

    fn push(partition: &mut Partition, offset: u64, bytes: usize) {
        let value = vec![b'x'; bytes];
        let record = NewRecord { value: Some(&value), offset, ..NewRecord::default() };
        partition.push(record, std::iter::empty(), LIMITS, &ArenaPool::new(1 << 20));
    }

    fn next(outlet: &mut Outlet) -> Option<Batch> {
        use std::task::{Context, Poll, Waker};
        let mut next = std::pin::pin!(outlet.next());
        match next.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(batch) => batch,
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_full_batch_ends_by_bytes_and_by_records() {
        let (mut partition, mut outlet) = partition();
        push(&mut partition, 100, 600);
        push(&mut partition, 101, 600);
        partition.hand_over();
        let batch = next(&mut outlet).expect("the second did not fit");
        assert_eq!((batch.range, batch.records.len()), (OffsetRange { start: 100, end: 101 }, 1));
        for offset in 102..111 {
            push(&mut partition, offset, 1);
        }
        partition.hand_over();
        let batch = next(&mut outlet).expect("ten records");
        assert_eq!((batch.range, batch.records.len()), (OffsetRange { start: 101, end: 111 }, 10));
    }

    #[test]
    fn a_record_larger_than_a_batch_goes_alone() {
        let (mut partition, mut outlet) = partition();
        push(&mut partition, 100, 1);
        push(&mut partition, 101, 5000);
        push(&mut partition, 102, 1);
        partition.hand_over();
        assert_eq!(next(&mut outlet).expect("the small one").records.len(), 1);
        let large = next(&mut outlet).expect("the large one");
        assert_eq!((large.records.len(), large.records.bytes()), (1, 5000));
        assert!(partition.has_open_range());
    }

    #[test]
    fn a_position_that_moves_without_records_makes_a_batch_of_none() {
        let (mut partition, mut outlet) = partition();
        partition.reach(90);
        assert!(!partition.has_open_range());
        partition.reach(105);
        partition.end_window();
        partition.hand_over();
        let batch = next(&mut outlet).expect("the position moved");
        assert!(batch.records.is_empty());
        assert_eq!(batch.range, OffsetRange { start: 100, end: 105 });
    }

    #[test]
    fn a_batch_grows_while_the_lane_is_busy_and_goes_when_it_is_not() {
        let (mut partition, mut outlet) = partition();
        for offset in 100..103 {
            push(&mut partition, offset, 1);
            partition.end_window();
            partition.hand_over();
        }
        assert!(partition.is_blocked() && !partition.is_full());
        push(&mut partition, 103, 1);
        partition.end_window();
        push(&mut partition, 104, 1);
        partition.hand_over();
        assert!(!partition.is_full(), "the window's end does not cut what waits anyway");
        for _ in 0..INTAKE_BATCHES {
            assert!(next(&mut outlet).is_some());
        }
        assert_eq!(partition.hand_over(), Some(105));
        next(&mut outlet).expect("the one that waited");
        assert_eq!(next(&mut outlet).expect("what grew").range, OffsetRange { start: 103, end: 105 });
        assert_eq!(partition.held(), 0);
    }

    #[test]
    fn a_restart_drops_what_waits_and_refuses_what_is_older() {
        let (mut partition, mut outlet) = partition();
        push(&mut partition, 100, 1);
        partition.restart(500, Epoch(2));
        assert!(!partition.wants(101) && partition.wants(500));
        assert_eq!(partition.held(), 0);
        push(&mut partition, 502, 1);
        partition.finish();
        partition.hand_over();
        let batch = next(&mut outlet).expect("of the new epoch");
        assert_eq!((batch.epoch, batch.range), (Epoch(2), OffsetRange { start: 500, end: 503 }));
    }

    #[test]
    fn a_lane_that_is_gone_stops_its_partition() {
        let (mut partition, outlet) = partition();
        drop(outlet);
        push(&mut partition, 100, 1);
        partition.finish();
        partition.hand_over();
        assert!(partition.stopped && !partition.wants(101) && partition.held() == 0);
    }

    proptest! {
        #[test]
        fn batches_follow_each_other_without_a_hole(
            steps in proptest::collection::vec((0_u64..4, 0_usize..700, 0_u8..4), 1..200),
        ) {
            let (mut partition, mut outlet) = partition();
            let (mut offset, mut expected_start, mut pushed, mut seen) = (100, 100, 0, 0);
            let mut check = |batch: Batch| {
                assert_eq!(batch.range.start, expected_start);
                assert!(batch.range.end > batch.range.start);
                assert!(batch.records.len() <= LIMITS.records);
                assert!(batch.records.bytes() <= LIMITS.bytes || batch.records.len() == 1);
                for record in batch.records.iter() {
                    assert!((batch.range.start..batch.range.end).contains(&record.offset));
                }
                expected_start = batch.range.end;
                batch.records.len()
            };
            for (gap, bytes, action) in steps {
                offset += gap;
                if !partition.is_full() {
                    push(&mut partition, offset, bytes);
                    offset += 1;
                    pushed += 1;
                }
                match action {
                    0 => partition.end_window(),
                    1 => partition.reach(offset),
                    2 => seen += next(&mut outlet).map_or(0, &mut check),
                    _ => {}
                }
                partition.hand_over();
            }
            loop {
                partition.end_window();
                partition.hand_over();
                match next(&mut outlet) {
                    Some(batch) => seen += check(batch),
                    None if partition.is_blocked() => {}
                    None => break,
                }
            }
            prop_assert_eq!(seen, pushed);
            prop_assert_eq!(partition.held(), 0);
        }
    }
}
