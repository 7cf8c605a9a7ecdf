//! Fills a topic of the embedded broker.
//!
//! Owns the thread that produces and its bound: the mock cluster drops what is over 5 MiB or 100,000
//! batches in a partition without a word, so that the feeder keeps at most [`BYTES_AHEAD_MAX`] and
//! [`RECORDS_AHEAD_MAX`] a partition beyond what the lanes have taken in. Invariant: no record is
//! produced before all that it could push out of the broker was taken in by a lane.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

use super::consumer::TakenIn;
use super::{EmbeddedBroker, Error};
use crate::config::Feed;
use crate::record::TopicPartition;
use crate::source::lines::{self, Lines};

/// Bytes that a partition may be ahead of its lane: well below the 5 MiB at which the mock drops.
const BYTES_AHEAD_MAX: u64 = 2 * 1024 * 1024;

/// Records that a partition may be ahead of its lane: in the worst case each is a batch of its own, and
/// the mock drops at 100,000.
const RECORDS_AHEAD_MAX: u64 = 40_000;

/// What a record may take in the broker beside its value: a batch of its own.
const RECORD_COST: u64 = 100;

/// Records between two notes of how many bytes a partition holds.
const RECORDS_PER_NOTE: u64 = 256;

/// How long the last records may take to be acknowledged.
const FLUSH_MAX: Duration = Duration::from_secs(30);

/// How far a feeder is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeederProgress {
    /// Records that were produced.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Once all is produced: the end of each partition, by its number.
    pub ends: Option<Vec<u64>>,
    /// The thread is over, with [`Feeder::join`] to say how.
    pub ended: bool,
}

#[derive(Debug)]
struct Shared {
    topic: String,
    taken_in: Vec<AtomicU64>,
    records: AtomicU64,
    bytes: AtomicU64,
    ends: Mutex<Option<Vec<u64>>>,
    ended: AtomicBool,
    stopped: AtomicBool,
    thread: Mutex<Option<Thread>>,
}

/// A thread that feeds one topic; cheap to clone.
#[derive(Clone, Debug)]
pub struct Feeder {
    shared: Arc<Shared>,
    join: Arc<Mutex<Option<Outcome>>>,
}

type Outcome = JoinHandle<Result<(), Error>>;

impl Feeder {
    /// Starts to feed: record after record into partition after partition, without keys, each line's
    /// bytes as the value.
    ///
    /// # Errors
    /// When the feed can't be opened or the system gives no thread.
    pub fn spawn(broker: &EmbeddedBroker, topic: &str, partitions: i32, feed: &Feed) -> Result<Self, Error> {
        let lines = lines::open(feed).map_err(|source| Error::Feed { path: lines::name(feed), source })?;
        Self::spawn_lines(broker, topic, partitions, lines, lines::name(feed), feed.records)
    }

    /// As [`Feeder::spawn`], with lines from anywhere; `name` stands for them in messages.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn_lines(
        broker: &EmbeddedBroker,
        topic: &str,
        partitions: i32,
        lines: Box<dyn Lines>,
        name: String,
        records: Option<u64>,
    ) -> Result<Self, Error> {
        let partitions = usize::try_from(partitions).unwrap_or(1).max(1);
        let shared = Arc::new(Shared {
            topic: topic.to_owned(),
            taken_in: (0..partitions).map(|_| AtomicU64::new(0)).collect(),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            ends: Mutex::new(None),
            ended: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            thread: Mutex::new(None),
        });
        let producer = producer(broker, partitions)?;
        let run = Run {
            shared: Arc::clone(&shared),
            producer,
            ahead: (0..partitions).map(|_| Ahead::default()).collect(),
            name,
            records_max: records.unwrap_or(u64::MAX),
        };
        let thread = std::thread::Builder::new()
            .name(String::from("feeder"))
            .spawn(move || run.run(lines))
            .map_err(Error::Thread)?;
        *shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread.thread().clone());
        Ok(Self { shared, join: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Says that a lane took in all of a partition below `offset`.
    pub fn taken_in(&self, partition: i32, offset: u64) {
        let Some(taken) = usize::try_from(partition).ok().and_then(|number| self.shared.taken_in.get(number))
        else {
            return;
        };
        taken.fetch_max(offset, Ordering::AcqRel);
        self.unpark();
    }

    /// [`Feeder::taken_in`] for [`super::Options::taken_in`]; other topics are passed over.
    #[must_use]
    pub fn hook(&self) -> TakenIn {
        let feeder = self.clone();
        Arc::new(move |partition: &TopicPartition, offset| {
            if *partition.topic == *feeder.shared.topic {
                feeder.taken_in(partition.partition, offset);
            }
        })
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> FeederProgress {
        FeederProgress {
            records: self.shared.records.load(Ordering::Acquire),
            bytes: self.shared.bytes.load(Ordering::Acquire),
            ends: self.shared.ends.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            ended: self.shared.ended.load(Ordering::Acquire),
        }
    }

    /// Ends it before its time. A read of standard input that waits ends only with that input: do not
    /// join then.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.unpark();
    }

    /// Waits for its end; blocks. The first caller gets the outcome, a later one `Ok`.
    ///
    /// # Errors
    /// What kept it from producing all.
    pub fn join(&self) -> Result<(), Error> {
        let thread = self.join.lock().unwrap_or_else(PoisonError::into_inner).take();
        thread.map_or(Ok(()), |thread| thread.join().unwrap_or(Err(Error::Panicked)))
    }

    fn unpark(&self) {
        if let Some(thread) = self.shared.thread.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            thread.unpark();
        }
    }
}

/// What came of records that were sent.
struct Acknowledgements {
    ends: Vec<AtomicU64>,
    delivered: AtomicU64,
    failure: Mutex<Option<KafkaError>>,
}

impl ClientContext for Acknowledgements {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        super::consumer::log(level as i32, facility, message);
    }
}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => {
                self.delivered.fetch_add(1, Ordering::AcqRel);
                let place =
                    usize::try_from(message.partition()).ok().and_then(|number| self.ends.get(number));
                if let (Some(end), Ok(offset)) = (place, u64::try_from(message.offset())) {
                    end.fetch_max(offset + 1, Ordering::AcqRel);
                }
            }
            Err((error, _)) => {
                self.failure
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert_with(|| error.clone());
            }
        }
    }
}

fn producer(broker: &EmbeddedBroker, partitions: usize) -> Result<BaseProducer<Acknowledgements>, Error> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", broker.bootstrap())
        .set("client.id", "vanne-feeder")
        // One request at a time, in order, once.
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("queue.buffering.max.kbytes", "8192");
    let acknowledgements = Acknowledgements {
        ends: (0..partitions).map(|_| AtomicU64::new(0)).collect(),
        delivered: AtomicU64::new(0),
        failure: Mutex::new(None),
    };
    BaseProducer::from_config_and_context(&config, acknowledgements)
        .map_err(|source| Error::embedded("make a producer", source))
}

/// What one partition of the broker holds beyond its lane.
#[derive(Debug, Default)]
struct Ahead {
    sent: u64,
    /// Bytes ever sent, and those of them that were taken in.
    sent_bytes: u64,
    taken_bytes: u64,
    /// Offsets, and the bytes ever sent before them.
    notes: VecDeque<(u64, u64)>,
}

impl Ahead {
    fn add(&mut self, bytes: u64) {
        self.sent += 1;
        self.sent_bytes += bytes + RECORD_COST;
        if self.sent.is_multiple_of(RECORDS_PER_NOTE) {
            self.notes.push_back((self.sent, self.sent_bytes));
        }
    }

    /// Whether a record of this size may be sent, with the lane at `taken_in`.
    fn has_room(&mut self, taken_in: u64, bytes: u64) -> bool {
        while let Some((_, sent_bytes)) = self.notes.pop_front_if(|(offset, _)| *offset <= taken_in) {
            self.taken_bytes = sent_bytes;
        }
        if taken_in >= self.sent {
            self.taken_bytes = self.sent_bytes;
        }
        let ahead = self.sent_bytes - self.taken_bytes;
        let fits = ahead == 0 || ahead + bytes + RECORD_COST <= BYTES_AHEAD_MAX;
        fits && self.sent.saturating_sub(taken_in) < RECORDS_AHEAD_MAX
    }
}

struct Run {
    shared: Arc<Shared>,
    producer: BaseProducer<Acknowledgements>,
    ahead: Vec<Ahead>,
    name: String,
    records_max: u64,
}

/// Says that the thread is over, however it ended.
struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
    }
}

impl Run {
    fn run(mut self, mut lines: Box<dyn Lines>) -> Result<(), Error> {
        let _end = EndOnDrop(Arc::clone(&self.shared));
        let mut line = Vec::new();
        let mut record = 0;
        while record < self.records_max && !self.is_stopped() {
            let more = lines
                .next_line(&mut line)
                .map_err(|source| Error::Feed { path: self.name.clone(), source })?;
            if !more {
                break;
            }
            let partition = usize::try_from(record % self.ahead.len() as u64).unwrap_or(0);
            if !self.wait_for_room(partition, line.len() as u64)? {
                break;
            }
            self.send(partition, &line)?;
            record += 1;
        }
        self.finish()
    }

    fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::Acquire)
    }

    /// Waits until the lane of a partition is near enough; false when told to stop.
    fn wait_for_room(&mut self, partition: usize, bytes: u64) -> Result<bool, Error> {
        /// Delivery reports have to be served while there is nothing else to do.
        const LOOK: Duration = Duration::from_millis(20);
        loop {
            let taken_in = self.shared.taken_in[partition].load(Ordering::Acquire);
            if self.ahead[partition].has_room(taken_in, bytes) {
                return Ok(true);
            }
            if self.is_stopped() {
                return Ok(false);
            }
            self.producer.poll(Duration::ZERO);
            self.check()?;
            std::thread::park_timeout(LOOK);
        }
    }

    fn send(&mut self, partition: usize, line: &[u8]) -> Result<(), Error> {
        /// How often delivery reports are served while records go out.
        const RECORDS_PER_POLL: u64 = 1024;
        const FULL_WAIT: Duration = Duration::from_millis(5);
        let topic = self.shared.topic.clone();
        let number = i32::try_from(partition).unwrap_or(0);
        let mut record = BaseRecord::<[u8], [u8]>::to(&topic).partition(number).payload(line);
        while let Err((error, refused)) = self.producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(Error::embedded("take a record", error));
            }
            self.producer.poll(FULL_WAIT);
            self.check()?;
            record = refused;
        }
        self.ahead[partition].add(line.len() as u64);
        self.shared.bytes.fetch_add(line.len() as u64, Ordering::AcqRel);
        if self.shared.records.fetch_add(1, Ordering::AcqRel).is_multiple_of(RECORDS_PER_POLL) {
            self.producer.poll(Duration::ZERO);
            self.check()?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        let failure = self.producer.context().failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        failure.map_or(Ok(()), |source| Err(Error::embedded("take a record", source)))
    }

    /// Waits until each record is acknowledged, and notes the ends.
    fn finish(&self) -> Result<(), Error> {
        let sent = self.shared.records.load(Ordering::Acquire);
        let deadline = Instant::now() + FLUSH_MAX;
        while self.producer.context().delivered.load(Ordering::Acquire) < sent {
            self.producer.poll(Duration::from_millis(10));
            self.check()?;
            if Instant::now() >= deadline {
                let source = KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut);
                return Err(Error::embedded("take the last records", source));
            }
        }
        let ends = self.producer.context().ends.iter().map(|end| end.load(Ordering::Acquire)).collect();
        *self.shared.ends.lock().unwrap_or_else(PoisonError::into_inner) = Some(ends);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_partition_is_never_further_ahead_than_it_may_be(
            sizes in proptest::collection::vec(1_u64..300_000, 1..400),
            lag in 0_u64..1000,
        ) {
            let mut ahead = Ahead::default();
            let mut taken_in = 0_u64;
            for bytes in &sizes {
                while !ahead.has_room(taken_in, *bytes) {
                    prop_assert!(taken_in < ahead.sent, "nothing waits, yet there is no room");
                    taken_in = (taken_in + 1 + lag).min(ahead.sent);
                }
                ahead.add(*bytes);
                let from = usize::try_from(taken_in).expect("small");
                let to = usize::try_from(ahead.sent).expect("small");
                let real: u64 = sizes[from..to].iter().map(|bytes| bytes + RECORD_COST).sum();
                prop_assert!(real <= BYTES_AHEAD_MAX, "{real}");
            }
        }
    }
}
