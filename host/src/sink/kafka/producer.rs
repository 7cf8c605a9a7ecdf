//! The producer of a topic: sends, and waits until it is known that all is there.
//!
//! Owns the client and trying again. Invariant: [`Topic::produce`] returns only when each message is
//! acknowledged by all replicas in sync, or was refused in its shortest form; a broker that is away, or
//! refuses for now, is waited for. May be dropped at any await: then what was handed to the client may
//! still arrive.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryFuture, FutureProducer, Producer};

use super::message::Form;
use super::{Error, Message, properties};
use crate::clock::Random;
use crate::config::Source;
use crate::retry::Backoff;

/// How long to wait for room in the client's queue, before it is looked at again.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(50);

type Client = FutureProducer<Context>;

/// What became of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Produced {
    /// Messages that are in the topic, shortened ones included.
    pub sent: u64,
    /// Messages that are there without their value, or more.
    pub shortened: u64,
    /// Messages that the topic does not even take bare.
    pub refused: u64,
}

/// A topic to write to. Making one asks the cluster nothing.
pub struct Topic {
    name: String,
    config: ClientConfig,
    client: Mutex<Client>,
    trouble: Trouble,
    random: Random,
}

impl std::fmt::Debug for Topic {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Topic").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Topic {
    /// A topic of the source's cluster.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn open(source: &Source, brokers: &str, name: &str, random: Random) -> Result<Self, Error> {
        let config = properties::for_producer(source, brokers);
        let trouble = Trouble::default();
        let client = Mutex::new(client(&config, &trouble)?);
        Ok(Self { name: name.to_owned(), config, client, trouble, random })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the client last said to be wrong.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Writes messages in order. After failures of single ones a later message may stand before an
    /// earlier one, or the same one twice.
    pub async fn produce(&self, messages: &[Message]) -> Produced {
        let mut produced = Produced::default();
        let mut failed = Vec::new();
        let mut deliveries = Vec::with_capacity(messages.len());
        for message in messages {
            deliveries.push(self.enqueue(message, Form::Whole).await);
        }
        for (message, delivery) in messages.iter().zip(deliveries) {
            match acknowledged(delivery).await {
                Ok(()) => produced.sent += 1,
                Err(error) => {
                    self.note(&error);
                    failed.push(message);
                }
            }
        }
        // A broker refuses a batch as a whole, so each is tried alone before it is called too large.
        for message in failed {
            match self.produce_alone(message).await {
                Some(form) => {
                    produced.sent += 1;
                    produced.shortened += u64::from(form != Form::Whole);
                }
                None => produced.refused += 1,
            }
        }
        if produced.sent > 0 {
            *self.trouble.lock() = None;
        }
        produced
    }

    /// Writes one message, as long as it takes; how much of it is there, or `None` where it is too large
    /// in any form.
    async fn produce_alone(&self, message: &Message) -> Option<Form> {
        let mut form = Form::Whole;
        let mut backoff = Backoff::for_services();
        loop {
            let delivery = self.enqueue(message, form).await;
            let error = match acknowledged(delivery).await {
                Ok(()) => return Some(form),
                Err(error) => error,
            };
            if is_too_large(&error) {
                form = form.shorter()?;
                continue;
            }
            self.note(&error);
            self.renew_if_fatal();
            tokio::time::sleep(backoff.next_wait(&self.random)).await;
        }
    }

    /// Hands a message to the client; waits for room in its queue.
    async fn enqueue(&self, message: &Message, form: Form) -> Result<DeliveryFuture, KafkaError> {
        loop {
            let client = self.client().clone();
            match client.send_result(message.record(&self.name, form)) {
                Ok(delivery) => return Ok(delivery),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {}
                Err((error, _)) => return Err(error),
            }
            tokio::time::sleep(QUEUE_FULL_WAIT).await;
        }
    }

    fn client(&self) -> MutexGuard<'_, Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, error: &KafkaError) {
        *self.trouble.lock() = Some(error.to_string());
    }

    /// An idempotent producer that lost its way never sends again: takes a new one.
    fn renew_if_fatal(&self) {
        let mut current = self.client();
        let Some((code, reason)) = current.client().fatal_error() else { return };
        tracing::warn!(topic = self.name, %code, reason, "the producer can't go on; a new one takes its place");
        match client(&self.config, &self.trouble) {
            Ok(new) => *current = new,
            Err(error) => *self.trouble.lock() = Some(error.to_string()),
        }
    }
}

fn client(config: &ClientConfig, trouble: &Trouble) -> Result<Client, Error> {
    FutureProducer::from_config_and_context(config, Context(trouble.clone())).map_err(Error::create)
}

async fn acknowledged(delivery: Result<DeliveryFuture, KafkaError>) -> Result<(), KafkaError> {
    match delivery?.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err((error, _))) => Err(error),
        // Its client was replaced.
        Err(_) => Err(KafkaError::Canceled),
    }
}

/// Whether no number of tries would help a message of this length.
fn is_too_large(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(code, Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge))
}

/// What is wrong at the moment, for whoever waits.
#[derive(Clone, Debug, Default)]
struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes librdkafka's words into our log. Lost connections come again and again while a broker is away:
/// whoever waits says what is wrong, at its own pace.
#[derive(Debug)]
struct Context(Trouble);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka producer error");
        *self.0.lock() = Some(reason.to_owned());
    }
}

#[cfg(test)]
mod tests {

    use bytes::Bytes;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;

    type Cluster = MockCluster<'static, DefaultProducerContext>;

    fn topic() -> (Cluster, Topic) {
        let cluster = MockCluster::new(1).expect("a free port");
        cluster.create_topic("dead", 1, 1).expect("new");
        let brokers = cluster.bootstrap_servers();
        let source = Source::for_tests("t", &[]);
        let topic = Topic::open(&source, &brokers, "dead", Random::seeded(1)).expect("valid");
        (cluster, topic)
    }

    fn messages(count: usize) -> Vec<Message> {
        let value = |number: usize| Some(Bytes::from(format!("value {number}")));
        (0..count).map(|number| Message { value: value(number), ..Message::default() }).collect()
    }

    fn fail_next(cluster: &Cluster, error: RDKafkaRespErr, times: usize) {
        cluster.request_errors(RDKafkaApiKey::Produce, &vec![error; times]);
    }

    #[tokio::test]
    async fn everything_is_acknowledged_once() {
        let (_cluster, topic) = topic();
        let produced = topic.produce(&messages(500)).await;
        assert_eq!(produced, Produced { sent: 500, ..Produced::default() });
        assert_eq!(topic.trouble(), None);
        assert_eq!(topic.produce(&[]).await, Produced::default());
    }

    #[tokio::test]
    async fn what_is_too_large_gets_shorter_and_is_refused_in_the_end_and_blocks_nothing() {
        // The first try is one among others, the second is alone.
        for (refusals, expected) in [
            (1, Produced { sent: 1, shortened: 0, refused: 0 }),
            (2, Produced { sent: 1, shortened: 1, refused: 0 }),
            (3, Produced { sent: 1, shortened: 1, refused: 0 }),
            (4, Produced { sent: 0, shortened: 0, refused: 1 }),
        ] {
            let (cluster, topic) = topic();
            fail_next(&cluster, RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, refusals);
            assert_eq!(topic.produce(&messages(1)).await, expected, "{refusals} refusals");
            assert_eq!(topic.produce(&messages(3)).await.sent, 3, "the next ones go on");
        }
    }

    #[tokio::test]
    async fn a_message_that_no_client_would_send_is_shortened_without_the_broker() {
        let (_cluster, topic) = topic();
        let mut messages = messages(3);
        messages[1].value = Some(Bytes::from(vec![0; 65 << 20]));
        let produced = topic.produce(&messages).await;
        assert_eq!(produced, Produced { sent: 3, shortened: 1, refused: 0 });
    }

    #[tokio::test]
    async fn a_broker_that_refuses_for_now_is_waited_for_and_what_it_said_is_known() {
        let (cluster, topic) = topic();
        fail_next(&cluster, RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 2);
        let messages = messages(1);
        let mut producing = std::pin::pin!(topic.produce(&messages));
        let mut said = None;
        let produced = loop {
            tokio::select! {
                produced = &mut producing => break produced,
                () = tokio::time::sleep(Duration::from_millis(10)) => said = topic.trouble().or(said),
            }
        };
        assert_eq!(produced, Produced { sent: 1, ..Produced::default() });
        assert!(said.is_some_and(|said| said.to_lowercase().contains("authorization")));
        assert_eq!(topic.trouble(), None, "it is over");
    }
}
