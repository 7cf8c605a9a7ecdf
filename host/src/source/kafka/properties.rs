//! librdkafka's properties: what a person gave, what Vanne sets, and what they may not touch.
//!
//! Owns the arithmetic from a memory share to queue and fetch sizes. Invariant: an owned property always
//! has Vanne's value, and an error never shows a value (it may be a secret).

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use super::Error;
use crate::config::Source;

/// Properties that would break a guarantee, or that another key of the configuration says.
const RESERVED: [&str; 10] = [
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
    "metadata.broker.list",
    "statistics.interval.ms",
    "test.mock.num.brokers",
];

const STRATEGY: &str = "partition.assignment.strategy";

/// librdkafka's queue never gets less than one fetch of its default size.
const QUEUE_BYTES_MIN: usize = 1024 * 1024;

/// What one answer of a broker may hold by librdkafka's default, and here too where memory allows.
const FETCH_BYTES_MAX: usize = 50 * 1024 * 1024;

/// What a person gave, and where the brokers are.
pub(super) fn common(source: &Source, brokers: &str) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Info);
    config.set("client.id", format!("vanne-{}", source.group));
    for (key, value) in &source.properties {
        if RESERVED.contains(&key.as_str()) || key.starts_with("queued.") {
            return Err(Error::Reserved { key: key.clone() });
        }
        config.set(key, value.reveal());
    }
    config.set("bootstrap.servers", brokers);
    config.set("group.id", &source.group);
    Ok(config)
}

/// All that the consumer needs; `queue_bytes` is the share of memory for librdkafka's own queue.
pub(super) fn for_consumer(
    source: &Source,
    brokers: &str,
    queue_bytes: usize,
) -> Result<ClientConfig, Error> {
    let mut config = common(source, brokers)?;
    let queue_bytes = queue_bytes.max(QUEUE_BYTES_MIN);
    // What is fetched may be compressed, and counts in the queue only once it is not: with an eighth, data
    // that shrinks to a tenth passes the queue's bound by no more than the bound itself.
    let fetch_bytes = (queue_bytes / 8).clamp(QUEUE_BYTES_MIN, FETCH_BYTES_MAX);
    // A record takes some 500 B in librdkafka beside its own bytes, which the queue's bound in bytes does
    // not count: with records of 1 KiB, the bound in records is met first.
    let queued_records = (queue_bytes / 1024).clamp(1_000, 100_000);
    let defaults = [
        // The default of 1 s starves a consumer that is slower than the broker for a moment.
        ("fetch.queue.backoff.ms", String::from("10")),
        // A partition that is resumed or sought waits for the request under way, which waits so long at
        // the ends of the others; librdkafka's 500 ms would be most of a slow lane's time.
        ("fetch.wait.max.ms", String::from("100")),
        ("fetch.max.bytes", fetch_bytes.to_string()),
        ("fetch.message.max.bytes", (fetch_bytes / 2).clamp(256 * 1024, QUEUE_BYTES_MIN).to_string()),
    ];
    // With the newer group protocol the broker assigns, and librdkafka refuses a strategy.
    if config.get("group.protocol") != Some("consumer") && config.get(STRATEGY).is_none() {
        config.set(STRATEGY, "cooperative-sticky");
    }
    for (key, value) in defaults {
        if config.get(key).is_none() {
            config.set(key, value);
        }
    }
    for (key, value) in [
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "error"),
        ("isolation.level", "read_committed"),
        ("enable.partition.eof", "true"),
        ("statistics.interval.ms", "0"),
    ] {
        config.set(key, value);
    }
    config.set("queued.max.messages.kbytes", (queue_bytes / 1024).to_string());
    config.set("queued.min.messages", queued_records.to_string());
    check(&config)?;
    Ok(config)
}

/// What a client for questions needs.
pub(super) fn for_queries(source: &Source, brokers: &str) -> Result<ClientConfig, Error> {
    let mut config = common(source, brokers)?;
    config.set("enable.auto.commit", "false");
    config.set("isolation.level", "read_committed");
    // Asking for a topic must never make it.
    config.set("allow.auto.create.topics", "false");
    check(&config)?;
    Ok(config)
}

/// Asks librdkafka whether it knows each property and takes its value.
fn check(config: &ClientConfig) -> Result<(), Error> {
    match config.create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, reason, key, value)) => {
            let reason = if value.is_empty() { reason } else { reason.replace(&value, "***") };
            Err(Error::Property { key, reason })
        }
        Err(error) => Err(Error::create(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(properties: &[(&str, &str)]) -> Source {
        Source::for_tests("t", properties)
    }

    #[test]
    fn what_a_person_gives_wins_over_defaults_and_loses_to_what_vanne_owns() {
        let given = source(&[("partition.assignment.strategy", "range"), ("client.id", "me")]);
        let config = for_consumer(&given, "localhost:9092", 8 << 20).expect("valid");
        assert_eq!(config.get("partition.assignment.strategy"), Some("range"));
        assert_eq!(config.get("client.id"), Some("me"));
        assert_eq!(config.get("auto.offset.reset"), Some("error"));
        assert_eq!(config.get("queued.max.messages.kbytes"), Some("8192"));
        assert_eq!(config.get("fetch.max.bytes"), Some("1048576"));
    }

    #[test]
    fn owned_properties_are_refused_by_name() {
        for key in ["group.id", "isolation.level", "queued.min.messages", "enable.auto.commit"] {
            let refused = for_consumer(&source(&[(key, "x")]), "localhost:9092", 8 << 20);
            assert!(matches!(refused, Err(Error::Reserved { key: named }) if named == key));
        }
    }

    #[test]
    fn an_unknown_property_is_named_and_a_wrong_value_is_not_shown() {
        let unknown = for_consumer(&source(&[("no.such.thing", "1")]), "localhost:9092", 8 << 20);
        let text = unknown.expect_err("librdkafka knows no such property").to_string();
        assert!(text.contains("`no.such.thing`"), "{text}");
        let wrong = for_queries(&source(&[("security.protocol", "hunter2")]), "localhost:9092");
        let text = wrong.expect_err("no such protocol").to_string();
        assert!(text.contains("`security.protocol`") && !text.contains("hunter2"), "{text}");
    }
}
