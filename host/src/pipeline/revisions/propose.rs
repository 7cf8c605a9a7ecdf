//! What each change means: the blueprint of the next revision.
//!
//! Owns the meaning, and what is refused without a look at any component. Invariant: a proposal touches nothing.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::Shapes;
use super::blueprint::{Blueprint, Half, Reason};
use super::change::{Change, Rejected};
use super::shape::Shape;
use crate::config;
use crate::ledger::{Revision, RevisionCause, RolloutMode, ShareBy};
use crate::pipeline::{Error, target};
use crate::plugin::Digest;

/// A change thought through.
pub(super) struct Proposal {
    pub(super) blueprint: Blueprint,
    pub(super) reason: Reason,
    pub(super) what: Vec<String>,
    /// It is tried on real records first.
    pub(super) tried: Option<Forced>,
    /// This host's file holds this from now on.
    pub(super) own: Option<Half>,
    /// It is a change though the ledger shows none: a secret that the configuration only refers to.
    pub(super) is_unseen: bool,
}

/// Whether a failed trial is passed over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Forced(pub(super) bool);

impl Proposal {
    fn new(blueprint: Blueprint, reason: Reason, what: impl Into<String>) -> Self {
        Self { blueprint, reason, what: vec![what.into()], tried: None, own: None, is_unseen: false }
    }
}

impl Shapes {
    pub(super) async fn propose(&self, before: &Shape, change: Change) -> Result<Proposal, Rejected> {
        let now = self.loader.blueprint(&before.document).await?;
        match change {
            Change::Swap { transform, component, rollout, force } => {
                swap(before.revision, now, &transform, component, rollout, force)
            }
            Change::Promote => {
                let Some((half, _)) = now.candidate else {
                    return Err(Rejected::NoCandidate(before.revision));
                };
                let reason = Reason::plain(RevisionCause::Promote);
                Ok(Proposal::new(
                    Blueprint::alone(half),
                    reason,
                    "the candidate: runs alone from the next cut on",
                ))
            }
            Change::Abort => {
                let Blueprint { stable, candidate: Some(_) } = now else {
                    return Err(Rejected::NoCandidate(before.revision));
                };
                let reason = Reason::plain(RevisionCause::Abort);
                Ok(Proposal::new(Blueprint::alone(stable), reason, "the candidate: given up at the next cut"))
            }
            Change::Rollback(None) if self.current().unable.is_some() => {
                self.rollback(before, Some(before.revision)).await
            }
            Change::Rollback(to) => self.rollback(before, to).await,
            Change::Weights { share, by } => weigh(before.revision, now, share, by),
            Change::KeepShadow => keep_shadow(before.revision, now),
            Change::Reload => self.reload(before, now).await,
        }
    }

    async fn rollback(&self, before: &Shape, to: Option<u64>) -> Result<Proposal, Rejected> {
        let of = match to {
            Some(number) => number,
            None => self.last_with_other_content(before).await?,
        };
        let revision = self.loader.revisions.read(of).await.map_err(Error::Ledger)?;
        let revision = revision.ok_or(Rejected::NoRevision(of))?;
        let blueprint = self.loader.blueprint(&revision).await?;
        let reason = Reason { of: Some(of), ..Reason::plain(RevisionCause::Rollback) };
        Ok(Proposal::new(blueprint, reason, format!("everything: as in revision {of}, from the next cut on")))
    }

    /// What ran alone before the version that runs now came; after a rollback, before what that went back to.
    async fn last_with_other_content(&self, before: &Shape) -> Result<u64, Rejected> {
        let runs_alone = |revision: &Revision| Revision { rollout: None, ..revision.clone() }.content();
        let content = runs_alone(&before.document);
        for number in (1..before.document.of.unwrap_or(before.revision)).rev() {
            let revision = self.loader.revisions.read(number).await.map_err(Error::Ledger)?;
            let is_other = |it: &Revision| it.rollout.is_none() && runs_alone(it) != content;
            if revision.as_ref().is_some_and(is_other) {
                return Ok(number);
            }
        }
        Err(Rejected::NothingBefore(before.revision))
    }

    /// What of this host's files changed since they were read last. What came in by other ways, such as an
    /// uploaded component, stays where its file did not change.
    async fn reload(&self, before: &Shape, now: Blueprint) -> Result<Proposal, Rejected> {
        let last = self.loader.own();
        let Some(file) = last.half.config.file.clone() else {
            return Err(Rejected::NeedsRestart(String::from("the configuration is not from a file")));
        };
        let run = last.run.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut config = config::load(&file)?;
            config::check_files(&config)?;
            if let Some(run) = &run {
                target::separate_run(&mut config, run);
            }
            Half::read(&config)
        });
        let read = read.await.map_err(|error| Error::System(std::io::Error::other(error)))??;
        let own_plan = config::plan(&last.half.config, &read.config, &BTreeSet::new());
        let is_new_config =
            own_plan.changes_shape() || read.config.kept.digest != last.half.config.kept.digest;
        let config = if is_new_config { read.config.clone() } else { now.stable.config.clone() };
        let half = carry_over(config, &read, &last.half, &now.stable);
        let components = changed_components(&now.stable, &half);
        if let Some(refusal) = own_plan.refusal() {
            return Err(Rejected::NeedsRestart(refusal));
        }
        let plan = config::plan(&before.config, &half.config, &components);
        let what: Vec<_> = plan.steps.iter().map(ToString::to_string).collect();
        let is_unseen = plan.changes_shape();
        let blueprint = match now.candidate {
            // A candidate stays beside what it is compared with.
            candidate @ Some(_)
                if half.config.kept.digest == now.stable.config.kept.digest && components.is_empty() =>
            {
                Blueprint { stable: half, candidate }
            }
            Some(_) => return Err(Rejected::CandidateStands(before.revision)),
            None => Blueprint::alone(half),
        };
        let reason = Reason::plain(RevisionCause::Reload);
        let tried = (!components.is_empty() || is_new_config).then_some(Forced(false));
        Ok(Proposal { blueprint, reason, what, tried, own: Some(read), is_unseen })
    }
}

fn swap(
    revision: u64,
    now: Blueprint,
    transform: &str,
    component: Bytes,
    rollout: Option<RolloutMode>,
    force: bool,
) -> Result<Proposal, Rejected> {
    if now.candidate.is_some() {
        return Err(Rejected::CandidateStands(revision));
    }
    let names = now.stable.config.transforms.iter().map(|known| &*known.name);
    let Some(position) = names.clone().position(|name| name == transform) else {
        let known: Vec<_> = names.map(|name| format!("`{name}`")).collect();
        let known = if known.is_empty() { String::from("none") } else { known.join(", ") };
        let transform = transform.to_owned();
        return Err(Rejected::NoTransform { revision, transform, known });
    };
    let mut half = now.stable.clone();
    half.components[position] = component;
    let (blueprint, cause, what) = match rollout {
        None => (Blueprint::alone(half), RevisionCause::Swap, "swap at next cut"),
        Some(mode) => {
            let blueprint = Blueprint { stable: now.stable, candidate: Some((half, mode)) };
            (blueprint, RevisionCause::Rollout, "a candidate beside it at next cut")
        }
    };
    let mut proposal =
        Proposal::new(blueprint, Reason::plain(cause), format!("transform `{transform}`: {what}"));
    proposal.tried = Some(Forced(force));
    Ok(proposal)
}

fn weigh(revision: u64, now: Blueprint, share: u16, by: Option<ShareBy>) -> Result<Proposal, Rejected> {
    let Some((half, mode)) = now.candidate else { return Err(Rejected::NoCandidate(revision)) };
    let RolloutMode::Share { by: standing, .. } = mode else { return Err(Rejected::Shadow(revision)) };
    let by = by.unwrap_or(standing);
    let candidate = Some((half, RolloutMode::Share { share, by }));
    let what = format!("the candidate: {}.{:02} % from the next cut on", share / 100, share % 100);
    Ok(Proposal::new(Blueprint { candidate, ..now }, Reason::plain(RevisionCause::Rollout), what))
}

fn keep_shadow(revision: u64, now: Blueprint) -> Result<Proposal, Rejected> {
    let Some((half, RolloutMode::Shadow { .. })) = now.candidate else {
        return Err(Rejected::NoCandidate(revision));
    };
    let candidate = Some((half, RolloutMode::Shadow { promote_after: None }));
    let reason = Reason::plain(RevisionCause::Rollout);
    Ok(Proposal::new(
        Blueprint { candidate, ..now },
        reason,
        "the shadow: is not promoted by itself any more",
    ))
}

/// The components for a configuration, which is that of `read` or that of `now`: those whose files changed since
/// they were last read, and what runs now for the others.
fn carry_over(config: config::Pipeline, read: &Half, last: &Half, now: &Half) -> Half {
    let component = |transform: &config::Transform| {
        let name = &*transform.name;
        let (file, running) = (read.component(name), now.component(name));
        let is_changed = file.is_some() && file != last.component(name);
        let component = if is_changed { file } else { running.or(file) };
        component.cloned().expect("where a transform's configuration is from, its component is too")
    };
    let components = config.transforms.iter().map(component).collect();
    Half { config, components }
}

/// Names of the transforms whose component is another one.
fn changed_components(now: &Half, next: &Half) -> BTreeSet<String> {
    let names = next.config.transforms.iter().map(|transform| &transform.name);
    let is_other = |name: &&String| match (now.component(name), next.component(name)) {
        (Some(now), Some(next)) => Digest::of(now) != Digest::of(next),
        _ => false,
    };
    names.filter(is_other).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// A configuration with these transforms, and a component for each.
    fn half(transforms: &[(&str, &'static str)]) -> Half {
        let mut text = String::from(
            "version = 1\nname = \"p\"\n[source]\ntype = \"kafka\"\nbrokers = \"k:9092\"\ntopics = [\"t\"]\n\
             [sinks.lake]\ntype = \"object-store\"\nurl = \"out\"\n",
        );
        for (name, _) in transforms {
            text += &format!("[[transforms]]\nname = \"{name}\"\nplugin = \"{name}.wasm\"\n");
        }
        let config = config::parse(&text, Path::new("/p"), "p.toml", &|_| None).expect("it is valid");
        let components = transforms.iter().map(|(_, component)| Bytes::from_static(component.as_bytes()));
        Half { config, components: components.collect() }
    }

    fn components(half: &Half) -> Vec<(&str, &str)> {
        let text = |name| std::str::from_utf8(half.component(name).expect("one each")).expect("text");
        half.config.transforms.iter().map(|transform| (&*transform.name, text(&transform.name))).collect()
    }

    #[test]
    fn what_was_uploaded_stays_where_its_file_did_not_change() {
        let last = half(&[("a", "a1"), ("b", "b1")]);
        let now = half(&[("a", "uploaded"), ("b", "b1")]);
        let carried = |read: &Half| carry_over(read.config.clone(), read, &last, &now);
        assert_eq!(components(&carried(&last)), [("a", "uploaded"), ("b", "b1")]);
        let read = half(&[("a", "a1"), ("b", "b2")]);
        assert_eq!(components(&carried(&read)), [("a", "uploaded"), ("b", "b2")]);
        let read = half(&[("a", "a2"), ("b", "b1")]);
        assert_eq!(components(&carried(&read)), [("a", "a2"), ("b", "b1")]);
    }

    #[test]
    fn transforms_come_and_go_and_change_places_with_their_components() {
        let last = half(&[("a", "a1"), ("b", "b1")]);
        let now = half(&[("a", "uploaded"), ("b", "b1")]);
        let read = half(&[("c", "c1"), ("b", "b1"), ("a", "a1")]);
        let next = carry_over(read.config.clone(), &read, &last, &now);
        assert_eq!(components(&next), [("c", "c1"), ("b", "b1"), ("a", "uploaded")]);
        let read = half(&[("b", "b1")]);
        assert_eq!(components(&carry_over(read.config.clone(), &read, &last, &now)), [("b", "b1")]);
    }

    #[test]
    fn only_transforms_that_both_have_count_as_changed() {
        let now = half(&[("a", "1"), ("b", "1"), ("gone", "1")]);
        let next = half(&[("new", "1"), ("b", "2"), ("a", "1")]);
        assert_eq!(changed_components(&now, &next), BTreeSet::from([String::from("b")]));
    }

    #[test]
    fn a_component_swaps_one_transform_and_a_candidate_stands_beside() {
        let now = || Blueprint::alone(half(&[("a", "1"), ("b", "1")]));
        let new = Bytes::from_static(b"2");
        let swapped = swap(7, now(), "b", new.clone(), None, false).expect("a swap");
        assert_eq!(components(&swapped.blueprint.stable), [("a", "1"), ("b", "2")]);
        assert!(swapped.blueprint.candidate.is_none());
        let mode = RolloutMode::Shadow { promote_after: None };
        let beside = swap(7, now(), "b", new.clone(), Some(mode), false).expect("a rollout");
        assert_eq!(components(&beside.blueprint.stable), [("a", "1"), ("b", "1")]);
        let (candidate, _) = beside.blueprint.candidate.clone().expect("a candidate");
        assert_eq!(components(&candidate), [("a", "1"), ("b", "2")]);
        let again = swap(7, beside.blueprint, "a", new.clone(), None, false);
        assert!(matches!(again, Err(Rejected::CandidateStands(7))));
        let unknown = swap(7, now(), "c", new, None, false).map(|_| ()).expect_err("there is none");
        assert!(unknown.to_string().contains("has no transform `c`; it has `a`, `b`"), "{unknown}");
    }

    #[test]
    fn a_share_can_be_changed_and_a_shadow_has_none() {
        let beside = |mode| Blueprint {
            candidate: Some((half(&[("a", "2")]), mode)),
            ..Blueprint::alone(half(&[("a", "1")]))
        };
        let share = RolloutMode::Share { share: 100, by: ShareBy::Keys };
        let weighed = weigh(7, beside(share), 5_000, None).expect("a share");
        let mode = weighed.blueprint.candidate.map(|(_, mode)| mode);
        assert_eq!(mode, Some(RolloutMode::Share { share: 5_000, by: ShareBy::Keys }));
        let shadow = RolloutMode::Shadow { promote_after: Some(5) };
        assert!(matches!(weigh(7, beside(shadow), 1, None), Err(Rejected::Shadow(7))));
        let kept =
            keep_shadow(7, beside(shadow)).expect("a shadow").blueprint.candidate.map(|(_, mode)| mode);
        assert_eq!(kept, Some(RolloutMode::Shadow { promote_after: None }));
        assert!(matches!(keep_shadow(7, beside(share)), Err(Rejected::NoCandidate(7))));
    }
}
