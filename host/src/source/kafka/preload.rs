//! Fills a topic with made-up JSON records, for benchmarks.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::Error;
use crate::clock::Random;
use crate::config::Source;

/// How long the broker may take for the last records, or to take one more.
const FLUSH: Duration = Duration::from_secs(120);

/// Puts `records` JSON objects of about `bytes` bytes into the first topic of a source and waits until the
/// broker has them all. Blocks.
///
/// # Errors
/// What the client or the broker refuses.
pub fn preload(source: &Source, brokers: &str, records: u64, bytes: usize) -> Result<(), Error> {
    let Some(topic) = source.topics.first() else { return Ok(()) };
    let refused = |source| Error::from_request(brokers, "fill a topic", topic, FLUSH, source);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("linger.ms", "50").set("compression.type", "lz4");
    config.set("queue.buffering.max.kbytes", "65536");
    for (name, value) in &source.properties {
        config.set(name, value.reveal());
    }
    let producer: BaseProducer = config.create().map_err(refused)?;
    let random = Random::seeded(1);
    let mut value = String::with_capacity(bytes);
    for number in 0..records {
        write_record(&mut value, number, bytes, &random);
        let mut record = BaseRecord::<(), str>::to(topic).payload(value.as_str());
        let begun = Instant::now();
        while let Err((error, returned)) = producer.send(record) {
            let is_full = matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            if is_full && begun.elapsed() >= FLUSH {
                return Err(refused(KafkaError::Flush(RDKafkaErrorCode::RequestTimedOut)));
            }
            if !is_full {
                return Err(refused(error));
            }
            producer.poll(Duration::from_millis(50));
            record = returned;
        }
        if number % 1024 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(FLUSH).map_err(refused)
}

/// Words with some repetition, as JSON in real topics has, up to the wanted length.
fn write_record(value: &mut String, number: u64, bytes: usize, random: &Random) {
    value.clear();
    let infallible = write!(value, r#"{{"number":{number},"user":{},"path":"/"#, random.next_u64() % 100_000);
    debug_assert!(infallible.is_ok(), "a string takes every write");
    while value.len() + 20 < bytes {
        let word = write!(value, "{:x}/", random.next_u64() % 65_536);
        debug_assert!(word.is_ok(), "a string takes every write");
    }
    value.push_str(r#"","status":200}"#);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_json_of_about_the_wanted_length() {
        let random = Random::seeded(3);
        let mut value = String::new();
        for number in 0..100 {
            write_record(&mut value, number, 1200, &random);
            let parsed: serde_json::Value = serde_json::from_str(&value).expect("it is json");
            assert_eq!(parsed["number"], number);
            assert!((1180..=1220).contains(&value.len()), "{}", value.len());
        }
    }
}
