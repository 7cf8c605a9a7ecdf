//! CloudWatch Logs subscription payloads, unpacked and split: one record in, one out for each event.
//!
//! [`CloudwatchLogs`] decides what becomes of a record; `unpack` makes text of its bytes, `payload` takes
//! the text apart (by `raw`, without decoding what is only passed on), `record` writes. Invariant: each
//! event of a data message becomes a record or a failure of its own, or the whole record fails with a
//! [`Code`]; only control messages and empty payloads are dropped.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))] // a test that unwraps says what it expects

mod config;
mod failure;
mod payload;
mod raw;
mod record;
mod time;
mod unpack;

pub use config::{Config, Field, Key, TimeForm};
pub use failure::Code;

use config::Options;
use failure::Failure;
use payload::Payload;
use record::Records;
use vanne_plugin::{Emission, Message, Outcome, Plan, Transform};

/// The plugin: its options.
#[derive(Debug)]
pub struct CloudwatchLogs {
    options: Options,
}

vanne_plugin::export!(CloudwatchLogs);

impl Transform for CloudwatchLogs {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let options = Options::new(config)?;
        Ok(Self { options })
    }

    fn plan(&self) -> Plan {
        let mut plan = Plan::reading_nothing().value().pure();
        if self.options.key == Key::Keep {
            plan = plan.key();
        }
        if self.options.keep_headers {
            plan = plan.headers();
        }
        plan
    }

    fn process<'a>(&'a mut self, message: Message<'a>) -> Outcome<'a> {
        match self.split(message) {
            Ok(Some(emission)) => Outcome::emission(emission),
            Ok(None) => Outcome::drop(),
            Err(failure) => vanne_plugin::Failure::from(failure).into(),
        }
    }
}

impl CloudwatchLogs {
    /// The records of all payloads of a message; `None` if there are none.
    fn split<'a>(&self, message: Message<'a>) -> Result<Option<Emission<'a>>, Failure> {
        let Some(value) = message.value() else {
            let detail = "expected a payload, found a null value";
            return Err(Failure::new(Code::NoValue, detail));
        };
        let text = unpack::unpack(value, self.options.max_bytes)?;
        let mut records = Records::new(&self.options, message);
        for document in payload::documents(&text)? {
            if let Some(payload) = Payload::read(document)? {
                records.add(&payload)?;
            }
        }
        Ok(records.into_emission())
    }
}

#[cfg(test)]
mod tests;
