//! Where everything of the ledger lies, and whose name means what.
//!
//! Owns the spelling of paths and its strict reverse: a name that this module would not have made is
//! not an entry, not a claim and not garbage, and is left alone. Knows no store.
//!
//! ```text
//! <root>/_ledger.json
//! <root>/_claims/<topic id>/<sha256 of the sink's place>.json            in the sink's own store
//! <root>/<pipeline>/revision/<number>.json                               from 1, without holes
//! <root>/<pipeline>/component/<sha256>.wasm
//! <root>/<pipeline>/config/<sha256>.toml
//! <root>/<pipeline>/<topic>@<topic id>/_start.json
//! <root>/<pipeline>/<topic>@<topic id>/<partition>/_start.json           of a partition added later
//! <root>/<pipeline>/<topic>@<topic id>/<partition>/<start / 1,000,000>/<start>.json
//! <root>/<pipeline>/<topic>@<topic id>/<partition>/<start / 1,000,000>/<start>.closed.json
//! <root>/<pipeline>/<topic>@<topic id>/<partition>/staging/<start>-<nonce>-<sink>-<n>.staged
//!                                                                        in the sink's own store
//! ```
//!
//! Invariant: numbers are padded (14 and 20 digits), so that the order of names is the order of
//! offsets, and the last name of a chain is its last entry. Folders of topics have an `@` in their names,
//! and no other folder of a pipeline has.

use sha2::{Digest, Sha256};

use super::{Error, Result, TopicIdentity};

/// Offsets that share a folder: listing one folder must stay cheap, and so must skipping to the right one.
const OFFSETS_PER_FOLDER: u64 = 1_000_000;

/// Digits of a folder's name: those of the greatest `u64` divided by [`OFFSETS_PER_FOLDER`].
const FOLDER_DIGITS: usize = 14;

/// Digits of an entry's name, and of a revision's: those of the greatest `u64`.
const START_DIGITS: usize = 20;

/// Longest name that file systems take.
const FILE_NAME_BYTES_MAX: usize = 255;

/// Name of the folder in a lane's folder in which objects wait.
const STAGING: &str = "staging";

/// Joins a folder, which may be the store's root (empty), and what is in it.
pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Checks the ledger's folder: relative, without empty parts, dots or control characters.
pub(super) fn check_root(root: &str) -> Result<()> {
    let refuse = |reason| Err(Error::Name { what: "ledger's folder", name: root.into(), reason });
    if root.is_empty() {
        return Ok(());
    }
    if root.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return refuse("it has an empty part, `.` or `..`");
    }
    if root.contains('@') || root.chars().any(char::is_control) {
        return refuse("it has `@` or a control character");
    }
    Ok(())
}

fn check_word(what: &'static str, name: &str, longest: usize) -> Result<()> {
    let refuse = |reason| Err(Error::Name { what, name: name.into(), reason });
    if name.is_empty() || name.len() > longest {
        return refuse("it is empty or too long");
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return refuse("only ASCII letters, digits, `.`, `_` and `-` are possible");
    }
    if name == "." || name == ".." {
        return refuse("it is `.` or `..`");
    }
    Ok(())
}

/// Checks a pipeline's name: up to 200 of letters, digits, `.`, `_`, `-`, and no `_` first, for those
/// names are the ledger's own.
///
/// # Errors
/// [`Error::Name`] with the rule that is broken.
pub fn check_pipeline(name: &str) -> Result<()> {
    check_word("pipeline's name", name, 200)?;
    if name.starts_with('_') {
        return Err(Error::Name { what: "pipeline's name", name: name.into(), reason: "it starts with `_`" });
    }
    Ok(())
}

/// Checks a sink's name: up to 100 of letters, digits, `.`, `_`, `-`.
///
/// # Errors
/// [`Error::Name`] with the rule that is broken.
pub fn check_sink(name: &str) -> Result<()> {
    check_word("sink's name", name, 100)
}

/// Checks a topic's name as Kafka does, and its id: up to 64 of letters, digits, `_`, `-`.
pub(super) fn check_topic(topic: &TopicIdentity) -> Result<()> {
    check_word("topic's name", &topic.name, 249)?;
    check_word("topic's id", &topic.id, 64)?;
    if topic.id.contains('.') {
        return Err(Error::Name { what: "topic's id", name: topic.id.clone(), reason: "it has a `.`" });
    }
    // On the stores that would take it, too: a pipeline can be moved to a folder and back.
    if topic.name.len() + 1 + topic.id.len() > FILE_NAME_BYTES_MAX {
        let reason = "with the topic's id it is longer than a file's name may be";
        return Err(Error::Name { what: "topic's name", name: topic.name.clone(), reason });
    }
    Ok(())
}

/// Whether a text is 16 lower case hexadecimal digits, as nonces and ledger ids are.
#[must_use]
pub fn is_unique_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A number in decimal digits as this program writes it: no sign, no needless zero.
fn plain_number<T: std::str::FromStr + ToString>(text: &str) -> Option<T> {
    let number: T = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A number padded to `digits`.
fn padded_number(text: &str, digits: usize) -> Option<u64> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// The file that makes a folder a ledger.
pub(super) fn ledger_file(root: &str) -> String {
    join(root, "_ledger.json")
}

/// The file that says who owns a sink's place for a topic.
pub(super) fn claim_file(root: &str, topic_id: &str, url: &str) -> String {
    join(root, &format!("_claims/{topic_id}/{}.json", hexadecimal(&Sha256::digest(url.as_bytes()))))
}

/// Lower case hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string can't fail");
        text
    })
}

/// The folder of a pipeline.
pub(super) fn pipeline_folder(root: &str, pipeline: &str) -> String {
    join(root, pipeline)
}

/// The folder of a pipeline's revisions.
pub(super) fn revision_folder(root: &str, pipeline: &str) -> String {
    format!("{}/revision", pipeline_folder(root, pipeline))
}

/// Where a revision lies.
pub(super) fn revision_file(root: &str, pipeline: &str, number: u64) -> String {
    format!("{}/{number:0START_DIGITS$}.json", revision_folder(root, pipeline))
}

/// The reverse of [`revision_file`], by the folder; `None` for every path that it would not give.
pub(super) fn parse_revision(revision_folder: &str, path: &str) -> Option<u64> {
    let name = path.strip_prefix(revision_folder)?.strip_prefix('/')?.strip_suffix(".json")?;
    padded_number(name, START_DIGITS).filter(|number| *number > 0)
}

/// Where a component is kept, by the hexadecimal digits of its digest.
pub(super) fn component_file(root: &str, pipeline: &str, digits: &str) -> String {
    format!("{}/component/{digits}.wasm", pipeline_folder(root, pipeline))
}

/// Where a configuration is kept, by the hexadecimal digits of its digest.
pub(super) fn config_file(root: &str, pipeline: &str, digits: &str) -> String {
    format!("{}/config/{digits}.toml", pipeline_folder(root, pipeline))
}

/// The 64 digits of a `sha256:…`, the only text that becomes the name of something kept.
pub(super) fn digest_digits(digest: &str) -> Option<&str> {
    let digits = digest.strip_prefix("sha256:")?;
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (digits.len() == 64 && digits.bytes().all(is_digit)).then_some(digits)
}

/// The pipeline whose folder a path of the ledger lies in.
pub(super) fn pipeline_of<'a>(root: &str, path: &'a str) -> Option<&'a str> {
    let inner = if root.is_empty() { path } else { path.strip_prefix(root)?.strip_prefix('/')? };
    let (pipeline, _) = inner.split_once('/')?;
    check_pipeline(pipeline).ok().map(|()| pipeline)
}

/// The folder of a topic.
pub(super) fn topic_folder(root: &str, pipeline: &str, topic: &TopicIdentity) -> String {
    format!("{}/{}@{}", pipeline_folder(root, pipeline), topic.name, topic.id)
}

/// The topic whose folder a path of the pipeline's folder lies in.
pub(super) fn topic_of(pipeline_folder: &str, path: &str) -> Option<TopicIdentity> {
    let (folder, _) = path.strip_prefix(pipeline_folder)?.strip_prefix('/')?.split_once('/')?;
    let (name, id) = folder.split_once('@')?;
    let topic = TopicIdentity { name: name.into(), id: id.into() };
    check_topic(&topic).ok().map(|()| topic)
}

/// The partition whose folder a path of the topic's folder lies in.
pub(super) fn partition_of(topic_folder: &str, path: &str) -> Option<i32> {
    let (folder, _) = path.strip_prefix(topic_folder)?.strip_prefix('/')?.split_once('/')?;
    plain_number(folder).filter(|partition| *partition >= 0)
}

/// The file that says where the partitions of a topic start.
pub(super) fn start_file(root: &str, pipeline: &str, topic: &TopicIdentity) -> String {
    format!("{}/_start.json", topic_folder(root, pipeline, topic))
}

/// The paths of one lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LanePath {
    folder: String,
}

/// What a path in a lane's folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LaneFile {
    /// The entry that starts at this offset.
    Entry(u64),
    /// Something else, before or among the entries in the order of names.
    Other,
    /// Something behind every possible entry in the order of names.
    Behind,
}

/// The name of an object that waits to be published.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StagedName {
    /// Where the range starts for which it was staged.
    pub start: u64,
    /// The nonce drawn when staging at that start began.
    pub nonce: String,
    /// The sink that it is for.
    pub sink: String,
    /// Which of the attempt's objects for that sink.
    pub number: u32,
}

impl LanePath {
    /// The lane of a partition, under a ledger's folder `root`: the ledger's own, or the `_vanne` folder
    /// of a sink's store.
    ///
    /// # Errors
    /// [`Error::Name`] where a name can't be part of a path.
    pub fn new(root: &str, pipeline: &str, topic: &TopicIdentity, partition: i32) -> Result<Self> {
        check_root(root)?;
        check_pipeline(pipeline)?;
        check_topic(topic)?;
        if partition < 0 {
            let reason = "it is negative";
            return Err(Error::Name { what: "partition", name: partition.to_string(), reason });
        }
        Ok(Self { folder: format!("{}/{partition}", topic_folder(root, pipeline, topic)) })
    }

    /// The lane's folder.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The entry that starts at an offset.
    #[must_use]
    pub fn entry(&self, start: u64) -> String {
        format!("{}.json", self.before_entry(start))
    }

    /// The file that says that the entry at this start is published for good.
    #[must_use]
    pub fn closed(&self, start: u64) -> String {
        format!("{}.closed.json", self.before_entry(start))
    }

    /// The file that says where the partition starts, if the topic's start does not.
    pub(super) fn start(&self) -> String {
        format!("{}/_start.json", self.folder)
    }

    /// Where to list after, so that an entry at `start` is the first that can come.
    pub(super) fn before_entry(&self, start: u64) -> String {
        let folder = start / OFFSETS_PER_FOLDER;
        format!("{}/{folder:0FOLDER_DIGITS$}/{start:0START_DIGITS$}", self.folder)
    }

    /// Where staged objects of the lane lie.
    #[must_use]
    pub fn staging(&self) -> String {
        format!("{}/{STAGING}", self.folder)
    }

    /// Path of a staged object.
    ///
    /// # Errors
    /// [`Error::Name`] where the sink's name can't be part of a path, or the nonce is none.
    pub fn staged(&self, name: &StagedName) -> Result<String> {
        check_sink(&name.sink)?;
        if !is_unique_id(&name.nonce) {
            let reason = "16 lower case hexadecimal digits are needed";
            return Err(Error::Name { what: "nonce", name: name.nonce.clone(), reason });
        }
        let StagedName { start, nonce, sink, number } = name;
        Ok(format!("{}/{STAGING}/{start:0START_DIGITS$}-{nonce}-{sink}-{number}.staged", self.folder))
    }

    /// The reverse of [`LanePath::staged`]; `None` for every path that it would not give.
    #[must_use]
    pub fn parse_staged(&self, path: &str) -> Option<StagedName> {
        let name =
            path.strip_prefix(&self.folder)?.strip_prefix('/')?.strip_prefix(STAGING)?.strip_prefix('/')?;
        let (start, rest) = name.strip_suffix(".staged")?.split_once('-')?;
        let (nonce, rest) = rest.split_once('-')?;
        let (sink, number) = rest.rsplit_once('-')?;
        check_sink(sink).ok()?;
        Some(StagedName {
            start: padded_number(start, START_DIGITS)?,
            nonce: is_unique_id(nonce).then(|| nonce.to_owned())?,
            sink: sink.to_owned(),
            number: plain_number(number)?,
        })
    }

    /// What lies at a path that a listing of the lane's folder gave.
    pub(super) fn classify(&self, path: &str) -> LaneFile {
        let Some(inner) = path.strip_prefix(&self.folder).and_then(|rest| rest.strip_prefix('/')) else {
            return LaneFile::Other;
        };
        // Folders of entries begin with a digit; a name whose first byte sorts behind is behind them all.
        if inner.as_bytes().first().is_some_and(|first| *first > b'9') {
            return LaneFile::Behind;
        }
        self.entry_start(inner).map_or(LaneFile::Other, LaneFile::Entry)
    }

    fn entry_start(&self, inner: &str) -> Option<u64> {
        let (folder, file) = inner.split_once('/')?;
        let start = padded_number(file.strip_suffix(".json")?, START_DIGITS)?;
        let folder = padded_number(folder, FOLDER_DIGITS)?;
        (folder == start / OFFSETS_PER_FOLDER).then_some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn topic() -> TopicIdentity {
        TopicIdentity { name: "access-logs".into(), id: "AbC_d-12".into() }
    }

    fn lane() -> LanePath {
        LanePath::new("_vanne", "logs", &topic(), 3).expect("these names are possible")
    }

    #[test]
    fn an_entry_lies_where_the_design_says() {
        let entry = "_vanne/logs/access-logs@AbC_d-12/3/00000000000012/00000000000012345678.json";
        assert_eq!(lane().entry(12_345_678), entry);
        assert_eq!(lane().closed(12_345_678), entry.replace(".json", ".closed.json"));
        assert_eq!(lane().classify(entry), LaneFile::Entry(12_345_678));
        assert_eq!(
            LanePath::new("", "logs", &topic(), 0).expect("possible").folder(),
            "logs/access-logs@AbC_d-12/0"
        );
    }

    #[test]
    fn names_that_the_ledger_did_not_make_are_no_entries() {
        let lane = lane();
        for inner in [
            "00000000000012/00000000000012345678.closed.json",
            "00000000000012/00000000000012345678.search.json",
            "00000000000012/00000000000012345678.json.tmp",
            "00000000000012/0000000000012345678.json",
            "00000000000013/00000000000012345678.json",
            "00000000000012/+0000000000012345678.json",
            "00000000000012/99999999999999999999.json",
            "00000000000012/00000000000012345678",
            "12/12345678.json",
            "_start.json.bak",
        ] {
            let path = format!("{}/{inner}", lane.folder());
            assert!(!matches!(lane.classify(&path), LaneFile::Entry(_)), "{path}");
        }
        assert_eq!(lane.classify("elsewhere/00000000000000/00000000000000000000.json"), LaneFile::Other);
        let staged = format!("{}/staging/x.staged", lane.folder());
        assert_eq!(lane.classify(&staged), LaneFile::Behind);
    }

    #[test]
    fn names_that_could_leave_their_folder_are_refused() {
        for pipeline in ["", ".", "..", "a/b", "_claims", "ä", "a b", "a@b"] {
            assert!(check_pipeline(pipeline).is_err(), "{pipeline}");
        }
        for id in ["", "a.b", "a/b", "a@b"] {
            assert!(check_topic(&TopicIdentity { name: "t".into(), id: id.into() }).is_err(), "{id}");
        }
        let long = |bytes| TopicIdentity { name: "t".repeat(bytes), id: "i".repeat(22) };
        assert!(check_topic(&long(232)).is_ok() && check_topic(&long(233)).is_err());
        for root in ["/", "/_vanne", "_vanne/", "a//b", "../x", "a@b"] {
            assert!(check_root(root).is_err(), "{root}");
        }
        assert!(LanePath::new("", "logs", &topic(), -1).is_err());
    }

    #[test]
    fn folders_tell_their_topic_and_partition() {
        let folder = pipeline_folder("_vanne", "logs");
        let path = lane().entry(0);
        assert_eq!(topic_of(&folder, &path), Some(topic()));
        assert_eq!(partition_of(&topic_folder("_vanne", "logs", &topic()), &path), Some(3));
        for inner in ["revision/00000000000000000001.json", "component/00.wasm", "config/00.toml", "x.json"] {
            assert_eq!(topic_of(&folder, &format!("{folder}/{inner}")), None, "{inner}");
        }
        assert_eq!(partition_of("_vanne/logs/t@i", "_vanne/logs/t@i/_start.json"), None);
        assert_eq!(partition_of("_vanne/logs/t@i", "_vanne/logs/t@i/03/x"), None);
    }

    #[test]
    fn revisions_and_what_they_name_lie_where_the_design_says() {
        let path = revision_file("_vanne", "logs", 12);
        assert_eq!(path, "_vanne/logs/revision/00000000000000000012.json");
        let digits = "0a".repeat(32);
        assert_eq!(component_file("", "logs", &digits), format!("logs/component/{digits}.wasm"));
        assert_eq!(config_file("_vanne", "logs", &digits), format!("_vanne/logs/config/{digits}.toml"));
        assert_eq!(digest_digits(&format!("sha256:{digits}")), Some(&*digits));
        for digest in
            [digits.clone(), format!("sha256:{}", "0A".repeat(32)), "sha256:../x".into(), "sha256:".into()]
        {
            assert_eq!(digest_digits(&digest), None, "{digest}");
        }
    }

    #[test]
    fn names_that_the_ledger_did_not_make_are_no_revisions() {
        let folder = revision_folder("_vanne", "logs");
        for inner in [
            "00000000000000000000.json",
            "1.json",
            "+0000000000000000001.json",
            "0000000000000000001.json",
            "00000000000000000001.json.tmp",
            "00000000000000000001",
            "a/00000000000000000001.json",
            "99999999999999999999.json",
        ] {
            assert_eq!(parse_revision(&folder, &format!("{folder}/{inner}")), None, "{inner}");
        }
        assert_eq!(parse_revision(&folder, "_vanne/logs/revisions/00000000000000000001.json"), None);
    }

    #[test]
    fn folders_tell_their_pipeline() {
        assert_eq!(pipeline_of("_vanne", "_vanne/logs/revision/x"), Some("logs"));
        assert_eq!(pipeline_of("", "logs/t@i/_start.json"), Some("logs"));
        for path in ["_vanne/_claims/t/x.json", "_vanne/_ledger.json", "_vanne2/logs/x", "x/logs/y"] {
            assert_eq!(pipeline_of("_vanne", path), None, "{path}");
        }
    }

    fn starts() -> impl Strategy<Value = u64> {
        let edges = vec![0, 999_999, 1_000_000, 9_999_999, 10_000_000, u64::MAX - 1, u64::MAX];
        prop_oneof![any::<u64>(), 0_u64..20_000_000, proptest::sample::select(edges)]
    }

    proptest! {
        #[test]
        fn the_order_of_names_is_the_order_of_offsets(one in starts(), other in starts()) {
            let lane = lane();
            prop_assert_eq!(lane.entry(one).cmp(&lane.entry(other)), one.cmp(&other));
            prop_assert!(lane.before_entry(one) < lane.entry(one));
            prop_assert!(one <= other || lane.before_entry(one) > lane.entry(other));
            prop_assert!(lane.entry(one) < lane.staging());
        }

        #[test]
        fn a_revision_is_found_by_its_name_and_sorts_by_its_number(one in starts(), other in starts()) {
            let folder = revision_folder("_vanne", "logs");
            let file = |number| revision_file("_vanne", "logs", number);
            prop_assert_eq!(parse_revision(&folder, &file(one)), (one > 0).then_some(one));
            prop_assert_eq!(file(one).cmp(&file(other)), one.cmp(&other));
        }

        #[test]
        fn an_entry_is_found_by_its_name(start in starts()) {
            prop_assert_eq!(lane().classify(&lane().entry(start)), LaneFile::Entry(start));
        }

        #[test]
        fn a_staged_name_is_read_as_it_was_written(
            start in starts(), nonce in "[0-9a-f]{16}", sink in "[a-z][a-z0-9._-]{0,20}", number in any::<u32>()
        ) {
            let name = StagedName { start, nonce, sink, number };
            let path = lane().staged(&name).expect("the name is possible");
            prop_assert_eq!(lane().parse_staged(&path), Some(name));
        }

        #[test]
        fn reading_any_name_does_not_panic(name in ".{0,80}") {
            let path = format!("{}/{name}", lane().folder());
            let _ = lane().classify(&path);
            if let Some(staged) = lane().parse_staged(&path) {
                prop_assert_eq!(lane().staged(&staged).expect("what was read is possible"), path);
            }
        }
    }
}
