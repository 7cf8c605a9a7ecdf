//! The process's one memory budget, and who has to give some back.
//!
//! Owns the shares and the count of what the lanes hold. Does not free anything itself: it names a
//! threshold, and lanes that hold as much cut their ranges. Invariant: the shares add up to less than
//! the budget, the rest being guests' memory and the program.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// The source gets an eighth of the budget, within these bounds: librdkafka's queue and the batches
/// that no lane has taken yet, half each. Enough to cover a fetch round trip at full rate, and no more,
/// since what waits there is fetched again after a pause.
const SOURCE_BYTES: std::ops::RangeInclusive<u64> = (16 << 20)..=(24 << 20);

/// Threshold that no lane reaches.
const NO_PRESSURE: u64 = u64::MAX;

/// The budget of one process.
#[derive(Debug)]
pub(super) struct Memory {
    total: u64,
    held: AtomicU64,
    lanes: AtomicU64,
    pressure: watch::Sender<u64>,
}

impl Memory {
    /// A budget of `total` bytes.
    #[must_use]
    pub(super) fn new(total: u64) -> Self {
        Self {
            total,
            held: AtomicU64::new(0),
            lanes: AtomicU64::new(0),
            pressure: watch::Sender::new(NO_PRESSURE),
        }
    }

    /// Share of the source.
    #[must_use]
    pub(super) fn source(&self) -> u64 {
        (self.total / 8).clamp(*SOURCE_BYTES.start(), *SOURCE_BYTES.end())
    }

    /// Share of the lanes' buffers; over it the biggest lanes are cut.
    #[must_use]
    pub(super) fn buffers(&self) -> u64 {
        self.total / 2
    }

    /// Parts that may be on their way to stores at once, each of 5 MiB: one for 256 MiB of the budget. More
    /// would not be faster on one machine, and each is held until the store has it.
    #[must_use]
    pub(super) fn uploads(&self) -> usize {
        usize::try_from(self.total >> 28).unwrap_or(usize::MAX).clamp(2, 64)
    }

    /// Number of plugin instances that may be kept between batches, each taken for 2 MiB
    /// (what a Rust guest holds after a 1 MiB batch): an eighth of the budget.
    #[must_use]
    pub(super) fn instances(&self) -> usize {
        usize::try_from(self.total / 8 / (2 << 20)).unwrap_or(usize::MAX).max(1)
    }

    /// A lane has come.
    pub(super) fn enter(&self) {
        self.lanes.fetch_add(1, Ordering::Relaxed);
    }

    /// A lane that held `held` bytes has gone.
    pub(super) fn leave(&self, held: u64) {
        self.lanes.fetch_sub(1, Ordering::Relaxed);
        self.change(held, 0);
    }

    /// A lane's buffers have grown or shrunk. Tells the biggest lanes when the share is used up.
    pub(super) fn change(&self, before: u64, after: u64) {
        let held = if after >= before {
            self.held.fetch_add(after - before, Ordering::Relaxed) + (after - before)
        } else {
            self.held.fetch_sub(before - after, Ordering::Relaxed) - (before - after)
        };
        let threshold = if held > self.buffers() {
            (held / self.lanes.load(Ordering::Relaxed).max(1)).max(1)
        } else {
            NO_PRESSURE
        };
        self.pressure.send_if_modified(|current| {
            // Only crossings wake the lanes: while the pressure lasts, the first threshold stands.
            let crossed = (*current == NO_PRESSURE) != (threshold == NO_PRESSURE);
            if crossed {
                *current = threshold;
            }
            crossed
        });
    }

    /// Watches the threshold: a lane that holds at least so many bytes is to cut.
    #[must_use]
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.pressure.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_names_the_average_lane_and_ends_with_relief() {
        let memory = Memory::new(1000);
        let watcher = memory.watch();
        memory.enter();
        memory.enter();
        memory.change(0, 400);
        assert_eq!(*watcher.borrow(), NO_PRESSURE);
        memory.change(0, 200);
        assert_eq!(*watcher.borrow(), 300, "600 of 500 bytes over two lanes");
        memory.change(400, 0);
        assert_eq!(*watcher.borrow(), NO_PRESSURE);
    }
}
