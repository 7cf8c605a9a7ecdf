//! Arenas that were used and wait to be used again.
//!
//! Owns their number and bytes, both bounded: beyond them an arena is freed.

use std::sync::{Mutex, PoisonError};

use crate::record::Arena;

/// Arenas kept at the most: a few for each CPU thread of a large machine.
const ARENAS_MAX: usize = 64;

/// A bounded stack of cleared arenas.
#[derive(Debug)]
pub(super) struct ArenaPool {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    arenas: Vec<Arena>,
    bytes: usize,
}

impl ArenaPool {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, kept: Mutex::new(Kept::default()) }
    }

    /// A cleared arena, used before where there is one.
    pub(super) fn take(&self) -> Arena {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let arena = kept.arenas.pop().unwrap_or_default();
        kept.bytes = kept.bytes.saturating_sub(arena.capacity_bytes());
        arena
    }

    /// Keeps an arena for later, or frees it where there are enough.
    pub(super) fn give(&self, mut arena: Arena) {
        arena.clear();
        let bytes = arena.capacity_bytes();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes > 0 && kept.arenas.len() < ARENAS_MAX && kept.bytes + bytes <= self.bytes_max {
            kept.bytes += bytes;
            kept.arenas.push(arena);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::NewRecord;

    fn used(bytes: usize) -> Arena {
        let mut arena = Arena::default();
        let value = vec![b'x'; bytes];
        assert!(arena.push(NewRecord { value: Some(&value), ..NewRecord::default() }, []));
        arena
    }

    #[test]
    fn arenas_come_back_empty_and_with_their_memory() {
        let pool = ArenaPool::new(1 << 20);
        pool.give(used(1000));
        let arena = pool.take();
        assert!(arena.is_empty() && arena.capacity_bytes() >= 1000);
        assert!(pool.take().capacity_bytes() < 1000);
    }

    #[test]
    fn the_pool_keeps_no_more_than_its_bytes() {
        let pool = ArenaPool::new(10_000);
        for _ in 0..20 {
            pool.give(used(3_000));
        }
        let kept = pool.kept.lock().expect("no panic under the lock");
        assert!(kept.bytes <= 10_000 && !kept.arenas.is_empty() && kept.arenas.len() <= 3);
    }
}
