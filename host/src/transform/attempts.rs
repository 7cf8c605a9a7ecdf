//! How often a lane's head record was asked about.
//!
//! Owns one count a transform and lane. It belongs to the record's offset, not to a batch or a call, so
//! that a record which fails again and again runs out of retries however the batches are cut (AWS counts
//! by the checkpoint position likewise). It lives in memory: a restart begins at 0 again.

/// The count of one transform.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    head: Option<Head>,
}

#[derive(Debug)]
struct Head {
    offset: u64,
    wishes: u32,
    first_ms: i64,
}

impl Attempts {
    /// How often a retry was wished for the record at `offset`.
    pub(super) fn wishes(&self, offset: u64) -> u32 {
        self.head.as_ref().filter(|head| head.offset == offset).map_or(0, |head| head.wishes)
    }

    /// When the record at `offset` was first asked about, where that was not just now.
    pub(super) fn first_ms(&self, offset: u64) -> Option<i64> {
        self.head.as_ref().filter(|head| head.offset == offset).map(|head| head.first_ms)
    }

    /// Counts another wish for the record at `offset`, and says how many there were.
    ///
    /// One record at a time can be waiting: everything before it stands, and everything after it waits
    /// behind it. So a wish for another record means that the last one is past.
    pub(super) fn wish(&mut self, offset: u64, now_ms: i64) -> u32 {
        match &mut self.head {
            Some(head) if head.offset == offset => head.wishes = head.wishes.saturating_add(1),
            _ => self.head = Some(Head { offset, wishes: 1, first_ms: now_ms }),
        }
        self.wishes(offset)
    }

    /// The last wish for the record at `offset` counts for nothing.
    pub(super) fn take_back(&mut self, offset: u64) {
        let Some(head) = self.head.as_mut().filter(|head| head.offset == offset) else { return };
        head.wishes = head.wishes.saturating_sub(1);
        if head.wishes == 0 {
            self.head = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_count_by_offset() {
        let mut attempts = Attempts::default();
        assert_eq!((attempts.wishes(7), attempts.first_ms(7)), (0, None));
        assert_eq!([attempts.wish(7, 100), attempts.wish(7, 200)], [1, 2]);
        assert_eq!((attempts.wishes(7), attempts.first_ms(7)), (2, Some(100)));
        assert_eq!(attempts.wish(9, 300), 1);
        assert_eq!((attempts.wishes(7), attempts.first_ms(9)), (0, Some(300)));
    }

    #[test]
    fn a_wish_that_is_taken_back_was_never_made() {
        let mut attempts = Attempts::default();
        assert_eq!([attempts.wish(7, 100), attempts.wish(7, 200)], [1, 2]);
        attempts.take_back(8);
        attempts.take_back(7);
        assert_eq!((attempts.wishes(7), attempts.first_ms(7)), (1, Some(100)));
        attempts.take_back(7);
        assert_eq!((attempts.wishes(7), attempts.first_ms(7)), (0, None));
    }
}
