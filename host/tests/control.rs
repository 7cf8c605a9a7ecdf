//! The control API over TCP, and the commands that talk to it, with somebody behind it who only remembers
//! what was asked.
//!
//! `control/wire.rs` speaks HTTP by itself, so that the server is not judged by a client that shares its code.

#[path = "control/fake.rs"]
mod fake;
#[path = "control/schema.rs"]
mod schema;
#[path = "control/wire.rs"]
mod wire;

#[path = "control/commands.rs"]
mod commands;
#[path = "control/document.rs"]
mod document;
#[path = "control/door.rs"]
mod door;
#[path = "control/limits.rs"]
mod limits;
