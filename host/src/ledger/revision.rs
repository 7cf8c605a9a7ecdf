//! A revision: a number, and the whole shape that a pipeline has from then on.
//!
//! Owns the words of `revision/<number>.json` (version 1), what makes two revisions equal, and which of
//! them can be. Does not know how they are numbered (`revisions`) nor where what they name is kept
//! (`kept`). Invariant: a revision that was read names only digests, and a rollout's share is a share.

use serde::{Deserialize, Serialize};

use super::TransformEntry;
use super::codec::digest;
use super::document::DOCUMENT_VERSION;
use super::path::digest_digits;

/// The [`Revision::version`] that this program writes, and the highest that it reads.
pub const REVISION_VERSION: u32 = DOCUMENT_VERSION;

/// Longest [`Revision::why`] and [`Revision::made_by`] in bytes: they are for one line on a screen.
pub const REVISION_TEXT_BYTES_MAX: usize = 500;

/// The whole of a share: hundredths of a percent.
pub const SHARE_MAX: u16 = 10_000;

/// What a pipeline is from one moment on, as it stands in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Format: [`REVISION_VERSION`].
    pub version: u32,
    /// Its number, from 1, without holes.
    pub revision: u64,
    /// The pipeline.
    pub pipeline: String,
    /// What made it.
    pub cause: RevisionCause,
    /// For a rollback: the revision whose content this has again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// Why, for people; at most [`REVISION_TEXT_BYTES_MAX`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When (RFC 3339, UTC), by its maker's clock.
    pub made_at: String,
    /// Who: name and process of a host; at most [`REVISION_TEXT_BYTES_MAX`] bytes.
    pub made_by: String,
    /// The program that made it.
    pub host_version: String,
    /// `sha256:` and the digest of the kept configuration.
    pub config: String,
    /// In the order in which they run.
    pub transforms: Vec<TransformEntry>,
    /// A second version that runs beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
}

/// What made a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevisionCause {
    /// A start with a content that was unknown.
    Start,
    /// The component of a transform was changed.
    Swap,
    /// A second version was put beside the one that runs, or its share was changed.
    Rollout,
    /// The second version became the one that runs.
    Promote,
    /// The second version was given up.
    Abort,
    /// An earlier revision's content holds again.
    Rollback,
    /// The configuration was changed.
    Reload,
}

/// A second version, the candidate, beside the one that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// `sha256:` and the digest of its kept configuration.
    pub config: String,
    /// Its transforms, in order.
    pub transforms: Vec<TransformEntry>,
    /// What it gets, and what becomes of its output.
    pub mode: RolloutMode,
}

/// What a candidate gets, and what becomes of its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutMode {
    /// Some records go to it instead; its output is delivered.
    Share {
        /// Hundredths of a percent, 1 to [`SHARE_MAX`].
        share: u16,
        /// What is counted.
        by: ShareBy,
    },
    /// It gets the same records; its output is compared and thrown away.
    Shadow {
        /// Promote it once so many records differed by nothing; `None`: a person does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        promote_after: Option<u64>,
    },
}

/// What a share counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShareBy {
    /// Whole batches.
    Batches,
    /// Keys: all records of one key go to one version.
    Keys,
}

/// What of a version counts for [`Revision::content`].
#[derive(Serialize)]
struct Content<'a> {
    config: &'a str,
    transforms: Vec<(&'a str, &'a str, &'a [String])>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<(Box<Content<'a>>, RolloutMode)>,
}

impl<'a> Content<'a> {
    fn of(config: &'a str, transforms: &'a [TransformEntry]) -> Self {
        let transforms = transforms.iter().map(|one| (&*one.name, &*one.digest, &*one.grants)).collect();
        Self { config, transforms, rollout: None }
    }
}

impl Revision {
    /// What makes two revisions equal: `sha256:` and the digest of configuration, transforms (name,
    /// component and grants, in order) and rollout. Number, cause, maker and time are left out, and so is
    /// what a plugin calls itself, which follows from its component.
    #[must_use]
    pub fn content(&self) -> String {
        let rollout = self
            .rollout
            .as_ref()
            .map(|rollout| (Box::new(Content::of(&rollout.config, &rollout.transforms)), rollout.mode));
        let content = Content { rollout, ..Content::of(&self.config, &self.transforms) };
        let json = serde_json::to_vec(&content).expect("a content has text keys and no failing parts");
        digest(&json)
    }

    /// Digests of all components that it names, each once.
    pub(super) fn components(&self) -> Vec<&str> {
        let candidate = self.rollout.iter().flat_map(|rollout| &rollout.transforms);
        let mut digests: Vec<_> = self.transforms.iter().chain(candidate).map(|one| &*one.digest).collect();
        digests.sort_unstable();
        digests.dedup();
        digests
    }

    /// Digests of all kept configurations that it names, each once.
    pub(super) fn configs(&self) -> Vec<&str> {
        let mut digests = vec![&*self.config];
        digests.extend(self.rollout.iter().map(|rollout| &*rollout.config));
        digests.dedup();
        digests
    }

    /// Which rule it breaks, for the one place where it may lie.
    pub(super) fn check(&self, pipeline: &str, number: u64) -> Result<(), String> {
        if self.version != REVISION_VERSION {
            return Err(format!("its format version is {}, not {REVISION_VERSION}", self.version));
        }
        if (&*self.pipeline, self.revision) != (pipeline, number) || number == 0 {
            return Err(format!(
                "it says that it is revision {} of `{}`, not {number} of `{pipeline}`",
                self.revision, self.pipeline
            ));
        }
        let longest = self.why.as_ref().map_or(0, String::len).max(self.made_by.len());
        if longest > REVISION_TEXT_BYTES_MAX {
            return Err(format!("a text has {longest} bytes, and {REVISION_TEXT_BYTES_MAX} are possible"));
        }
        if self.of.is_some() != (self.cause == RevisionCause::Rollback) {
            return Err("a rollback, and nothing else, says of which revision it is".into());
        }
        if let Some(of) = self.of.filter(|of| !(1..number).contains(of)) {
            return Err(format!("it goes back to revision {of}, which is not before it"));
        }
        if let Some(wrong) =
            self.configs().into_iter().chain(self.components()).find(|text| digest_digits(text).is_none())
        {
            return Err(format!("`{wrong}` is no `sha256:` with 64 hexadecimal digits"));
        }
        match self.rollout.as_ref().map(|rollout| rollout.mode) {
            Some(RolloutMode::Share { share, .. }) if !(1..=SHARE_MAX).contains(&share) => Err(format!(
                "its share is {share}, and 1 to {SHARE_MAX} hundredths of a percent are possible"
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A transform `parse` whose component has this digest.
    pub(in super::super) fn transform(digest: &str) -> TransformEntry {
        TransformEntry {
            name: "parse".into(),
            plugin: "access-log".into(),
            version: "0.1.0".into(),
            digest: digest.into(),
            grants: Vec::new(),
        }
    }

    /// A revision of the pipeline `logs`.
    pub(in super::super) fn revision(number: u64, config: &str, component: &str) -> Revision {
        Revision {
            version: REVISION_VERSION,
            revision: number,
            pipeline: "logs".into(),
            cause: if number == 1 { RevisionCause::Start } else { RevisionCause::Swap },
            of: None,
            why: None,
            made_at: "2026-11-24T11:30:00.000Z".into(),
            made_by: "host-1/12".into(),
            host_version: "0.1.0".into(),
            config: config.into(),
            transforms: vec![transform(component)],
            rollout: None,
        }
    }

    type Change = fn(&mut Revision);

    fn sha(digit: &str) -> String {
        format!("sha256:{}", digit.repeat(64))
    }

    fn share(share: u16) -> Rollout {
        let mode = RolloutMode::Share { share, by: ShareBy::Keys };
        Rollout { config: sha("a"), transforms: vec![transform(&sha("c"))], mode }
    }

    #[test]
    fn a_revision_reads_as_documented() {
        let mut made = revision(2, &sha("a"), &sha("b"));
        (made.cause, made.of, made.why) = (RevisionCause::Rollback, Some(1), Some("too slow".into()));
        made.rollout = Some(share(500));
        let json = serde_json::to_value(&made).expect("JSON");
        assert_eq!((&json["cause"], &json["of"]), (&"rollback".into(), &1.into()));
        assert_eq!(json["rollout"]["mode"], serde_json::json!({ "share": { "share": 500, "by": "keys" } }));
        assert_eq!(serde_json::from_value::<Revision>(json).expect("reads"), made);
        let shadow = serde_json::to_string(&RolloutMode::Shadow { promote_after: None }).expect("JSON");
        assert_eq!(shadow, r#"{"shadow":{}}"#);
    }

    #[test]
    fn the_content_is_what_runs_and_not_who_made_it() {
        let one = revision(1, &sha("a"), &sha("b"));
        let mut other = Revision { revision: 7, made_by: "host-2/1".into(), ..one.clone() };
        other.transforms[0].version = "0.1.1".into();
        assert_eq!(one.content(), other.content());
        let changes: [Change; 6] = [
            |it| it.config = sha("f"),
            |it| it.transforms[0].digest = sha("f"),
            |it| it.transforms[0].name = "other".into(),
            |it| it.transforms[0].grants = vec!["clock".into()],
            |it| it.transforms.clear(),
            |it| it.rollout = Some(share(1)),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut other = one.clone();
            change(&mut other);
            assert_ne!(one.content(), other.content(), "change {number}");
        }
        let (mut less, mut more) = (one.clone(), one);
        (less.rollout, more.rollout) = (Some(share(1)), Some(share(2)));
        assert_ne!(less.content(), more.content());
    }

    #[test]
    fn revisions_that_break_a_rule_are_told_by_it() {
        let fine = revision(3, &sha("a"), &sha("b"));
        assert_eq!(fine.check("logs", 3), Ok(()));
        let broken: [(Change, &str); 10] = [
            (|it| it.version = 2, "format version"),
            (|it| it.revision = 4, "revision 4"),
            (|it| it.pipeline = "other".into(), "`other`"),
            (|it| it.why = Some("x".repeat(501)), "501 bytes"),
            (|it| it.of = Some(1), "rollback"),
            (|it| it.cause = RevisionCause::Rollback, "rollback"),
            (|it| (it.cause, it.of) = (RevisionCause::Rollback, Some(3)), "not before it"),
            (|it| it.config = "sha256:../../x".into(), "`sha256:../../x`"),
            (|it| it.transforms[0].digest = sha("B"), "hexadecimal"),
            (|it| it.rollout = Some(share(0)), "share is 0"),
        ];
        for (change, word) in broken {
            let mut made = fine.clone();
            change(&mut made);
            let why = made.check("logs", 3).expect_err("it breaks a rule");
            assert!(why.contains(word), "`{word}` is missing: {why}");
        }
        let mut made = fine;
        made.rollout = Some(share(10_001));
        assert!(made.check("logs", 3).is_err());
    }
}
