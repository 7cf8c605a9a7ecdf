//! Which inputs of a batch a chain accounts for: all of a stretch, or its share of them.
//!
//! Invariant: of the scopes of two versions that share a stretch each input is in exactly one.

use std::ops::Range;

/// Inputs of a batch; lists ascend.
#[derive(Clone, Debug)]
pub(super) enum Scope<'a> {
    /// All in the stretch.
    All(Range<u32>),
    /// Those in the stretch that are not in the list, which has none outside of it.
    Without(Range<u32>, &'a [u32]),
    /// Those in the list.
    Only(&'a [u32]),
}

impl Scope<'_> {
    /// How many come before the input at `end`.
    pub(super) fn before(&self, end: u32) -> u64 {
        let listed = |list: &[u32]| list.partition_point(|input| *input < end) as u64;
        let stretch = |range: &Range<u32>| u64::from(end.min(range.end).saturating_sub(range.start));
        match self {
            Self::All(range) => stretch(range),
            Self::Without(range, list) => stretch(range) - listed(list),
            Self::Only(list) => listed(list),
        }
    }

    /// How many there are from the input `first` to the input `last`, both included.
    pub(super) fn within(&self, first: u32, last: u32) -> u32 {
        let count = self.before(last.saturating_add(1)) - self.before(first);
        u32::try_from(count).expect("a batch has fewer than 2^32 inputs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_shares_of_a_stretch_add_up_to_it() {
        let list = [4, 5, 9];
        let (all, rest, only) = (Scope::All(3..12), Scope::Without(3..12, &list), Scope::Only(&list));
        for end in 0..20 {
            assert_eq!(all.before(end), rest.before(end) + only.before(end), "before {end}");
        }
        assert_eq!([all, rest.clone(), only.clone()].map(|scope| scope.before(u32::MAX)), [9, 6, 3]);
        assert_eq!((rest.within(3, 9), only.within(5, 9), only.within(6, 8)), (4, 2, 0));
    }
}
