//! JSON objects to JSON objects: fields selected, dropped, cast, renamed, set and flattened.
//!
//! [`JsonFields`] decides what becomes of a record; `config` and `options` hold what is asked for, `read`
//! takes the object apart as far as that needs, `shape` moves fields, `write` writes it. Invariant: each
//! record is an object or fails with a [`Code`]; a value that is not cast keeps the text that it had, and
//! no input makes it panic or grow without bounds.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))] // a test that unwraps says what it expects

mod cast;
mod config;
mod constant;
mod failure;
mod options;
mod read;
mod shape;
mod time;
mod tree;
mod write;

pub use config::{Cast, Config, Flatten, Missing, OnCastError, Tombstone};
pub use constant::Constant;
pub use failure::Code;

use failure::Failure;
use options::Options;
use tree::Work;
use vanne_plugin::{Message, Outcome, Plan, Transform};

/// The plugin: its options, and the buffers that each record uses again.
#[derive(Debug)]
pub struct JsonFields {
    options: Options,
    work: Work,
    object: Vec<u8>,
}

vanne_plugin::export!(JsonFields);

impl JsonFields {
    fn rewrite(&mut self, value: &[u8]) -> Result<(), Failure> {
        let invalid = |error: json_text::Error| Failure::json(error, value);
        let input = json_text::utf8(value).map_err(invalid)?;
        if input.len() > u32::MAX as usize {
            return Err(Failure::new(
                Code::TooLarge,
                "the value has more than 4 GiB",
            ));
        }
        self.work.clear(self.options.paths.branches());
        read::object(&self.options, &mut self.work, input)
            .map_err(|stop| stop.into_failure(value))?;
        shape::apply(&self.options, &mut self.work, input)?;
        self.object.clear();
        write::object(&self.options, &mut self.work, input, &mut self.object)
    }
}

impl Transform for JsonFields {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        Ok(Self {
            options: Options::new(config)?,
            work: Work::default(),
            object: Vec::with_capacity(1024),
        })
    }

    fn plan(&self) -> Plan {
        Plan::reading_nothing().value().pure()
    }

    fn process<'a>(&'a mut self, message: Message<'a>) -> Outcome<'a> {
        let Some(value) = message.value() else {
            return match self.options.tombstone {
                Tombstone::Forward => Outcome::forward(),
                Tombstone::Drop => Outcome::drop(),
                Tombstone::Fail => Outcome::fail(
                    Code::NoValue.as_str(),
                    "expected a JSON object, found a null value",
                ),
            };
        };
        match self.rewrite(value) {
            Ok(()) => Outcome::replace(self.object.as_slice()),
            Err(failure) => Outcome::fail(failure.code.as_str(), failure.detail),
        }
    }
}

#[cfg(test)]
mod tests;
