//! The producer's properties, from those that a person gave for the source.
//!
//! Owns which of them are about the connection and so for both. Invariant: a property of consumers, or
//! one that takes a guarantee back, never reaches the producer.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::config::Source;

/// How the properties begin that say how to reach a cluster, and who one is; all others are about reading,
/// or would change what is promised here.
const CONNECTION: [&str; 17] = [
    "api.version.",
    "broker.",
    "client.",
    "connections.",
    "debug",
    "enable.sasl.",
    "enable.ssl.",
    "https.",
    "internal.termination.",
    "log",
    "metadata.",
    "reconnect.",
    "retry.",
    "sasl.",
    "security.",
    "socket.",
    "ssl.",
];

/// Bounds one message: what is larger is sent without its value. Twice it is the bound of all that waits,
/// so that each message fits.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Messages that go together: less than the smallest limit that people give a topic, nearly.
const BATCH_BYTES: usize = 256 << 10;

/// All that the producer needs.
pub(super) fn for_producer(source: &Source, brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Info);
    config.set("client.id", format!("vanne-{}-dead-letters", source.group));
    let given = source.properties.iter();
    for (key, value) in given.filter(|(key, _)| CONNECTION.iter().any(|start| key.starts_with(start))) {
        config.set(key, value.reveal());
    }
    let batch_bytes = BATCH_BYTES.to_string();
    let message_bytes = MESSAGE_BYTES_MAX.to_string();
    let queue_kibibytes = (2 * MESSAGE_BYTES_MAX / 1024).to_string();
    for (key, value) in [
        ("bootstrap.servers", brokers),
        ("acks", "all"),
        ("enable.idempotence", "true"),
        // librdkafka tries again by itself for as long as it takes, which keeps the order.
        ("message.timeout.ms", "0"),
        ("max.in.flight.requests.per.connection", "5"),
        ("linger.ms", "5"),
        ("batch.size", &batch_bytes),
        ("message.max.bytes", &message_bytes),
        ("queue.buffering.max.kbytes", &queue_kibibytes),
        // Where the Java client would put a key.
        ("partitioner", "murmur2_random"),
        ("compression.type", "zstd"),
        ("statistics.interval.ms", "0"),
        // A topic that was made again is found so soon, instead of after 5 min.
        ("topic.metadata.refresh.interval.ms", "10000"),
    ] {
        config.set(key, value);
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(properties: &[(&str, &str)]) -> Source {
        Source::for_tests("t", properties)
    }

    #[test]
    fn the_connection_is_taken_over_and_nothing_else() {
        let given = [
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.username", "me"),
            ("sasl.password", "hunter2"),
            ("socket.keepalive.enable", "true"),
            ("client.id", "mine"),
            ("partition.assignment.strategy", "range"),
            ("group.instance.id", "one"),
            ("session.timeout.ms", "1000"),
            ("fetch.max.bytes", "1000000"),
            ("max.in.flight", "1000"),
            ("acks", "0"),
            ("enable.idempotence", "false"),
            ("message.timeout.ms", "1"),
        ];
        let config = for_producer(&source(&given), "localhost:9092");
        let taken =
            ["security.protocol", "sasl.username", "sasl.password", "socket.keepalive.enable", "client.id"];
        for key in taken {
            let value = given.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
            assert_eq!(config.get(key), value, "{key}");
        }
        for key in ["partition.assignment.strategy", "group.instance.id", "fetch.max.bytes", "max.in.flight"]
        {
            assert_eq!(config.get(key), None, "{key}");
        }
        assert_eq!((config.get("acks"), config.get("enable.idempotence")), (Some("all"), Some("true")));
        assert_eq!(config.get("message.timeout.ms"), Some("0"));
        config.create_native_config().expect("librdkafka takes each of them");
    }
}
