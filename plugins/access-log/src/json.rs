//! Writes the object. Invariant: what is written is one JSON object on one line, in UTF-8.

use crate::config::{Column, Field};
use crate::line::Line;
use crate::request::Request;
use crate::text::Text;

/// Appends the object to `out`.
pub(crate) fn write(out: &mut Vec<u8>, line: &Line<'_>, columns: &[Column]) {
    let request = Request::split(line.request.raw());
    let part = |part: fn(Request<'_>) -> &str| request.map(part).map(|raw| line.request.part(raw));
    let mut separator = b'{';
    for column in columns {
        let is_odd = match column.field {
            Field::Request => request.is_none(),
            Field::Truncated => line.truncated,
            _ => true,
        };
        if column.only_if_odd && !is_odd {
            continue;
        }
        out.push(separator);
        separator = b',';
        out.extend_from_slice(&column.prefix);
        match column.field {
            Field::Client => text(out, line.client),
            Field::Identity => optional(out, line.identity),
            Field::User => optional(out, line.user),
            Field::Time => {
                out.push(b'"');
                out.extend_from_slice(line.time.as_bytes());
                out.push(b'"');
            }
            Field::Method => optional(out, part(|request| request.method)),
            Field::Path => optional(out, part(|request| request.path)),
            Field::Protocol => optional(out, part(|request| request.protocol)),
            Field::Status => number(out, line.status.map(u64::from)),
            Field::Bytes => number(out, line.bytes),
            Field::Referrer => optional(out, line.referrer),
            Field::Agent => optional(out, line.agent),
            Field::Request => text(out, line.request),
            Field::Truncated => {
                out.extend_from_slice(if line.truncated { b"true" } else { b"false" })
            }
            Field::Rest => optional(out, line.rest.map(Text::literal)),
        }
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}

/// Appends a JSON string.
pub(crate) fn text(out: &mut Vec<u8>, text: Text<'_>) {
    out.push(b'"');
    match text.is_plain() {
        true => out.extend_from_slice(text.raw().as_bytes()),
        false => text.pieces(|piece| escaped(out, piece)),
    }
    out.push(b'"');
}

fn optional(out: &mut Vec<u8>, value: Option<Text<'_>>) {
    match value {
        Some(value) => text(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

fn number(out: &mut Vec<u8>, value: Option<u64>) {
    let Some(mut value) = value else {
        return out.extend_from_slice(b"null");
    };
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789"[(value % 10) as usize];
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// What JSON wants of each byte of a string: 0 as it is, `u` by its number, else that letter.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        escapes[byte] = b'u';
        byte += 1;
    }
    escapes[0x08] = b'b';
    escapes[0x09] = b't';
    escapes[0x0a] = b'n';
    escapes[0x0c] = b'f';
    escapes[0x0d] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes
};

fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut left = text;
    while let Some(plain) = left
        .iter()
        .position(|byte| ESCAPES[usize::from(*byte)] != 0)
    {
        out.extend_from_slice(&left[..plain]);
        let byte = left[plain];
        match ESCAPES[usize::from(byte)] {
            b'u' => {
                let digit = |number: u8| b"0123456789abcdef"[usize::from(number)];
                out.extend_from_slice(&[
                    b'\\',
                    b'u',
                    b'0',
                    b'0',
                    digit(byte >> 4),
                    digit(byte & 15),
                ]);
            }
            letter => out.extend_from_slice(&[b'\\', letter]),
        }
        left = &left[plain + 1..];
    }
    out.extend_from_slice(left);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn string(raw: &str) -> Vec<u8> {
        let mut out = Vec::new();
        text(&mut out, Text::literal(raw));
        out
    }

    #[test]
    fn strings_are_written_as_json_wants_them() {
        let all: String = (0_u8..=0x7f).map(char::from).collect();
        let read: String = serde_json::from_slice(&string(&all)).unwrap();
        assert_eq!(read, all);
        assert_eq!(
            string("a\"\\\n\x01é"),
            "\"a\\\"\\\\\\n\\u0001é\"".as_bytes()
        );
    }

    #[test]
    fn numbers_are_written_whole() {
        for value in [0, 7, 10, 200, 4_294_967_296, u64::MAX] {
            let mut out = Vec::new();
            number(&mut out, Some(value));
            assert_eq!(out, value.to_string().as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_text_reads_back(raw: String) {
            let read: String = serde_json::from_slice(&string(&raw)).unwrap();
            prop_assert_eq!(read, raw);
        }
    }
}
