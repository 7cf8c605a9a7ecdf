//! `host` as a process over embedded brokers: what a person types, what comes out, how it ends.
//!
//! Needs no server. Each run writes to a temporary folder and is read back by `run/lake.rs`, which shares no code with
//! the host; scenarios that only wait are started side by side.

#[path = "common/guests.rs"]
mod guests;

#[path = "config/mutate.rs"]
mod mutate;

mod run {
    pub(crate) mod host;
    pub(crate) mod lake;
    pub(crate) mod lines;

    mod batches;
    mod breaker;
    mod chain_example;
    mod chains;
    mod command_line;
    mod dev;
    mod explain;
    mod feeds;
    mod filter;
    mod isolation;
    mod plugins;
    mod policy;
    mod quickstart;
    mod secrets;
    mod signals;
    mod sinks;
}
