//! Arenas that results were kept in, to be used again: given back to the allocator, their pages would be
//! faulted in anew for the next batch, which costs more than the copy into them.
//!
//! Invariant: holds at most [`SPARES_MAX`] arenas of at most [`BYTES_MAX`] each, whatever was given.

use std::sync::{Mutex, PoisonError};

use crate::record::Arena;

/// As many as jobs that run at once on most machines.
const SPARES_MAX: usize = 16;
/// Less is not worth keeping.
const BYTES_MIN: usize = 512;
/// A batch of the default size, several times over; larger ones are rare, and not kept.
const BYTES_MAX: usize = 4 << 20;

/// The spare arenas of a pipeline.
#[derive(Debug, Default)]
pub(super) struct Spares {
    arenas: Mutex<Vec<Arena>>,
}

impl Spares {
    /// One that is empty, with room for what a batch of `bytes` and `records` becomes.
    pub(super) fn take(&self, bytes: usize, records: usize) -> Arena {
        let spare = self.arenas.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut arena = spare.unwrap_or_default();
        // To grow step by step costs a copy of all that is there at each.
        arena.reserve(bytes, records);
        arena
    }

    /// Takes one back.
    pub(super) fn give(&self, mut arena: Arena) {
        let bytes = arena.capacity_bytes();
        if !(BYTES_MIN..=BYTES_MAX).contains(&bytes) {
            return;
        }
        arena.clear();
        let mut arenas = self.arenas.lock().unwrap_or_else(PoisonError::into_inner);
        if arenas.len() < SPARES_MAX {
            arenas.push(arena);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::NewRecord;

    #[test]
    fn what_is_kept_is_empty_and_bounded() {
        let spares = Spares::default();
        for _ in 0..2 * SPARES_MAX {
            let mut arena = spares.take(1000, 10);
            assert!(arena.is_empty() && arena.capacity_bytes() >= 1000);
            assert!(arena.push(NewRecord { value: Some(b"x"), ..NewRecord::default() }, []));
            spares.give(arena);
        }
        let many: Vec<_> = (0..2 * SPARES_MAX).map(|_| spares.take(1000, 1)).collect();
        many.into_iter().for_each(|arena| spares.give(arena));
        assert_eq!(spares.arenas.lock().expect("not poisoned").len(), SPARES_MAX);
        let large = Spares::default();
        large.give(large.take(BYTES_MAX + 1, 0));
        large.give(Arena::default());
        assert!(large.arenas.lock().expect("not poisoned").is_empty());
    }
}
