//! `host dev`: a pipeline that runs while its plugins are written.
//!
//! Owns the loop: a change of the source, a build, what was built into the running pipeline, and what that made of real
//! records. Does not know how a version comes in. Invariant: whatever fails is said, and what ran goes on.

mod say;
mod tree;
mod watched;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::task::block_in_place;
use tokio_util::task::AbortOnDropHandle;

use say::{Built, Event};
use watched::{Task, Watched};

use super::DevArguments;
use super::build::run_build;
use super::exit::{Exit, say_refused};
use super::run::Ready;
use crate::config;
use crate::control::Declined;
use crate::pipeline::{Operator, RunOptions};

/// How often it looks at most; a large folder is looked at less often.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A look may take this part of the time.
const LOOK_SHARE: u32 = 5;

/// How often it tries to take in what could not be taken in at the moment.
const TRY_AGAIN_EVERY: Duration = Duration::from_secs(5);

/// How long it waits for lanes to go over before it says that some have not.
const GO_OVER: Duration = Duration::from_secs(5);

/// Builds, runs and watches until a signal.
pub(super) async fn dev(arguments: DevArguments, json: bool) -> Exit {
    match try_dev(arguments, json).await {
        Ok(exit) => exit,
        Err(refusal) => {
            say_refused(&refusal);
            Exit::Refused
        }
    }
}

async fn try_dev(arguments: DevArguments, json: bool) -> Result<Exit, String> {
    let file = arguments.pipeline;
    let pipeline = config::load(&file).map_err(|error| error.to_string())?;
    // Before the builds, so that an edit meanwhile is noticed.
    let mut watched = block_in_place(|| Watched::new(&pipeline));
    for task in &mut watched.tasks {
        tracing::info!(transforms = task.name(), command = task.build.command, "building");
        run_build(&task.build).await.map_err(|why| format!("transforms.{}.build: {why}", task.name()))?;
        block_in_place(|| task.settle());
    }
    config::check_files(&pipeline).map_err(|error| error.to_string())?;
    if watched.tasks.is_empty() {
        tracing::warn!(
            "no transform has a `build` command: only the pipeline's file and its components are watched"
        );
    }
    let options = RunOptions { until_end: false, quiet: true, unwatched: true };
    let Some(ready) = Ready::prepare(pipeline, options).await? else { return Ok(Exit::Done) };
    let operator = ready.operator().clone();
    let watching = Loop { watched, operator, file, json, owed: None };
    let watching = AbortOnDropHandle::new(tokio::spawn(watching.run()));
    let exit = ready.run(json).await;
    drop(watching);
    Ok(exit)
}

/// Watches a pipeline that runs.
struct Loop {
    watched: Watched,
    operator: Operator,
    file: PathBuf,
    json: bool,
    owed: Option<Owed>,
}

/// Something that could not be taken in at the moment: the ledger was away, another host was quicker.
struct Owed {
    built: Vec<Built>,
    since: Instant,
}

impl Loop {
    async fn run(mut self) {
        let mut pause = LOOK_EVERY;
        loop {
            tokio::time::sleep(pause).await;
            let began = Instant::now();
            let file_changed = block_in_place(|| self.look());
            pause = LOOK_EVERY.max(began.elapsed() * LOOK_SHARE);
            let is_owed = self.owed.as_ref().is_some_and(|owed| owed.since.elapsed() >= TRY_AGAIN_EVERY);
            if file_changed || is_owed || self.watched.is_due() {
                self.act(file_changed || is_owed).await;
            }
        }
    }

    /// Whether a file that the pipeline reads has changed.
    fn look(&mut self) -> bool {
        let changed = self.watched.look();
        // A file that is refused is said when it is taken in.
        if changed && let Ok(pipeline) = config::load(&self.file) {
            self.watched.follow(&pipeline);
        }
        changed
    }

    /// Runs the builds that are due, and takes in what came of it.
    async fn act(&mut self, is_wanted: bool) {
        let mut built = Vec::new();
        for task in &mut self.watched.tasks {
            let Some(why) = task.due.take() else { continue };
            match build(task, &why).await {
                Ok(done) => built.push(done),
                Err((seconds, why)) => {
                    let (transforms, revision) = (task.transforms.clone(), self.operator.revision());
                    Event::BuildFailed { transforms, seconds, why, revision }.say(self.json);
                }
            }
        }
        if is_wanted || !built.is_empty() {
            self.take_in(built).await;
        }
    }

    async fn take_in(&mut self, mut built: Vec<Built>) {
        let is_said = self.owed.is_some();
        built.splice(..0, self.owed.take().into_iter().flat_map(|owed| owed.built));
        let began = Instant::now();
        let declined = match self.operator.take_in(GO_OVER).await {
            Ok(taken) => return Event::taken(built, taken, began.elapsed()).say(self.json),
            Err(declined) => declined,
        };
        let may_pass = !matches!(declined, Declined::Refused(_) | Declined::NotFound(_));
        if may_pass {
            self.owed = Some(Owed { built: built.clone(), since: Instant::now() });
        }
        if !(is_said && may_pass) {
            Event::refused(built, declined.refusal(), self.operator.revision()).say(self.json);
        }
    }
}

/// Runs a build; how long it took, and why it failed.
async fn build(task: &mut Task, why: &str) -> Result<Built, (f64, String)> {
    tracing::info!(transforms = task.name(), command = task.build.command, why, "building");
    let began = Instant::now();
    let result = run_build(&task.build).await;
    let seconds = began.elapsed().as_secs_f64();
    block_in_place(|| task.settle());
    match result {
        Ok(()) => Ok(Built { transforms: task.transforms.clone(), seconds }),
        Err(why) => Err((seconds, why)),
    }
}
