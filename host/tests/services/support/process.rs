//! Child processes that end with this one, the ports they listen on and the folders they write to.
//!
//! Owns: starting, signalling (always by process id) and cleaning up. Knows nothing of what the processes do.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::until;

/// Starts over when a port was taken between choosing and binding it.
const START_ATTEMPTS: usize = 4;

/// Below the ports that Linux gives to outgoing connections (32,768 and up), so that none of those takes ours.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;

/// What a process can be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    Kill,
    Stop,
    Continue,
    Terminate,
    Interrupt,
    User1,
    HangUp,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
            Self::User1 => "USR1",
            Self::HangUp => "HUP",
        }
    }
}

/// Sends a signal to a process of ours. A process that is gone by now is no error.
pub(crate) fn signal(pid: u32, signal: Signal) {
    Command::new("sh")
        .args(["-c", r#"kill -s "$0" "$1""#, signal.name(), &pid.to_string()])
        .stderr(Stdio::null())
        .status()
        .expect("`sh` runs");
}

/// A command whose process the kernel kills when this one ends, whatever ends it. Start it with [`spawn`].
pub(crate) fn tied(program: impl AsRef<std::ffi::OsStr>) -> Command {
    static HAS_SETPRIV: OnceLock<bool> = OnceLock::new();
    let has_setpriv = *HAS_SETPRIV.get_or_init(|| {
        let probe =
            Command::new("setpriv").args(["--pdeathsig", "KILL", "true"]).stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    });
    if !has_setpriv {
        return Command::new(program);
    }
    // It replaces itself by the program, so the process id is the program's.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

type Order = (Command, mpsc::SyncSender<io::Result<Child>>);

/// Starts a command made by [`tied`].
///
/// The kernel watches the thread that started a child, not the process, and a test's thread ends with its test, so one
/// thread that never ends starts them all.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    static NURSERY: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let nursery = NURSERY.get_or_init(|| {
        let (tx, orders) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in orders {
                answer.send(command.spawn()).expect("the one who ordered it waits");
            }
        });
        tx
    });
    let (answer, rx) = mpsc::sync_channel(1);
    nursery.send((command, answer)).expect("the nursery never ends");
    rx.recv().expect("the nursery answers")
}

/// A port of the loopback interface that nobody listened on a moment ago, and that this process never chose before.
pub(crate) fn free_port() -> u16 {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let next = NEXT.get_or_init(|| AtomicU16::new((std::process::id() % u32::from(PORTS)) as u16));
    for _ in 0..PORTS {
        let port = FIRST_PORT + next.fetch_add(1, Ordering::Relaxed) % PORTS;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {FIRST_PORT} to {} is free", FIRST_PORT + PORTS);
}

/// A folder for one server or one test, on the disk of the build. Removed on drop; what an earlier process left is
/// removed by the first call.
pub(crate) fn scratch(stem: &str) -> TempDir {
    static OURS: OnceLock<PathBuf> = OnceLock::new();
    let ours = OURS.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("services");
        std::fs::create_dir_all(&root).expect("the scratch folder can be made");
        sweep(&root);
        let ours = root.join(std::process::id().to_string());
        std::fs::create_dir_all(&ours).expect("the scratch folder can be made");
        ours
    });
    tempfile::Builder::new()
        .prefix(&format!("{stem}-"))
        .tempdir_in(ours)
        .expect("the scratch folder can be written")
}

/// Removes the folders of processes that are gone.
fn sweep(root: &Path) {
    let Ok(folders) = std::fs::read_dir(root) else {
        return;
    };
    for folder in folders.flatten() {
        if !Path::new("/proc").join(folder.file_name()).exists() {
            // Another test process may be sweeping as well: what it removes first is fine.
            drop(std::fs::remove_dir_all(folder.path()));
        }
    }
}

/// The last lines of a log, for the message of a failure.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    let text =
        std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let skip = text.lines().count().saturating_sub(lines);
    text.lines().skip(skip).collect::<Vec<_>>().join("\n")
}

/// A server process that can be stopped and started again as it was.
pub(crate) struct Server {
    name: &'static str,
    launch: Box<dyn Fn() -> Command + Send + Sync>,
    ready: Box<dyn Fn() -> bool + Send + Sync>,
    child: Mutex<Child>,
    log: PathBuf,
}

impl Server {
    /// Starts it and waits until `ready` says yes. The error holds the end of the log.
    pub(crate) fn start(
        name: &'static str,
        log: PathBuf,
        launch: impl Fn() -> Command + Send + Sync + 'static,
        ready: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let child = Mutex::new(spawn_logged(launch(), &log));
        let server = Self { name, launch: Box::new(launch), ready: Box::new(ready), child, log };
        server.wait_ready()?;
        Ok(server)
    }

    /// Sends a signal: `Stop` and `Continue` make a server that hangs, `Kill` and [`Server::start_again`] one that
    /// crashed.
    pub(crate) fn signal(&self, what: Signal) {
        signal(self.child().id(), what);
    }

    /// Asks it to end and waits for it; kills it when it takes its time.
    pub(crate) fn stop(&self) {
        let mut child = self.child();
        signal(child.id(), Signal::Terminate);
        if !until(Duration::from_secs(20), || matches!(child.try_wait(), Ok(Some(_)))) {
            kill(&mut child);
        }
    }

    /// Starts it again over the same folder and port, and waits until it is ready.
    pub(crate) fn start_again(&self) {
        {
            let mut child = self.child();
            kill(&mut child);
            *child = spawn_logged((self.launch)(), &self.log);
        }
        if let Err(error) = self.wait_ready() {
            panic!("{error}");
        }
    }

    fn wait_ready(&self) -> Result<(), String> {
        let mut exit = None;
        until(super::PATIENCE, || {
            exit = self.child().try_wait().ok().flatten();
            exit.is_some() || (self.ready)()
        });
        // Again: a server whose port was taken may end just after another one answered for it.
        exit = exit.or(self.child().try_wait().ok().flatten());
        if exit.is_none() && (self.ready)() {
            return Ok(());
        }
        let ended =
            exit.map_or_else(|| "does not answer".to_owned(), |status| format!("ended with {status}"));
        Err(format!("{} {ended}; its log ends with:\n{}", self.name, tail(&self.log, 20)))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        kill(&mut self.child());
    }
}

/// Makes and starts a server with new ports until it stays up.
pub(crate) fn with_retries<T>(mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let mut last = String::new();
    for _ in 0..START_ATTEMPTS {
        match attempt() {
            Ok(server) => return server,
            Err(error) => last = error,
        }
    }
    panic!("{last}");
}

/// Kills and reaps.
pub(crate) fn kill(child: &mut Child) {
    // Both fail only for a child that was reaped before.
    drop(child.kill());
    drop(child.wait());
}

/// Waits for a child's end; `None` when the deadline passes first.
pub(crate) fn wait_for_end(child: &mut Child, deadline: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            return Some(status);
        }
        if started.elapsed() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn spawn_logged(mut command: Command, log: &Path) -> Child {
    let out = File::options().create(true).append(true).open(log).expect("the log can be written");
    let err = out.try_clone().expect("the log can be opened twice");
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    let program = format!("{command:?}");
    spawn(command).unwrap_or_else(|error| panic!("{program} does not start: {error}"))
}
