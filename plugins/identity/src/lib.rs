//! Gives every record back as it came. By default it forwards them and reads no part: what remains is the
//! cost of the call itself. Other ways of giving them back show what reading and copying cost.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))] // a test that unwraps says what it expects

use serde::Deserialize;
use vanne_plugin::{Header, Message, Outcome, Output, Plan, Transform};

/// The options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How a record is given back.
    #[serde(default)]
    by: By,
}

/// How a record is given back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Forwarded, and no part of it read.
    #[default]
    Forward,
    /// Forwarded, and all of it passed to the plugin.
    ReadForward,
    /// Its value replaced by itself.
    Replace,
    /// Written anew: key, value and headers.
    Emit,
}

/// Gives every record back.
#[derive(Debug)]
pub struct Identity {
    by: By,
}

#[cfg(not(feature = "ergonomic"))]
vanne_plugin::export!(Identity);
#[cfg(feature = "ergonomic")]
vanne_plugin::export!(Identity, world = "transform");

impl Transform for Identity {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        Ok(Self { by: config.by })
    }

    fn plan(&self) -> Plan {
        match self.by {
            By::Forward => Plan::reading_nothing(),
            By::Replace => Plan::reading_nothing().value(),
            By::ReadForward | By::Emit => Plan::reading_everything(),
        }
        .pure()
    }

    fn process<'a>(&'a mut self, message: Message<'a>) -> Outcome<'a> {
        match self.by {
            By::Forward | By::ReadForward => Outcome::forward(),
            By::Replace => match message.value() {
                Some(value) => Outcome::replace(value),
                None => Outcome::tombstone(),
            },
            By::Emit => Outcome::emit([copy(message)]),
        }
    }
}

fn copy(message: Message<'_>) -> Output<'_> {
    let output = match message.value() {
        Some(value) => Output::value(value),
        None => Output::tombstone(),
    };
    let output = match message.key() {
        Some(key) => output.key(key),
        None => output,
    };
    message
        .headers()
        .fold(output, |output, Header { name, value }| match value {
            Some(value) => output.header(name, value),
            None => output.null_header(name),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vanne_plugin::testing::{Harness, Record, Reply};

    #[test]
    fn everything_goes_on_unread() {
        let plugin = Harness::<Identity>::new("").unwrap();
        let plan = plugin.plan();
        assert!(!plan.reads_key() && !plan.reads_value() && !plan.reads_headers());
        assert_eq!(plan.traits(), ["pure"]);
        let replies = plugin.batch(&[Record::value("a"), Record::tombstone()]);
        assert_eq!(replies.unwrap(), [Reply::Forward, Reply::Forward]);
    }

    #[test]
    fn every_way_gives_back_what_came() {
        let full = Record {
            key: Some(b"k".to_vec()),
            headers: vec![("h".into(), Some(b"v".to_vec())), ("n".into(), None)],
            ..Record::value("a")
        };
        let records = [full.clone(), Record::tombstone()];
        let replies = |by: &str| {
            let plugin = Harness::<Identity>::new(&format!(r#"{{"by": "{by}"}}"#)).unwrap();
            plugin.batch(&records).unwrap()
        };
        assert_eq!(replies("read-forward"), [Reply::Forward, Reply::Forward]);
        let tombstone = Reply::Replace(None, Default::default());
        assert_eq!(replies("replace"), [Reply::replaced("a"), tombstone]);
        let emitted = |record| Reply::Emit(vec![record], Vec::new());
        let [full, tombstone] = records.clone();
        assert_eq!(replies("emit"), [emitted(full), emitted(tombstone)]);
    }

    #[test]
    fn other_options_are_refused() {
        assert!(Harness::<Identity>::new(r#"{"a": 1}"#).is_err());
        assert!(Harness::<Identity>::new(r#"{"by": "magic"}"#).is_err());
    }
}
