//! Masks, replaces, hashes or removes personal data, by pattern and by field.
//!
//! [`Redact`] decides how a value is read; `find` has the built-in kinds, `text` redacts a text, `json`
//! goes through a JSON value, `action` and `keyed` say what stands in for what was found, `config` holds
//! what may be chosen. Invariant: a value goes on only if all of it was looked at; what can't be read
//! fails with a [`Code`]. No detail of a failure quotes the value.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))] // a test that unwraps says what it expects

mod action;
mod config;
mod failure;
mod find;
mod json;
mod keyed;
mod path;
mod string;
mod text;

pub use config::{ActionName, BuiltIn, Config, Format, NotUtf8, Rule};
pub use failure::Code;
pub use keyed::{Encoding, Secret};

use std::borrow::Cow;

use config::Options;
use failure::Failure;
use vanne_plugin::{Message, Outcome, Plan, Transform};

/// The plugin: its rules.
#[derive(Debug)]
pub struct Redact {
    options: Options,
}

vanne_plugin::export!(Redact);

impl Transform for Redact {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let options = Options::new(config)?;
        Ok(Self { options })
    }

    fn plan(&self) -> Plan {
        Plan::reading_nothing().value().pure()
    }

    fn process<'a>(&'a mut self, message: Message<'a>) -> Outcome<'a> {
        let Some(value) = message.value() else {
            return Outcome::forward();
        };
        match self.redact(value) {
            Ok(Some(redacted)) => Outcome::replace(redacted.into_bytes()),
            Ok(None) => Outcome::forward(),
            Err(failure) => Outcome::fail(failure.code.as_str(), failure.to_string()),
        }
    }
}

impl Redact {
    /// The value redacted, `None` if it may stay as it is.
    fn redact(&self, value: &[u8]) -> Result<Option<String>, Failure> {
        let text = self.text(value)?;
        let redacted = match self.options.format {
            Format::Json => json::redact(&self.options, &text)?,
            Format::Text => self.options.patterns.redact(&text)?,
            Format::Auto => self.by_its_look(&text)?,
        };
        Ok(match (redacted, text) {
            (None, Cow::Owned(text)) => Some(text),
            (redacted, _) => redacted,
        })
    }

    fn text<'v>(&self, value: &'v [u8]) -> Result<Cow<'v, str>, Failure> {
        match (std::str::from_utf8(value), self.options.not_utf8) {
            (Ok(text), _) => Ok(Cow::Borrowed(text)),
            (Err(_), NotUtf8::Replace) => Ok(String::from_utf8_lossy(value)),
            (Err(error), NotUtf8::Fail) => Err(Failure {
                code: Code::NotUtf8,
                at: error.valid_up_to(),
                expected: "UTF-8",
            }),
        }
    }

    /// What begins with a brace is JSON, or fails: as text, escapes in it would hide something. A line of a
    /// log may begin with a bracket or a quote, so that it may be text, unless fields are to be found.
    fn by_its_look(&self, text: &str) -> Result<Option<String>, Failure> {
        match text.trim_start().bytes().next() {
            Some(b'{') => json::redact(&self.options, text),
            Some(b'[' | b'"') => match json::redact(&self.options, text) {
                Err(failure) if failure.code == Code::BadJson && self.options.fields.is_empty() => {
                    self.options.patterns.redact(text)
                }
                read => read,
            },
            _ => self.options.patterns.redact(text),
        }
    }
}

#[cfg(test)]
mod tests;
