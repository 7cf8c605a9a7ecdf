//! What happens to revisions without anybody asking for it.
//!
//! Owns looking for other hosts' revisions, watching files and new versions, automatic rollbacks, aborts and
//! promotions. Does not decide anything that a person has not set limits for. Invariant: what it changes it
//! says in the log, with its reason, which the revision has too.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::guard::Watch;
use super::{Change, Current, Shape, Shapes, rejection_text};
use crate::clock;
use crate::config::RollbackLimits;
use crate::ledger::{RevisionCause, RolloutMode};
use crate::pipeline::error::chain_text;
use crate::pipeline::files::Files;

/// How often it looks at numbers and files.
const TICK: Duration = Duration::from_millis(250);

/// How often it looks for revisions of other hosts: one small request.
const FOLLOW_EVERY: Duration = Duration::from_secs(2);

/// How often a revision that can't be loaded is tried again.
const TRY_AGAIN_EVERY: Duration = Duration::from_secs(10);

/// What the keeper is told.
#[derive(Clone, Debug)]
pub(in crate::pipeline) enum Notice {
    /// A lane goes on without its candidate.
    CandidateLost {
        /// The revision.
        revision: u64,
        /// Why, for people.
        why: String,
    },
    /// This host's files are to be read again.
    Reload,
}

/// Looks after the revisions of a pipeline while it runs.
#[derive(Debug)]
pub(in crate::pipeline) struct Keeper {
    shapes: Arc<Shapes>,
    notices: mpsc::Receiver<Notice>,
    last: Arc<Shape>,
    watch: Option<Watch>,
    files: Option<Files>,
    followed: Instant,
}

impl Keeper {
    /// Takes notices; watches the files of the configuration where that says so.
    pub(in crate::pipeline) fn new(shapes: Arc<Shapes>, notices: mpsc::Receiver<Notice>) -> Self {
        let last = shapes.shape();
        let files = shapes.options().watch.then(|| Files::new(shapes.watched_files()));
        Self { shapes, notices, last, watch: None, files, followed: Instant::now() }
    }

    /// Works until it is dropped.
    pub(in crate::pipeline) async fn run(mut self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(notice) = self.notices.recv() => self.noticed(notice).await,
                _ = tick.tick() => self.look().await,
            }
        }
    }

    async fn noticed(&mut self, notice: Notice) {
        match notice {
            Notice::Reload => self.reload().await,
            Notice::CandidateLost { revision, why } => {
                let stands = self.shapes.shape();
                if stands.revision == revision && stands.candidate.is_some() {
                    self.take_back(Change::Abort, &why).await;
                }
            }
        }
    }

    async fn look(&mut self) {
        let Current { shape, unable } = self.shapes.current();
        let every = if unable.is_some() { TRY_AGAIN_EVERY } else { FOLLOW_EVERY };
        if self.followed.elapsed() >= every {
            self.followed = Instant::now();
            if let Err(error) = self.shapes.follow().await {
                tracing::warn!(error = %chain_text(&error), "the ledger can't be asked for newer revisions");
            }
        }
        if shape.revision != self.last.revision {
            self.watch = self.watch_over(&shape);
            self.last = Arc::clone(&shape);
        }
        self.judge(&shape).await;
        self.look_at_shadow(&shape).await;
        if self.files.as_mut().is_some_and(Files::have_changed) {
            self.reload().await;
        }
    }

    /// Begins to watch a version that is new here, where a person made it and there are limits.
    fn watch_over(&self, shape: &Shape) -> Option<Watch> {
        let limits: RollbackLimits = self.shapes.options().rollback?;
        let is_new = match shape.document.cause {
            RevisionCause::Swap | RevisionCause::Promote | RevisionCause::Reload => true,
            RevisionCause::Rollout => {
                shape.candidate.as_ref().is_some_and(|it| matches!(it.mode, RolloutMode::Share { .. }))
            }
            RevisionCause::Start | RevisionCause::Abort | RevisionCause::Rollback => false,
        };
        let before = self.last.stable.numbers();
        is_new.then(|| Watch::new(shape.revision, limits, clock::running(), &before))
    }

    async fn judge(&mut self, shape: &Shape) {
        let Some(watch) = self.watch.as_mut().filter(|watch| watch.revision() == shape.revision) else {
            return;
        };
        let (version, change) = match &shape.candidate {
            Some(candidate) => (&candidate.version, Change::Abort),
            None => (&shape.stable, Change::Rollback(None)),
        };
        if let Some(why) = watch.judge(&version.numbers(), clock::running()) {
            self.take_back(change, &why).await;
        }
    }

    async fn look_at_shadow(&mut self, shape: &Shape) {
        let Some(candidate) = &shape.candidate else { return };
        let RolloutMode::Shadow { promote_after: Some(wanted) } = candidate.mode else { return };
        let comparison = candidate.comparison();
        let equal = comparison.equal;
        if !comparison.is_equal() {
            let why = format!("it differs at {} of {} records", comparison.different, comparison.records);
            tracing::warn!(revision = shape.revision, why, "a shadow is not promoted by itself any more");
            self.make(Change::KeepShadow, why).await;
        } else if equal >= wanted {
            self.make(Change::Promote, format!("{equal} records differed by nothing")).await;
        }
    }

    async fn take_back(&self, change: Change, why: &str) {
        let revision = self.shapes.shape().revision;
        tracing::error!(
            revision,
            why,
            ?change,
            "ALARM: a new version is taken back by itself; every lane returns to the old one at its next batch"
        );
        self.make(change, why.to_owned()).await;
    }

    async fn make(&self, change: Change, why: String) {
        match self.shapes.change(change, Some(why)).await {
            Ok(changed) => tracing::info!(revision = changed.shape.revision, "done"),
            Err(rejected) => {
                tracing::error!(error = %rejection_text(&rejected), "ALARM: that could not be done");
            }
        }
    }

    async fn reload(&mut self) {
        match self.shapes.change(Change::Reload, None).await {
            Ok(changed) if changed.what.is_empty() => tracing::info!("reload: nothing changed"),
            Ok(changed) => {
                let (revision, what) = (changed.shape.revision, changed.what.join("; "));
                tracing::info!(revision, what, "reload: taken in");
            }
            Err(rejected) => {
                tracing::error!(error = %rejection_text(&rejected), "reload: refused; everything goes on as before");
            }
        }
        let watched = self.shapes.watched_files();
        match &mut self.files {
            files if !self.shapes.options().watch => *files = None,
            Some(files) => files.watch(watched),
            files => *files = Some(Files::new(watched)),
        }
    }
}

impl Shapes {
    /// This host's file, and the components that it names.
    fn watched_files(&self) -> Vec<PathBuf> {
        let config = self.loader.own().half.config;
        let components = config.transforms.iter().map(|transform| transform.plugin.clone());
        config.file.clone().into_iter().chain(components).collect()
    }
}
