//! `[batch]` and `[cut]`: how much at once, and for how long.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::item::Item;
use super::table::{Bounds, Table};
use crate::config::error::{Problems, Wrong};
use crate::config::model::{Batch, Cut, Host};
use crate::config::units::{show_duration, show_size};

const BATCH_SIZE: Bounds<u64> = Bounds {
    least: 1 << 10,
    why_least: "or a batch is hardly more than its own bookkeeping",
    most: 64 << 20,
    why_most: "since several batches a partition are in memory at once",
};

const BATCH_RECORDS: Bounds<u64> = Bounds {
    least: 1,
    why_least: "or a batch has nothing to hold",
    most: 1_000_000,
    why_most: "since each record's index entry is held in memory",
};

const BATCH_WINDOW: Bounds<Duration> = Bounds {
    least: Duration::from_millis(1),
    why_least: "the finest step of the timer",
    most: Duration::from_secs(60),
    why_most: "or a quiet partition looks like a dead one",
};

const INTERVAL: Bounds<Duration> = Bounds {
    least: Duration::from_millis(100),
    why_least: "since every cut costs a partition several requests to the store",
    most: Duration::from_secs(24 * 3600),
    why_most: "since a restart reads everything after the last cut again",
};

const CUT_SIZE: Bounds<u64> = Bounds {
    least: 1 << 10,
    why_least: "or the ledger's entries outweigh the data",
    most: 1 << 40,
    why_most: "since a restart reads everything after the last cut again",
};

const CUT_RECORDS: Bounds<u64> = Bounds {
    least: 1,
    why_least: "or no range would have an end",
    most: 1_000_000_000_000,
    why_most: "since a restart reads everything after the last cut again",
};

const MIN_SIZE: Bounds<u64> = Bounds { least: 0, why_least: "", ..CUT_SIZE };

/// Firehose's default interval.
pub(in crate::config) const DEFAULT_INTERVAL: Duration = Duration::from_secs(300);
/// Firehose's longest interval.
pub(in crate::config) const DEFAULT_MAX_INTERVAL: Duration = Duration::from_secs(900);
/// Below it an object is mostly overhead for whoever lists and opens it.
pub(in crate::config) const DEFAULT_MIN_SIZE: u64 = 1 << 20;
/// Large enough that a plugin call's fixed cost vanishes, small enough to stay in a core's cache.
pub(in crate::config) const DEFAULT_BATCH_SIZE: u64 = 1 << 20;
/// Bounds the index of a batch of tiny records.
pub(in crate::config) const DEFAULT_BATCH_RECORDS: u64 = 10_000;
/// Half a second of latency is the most that a batch adds to the interval.
pub(in crate::config) const DEFAULT_BATCH_WINDOW: Duration = Duration::from_millis(500);
/// Reads `[batch]`.
pub(super) fn batch(item: Option<&Item>, problems: &Problems<'_>) -> Option<Batch> {
    let table = match item {
        Some(item) => Some(Table::open(item, "batch", problems)?),
        None => None,
    };
    let table = table.as_ref();
    let size = table.and_then(|table| table.size("size", &BATCH_SIZE)).unwrap_or(DEFAULT_BATCH_SIZE);
    let records = table.and_then(|table| table.count("records", &BATCH_RECORDS));
    let window = table.and_then(|table| table.duration("window", &BATCH_WINDOW));
    Some(Batch {
        bytes: NonZeroUsize::new(usize::try_from(size).ok()?)?,
        records: NonZeroUsize::new(usize::try_from(records.unwrap_or(DEFAULT_BATCH_RECORDS)).ok()?)?,
        window: window.unwrap_or(DEFAULT_BATCH_WINDOW),
    })
}

/// Reads `[cut]`.
pub(super) fn cut(item: Option<&Item>, problems: &Problems<'_>) -> Option<Cut> {
    let Some(item) = item else {
        return Some(Cut {
            interval: DEFAULT_INTERVAL,
            size: None,
            records: None,
            min_size: DEFAULT_MIN_SIZE,
            max_interval: DEFAULT_MAX_INTERVAL,
        });
    };
    let table = Table::open(item, "cut", problems)?;
    let (written, written_max) =
        (table.duration("interval", &INTERVAL), table.duration("max_interval", &INTERVAL));
    let (size, written_min) = (table.size("size", &CUT_SIZE), table.size("min_size", &MIN_SIZE));
    let interval = written.unwrap_or(DEFAULT_INTERVAL);
    let default_min_size = match table.get("interval") {
        // Whoever writes an interval means it.
        Some(_) => 0,
        None => DEFAULT_MIN_SIZE.min(size.unwrap_or(u64::MAX)),
    };
    let cut = Cut {
        interval,
        size,
        records: table.count("records", &CUT_RECORDS),
        min_size: written_min.unwrap_or(default_min_size),
        max_interval: written_max.unwrap_or(DEFAULT_MAX_INTERVAL.max(interval)),
    };
    // A value that can't be read is a problem already; comparing its default would make two of one.
    let read = |key: &str, read: bool| read || table.get(key).is_none();
    if read("interval", written.is_some()) && read("max_interval", written_max.is_some()) {
        check_intervals(&table, &cut);
    }
    if read("size", size.is_some()) && read("min_size", written_min.is_some()) {
        check_sizes(&table, &cut);
    }
    Some(cut)
}

fn check_intervals(table: &Table<'_>, cut: &Cut) {
    if cut.interval > cut.max_interval {
        table.wrong(
            "max_interval",
            Wrong::new(format!(
                "`max_interval` ({}) is shorter than `interval` ({})",
                show_duration(cut.max_interval),
                show_duration(cut.interval)
            ))
            .hint("`max_interval` is how long a cut below `min_size` waits on top: raise it, or lower `interval`"),
        );
    }
}

fn check_sizes(table: &Table<'_>, cut: &Cut) {
    if let Some(size) = cut.size.filter(|size| cut.min_size > *size) {
        table.wrong(
            "min_size",
            Wrong::new(format!(
                "`min_size` ({}) is greater than `size` ({})",
                show_size(cut.min_size),
                show_size(size)
            ))
            .hint("a range ends at `size` at the latest: lower `min_size`, or raise `size`"),
        );
    }
}

/// Refuses batches that don't fit the memory: two wait in a lane's intake, one is worked and one filled.
pub(super) fn check_memory(batch: &Batch, host: &Host, at: &Item, problems: &Problems<'_>) {
    let needed = batch.bytes.get() as u64 * 4;
    if needed > host.memory {
        at.wrong(
            problems,
            Wrong::new(format!(
                "`batch.size` ({}) is more than a quarter of `host.memory` ({})",
                show_size(batch.bytes.get() as u64),
                show_size(host.memory)
            ))
            .hint("a partition holds up to four batches: lower `batch.size`, or raise `host.memory`"),
        );
    }
}
