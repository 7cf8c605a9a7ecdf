//! A value as a line of an object.
//!
//! Owns the two formats. Invariant: each call that succeeds appends bytes that end in one newline; a
//! call that fails appends nothing.
//!
//! | value | `raw` | `json-lines` |
//! | --- | --- | --- |
//! | a JSON text on one line | as it is | as it is, without white space around it |
//! | a JSON text with line breaks | as it is | without any white space outside strings |
//! | other bytes | as they are | [`NotJson`] |
//! | ends in a newline | that newline ends the line | white space around the text goes |
//! | newlines inside | stay: a reader sees several lines | can't be: JSON escapes them in strings |
//! | empty | an empty line | [`NotJson`] |
//! | none (a tombstone) | an empty line | `null` |
//!
//! Numbers, escapes, the order of members and repeated names stay as written: nothing is parsed into
//! values.

use super::json::{self, NotJson};
use crate::config::Format;

/// Appends a value as one line.
///
/// # Errors
/// Where the format is JSON lines and the value is not one JSON text; `out` is as it was.
pub fn encode_line(format: Format, value: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), NotJson> {
    match format {
        Format::Raw => {
            let value = value.unwrap_or_default();
            out.reserve(value.len() + 1);
            out.extend_from_slice(value);
            if value.last() != Some(&b'\n') {
                out.push(b'\n');
            }
        }
        Format::JsonLines => {
            let value = value.unwrap_or(b"null");
            let text = json::check(value)?;
            let bytes = &value[text.start..text.end];
            out.reserve(bytes.len() + 1);
            if text.broken {
                json::compact(bytes, out);
            } else {
                out.extend_from_slice(bytes);
            }
            out.push(b'\n');
        }
    }
    Ok(())
}
