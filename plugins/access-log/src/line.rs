//! Takes a line apart, from left to right, once. What it gives are slices of the line.
//!
//! Common: `client identity user [time] "request" status bytes`; combined adds ` "referrer" "agent"`.
//! Escapes within texts are left to [`crate::text`]. Invariant: a line is taken whole or fails.

use crate::failure::{Code, Failure};
use crate::text::{self, Text};
use crate::time::{self, Time};

/// A line taken apart. `None` stands for `-`, or for what the common format lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) client: Text<'a>,
    pub(crate) identity: Option<Text<'a>>,
    pub(crate) user: Option<Text<'a>>,
    pub(crate) time: Time,
    pub(crate) request: Text<'a>,
    pub(crate) status: Option<u16>,
    pub(crate) bytes: Option<u64>,
    pub(crate) referrer: Option<Text<'a>>,
    pub(crate) agent: Option<Text<'a>>,
    /// The line ends within the agent.
    pub(crate) truncated: bool,
    /// What follows the agent.
    pub(crate) rest: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// Takes a line apart. What follows the agent is a failure unless `takes_rest`.
    pub(crate) fn parse(value: &'a [u8], takes_rest: bool) -> Result<Self, Failure<'a>> {
        let line = std::str::from_utf8(value).map_err(|error| Failure {
            code: Code::NotUtf8,
            at: error.valid_up_to(),
            expected: "UTF-8",
            found: &value[error.valid_up_to()..],
        })?;
        let mut cursor = Cursor {
            line: line.trim_end_matches([' ', '\r', '\n']),
            at: 0,
        };
        if cursor.at_end() {
            return Err(cursor.fail(Code::EmptyLine, "a log line"));
        }
        let client = cursor.word(Code::BadClient, "a client, and a space")?;
        let identity = cursor
            .word(Code::BadIdentity, "an identity or `-`, and a space")?
            .unless_absent();
        let user = cursor.user()?;
        let time = cursor.time()?;
        cursor.expect(b" ", Code::BadRequest, "a space, and the request in quotes")?;
        let request = cursor.quoted(Code::BadRequest, "the request in quotes")?;
        cursor.expect(b" ", Code::BadStatus, "a space, and a status")?;
        let status = cursor.status()?;
        cursor.expect(b" ", Code::BadBytes, "a space, and a size")?;
        let bytes = cursor.bytes()?;
        let mut parsed = Self {
            client,
            identity,
            user,
            time,
            request,
            status,
            bytes,
            referrer: None,
            agent: None,
            truncated: false,
            rest: None,
        };
        if !cursor.at_end() {
            parsed.combined(&mut cursor, takes_rest)?;
        }
        Ok(parsed)
    }

    /// What the combined format adds.
    fn combined(&mut self, cursor: &mut Cursor<'a>, takes_rest: bool) -> Result<(), Failure<'a>> {
        cursor.expect(
            b" ",
            Code::BadReferrer,
            "a space, and the referrer in quotes",
        )?;
        let referrer = cursor.quoted(Code::BadReferrer, "the referrer in quotes")?;
        cursor.expect(b" ", Code::BadAgent, "a space, and the agent in quotes")?;
        cursor.expect(b"\"", Code::BadAgent, "the agent in quotes")?;
        let agent = match cursor.until_quote() {
            Some(agent) => agent,
            None => {
                self.truncated = true;
                cursor.remainder()
            }
        };
        self.referrer = referrer.unless_absent();
        self.agent = agent.unless_absent();
        if cursor.at_end() {
            return Ok(());
        }
        if !takes_rest {
            let expected = "the end of the line after the agent (the field `rest` would take more)";
            return Err(cursor.fail(Code::TrailingData, expected));
        }
        cursor.expect(b" ", Code::TrailingData, "a space after the agent")?;
        self.rest = Some(&cursor.line[cursor.at..]);
        Ok(())
    }
}

/// A place in a line. `at` is always at the border of a character: it only ever moves past ASCII, or to
/// the place of an ASCII byte, or to the end.
struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn left(&self) -> &'a [u8] {
        &self.line.as_bytes()[self.at..]
    }

    fn at_end(&self) -> bool {
        self.at == self.line.len()
    }

    fn fail(&self, code: Code, expected: &'static str) -> Failure<'a> {
        Failure {
            code,
            at: self.at,
            expected,
            found: self.left(),
        }
    }

    /// Passes a mark of ASCII.
    fn expect(
        &mut self,
        mark: &[u8],
        code: Code,
        expected: &'static str,
    ) -> Result<(), Failure<'a>> {
        if !self.left().starts_with(mark) {
            return Err(self.fail(code, expected));
        }
        self.at += mark.len();
        Ok(())
    }

    /// Passes `length` bytes, and gives them.
    fn take(&mut self, length: usize) -> &'a str {
        let text = &self.line[self.at..self.at + length];
        self.at += length;
        text
    }

    /// What is left of the line.
    fn remainder(&mut self) -> Text<'a> {
        Text::new(self.take(self.line.len() - self.at))
    }

    /// A word of one byte or more, and the space after it.
    fn word(&mut self, code: Code, expected: &'static str) -> Result<Text<'a>, Failure<'a>> {
        match self.left().iter().position(|byte| *byte == b' ') {
            Some(length) if length > 0 => {
                let word = self.take(length);
                self.at += 1;
                Ok(Text::new(word))
            }
            _ => Err(self.fail(code, expected)),
        }
    }

    /// All up to ` [`: servers don't escape a space in the name of a user.
    fn user(&mut self) -> Result<Option<Text<'a>>, Failure<'a>> {
        match self.left().windows(2).position(|pair| pair == b" [") {
            Some(length) if length > 0 => {
                let user = self.take(length);
                self.at += 2;
                // Apache writes an empty name so.
                let user = if user == "\"\"" { "" } else { user };
                Ok(Text::new(user).unless_absent())
            }
            _ => Err(self.fail(Code::BadUser, "a user or `-`, and ` [` before the time")),
        }
    }

    fn time(&mut self) -> Result<Time, Failure<'a>> {
        let time = Time::parse(self.left()).map_err(|(right, expected)| Failure {
            code: Code::BadTime,
            at: self.at + right,
            expected,
            found: &self.left()[right..],
        })?;
        self.at += time::LENGTH;
        self.expect(b"]", Code::BadTime, "`]` after the time")?;
        Ok(time)
    }

    fn quoted(&mut self, code: Code, expected: &'static str) -> Result<Text<'a>, Failure<'a>> {
        self.expect(b"\"", code, expected)?;
        self.until_quote().ok_or(Failure {
            code,
            at: self.line.len(),
            expected: "a quote to end it",
            found: &[],
        })
    }

    /// All up to the next quote that is not escaped, which is passed; `None`, without moving, if there is
    /// none.
    fn until_quote(&mut self) -> Option<Text<'a>> {
        let left = self.left();
        let mut length = 0;
        let mut plain = true;
        loop {
            match *left.get(length)? {
                byte if text::is_plain(byte) => length += 1,
                b'"' => break,
                byte => {
                    plain = false;
                    length += if byte == b'\\' { 2 } else { 1 };
                }
            }
        }
        let raw = self.take(length);
        self.at += 1;
        Some(Text::scanned(raw, plain))
    }

    fn status(&mut self) -> Result<Option<u16>, Failure<'a>> {
        match self.field() {
            b"-" => {
                self.at += 1;
                Ok(None)
            }
            digits @ &[a, b, c] if digits.iter().all(u8::is_ascii_digit) => {
                self.at += 3;
                let digit = |byte: u8| u16::from(byte - b'0');
                Ok(Some(digit(a) * 100 + digit(b) * 10 + digit(c)))
            }
            _ => Err(self.fail(Code::BadStatus, "a status of three digits, or `-`")),
        }
    }

    fn bytes(&mut self) -> Result<Option<u64>, Failure<'a>> {
        let field = self.field();
        if field == b"-" {
            self.at += 1;
            return Ok(None);
        }
        let add = |sum: u64, byte: &u8| {
            let digit = byte
                .is_ascii_digit()
                .then_some(u64::from(byte.wrapping_sub(b'0')))?;
            sum.checked_mul(10)?.checked_add(digit)
        };
        match field.iter().try_fold(0, add) {
            Some(bytes) if !field.is_empty() => {
                self.at += field.len();
                Ok(Some(bytes))
            }
            _ => Err(self.fail(Code::BadBytes, "a size in bytes, or `-`")),
        }
    }

    /// What is left up to the next space, without moving.
    fn field(&self) -> &'a [u8] {
        let left = self.left();
        let length = left
            .iter()
            .position(|byte| *byte == b' ')
            .unwrap_or(left.len());
        &left[..length]
    }
}
