//! What a pipeline has done so far, in numbers that any thread may add to.
//!
//! Owns counters only. Invariant: they are added to once a batch or once an entry, never per record.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of a run. Records are counted when the entry that holds them is published.
#[derive(Debug, Default)]
pub struct Stats {
    /// Records handed to the lanes, committed or not.
    pub taken_in: AtomicU64,
    /// Records that the filter kept from the transforms, committed or not.
    pub filtered: AtomicU64,
    /// Records that the filter could not look into, since they are not JSON, committed or not.
    pub filtered_not_json: AtomicU64,
    /// Records read, of committed ranges.
    pub read: AtomicU64,
    /// Records written into objects of sinks (one written to two sinks counts twice).
    pub written: AtomicU64,
    /// Records that were filtered out.
    pub dropped: AtomicU64,
    /// Dead letters: records that failed as a whole, and outputs that failed.
    pub dead_letters: AtomicU64,
    /// Dead letters that are in their topic, those that were sent again counted again.
    pub dead_letters_produced: AtomicU64,
    /// Of those, dead letters that stand there without their value, since the topic takes no more.
    pub dead_letters_shortened: AtomicU64,
    /// Dead letters that the topic does not take in any form: only their objects have them.
    pub dead_letters_refused: AtomicU64,
    /// Objects published to sinks.
    pub objects: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// Objects of dead letters published.
    pub dead_letter_objects: AtomicU64,
    /// Entries committed by this process.
    pub entries: AtomicU64,
    /// Entries of other writers that were found in this process's way and adopted.
    pub adopted: AtomicU64,
    /// Offsets lost to retention before anyone read them.
    pub gap_offsets: AtomicU64,
    /// Lanes that halted.
    pub halted: AtomicU64,
    /// How often a circuit breaker held a lane, each failed try counted.
    pub holds: AtomicU64,
    /// Lanes that a circuit breaker holds now.
    pub held_lanes: AtomicU64,
}

impl Stats {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    /// Takes from a counter what was added to it.
    pub fn subtract(counter: &AtomicU64, amount: u64) {
        counter.fetch_sub(amount, Ordering::Relaxed);
    }

    /// Reads a counter.
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
