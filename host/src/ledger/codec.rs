//! An entry as bytes: one line of JSON, and behind its newline the bytes of small objects.
//!
//! Owns the form, its limits and the digest. Invariant: what [`encode`] accepts, [`decode`] returns;
//! what [`decode`] returns has ranges, names and lengths that fit each other, whoever wrote it.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::document::{Flaw, parse};
use super::path::{hexadecimal, is_unique_id};
use super::{CutCause, ENTRY_VERSION, Entry, ObjectEntry, Staged};

/// Cuts up to this size travel in their entry: one request instead of four for each small object.
pub const INLINE_BYTES_MAX: u64 = 256 << 10;

/// Bound of the JSON line. An object takes some 500 bytes, so this is a cut of over 100,000 objects.
const LINE_BYTES_MAX: usize = 64 << 20;

/// Bound of the bytes behind the line when reading: more than this program writes, so that a later one
/// can write more without a new format.
const INLINE_BYTES_READ_MAX: usize = 16 << 20;

/// An entry as it stands in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEntry {
    /// What it says.
    pub entry: Entry,
    /// The bytes behind its JSON line.
    pub inline: Bytes,
    /// `sha256:` and the digest of all of it.
    pub digest: String,
}

impl LastEntry {
    /// The nonce of the attempt that made it.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.entry.nonce
    }

    /// The bytes of an object of this entry that travel in it; `None` where they are staged elsewhere.
    #[must_use]
    pub fn inline_bytes(&self, object: &ObjectEntry) -> Option<Bytes> {
        let Staged::Inline { start, bytes } = object.staged else { return None };
        let start = usize::try_from(start).ok()?;
        let end = start.checked_add(usize::try_from(bytes).ok()?)?;
        (end <= self.inline.len()).then(|| self.inline.slice(start..end))
    }
}

/// An entry ready to be created, the same bytes however often they are sent.
#[derive(Clone, Debug)]
pub(super) struct Encoded {
    /// The whole body.
    pub(super) body: Bytes,
    /// Its digest.
    pub(super) digest: String,
    /// What stands behind the line.
    pub(super) inline: Bytes,
}

/// `sha256:` and the digest of some bytes.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hexadecimal(&Sha256::digest(bytes)))
}

/// Makes the body of an entry; `inline` are the bytes behind the line, in pieces.
///
/// The error says which rule the entry breaks. Here the counts are checked as well: a wrong sum is
/// found before it is the commit.
pub(super) fn encode(entry: &Entry, inline: &[Bytes]) -> Result<Encoded, String> {
    let inline_bytes = inline.iter().map(Bytes::len).sum::<usize>();
    if inline_bytes > INLINE_BYTES_READ_MAX {
        return Err(format!(
            "{inline_bytes} bytes would travel in it, and {INLINE_BYTES_READ_MAX} are possible"
        ));
    }
    check(entry, inline_bytes)?;
    check_counts(entry)?;
    let mut body = serde_json::to_vec(entry).map_err(|error| error.to_string())?;
    if body.len() > LINE_BYTES_MAX {
        return Err(format!("its line has {} bytes, and {LINE_BYTES_MAX} are possible", body.len()));
    }
    body.push(b'\n');
    let line_bytes = body.len();
    body.reserve_exact(inline_bytes);
    for piece in inline {
        body.extend_from_slice(piece);
    }
    let body = Bytes::from(body);
    Ok(Encoded { digest: digest(&body), inline: body.slice(line_bytes..), body })
}

/// Reads a body.
pub(super) fn decode(body: &Bytes) -> Result<LastEntry, Flaw> {
    let malformed = |reason: String| Flaw::Malformed(reason);
    let line_end = body.iter().take(LINE_BYTES_MAX + 1).position(|byte| *byte == b'\n');
    let line_end = line_end.ok_or_else(|| malformed("its first line has no end".into()))?;
    let inline = body.slice(line_end + 1..);
    if inline.len() > INLINE_BYTES_READ_MAX {
        return Err(malformed(format!("{} bytes stand behind its line, too many", inline.len())));
    }
    let entry: Entry = parse(&body[..line_end], ENTRY_VERSION)?;
    check(&entry, inline.len()).map_err(malformed)?;
    Ok(LastEntry { entry, inline, digest: digest(body) })
}

/// What must hold of every entry, for nothing later asks again.
fn check(entry: &Entry, inline_bytes: usize) -> Result<(), String> {
    let Entry { start, end, .. } = *entry;
    if entry.version != ENTRY_VERSION {
        return Err(format!("its format version is {}, and {ENTRY_VERSION} is written here", entry.version));
    }
    // Kafka's offsets are signed; a greater one could not be committed or sought.
    if start >= end || i64::try_from(end).is_err() {
        return Err(format!("{start}..{end} is no range of offsets"));
    }
    if !is_unique_id(&entry.nonce) {
        return Err(format!("the nonce `{}` is not 16 hexadecimal digits", entry.nonce));
    }
    if entry.previous.as_ref().is_some_and(|previous| previous.start >= start) {
        return Err("the entry before it starts behind it".into());
    }
    entry.objects().try_for_each(|(_, object)| check_object(entry, object, inline_bytes))
}

fn check_object(entry: &Entry, object: &ObjectEntry, inline_bytes: usize) -> Result<(), String> {
    let refuse = |reason: &str| Err(format!("the object `{}` {reason}", object.path));
    if object.path.is_empty() || object.bytes == 0 {
        return refuse("has no path or no bytes");
    }
    if object.first_offset < entry.start
        || object.last_offset >= entry.end
        || object.first_offset > object.last_offset
    {
        return refuse("holds offsets outside the entry's range");
    }
    match object.staged {
        Staged::Path(ref path) if path.is_empty() => refuse("is staged nowhere"),
        Staged::Path(_) => Ok(()),
        Staged::Inline { bytes, .. } if bytes != object.bytes => {
            refuse("has another length than its bytes in the entry")
        }
        Staged::Inline { start, bytes } => match start.checked_add(bytes) {
            Some(end) if end <= inline_bytes as u64 => Ok(()),
            _ => refuse("lies outside the bytes in the entry"),
        },
    }
}

fn check_counts(entry: &Entry) -> Result<(), String> {
    let Entry { read, empty, dropped, dead, kept, .. } = *entry;
    if dropped.checked_add(dead).and_then(|sum| sum.checked_add(kept)) != Some(read) {
        return Err(format!("{read} records read are not {dropped} dropped, {dead} dead and {kept} kept"));
    }
    // Of records lost to retention nobody knows how many there were.
    let offsets = entry.range().offsets();
    if entry.cause != CutCause::Gap && read.checked_add(empty) != Some(offsets) {
        return Err(format!("{read} records and {empty} offsets without one are not {offsets} offsets"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{entry, object};
    use super::*;
    use proptest::prelude::*;

    fn encoded(entry: &Entry, inline: &[Bytes]) -> Encoded {
        encode(entry, inline).expect("the entry is sound")
    }

    fn with_object(staged: Staged) -> Entry {
        let mut entry = entry(10, 20);
        entry.sinks.entry("lake".into()).or_default().objects.push(object("a", staged, 3, 10, 19));
        entry
    }

    #[test]
    fn a_body_is_a_line_and_the_bytes_of_small_objects() {
        let entry = with_object(Staged::Inline { start: 1, bytes: 3 });
        let body = encoded(&entry, &[Bytes::from_static(b"\nab"), Bytes::from_static(b"c")]).body;
        assert!(body.ends_with(b"}\n\nabc"));
        let read = decode(&body).expect("it was just written");
        assert_eq!(read.inline_bytes(&entry.sinks["lake"].objects[0]).as_deref(), Some(&b"abc"[..]));
        assert_eq!(read.digest, digest(&body));
        assert!(read.digest.starts_with("sha256:") && read.digest.len() == 71);
    }

    #[test]
    fn an_entry_that_contradicts_itself_is_not_written() {
        let broken = |change: fn(&mut Entry)| {
            let mut entry = entry(10, 20);
            change(&mut entry);
            encode(&entry, &[]).expect_err("the entry is broken")
        };
        broken(|entry| entry.end = 10);
        broken(|entry| entry.end = u64::MAX);
        broken(|entry| entry.version = 2);
        broken(|entry| entry.nonce = "x".into());
        broken(|entry| entry.read += 1);
        broken(|entry| entry.empty += 1);
        broken(|entry| entry.dropped = u64::MAX);
        broken(|entry| entry.previous = Some(super::super::Previous { start: 10, digest: String::new() }));
    }

    #[test]
    fn objects_that_lie_elsewhere_than_they_say_are_not_written() {
        let write = |entry: &Entry| encode(entry, &[Bytes::from_static(b"abc")]).err();
        assert_eq!(write(&with_object(Staged::Path("x.staged".into()))), None);
        assert!(write(&with_object(Staged::Path(String::new()))).is_some());
        assert!(write(&with_object(Staged::Inline { start: 1, bytes: 3 })).is_some());
        assert!(write(&with_object(Staged::Inline { start: 0, bytes: 2 })).is_some());
        assert!(write(&with_object(Staged::Inline { start: u64::MAX, bytes: 3 })).is_some());
        let mut outside = with_object(Staged::Path("x.staged".into()));
        outside.end = 19;
        (outside.read, outside.kept) = (9, 9);
        assert!(write(&outside).is_some());
    }

    #[test]
    fn a_gap_need_not_say_how_many_records_it_lost() {
        let mut gap = entry(10, 20);
        (gap.cause, gap.read, gap.kept, gap.empty) = (CutCause::Gap, 0, 0, 0);
        encoded(&gap, &[]);
    }

    #[test]
    fn malformed_and_newer_bodies_are_told_apart() {
        let body = encoded(&entry(10, 20), &[]).body;
        let text = String::from_utf8(body.to_vec()).expect("an entry without bytes is text");
        let read = |text: String| decode(&Bytes::from(text)).expect_err("it is not readable");
        let newer = text.replacen("\"version\":1", "\"version\":7", 1).replacen("nonce", "attempt", 1);
        assert_eq!(read(newer), Flaw::Newer { found: 7, known: ENTRY_VERSION });
        for broken in [
            String::new(),
            "\n".into(),
            "{}\n".into(),
            text.trim_end().to_owned(),
            text.replacen("\"version\":1", "\"version\":0", 1),
            text.replacen("\"end\":20", "\"end\":5", 1),
            text.replacen("\"end\":20", "\"end\":-5", 1),
            text.replacen("nonce", "attempt", 1),
            text[..text.len() / 2].to_owned() + "\n",
        ] {
            assert!(matches!(read(broken.clone()), Flaw::Malformed(_)), "{broken}");
        }
    }

    #[test]
    fn fields_of_later_versions_are_ignored() {
        let body = encoded(&entry(10, 20), &[]).body;
        let text = String::from_utf8(body.to_vec()).expect("an entry without bytes is text");
        let more = text.replacen("{", "{\"later\":{\"deep\":[1]},", 1);
        assert_eq!(decode(&Bytes::from(more)).expect("it is readable").entry, entry(10, 20));
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_was_written(
            start in 0_u64..1 << 40, read in 1_u64..1000, empty in 0_u64..1000, inline in proptest::collection::vec(any::<u8>(), 0..100)
        ) {
            let mut entry = entry(start, start + read + empty);
            (entry.read, entry.kept, entry.empty) = (read, read, empty);
            if !inline.is_empty() {
                let bytes = inline.len() as u64;
                let staged = Staged::Inline { start: 0, bytes };
                entry.sinks.entry("lake".into()).or_default().objects.push(object("a", staged, bytes, start, start));
            }
            let encoded = encoded(&entry, &[Bytes::from(inline.clone())]);
            let decoded = decode(&encoded.body).expect("it was just written");
            prop_assert_eq!(&decoded.entry, &entry);
            prop_assert_eq!(&decoded.inline, &inline);
            prop_assert_eq!(&decoded.inline, &encoded.inline);
            prop_assert_eq!(decoded.digest, encoded.digest);
        }

        #[test]
        fn reading_any_body_does_not_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let body = Bytes::from(body);
            if let Ok(read) = decode(&body) {
                prop_assert_eq!(read.digest, digest(&body));
            }
        }

        #[test]
        fn reading_a_damaged_body_does_not_panic(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
            let mut body = encoded(&with_object(Staged::Path("x.staged".into())), &[]).body.to_vec();
            let at = at.index(body.len());
            body[at] = byte;
            if let Ok(read) = decode(&Bytes::from(body)) {
                prop_assert!(read.entry.start < read.entry.end);
            }
        }
    }
}
