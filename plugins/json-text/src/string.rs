//! Strings as JSON writes them: comparing, reading and writing.

/// A string as it was written, without its quotes. Its escapes are known to be well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Str<'a> {
    pub(crate) raw: &'a str,
    pub(crate) is_plain: bool,
    pub(crate) start: usize,
}

impl<'a> Str<'a> {
    /// What stands between the quotes.
    #[must_use]
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// Whether what is written is what is meant: there are no escapes.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Bytes of the text before the string, the quote included.
    #[must_use]
    pub fn start(&self) -> usize {
        self.start
    }

    /// Whether it means this text.
    #[must_use]
    pub fn means(&self, text: &str) -> bool {
        if self.is_plain {
            return self.raw == text;
        }
        let mut left = Some(text.as_bytes());
        self.pieces(|piece| left = left.and_then(|left| left.strip_prefix(piece)));
        left.is_some_and(<[u8]>::is_empty)
    }

    /// Appends what it means. That is UTF-8, unless it holds an escaped lone surrogate, which becomes the
    /// three bytes that it would have if it were a character.
    pub fn read_into(&self, out: &mut Vec<u8>) {
        self.pieces(|piece| out.extend_from_slice(piece));
    }

    fn pieces(&self, mut take: impl FnMut(&[u8])) {
        let mut left = self.raw.as_bytes();
        while let Some(plain) = left.iter().position(|byte| *byte == b'\\') {
            take(&left[..plain]);
            let escape = &left[plain..];
            let (length, code) = unescape(escape);
            let mut bytes = [0; 4];
            take(encode(code, &mut bytes));
            left = escape.get(length..).unwrap_or_default();
        }
        take(left);
    }
}

/// How long the escape at the begin of `text` is, and which code point it means.
fn unescape(text: &[u8]) -> (usize, u32) {
    let code = match text.get(1) {
        Some(b'u') => {
            let first = unit(text);
            let second = unit(text.get(6..).unwrap_or_default());
            return match (first, second) {
                (0xd800..=0xdbff, 0xdc00..=0xdfff) => {
                    (12, 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
                }
                _ => (6, first),
            };
        }
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => 0x0a,
        Some(b'r') => 0x0d,
        Some(b't') => 0x09,
        Some(other) => u32::from(*other),
        None => u32::from(b'\\'),
    };
    (2, code)
}

/// The number of a `\uXXXX` at the begin of `text`; 0 if there is none.
fn unit(text: &[u8]) -> u32 {
    match text {
        [b'\\', b'u', digits @ ..] => digits
            .iter()
            .take(4)
            .filter_map(|digit| char::from(*digit).to_digit(16))
            .fold(0, |unit, digit| unit << 4 | digit),
        _ => 0,
    }
}

/// A code point as UTF-8 would have it, surrogates too.
fn encode(code: u32, bytes: &mut [u8; 4]) -> &[u8] {
    match char::from_u32(code) {
        Some(character) => character.encode_utf8(bytes).as_bytes(),
        None => {
            let [_, _, high, low] = code.to_be_bytes();
            bytes[0] = 0xe0 | high >> 4;
            bytes[1] = 0x80 | (high & 15) << 2 | low >> 6;
            bytes[2] = 0x80 | low & 63;
            &bytes[..3]
        }
    }
}

/// Appends a text as it stands between the quotes of a JSON string.
pub fn escape(out: &mut Vec<u8>, text: &str) {
    let mut left = text.as_bytes();
    let special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    while let Some(plain) = left.iter().position(special) {
        out.extend_from_slice(&left[..plain]);
        let byte = left[plain];
        let letter = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            0x09 => b't',
            0x0a => b'n',
            0x0c => b'f',
            0x0d => b'r',
            _ => b'u',
        };
        out.extend_from_slice(&[b'\\', letter]);
        if letter == b'u' {
            let digit = |number: u8| b"0123456789abcdef"[usize::from(number)];
            out.extend_from_slice(&[b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
        }
        left = &left[plain + 1..];
    }
    out.extend_from_slice(left);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn string(raw: &str) -> Str<'_> {
        Str {
            raw,
            is_plain: !raw.contains('\\'),
            start: 1,
        }
    }

    #[test]
    fn escapes_mean_what_json_says() {
        for (raw, meant) in [
            ("plain é", "plain é"),
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"\u00e9\u00E9x", "ééx"),
            (r"\ud83d\ude00!", "😀!"),
            (r"a\u0000b", "a\0b"),
            ("", ""),
        ] {
            let mut read = Vec::new();
            string(raw).read_into(&mut read);
            assert_eq!(read, meant.as_bytes(), "{raw}");
            assert!(string(raw).means(meant), "{raw}");
            assert!(!string(raw).means(&format!("{meant}x")), "{raw}");
            assert!(!string(&format!("{raw}x")).means(meant), "{raw}");
        }
    }

    #[test]
    fn lone_surrogates_are_kept_apart() {
        let read = |raw| {
            let mut read = Vec::new();
            string(raw).read_into(&mut read);
            read
        };
        assert_eq!(read(r"\ud800"), b"\xed\xa0\x80");
        assert_eq!(read(r"\udfff\ud800x"), b"\xed\xbf\xbf\xed\xa0\x80x");
        assert_ne!(read(r"\ud800"), read(r"\ud801"));
    }

    proptest! {
        #[test]
        fn any_text_is_written_and_read_back(text: String) {
            let mut raw = Vec::new();
            escape(&mut raw, &text);
            let raw = String::from_utf8(raw).unwrap();
            prop_assert_eq!(&serde_json::from_str::<String>(&format!("\"{raw}\"")).unwrap(), &text);
            prop_assert!(string(&raw).means(&text));
        }

        #[test]
        fn any_escapes_are_read_like_another_reader_does(raw in r#"(\\u[0-9a-f]{4}|\\[nrtbf/"\\]|[a-zé]){0,8}"#) {
            let mut read = Vec::new();
            string(&raw).read_into(&mut read);
            if let Ok(other) = serde_json::from_str::<String>(&format!("\"{raw}\"")) {
                prop_assert_eq!(read, other.as_bytes());
            }
        }
    }
}
