//! What becomes of a message: outcomes that may borrow, and the list that takes them.
//!
//! Invariant: what an outcome borrows is copied once, when it is pushed. What it owns is moved where the
//! contract takes buffers of their own, and copied where it takes one for all.

use std::borrow::Cow;
use std::time::Duration;

use crate::bindings::columnar::exports::vanne::transform::columnar;
use crate::bindings::vanne::transform::types;
use crate::writer::{NewRecord, Sizes, Writer};

/// What becomes of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an outcome that is not returned decides nothing"]
pub struct Outcome<'a>(Kind<'a>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind<'a> {
    Forward,
    Annotate(Annotation),
    Replace(Option<Cow<'a, [u8]>>, Option<Annotation>),
    Emit(Emission<'a>),
    Drop,
    Fail(Failure),
    Retry(Postponement),
}

impl<'a> Outcome<'a> {
    /// It goes on unchanged. Nothing is copied back to the host.
    pub fn forward() -> Self {
        Self(Kind::Forward)
    }

    /// It goes on unchanged but for routes, partition keys and further headers.
    pub fn annotate(annotation: Annotation) -> Self {
        Self(Kind::Annotate(annotation))
    }

    /// It goes on with a new value; key, headers and timestamp stay. The value is copied once, so that
    /// one from a buffer that the plugin uses again is the cheapest.
    pub fn replace(value: impl Into<Cow<'a, [u8]>>) -> Self {
        Self(Kind::Replace(Some(value.into()), None))
    }

    /// It goes on with a new value, and an annotation besides.
    pub fn replace_annotated(value: impl Into<Cow<'a, [u8]>>, annotation: Annotation) -> Self {
        Self(Kind::Replace(Some(value.into()), Some(annotation)))
    }

    /// It goes on without a value: a tombstone.
    pub fn tombstone() -> Self {
        Self(Kind::Replace(None, None))
    }

    /// Whole records go on instead of it; none at all counts as dropped.
    pub fn emit(outputs: impl IntoIterator<Item = Output<'a>>) -> Self {
        Self::emission(outputs.into_iter().collect())
    }

    /// Whole records go on instead of it, and some could not be made.
    pub fn emission(emission: Emission<'a>) -> Self {
        Self(Kind::Emit(emission))
    }

    /// It is filtered out, and counts as done.
    pub fn drop() -> Self {
        Self(Kind::Drop)
    }

    /// It goes to the dead letters; the others of the batch go on. See [`Failure`] for the two texts.
    pub fn fail(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Failure::new(code, detail).into()
    }

    /// It, and all after it in the batch, come again later; what was decided before it stands.
    pub fn retry(postponement: Postponement) -> Self {
        Self(Kind::Retry(postponement))
    }

    fn into_contract(self) -> types::Outcome {
        match self.0 {
            Kind::Forward => types::Outcome::Forward,
            Kind::Annotate(annotation) => types::Outcome::Annotate(annotation.0),
            Kind::Replace(value, annotation) => types::Outcome::Replace(types::Replacement {
                value: value.map(Cow::into_owned),
                annotation: annotation.map(|annotation| annotation.0),
            }),
            Kind::Emit(emission) => types::Outcome::Emit(emission.into_contract()),
            Kind::Drop => types::Outcome::Drop,
            Kind::Fail(failure) => types::Outcome::Fail(failure.0),
            Kind::Retry(postponement) => types::Outcome::Retry(postponement.0),
        }
    }
}

impl Outcome<'_> {
    fn write(self, writer: &mut Writer) {
        match self.0 {
            Kind::Forward => writer.forward(),
            Kind::Annotate(annotation) => writer.annotate(&annotation.0),
            Kind::Replace(value, annotation) => {
                writer.replace(
                    value.as_deref(),
                    annotation.as_ref().map(|annotation| &annotation.0),
                );
            }
            Kind::Emit(emission) => emission.write(writer),
            Kind::Drop => writer.drop(),
            Kind::Fail(failure) => writer.fail(failure.0),
            Kind::Retry(postponement) => writer.retry(postponement.0),
        }
    }
}

impl From<Failure> for Outcome<'_> {
    fn from(failure: Failure) -> Self {
        Self(Kind::Fail(failure))
    }
}

/// What to add to a message that goes on.
///
/// ```
/// use vanne_plugin::{Annotation, Outcome};
/// let outcome = Outcome::annotate(Annotation::new().route("errors").partition_key("team", "web"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Annotation(types::Annotation);

impl Default for Annotation {
    fn default() -> Self {
        Self::new()
    }
}

impl Annotation {
    /// Adds nothing yet.
    pub fn new() -> Self {
        Self(types::Annotation {
            routes: Vec::new(),
            partition_keys: Vec::new(),
            headers: Vec::new(),
        })
    }

    /// It shall go to this sink (too, if called again) instead of those that it was on its way to.
    pub fn route(mut self, sink: impl Into<String>) -> Self {
        self.0.routes.push(sink.into());
        self
    }

    /// A value that sinks may cut their objects by; one of the same name is replaced.
    pub fn partition_key(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0
            .partition_keys
            .push(partition_key(name.into(), value.into()));
        self
    }

    /// A further header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.0.headers.push(types::Header {
            name: name.into(),
            value: Some(value.into()),
        });
        self
    }

    /// A further header whose value is a null.
    pub fn null_header(mut self, name: impl Into<String>) -> Self {
        self.0.headers.push(types::Header {
            name: name.into(),
            value: None,
        });
        self
    }
}

/// Why something could not be made.
///
/// The code is a short name that never changes and holds no data, such as `BadTime`: metrics are counted
/// and dead letters are picked by it. The detail tells a person where, what was expected, what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(types::Failure);

impl Failure {
    /// A failure by code and detail.
    pub fn new(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self(types::Failure {
            code: code.into(),
            detail: detail.into(),
        })
    }
}

/// A wish to be asked again later.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Postponement(types::Postponement);

impl Postponement {
    /// For a code like a [`Failure`]'s, and a text that says what is being waited for. How long to wait
    /// is left to the host.
    pub fn new(code: impl Into<String>, reason: impl Into<String>) -> Self {
        Self(types::Postponement {
            code: code.into(),
            reason: reason.into(),
            after_ms: None,
        })
    }

    /// The least time to wait, in whole milliseconds (rounded up), 49 days at most.
    pub fn after(mut self, wait: Duration) -> Self {
        let ms = wait.as_nanos().div_ceil(1_000_000);
        self.0.after_ms = Some(u32::try_from(ms).unwrap_or(u32::MAX));
        self
    }
}

/// A whole record to write. Nothing of the message is taken over but what is set here, and its timestamp.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Output<'a> {
    key: Option<Cow<'a, [u8]>>,
    value: Option<Cow<'a, [u8]>>,
    headers: Vec<types::Header>,
    timestamp_ms: Option<i64>,
    routes: Vec<String>,
    partition_keys: Vec<types::PartitionKey>,
}

impl<'a> Output<'a> {
    /// A record of this value, with a null key.
    pub fn value(value: impl Into<Cow<'a, [u8]>>) -> Self {
        Self {
            value: Some(value.into()),
            ..Self::default()
        }
    }

    /// A record without a value, with a null key until [`Output::key`] is called.
    pub fn tombstone() -> Self {
        Self::default()
    }

    /// Its key.
    pub fn key(mut self, key: impl Into<Cow<'a, [u8]>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// One more header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push(types::Header {
            name: name.into(),
            value: Some(value.into()),
        });
        self
    }

    /// One more header whose value is a null.
    pub fn null_header(mut self, name: impl Into<String>) -> Self {
        self.headers.push(types::Header {
            name: name.into(),
            value: None,
        });
        self
    }

    /// Its time, instead of the message's.
    pub fn timestamp_ms(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }

    /// It shall go to this sink (too, if called again); without any, to every sink that takes what is not
    /// routed.
    pub fn route(mut self, sink: impl Into<String>) -> Self {
        self.routes.push(sink.into());
        self
    }

    /// A value that sinks may cut their objects by.
    pub fn partition_key(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.partition_keys
            .push(partition_key(name.into(), value.into()));
        self
    }

    fn as_new_record(&self) -> NewRecord<'_> {
        NewRecord {
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &self.headers,
            timestamp_ms: self.timestamp_ms,
            routes: &self.routes,
            partition_keys: &self.partition_keys,
        }
    }

    fn into_contract(self) -> types::Output {
        types::Output {
            key: self.key.map(Cow::into_owned),
            value: self.value.map(Cow::into_owned),
            headers: self.headers,
            timestamp_ms: self.timestamp_ms,
            routes: self.routes,
            partition_keys: self.partition_keys,
        }
    }
}

/// What a message became: records, and those that could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Emission<'a> {
    /// Most emissions are of one record, for which no list is made.
    first: Option<Output<'a>>,
    rest: Vec<Output<'a>>,
    failures: Vec<(Failure, Option<Cow<'a, [u8]>>)>,
}

impl<'a> Emission<'a> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more record to write.
    pub fn output(mut self, output: Output<'a>) -> Self {
        match self.first {
            None => self.first = Some(output),
            Some(_) => self.rest.push(output),
        }
        self
    }

    /// One that could not be made: a dead letter of its own, with the part of the message that it is
    /// about, where it can be told. It does not hold up the others.
    pub fn failure(mut self, failure: Failure, part: Option<Cow<'a, [u8]>>) -> Self {
        self.failures.push((failure, part));
        self
    }

    fn into_contract(self) -> types::Emission {
        let outputs = self.first.into_iter().chain(self.rest);
        types::Emission {
            outputs: outputs.map(Output::into_contract).collect(),
            failures: self.failures.into_iter().map(partial).collect(),
        }
    }

    fn write(self, writer: &mut Writer) {
        let outputs = self.first.iter().chain(&self.rest);
        writer.emit(outputs.map(Output::as_new_record));
        for failure in self.failures {
            writer.lose(partial(failure));
        }
    }
}

fn partial((failure, value): (Failure, Option<Cow<'_, [u8]>>)) -> types::Partial {
    types::Partial {
        failure: failure.0,
        value: value.map(Cow::into_owned),
    }
}

impl<'a> FromIterator<Output<'a>> for Emission<'a> {
    fn from_iter<I: IntoIterator<Item = Output<'a>>>(outputs: I) -> Self {
        let mut outputs = outputs.into_iter();
        Self {
            first: outputs.next(),
            rest: outputs.collect(),
            failures: Vec::new(),
        }
    }
}

/// The call failed as a whole; none of its messages has an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchError {
    /// The same messages come again.
    Retry(Postponement),
    /// No call can succeed; the text says why.
    Fatal(String),
}

impl BatchError {
    pub(crate) fn into_contract(self) -> types::BatchError {
        match self {
            Self::Retry(postponement) => types::BatchError::Retry(postponement.0),
            Self::Fatal(text) => types::BatchError::Fatal(text),
        }
    }
}

/// Takes the outcomes of a batch, one for each message, in their order.
#[derive(Debug)]
pub struct Outcomes(Sink);

#[derive(Debug)]
enum Sink {
    List(Vec<types::Outcome>),
    Columns(Box<Writer>),
}

impl Outcomes {
    pub(crate) fn listed(messages: usize) -> Self {
        Self(Sink::List(Vec::with_capacity(messages)))
    }

    pub(crate) fn columns(messages: usize, sizes: Sizes) -> Self {
        Self(Sink::Columns(Box::new(Writer::new(messages, sizes))))
    }

    /// The outcome of the next message. What it borrows is copied now.
    pub fn push(&mut self, outcome: Outcome<'_>) {
        match &mut self.0 {
            Sink::List(list) => list.push(outcome.into_contract()),
            Sink::Columns(writer) => outcome.write(writer),
        }
    }

    /// How many there are so far.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Sink::List(list) => list.len(),
            Sink::Columns(writer) => writer.len(),
        }
    }

    /// Whether there is none so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As the world `transform` returns them; none where they were written for the other.
    pub(crate) fn into_list(self) -> Vec<types::Outcome> {
        match self.0 {
            Sink::List(list) => list,
            Sink::Columns(_) => Vec::new(),
        }
    }

    /// As the world `columnar-transform` returns them; none where they were written for the other.
    pub(crate) fn into_columns(self) -> columnar::Results {
        match self.0 {
            Sink::List(_) => Writer::new(0, Sizes::NONE).finish(),
            Sink::Columns(writer) => writer.finish(),
        }
    }
}

fn partition_key(name: String, value: String) -> types::PartitionKey {
    types::PartitionKey { name, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owned_value_is_moved_not_copied() {
        let value = b"value".to_vec();
        let place = value.as_ptr();
        let types::Outcome::Replace(replacement) = Outcome::replace(value).into_contract() else {
            panic!("a replacement stays one");
        };
        assert_eq!(replacement.value.map(|value| value.as_ptr()), Some(place));
    }

    #[test]
    fn a_wait_is_rounded_up_and_never_wraps() {
        let after = |wait| Postponement::new("Busy", "busy").after(wait).0.after_ms;
        assert_eq!(after(Duration::from_micros(1)), Some(1));
        assert_eq!(after(Duration::from_millis(250)), Some(250));
        assert_eq!(after(Duration::MAX), Some(u32::MAX));
        assert_eq!(Postponement::new("Busy", "busy").0.after_ms, None);
    }

    #[test]
    fn an_emission_keeps_its_order_and_its_failures() {
        let emission = Emission::new()
            .output(Output::value(&b"a"[..]).key(&b"k"[..]).route("lake"))
            .failure(
                Failure::new("BadPart", "part 2"),
                Some(Cow::Borrowed(b"part")),
            )
            .output(
                Output::tombstone()
                    .timestamp_ms(7)
                    .partition_key("day", "1"),
            );
        let types::Outcome::Emit(emission) = Outcome::emission(emission).into_contract() else {
            panic!("an emission stays one");
        };
        assert_eq!(emission.outputs.len(), 2);
        assert_eq!(emission.outputs[0].key.as_deref(), Some(&b"k"[..]));
        assert_eq!(emission.outputs[0].routes, ["lake"]);
        assert_eq!(emission.outputs[1].value, None);
        assert_eq!(emission.outputs[1].timestamp_ms, Some(7));
        assert_eq!(emission.failures[0].value.as_deref(), Some(&b"part"[..]));
    }

    #[test]
    fn both_shapes_say_the_same() {
        let annotation = || {
            Annotation::new()
                .header("h", "v")
                .null_header("n")
                .route("lake")
                .partition_key("day", "1")
        };
        let full = || {
            let output = Output::value(&b"v"[..]).key(&b"k"[..]).timestamp_ms(-1);
            output
                .header("h", "")
                .null_header("n")
                .route("a")
                .route("b")
        };
        let failure = || Failure::new("Bad", "part");
        let outcomes = [
            Outcome::forward(),
            Outcome::replace(&b"new"[..]),
            Outcome::tombstone(),
            Outcome::annotate(annotation()),
            Outcome::annotate(Annotation::new()),
            Outcome::drop(),
            Outcome::emit([]),
            Outcome::emit([full(), Output::tombstone()]),
            Outcome::replace_annotated(vec![], annotation()),
            Outcome::fail("Code", "detail"),
            Outcome::emission(
                Emission::new()
                    .failure(failure(), Some(Cow::Borrowed(b"part")))
                    .output(Output::value(&b""[..]).partition_key("day", "2"))
                    .failure(failure(), None),
            ),
            Outcome::retry(Postponement::new("Later", "why").after(Duration::from_secs(1))),
        ];
        let mut listed = Outcomes::listed(outcomes.len());
        let mut columns = Outcomes::columns(outcomes.len(), Sizes::NONE);
        for outcome in outcomes {
            listed.push(outcome.clone());
            columns.push(outcome);
        }
        assert_eq!(listed.len(), columns.len());
        let mut listed = listed.into_list();
        for outcome in &mut listed {
            // No annotation and an empty one are the same; columns do not tell them apart.
            if let types::Outcome::Replace(replacement) = outcome {
                let empty = || Annotation::new().0;
                replacement.annotation.get_or_insert_with(empty);
            }
        }
        assert_eq!(crate::results::outcomes(&columns.into_columns()), listed);
    }
}
