//! The poll thread, from outside: how to start it, order it and wait for its end.
//!
//! Owns the thread and the queue of commands. What the thread does is in `worker`; what one partition is
//! in it, in `partition`. Invariant: nothing that the thread does waits for a lane, a store, an event's
//! reader or the group: it polls at least every [`POLL_MAX`].

mod assignment;
mod commits;
mod partition;
mod table;
mod worker;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use tokio::sync::mpsc;

use super::native::{Poller, Waker};
use super::{Error, properties};
use crate::config;
use crate::record::{Arena, TopicPartition};
use crate::source::pool::ArenaPool;
use crate::source::{Command, Event};

/// Commands that may wait for the poll thread. It takes all of them at each turn, at least ten times a
/// second, so that this many means some for every one of 5,000 partitions and then twice that again.
pub const COMMANDS_MAX: usize = 16_384;

/// Longest wait of one poll: how late a window's end or a lane's new room may be seen.
pub(super) const POLL_MAX: Duration = Duration::from_millis(100);

/// Told of each partition's position up to which its lane has taken batches in. Called in the poll
/// thread: it must not wait.
pub type TakenIn = Arc<dyn Fn(&TopicPartition, u64) + Send + Sync>;

/// Bounds of the source.
#[derive(Clone)]
pub struct Options {
    /// When a batch ends.
    pub batch: config::Batch,
    /// Bytes for librdkafka's queue and for batches that no lane has taken yet, half each.
    pub memory: usize,
    /// Who wants to know what the lanes took in: the feeder of an embedded broker.
    pub taken_in: Option<TakenIn>,
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Options")
            .field("batch", &self.batch)
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

/// The Kafka consumer of this process.
#[derive(Debug)]
pub struct Consumer;

impl Consumer {
    /// Joins the group of `source.group` in a thread of its own and reports to `events`, a bounded
    /// channel; what does not fit waits inside the thread.
    ///
    /// # Errors
    /// A property that librdkafka refuses, or a system without threads. A broker that is away is no error
    /// here: librdkafka keeps trying, and [`super::Queries`] tells.
    pub fn spawn(
        source: &config::Source,
        brokers: &str,
        options: Options,
        events: mpsc::Sender<Event>,
    ) -> Result<Handle, Error> {
        let properties = properties::for_consumer(source, brokers, options.memory / 2)?;
        let consumer = BaseConsumer::from_config_and_context(&properties, Context).map_err(Error::create)?;
        let topics: Vec<&str> = source.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(Error::create)?;
        let poller = Poller::new(consumer).ok_or_else(|| {
            Error::create(KafkaError::ClientCreation(String::from("the consumer has no queue")))
        })?;
        let (sender, commands) = crossbeam_channel::bounded(COMMANDS_MAX);
        let pool = Arc::new(ArenaPool::new(options.memory / 16));
        let ended = Arc::new(AtomicBool::new(false));
        let waker = poller.waker();
        let worker =
            worker::Worker::new(poller, brokers.to_owned(), &options, commands, events, Arc::clone(&pool));
        let thread = spawn_thread(worker, Arc::clone(&ended))?;
        Ok(Handle { sender, waker, pool, ended, thread: Arc::new(Mutex::new(Some(thread))) })
    }
}

fn spawn_thread(worker: worker::Worker, ended: Arc<AtomicBool>) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new()
        .name(String::from("kafka-poll"))
        .spawn(move || {
            let _end = SetOnDrop(ended);
            worker.run();
        })
        .map_err(Error::Thread)
}

/// Says that the thread is over, however it ended.
struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A command that could not be handed over.
#[derive(Debug)]
pub struct Refused {
    /// The command, for another try.
    pub command: Command,
    /// The source has ended: trying again is useless.
    pub ended: bool,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.ended { "the source has ended" } else { "the source is busy" })
    }
}

impl std::error::Error for Refused {}

/// The way to the poll thread; cheap to clone. Dropping every handle ends the thread as
/// [`Command::Close`] does.
#[derive(Clone)]
pub struct Handle {
    sender: crossbeam_channel::Sender<Command>,
    waker: Waker,
    pool: Arc<ArenaPool>,
    ended: Arc<AtomicBool>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Handle").field("ended", &self.has_ended()).finish_non_exhaustive()
    }
}

impl Handle {
    /// Hands a command over and wakes the poll thread; never waits. Commands of one sender are carried
    /// out in order.
    ///
    /// # Errors
    /// Gives the command back when [`COMMANDS_MAX`] of them wait (the thread takes all of them at each
    /// turn, so that a try a moment later succeeds), or when the source has ended.
    pub fn send(&self, command: Command) -> Result<(), Box<Refused>> {
        use crossbeam_channel::TrySendError;
        self.sender.try_send(command).map_err(|refused| {
            Box::new(match refused {
                TrySendError::Full(command) => Refused { command, ended: false },
                TrySendError::Disconnected(command) => Refused { command, ended: true },
            })
        })?;
        self.waker.wake();
        Ok(())
    }

    /// Gives an arena back for another batch, once its records are done with. Not necessary, only
    /// cheaper.
    pub fn recycle(&self, arena: Arena) {
        self.pool.give(arena);
    }

    /// Whether the thread is over.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Waits for the thread's end, which [`Command::Close`] brings about within a bounded time. Blocks;
    /// the first caller gets the thread's fate, a later one `Ok`.
    ///
    /// # Errors
    /// [`Error::Panicked`].
    pub fn join(&self) -> Result<(), Error> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        thread.map_or(Ok(()), |thread| thread.join().map_err(|_| Error::Panicked))
    }
}

/// Passes a line of librdkafka's log on, by its syslog level.
pub(super) fn log(level: i32, facility: &str, message: &str) {
    match level {
        ..=3 => tracing::error!(target: "librdkafka", facility, "{message}"),
        4 => tracing::warn!(target: "librdkafka", facility, "{message}"),
        5 | 6 => tracing::info!(target: "librdkafka", facility, "{message}"),
        _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

/// Takes librdkafka's logs into ours. Rebalances never come here: the queue is polled raw.
pub(super) struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level as i32, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "kafka client error");
    }
}

impl ConsumerContext for Context {}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::Instant;

    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;
    use crate::config::Source;
    use crate::record::Epoch;
    use crate::source::kafka::EmbeddedBroker;
    use crate::source::kafka::test_support::partition;
    use crate::source::{Outlet, intake};

    const PATIENCE: Duration = Duration::from_secs(30);

    fn join(broker: &EmbeddedBroker) -> (Handle, mpsc::Receiver<Event>) {
        let properties = [("session.timeout.ms", "2000"), ("heartbeat.interval.ms", "200")];
        let source = Source::for_tests("t", &properties);
        let batch = config::Batch {
            bytes: NonZeroUsize::MIN,
            records: NonZeroUsize::MIN,
            window: Duration::from_millis(20),
        };
        let (sender, events) = mpsc::channel(4);
        let options = Options { batch, memory: 1 << 20, taken_in: None };
        (Consumer::spawn(&source, broker.bootstrap(), options, sender).expect("valid"), events)
    }

    async fn next(events: &mut mpsc::Receiver<Event>) -> Event {
        tokio::time::timeout(PATIENCE, events.recv()).await.expect("in time").expect("the source lives")
    }

    fn assign(handle: &Handle, epoch: u64) -> Outlet {
        let (intake, outlet) = intake();
        let assign = Command::Assign { partition: partition("t", 0), start: 0, epoch: Epoch(epoch), intake };
        handle.send(assign).expect("the source listens");
        outlet
    }

    #[tokio::test]
    async fn a_lost_session_is_told_and_the_member_comes_back() {
        let broker = EmbeddedBroker::start().expect("a free port");
        broker.create_topic("t", 1).expect("new");
        let (handle, mut events) = join(&broker);
        assert!(matches!(next(&mut events).await, Event::Assigned(_)));
        let mut lane = assign(&handle, 1);
        broker.fail_next(RDKafkaApiKey::Heartbeat, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID]);
        let Event::Lost(lost) = next(&mut events).await else { panic!("the session was lost") };
        assert_eq!(lost, [partition("t", 0)]);
        handle.send(Command::Unassign { partitions: lost.clone() }).expect("the source listens");
        assert!(lane.next().await.is_none(), "the intake is let go of");
        // A second answer, such as a drain's that was under way, does not touch what comes next.
        handle.send(Command::Unassign { partitions: lost }).expect("the source listens");
        assert!(matches!(next(&mut events).await, Event::Assigned(_)));
        let _lane = assign(&handle, 2);
        handle.send(Command::Close).expect("the source listens");
        handle.join().expect("an orderly end");
    }

    #[tokio::test]
    async fn a_revocation_that_nobody_answers_does_not_hold_up_the_end() {
        let broker = EmbeddedBroker::start().expect("a free port");
        broker.create_topic("t", 2).expect("new");
        let (first, mut events) = join(&broker);
        assert!(matches!(next(&mut events).await, Event::Assigned(_)));
        let _lane = assign(&first, 1);
        let (second, mut later_events) = join(&broker);
        assert!(matches!(next(&mut events).await, Event::Revoked(_)));
        let begun = Instant::now();
        first.send(Command::Close).expect("the source listens");
        first.join().expect("an orderly end");
        assert!(begun.elapsed() < worker::LEAVE_MAX, "it took {:?}", begun.elapsed());
        assert!(matches!(next(&mut later_events).await, Event::Assigned(_)));
        second.send(Command::Close).expect("the source listens");
        second.join().expect("an orderly end");
    }

    #[tokio::test]
    async fn refused_credentials_end_the_source() {
        let broker = EmbeddedBroker::start().expect("a free port");
        broker.create_topic("t", 1).expect("new");
        broker.fail_next(
            RDKafkaApiKey::JoinGroup,
            &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED],
        );
        let (handle, mut events) = join(&broker);
        match next(&mut events).await {
            Event::Fatal(Error::Denied { brokers, .. }) => assert_eq!(brokers, broker.bootstrap()),
            other => panic!("{other:?}"),
        }
        handle.send(Command::Close).expect("the source listens");
        handle.join().expect("an orderly end");
        let refused = handle.send(Command::Close).expect_err("nobody listens");
        assert!(refused.ended);
    }
}
