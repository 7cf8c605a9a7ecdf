//! A few real records, to try a new version on before any lane runs it.
//!
//! Owns the last ones of one batch. Invariant: looked at once a second at the most, bounded in number and
//! bytes, and never waited for.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::record::{Arena, Batch};

/// Bytes that are kept at the most.
const BYTES_MAX: usize = 1 << 20;

/// How old samples get before newer ones take their place.
const EVERY: Duration = Duration::from_secs(1);

/// The records.
#[derive(Debug)]
pub(super) struct Samples {
    wanted: AtomicUsize,
    /// By the running clock, in milliseconds.
    next_ms: AtomicU64,
    kept: Mutex<Option<Batch>>,
}

impl Samples {
    /// Keeps so many.
    pub(super) fn new(wanted: u32) -> Self {
        let samples =
            Self { wanted: AtomicUsize::new(0), next_ms: AtomicU64::new(0), kept: Mutex::new(None) };
        samples.want(wanted);
        samples
    }

    /// Keeps so many from now on.
    pub(super) fn want(&self, wanted: u32) {
        self.wanted.store(usize::try_from(wanted).unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// Keeps the last records of a batch, if those that are kept are old.
    pub(super) fn offer(&self, batch: &Batch, running: Duration) {
        let now_ms = u64::try_from(running.as_millis()).unwrap_or(u64::MAX);
        let next_ms = self.next_ms.load(Ordering::Relaxed);
        let wanted = self.wanted.load(Ordering::Relaxed);
        if now_ms < next_ms || wanted == 0 || batch.records.is_empty() {
            return;
        }
        let later_ms = now_ms + u64::try_from(EVERY.as_millis()).unwrap_or(u64::MAX);
        if self.next_ms.compare_exchange(next_ms, later_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let last = last_records(batch, wanted);
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        }
    }

    /// What is kept, if anything.
    pub(super) fn get(&self) -> Option<Batch> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn last_records(batch: &Batch, wanted: usize) -> Batch {
    let records = &batch.records;
    let (mut first, mut bytes) = (records.len(), 0);
    while first > records.len().saturating_sub(wanted) {
        let record = records.record(first - 1);
        bytes += record.value.map_or(0, <[u8]>::len) + record.key.map_or(0, <[u8]>::len);
        if bytes > BYTES_MAX && first < records.len() {
            break;
        }
        first -= 1;
    }
    let mut kept = Arena::default();
    for position in first..records.len() {
        let record = records.record(position);
        let fits = kept.push_ref(&record, record.index);
        debug_assert!(fits, "less than what fits one arena");
    }
    let mut range = batch.range;
    range.start = records.offset(first);
    Batch { origin: batch.origin.clone(), epoch: batch.epoch, range, records: kept }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Epoch, NewRecord, OffsetRange, TopicPartition};

    fn batch(first: u64, count: u64, bytes: usize) -> Batch {
        let mut records = Arena::default();
        for offset in first..first + count {
            let value = vec![b'x'; bytes];
            assert!(records.push(NewRecord { value: Some(&value), offset, ..NewRecord::default() }, []));
        }
        let origin = TopicPartition { topic: "t".into(), partition: 0 };
        Batch { origin, epoch: Epoch(1), range: OffsetRange { start: first, end: first + count }, records }
    }

    fn offsets(samples: &Samples) -> Vec<u64> {
        samples.get().map_or(Vec::new(), |batch| batch.records.iter().map(|record| record.offset).collect())
    }

    #[test]
    fn the_last_records_are_kept_and_replaced_after_a_second() {
        let samples = Samples::new(3);
        samples.offer(&batch(10, 5, 10), Duration::from_millis(500));
        assert_eq!(offsets(&samples), [12, 13, 14]);
        samples.offer(&batch(20, 2, 10), Duration::from_millis(1_400));
        assert_eq!(offsets(&samples), [12, 13, 14], "not yet");
        samples.offer(&batch(30, 2, 10), Duration::from_millis(1_500));
        assert_eq!(offsets(&samples), [30, 31]);
        let kept = samples.get().expect("records");
        assert_eq!((kept.range.start, kept.range.end), (30, 32));
    }

    #[test]
    fn bytes_are_bounded_and_one_record_always_fits() {
        let samples = Samples::new(100);
        samples.offer(&batch(0, 10, 400 << 10), Duration::ZERO);
        assert_eq!(offsets(&samples), [8, 9]);
        let samples = Samples::new(100);
        samples.offer(&batch(0, 2, 2 << 20), Duration::ZERO);
        assert_eq!(offsets(&samples), [1]);
        let samples = Samples::new(0);
        samples.offer(&batch(0, 2, 10), Duration::ZERO);
        assert!(samples.get().is_none());
    }
}
