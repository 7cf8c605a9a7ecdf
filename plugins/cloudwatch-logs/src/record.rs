//! Writes the object of an event, and the record around it.
//!
//! Owns the bound on what one payload may become. Invariant: each value is one JSON object on one line.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use vanne_plugin::{Emission, Message, Output};

use crate::config::{Field, Key, Options, TimeForm};
use crate::failure::{Code, Failure};
use crate::payload::{Event, Payload};
use crate::{raw, time};

/// What a record costs besides its bytes, in the plugin's memory and in the host's.
const RECORD_BYTES: usize = 256;

/// Takes the records of one payload after the other.
pub(crate) struct Records<'o, 'm> {
    options: &'o Options,
    message: Message<'m>,
    emission: Emission<'m>,
    count: usize,
    /// What each record takes over, in bytes.
    carried_bytes: usize,
    bytes_left: usize,
}

impl<'o, 'm> Records<'o, 'm> {
    pub(crate) fn new(options: &'o Options, message: Message<'m>) -> Self {
        let headers = message.headers();
        let headers = headers.map(|header| header.name.len() + header.value.map_or(0, <[u8]>::len));
        let keys = message
            .partition_keys()
            .map(|key| key.name.len() + key.value.len());
        let key = message.key().map_or(0, <[u8]>::len);
        let carried = headers.chain(keys).chain(message.routes().map(str::len));
        Self {
            options,
            message,
            emission: Emission::new(),
            count: 0,
            carried_bytes: RECORD_BYTES + key + carried.sum::<usize>(),
            bytes_left: options.max_bytes.saturating_mul(2),
        }
    }

    /// What there is; `None` if there is nothing.
    pub(crate) fn into_emission(self) -> Option<Emission<'m>> {
        (self.count > 0).then_some(self.emission)
    }

    /// Adds the events of a payload.
    pub(crate) fn add(&mut self, payload: &Payload<'_>) -> Result<(), Failure> {
        for (index, event) in payload.events().enumerate() {
            let emission = std::mem::take(&mut self.emission);
            self.count += 1;
            self.emission = match Event::read(event, index) {
                Ok(read) => {
                    let value = object(self.options, payload, &read);
                    self.spend(value.len())?;
                    emission.output(self.output(payload, &read, value))
                }
                Err(failure) => {
                    self.spend(event.len())?;
                    let part = Cow::Owned(event.as_bytes().to_vec());
                    emission.failure(failure.into(), Some(part))
                }
            };
        }
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Failure> {
        let spent = self.bytes_left.checked_sub(bytes + self.carried_bytes);
        self.bytes_left = spent.ok_or_else(|| {
            Failure::new(
                Code::TooLarge,
                format!(
                    "{} events would become more than {} bytes of records (twice `max_bytes`)",
                    self.count,
                    self.options.max_bytes.saturating_mul(2)
                ),
            )
        })?;
        Ok(())
    }

    fn output(&self, payload: &Payload<'_>, event: &Event<'_>, value: String) -> Output<'m> {
        let mut output = Output::value(value.into_bytes()).timestamp_ms(event.timestamp_ms);
        output = match self.options.key {
            Key::Keep => match self.message.key() {
                Some(key) => output.key(key),
                None => output,
            },
            Key::LogGroup => output.key(payload.log_group.content.clone().into_bytes()),
            Key::LogStream => output.key(payload.log_stream.content.clone().into_bytes()),
            Key::Id => output.key(event.id().into_bytes()),
            Key::None => output,
        };
        // None unless they are to be kept: the plan does not read them then.
        for header in self.message.headers() {
            output = match header.value {
                Some(value) => output.header(header.name, value),
                None => output.null_header(header.name),
            };
        }
        for (field, name) in &self.options.headers {
            let value = match field {
                Field::Owner => payload.owner.content.clone(),
                Field::LogGroup => payload.log_group.content.clone(),
                Field::LogStream => payload.log_stream.content.clone(),
                _ => event.id(),
            };
            output = output.header(name.as_str(), value);
        }
        for route in self.message.routes() {
            output = output.route(route);
        }
        for key in self.message.partition_keys() {
            output = output.partition_key(key.name, key.value);
        }
        output
    }
}

fn object(options: &Options, payload: &Payload<'_>, event: &Event<'_>) -> String {
    let mut out = String::with_capacity(event.message.len() + 256);
    let mut separator = '{';
    for column in &options.columns {
        if column.only_if_there && event.extracted_fields.is_none() {
            continue;
        }
        out.push(separator);
        separator = ',';
        out.push_str(&column.prefix);
        match column.field {
            Field::Id => out.push_str(event.id),
            Field::Timestamp if options.time == TimeForm::EpochMs => {
                out.push_str(&event.timestamp_ms.to_string());
            }
            Field::Timestamp => {
                out.push('"');
                time::push(&mut out, event.timestamp_ms);
                out.push('"');
            }
            Field::Message => message(&mut out, event.message, options.parse_message),
            Field::ExtractedFields => {
                raw::push_compact(&mut out, event.extracted_fields.unwrap_or("null"));
            }
            Field::Owner => out.push_str(payload.owner.json),
            Field::LogGroup => out.push_str(payload.log_group.json),
            Field::LogStream => out.push_str(payload.log_stream.json),
            Field::SubscriptionFilters => {
                raw::push_compact(&mut out, payload.subscription_filters.unwrap_or("null"));
            }
        }
    }
    out.push('}');
    out
}

/// Appends a message: as the object or array that it is, if that is asked for, else as text.
fn message(out: &mut String, message: &str, is_parsed: bool) {
    // Most messages are no JSON: the first character tells, after space, which may be escaped.
    let may_be_json = is_parsed
        && message[1..]
            .trim_start_matches([' ', '\\', 'n', 't', 'r'])
            .starts_with(['{', '[']);
    let content = may_be_json
        .then(|| serde_json::from_str::<String>(message).ok())
        .flatten();
    match content {
        Some(content) if is_object_or_array(&content) => raw::push_compact(out, &content),
        _ => out.push_str(message),
    }
}

fn is_object_or_array(text: &str) -> bool {
    text.trim_ascii_start().starts_with(['{', '['])
        && serde_json::from_str::<IgnoredAny>(text).is_ok()
        && crate::payload::readable(text).is_some()
}
