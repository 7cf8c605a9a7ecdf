//! Forwards every record and reads no part of it: what remains is the cost of the call itself.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))] // a test that unwraps says what it expects

use vanne_plugin::{Message, NoConfig, Outcome, Plan, Transform};

/// Forwards every record.
#[derive(Debug)]
pub struct Identity;

vanne_plugin::export!(Identity);

impl Transform for Identity {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }

    fn plan(&self) -> Plan {
        Plan::reading_nothing().pure()
    }

    fn process(&mut self, _: Message<'_>) -> Outcome<'_> {
        Outcome::forward()
    }
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
    fn options_are_refused() {
        assert!(Harness::<Identity>::new(r#"{"a": 1}"#).is_err());
    }
}
