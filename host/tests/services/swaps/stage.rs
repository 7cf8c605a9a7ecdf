//! What a test of hot swap plays on: a scene of the crash tests with hosts that have a control address each, and
//! versions of one transform.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::judge::{Versions, assert_versions};
use crate::crash::chains::{Chains, digest};
use crate::crash::dice::Dice;
use crate::crash::load::Counts;
use crate::crash::scene::{Place, Scene, staged_cuts};
use crate::stamps::{Mode, stamped, write};
use crate::support::host::{Host, Launch, Pipeline};
use crate::support::kafka::Message;
use crate::support::process::free_port;
use crate::support::reader::Reader;
use crate::support::stores::Kind;
use crate::support::{PATIENCE, until};

/// How long a command may take, whatever it waits for.
const COMMAND: Duration = Duration::from_secs(120);

/// A moment between two questions to a host.
const LOOK: Duration = Duration::from_millis(100);

/// Exit code of a change that every partition has shown.
pub(super) const DONE: i32 = 0;

/// Exit code of a change that is made, but not every partition has shown it in time.
pub(super) const PENDING: i32 = 4;

/// The stamp of the version that pipeline files name.
pub(super) const FIRST: u32 = 1;

/// Bytes of a record.
const RECORD: usize = 250;

/// See the module.
pub(super) struct Stage {
    pub(super) scene: Scene,
    folder: PathBuf,
    base: Pipeline,
    /// Where commands run and leave what they said, apart from the hosts' logs.
    commands: PathBuf,
    addresses: Vec<String>,
    /// What each component that was made here stamps, by its digest.
    known: BTreeMap<String, u32>,
}

/// What a command answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) said: String,
}

impl Answer {
    /// What it printed, as JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("not JSON, {error}: {self:?}"))
    }
}

impl Stage {
    /// Over the shared MinIO, with so many hosts that can be started.
    pub(super) fn new(
        name: &'static str,
        partitions: i32,
        hosts: usize,
        dice: &Dice,
        adjust: impl FnOnce(Pipeline) -> Pipeline,
    ) -> Self {
        let mut base = None;
        let scene = Scene::new(name, Place::shared(Kind::Minio), partitions, dice, |pipeline| {
            let pipeline = staged_cuts(pipeline)
                .set("host.cache", r#""cache""#)
                .set("swap.watch", "false")
                .append("[[transforms]]\nname = \"stamp\"\nplugin = \"stamp.wasm\"\n");
            let pipeline = adjust(pipeline);
            base = Some(pipeline.clone());
            pipeline.set("host.control", r#""off""#)
        });
        let folder = scene.pipeline.parent().expect("a file in a folder").to_path_buf();
        let addresses = (0..hosts).map(|_| format!("127.0.0.1:{}", free_port())).collect();
        let base = base.expect("the scene asked for the pipeline");
        let commands = folder.join("commands");
        std::fs::create_dir(&commands).expect("the scratch folder can be written");
        let mut stage = Self { scene, folder, base, commands, addresses, known: BTreeMap::new() };
        stage.make("stamp.wasm", &stamped(FIRST, Mode::Good), FIRST);
        (0..hosts).for_each(|nth| stage.rewrite(nth, |pipeline| pipeline));
        stage
    }

    /// The pipeline's name, and the topic's.
    pub(super) fn name(&self) -> &str {
        &self.scene.topic
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The pipeline file of a host.
    pub(super) fn file(&self, nth: usize) -> PathBuf {
        self.folder.join(format!("host-{nth}.toml"))
    }

    /// Writes the file of a host again, with something else in it.
    pub(super) fn rewrite(&self, nth: usize, change: impl FnOnce(Pipeline) -> Pipeline) {
        let control = format!("{:?}", self.addresses[nth]);
        let pipeline = change(self.base.clone().set("host.control", control));
        std::fs::write(self.file(nth), pipeline.text()).expect("the scratch folder can be written");
    }

    /// Starts a host.
    pub(super) fn host(&self, nth: usize) -> Host {
        Launch::run(&self.file(nth)).start()
    }

    /// Starts a host and waits until it has so many lanes.
    pub(super) fn host_with_lanes(&self, nth: usize, lanes: u64) -> Host {
        let mut host = self.host(nth);
        self.await_status(nth, &mut host, |status| status["lanes"] == lanes);
        host
    }

    /// Waits until a host says something of its pipeline.
    pub(super) fn await_status(&self, nth: usize, host: &mut Host, says: impl Fn(&Value) -> bool) -> Value {
        let mut status = Value::Null;
        let said = until(PATIENCE, || {
            assert!(host.is_running(), "the host ended; it said:\n{}", host.stderr());
            std::thread::sleep(LOOK);
            let answer = self.ask(nth, &["status", self.name(), "--json"]);
            if answer.code == DONE {
                status = answer.json();
            }
            answer.code == DONE && says(&status)
        });
        assert!(said, "the host's status is still {status}; it said:\n{}", host.stderr());
        status
    }

    /// Makes a version, and answers its file.
    pub(super) fn version(&mut self, stamp: u32, mode: Mode) -> PathBuf {
        let name = format!("stamp-{stamp}-{mode:?}.wasm");
        self.make(&name, &stamped(stamp, mode), stamp)
    }

    /// Writes a component that stamps so, and answers its file.
    pub(super) fn make(&mut self, name: &str, component: &[u8], stamp: u32) -> PathBuf {
        self.known.insert(digest(component), stamp);
        write(&self.folder, name, component)
    }

    /// Starts a command about a host.
    pub(super) fn start(&self, nth: usize, arguments: &[&str]) -> Host {
        let url = format!("http://{}", self.addresses[nth]);
        Launch::command(&self.commands, arguments).argument("--control").argument(&url).start()
    }

    /// Runs a command about a host to its end.
    pub(super) fn ask(&self, nth: usize, arguments: &[&str]) -> Answer {
        let mut command = self.start(nth, arguments);
        let status = command.wait(COMMAND);
        let code = status.and_then(|status| status.code());
        let code = code.unwrap_or_else(|| {
            panic!("`host {}` did not end in {COMMAND:?}: {}", arguments.join(" "), command.stderr())
        });
        let answer = Answer { code, out: command.stdout(), said: command.stderr() };
        assert!(!answer.said.contains("panicked"), "a defect: {answer:?}");
        answer
    }

    /// Runs a command that has to succeed; answers what it printed, as JSON.
    pub(super) fn told(&self, nth: usize, arguments: &[&str]) -> Value {
        let answer = self.ask(nth, &[arguments, &["--json"]].concat());
        assert_eq!(answer.code, DONE, "`host {}`: {answer:?}", arguments.join(" "));
        answer.json()
    }

    /// Swaps a component in, which has to succeed; answers the report.
    pub(super) fn swap(&self, nth: usize, component: &Path, more: &[&str]) -> Value {
        let component = component.to_string_lossy();
        self.told(nth, &[&["swap", &self.transform(), &component], more].concat())
    }

    /// `PIPELINE/TRANSFORM`, as commands take it.
    pub(super) fn transform(&self) -> String {
        format!("{}/stamp", self.name())
    }

    /// The revisions that a host tells of, the newest first.
    pub(super) fn revisions(&self, nth: usize) -> Vec<Value> {
        let told = self.told(nth, &["revisions", self.name()]);
        told["revisions"].as_array().cloned().unwrap_or_else(|| panic!("no revisions: {told}"))
    }

    /// Waits until the newest revision is of a cause.
    pub(super) fn await_cause(&self, nth: usize, cause: &str) -> Value {
        let mut newest = Value::Null;
        let there = until(PATIENCE, || {
            std::thread::sleep(LOOK);
            newest = self.revisions(nth).swap_remove(0);
            newest["cause"] == cause
        });
        assert!(there, "the newest revision is still {newest}, not of the cause {cause}");
        newest
    }

    /// Waits until so many records are delivered.
    pub(super) fn await_records(&self, host: &mut Host, records: u64) {
        let mut reader = Reader::at(&self.scene.lake);
        let there = until(PATIENCE, || {
            assert!(host.is_running(), "the host ended; it said:\n{}", host.stderr());
            reader.look().records() as u64 >= records
        });
        assert!(there, "{records} records are not delivered; the host said:\n{}", host.stderr());
    }

    /// Ends a host as an operator does.
    pub(super) fn end(&self, mut host: Host) {
        host.terminate();
        host.expect_exit(crate::crash::scene::DRAIN, 0);
    }

    /// Everything is delivered exactly once, and the ledger knows of each record which version made it.
    pub(super) fn judge(&self, counts: &Counts) -> Versions {
        let chains = self.scene.assert_delivered(counts, |look| look.assert_exactly_once(counts));
        self.versions(&chains)
    }

    /// The versions of what is there.
    pub(super) fn versions(&self, chains: &Chains) -> Versions {
        let lake = self.scene.lake.url.strip_prefix(&self.scene.root.url).expect("it lies below");
        let lake = lake.trim_start_matches('/');
        assert_versions(self.name(), lake, chains, &self.scene.look(), &self.known)
    }
}

/// A numbered record, with one of a hundred keys.
pub(super) fn keyed(partition: i32, number: u64) -> Message {
    Message::numbered(partition, number, RECORD).key(key_of(partition, number))
}

/// The key of a record.
pub(super) fn key_of(partition: i32, number: u64) -> String {
    format!("key-{partition}-{}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 100)
}
