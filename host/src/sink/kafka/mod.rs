//! A Kafka topic as a place to write to; with `source::kafka`, the only users of `rdkafka`.
//!
//! `message` is what is written and how it gets shorter, `producer` the client, `properties` its
//! settings. Does not know dead letters, entries or lanes. Invariant: a message that was reported as
//! sent is acknowledged by all replicas in sync; what was not reported may be in the topic or not.

mod error;
mod message;
mod producer;
mod properties;

pub use error::Error;
pub use message::{Header, LEFT_OUT, Message};
pub use producer::{Produced, Topic};
