//! The control API: HTTP and JSON under `/v1`, to look at running pipelines and to change them.
//!
//! - [`model`] is what goes over the wire, the same for server and client;
//! - [`Operate`] is what the server asks for what it serves: this folder knows no pipeline;
//! - [`Server`] is the door: who may come in, how much, for how long;
//! - [`Client`] is what the commands talk through;
//! - `openapi.json` describes all of it, and a test holds it against the server.
//!
//! Does not own: what an operation does, nor whether it may be done. Invariants: without a token only this
//! machine's own programs come in, and no page of a browser; nothing that a caller sends is unbounded, in
//! bytes or in time; the token is never printed.

mod auth;
pub mod client;
mod error;
pub mod model;
pub mod operate;
mod server;

pub use auth::TOKEN_CHARACTERS;
pub use client::Client;
pub use error::Error;
pub use operate::{Declined, Operate};
pub use server::{Server, routes};

/// Bytes of a component that is sent to a host.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;

/// The description of the API that `GET /v1/openapi.json` answers.
pub const DOCUMENT: &str = include_str!("openapi.json");
