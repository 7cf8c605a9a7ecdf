//! What a crash test plays in: a topic, a place, a pipeline file, a folder that is kept where the test fails.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::chains::{Chains, Listing};
use super::dice::Dice;
use super::load::{Counts, DELIVERY};
use crate::support::host::{Host, Launch, Pipeline};
use crate::support::kafka::Kafka;
use crate::support::location::Location;
use crate::support::process::{scratch, tail};
use crate::support::reader::{Look, Reader};
use crate::support::stores::{Kind, Store};

/// Where the objects go.
pub(crate) enum Place<'a> {
    Folder,
    Store(&'a Store),
}

impl Place<'_> {
    /// The store of a kind that all tests share.
    pub(crate) fn shared(kind: Kind) -> Self {
        Self::Store(Store::shared(kind))
    }
}

/// See the module.
pub(crate) struct Scene {
    name: &'static str,
    seed: u64,
    begun: Instant,
    folder: Option<TempDir>,
    pub(crate) topic: String,
    /// Where the ledger and everything else is.
    pub(crate) root: Location,
    /// Where the objects are.
    pub(crate) lake: Location,
    pub(crate) pipeline: PathBuf,
}

impl Scene {
    /// A topic of so many partitions, and a pipeline from it to a place.
    pub(crate) fn new(
        name: &'static str,
        place: Place<'_>,
        partitions: i32,
        dice: &Dice,
        adjust: impl FnOnce(Pipeline) -> Pipeline,
    ) -> Self {
        let folder = scratch(name);
        let kafka = Kafka::shared();
        let topic = kafka.topic(name, partitions);
        let (root, lake) = match place {
            Place::Folder => {
                let lake = folder.path().join("lake");
                std::fs::create_dir(&lake).expect("the scratch folder can be written");
                (Location::folder(&lake), Location::folder(&lake))
            }
            Place::Store(store) => {
                let bucket = store.bucket(name);
                (bucket.clone(), bucket.under("lake"))
            }
        };
        let pipeline = adjust(Pipeline::new(&topic, kafka, &[&topic], &lake)).write(folder.path());
        let seed = dice.seed();
        let scene =
            Self { name, seed, begun: Instant::now(), folder: Some(folder), topic, root, lake, pipeline };
        scene.say(&format!("seed {seed}"));
        scene
    }

    /// A line of progress, for `--nocapture`.
    #[expect(clippy::print_stderr, reason = "who watches a storm wants to see it")]
    pub(crate) fn say(&self, text: &str) {
        eprintln!("{:>6.1} s  {}: {text}", self.begun.elapsed().as_secs_f64(), self.name);
    }

    /// The same pipeline, read by another group.
    pub(crate) fn pipeline_of_group(&self, group: &str) -> PathBuf {
        let text = std::fs::read_to_string(&self.pipeline).expect("it was written");
        let text = text.replace("[source]\n", &format!("[source]\ngroup = \"{}-{group}\"\n", self.topic));
        let file = self.pipeline.with_file_name(format!("{group}.toml"));
        std::fs::write(&file, text).expect("the scratch folder can be written");
        file
    }

    /// How many lines of the hosts' logs hold a text.
    pub(crate) fn logged(&self, text: &str) -> usize {
        let folder = self.folder.as_ref().expect("it is there until the end").path();
        let logs = logs(folder).into_iter().filter_map(|log| std::fs::read_to_string(log).ok());
        logs.map(|log| log.lines().filter(|line| line.contains(text)).count()).sum()
    }

    /// A host that runs until it is told to end.
    pub(crate) fn host(&self) -> Host {
        Launch::run(&self.pipeline).start()
    }

    /// Runs one host, which nobody disturbs, to the ends of the partitions.
    pub(crate) fn run_to_the_end(&self) {
        Launch::run_until_end(&self.pipeline).start().expect_exit(DELIVERY, 0);
    }

    /// Looks with a reader that knows of no look before.
    pub(crate) fn look(&self) -> Look {
        Reader::at(&self.lake).look()
    }

    /// Everything is there once, in order; the chains say the same of it, and a take-over leaves no garbage.
    pub(crate) fn assert_delivered(&self, counts: &Counts, judge: impl FnOnce(&Look)) -> Chains {
        self.run_to_the_end();
        let look = self.look();
        judge(&look);
        let before = Chains::read(self);
        before.assert_whole(counts, &look);
        // Nothing is left to read, so this is a take-over and no more.
        let listed = Listing::of(self);
        self.run_to_the_end();
        Listing::of(self).assert_clean_since(&listed);
        let after = Chains::read(self);
        after.assert_whole(counts, &look);
        assert_eq!(before.entries(), after.entries(), "a run without records writes no entry");
        after
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let Some(folder) = self.folder.take() else { return };
        let folder = folder.keep();
        self.say(&format!(
            "failed with VANNE_SEED={}; its folder, kept until the next run of these tests: {}",
            self.seed,
            folder.display()
        ));
        for log in logs(&folder).into_iter().rev().take(LOGS_SHOWN) {
            self.say(&format!("the end of {}:\n{}", log.display(), tail(&log, 15)));
        }
    }
}

/// How many logs a failure shows, the newest.
const LOGS_SHOWN: usize = 4;

/// The hosts' logs, the newest last.
fn logs(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut logs: Vec<_> = files.filter(|path| path.extension().is_some_and(|it| it == "err")).collect();
    logs.sort_by_key(|path| path.metadata().and_then(|metadata| metadata.modified()).ok());
    logs
}

/// Small cuts, many of them, which travel in their entries.
pub(crate) fn small_cuts(pipeline: Pipeline) -> Pipeline {
    pipeline.set("cut.interval", r#""300ms""#).set("cut.records", "200")
}

/// The same where records are small; of records of 2,500 B, a cut is four objects that are staged.
pub(crate) fn staged_cuts(pipeline: Pipeline) -> Pipeline {
    small_cuts(pipeline)
        .set("sinks.lake.compression", r#""none""#)
        .set("sinks.lake.buffer", r#"{ size = "128KiB" }"#)
}

/// How long a host may take to drain when nothing is in its way.
pub(crate) const DRAIN: Duration = Duration::from_secs(25);
