//! What a `[[transforms]]` table means: the component, its configuration, limits, grants and policy.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// One of `[[transforms]]`. `Debug` hides `config`, which may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Transform {
    /// Unique in the pipeline.
    pub name: String,
    /// The component's file; empty in a pipeline made [`with_kept`](super::Pipeline::with_kept) whose own
    /// file has no such transform: its component is the ledger's.
    pub plugin: PathBuf,
    /// How to build it.
    pub build: Option<Build>,
    /// JSON object handed to the plugin's `configure` (default `{}`); may hold secrets.
    pub config: String,
    /// What it may use.
    pub limits: Limits,
    /// What it may reach.
    pub grants: Grants,
    /// What happens when it fails.
    pub policy: Policy,
}

impl fmt::Debug for Transform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, plugin, build, config: _, limits, grants, policy } = self;
        formatter
            .debug_struct("Transform")
            .field("name", name)
            .field("plugin", plugin)
            .field("build", build)
            .field("config", &"***")
            .field("limits", limits)
            .field("grants", grants)
            .field("policy", policy)
            .finish()
    }
}

/// How to make a plugin's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// Run by `sh -c`.
    pub command: String,
    /// In this folder.
    pub dir: PathBuf,
}

/// What a transform may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes (default 256 MiB).
    pub memory: usize,
    /// Time of one call (default 3 s, as AWS Lambda).
    pub timeout: Duration,
    /// Bytes that one call may give back (default 64 MiB).
    pub output: usize,
    /// Elements of all tables of one instance together (default 1,000,000).
    pub table_elements: usize,
    /// Core instances that one component may consist of (default 100).
    pub instances: usize,
    /// Lines that an instance may log in a second (default 100); the rest is counted and left out.
    pub log_lines: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            timeout: Duration::from_secs(3),
            output: 64 << 20,
            table_elements: 1_000_000,
            instances: 100,
            log_lines: 100,
        }
    }
}

/// What a transform may reach beyond its records; by default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// The host's clocks instead of the virtual one.
    pub clock: bool,
    /// The system's random numbers instead of the seeded ones.
    pub random: bool,
    /// Names of environment variables of the host that it sees.
    pub env: Vec<String>,
    /// Folders that it may read: the path that it sees, and the folder on this machine.
    pub files: BTreeMap<String, PathBuf>,
    /// Peers that it may open a TCP connection to.
    pub network: Vec<Peer>,
}

impl Grants {
    /// What is granted, in texts that stay the same from one version to the next, such as `clock`,
    /// `env:REGION`, `files:/geo`, `network:api.example.com:443`; never a value or a path of this machine.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let Self { clock, random, env, files, network } = self;
        let flags = [(*clock, "clock"), (*random, "random")].into_iter().filter(|(granted, _)| *granted);
        let mut names: Vec<_> = flags.map(|(_, name)| name.to_owned()).collect();
        names.extend(env.iter().map(|name| format!("env:{name}")));
        names.extend(files.keys().map(|path| format!("files:{path}")));
        names.extend(network.iter().map(|peer| format!("network:{peer}")));
        names
    }

    /// Whether a call of the host may take time: it can wait for a peer, a disk or a clock.
    #[must_use]
    pub fn may_block(&self) -> bool {
        self.clock || !self.files.is_empty() || !self.network.is_empty()
    }
}

/// An end of a TCP connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The port; never 0.
    pub port: u16,
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        // Only an address of IPv6 has a colon.
        if host.contains(':') {
            write!(formatter, "[{host}]:{port}")
        } else {
            write!(formatter, "{host}:{port}")
        }
    }
}

/// What happens when a transform fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How often a record is asked about again at the plugin's wish (default 3); `None`: without end.
    pub retries: Option<u32>,
    /// Records older than this when their turn comes are failures; `None` (the default): none are.
    pub max_record_age: Option<Duration>,
    /// What becomes of a record that failed.
    pub on_error: OnError,
    /// What a plugin's `fatal` does after it has succeeded once.
    pub on_fatal: OnFatal,
    /// When the lane is held, because the plugin fails too often; `None`: never.
    pub circuit_breaker: Option<CircuitBreaker>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            retries: Some(3),
            max_record_age: None,
            on_error: OnError::DeadLetter,
            on_fatal: OnFatal::Bisect,
            circuit_breaker: Some(CircuitBreaker::default()),
        }
    }
}

/// What becomes of a record that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// It is a dead letter.
    DeadLetter,
    /// It is counted as dropped.
    Drop,
    /// The pipeline stops before it.
    Stop,
}

/// What a plugin's `fatal` does after it has succeeded once. (Before that it always stops the pipeline.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFatal {
    /// It is a failure of the batch, and the records to blame are looked for.
    Bisect,
    /// It stops the pipeline.
    Stop,
}

/// When a transform holds its lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitBreaker {
    /// Share of failed records, in percent (default 50).
    pub max_failures_percent: u32,
    /// But only of at least so many records (default 1,000).
    pub records: u64,
    /// In this time (default 60 s).
    pub window: Duration,
    /// How long the lane is held before the next batch is tried (default 60 s).
    pub pause: Duration,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self { max_failures_percent: 50, records: 1_000, window: minute, pause: minute }
    }
}
