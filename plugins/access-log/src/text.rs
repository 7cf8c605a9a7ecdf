//! Texts of a line, with the escapes that servers write: `\"`, `\\`, `\n` and the like, `\xHH`.
//!
//! Several `\xHH` in a row that are UTF-8 together become that character. A byte that is part of none
//! stays as it stands in the line, `\xHH`: JSON holds no bytes, and a replacement character would lose
//! it. Other uses of a backslash stay as they are too. Invariant: what is given out is UTF-8.

/// A text as it stands in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    raw: &'a str,
    form: Form,
}

/// What is known of a text. The most of them are plain, and are copied without a second look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// No backslash, quote or control character is in it.
    Plain,
    /// Escapes are to be resolved.
    Escaped,
    /// It means what it says, backslashes too.
    Literal,
}

impl<'a> Text<'a> {
    pub(crate) fn new(raw: &'a str) -> Self {
        Self::scanned(raw, raw.bytes().all(is_plain))
    }

    /// A text of which it is known whether all of its bytes are plain.
    pub(crate) fn scanned(raw: &'a str, plain: bool) -> Self {
        let form = if plain { Form::Plain } else { Form::Escaped };
        Self { raw, form }
    }

    /// A text without escapes: a backslash stands for itself.
    pub(crate) fn literal(raw: &'a str) -> Self {
        let form = Form::Literal;
        Self { raw, form }
    }

    /// A part of this text.
    pub(crate) fn part(self, raw: &'a str) -> Self {
        Self { raw, ..self }
    }

    /// The text as it stands in the line.
    pub(crate) fn raw(self) -> &'a str {
        self.raw
    }

    /// Whether JSON takes the text as it is.
    pub(crate) fn is_plain(self) -> bool {
        self.form == Form::Plain
    }

    /// `None` if it is `-`, by which servers say that there is nothing.
    pub(crate) fn unless_absent(self) -> Option<Self> {
        (self.raw != "-").then_some(self)
    }

    /// Gives the text piece by piece, escapes resolved. Each piece is UTF-8.
    pub(crate) fn pieces(self, mut take: impl FnMut(&[u8])) {
        if self.form != Form::Escaped {
            return take(self.raw.as_bytes());
        }
        let mut left = self.raw.as_bytes();
        while let Some(plain) = left.iter().position(|byte| *byte == b'\\') {
            take(&left[..plain]);
            left = resolve(&left[plain..], &mut take);
        }
        take(left);
    }
}

/// Whether a byte means itself, in the line as in JSON.
pub(crate) fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

/// Resolves the escape that `text` begins with, and gives what follows it.
fn resolve<'a>(text: &'a [u8], take: &mut impl FnMut(&[u8])) -> &'a [u8] {
    let simple = match text.get(1) {
        Some(b'"') => b"\"",
        Some(b'\\') => b"\\",
        Some(b'n') => b"\n",
        Some(b'r') => b"\r",
        Some(b't') => b"\t",
        Some(b'b') => b"\x08",
        Some(b'v') => b"\x0b",
        Some(b'f') => b"\x0c",
        _ => return resolve_bytes(text, take),
    };
    take(simple);
    &text[2..]
}

/// Resolves one character that is written as `\xHH` once or more, or passes the backslash as it is.
fn resolve_bytes<'a>(text: &'a [u8], take: &mut impl FnMut(&[u8])) -> &'a [u8] {
    let mut bytes = [0; 4];
    let Some(first) = escaped_byte(text, 0) else {
        take(&text[..1]);
        return &text[1..];
    };
    bytes[0] = first;
    let length = match first {
        0x00..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 0,
    };
    for (at, byte) in bytes.iter_mut().enumerate().take(length).skip(1) {
        // What is missing stays 0, which ends no character.
        *byte = escaped_byte(text, at).unwrap_or(0);
    }
    let character = &bytes[..length];
    if length == 0 || std::str::from_utf8(character).is_err() {
        take(&text[..4]);
        return &text[4..];
    }
    take(character);
    &text[length * 4..]
}

/// The byte of the escape `\xHH` number `index` of those that `text` begins with.
fn escaped_byte(text: &[u8], index: usize) -> Option<u8> {
    let &[b'\\', b'x', high, low] = text.get(index * 4..index * 4 + 4)? else {
        return None;
    };
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(raw: &str) -> String {
        let mut text = Vec::new();
        Text::new(raw).pieces(|piece| {
            assert!(std::str::from_utf8(piece).is_ok(), "{piece:?}");
            text.extend_from_slice(piece);
        });
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn escapes_are_resolved() {
        for (raw, expected) in [
            ("plain é", "plain é"),
            (r#"a \"b\" \\ c"#, "a \"b\" \\ c"),
            (r"\n\r\t\b\v\f", "\n\r\t\x08\x0b\x0c"),
            (r"\x22\x5C\x5c", "\"\\\\"),
            (r"\x00\x1f\x7F", "\0\x1f\x7f"),
            (r"\xd0\xb0\xD0\xB1", "аб"),
            (r"\xe2\x82\xac \xf0\x9f\x98\x80", "€ 😀"),
        ] {
            assert_eq!(resolved(raw), expected, "{raw}");
        }
    }

    #[test]
    fn what_is_no_escape_or_no_character_stays() {
        for raw in [
            r"\",
            r"a\",
            r"\x",
            r"\x4",
            r"\xg0",
            r"\q",
            r"\é",
            r"\xe4\xe5\xe3",
            r"\xd0",
            r"\xd0a",
            r"\xd0\n\x",
            r"\x80",
            r"\xff",
            r"\xc0\xaf",
            r"\xed\xa0\x80",
            r"\xf4\x90\x80\x80",
            r"\xf8",
        ] {
            let expected = raw.replace(r"\n", "\n");
            assert_eq!(resolved(raw), expected, "{raw}");
        }
        assert_eq!(resolved(r"\xe4\xd0\xb0\xe4"), r"\xe4а\xe4");
    }
}
