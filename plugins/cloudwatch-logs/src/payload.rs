//! A payload, taken apart: what it is, where it comes from, its events.
//!
//! Parts are slices of the payload's text, checked as far as they are used. Invariant: what is wrong with
//! one event is a failure of that event.

use serde::de::IgnoredAny;

use crate::failure::{Code, Failure, quoted};
use crate::raw;
use crate::time;

/// What all events of a payload have in common: JSON values as they stand, and texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payload<'t> {
    pub(crate) owner: Text<'t>,
    pub(crate) log_group: Text<'t>,
    pub(crate) log_stream: Text<'t>,
    /// An array of texts.
    pub(crate) subscription_filters: Option<&'t str>,
    log_events: &'t str,
}

/// A JSON string, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text<'t> {
    pub(crate) json: &'t str,
    pub(crate) content: String,
}

/// One event: JSON values as they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event<'t> {
    pub(crate) id: &'t str,
    pub(crate) timestamp_ms: i64,
    pub(crate) message: &'t str,
    pub(crate) extracted_fields: Option<&'t str>,
}

/// The JSON objects of a text, one after the other.
pub(crate) fn documents(text: &str) -> Result<Vec<&str>, Failure> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut documents = Vec::new();
    loop {
        let start = stream.byte_offset();
        let Some(read) = stream.next() else {
            break;
        };
        read.map_err(|error| Failure::new(Code::BadJson, format!("expected JSON: {error}")))?;
        let document = text[start..stream.byte_offset()].trim_ascii();
        if !document.starts_with('{') {
            let detail = format!("expected a JSON object, found {}", quoted(document));
            return Err(Failure::new(Code::BadJson, detail));
        }
        documents.push(document);
    }
    match documents.is_empty() {
        true => Err(Failure::new(
            Code::BadJson,
            "expected a JSON object, found nothing",
        )),
        false => Ok(documents),
    }
}

impl<'t> Payload<'t> {
    /// Reads a payload that is valid JSON; `None` for a control message, which holds no data.
    pub(crate) fn read(document: &'t str) -> Result<Option<Self>, Failure> {
        let mut message_type = None;
        let mut parts = [None; 5];
        for (name, value) in raw::members(document) {
            match name {
                "\"messageType\"" => message_type = Some(value),
                "\"owner\"" => parts[0] = Some(value),
                "\"logGroup\"" => parts[1] = Some(value),
                "\"logStream\"" => parts[2] = Some(value),
                "\"subscriptionFilters\"" => parts[3] = Some(value),
                "\"logEvents\"" => parts[4] = Some(value),
                _ => {}
            }
        }
        match message_type {
            Some("\"DATA_MESSAGE\"") => {}
            Some("\"CONTROL_MESSAGE\"") => return Ok(None),
            other => {
                let found = other.map_or("none".to_owned(), quoted);
                return Err(Failure::new(
                    Code::UnknownMessageType,
                    format!(
                        "expected `messageType` to be \"DATA_MESSAGE\" or \"CONTROL_MESSAGE\", found {found}"
                    ),
                ));
            }
        }
        let [
            owner,
            log_group,
            log_stream,
            subscription_filters,
            log_events,
        ] = parts;
        Ok(Some(Self {
            owner: text("owner", owner)?,
            log_group: text("logGroup", log_group)?,
            log_stream: text("logStream", log_stream)?,
            subscription_filters: subscription_filters
                .map(|filters| {
                    readable(filters).ok_or_else(|| bad("subscriptionFilters", "readable", filters))
                })
                .transpose()?,
            log_events: log_events
                .filter(|events| events.starts_with('['))
                .ok_or_else(|| bad("logEvents", "an array", log_events.unwrap_or("none")))?,
        }))
    }

    /// The events, as they stand.
    pub(crate) fn events(&self) -> impl Iterator<Item = &'t str> + use<'t> {
        raw::elements(self.log_events)
    }
}

fn bad(name: &str, expected: &str, found: &str) -> Failure {
    let found = quoted(found);
    let detail = format!("expected `{name}` to be {expected}, found {found}");
    Failure::new(Code::BadPayload, detail)
}

fn text<'t>(name: &str, json: Option<&'t str>) -> Result<Text<'t>, Failure> {
    let content = json.and_then(|json| serde_json::from_str(json).ok());
    match (json, content) {
        (Some(json), Some(content)) => Ok(Text { json, content }),
        _ => Err(bad(name, "a text", json.unwrap_or("none"))),
    }
}

/// Readers mostly stop at 128 levels; what is written adds one.
const DEPTH_MAX: usize = 100;

/// A value that every reader takes. Valid JSON may hold half a surrogate pair, which is no character, and
/// may be nested as deep as it likes.
pub(crate) fn readable(json: &str) -> Option<&str> {
    let may_hold_half = json.contains("\\ud") || json.contains("\\uD");
    let is_readable = raw::depth(json) <= DEPTH_MAX
        && (!may_hold_half || serde_json::from_str::<serde_json::Value>(json).is_ok());
    is_readable.then_some(json)
}

impl<'t> Event<'t> {
    /// Reads the event that is number `index` of its payload.
    pub(crate) fn read(event: &'t str, index: usize) -> Result<Self, Failure> {
        let (mut id, mut timestamp, mut message, mut extracted_fields) = (None, None, None, None);
        for (name, value) in raw::members(event) {
            match name {
                "\"id\"" => id = Some(value),
                "\"timestamp\"" => timestamp = Some(value),
                "\"message\"" => message = Some(value),
                "\"extractedFields\"" => extracted_fields = Some(value),
                _ => {}
            }
        }
        let refuse = |code, name: &str, expected: &str, found: Option<&str>| {
            let found = found.map_or("none".to_owned(), quoted);
            let detail =
                format!("logEvents[{index}]: expected `{name}` to be {expected}, found {found}");
            Failure::new(code, detail)
        };
        let text = |name, json: Option<&'t str>| {
            json.filter(|json| json.starts_with('"'))
                .and_then(readable)
                .ok_or_else(|| refuse(Code::BadEvent, name, "a text", json))
        };
        let time = timestamp.and_then(|timestamp| timestamp.parse().ok());
        let has_time = time.filter(|time| (0..=time::LAST_MS).contains(time));
        Ok(Self {
            id: text("id", id)?,
            message: text("message", message)?,
            timestamp_ms: has_time.ok_or_else(|| {
                let expected = "milliseconds from 1970 to 9999";
                refuse(Code::BadTimestamp, "timestamp", expected, timestamp)
            })?,
            extracted_fields: extracted_fields
                .filter(|fields| *fields != "null")
                .map(|fields| {
                    readable(fields)
                        .filter(|fields| fields.starts_with('{'))
                        .ok_or_else(|| {
                            refuse(Code::BadEvent, "extractedFields", "an object", Some(fields))
                        })
                })
                .transpose()?,
        })
    }

    /// The id, as text.
    pub(crate) fn id(&self) -> String {
        // Its string was found readable.
        serde_json::from_str(self.id).unwrap_or_default()
    }
}
