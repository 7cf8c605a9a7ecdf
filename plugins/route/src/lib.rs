//! Content-based routing: a field, the key or a header says which sinks a record goes to.
//!
//! [`Route`] decides what becomes of a record; `config` and `options` hold the routes, `field` finds what
//! they go by, `partition` makes folder names. Invariant: the record itself is never changed or copied, and
//! each is routed, dropped or fails by a word of the configuration, or fails with a [`Code`].
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))] // a test that unwraps says what it expects

mod config;
mod failure;
mod field;
mod options;
mod partition;

pub use config::{Config, Rule, Target, Unsafe};
pub use failure::Code;

use std::borrow::Cow;

use failure::Failure;
use field::{Finder, Source};
use options::Options;
use vanne_plugin::{Annotation, Message, Outcome, Plan, Transform};

/// The plugin: its options, and what it remembers of the fields of one record.
#[derive(Debug)]
pub struct Route {
    options: Options,
    finder: Finder,
}

vanne_plugin::export!(Route);

impl Route {
    fn decide(&mut self, message: Message<'_>) -> Result<Outcome<'static>, Failure> {
        let options = &self.options;
        if let (true, Some(value)) = (self.finder.is_needed(), message.value()) {
            self.finder.find(value)?;
        }
        let text = read(&self.finder, &options.field, message)?;
        let (target, why) = options.target(text.as_deref());
        let mut annotation = match target {
            Target::Drop => return Ok(Outcome::drop()),
            Target::Fail => return Err(options.refusal(why, text.as_deref())),
            Target::Forward if options.partition_keys.is_empty() => return Ok(Outcome::forward()),
            Target::Forward => Annotation::new(),
            Target::Sinks(sinks) => sinks
                .iter()
                .fold(Annotation::new(), |annotation, sink| annotation.route(sink)),
        };
        for (name, source) in &options.partition_keys {
            let text = read(&self.finder, source, message)?;
            let value = options.partition_value(name, source, text.as_deref())?;
            annotation = annotation.partition_key(name, value);
        }
        Ok(Outcome::annotate(annotation))
    }
}

/// What a source says of a message, if it says anything.
fn read<'a>(
    finder: &Finder,
    source: &Source,
    message: Message<'a>,
) -> Result<Option<Cow<'a, str>>, Failure> {
    let bytes = match source {
        Source::Key => message.key(),
        Source::Header(name) => message.header(name).and_then(|header| header.value),
        Source::Value { branch, path } => {
            return match message.value() {
                Some(value) => finder.text(*branch, path, value),
                None => Ok(None),
            };
        }
    };
    match bytes.map(std::str::from_utf8) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(Cow::Borrowed(text))),
        Some(Err(error)) => Err(Failure::new(
            Code::NotUtf8,
            format!(
                "{source}: expected UTF-8, found none at byte {}",
                error.valid_up_to().saturating_add(1)
            ),
        )),
    }
}

impl Transform for Route {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let (options, finder) = Options::new(config)?;
        Ok(Self { options, finder })
    }

    fn plan(&self) -> Plan {
        let keys = self.options.partition_keys.iter().map(|(_, source)| source);
        let mut plan = Plan::reading_nothing().pure();
        for source in keys.chain([&self.options.field]) {
            plan = match source {
                Source::Key => plan.key(),
                Source::Header(_) => plan.headers(),
                Source::Value { .. } => plan.value(),
            };
        }
        plan
    }

    fn process<'a>(&'a mut self, message: Message<'a>) -> Outcome<'a> {
        self.decide(message)
            .unwrap_or_else(|failure| Outcome::fail(failure.code.as_str(), failure.detail))
    }
}

#[cfg(test)]
mod tests;
