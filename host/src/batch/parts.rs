//! Memory for the bytes that go out in parts, used again.
//!
//! Owns a few buffers of a part's size between one upload and the next: given back to the allocator,
//! each would be kept there for a while and faulted in anew for the next part, which measured at twice
//! the process's memory. Invariant: holds at most [`SPARE_MAX`] empty buffers.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers kept: about as many as are on their way to stores at once on a machine of a few cores.
const SPARE_MAX: usize = 8;

/// The spare buffers of a pipeline.
#[derive(Debug, Default)]
pub(super) struct Parts {
    spare: Mutex<Vec<Vec<u8>>>,
}

/// Bytes that come back when nobody refers to them any more.
struct Part {
    bytes: Vec<u8>,
    parts: Arc<Parts>,
}

impl Parts {
    /// An empty buffer, with the room of an earlier part where one is spare.
    pub(super) fn take(&self) -> Vec<u8> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Shares bytes; their memory comes back here.
    pub(super) fn share(self: &Arc<Self>, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Part { bytes, parts: Arc::clone(self) })
    }

    fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_MAX {
            spare.push(buffer);
        }
    }
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.parts.give(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_once_nobody_refers_to_it_and_only_so_much_is_kept() {
        let parts = Arc::new(Parts::default());
        let shared = parts.share(vec![7; 1000]);
        let clone = shared.slice(10..20);
        drop(shared);
        assert_eq!(parts.take().capacity(), 0, "a slice still refers to it");
        assert_eq!(&clone[..], [7; 10]);
        drop(clone);
        let again = parts.take();
        assert!(again.is_empty() && again.capacity() >= 1000);
        let many: Vec<_> = (0..SPARE_MAX + 3).map(|_| parts.share(vec![1; 10])).collect();
        drop(many);
        let kept = std::iter::from_fn(|| Some(parts.take()).filter(|buffer| buffer.capacity() > 0)).count();
        assert_eq!(kept, SPARE_MAX);
    }
}
