//! Reads JSON as text, for plugins that pass on values as they were written.
//!
//! [`Cursor`] walks through a text, [`Path`] names a field, and [`PathTree`] finds the fields of many paths
//! in one walk. No number is ever read into a machine's number and no string is copied unless it is asked
//! for, so that big integers, `1e400`, `-0` and trailing zeros stay what they are. Invariant: what a
//! [`Cursor`] passes is JSON by RFC 8259, nested no deeper than [`DEPTH_MAX`]; its stack and memory do not
//! grow with the text.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))] // a test that unwraps says what it expects

mod cursor;
mod error;
mod path;
mod string;

pub use cursor::{Cursor, DEPTH_MAX, Kind, Value, is_number};
pub use error::{Error, ErrorKind, Failure, quoted, utf8};
pub use path::{Path, PathTree};
pub use string::{Str, escape};
