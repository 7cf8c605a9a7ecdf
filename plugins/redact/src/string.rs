//! JSON strings: what they say, and how a text is written as one.

use std::borrow::Cow;

/// Reads the string that begins at `start`, which has a quote: what it says, and where it ends. On
/// failure, the place and what was expected there.
///
/// Half of a surrogate pair, which is no character, is read as U+FFFD.
pub(crate) fn read(
    text: &str,
    start: usize,
) -> Result<(Cow<'_, str>, usize), (usize, &'static str)> {
    let bytes = text.as_bytes();
    let mut content = Cow::Borrowed("");
    let mut from = start + 1;
    let mut at = from;
    loop {
        match bytes.get(at) {
            Some(b'"') => {
                push(&mut content, &text[from..at]);
                return Ok((content, at + 1));
            }
            Some(b'\\') => {
                push(&mut content, &text[from..at]);
                let (character, length) =
                    escape(&bytes[at..]).ok_or((at, "an escape that JSON knows"))?;
                content.to_mut().push(character);
                at += length;
                from = at;
            }
            Some(0x20..) => at += 1,
            Some(_) => return Err((at, "no control character in a string")),
            None => return Err((at, "the quote that ends a string")),
        }
    }
}

fn push<'t>(content: &mut Cow<'t, str>, piece: &'t str) {
    match content.is_empty() {
        true => *content = Cow::Borrowed(piece),
        false => content.to_mut().push_str(piece),
    }
}

/// The character of the escape that a text begins with, and the length of the escape.
fn escape(text: &[u8]) -> Option<(char, usize)> {
    let character = match text.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(text),
        _ => return None,
    };
    Some((character, 2))
}

fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let first = unit(text, 2)?;
    let is_high = (0xd800..0xdc00).contains(&first);
    if is_high && text.get(6..8) == Some(b"\\u") {
        let second = unit(text, 8)?;
        if (0xdc00..0xe000).contains(&second) {
            let code = 0x1_0000 + ((first - 0xd800) << 10 | (second - 0xdc00));
            return char::from_u32(code).map(|character| (character, 12));
        }
    }
    Some((
        char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER),
        6,
    ))
}

fn unit(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4)?;
    digits.iter().try_fold(0, |unit, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some(unit << 4 | value)
    })
}

/// Appends a text as a string, with the escapes that JSON wants and no others.
pub(crate) fn write(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' => {
                out.push_str("\\u00");
                for digit in [character as u32 >> 4, character as u32 & 15] {
                    out.extend(char::from_digit(digit, 16));
                }
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_read_and_others_refused() {
        for (text, expected) in [
            (r#""plain é""#, Ok("plain é")),
            (r#""""#, Ok("")),
            (
                r#""a\u0040b\u002E\"\\\/\b\f\n\r\t""#,
                Ok("a@b.\"\\/\u{8}\u{c}\n\r\t"),
            ),
            (r#""\ud83d\ude00 \uD83D\uDE00""#, Ok("😀 😀")),
            (
                r#""\ud83d \ud83d\n \ude00 \ud83d\ud83d\ude00""#,
                Ok("\u{fffd} \u{fffd}\n \u{fffd} \u{fffd}😀"),
            ),
            (r#""a"#, Err(2)),
            (r#""a\"#, Err(2)),
            (r#""\x""#, Err(1)),
            (r#""\u12g4""#, Err(1)),
            (r#""\u12"#, Err(1)),
            (r#""\ud83d\u12""#, Err(1)),
            ("\"a\nb\"", Err(2)),
        ] {
            let read = read(text, 0);
            match expected {
                Ok(expected) => assert_eq!(read, Ok((expected.into(), text.len())), "{text}"),
                Err(at) => assert_eq!(read.map_err(|(at, _)| at), Err(at), "{text}"),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(text: String) {
            let mut written = String::new();
            write(&mut written, &text);
            prop_assert_eq!(&serde_json::from_str::<String>(&written).unwrap(), &text);
            prop_assert_eq!(read(&written, 0), Ok((text.into(), written.len())));
        }
    }
}
