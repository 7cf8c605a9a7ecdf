//! Kafka through librdkafka; `rdkafka` appears only here.
//!
//! `consumer` is the poll thread and its handle, `queries` asks a cluster about topics and offsets,
//! `embedded` is the broker in this process and `feeder` what fills it, `native` the one unsafe module.

mod consumer;
mod embedded;
mod error;
mod feeder;
mod native;
mod preload;
mod properties;
mod queries;
#[cfg(test)]
mod test_support;

pub use consumer::{COMMANDS_MAX, Consumer, Handle, Options, Refused, TakenIn};
pub use embedded::{EMBEDDED_TOPIC_ID_PREFIX, EmbeddedBroker};
pub use error::Error;
pub use feeder::{Feeder, FeederProgress};
pub use preload::preload;
pub use queries::{Committed, Queries, Watermarks};
