//! Which of two versions a record goes to.
//!
//! Owns the choice. Pure: the same record has the same choice in every process, today and after an
//! upgrade, because hosts of one group must agree. Invariant: what goes to the candidate at a share goes
//! to it at any larger share too, so that a share can be raised without moving anything back.

use serde::{Deserialize, Serialize};

use crate::record::{Arena, Batch};

/// A share of everything.
const WHOLE: u16 = 10_000;

/// What is kept together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitBy {
    /// The records of a batch.
    Batches,
    /// The records of a key, in all partitions; one without a key stands alone.
    Keys,
}

/// How many records go to the candidate, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    share: u16,
    by: SplitBy,
}

impl Split {
    /// Of a share in hundredths of a percent; `None` where that is not in 1..=10000.
    #[must_use]
    pub fn new(share: u16, by: SplitBy) -> Option<Self> {
        (1..=WHOLE).contains(&share).then_some(Self { share, by })
    }

    /// The candidate's share, in hundredths of a percent.
    #[must_use]
    pub fn share(self) -> u16 {
        self.share
    }

    /// What is kept together.
    #[must_use]
    pub fn by(self) -> SplitBy {
        self.by
    }

    /// Whether a whole batch goes to the candidate; `None`: its keys decide. A batch is what the source
    /// made one, however often a part of it comes again.
    pub(super) fn takes_batch(self, batch: &Batch) -> Option<bool> {
        if self.by == SplitBy::Keys {
            return None;
        }
        let first = if batch.records.is_empty() { batch.range.start } else { batch.records.offset(0) };
        let partition = u64::from(batch.origin.partition.cast_unsigned());
        Some(self.takes(mixed(first ^ mixed(partition))))
    }

    /// Whether the record at `position` goes to the candidate, by its key.
    pub(super) fn takes_record(self, records: &Arena, position: usize) -> bool {
        let record = records.record(position);
        self.takes(record.key.map_or_else(|| mixed(record.offset), hash))
    }

    fn takes(self, hash: u64) -> bool {
        let place = (u128::from(hash) * u128::from(WHOLE)) >> 64;
        place < u128::from(self.share)
    }
}

/// FNV-1a, and a finish that spreads it over all bits, of which the upper ones decide.
fn hash(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    mixed(bytes.iter().fold(BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME)))
}

/// The finish of `SplitMix64`: neighbours end far from each other.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Epoch, NewRecord, OffsetRange, TopicPartition};

    fn batch(partition: i32, start: u64, keys: &[Option<Vec<u8>>]) -> Batch {
        let mut records = Arena::default();
        for (offset, key) in (start..).zip(keys) {
            let record = NewRecord { key: key.as_deref(), offset, ..NewRecord::default() };
            assert!(records.push(record, []));
        }
        let origin = TopicPartition { topic: "t".into(), partition };
        let range = OffsetRange { start, end: start + keys.len() as u64 };
        Batch { origin, epoch: Epoch(1), range, records }
    }

    fn split(share: u16, by: SplitBy) -> Split {
        Split::new(share, by).expect("a share")
    }

    /// Whether `taken` of `all` is the share, but for what chance does once in some billion times.
    fn is_honoured(share: u16, taken: usize, all: usize) -> bool {
        let (all, part) = (all as f64, f64::from(share) / 10_000.0);
        let most = 6.0 * (all * part * (1.0 - part)).sqrt() + 1.0;
        (taken as f64 - all * part).abs() <= most
    }

    #[test]
    fn a_share_is_more_than_nothing_and_at_most_all() {
        for (share, good) in [(0, false), (1, true), (10_000, true), (10_001, false), (u16::MAX, false)] {
            assert_eq!(Split::new(share, SplitBy::Keys).is_some(), good, "{share}");
        }
    }

    #[test]
    fn the_choice_is_the_same_in_every_release() {
        let keys: Vec<_> = ["", "a", "user-1", "user-2"].map(|key| hash(key.as_bytes())).into();
        assert_eq!(keys, GOLDEN);
        assert_eq!(mixed(0), 0xe220_a839_7b1d_cdaf, "the first number of SplitMix64 from 0");
    }

    /// Hosts of one group may be of two releases: these never change.
    const GOLDEN: [u64; 4] =
        [0xc381_7c01_6ba4_ff30, 0x5f29_c2aa_dd9b_8527, 0xf16d_8d44_0fbb_25d5, 0x8053_8bf6_9070_5c37];

    proptest! {
        #[test]
        fn the_share_of_keys_is_honoured(share in 1_u16..=10_000, seed in any::<u32>()) {
            let keys: Vec<_> = (0..5_000).map(|nth| Some(format!("{seed}-{nth}").into_bytes())).collect();
            let (batch, split) = (batch(0, 0, &keys), split(share, SplitBy::Keys));
            let taken = (0..keys.len()).filter(|nth| split.takes_record(&batch.records, *nth)).count();
            prop_assert!(is_honoured(share, taken, keys.len()), "{taken} at {share}");
        }

        #[test]
        fn the_share_of_records_without_a_key_is_honoured(share in 1_u16..=10_000, start in 0_u64..1 << 40) {
            let (batch, split) = (batch(0, start, &vec![None; 5_000]), split(share, SplitBy::Keys));
            let taken = (0..5_000).filter(|nth| split.takes_record(&batch.records, *nth)).count();
            prop_assert!(is_honoured(share, taken, 5_000), "{taken} at {share}");
        }

        #[test]
        fn the_share_of_batches_is_honoured(
            share in 1_u16..=10_000, partition in 0_i32..100, step in 1_u64..2_000, start in 0_u64..1 << 40,
        ) {
            let split = split(share, SplitBy::Batches);
            let takes = |nth: u64| split.takes_batch(&batch(partition, start + nth * step, &[None]));
            let taken = (0..2_000).filter(|nth| takes(*nth) == Some(true)).count();
            prop_assert!(is_honoured(share, taken, 2_000), "{taken} at {share}");
        }

        #[test]
        fn a_key_goes_the_same_way_in_every_partition_batch_and_place(
            share in 1_u16..=10_000, key in any::<Vec<u8>>(), place in 0_usize..5, partition in 0_i32..9,
        ) {
            let split = split(share, SplitBy::Keys);
            let alone = batch(0, 7, &[Some(key.clone())]);
            let mut keys = vec![Some(b"other".to_vec()); 5];
            keys[place] = Some(key);
            let among = batch(partition, 1_000, &keys);
            prop_assert_eq!(split.takes_batch(&alone), None);
            prop_assert_eq!(
                split.takes_record(&alone.records, 0),
                split.takes_record(&among.records, place)
            );
        }

        #[test]
        fn partitions_choose_their_batches_apart(start in 0_u64..1 << 40) {
            let split = split(5_000, SplitBy::Batches);
            let taken = (0..400).filter(|nth| split.takes_batch(&batch(*nth, start, &[None])) == Some(true));
            prop_assert!(is_honoured(5_000, taken.count(), 400));
        }

        #[test]
        fn a_larger_share_takes_nothing_back(
            small in 1_u16..=10_000, large in 1_u16..=10_000, key in any::<Vec<u8>>(), offset in any::<u32>(),
        ) {
            let (small, large) = (small.min(large), small.max(large));
            let batch = batch(3, u64::from(offset), &[Some(key)]);
            for by in [SplitBy::Batches, SplitBy::Keys] {
                let takes = |share| {
                    let split = split(share, by);
                    split.takes_batch(&batch).unwrap_or_else(|| split.takes_record(&batch.records, 0))
                };
                prop_assert!(takes(large) || !takes(small));
                prop_assert!(takes(10_000));
            }
        }
    }
}
