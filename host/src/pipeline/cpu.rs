//! A small pool of threads for all work over some 500 µs: plugin calls, encoding, compression.
//!
//! Owns the threads. Does not know what runs on them. Invariant: a job runs once and alone on its
//! thread; the queues hold at most one job a lane, because a lane waits for its job.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Jobs that may wait: more than any host has lanes, so that handing one in does not wait; memory is
/// taken as jobs come.
const QUEUE_JOBS: usize = 100_000;

/// The pool; its threads end when it is dropped.
#[derive(Debug)]
pub(super) struct CpuPool {
    jobs: Sender<Job>,
    urgent: Sender<Job>,
}

/// When a job's turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// After those that were handed in before it.
    InOrder,
    /// Before all that are in order: a lane stands still for it, as where it changes its transforms.
    Urgent,
}

/// The job panicked: a bug in the host, which costs the lane and not the process.
#[derive(Debug, thiserror::Error)]
#[error("a job on the cpu pool ended without a result: {0}")]
pub(super) struct JobLost(String);

impl CpuPool {
    /// Starts `threads` threads, as many as cores by default.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(super) fn start(name: &str, threads: Option<NonZeroUsize>) -> std::io::Result<Self> {
        let threads = threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let (jobs, queue) = bounded(QUEUE_JOBS);
        let (urgent, first) = bounded(QUEUE_JOBS);
        for nth in 0..threads {
            let (first, queue) = (first.clone(), queue.clone());
            thread::Builder::new().name(format!("{name}-{nth}")).spawn(move || work(first, queue))?;
        }
        Ok(Self { jobs, urgent })
    }

    /// Runs `job` on the pool and waits for it without holding a thread. Dropped while waiting, the job
    /// still runs and its result is thrown away.
    ///
    /// # Errors
    /// [`JobLost`] where the job panicked.
    pub(super) async fn run<T, F>(&self, turn: Turn, job: F) -> Result<T, JobLost>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move || {
            let outcome = catch_unwind(AssertUnwindSafe(job)).map_err(|panic| panic_text(&*panic));
            let _asker_may_be_gone = answer.send(outcome);
        });
        let queue = if turn == Turn::Urgent { &self.urgent } else { &self.jobs };
        queue.send(job).map_err(|_| JobLost(String::from("the pool has ended")))?;
        match result.await {
            Ok(outcome) => outcome.map_err(JobLost),
            Err(_) => Err(JobLost(String::from("the pool has ended"))),
        }
    }
}

/// Does jobs until the pool is dropped.
fn work(mut first: Receiver<Job>, mut queue: Receiver<Job>) {
    let mut open = 2;
    while open > 0 {
        if let Ok(job) = first.try_recv() {
            job();
            continue;
        }
        select! {
            recv(first) -> job => match job {
                Ok(job) => job(),
                Err(_) => (first, open) = (never(), open - 1),
            },
            recv(queue) -> job => match job {
                Ok(job) => job(),
                Err(_) => (queue, open) = (never(), open - 1),
            },
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| String::from("it panicked"))
}

/// Threads for transforms that may wait: each holds one while it waits.
const THREADS_THAT_WAIT: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not 0");

/// Which threads a job belongs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    /// Where all lanes' work is done.
    Cpu,
    /// For transforms that take their time, so that they don't hold up other lanes.
    Aside,
    /// For transforms that may wait for a clock, a disk or a peer.
    Waiting,
}

/// The process's pools.
#[derive(Debug)]
pub(super) struct Pools {
    cpu: CpuPool,
    aside: CpuPool,
    /// Started by the first transform that may wait.
    waiting: Mutex<Option<Arc<CpuPool>>>,
}

impl Pools {
    /// Starts the pools that every pipeline needs.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(super) fn start(threads: Option<NonZeroUsize>) -> std::io::Result<Self> {
        let (cpu, aside) = (CpuPool::start("cpu", threads)?, CpuPool::start("aside", threads)?);
        Ok(Self { cpu, aside, waiting: Mutex::new(None) })
    }

    /// Runs `job` on one of the pools; see [`CpuPool::run`].
    ///
    /// # Errors
    /// [`JobLost`] where the job panicked, or the system gives no thread to wait with.
    pub(super) async fn run<T, F>(&self, pool: Pool, turn: Turn, job: F) -> Result<T, JobLost>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        match pool {
            Pool::Cpu => self.cpu.run(turn, job).await,
            Pool::Aside => self.aside.run(turn, job).await,
            Pool::Waiting => self.waiting()?.run(turn, job).await,
        }
    }

    /// The pool of those that may wait.
    pub(super) fn waiting(&self) -> Result<Arc<CpuPool>, JobLost> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = &*waiting {
            return Ok(Arc::clone(pool));
        }
        let started = CpuPool::start("waiting", Some(THREADS_THAT_WAIT));
        let pool = started.map_err(|error| JobLost(format!("the system gives no threads: {error}")))?;
        Ok(Arc::clone(waiting.insert(Arc::new(pool))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_the_job_and_not_the_thread() {
        let pool = CpuPool::start("cpu", NonZeroUsize::new(1)).expect("threads");
        let lost = pool.run(Turn::InOrder, || -> u32 { panic!("broken") }).await;
        assert!(lost.is_err_and(|error| error.to_string().contains("broken")));
        assert_eq!(pool.run(Turn::InOrder, || 7).await.expect("the thread goes on"), 7);
    }

    #[tokio::test]
    async fn what_is_urgent_goes_before_what_waits() {
        let pool = CpuPool::start("cpu", NonZeroUsize::new(1)).expect("threads");
        let (go, gate) = bounded::<()>(0);
        let (said, order) = bounded(8);
        let say = |word: &'static str| {
            let said = said.clone();
            move || said.send(word).is_ok()
        };
        let blocked = pool.run(Turn::InOrder, move || gate.recv().is_err());
        let (later, urgent) = (pool.run(Turn::InOrder, say("later")), pool.run(Turn::Urgent, say("urgent")));
        // Handed in one after the other while the only thread is busy.
        let opened = async { go.send(()).is_ok() };
        let (_, later, urgent, opened) = tokio::join!(biased; blocked, later, urgent, opened);
        assert!(later.is_ok() && urgent.is_ok() && opened);
        assert_eq!(order.try_iter().collect::<Vec<_>>(), ["urgent", "later"]);
    }
}
