//! A place in a JSON text, and how to go on from it.
//!
//! Invariant: what was passed is well formed; the place is never inside of a character.

use crate::error::{Error, ErrorKind};
use crate::string::Str;

/// How deep objects and arrays may nest. Real records stay below 20, and common readers stop at 127.
pub const DEPTH_MAX: usize = 127;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `{...}`
    Object,
    /// `[...]`
    Array,
    /// `"..."`
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// `null`
    Null,
}

impl Kind {
    /// The kind as a detail names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Null => "null",
        }
    }
}

/// A value as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its text, the quotes of a string included.
    pub raw: &'a str,
    /// Bytes of the whole text before it.
    pub start: usize,
    /// A string: it has no escapes. An object or array: no white space stands between its tokens. Anything
    /// else is plain.
    pub is_plain: bool,
}

impl<'a> Value<'a> {
    /// The string that it is, if it is one.
    #[must_use]
    pub fn string(&self) -> Option<Str<'a>> {
        let raw = self.raw.strip_prefix('"')?.strip_suffix('"')?;
        Some(Str {
            raw,
            is_plain: self.is_plain,
            start: self.start + 1,
        })
    }

    /// Appends its text, without white space between its tokens.
    pub fn write_into(&self, out: &mut Vec<u8>) {
        let is_nested = matches!(self.kind, Kind::Object | Kind::Array);
        match is_nested && !self.is_plain {
            true => compact(self.raw.as_bytes(), out),
            false => out.extend_from_slice(self.raw.as_bytes()),
        }
    }
}

/// Appends a JSON text without the white space outside of its strings.
fn compact(text: &[u8], out: &mut Vec<u8>) {
    let mut in_string = false;
    let mut is_escaped = false;
    for byte in text {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' if !in_string => continue,
            b'"' if !is_escaped => in_string = !in_string,
            _ => {}
        }
        is_escaped = *byte == b'\\' && !is_escaped;
        out.push(*byte);
    }
}

/// A place in a text.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// Objects and arrays around the place.
    depth: usize,
}

impl<'a> Cursor<'a> {
    /// The begin of a text.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self::within(text, 0)
    }

    /// The begin of a text that will stand inside of `depth` objects and arrays.
    #[must_use]
    pub fn within(text: &'a str, depth: usize) -> Self {
        Self { text, at: 0, depth }
    }

    /// How many objects and arrays are around the place.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// What kind of value comes next. The value itself may still turn out to be malformed.
    ///
    /// # Errors
    ///
    /// No value begins here.
    pub fn kind(&mut self) -> Result<Kind, Error> {
        self.skip_space();
        match self.byte() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Boolean),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(self.wrong("a value")),
        }
    }

    /// Passes the next value, whatever it is.
    ///
    /// # Errors
    ///
    /// It is not JSON, or nested too deep.
    pub fn value(&mut self) -> Result<Value<'a>, Error> {
        let kind = self.kind()?;
        let start = self.at;
        let is_plain = match kind {
            Kind::Object | Kind::Array => self.nested()?,
            _ => self.scalar(kind)?,
        };
        Ok(Value {
            kind,
            raw: &self.text[start..self.at],
            start,
            is_plain,
        })
    }

    /// Goes into the object or array that comes next.
    ///
    /// # Errors
    ///
    /// There is none, or it is nested too deep.
    pub fn enter(&mut self) -> Result<(), Error> {
        if !matches!(self.kind()?, Kind::Object | Kind::Array) {
            return Err(self.wrong("an object or an array"));
        }
        self.deepen()?;
        self.at += 1;
        Ok(())
    }

    /// The name of the next member of the object around, or `None` after passing the object's end. The
    /// member's value has to be passed next.
    ///
    /// # Errors
    ///
    /// It is not JSON.
    pub fn member(&mut self, is_first: bool) -> Result<Option<Str<'a>>, Error> {
        if self.ends(b'}', is_first, "`,` or `}`")? {
            return Ok(None);
        }
        self.name().map(Some)
    }

    /// Whether another element of the array around comes next, or else its end, which is passed.
    ///
    /// # Errors
    ///
    /// It is not JSON.
    pub fn element(&mut self, is_first: bool) -> Result<bool, Error> {
        self.ends(b']', is_first, "`,` or `]`").map(|ends| !ends)
    }

    /// Makes sure that nothing but white space is left.
    ///
    /// # Errors
    ///
    /// Something is.
    pub fn finish(&mut self) -> Result<(), Error> {
        self.skip_space();
        match self.byte() {
            None => Ok(()),
            Some(_) => Err(self.wrong("nothing after the value")),
        }
    }

    fn ends(&mut self, close: u8, is_first: bool, expected: &'static str) -> Result<bool, Error> {
        self.skip_space();
        match self.byte() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth = self.depth.saturating_sub(1);
                Ok(true)
            }
            _ if is_first => Ok(false),
            Some(b',') => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.wrong(expected)),
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn wrong(&self, expected: &'static str) -> Error {
        Error {
            kind: ErrorKind::Syntax,
            at: self.at,
            expected,
        }
    }

    /// Whether there was any.
    fn skip_space(&mut self) -> bool {
        let start = self.at;
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
        self.at > start
    }

    fn deepen(&mut self) -> Result<(), Error> {
        if self.depth >= DEPTH_MAX {
            return Err(Error {
                kind: ErrorKind::TooDeep,
                ..self.wrong("objects and arrays nested 127 deep at most")
            });
        }
        self.depth += 1;
        Ok(())
    }

    /// A name and its colon; white space before them is passed.
    fn name(&mut self) -> Result<Str<'a>, Error> {
        self.skip_space();
        if self.byte() != Some(b'"') {
            return Err(self.wrong("a name in quotes"));
        }
        let start = self.at + 1;
        let is_plain = self.string()?;
        let raw = &self.text[start..self.at - 1];
        self.skip_space();
        match self.byte() {
            Some(b':') => self.at += 1,
            _ => return Err(self.wrong("`:`")),
        }
        Ok(Str {
            raw,
            is_plain,
            start,
        })
    }

    fn scalar(&mut self, kind: Kind) -> Result<bool, Error> {
        match kind {
            Kind::String => return self.string(),
            Kind::Number => self.number()?,
            Kind::Null => self.word("null")?,
            _ if self.byte() == Some(b't') => self.word("true")?,
            _ => self.word("false")?,
        }
        Ok(true)
    }

    /// Passes an object or array without a call for each level; says whether it holds no white space.
    fn nested(&mut self) -> Result<bool, Error> {
        // One bit for each open object or array: 1 is an object.
        let mut objects = 0_u128;
        let outside = self.depth;
        let mut spaced = false;
        loop {
            let kind = self.kind()?;
            let mut is_first = false;
            match kind {
                Kind::Object | Kind::Array => {
                    self.deepen()?;
                    self.at += 1;
                    objects = objects << 1 | u128::from(kind == Kind::Object);
                    is_first = true;
                }
                _ => _ = self.scalar(kind)?,
            }
            // After a value: what it stands in may end, and what that stands in.
            loop {
                spaced |= self.skip_space();
                let in_object = objects & 1 == 1;
                let (close, expected) = match in_object {
                    true => (b'}', "`,` or `}`"),
                    false => (b']', "`,` or `]`"),
                };
                if self.ends(close, is_first, expected)? {
                    objects >>= 1;
                    is_first = false;
                    if self.depth == outside {
                        return Ok(!spaced);
                    }
                    continue;
                }
                spaced |= self.skip_space();
                if in_object {
                    let before = self.at;
                    let name = self.name()?;
                    // The quotes and the colon are three bytes.
                    spaced |= self.at - before > name.raw.len() + 3;
                    spaced |= self.skip_space();
                }
                break;
            }
        }
    }

    /// Passes a string; says whether it has no escapes.
    fn string(&mut self) -> Result<bool, Error> {
        let opening = self.at;
        self.at += 1;
        let mut is_plain = true;
        let bytes = self.text.as_bytes();
        loop {
            let left = bytes.get(self.at..).unwrap_or_default();
            let special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
            let Some(plain) = left.iter().position(special) else {
                self.at = opening;
                return Err(self.wrong("a string that ends"));
            };
            self.at += plain;
            match left[plain] {
                b'"' => {
                    self.at += 1;
                    return Ok(is_plain);
                }
                b'\\' => {
                    is_plain = false;
                    self.escape()?;
                }
                _ => return Err(self.wrong("no control character in a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Error> {
        let left = &self.text.as_bytes()[self.at..];
        let length = match left.get(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u')
                if left
                    .get(2..6)
                    .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) =>
            {
                6
            }
            _ => return Err(self.wrong("an escape that JSON has")),
        };
        self.at += length;
        Ok(())
    }

    fn number(&mut self) -> Result<(), Error> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
        match self.at > start {
            true => Ok(()),
            false => Err(self.wrong("a digit")),
        }
    }

    fn word(&mut self, word: &'static str) -> Result<(), Error> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.wrong("`true`, `false` or `null`"));
        }
        self.at += word.len();
        Ok(())
    }
}

/// Whether a text is a number as JSON writes it, and nothing else.
#[must_use]
pub fn is_number(text: &str) -> bool {
    let mut cursor = Cursor::new(text);
    cursor.number().is_ok() && cursor.at == text.len()
}

#[cfg(test)]
mod tests;
