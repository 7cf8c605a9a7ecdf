//! Vanne's host: reads Kafka partitions, runs WebAssembly transforms, delivers objects exactly once.
//!
//! Each folder is a stage and imports only the leaves (`record`, `clock`, `retry`, `codec`, `crash`,
//! `filter`, `store`, `telemetry`) and `config`; `pipeline` alone knows the order of the stages. Read
//! `record` for the nouns, then `pipeline` for the way that they go.

pub mod batch;
pub mod cli;
pub mod clock;
pub mod codec;
pub mod config;
pub mod control;
pub mod crash;
pub mod filter;
pub mod ledger;
pub mod pipeline;
pub mod plugin;
pub mod record;
pub mod retry;
pub mod sink;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod transform;
