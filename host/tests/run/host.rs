//! Starts the binary over a pipeline in a folder of its own, and keeps what it said.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::lake::Lake;

/// How long any run of these tests may take; a machine with many other things to do is slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder with a pipeline in it.
pub(crate) struct Workspace {
    folder: TempDir,
}

impl Workspace {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// One with a file of records and the pipeline that reads it.
    pub(crate) fn with(pipeline: &Pipeline, input: &[u8]) -> Self {
        let workspace = Self::new();
        workspace.write("in.log", input);
        workspace.write("pipeline.toml", pipeline.text().as_bytes());
        workspace
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path().join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).expect("a folder can be made");
        }
        std::fs::write(path, bytes).expect("the folder can be written");
    }

    /// `host <arguments>` in this folder.
    pub(crate) fn host(&self, arguments: &[&str]) -> Run {
        self.host_with(arguments, &[])
    }

    /// The same with more variables in its environment.
    pub(crate) fn host_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
        let mut process = self.start(arguments, environment);
        process.input = None;
        process.end()
    }

    /// Starts it, with an input that stays open.
    pub(crate) fn start(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        Process::start(self.path(), arguments, environment)
    }

    /// Runs the pipeline until its end.
    pub(crate) fn run(&self) -> Run {
        self.host(&["run", "--until-end", "--json", "pipeline.toml"])
    }

    /// Runs it, expecting that all goes well, and reads what it delivered.
    pub(crate) fn deliver(&self) -> (Run, Lake) {
        let run = self.run();
        assert_eq!(run.code, Some(0), "{run}");
        (run, self.lake())
    }

    /// What the one run in `out` delivered.
    pub(crate) fn lake(&self) -> Lake {
        let runs = self.runs();
        assert_eq!(runs.len(), 1, "one run has one folder: {runs:?}");
        Lake::read(&runs[0])
    }

    /// The folders of the runs in `out`, oldest first.
    pub(crate) fn runs(&self) -> Vec<PathBuf> {
        self.runs_in("out")
    }

    /// The same in another folder.
    pub(crate) fn runs_in(&self, place: &str) -> Vec<PathBuf> {
        let Ok(folders) = std::fs::read_dir(self.path().join(place)) else { return Vec::new() };
        let mut folders: Vec<_> = folders.map(|folder| folder.expect("an entry").path()).collect();
        folders.sort();
        folders
    }
}

/// A process that runs.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    /// What it printed: a file, for it can be read while the process runs.
    output: PathBuf,
    pub(crate) input: Option<ChildStdin>,
    begun: Instant,
}

/// What became of a process.
pub(crate) struct Run {
    /// None: a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl std::fmt::Display for Run {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, signal, stdout, stderr, took } = self;
        write!(formatter, "code {code:?}, signal {signal:?}, {took:?}\n{stdout}\n{stderr}")
    }
}

impl Process {
    fn start(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let [log, output] = ["stderr", "stdout"].map(|name| folder.join(format!("{name}-{number}.log")));
        let [stderr, stdout] =
            [&log, &output].map(|path| File::create(path).expect("the folder can be written"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_host"));
        command
            .args(arguments)
            .current_dir(folder)
            .env_remove("VANNE_LOG")
            .env("XDG_CACHE_HOME", cache())
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(stderr);
        let mut child = command.spawn().expect("the host starts");
        let input = child.stdin.take();
        Self { child, log, output, input, begun: Instant::now() }
    }

    pub(crate) fn say(&mut self, text: &[u8]) {
        let input = self.input.as_mut().expect("its input is open");
        input.write_all(text).and_then(|()| input.flush()).expect("the host reads");
    }

    /// Waits until its log holds these words.
    pub(crate) fn wait_for(&mut self, words: &str) {
        self.wait_for_times(words, 1);
    }

    /// Waits until it has printed these words.
    pub(crate) fn wait_for_output(&mut self, words: &str) {
        self.wait_in(&self.output.clone(), words, 1);
    }

    /// Waits until its log holds these words so often.
    pub(crate) fn wait_for_times(&mut self, words: &str, times: usize) {
        self.wait_in(&self.log.clone(), words, times);
    }

    fn wait_in(&mut self, file: &Path, words: &str, times: usize) {
        while read_log(file).matches(words).count() < times {
            let ended = self.child.try_wait().expect("the child is ours");
            assert!(ended.is_none(), "it ended before it said `{words}`: {}", read_log(&self.log));
            assert!(
                self.begun.elapsed() < PATIENCE,
                "it did not say `{words}`: {}\n{}",
                read_log(&self.output),
                read_log(&self.log)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it has used half a second of processor time from now on.
    pub(crate) fn wait_until_busy(&mut self) {
        // Fields 14 and 15 of proc(5)'s stat, in ticks of 10 ms; the name before them may hold anything.
        let stat = format!("/proc/{}/stat", self.child.id());
        let ticks = || {
            let stat = std::fs::read_to_string(&stat).unwrap_or_default();
            let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
            fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>()
        };
        let before = ticks();
        while ticks() < before + 50 {
            assert!(self.begun.elapsed() < PATIENCE, "it does nothing: {}", read_log(&self.log));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", r#"kill -s "$0" "$1""#, name, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("`sh` runs").success(), "the process is there");
    }

    /// Waits for its end; a process that takes too long is killed, and the test fails.
    pub(crate) fn end(self) -> Run {
        let Self { mut child, log, output, input, begun } = self;
        let pid = child.id();
        let (done, waiting) = std::sync::mpsc::channel::<()>();
        let watchdog = std::thread::spawn(move || {
            let ended = waiting.recv_timeout(PATIENCE).is_ok();
            if !ended {
                drop(Command::new("sh").args(["-c", r#"kill -KILL "$0""#, &pid.to_string()]).status());
            }
            ended
        });
        let status = child.wait().expect("it ends");
        // Nobody waits where the patience was over.
        let _is_told = done.send(()).is_ok();
        drop(input);
        let run = Run {
            code: status.code(),
            signal: status.signal(),
            stdout: std::fs::read_to_string(&output).expect("the report is text"),
            stderr: read_log(&log),
            took: begun.elapsed(),
        };
        assert!(watchdog.join().expect("the watchdog does not panic"), "it did not end in time: {run}");
        run
    }
}

impl Run {
    /// The numbers of the `--json` report.
    pub(crate) fn report(&self) -> serde_json::Value {
        serde_json::from_str(self.stdout.trim()).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// One number of it.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.report()[name].as_u64().unwrap_or_else(|| panic!("no number `{name}`: {self}"))
    }

    /// Everything it said.
    pub(crate) fn said(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    /// Fails unless it ended with `code` and said each of the `words` on standard error.
    pub(crate) fn expect(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self}");
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is missing: {self}");
        }
    }
}

fn read_log(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The folder of compiled plugins for all of these tests: a component is compiled once.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("run-cache")
}

/// A pipeline over an embedded broker with one topic `t`, fed from `in.log` into `out`.
#[derive(Clone)]
pub(crate) struct Pipeline {
    partitions: u32,
    feed: String,
    batch: String,
    cut: String,
    transforms: String,
    sinks: String,
    rest: String,
}

impl Default for Pipeline {
    fn default() -> Self {
        Self {
            partitions: 2,
            feed: String::from("file = \"in.log\""),
            batch: String::from("window = \"50ms\""),
            cut: String::new(),
            transforms: String::new(),
            sinks: sink("lake", "format = \"raw\"\ncompression = \"none\""),
            rest: String::new(),
        }
    }
}

/// A table of a sink into `out`.
pub(crate) fn sink(name: &str, keys: &str) -> String {
    format!("[sinks.{name}]\ntype = \"object-store\"\nurl = \"out\"\n{keys}\n")
}

impl Pipeline {
    pub(crate) fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }

    pub(crate) fn feed(mut self, keys: &str) -> Self {
        self.feed = keys.to_owned();
        self
    }

    pub(crate) fn batch(mut self, keys: &str) -> Self {
        self.batch = keys.to_owned();
        self
    }

    pub(crate) fn cut(mut self, keys: &str) -> Self {
        self.cut = keys.to_owned();
        self
    }

    pub(crate) fn sinks(mut self, tables: &[String]) -> Self {
        self.sinks = tables.concat();
        self
    }

    /// Adds a transform by the component of one of the workspace's guests.
    pub(crate) fn guest(self, guest: &str, keys: &str) -> Self {
        let plugin = super::super::guests::guest(guest);
        self.plugin(&plugin.display().to_string(), keys)
    }

    pub(crate) fn plugin(mut self, path: &str, keys: &str) -> Self {
        let number = self.transforms.matches("[[transforms]]").count();
        writeln!(self.transforms, "[[transforms]]\nname = \"step-{number}\"\nplugin = {path:?}\n{keys}")
            .expect("a string takes text");
        self
    }

    pub(crate) fn rest(mut self, tables: &str) -> Self {
        self.rest.push_str(tables);
        self
    }

    pub(crate) fn text(&self) -> String {
        let Self { partitions, feed, batch, cut, transforms, sinks, rest } = self;
        format!(
            "version = 1\nname = \"p\"\n[source]\ntype = \"embedded\"\ntopics = [\"t\"]\npartitions = {partitions}\n\
             [source.feed]\n{feed}\n[batch]\n{batch}\n[cut]\n{cut}\n{transforms}{sinks}{rest}"
        )
    }
}

/// Does the jobs at the same time: what takes long here is waiting.
pub(crate) fn together<const JOBS: usize>(jobs: [&(dyn Fn() + Sync); JOBS]) {
    std::thread::scope(|scope| {
        for job in jobs {
            scope.spawn(job);
        }
    });
}
