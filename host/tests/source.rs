//! The Kafka source against librdkafka's mock cluster, in this process: no server is needed.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use host::config::{Batch as BatchBounds, Broker, Secret, Source, Start};
use host::record::{Batch, Epoch, OffsetRange, TopicPartition};
use host::source::generator::AccessLog;
use host::source::kafka::{Consumer, EmbeddedBroker, Error, Feeder, Handle, Options, Queries, TakenIn};
use host::source::lines::Lines;
use host::source::{Command, Event, Outlet, intake};
use tokio::sync::mpsc;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
const TOPIC: &str = "t";

/// Lines of one size that say their number.
struct Numbered {
    next: u64,
    bytes: usize,
}

impl Lines for Numbered {
    fn next_line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        line.extend_from_slice(format!("{:0width$}", self.next, width = self.bytes).as_bytes());
        self.next += 1;
        Ok(true)
    }
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition { topic: TOPIC.into(), partition: number }
}

/// The mock cluster takes a session's time less a second for every rebalance but the first.
const QUICK_GROUP: [(&str, &str); 2] = [("session.timeout.ms", "2000"), ("heartbeat.interval.ms", "200")];

fn source(properties: &[(&str, &str)]) -> Source {
    let properties =
        QUICK_GROUP.iter().chain(properties).map(|(key, value)| ((*key).to_owned(), Secret::new(*value)));
    Source {
        broker: Broker::Kafka { brokers: String::from("in this process") },
        topics: vec![TOPIC.to_owned()],
        group: String::from("group"),
        start: Start::Earliest,
        properties: properties.collect::<BTreeMap<_, _>>(),
    }
}

fn options(bytes: usize, records: usize, window_ms: u64) -> Options {
    Options {
        batch: BatchBounds {
            bytes: NonZeroUsize::new(bytes).expect("not zero"),
            records: NonZeroUsize::new(records).expect("not zero"),
            window: Duration::from_millis(window_ms),
        },
        memory: 64 << 20,
        taken_in: None,
    }
}

fn broker(partitions: i32) -> EmbeddedBroker {
    let broker = EmbeddedBroker::start().expect("a free port");
    broker.create_topic(TOPIC, partitions).expect("a new topic");
    broker
}

/// Puts lines into the topic, round robin, and waits until they are there.
fn produce(broker: &EmbeddedBroker, partitions: i32, lines: impl Lines + 'static, records: u64) {
    let lines = Box::new(lines);
    let feeder = Feeder::spawn_lines(broker, TOPIC, partitions, lines, String::from("test"), Some(records))
        .expect("a thread");
    feeder.join().expect("all is taken");
    assert_eq!(feeder.progress().records, records);
}

/// One member of the group, with the lanes' ends of what it reads.
struct Member {
    handle: Handle,
    events: mpsc::Receiver<Event>,
    lanes: HashMap<i32, Outlet>,
}

impl Member {
    fn join(broker: &EmbeddedBroker, source: &Source, options: Options) -> Self {
        let (sender, events) = mpsc::channel(8);
        let handle = Consumer::spawn(source, broker.bootstrap(), options, sender).expect("valid");
        Self { handle, events, lanes: HashMap::new() }
    }

    async fn event(&mut self) -> Event {
        timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("the source lives")
    }

    fn assign(&mut self, partition: TopicPartition, start: u64, epoch: u64) {
        let (intake, outlet) = intake();
        self.lanes.insert(partition.partition, outlet);
        self.handle
            .send(Command::Assign { partition, start, epoch: Epoch(epoch), intake })
            .expect("the source listens");
    }

    /// Waits for so many partitions and begins to read each at 0.
    async fn assign_all(&mut self, count: usize) {
        let mut given = 0;
        while given < count {
            let Event::Assigned(partitions) = self.event().await else { panic!("nothing else is due") };
            for partition in partitions {
                self.assign(partition, 0, 1);
                given += 1;
            }
        }
    }

    async fn next(&mut self, number: i32) -> Batch {
        let lane = self.lanes.get_mut(&number).expect("assigned");
        timeout(PATIENCE, lane.next()).await.expect("a batch in time").expect("the source lives")
    }

    /// Nothing comes for so long.
    async fn is_quiet(&mut self, number: i32, wait: Duration) -> bool {
        let lane = self.lanes.get_mut(&number).expect("assigned");
        timeout(wait, lane.next()).await.is_err()
    }

    async fn close(self) {
        self.handle.send(Command::Close).expect("the source listens");
        let handle = self.handle.clone();
        tokio::task::spawn_blocking(move || handle.join()).await.expect("no panic").expect("an orderly end");
        assert!(self.handle.has_ended());
    }
}

/// Checks that a lane's batches follow each other, and counts their records.
struct Order {
    epoch: Epoch,
    next: u64,
    records: u64,
}

impl Order {
    fn from(next: u64, epoch: u64) -> Self {
        Self { epoch: Epoch(epoch), next, records: 0 }
    }

    fn check(&mut self, batch: &Batch) {
        assert_eq!((batch.epoch, batch.range.start), (self.epoch, self.next));
        let mut offset = self.next;
        for record in batch.records.iter() {
            assert!(record.offset >= offset && record.offset < batch.range.end);
            offset = record.offset + 1;
            self.records += 1;
        }
        self.next = batch.range.end;
    }
}

#[tokio::test]
async fn the_window_alone_ends_a_batch() {
    let broker = broker(1);
    produce(&broker, 1, Numbered { next: 0, bytes: 10 }, 100);
    let mut member = Member::join(&broker, &source(&[]), options(1 << 20, 10_000, 300));
    member.assign_all(1).await;
    let batch = member.next(0).await;
    assert_eq!(batch.range, OffsetRange { start: 0, end: 100 });
    assert_eq!(batch.records.record(42).value, Some(&b"0000000042"[..]));
    assert!(batch.records.record(0).timestamp_ms > 0);
    member.close().await;
}

#[tokio::test]
async fn bytes_alone_and_records_alone_end_a_batch() {
    let broker = broker(1);
    produce(&broker, 1, Numbered { next: 0, bytes: 100 }, 1000);
    for (bounds, records) in [(options(1000, 10_000, 60_000), 10), (options(1 << 20, 7, 60_000), 7)] {
        let mut member = Member::join(&broker, &source(&[]), bounds);
        member.assign_all(1).await;
        let mut order = Order::from(0, 1);
        for _ in 0..50 {
            let batch = member.next(0).await;
            assert_eq!(batch.records.len(), records);
            order.check(&batch);
        }
        member.close().await;
    }
}

#[tokio::test]
async fn a_slow_lane_pauses_its_partition_and_loses_nothing() {
    let broker = broker(2);
    produce(&broker, 2, Numbered { next: 0, bytes: 1000 }, 3000);
    let mut member = Member::join(&broker, &source(&[]), options(20_000, 10_000, 50));
    member.assign_all(2).await;
    // The other lane goes on while one takes nothing.
    let mut fast = Order::from(0, 1);
    while fast.next < 1500 {
        fast.check(&member.next(0).await);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut slow = Order::from(0, 1);
    while slow.next < 1500 {
        slow.check(&member.next(1).await);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!((fast.records, slow.records), (1500, 1500));
    member.close().await;
}

#[tokio::test]
async fn memory_that_is_short_makes_small_batches_and_loses_nothing() {
    let broker = broker(8);
    produce(&broker, 8, Numbered { next: 0, bytes: 1000 }, 2400);
    // 512 KiB for batches, of which one partition alone could take more than half.
    let bounds = Options { memory: 1 << 20, ..options(1 << 20, 10_000, 100) };
    let mut member = Member::join(&broker, &source(&[]), bounds);
    member.assign_all(8).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for number in 0..8 {
        let mut order = Order::from(0, 1);
        while order.next < 300 {
            let batch = member.next(number).await;
            assert!(batch.records.bytes() <= 256 << 10);
            order.check(&batch);
        }
        assert_eq!(order.records, 300);
    }
    member.close().await;
}

#[tokio::test]
async fn a_seek_begins_a_new_epoch_at_its_offset() {
    let broker = broker(1);
    produce(&broker, 1, Numbered { next: 0, bytes: 100 }, 5000);
    let mut member = Member::join(&broker, &source(&[]), options(2000, 10_000, 50));
    member.assign_all(1).await;
    member.next(0).await;
    for (epoch, offset) in [(2, 10_u64), (3, 3000), (4, 0), (5, 4990), (6, 1)] {
        let seek = Command::Seek { partition: partition(0), offset, epoch: Epoch(epoch) };
        member.handle.send(seek).expect("the source listens");
        let mut batch = member.next(0).await;
        while batch.epoch < Epoch(epoch) {
            batch = member.next(0).await;
        }
        assert_eq!(batch.range.start, offset);
        let first = batch.records.record(0);
        assert_eq!(first.offset, offset);
        assert_eq!(first.value, Some(format!("{offset:0100}").as_bytes()));
    }
    let mut order = Order::from(0, 7);
    let seek = Command::Seek { partition: partition(0), offset: 0, epoch: Epoch(7) };
    member.handle.send(seek).expect("the source listens");
    while order.next < 5000 {
        let batch = member.next(0).await;
        if batch.epoch == Epoch(7) {
            order.check(&batch);
        }
    }
    assert_eq!(order.records, 5000);
    member.close().await;
}

#[tokio::test]
async fn a_stopped_partition_is_quiet_until_it_is_sought() {
    let broker = broker(1);
    produce(&broker, 1, Numbered { next: 0, bytes: 10 }, 10);
    let mut member = Member::join(&broker, &source(&[]), options(1 << 20, 10_000, 20));
    member.assign_all(1).await;
    assert_eq!(member.next(0).await.range.end, 10);
    member.handle.send(Command::Stop { partition: partition(0) }).expect("the source listens");
    produce(&broker, 1, Numbered { next: 10, bytes: 10 }, 10);
    assert!(member.is_quiet(0, Duration::from_millis(500)).await);
    let seek = Command::Seek { partition: partition(0), offset: 10, epoch: Epoch(2) };
    member.handle.send(seek).expect("the source listens");
    assert_eq!(member.next(0).await.range, OffsetRange { start: 10, end: 20 });
    member.close().await;
}

#[tokio::test]
async fn an_offset_beyond_the_log_is_told_and_a_seek_mends_it() {
    let broker = broker(1);
    produce(&broker, 1, Numbered { next: 0, bytes: 10 }, 10);
    let mut member = Member::join(&broker, &source(&[]), options(1 << 20, 10_000, 20));
    let Event::Assigned(_) = member.event().await else { panic!("an assignment is due") };
    member.assign(partition(0), 5000, 1);
    match member.event().await {
        Event::OutOfRange { partition: place, offset } => assert_eq!((place, offset), (partition(0), 5000)),
        other => panic!("{other:?}"),
    }
    let seek = Command::Seek { partition: partition(0), offset: 3, epoch: Epoch(2) };
    member.handle.send(seek).expect("the source listens");
    let batch = member.next(0).await;
    assert_eq!((batch.epoch, batch.range), (Epoch(2), OffsetRange { start: 3, end: 10 }));
    member.close().await;
}

#[tokio::test]
async fn a_commit_reads_back_with_its_metadata() {
    let broker = broker(2);
    let mut member = Member::join(&broker, &source(&[]), options(1 << 20, 10_000, 20));
    member.assign_all(2).await;
    for (offset, metadata) in [(5, "older"), (7, "vanne1:0123:7:abcd")] {
        let metadata = metadata.to_owned();
        let commit = Command::Commit { partition: partition(1), offset, metadata };
        member.handle.send(commit).expect("the source listens");
    }
    let began = Instant::now();
    member.close().await;
    assert!(began.elapsed() < Duration::from_secs(4), "the end waits for the answer, not for its own bound");
    let queries = Queries::new(&source(&[]), broker.bootstrap()).expect("valid");
    let committed = queries.committed(&[partition(0), partition(1)]).expect("the broker answers");
    assert_eq!(committed[0], None);
    let committed = committed[1].as_ref().expect("committed");
    assert_eq!((committed.offset, committed.metadata.as_str()), (7, "vanne1:0123:7:abcd"));
}

/// A second member joins; the first gives back two partitions late, and meanwhile obeys commands.
async fn rebalance(properties: &[(&str, &str)], eager: bool) {
    let broker = broker(4);
    produce(&broker, 4, Numbered { next: 0, bytes: 10 }, 400);
    let source = source(properties);
    let mut first = Member::join(&broker, &source, options(1 << 20, 10_000, 20));
    first.assign_all(4).await;
    for number in 0..4 {
        assert_eq!(first.next(number).await.range.end, 100);
    }
    let mut second = Member::join(&broker, &source, options(1 << 20, 10_000, 20));
    let Event::Revoked(revoked) = first.event().await else { panic!("a revocation is due") };
    assert_eq!(revoked.len(), if eager { 4 } else { 2 });
    // The lanes drain. Under an eager protocol the mock waits no longer for this member than a session
    // less a second.
    tokio::time::sleep(Duration::from_millis(if eager { 300 } else { 1500 })).await;
    first.handle.send(Command::Unassign { partitions: revoked.clone() }).expect("the source listens");
    for partition in &revoked {
        let lane = first.lanes.get_mut(&partition.partition).expect("assigned before");
        let end = timeout(PATIENCE, lane.next()).await.expect("let go in time");
        assert!(end.is_none(), "the intake is let go of");
    }
    second.assign_all(2).await;
    if eager {
        first.assign_all(2).await;
    }
    produce(&broker, 4, Numbered { next: 400, bytes: 10 }, 40);
    let mut ends = 0;
    for member in [&mut first, &mut second] {
        let numbers: Vec<i32> = member.lanes.keys().copied().collect();
        for number in numbers {
            let lane = member.lanes.get_mut(&number).expect("listed");
            while let Ok(Some(batch)) = timeout(Duration::from_secs(5), lane.next()).await {
                if batch.range.end == 110 {
                    ends += 1;
                    break;
                }
            }
        }
    }
    assert_eq!(ends, 4, "each partition is read to its end by one of the two");
    second.close().await;
    first.close().await;
}

#[tokio::test]
async fn a_cooperative_rebalance_moves_half_of_the_partitions() {
    rebalance(&[], false).await;
}

#[tokio::test]
async fn an_eager_rebalance_moves_all_of_them() {
    rebalance(&[("partition.assignment.strategy", "range")], true).await;
}

#[tokio::test]
async fn a_late_start_does_not_hold_up_the_group() {
    let broker = broker(2);
    produce(&broker, 2, Numbered { next: 0, bytes: 10 }, 20);
    let mut first = Member::join(&broker, &source(&[]), options(1 << 20, 10_000, 20));
    let Event::Assigned(given) = first.event().await else { panic!("an assignment is due") };
    assert_eq!(given.len(), 2);
    // No start is known yet, and already one of the two is wanted back.
    let mut second = Member::join(&broker, &source(&[]), options(1 << 20, 10_000, 20));
    let Event::Revoked(revoked) = first.event().await else { panic!("a revocation is due") };
    let gone = revoked[0].partition;
    first.assign(partition(gone), 0, 1);
    first.assign(partition(1 - gone), 0, 1);
    first.handle.send(Command::Unassign { partitions: revoked }).expect("the source listens");
    second.assign_all(1).await;
    assert_eq!(second.next(gone).await.range.end, 10);
    assert_eq!(first.next(1 - gone).await.range.end, 10);
    first.close().await;
    second.close().await;
}

#[tokio::test]
async fn a_feeder_never_outruns_a_slow_lane() {
    const RECORDS: u64 = 300_000;
    let broker = broker(4);
    let lines = Box::new(AccessLog::new(11, 1_767_225_600_000));
    let feeder =
        Feeder::spawn_lines(&broker, TOPIC, 4, lines, String::from("log"), Some(RECORDS)).expect("a thread");
    let taken_in: Option<TakenIn> = Some(feeder.hook());
    let bounds = Options { taken_in, ..options(256 << 10, 2_000, 50) };
    let mut member = Member::join(&broker, &source(&[]), bounds);
    member.assign_all(4).await;
    let began = Instant::now();
    let mut orders: Vec<_> = (0..4).map(|_| Order::from(0, 1)).collect();
    while orders.iter().map(|order| order.records).sum::<u64>() < RECORDS {
        assert!(began.elapsed() < 4 * PATIENCE, "{:?}", feeder.progress());
        for (number, order) in (0..4).zip(&mut orders) {
            while let Ok(Some(batch)) =
                timeout(Duration::from_millis(20), member.lanes.get_mut(&number).expect("assigned").next())
                    .await
            {
                order.check(&batch);
                member.handle.recycle(batch.records);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    feeder.join().expect("all was taken");
    let ends = feeder.progress().ends.expect("it is over");
    assert_eq!(ends, orders.iter().map(|order| order.next).collect::<Vec<_>>());
    assert!(orders.iter().all(|order| order.records == order.next), "an offset without its record");
    member.close().await;
}

#[tokio::test]
async fn five_thousand_partitions_take_little_memory_each() {
    let broker = EmbeddedBroker::start().expect("a free port");
    let topics: Vec<String> = (0..50).map(|number| format!("wide-{number}")).collect();
    for topic in &topics {
        broker.create_topic(topic, 100).expect("a new topic");
    }
    let source = Source { topics, ..source(&[]) };
    let mut member = Member::join(&broker, &source, options(1 << 20, 10_000, 50));
    let mut lanes = Vec::new();
    while lanes.len() < 5_000 {
        let Event::Assigned(partitions) = member.event().await else { panic!("nothing else is due") };
        for partition in partitions {
            let (intake, outlet) = intake();
            lanes.push((partition.clone(), outlet));
            let assign = Command::Assign { partition, start: 0, epoch: Epoch(1), intake };
            member.handle.send(assign).expect("fewer than may wait");
        }
    }
    let feeder = Feeder::spawn_lines(
        &broker,
        "wide-49",
        100,
        Box::new(Numbered { next: 0, bytes: 50 }),
        String::from("test"),
        Some(1000),
    )
    .expect("a thread");
    feeder.join().expect("all is taken");
    for (partition, lane) in lanes.iter_mut().filter(|(partition, _)| &*partition.topic == "wide-49") {
        let mut order = Order::from(0, 1);
        while order.next < 10 {
            let batch = timeout(PATIENCE, lane.next()).await.expect("in time").expect("the source lives");
            assert_eq!(&batch.origin, partition);
            order.check(&batch);
        }
    }
    member.close().await;
}

#[tokio::test]
async fn what_librdkafka_refuses_is_named() {
    let (events, _receiver) = mpsc::channel(1);
    let refused = Consumer::spawn(
        &source(&[("session.timeout.ms", "soon")]),
        "127.0.0.1:1",
        options(1 << 20, 10, 10),
        events,
    );
    match refused {
        Err(Error::Property { key, .. }) => assert_eq!(key, "session.timeout.ms"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_broker_that_is_away_keeps_no_one_from_closing() {
    let (events, _receiver) = mpsc::channel(1);
    let handle =
        Consumer::spawn(&source(&[]), "127.0.0.1:1", options(1 << 20, 10, 10), events).expect("valid");
    handle.send(Command::Close).expect("the source listens");
    let began = Instant::now();
    tokio::task::spawn_blocking(move || handle.join()).await.expect("no panic").expect("an orderly end");
    assert!(began.elapsed() < Duration::from_secs(15));
}
