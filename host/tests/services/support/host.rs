//! The `host` binary as a process: started over a pipeline file, signalled, killed, crashed at a named point.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use super::kafka::Kafka;
use super::location::Location;
use super::process::{self, Signal, signal, spawn, tied, wait_for_end};
use super::until;

/// The environment variable that names a crash point, as `name` or `name:nth`; the process kills itself when it gets
/// there the nth time. Read only by a build with the feature `crash-points`.
pub(crate) const CRASH_POINT: &str = "VANNE_CRASH_POINT";

/// The same for a point at which it stops itself, as SIGSTOP does.
pub(crate) const PAUSE_POINT: &str = "VANNE_PAUSE_POINT";

/// A pipeline file in the making: tables of keys with their values as TOML writes them.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    tables: BTreeMap<String, BTreeMap<String, String>>,
    appendix: String,
}

impl Pipeline {
    /// From topics of a broker to a place, as JSON lines: quick to cut, quick to notice that a member died.
    pub(crate) fn new(name: &str, kafka: &Kafka, topics: &[&str], sink: &Location) -> Self {
        let pipeline = Self { tables: BTreeMap::new(), appendix: String::new() };
        pipeline
            .set("name", format!("{name:?}"))
            .set("source.type", r#""kafka""#)
            .set("source.brokers", format!("{:?}", kafka.brokers()))
            .set("source.topics", format!("{topics:?}"))
            .set("source.start", r#""earliest""#)
            .set(
                "source.properties",
                r#"{ "session.timeout.ms" = "1000", "heartbeat.interval.ms" = "250", "topic.metadata.refresh.interval.ms" = "1000" }"#,
            )
            .set("batch.window", r#""50ms""#)
            .set("host.control", r#""off""#)
            .set("cut.interval", r#""300ms""#)
            .set("sinks.lake.type", r#""object-store""#)
            .set("sinks.lake.url", format!("{:?}", sink.url))
            .set("sinks.lake.options", sink.options_toml())
            .set("sinks.lake.format", r#""json-lines""#)
            .set("sinks.lake.compression", r#""zstd""#)
    }

    /// Sets a key, `table.key`, to a value as TOML writes it. A dot in the table's name makes a table of a table.
    pub(crate) fn set(mut self, key: &str, value: impl Into<String>) -> Self {
        let (table, key) = key.rsplit_once('.').unwrap_or(("", key));
        self.tables.entry(table.to_owned()).or_default().insert(key.to_owned(), value.into());
        self
    }

    /// Sets a property of librdkafka, beside those of [`Pipeline::new`].
    pub(crate) fn property(mut self, name: &str, value: &str) -> Self {
        let properties = self.tables.entry("source".to_owned()).or_default().entry("properties".to_owned());
        let text = properties.or_default();
        let others = text.trim_matches(['{', '}', ' ']);
        let comma = if others.is_empty() { "" } else { ", " };
        *text = format!("{{ {others}{comma}{name:?} = {value:?} }}");
        self
    }

    /// Takes a key out again.
    pub(crate) fn unset(mut self, key: &str) -> Self {
        let (table, key) = key.rsplit_once('.').unwrap_or(("", key));
        self.tables.entry(table.to_owned()).or_default().remove(key);
        self
    }

    /// Adds text at the end, such as a `[[transforms]]`.
    pub(crate) fn append(mut self, toml: &str) -> Self {
        self.appendix.push_str(toml);
        self.appendix.push('\n');
        self
    }

    /// The file's text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::from("version = 1\n");
        for (table, keys) in self.tables.iter().filter(|(_, keys)| !keys.is_empty()) {
            if !table.is_empty() {
                write!(text, "\n[{table}]\n").expect("a string takes text");
            }
            for (key, value) in keys {
                writeln!(text, "{key} = {value}").expect("a string takes text");
            }
        }
        format!("{text}\n{}", self.appendix)
    }

    /// Writes the file into a folder.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let file = folder.join("pipeline.toml");
        std::fs::write(&file, self.text()).expect("the folder can be written");
        file
    }
}

/// How a host is started.
pub(crate) struct Launch {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    folder: PathBuf,
}

impl Launch {
    /// Any command of the binary: `host <arguments>`, run in `folder`, where its output is captured.
    pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { arguments, environment: Vec::new(), folder: folder.to_path_buf() }
    }

    /// `host run <pipeline file>`, run in the file's folder.
    pub(crate) fn run(pipeline: &Path) -> Self {
        let folder = pipeline.parent().expect("a file in a folder");
        Self::command(folder, &["run", &pipeline.to_string_lossy()])
    }

    /// `host run --until-end <pipeline file>`: it ends by itself.
    pub(crate) fn run_until_end(pipeline: &Path) -> Self {
        Self::run(pipeline).argument("--until-end")
    }

    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has it kill itself when it gets to a point the nth time, from 1.
    pub(crate) fn crash_at(self, point: &str, nth: u32) -> Self {
        self.environment(CRASH_POINT, &format!("{point}:{nth}"))
    }

    /// Has it stop itself when it gets to a point the nth time, from 1.
    pub(crate) fn pause_at(self, point: &str, nth: u64) -> Self {
        self.environment(PAUSE_POINT, &format!("{point}:{nth}"))
    }

    /// Starts it. Its output goes to files beside the pipeline file, a new pair each time.
    pub(crate) fn start(self) -> Host {
        let stem = self.folder.join(super::unique("host"));
        let (stdout, stderr) = (stem.with_extension("out"), stem.with_extension("err"));
        let mut command = tied(env!("CARGO_BIN_EXE_host"));
        command
            .args(&self.arguments)
            .current_dir(&self.folder)
            .env_remove(CRASH_POINT)
            .env_remove(PAUSE_POINT)
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).expect("the folder can be written"))
            .stderr(File::create(&stderr).expect("the folder can be written"));
        let child = spawn(command).expect("the host starts");
        Host { child, stdout, stderr }
    }
}

/// A host process. Dropping it kills it.
pub(crate) struct Host {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Host {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Whether it stands still, by a signal of ours or its own.
    pub(crate) fn is_paused(&self) -> bool {
        let status = read(&Path::new("/proc").join(self.pid().to_string()).join("status"));
        status.lines().any(|line| line.starts_with("State:") && line.contains("(stopped)"))
    }

    /// SIGKILL, and waits for its end.
    pub(crate) fn kill(&mut self) {
        process::kill(&mut self.child);
    }

    /// SIGSTOP: it stands still and does not know it.
    pub(crate) fn pause(&self) {
        signal(self.pid(), Signal::Stop);
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        signal(self.pid(), Signal::Continue);
    }

    /// SIGTERM: it drains and ends.
    pub(crate) fn terminate(&self) {
        signal(self.pid(), Signal::Terminate);
    }

    /// SIGINT, as Ctrl-C sends.
    pub(crate) fn interrupt(&self) {
        signal(self.pid(), Signal::Interrupt);
    }

    /// SIGUSR1: lanes that a circuit breaker holds try again.
    pub(crate) fn try_held(&self) {
        signal(self.pid(), Signal::User1);
    }

    /// SIGHUP: it reads its pipeline file again.
    pub(crate) fn reload(&self) {
        signal(self.pid(), Signal::HangUp);
    }

    /// Waits for its end; `None` when the deadline passes first.
    pub(crate) fn wait(&mut self, deadline: Duration) -> Option<ExitStatus> {
        wait_for_end(&mut self.child, deadline)
    }

    /// Waits for its end by itself, with this exit code. A failure shows what it last said.
    pub(crate) fn expect_exit(&mut self, deadline: Duration, code: i32) {
        match self.wait(deadline) {
            Some(status) if status.code() == Some(code) => {}
            Some(status) => {
                panic!("the host ended with {status}, not code {code}; it said:\n{}", self.last_words())
            }
            None => panic!("the host did not end in {deadline:?}; it said:\n{}", self.last_words()),
        }
    }

    /// Waits for its death by SIGKILL, as at a crash point.
    pub(crate) fn expect_crash(&mut self, deadline: Duration) {
        use std::os::unix::process::ExitStatusExt as _;
        match self.wait(deadline) {
            Some(status) if status.signal() == Some(9) => {}
            Some(status) => {
                panic!("the host ended with {status}, not by SIGKILL; it said:\n{}", self.last_words())
            }
            None => panic!("the host did not crash in {deadline:?}; it said:\n{}", self.last_words()),
        }
    }

    /// All that it wrote to standard output so far.
    pub(crate) fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// All that it wrote to standard error so far: its log.
    pub(crate) fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// Waits until its log holds a text.
    pub(crate) fn expect_log(&mut self, text: &str, deadline: Duration) {
        let logged = until(deadline, || self.stderr().contains(text));
        assert!(logged, "the host did not log `{text}` in {deadline:?}; it said:\n{}", self.last_words());
    }

    /// Waits until its log holds a text so often.
    pub(crate) fn expect_log_times(&mut self, text: &str, times: usize, deadline: Duration) {
        let logged = until(deadline, || self.stderr().matches(text).count() >= times);
        assert!(logged, "the host did not log `{text}` {times} times; it said:\n{}", self.last_words());
    }

    /// The most memory it ever held, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = read(&Path::new("/proc").join(self.pid().to_string()).join("status"));
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kibibytes.expect("the process runs") * 1024
    }

    fn last_words(&self) -> String {
        format!("{}\n{}", process::tail(&self.stdout, 20), process::tail(&self.stderr, 40))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
