//! Apache Kafka: one broker in KRaft mode, alone or shared by all tests of the process.
//!
//! Owns: making and starting the broker, topics, groups and producing. Consuming is what is tested, so there is only
//! as much of it here as the tests of this module need.

mod broker;
mod producer;

pub(crate) use producer::{Ending, Message, Producer};

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use tempfile::TempDir;

use super::process::{self, Server, scratch, with_retries};
use super::{PATIENCE, required, unique, until, wait};
use broker::{format_storage, java, write_properties};

/// How long one request to a broker may take.
const REQUEST: Duration = Duration::from_secs(10);

/// A running broker. Dropping it kills the broker and removes its data.
pub(crate) struct Kafka {
    server: Server,
    brokers: String,
    // After the server: it is removed when that has ended.
    folder: TempDir,
}

/// What a group committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) metadata: String,
}

impl Kafka {
    /// The broker that all tests of this process share. Topics and groups are to be [`unique`].
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A broker of one's own, for tests that stop it.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// A broker of one's own with further settings.
    pub(crate) fn start_with(properties: &[(&str, &str)]) -> Self {
        required("kafka", "libs");
        with_retries(|| Self::try_start(properties))
    }

    fn try_start(properties: &[(&str, &str)]) -> Result<Self, String> {
        let folder = scratch("kafka");
        let path = folder.path().to_path_buf();
        let brokers = format!("127.0.0.1:{}", process::free_port());
        let controller = format!("127.0.0.1:{}", process::free_port());
        let file = write_properties(&path, &brokers, &controller, properties);
        let cluster = format_storage(&file)?;

        let launch = move || {
            let mut command = java();
            command.arg("kafka.Kafka").arg(&file).current_dir(&path);
            command
        };
        let address = brokers.clone();
        let ready = move || {
            let client = admin(&address);
            client.inner().fetch_cluster_id(Duration::from_secs(1)).is_some_and(|id| id == cluster)
        };
        let log = folder.path().join("broker.log");
        Ok(Self { server: Server::start("Apache Kafka", log, launch, ready)?, brokers, folder })
    }

    /// The process: to stop it, start it again, or make it hang.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Its address, for `bootstrap.servers`.
    pub(crate) fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Makes a topic with a name of its own.
    pub(crate) fn topic(&self, stem: &str, partitions: i32) -> String {
        let name = unique(stem);
        self.create_topic(&name, partitions, &[]);
        name
    }

    /// Makes a topic and waits until each of its partitions has a leader.
    pub(crate) fn create_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        topic.config.extend_from_slice(config);
        let admin = self.admin();
        let results = wait(admin.create_topics([&topic], &options())).expect("the broker answers");
        for result in results {
            result.unwrap_or_else(|(topic, code)| panic!("topic `{topic}` can't be made: {code}"));
        }
        self.await_partitions(name, partitions);
    }

    /// Deletes a topic and waits until the broker no longer knows it.
    pub(crate) fn delete_topic(&self, name: &str) {
        let admin = self.admin();
        for result in wait(admin.delete_topics(&[name], &options())).expect("the broker answers") {
            result.unwrap_or_else(|(topic, code)| panic!("topic `{topic}` can't be deleted: {code}"));
        }
        assert!(until(PATIENCE, || self.partitions(name) == 0), "topic `{name}` is still there");
    }

    /// Adds partitions to a topic, up to `total`, and waits until they have a leader.
    pub(crate) fn add_partitions(&self, name: &str, total: i32) {
        let admin = self.admin();
        let wanted = NewPartitions::new(name, total.try_into().expect("a count"));
        for result in wait(admin.create_partitions([&wanted], &options())).expect("the broker answers") {
            result.unwrap_or_else(|(topic, code)| panic!("topic `{topic}` can't grow: {code}"));
        }
        self.await_partitions(name, total);
    }

    /// Moves the log's start, as retention does: the records below `before` are gone.
    pub(crate) fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before)).expect("an offset");
        let admin = self.admin();
        let result = wait(admin.delete_records(&list, &options())).expect("the broker answers");
        for element in result.elements() {
            element.error().unwrap_or_else(|error| panic!("records of `{topic}` can't be deleted: {error}"));
        }
    }

    /// Puts an empty log in the place of a partition's, as if its first and next offset were `offset`: as after an
    /// unclean election, or after years. The broker is down meanwhile.
    pub(crate) fn replace_log(&self, topic: &str, partition: i32, offset: u64) {
        let partitions = self.partitions(topic);
        self.server.stop();
        let log = self.folder.path().join("data").join(format!("{topic}-{partition}"));
        for file in std::fs::read_dir(&log).expect("the partition has a folder").flatten() {
            if file.file_name() != "partition.metadata" {
                std::fs::remove_file(file.path()).expect("the broker is down");
            }
        }
        std::fs::write(log.join(format!("{offset:020}.log")), "").expect("the folder can be written");
        self.server.start_again();
        self.await_partitions(topic, partitions);
    }

    /// The log's start and end.
    pub(crate) fn watermarks(&self, topic: &str, partition: i32) -> (i64, i64) {
        self.admin().inner().fetch_watermarks(topic, partition, REQUEST).expect("the broker answers")
    }

    /// What a group committed, for the partitions that it committed at all.
    pub(crate) fn committed(&self, group: &str, topic: &str) -> BTreeMap<i32, Committed> {
        let consumer = self.consumer(group, "read_committed");
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, self.partitions(topic) - 1);
        let list = consumer.committed_offsets(list, REQUEST).expect("the broker answers");
        let known = list.elements().into_iter().filter_map(|element| match element.offset() {
            Offset::Offset(offset) => {
                Some((element.partition(), Committed { offset, metadata: element.metadata().to_owned() }))
            }
            _ => None,
        });
        known.collect()
    }

    /// Commits by hand, as an operator's reset does. The broker refuses that while the group has members, so it waits
    /// for the sessions of those that died.
    pub(crate) fn commit(&self, group: &str, topic: &str, partition: i32, offset: i64) {
        let consumer = self.consumer(group, "read_committed");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("an offset");
        let mut last = Ok(());
        until(PATIENCE, || {
            last = consumer.commit(&list, CommitMode::Sync);
            last.is_ok()
        });
        last.unwrap_or_else(|error| panic!("group `{group}` can't be committed by hand: {error}"));
    }

    /// Deletes a group with all that it committed, once its last member is gone.
    pub(crate) fn delete_group(&self, group: &str) {
        let admin = self.admin();
        let mut last = String::new();
        let deleted = until(PATIENCE, || match wait(admin.delete_groups(&[group], &options())) {
            Ok(results) => results.into_iter().all(|result| match result {
                Ok(_) => true,
                Err((_, code)) => {
                    last = code.to_string();
                    false
                }
            }),
            Err(error) => {
                last = error.to_string();
                false
            }
        });
        assert!(deleted, "group `{group}` can't be deleted: {last}");
    }

    /// How many members a group has. A member that died counts until its session is over.
    pub(crate) fn members(&self, group: &str) -> usize {
        let list = self.admin().inner().fetch_group_list(Some(group), REQUEST).expect("the broker answers");
        list.groups().iter().map(|info| info.members().len()).sum()
    }

    /// A producer without a transaction.
    pub(crate) fn producer(&self) -> Producer {
        self.producer_with(&[])
    }

    /// A producer with further librdkafka properties.
    pub(crate) fn producer_with(&self, properties: &[(&str, &str)]) -> Producer {
        let mut config = self.client();
        config.set("linger.ms", "5").set("enable.idempotence", "true");
        for (key, value) in properties {
            config.set(*key, *value);
        }
        Producer::new(&config)
    }

    /// Produces and waits until all is acknowledged. Answers the offsets, in the order of the messages.
    pub(crate) fn produce(&self, topic: &str, messages: &[Message]) -> Vec<i64> {
        self.producer().send(topic, messages)
    }

    /// Produces [numbered](Message::numbered) records to one partition.
    pub(crate) fn produce_numbered(
        &self,
        topic: &str,
        partition: i32,
        numbers: std::ops::Range<u64>,
        bytes: usize,
    ) {
        let messages: Vec<_> = numbers.map(|number| Message::numbered(partition, number, bytes)).collect();
        self.produce(topic, &messages);
    }

    /// Produces in a transaction of its own and ends it. Aborted records stand in the log all the same, as do the
    /// control records, so offsets have holes after this.
    pub(crate) fn transaction(&self, topic: &str, messages: &[Message], ending: Ending) -> Vec<i64> {
        let producer = self.producer_with(&[("transactional.id", &unique("transaction"))]);
        producer.send_in_transaction(topic, messages, ending)
    }

    /// Each record from the start to the end noted now, with its offset, under an isolation level.
    pub(crate) fn read(&self, topic: &str, partition: i32, isolation: &str) -> Vec<(i64, Message)> {
        let consumer = self.consumer(&unique("reader"), isolation);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
        consumer.assign(&list).expect("the partition can be assigned");
        let mut records = Vec::new();
        loop {
            match consumer.poll(PATIENCE) {
                Some(Ok(record)) => records.push((record.offset(), Message::of(&record))),
                Some(Err(KafkaError::PartitionEOF(_))) => return records,
                Some(Err(error)) => panic!("`{topic}` can't be read: {error}"),
                None => panic!("`{topic}` has neither a record nor an end"),
            }
        }
    }

    /// How many partitions a topic has; 0 when there is no such topic.
    pub(crate) fn partitions(&self, topic: &str) -> i32 {
        let admin = self.admin();
        let metadata = admin.inner().fetch_metadata(Some(topic), REQUEST).expect("the broker answers");
        let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
        let with_leader =
            found.map_or(0, |found| found.partitions().iter().filter(|p| p.leader() >= 0).count());
        with_leader.try_into().expect("a count")
    }

    fn await_partitions(&self, topic: &str, partitions: i32) {
        let there = until(PATIENCE, || self.partitions(topic) == partitions);
        assert!(there, "topic `{topic}` does not get its {partitions} partitions");
    }

    fn client(&self) -> ClientConfig {
        client(&self.brokers)
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        admin(&self.brokers)
    }

    fn consumer(&self, group: &str, isolation: &str) -> BaseConsumer {
        let mut config = self.client();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", isolation);
        config.create().expect("valid properties")
    }
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("client.id", "vanne-tests").set("log_level", "2");
    config
}

fn admin(brokers: &str) -> AdminClient<DefaultClientContext> {
    client(brokers).create().expect("valid properties")
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST))
}
