//! The one module that speaks to librdkafka without rdkafka's wrappers.
//!
//! Owns raw polling of the consumer's queue (rdkafka's own poll drops topic and offset of a partition's
//! end, and allocates for each record), the wake-up of that poll, topic ids, and one setting of the mock
//! cluster. Invariant: what borrows from an event can't outlive it, and no queue outlives its client.
#![allow(unsafe_code)] // librdkafka is a C library; each block says why it holds

use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka_sys as sys;

/// Where an event points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// Negative where the event has none.
    pub(super) offset: i64,
    pub(super) error: Option<RDKafkaErrorCode>,
}

/// What a poll brought, but for records, which are borrowed: see [`Event::message`].
#[derive(Debug)]
pub(super) enum Kind {
    Message,
    Error { code: RDKafkaErrorCode, reason: String, fatal: bool, place: Option<Place> },
    Assigned(Vec<Place>),
    Revoked(Vec<Place>),
    Committed { result: Option<RDKafkaErrorCode>, places: Vec<Place> },
    Log { level: i32, facility: String, message: String },
    Other,
}

/// A queue reference that is given back once.
struct Queue(NonNull<sys::rd_kafka_queue_t>);

// SAFETY: librdkafka's queues are reference-counted and guarded by their own lock; every function called
// on them here is documented as thread-safe.
unsafe impl Send for Queue {}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the reference was taken by whoever made this value and is given back only here.
        unsafe { sys::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

/// Ends a poll that waits, from any thread.
#[derive(Clone)]
pub(super) struct Waker(Arc<Mutex<Option<Queue>>>);

impl Waker {
    pub(super) fn wake(&self) {
        let queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queue.as_ref() {
            // SAFETY: the reference is held under the lock, so that the queue is alive.
            unsafe { sys::rd_kafka_queue_yield(queue.0.as_ptr()) }
        }
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Waker")
    }
}

/// A consumer whose queue is polled here and nowhere else.
pub(super) struct Poller<C: ConsumerContext> {
    // Dropped in this order: no queue may outlive the client.
    queue: Queue,
    waker: Waker,
    consumer: BaseConsumer<C>,
}

impl<C: ConsumerContext> Drop for Poller<C> {
    fn drop(&mut self) {
        *self.waker.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl<C: ConsumerContext> Poller<C> {
    /// Takes over a consumer; `None` where it has no queue (no `group.id`).
    pub(super) fn new(consumer: BaseConsumer<C>) -> Option<Self> {
        let queue = consumer_queue(&consumer)?;
        let waker = Waker(Arc::new(Mutex::new(consumer_queue(&consumer))));
        Some(Self { queue, waker, consumer })
    }

    pub(super) fn consumer(&self) -> &BaseConsumer<C> {
        &self.consumer
    }

    pub(super) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// The next event, or `None` when none came in time or the poll was woken.
    pub(super) fn poll(&self, timeout: Duration) -> Option<Event<'_>> {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive; the event returned is owned by us and destroyed by `Event`.
        NonNull::new(unsafe { sys::rd_kafka_queue_poll(self.queue.0.as_ptr(), timeout_ms) })
            .map(|event| Event(event, PhantomData))
    }
}

fn consumer_queue<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<Queue> {
    // SAFETY: the client is alive, and the call returns a reference of our own or null.
    NonNull::new(unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) }).map(Queue)
}

/// Sends offsets to the group; the answer comes as [`Kind::Committed`]. rdkafka's asynchronous commit has
/// no answer at all where events are polled.
pub(super) fn commit<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    offsets: &TopicPartitionList,
) -> Result<(), RDKafkaErrorCode> {
    let queue = consumer_queue(consumer).ok_or(RDKafkaErrorCode::UnknownGroup)?;
    // SAFETY: client, list and queue are alive; the list is copied, and the request takes a reference of
    // its own to the queue. With a queue and without a callback, the answer is an event of that queue.
    let code = RDKafkaErrorCode::from(unsafe {
        sys::rd_kafka_commit_queue(
            consumer.client().native_ptr(),
            offsets.ptr(),
            queue.0.as_ptr(),
            None,
            ptr::null_mut(),
        )
    });
    if code == RDKafkaErrorCode::NoError { Ok(()) } else { Err(code) }
}

/// One event of a queue, which lives no longer than the queue's client.
pub(super) struct Event<'c>(NonNull<sys::rd_kafka_event_t>, PhantomData<&'c ()>);

impl Drop for Event<'_> {
    fn drop(&mut self) {
        // SAFETY: the event is ours, and nothing that borrows from it is left.
        unsafe { sys::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

impl Event<'_> {
    /// The record of a fetch event, once.
    pub(super) fn message(&mut self) -> Option<Message<'_>> {
        // SAFETY: the event is alive; a fetch event gives its one message, any other event none.
        let message = unsafe { sys::rd_kafka_event_message_next(self.0.as_ptr()) };
        // SAFETY: the message belongs to the event, which the returned value borrows.
        let message = unsafe { message.as_ref() }?;
        (message.err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then_some(Message(message))
    }

    pub(super) fn is_message(&self) -> bool {
        // SAFETY: the event is alive.
        unsafe { sys::rd_kafka_event_type(self.0.as_ptr()) == sys::RD_KAFKA_EVENT_FETCH }
    }

    /// What happened.
    pub(super) fn kind(&self) -> Kind {
        // SAFETY: the event is alive.
        match unsafe { sys::rd_kafka_event_type(self.0.as_ptr()) } {
            sys::RD_KAFKA_EVENT_FETCH => Kind::Message,
            sys::RD_KAFKA_EVENT_ERROR => self.error_kind(),
            sys::RD_KAFKA_EVENT_REBALANCE => match self.code() {
                RDKafkaErrorCode::AssignPartitions => Kind::Assigned(self.places()),
                RDKafkaErrorCode::RevokePartitions => Kind::Revoked(self.places()),
                _ => Kind::Other,
            },
            sys::RD_KAFKA_EVENT_OFFSET_COMMIT => {
                let code = self.code();
                let failed = code != RDKafkaErrorCode::NoError;
                Kind::Committed { result: failed.then_some(code), places: self.places() }
            }
            sys::RD_KAFKA_EVENT_LOG => self.log_kind(),
            _ => Kind::Other,
        }
    }

    fn code(&self) -> RDKafkaErrorCode {
        // SAFETY: the event is alive.
        unsafe { sys::rd_kafka_event_error(self.0.as_ptr()) }.into()
    }

    fn error_kind(&self) -> Kind {
        // SAFETY: this is an error event, so that its text and flag may be read; the text lives as long
        // as the event and is copied. The place is ours to destroy.
        unsafe {
            let reason = text(sys::rd_kafka_event_error_string(self.0.as_ptr()));
            let fatal = sys::rd_kafka_event_error_is_fatal(self.0.as_ptr()) != 0;
            let raw = sys::rd_kafka_event_topic_partition(self.0.as_ptr());
            let place = raw.as_ref().map(|raw| place(raw));
            if !raw.is_null() {
                sys::rd_kafka_topic_partition_destroy(raw);
            }
            Kind::Error { code: self.code(), reason, fatal, place }
        }
    }

    fn places(&self) -> Vec<Place> {
        // SAFETY: the list belongs to the event and is only read; `cnt` elements stand at `elems`.
        unsafe {
            let Some(list) = sys::rd_kafka_event_topic_partition_list(self.0.as_ptr()).as_ref() else {
                return Vec::new();
            };
            let count = usize::try_from(list.cnt).unwrap_or(0);
            if count == 0 || list.elems.is_null() {
                return Vec::new();
            }
            std::slice::from_raw_parts(list.elems, count).iter().map(|raw| place(raw)).collect()
        }
    }

    fn log_kind(&self) -> Kind {
        let (mut facility, mut message, mut level) = (ptr::null(), ptr::null(), 0);
        // SAFETY: this is a log event; the texts live as long as it does and are copied.
        unsafe {
            sys::rd_kafka_event_log(self.0.as_ptr(), &mut facility, &mut message, &mut level);
            Kind::Log { level, facility: text(facility), message: text(message) }
        }
    }
}

/// SAFETY: `raw` must be a valid text that ends with a zero byte, or null.
unsafe fn text(raw: *const c_char) -> String {
    if raw.is_null() {
        return String::new();
    }
    // SAFETY: by contract.
    unsafe { CStr::from_ptr(raw) }.to_string_lossy().trim().to_owned()
}

/// SAFETY: `raw` must come from librdkafka, with a valid topic.
unsafe fn place(raw: &sys::rd_kafka_topic_partition_t) -> Place {
    let code = RDKafkaErrorCode::from(raw.err);
    Place {
        // SAFETY: by contract.
        topic: unsafe { text(raw.topic) },
        partition: raw.partition,
        offset: raw.offset,
        error: (code != RDKafkaErrorCode::NoError).then_some(code),
    }
}

/// A record as librdkafka holds it.
#[derive(Clone, Copy)]
pub(super) struct Message<'e>(&'e sys::rd_kafka_message_t);

impl<'e> Message<'e> {
    pub(super) fn topic(&self) -> &'e [u8] {
        // SAFETY: a fetched message keeps its topic alive, and the name lives with the topic.
        unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(self.0.rkt)) }.to_bytes()
    }

    pub(super) fn partition(&self) -> i32 {
        self.0.partition
    }

    pub(super) fn offset(&self) -> i64 {
        self.0.offset
    }

    pub(super) fn key(&self) -> Option<&'e [u8]> {
        // SAFETY: librdkafka gives the length that goes with the pointer; both live with the event.
        unsafe { bytes(self.0.key, self.0.key_len) }
    }

    pub(super) fn value(&self) -> Option<&'e [u8]> {
        // SAFETY: as for the key.
        unsafe { bytes(self.0.payload, self.0.len) }
    }

    /// Milliseconds since 1970 UTC, -1 where there is none.
    pub(super) fn timestamp_ms(&self) -> i64 {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive.
        let timestamp = unsafe { sys::rd_kafka_message_timestamp(self.0, &mut kind) };
        match kind {
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => -1,
            _ => timestamp,
        }
    }

    pub(super) fn headers(&self) -> HeaderIter<'e> {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is alive; the headers, where there are any, live as long as it does.
        let answer = unsafe { sys::rd_kafka_message_headers(self.0, &mut headers) };
        let found = answer == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        let headers = if found { headers } else { ptr::null_mut() };
        HeaderIter { headers, next: 0, message: PhantomData }
    }
}

/// SAFETY: `data` must be null or have `length` bytes that live for `'e`.
unsafe fn bytes<'e>(data: *const std::ffi::c_void, length: usize) -> Option<&'e [u8]> {
    // SAFETY: by contract.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data.cast(), length) })
}

/// The headers of a record in order.
#[derive(Clone)]
pub(super) struct HeaderIter<'e> {
    headers: *mut sys::rd_kafka_headers_t,
    next: usize,
    message: PhantomData<Message<'e>>,
}

impl<'e> Iterator for HeaderIter<'e> {
    type Item = (&'e [u8], Option<&'e [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.headers.is_null() {
            return None;
        }
        let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the headers live with the message; librdkafka fills the three on success, and the name
        // ends with a zero byte.
        unsafe {
            let answer =
                sys::rd_kafka_header_get_all(self.headers, self.next, &mut name, &mut value, &mut length);
            if answer != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
                return None;
            }
            self.next += 1;
            Some((CStr::from_ptr(name).to_bytes(), bytes(value, length)))
        }
    }
}

/// Why there is no topic id: librdkafka's code and words.
pub(super) type NoTopicId = (RDKafkaErrorCode, String);

/// The id of a topic as Kafka prints it (URL-safe base64 of 16 bytes); zero ids come as `None`.
pub(super) fn topic_id<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Option<String>, NoTopicId> {
    let name = CString::new(topic)
        .map_err(|_| (RDKafkaErrorCode::InvalidTopic, String::from("a zero byte in the name")))?;
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let event = describe(consumer, &name, timeout_ms)?;
    let code = event.code();
    if code != RDKafkaErrorCode::NoError {
        // SAFETY: the event is alive and has a text for its error.
        let reason = unsafe { text(sys::rd_kafka_event_error_string(event.0.as_ptr())) };
        return Err((code, reason));
    }
    read_topic_id(&event)
}

fn describe<'c, C: ConsumerContext>(
    consumer: &'c BaseConsumer<C>,
    name: &CStr,
    timeout_ms: i32,
) -> Result<Event<'c>, NoTopicId> {
    let client = consumer.client().native_ptr();
    let mut names = [name.as_ptr()];
    // SAFETY: the client is alive for the caller; collection, options and queue are made and given back
    // here; the names are copied by the collection; the queue is polled for the one answer and destroyed
    // after it (a late answer to a destroyed queue is dropped by librdkafka).
    unsafe {
        let collection = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1);
        let options = sys::rd_kafka_AdminOptions_new(
            client,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        sys::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, ptr::null_mut(), 0);
        let queue = sys::rd_kafka_queue_new(client);
        sys::rd_kafka_DescribeTopics(client, collection, options, queue);
        let event = NonNull::new(sys::rd_kafka_queue_poll(queue, timeout_ms.saturating_add(1000)));
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_TopicCollection_destroy(collection);
        event
            .map(|event| Event(event, PhantomData))
            .ok_or((RDKafkaErrorCode::OperationTimedOut, String::from("no answer in time")))
    }
}

fn read_topic_id(event: &Event<'_>) -> Result<Option<String>, NoTopicId> {
    // SAFETY: result, descriptions, their error and id all live with the event and are only read.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event.0.as_ptr());
        let mut count = 0;
        let descriptions = if result.is_null() {
            ptr::null_mut()
        } else {
            sys::rd_kafka_DescribeTopics_result_topics(result, &mut count)
        };
        if descriptions.is_null() || count == 0 {
            return Err((RDKafkaErrorCode::Fail, String::from("an answer without topics")));
        }
        let description = *descriptions;
        let error = sys::rd_kafka_TopicDescription_error(description);
        let code = RDKafkaErrorCode::from(sys::rd_kafka_error_code(error));
        if code != RDKafkaErrorCode::NoError {
            return Err((code, text(sys::rd_kafka_error_string(error))));
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(description);
        if id.is_null() {
            return Ok(None);
        }
        let most = sys::rd_kafka_Uuid_most_significant_bits(id);
        let least = sys::rd_kafka_Uuid_least_significant_bits(id);
        Ok(print_topic_id(most, least))
    }
}

fn print_topic_id(most: i64, least: i64) -> Option<String> {
    if most == 0 && least == 0 {
        return None;
    }
    let mut id = [0; 16];
    id[..8].copy_from_slice(&most.to_be_bytes());
    id[8..].copy_from_slice(&least.to_be_bytes());
    Some(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(id))
}

/// Sets how long the mock cluster in a producer (`test.mock.num.brokers`) waits for further members
/// before a group's first assignment; 3 s if not set.
pub(super) fn set_group_delay(producer: &BaseProducer, delay: Duration) {
    let delay_ms = i32::try_from(delay.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client is alive and owns its mock cluster, if it has one; the setting takes a lock.
    unsafe {
        let cluster = sys::rd_kafka_handle_mock_cluster(producer.client().native_ptr());
        if !cluster.is_null() {
            sys::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, delay_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_ids_are_printed_as_kafka_prints_them() {
        assert_eq!(print_topic_id(0, 0), None);
        // Kafka's `Uuid.METADATA_TOPIC_ID` is `AAAAAAAAAAAAAAAAAAAAAQ`.
        assert_eq!(print_topic_id(0, 1).as_deref(), Some("AAAAAAAAAAAAAAAAAAAAAQ"));
        assert_eq!(print_topic_id(-1, -1).as_deref(), Some("_____________________w"));
    }
}
