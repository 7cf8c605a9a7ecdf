//! Why a text is not JSON, and where.

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// It is not UTF-8.
    NotUtf8,
    /// It is not JSON.
    Syntax,
    /// It is nested deeper than [`DEPTH_MAX`](crate::DEPTH_MAX).
    TooDeep,
}

/// What is wrong with a text, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// What kind of mistake it is.
    pub kind: ErrorKind,
    /// Bytes of the text before the place.
    pub at: usize,
    /// What could have stood there.
    pub expected: &'static str,
}

impl Error {
    /// The error as a person reads it, with a little of the text that it is about.
    #[must_use]
    pub fn describe(&self, text: &[u8]) -> String {
        let near = text.get(self.at..).unwrap_or_default();
        let found = match near {
            [] => "the end of the text".to_owned(),
            _ => quoted(near),
        };
        let byte = self.at.saturating_add(1);
        format!("byte {byte}: expected {}, found {found}", self.expected)
    }
}

/// Why a plugin fails a record: one of its own codes, and a detail for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure<C> {
    /// The code.
    pub code: C,
    /// Where, what was expected, what was found.
    pub detail: String,
}

impl<C> Failure<C> {
    /// With this code and detail.
    pub fn new(code: C, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

impl<C: From<ErrorKind>> Failure<C> {
    /// `value` is not the JSON that it should be.
    #[must_use]
    pub fn json(error: Error, value: &[u8]) -> Self {
        Self::new(error.kind.into(), error.describe(value))
    }
}

/// How many characters of a text a detail quotes.
const QUOTED: usize = 24;

/// The begin of a text in backticks, with what cannot be shown escaped.
#[must_use]
pub fn quoted(text: &[u8]) -> String {
    // A character is four bytes at most, so that this many bytes are enough to look at.
    let near = &text[..text.len().min((QUOTED + 1) * 4)];
    let lossy = String::from_utf8_lossy(near);
    let mut shown = String::from("`");
    let characters = lossy.chars().take(QUOTED);
    shown.extend(characters.flat_map(char::escape_debug));
    if lossy.chars().nth(QUOTED).is_some() {
        shown.push('…');
    }
    shown.push('`');
    shown
}

/// The bytes as text.
///
/// # Errors
///
/// They are not UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|error| Error {
        kind: ErrorKind::NotUtf8,
        at: error.valid_up_to(),
        expected: "UTF-8",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_quotes_little_and_says_where() {
        let error = Error {
            kind: ErrorKind::Syntax,
            at: 2,
            expected: "a value",
        };
        assert_eq!(
            error.describe(b"[ x\n"),
            "byte 3: expected a value, found `x\\n`"
        );
        assert_eq!(
            error.describe(b"[ "),
            "byte 3: expected a value, found the end of the text"
        );
        assert_eq!(error.describe(b""), error.describe(b"[ "));
        let long = quoted("é".repeat(10_000).as_bytes());
        assert_eq!(long, format!("`{}…`", "é".repeat(24)));
        assert_eq!(
            quoted("é".repeat(24).as_bytes()),
            format!("`{}`", "é".repeat(24))
        );
        assert!(quoted(&[0xff; 1000]).len() < 100);
    }

    #[test]
    fn bytes_that_are_no_text_are_found_by_their_place() {
        assert_eq!(utf8("é".as_bytes()), Ok("é"));
        let error = utf8(b"ab\xff").unwrap_err();
        assert_eq!((error.kind, error.at), (ErrorKind::NotUtf8, 2));
    }
}
