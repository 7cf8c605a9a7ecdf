//! Access log lines, common or combined, to JSON objects with typed fields.
//!
//! [`AccessLog`] decides what becomes of a line; `line` takes it apart, `json` writes the object, `config`
//! holds what may be chosen. Invariant: each line is an object, is filtered by its status, or fails with a
//! [`Code`] and a place: none vanishes, and no input makes it panic.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))] // a test that unwraps says what it expects

mod config;
mod failure;
mod json;
mod line;
mod request;
mod text;
mod time;

pub use config::{Config, Field, StatusPattern};
pub use failure::Code;

use config::Options;
use line::Line;
use vanne_plugin::{Message, Outcome, Plan, Transform};

/// The plugin: its options, and the buffer that each object is written to.
#[derive(Debug)]
pub struct AccessLog {
    options: Options,
    object: Vec<u8>,
}

vanne_plugin::export!(AccessLog);

impl Transform for AccessLog {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let options = Options::new(config)?;
        Ok(Self {
            options,
            object: Vec::with_capacity(1024),
        })
    }

    fn plan(&self) -> Plan {
        Plan::reading_nothing().value().pure()
    }

    fn process<'a>(&'a mut self, message: Message<'a>) -> Outcome<'a> {
        let Some(value) = message.value() else {
            return Outcome::fail(
                Code::NoValue.as_str(),
                "expected a log line, found a null value",
            );
        };
        let line = match Line::parse(value, self.options.takes_rest) {
            Ok(line) => line,
            Err(failure) => return Outcome::fail(failure.code.as_str(), failure.to_string()),
        };
        if !self.options.keeps(line.status) {
            return Outcome::drop();
        }
        self.object.clear();
        json::write(&mut self.object, &line, &self.options.columns);
        Outcome::replace(self.object.as_slice())
    }
}

#[cfg(test)]
mod tests;
