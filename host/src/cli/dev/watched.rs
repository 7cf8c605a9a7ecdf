//! What `host dev` watches: the sources of each build, and the files that the pipeline reads.
//!
//! Owns which folder belongs to which transforms, and which builds are due. Does not build. Invariant: a build that
//! serves several transforms is one.

use std::path::PathBuf;

use super::tree::Tree;
use crate::config::{self, Broker, Build, FeedFrom, Sink};
use crate::pipeline::Files;

/// Builds in a row that may change files of their own folder.
const AGAIN_MAX: u32 = 3;

/// A build and its source.
#[derive(Debug)]
pub(super) struct Task {
    /// The transforms that it serves.
    pub(super) transforms: Vec<String>,
    /// What is run.
    pub(super) build: Build,
    /// Why it is to be run.
    pub(super) due: Option<String>,
    tree: Tree,
    again: u32,
}

impl Task {
    /// A build has ended: what changed meanwhile is a change, but for what the build itself writes every time.
    pub(super) fn settle(&mut self) {
        let Some(changed) = self.tree.settle() else {
            self.again = 0;
            return;
        };
        self.again += 1;
        if self.again > AGAIN_MAX {
            self.again = 0;
            self.tree.accept();
            tracing::warn!(transforms = self.name(), file = %changed.display(),
                "files change during each build, as if it wrote them itself: they are taken as built; edits \
                 that came meanwhile need another one");
        }
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        self.transforms.join(", ")
    }
}

/// Everything that is watched.
#[derive(Debug)]
pub(super) struct Watched {
    /// In the order of the transforms.
    pub(super) tasks: Vec<Task>,
    files: Files,
}

impl Watched {
    /// As everything is now. No build is due.
    pub(super) fn new(pipeline: &config::Pipeline) -> Self {
        let mut watched = Self { tasks: Vec::new(), files: Files::new(read_files(pipeline)) };
        watched.follow(pipeline);
        watched.tasks.iter_mut().for_each(|task| task.due = None);
        watched
    }

    /// The pipeline's file says this now; builds that are new in it are due.
    pub(super) fn follow(&mut self, pipeline: &config::Pipeline) {
        self.files.watch(read_files(pipeline));
        let skipped = no_sources(pipeline);
        let mut before = std::mem::take(&mut self.tasks);
        for transform in &pipeline.transforms {
            let Some(build) = &transform.build else { continue };
            let name = transform.name.clone();
            if let Some(task) = self.tasks.iter_mut().find(|task| task.build == *build) {
                task.transforms.push(name);
                continue;
            }
            let position = before.iter().position(|task| task.build == *build);
            let mut task = match position {
                Some(position) => before.swap_remove(position),
                None => Task {
                    transforms: Vec::new(),
                    build: build.clone(),
                    due: Some(String::from("a new build command")),
                    tree: Tree::new(&build.dir, skipped.clone()),
                    again: 0,
                },
            };
            task.transforms = vec![name];
            task.tree.skip(skipped.clone());
            self.tasks.push(task);
        }
    }

    /// Notes which builds are due; whether a file that the pipeline reads has changed.
    pub(super) fn look(&mut self) -> bool {
        for task in &mut self.tasks {
            if let Some(file) = task.tree.changed() {
                task.due = Some(format!("`{}` changed", file.display()));
            }
        }
        self.files.have_changed()
    }

    /// Whether a build is to be run.
    pub(super) fn is_due(&self) -> bool {
        self.tasks.iter().any(|task| task.due.is_some())
    }
}

/// The pipeline's file, and components that nothing builds.
fn read_files(pipeline: &config::Pipeline) -> Vec<PathBuf> {
    let unbuilt = pipeline.transforms.iter().filter(|transform| transform.build.is_none());
    let components = unbuilt.map(|transform| transform.plugin.clone());
    pipeline.file.clone().into_iter().chain(components).collect()
}

/// What may lie in a build's folder and is none of its source: what builds make, what the pipeline reads by itself and
/// what it writes.
fn no_sources(pipeline: &config::Pipeline) -> Vec<PathBuf> {
    let components = pipeline.transforms.iter().map(|transform| transform.plugin.clone());
    let feed = match &pipeline.source.broker {
        Broker::Embedded { feed, .. } => match &feed.from {
            FeedFrom::File(path) => Some(path.clone()),
            FeedFrom::Standard | FeedFrom::AccessLog => None,
        },
        Broker::Kafka { .. } => None,
    };
    let sinks = pipeline.sinks.values().map(|Sink::ObjectStore(sink)| sink.location.clone());
    let kept = [pipeline.ledger_location(), pipeline.dead_letter_location()];
    let places = sinks.chain(kept.into_iter().flatten());
    let folders = places.filter_map(|place| place.url.to_file_path().ok());
    components.chain(pipeline.file.clone()).chain(feed).chain(folders).collect()
}
