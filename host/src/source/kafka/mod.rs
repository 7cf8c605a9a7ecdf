//! Kafka through librdkafka; `rdkafka` appears only here.

mod error;

pub use error::Error;
