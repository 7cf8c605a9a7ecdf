//! A small pool of threads for all work over some 500 µs: plugin calls, encoding, compression.
//!
//! Owns the threads. Does not know what runs on them. Invariant: a job runs once and alone on its
//! thread; the queue holds at most one job a lane, because a lane waits for its job.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Jobs that may wait: more than any host has lanes, so that handing one in does not wait; memory is
/// taken as jobs come.
const QUEUE_JOBS: usize = 100_000;

/// The pool; its threads end when it is dropped.
#[derive(Debug)]
pub(super) struct CpuPool {
    jobs: Sender<Job>,
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
        for nth in 0..threads {
            let queue: Receiver<Job> = queue.clone();
            thread::Builder::new().name(format!("{name}-{nth}")).spawn(move || {
                for job in queue {
                    job();
                }
            })?;
        }
        Ok(Self { jobs })
    }

    /// Runs `job` on the pool and waits for it without holding a thread. Dropped while waiting, the job
    /// still runs and its result is thrown away.
    ///
    /// # Errors
    /// [`JobLost`] where the job panicked.
    pub(super) async fn run<T, F>(&self, job: F) -> Result<T, JobLost>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move || {
            let outcome = catch_unwind(AssertUnwindSafe(job)).map_err(|panic| panic_text(&*panic));
            let _asker_may_be_gone = answer.send(outcome);
        });
        self.jobs.send(job).map_err(|_| JobLost(String::from("the pool has ended")))?;
        match result.await {
            Ok(outcome) => outcome.map_err(JobLost),
            Err(_) => Err(JobLost(String::from("the pool has ended"))),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_the_job_and_not_the_thread() {
        let pool = CpuPool::start("cpu", NonZeroUsize::new(1)).expect("threads");
        let lost = pool.run(|| -> u32 { panic!("broken") }).await;
        assert!(lost.is_err_and(|error| error.to_string().contains("broken")));
        assert_eq!(pool.run(|| 7).await.expect("the thread goes on"), 7);
    }
}
