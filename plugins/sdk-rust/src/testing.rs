//! Runs a plugin's logic on the machine, through the same translation as in the host: for the author's
//! own tests.
//!
//! ```
//! use vanne_plugin::testing::{Harness, Record, Reply};
//! # use vanne_plugin::{Message, NoConfig, Outcome, Transform};
//! # struct Upper;
//! # impl Transform for Upper {
//! #     type Config = NoConfig;
//! #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Self) }
//! #     fn process<'a>(&'a mut self, message: Message<'a>) -> Outcome<'a> {
//! #         Outcome::replace(message.value().unwrap_or_default().to_ascii_uppercase())
//! #     }
//! # }
//! let plugin = Harness::<Upper>::new("{}")?;
//! assert_eq!(plugin.one(&Record::value("a")), Reply::replaced("A"));
//! # Ok::<(), String>(())
//! ```
//!
//! Invariant: as in the host, what the plan does not read does not reach the plugin; and what a plugin that
//! promises [`PURE`](crate::PURE) replies is the same in both worlds of the contract.

use crate::bindings::columnar::exports::vanne::transform::columnar;
use crate::bindings::vanne::transform::types;
use crate::glue::{self, Slot};
use crate::results;
use crate::writer::{NewRecord, Sizes, Writer};
use crate::{Level, PURE, Plan, Transform};

/// The worlds of the contract, by which records come and go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum World {
    /// `columnar-transform`: one buffer each way. A plugin is of this one unless its
    /// [`export!`](crate::export) says otherwise.
    #[default]
    Columnar,
    /// `transform`: a list of messages, a list of outcomes.
    Transform,
}

/// A plugin that is configured, as one partition of the host has it.
#[derive(Debug)]
pub struct Harness<T> {
    slot: Slot<T>,
    world: World,
    plan: Plan,
    /// Another instance, which gets the same records through the other world.
    other: Option<Slot<T>>,
}

impl<T: Transform> Harness<T> {
    /// Configures the plugin by a JSON text, in the columnar world. If it promises
    /// [`PURE`](crate::PURE), a second instance is asked the same in the other world, and has to reply the
    /// same.
    ///
    /// # Errors
    ///
    /// The text that refuses the configuration.
    pub fn new(config: &str) -> Result<Self, String> {
        let mut harness = Self::in_world(World::Columnar, config)?;
        if harness.plan.traits().iter().any(|name| name == PURE) {
            let other = Slot::new();
            glue::configure(&other, config)?;
            harness.other = Some(other);
        }
        Ok(harness)
    }

    /// Configures the plugin by a JSON text, in that world alone.
    ///
    /// # Errors
    ///
    /// The text that refuses the configuration.
    pub fn in_world(world: World, config: &str) -> Result<Self, String> {
        let slot = Slot::new();
        let plan = Plan::from_contract(glue::configure(&slot, config)?);
        Ok(Self {
            slot,
            world,
            plan,
            other: None,
        })
    }

    /// What the plugin says that it reads and promises.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Passes a batch, from topic `test`, partition 0, offsets from 0.
    ///
    /// # Errors
    ///
    /// What the plugin says of the batch as a whole.
    ///
    /// # Panics
    ///
    /// If a plugin that promises [`PURE`](crate::PURE) replies otherwise in the other world: this is for
    /// tests.
    pub fn batch(&self, records: &[Record]) -> Result<Vec<Reply>, BatchReply> {
        let replies = self.ask(&self.slot, self.world, records);
        if let Some(other) = &self.other {
            let log = take_log();
            let others = self.ask(other, World::Transform, records);
            assert_eq!(others, replies, "both worlds say the same");
            // The lines of one of the two are enough.
            put_log(log);
        }
        replies
    }

    fn ask(
        &self,
        slot: &Slot<T>,
        world: World,
        records: &[Record],
    ) -> Result<Vec<Reply>, BatchReply> {
        let info = types::BatchInfo {
            topic: "test".to_owned(),
            partition: 0,
        };
        let messages = (0..)
            .zip(records)
            .map(|(at, record)| self.message(at, record))
            .collect::<Vec<_>>();
        let outcomes = match world {
            World::Transform => glue::process(slot, &info, &messages),
            World::Columnar => glue::process_columns(slot, &info, &columns(&messages))
                .map(|results| results::outcomes(&results)),
        };
        let outcomes = outcomes.map_err(BatchReply::from)?;
        Ok(outcomes.into_iter().map(Reply::from).collect())
    }

    /// Passes a batch of one record.
    ///
    /// # Panics
    ///
    /// If the plugin fails the batch, or gives no outcome: this is for tests.
    #[must_use]
    pub fn one(&self, record: &Record) -> Reply {
        let replies = self.batch(std::slice::from_ref(record));
        match replies.as_deref() {
            Ok([reply]) => reply.clone(),
            _ => panic!("one outcome was expected for one record, and not {replies:?}"),
        }
    }

    fn message(&self, offset: u64, record: &Record) -> types::Message {
        let Record {
            key,
            value,
            headers,
            attempt,
        } = record.clone();
        let header = |(name, value)| types::Header { name, value };
        types::Message {
            key: key.filter(|_| self.plan.reads_key()),
            value: value.filter(|_| self.plan.reads_value()),
            headers: match self.plan.reads_headers() {
                true => headers.into_iter().map(header).collect(),
                false => Vec::new(),
            },
            timestamp_ms: -1,
            offset,
            index: 0,
            attempt,
            routes: Vec::new(),
            partition_keys: Vec::new(),
        }
    }
}

/// The messages in one buffer. Batches and results have the same columns, so that what writes the one
/// writes the other.
fn columns(messages: &[types::Message]) -> columnar::Batch {
    let mut writer = Writer::new(0, Sizes::NONE);
    writer.emit(messages.iter().map(|message| NewRecord {
        key: message.key.as_deref(),
        value: message.value.as_deref(),
        headers: &message.headers,
        timestamp_ms: None,
        routes: &message.routes,
        partition_keys: &message.partition_keys,
    }));
    let columns = writer.finish();
    columnar::Batch {
        data: columns.data,
        bounds: columns.bounds,
        present: columns.present,
        timestamps_ms: messages
            .iter()
            .map(|message| message.timestamp_ms)
            .collect(),
        offsets: messages.iter().map(|message| message.offset).collect(),
        indexes: messages.iter().map(|message| message.index).collect(),
        attempts: messages.iter().map(|message| message.attempt).collect(),
        labels: columns.labels,
        label_bounds: columns.label_bounds,
    }
}

/// A record to pass, or one that was emitted (of which routes and the like are not shown).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// How many times it was already postponed.
    pub attempt: u32,
}

impl Record {
    /// A record of this value and nothing else.
    #[must_use]
    pub fn value(value: impl AsRef<[u8]>) -> Self {
        Self {
            value: Some(value.as_ref().to_vec()),
            ..Self::default()
        }
    }

    /// A record without a value.
    #[must_use]
    pub fn tombstone() -> Self {
        Self::default()
    }
}

/// What the host got for one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Unchanged.
    Forward,
    /// Unchanged, with these additions.
    Annotate(Added),
    /// A new value.
    Replace(Option<Vec<u8>>, Added),
    /// Whole records instead; then the code and detail of each that could not be made.
    Emit(Vec<Record>, Vec<(String, String)>),
    /// Filtered out.
    Drop,
    /// To the dead letters: code and detail.
    Fail(String, String),
    /// Again later: code, reason, milliseconds.
    Retry(String, String, Option<u32>),
}

impl Reply {
    /// A new value and nothing added.
    #[must_use]
    pub fn replaced(value: impl AsRef<[u8]>) -> Self {
        Self::Replace(Some(value.as_ref().to_vec()), Added::default())
    }
}

/// What an annotation adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Added {
    /// Names of sinks.
    pub routes: Vec<String>,
    /// Names and values.
    pub partition_keys: Vec<(String, String)>,
    /// Names and values.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// What the host got for a batch as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchReply {
    /// Again later: code, reason, milliseconds.
    Retry(String, String, Option<u32>),
    /// No call can succeed.
    Fatal(String),
}

/// The lines that plugins logged on this thread since the last call.
#[must_use]
pub fn take_log() -> Vec<(Level, String)> {
    #[cfg(not(target_family = "wasm"))]
    return crate::sys::host::take_lines();
    #[cfg(target_family = "wasm")]
    Vec::new()
}

fn put_log(lines: Vec<(Level, String)>) {
    #[cfg(not(target_family = "wasm"))]
    crate::sys::host::put_lines(lines);
    #[cfg(target_family = "wasm")]
    drop(lines);
}

/// Lets [`crate::context`] answer on this thread. In a component the host answers, and this does nothing.
pub fn set_context(name: &str, value: &str) {
    #[cfg(not(target_family = "wasm"))]
    crate::sys::host::set_fact(name, value);
    #[cfg(target_family = "wasm")]
    let _ = (name, value);
}

impl From<types::Outcome> for Reply {
    fn from(outcome: types::Outcome) -> Self {
        match outcome {
            types::Outcome::Forward => Self::Forward,
            types::Outcome::Annotate(annotation) => Self::Annotate(annotation.into()),
            types::Outcome::Replace(types::Replacement { value, annotation }) => {
                Self::Replace(value, annotation.map(Added::from).unwrap_or_default())
            }
            types::Outcome::Emit(types::Emission { outputs, failures }) => Self::Emit(
                outputs.into_iter().map(Record::from).collect(),
                failures
                    .into_iter()
                    .map(|part| (part.failure.code, part.failure.detail))
                    .collect(),
            ),
            types::Outcome::Drop => Self::Drop,
            types::Outcome::Fail(failure) => Self::Fail(failure.code, failure.detail),
            types::Outcome::Retry(wish) => Self::Retry(wish.code, wish.reason, wish.after_ms),
        }
    }
}

impl From<types::Output> for Record {
    fn from(output: types::Output) -> Self {
        let headers = output
            .headers
            .into_iter()
            .map(|header| (header.name, header.value))
            .collect();
        Self {
            key: output.key,
            value: output.value,
            headers,
            attempt: 0,
        }
    }
}

impl From<types::Annotation> for Added {
    fn from(annotation: types::Annotation) -> Self {
        let keys = annotation.partition_keys.into_iter();
        let headers = annotation.headers.into_iter();
        Self {
            routes: annotation.routes,
            partition_keys: keys.map(|key| (key.name, key.value)).collect(),
            headers: headers.map(|header| (header.name, header.value)).collect(),
        }
    }
}

impl From<types::BatchError> for BatchReply {
    fn from(error: types::BatchError) -> Self {
        match error {
            types::BatchError::Retry(wish) => Self::Retry(wish.code, wish.reason, wish.after_ms),
            types::BatchError::Fatal(text) => Self::Fatal(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Annotation, Batch, BatchError, Message, NoConfig, Outcome, Outcomes, Postponement,
    };

    /// Answers from a buffer of its own, and sees only keys.
    struct Counter(Vec<u8>);

    impl Transform for Counter {
        type Config = NoConfig;

        fn configure(_: NoConfig) -> Result<Self, String> {
            Ok(Self(Vec::new()))
        }

        fn plan(&self) -> Plan {
            Plan::reading_nothing().key()
        }

        fn process<'a>(&'a mut self, message: Message<'a>) -> Outcome<'a> {
            crate::info!("offset {}", message.offset());
            self.0.push(b'x');
            match (message.key(), message.value()) {
                (_, Some(_)) => Outcome::fail("Seen", "a value that the plan does not read"),
                (Some(b"note"), _) => Outcome::annotate(Annotation::new().header("h", "v")),
                (Some(key), _) => Outcome::replace(key),
                (None, _) => Outcome::replace(&self.0),
            }
        }
    }

    #[test]
    fn outcomes_may_borrow_from_the_plugin_and_from_the_message() {
        for world in [World::Columnar, World::Transform] {
            outcomes_may_borrow(&Harness::in_world(world, "").unwrap());
        }
    }

    fn outcomes_may_borrow(plugin: &Harness<Counter>) {
        let keyed = |key: &str| Record {
            key: Some(key.into()),
            ..Record::value("hidden")
        };
        let replies = plugin.batch(&[
            Record::value("hidden"),
            keyed("k"),
            keyed("note"),
            Record::tombstone(),
        ]);
        let added = Added {
            headers: vec![("h".into(), Some(b"v".to_vec()))],
            ..Added::default()
        };
        let expected = [
            Reply::replaced("x"),
            Reply::replaced("k"),
            Reply::Annotate(added),
            Reply::replaced("xxxx"),
        ];
        assert_eq!(replies.unwrap(), expected);
        assert_eq!(take_log().len(), 4);
        assert_eq!(take_log(), []);
    }

    /// Never has the time.
    struct Busy;

    impl Transform for Busy {
        type Config = NoConfig;

        fn configure(_: NoConfig) -> Result<Self, String> {
            crate::context("open")
                .map(|_| Self)
                .ok_or_else(|| "closed".to_owned())
        }

        fn process(&mut self, _: Message<'_>) -> Outcome<'_> {
            Outcome::forward()
        }

        fn process_batch(&mut self, _: Batch<'_>, _: &mut Outcomes) -> Result<(), BatchError> {
            Err(BatchError::Retry(Postponement::new("Busy", "later")))
        }
    }

    #[test]
    fn a_batch_can_fail_as_a_whole_and_a_context_can_be_set() {
        assert_eq!(
            Harness::<Busy>::new("{}").map(|_| ()).unwrap_err(),
            "closed"
        );
        set_context("open", "yes");
        let plugin = Harness::<Busy>::new("{}").unwrap();
        let reply = plugin.batch(&[Record::value("a")]).unwrap_err();
        assert_eq!(
            reply,
            BatchReply::Retry("Busy".into(), "later".into(), None)
        );
    }

    #[test]
    fn nothing_is_processed_after_a_refused_configuration() {
        let slot = Slot::<Counter>::new();
        assert!(glue::configure(&slot, "{}").is_ok());
        assert!(glue::configure(&slot, r#"{"x": 1}"#).is_err());
        let info = types::BatchInfo {
            topic: "t".into(),
            partition: 0,
        };
        assert!(matches!(
            glue::process(&slot, &info, &[]),
            Err(types::BatchError::Fatal(_))
        ));
    }
}
