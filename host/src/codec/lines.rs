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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: Format, value: Option<&[u8]>) -> String {
        let mut out = b"before|".to_vec();
        encode_line(format, value, &mut out).expect("the value fits the format");
        String::from_utf8(out.split_off(7)).expect("text")
    }

    #[test]
    fn raw_ends_every_value_in_one_newline() {
        assert_eq!(line(Format::Raw, Some(b"a b")), "a b\n");
        assert_eq!(line(Format::Raw, Some(b"a\n")), "a\n");
        assert_eq!(line(Format::Raw, Some(b"a\n\n")), "a\n\n");
        assert_eq!(line(Format::Raw, Some(b"a\nb")), "a\nb\n");
        assert_eq!(line(Format::Raw, Some(b"")), "\n");
        assert_eq!(line(Format::Raw, None), "\n");
    }

    #[test]
    fn json_on_one_line_stays_byte_for_byte() {
        let text = r#"{"a": 1.0E+400, "a": 12345678901234567890123, "b": "\u00e9\ud800 \n"}"#;
        assert_eq!(line(Format::JsonLines, Some(text.as_bytes())), format!("{text}\n"));
        assert_eq!(line(Format::JsonLines, Some(b" [1]\r\n")), "[1]\n");
        assert_eq!(line(Format::JsonLines, Some(b"null")), "null\n");
        assert_eq!(line(Format::JsonLines, None), "null\n");
    }

    #[test]
    fn json_over_several_lines_becomes_one() {
        let text = b"{\n  \"a b\" : [ 1.50 ,\r\n 2 ] ,\t\"c\\\" d\": \"e  f\\\\\"\n}\n";
        assert_eq!(line(Format::JsonLines, Some(text)), "{\"a b\":[1.50,2],\"c\\\" d\":\"e  f\\\\\"}\n");
    }

    #[test]
    fn a_value_that_is_not_json_leaves_no_trace() {
        let mut out = b"kept".to_vec();
        for value in [&b""[..], b"GET / HTTP/1.1", b"{\"a\":1}{\"a\":2}", b"\xef\xbb\xbf{}", b"{\n\"a\""] {
            assert!(encode_line(Format::JsonLines, Some(value), &mut out).is_err());
        }
        assert_eq!(out, b"kept");
    }
}
