//! What the ledger writes beside an offset that it commits to Kafka.
//!
//! Owns the text of that note. The offset is advice (where to begin to look); only the note proves
//! something, namely that one very entry was published, since the offset is committed after that and
//! anybody in the group may set a bare offset.

use super::path::is_unique_id;

/// First word of the note.
const SCHEME: &str = "vanne1";

/// An offset committed to Kafka, with the note beside it, as the broker gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// The offset.
    pub offset: u64,
    /// The note; empty, or anything at all, where somebody else committed.
    pub metadata: String,
}

/// What a note says: the entry of this ledger that ends here and has this nonce is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Id of the ledger.
    pub ledger: String,
    /// End of the published entry.
    pub end: u64,
    /// Nonce of the published entry.
    pub nonce: String,
}

impl Commit {
    /// The commit to make once an entry is published.
    #[must_use]
    pub fn published(ledger: &str, end: u64, nonce: &str) -> Self {
        Self { offset: end, metadata: format!("{SCHEME}:{ledger}:{end}:{nonce}") }
    }

    /// The note, where it is one of ours in every detail.
    #[must_use]
    pub fn note(&self) -> Option<Note> {
        let mut parts = self.metadata.split(':');
        let (scheme, ledger, end, nonce) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let number: u64 = end.parse().ok()?;
        let ours = scheme == SCHEME
            && parts.next().is_none()
            && is_unique_id(ledger)
            && is_unique_id(nonce)
            && number.to_string() == end;
        ours.then(|| Note { ledger: ledger.into(), end: number, nonce: nonce.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_note_looks_as_the_design_says() {
        let commit = Commit::published("00000000000000aa", 42, "0123456789abcdef");
        assert_eq!(commit.offset, 42);
        assert_eq!(commit.metadata, "vanne1:00000000000000aa:42:0123456789abcdef");
    }

    #[test]
    fn what_others_wrote_is_no_note() {
        for metadata in [
            "",
            "consumer-1",
            "vanne1",
            "vanne2:00000000000000aa:42:0123456789abcdef",
            "vanne1:00000000000000AA:42:0123456789abcdef",
            "vanne1:00000000000000aa:042:0123456789abcdef",
            "vanne1:00000000000000aa:+42:0123456789abcdef",
            "vanne1:00000000000000aa:-1:0123456789abcdef",
            "vanne1:00000000000000aa:42:0123456789abcdef:",
            "vanne1:00000000000000aa:42:0123456789abcde",
        ] {
            assert_eq!(Commit { offset: 42, metadata: metadata.into() }.note(), None, "{metadata}");
        }
    }

    proptest! {
        #[test]
        fn a_note_is_read_as_it_was_written(ledger in "[0-9a-f]{16}", end in any::<u64>(), nonce in "[0-9a-f]{16}") {
            let note = Commit::published(&ledger, end, &nonce).note();
            prop_assert_eq!(note, Some(Note { ledger, end, nonce }));
        }

        #[test]
        fn reading_any_note_does_not_panic(metadata in ".{0,60}") {
            let commit = Commit { offset: 0, metadata };
            if let Some(Note { ledger, end, nonce }) = commit.note() {
                prop_assert_eq!(Commit::published(&ledger, end, &nonce).metadata, commit.metadata);
            }
        }
    }
}
