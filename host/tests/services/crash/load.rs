//! Load: numbered records on every partition, as long as it lasts.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::dice::Dice;
use crate::support::kafka::{Kafka, Message};

/// How many records each partition has. Nothing but the load is in the topic, so these are the ends of its logs, too.
pub(crate) type Counts = BTreeMap<i32, u64>;

/// Makes the record of a partition and a number.
pub(crate) type Make = fn(i32, u64) -> Message;

/// How much load.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// Records of one burst, all of one partition.
    pub(crate) burst: (u64, u64),
    /// Milliseconds between bursts.
    pub(crate) pause: (u64, u64),
}

/// A thread that produces until it is told to end.
pub(crate) struct Load {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Counts>,
}

impl Load {
    /// Goes on behind the records that are there.
    pub(crate) fn start(topic: &str, counts: Counts, pace: Pace, make: Make, mut dice: Dice) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let (told, topic) = (ends.clone(), topic.to_owned());
        let thread = std::thread::spawn(move || {
            let mut counts = counts;
            let producer = Kafka::shared().producer();
            while !told.load(Ordering::Relaxed) {
                let partition = i32::try_from(dice.within(0..counts.len() as u64)).expect("a partition");
                let next = counts.entry(partition).or_default();
                let end = *next + dice.within(pace.burst.0..pace.burst.1);
                producer.send(&topic, &messages(partition, *next..end, make));
                *next = end;
                std::thread::sleep(dice.milliseconds(pace.pause.0..pace.pause.1));
            }
            counts
        });
        Self { ends, thread }
    }

    /// Ends it; all that it produced is acknowledged.
    pub(crate) fn finish(self) -> Counts {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Adds so many records to every partition.
pub(crate) fn add(topic: &str, counts: &mut Counts, records: u64, make: Make) {
    for (partition, next) in counts {
        Kafka::shared().produce(topic, &messages(*partition, *next..*next + records, make));
        *next += records;
    }
}

fn messages(partition: i32, numbers: Range<u64>, make: Make) -> Vec<Message> {
    numbers.map(|number| make(partition, number)).collect()
}

/// Partitions without a record.
pub(crate) fn none(partitions: i32) -> Counts {
    (0..partitions).map(|partition| (partition, 0)).collect()
}

/// How long hosts that are well may take to deliver what a test has produced.
pub(crate) const DELIVERY: Duration = Duration::from_secs(90);
