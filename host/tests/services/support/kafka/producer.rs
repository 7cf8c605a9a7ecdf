//! Producing: records for named partitions, with and without a transaction.

use std::fmt::Write as _;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message as _, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _};

use super::REQUEST;
use crate::support::wait;

/// A record to produce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) partition: i32,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since 1970; none: now.
    pub(crate) timestamp: Option<i64>,
}

impl Message {
    /// A record of this value.
    pub(crate) fn new(partition: i32, value: impl Into<Vec<u8>>) -> Self {
        Self { partition, value: Some(value.into()), ..Self::default() }
    }

    /// A record that [`super::reader`] recognises: `{"p":3,"n":12345,"pad":"…"}`, of about `bytes` bytes.
    pub(crate) fn numbered(partition: i32, number: u64, bytes: usize) -> Self {
        let mut value = format!(r#"{{"p":{partition},"n":{number},"pad":""#);
        let pad = bytes.saturating_sub(value.len() + 2);
        // Not one letter over and over: compression must have some work, and every record another content.
        let mut state = number ^ (u64::from(partition.unsigned_abs()) << 40) ^ 0x9E37_79B9_7F4A_7C15;
        for _ in 0..pad.div_ceil(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            write!(value, "{:08x}", state >> 32).expect("a string takes text");
        }
        value.push_str("\"}");
        Self::new(partition, value)
    }

    /// A record as it was read.
    pub(super) fn of(record: &BorrowedMessage<'_>) -> Self {
        let headers = record.headers().into_iter().flat_map(Headers::iter);
        Self {
            partition: record.partition(),
            key: record.key().map(<[u8]>::to_vec),
            value: record.payload().map(<[u8]>::to_vec),
            headers: headers
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect(),
            timestamp: record.timestamp().to_millis(),
        }
    }

    pub(crate) fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push((name.to_owned(), Some(value.to_vec())));
        self
    }

    pub(crate) fn timestamp(mut self, milliseconds: i64) -> Self {
        self.timestamp = Some(milliseconds);
        self
    }
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Commit,
    Abort,
}

/// Sends records to the partitions they name.
pub(crate) struct Producer {
    inner: FutureProducer,
}

impl Producer {
    pub(super) fn new(config: &ClientConfig) -> Self {
        Self { inner: config.create().expect("valid properties") }
    }

    /// Produces in a transaction and ends it. The producer has a `transactional.id`, for this one transaction.
    pub(super) fn send_in_transaction(&self, topic: &str, messages: &[Message], ending: Ending) -> Vec<i64> {
        self.inner.init_transactions(REQUEST).expect("the coordinator answers");
        self.inner.begin_transaction().expect("a transaction begins");
        let offsets = self.send(topic, messages);
        match ending {
            Ending::Commit => self.inner.commit_transaction(REQUEST).expect("the transaction commits"),
            Ending::Abort => self.inner.abort_transaction(REQUEST).expect("the transaction aborts"),
        }
        offsets
    }

    /// Produces and waits until all is acknowledged. Answers the offsets, in the order of the messages.
    pub(crate) fn send(&self, topic: &str, messages: &[Message]) -> Vec<i64> {
        let deliveries: Vec<_> = messages.iter().map(|message| self.enqueue(topic, message)).collect();
        wait(async move {
            let mut offsets = Vec::with_capacity(deliveries.len());
            for delivery in deliveries {
                let delivered = delivery.await.expect("the producer lives");
                offsets.push(
                    delivered.unwrap_or_else(|(error, _)| panic!("a record is not taken: {error}")).offset,
                );
            }
            offsets
        })
    }

    fn enqueue(&self, topic: &str, message: &Message) -> DeliveryFuture {
        let mut record = FutureRecord::<[u8], [u8]>::to(topic).partition(message.partition);
        record.key = message.key.as_deref();
        record.payload = message.value.as_deref();
        record.timestamp = message.timestamp;
        if !message.headers.is_empty() {
            let headers = message.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header { key, value: value.as_deref() })
            });
            record.headers = Some(headers);
        }
        loop {
            match self.inner.send_result(record) {
                Ok(delivery) => return delivery,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err((error, _)) => panic!("a record can't be sent: {error}"),
            }
        }
    }
}
