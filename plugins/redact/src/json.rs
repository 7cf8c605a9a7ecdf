//! Going through a JSON value once, and writing only what changes: all else is copied as it stands.
//!
//! Owns the grammar (RFC 8259, checked to the last byte), where rules apply and how a member is taken
//! out. Invariant: what is given out is JSON, and differs from the value in strings, numbers and members
//! that a rule is about and in nothing else.

use std::borrow::Cow;

use crate::config::{FieldRule, Options};
use crate::failure::{Code, Failure};
use crate::find;
use crate::string;

/// How deep a value may be nested. Each level is a call.
const DEPTH_MAX: usize = 128;

/// What applies to a value.
#[derive(Debug, Clone, Copy)]
enum Mode<'o> {
    /// The patterns do, and below it those field rules, one bit each, whose path leads here.
    Look(u64),
    /// This field rule does, to all strings and numbers in it.
    Apply(&'o FieldRule),
    /// Nothing: it is taken out.
    Skip,
}

/// The value without what the rules are about; `None` if they are about nothing in it.
pub(crate) fn redact(options: &Options, text: &str) -> Result<Option<String>, Failure> {
    let mut walk = Walk {
        options,
        text,
        bytes: text.as_bytes(),
        at: 0,
        copied: 0,
        out: String::new(),
        changed: false,
    };
    walk.space();
    walk.value(Mode::Look(options.all_fields()), 0)?;
    walk.space();
    if walk.at < text.len() {
        return Err(walk.failure("the end after one JSON value"));
    }
    Ok(walk.changed.then(|| {
        walk.out.push_str(&text[walk.copied..]);
        walk.out
    }))
}

struct Walk<'o, 't> {
    options: &'o Options,
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    /// How much of the text is written or passed over.
    copied: usize,
    out: String,
    changed: bool,
}

/// What the members or elements before the current one leave to do.
#[derive(Default)]
struct Members {
    /// Where the last one that stays ends.
    kept_end: Option<usize>,
    /// Where the first of those that go begins, while none before it stays.
    gone_from: Option<usize>,
}

impl<'o, 't> Walk<'o, 't> {
    fn failure(&self, expected: &'static str) -> Failure {
        Failure {
            code: Code::BadJson,
            at: self.at,
            expected,
        }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn value(&mut self, mode: Mode<'o>, depth: usize) -> Result<(), Failure> {
        match self.bytes.get(self.at) {
            Some(b'{' | b'[') if depth == DEPTH_MAX => Err(Failure {
                code: Code::TooDeep,
                ..self.failure("a value that is nested less than 128 deep")
            }),
            Some(b'{') => self.container(mode, depth, true),
            Some(b'[') => self.container(mode, depth, false),
            Some(b'"') => self.string(mode),
            Some(b'-' | b'0'..=b'9') => self.number(mode),
            Some(b't') => self.word("true", mode),
            Some(b'f') => self.word("false", mode),
            Some(b'n') => self.word("null", Mode::Skip),
            _ => Err(self.failure("a JSON value")),
        }
    }

    fn container(&mut self, mode: Mode<'o>, depth: usize, is_object: bool) -> Result<(), Failure> {
        let close = if is_object { b'}' } else { b']' };
        self.at += 1;
        self.space();
        if self.bytes.get(self.at) == Some(&close) {
            self.at += 1;
            return Ok(());
        }
        let mut members = Members::default();
        loop {
            self.member(mode, depth, is_object, &mut members)?;
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(byte) if *byte == close => break,
                _ if is_object => return Err(self.failure("`,` or `}`")),
                _ => return Err(self.failure("`,` or `]`")),
            }
            self.space();
        }
        self.at += 1;
        Ok(())
    }

    /// One member or element; without its comma, which goes where the member goes.
    fn member(
        &mut self,
        mode: Mode<'o>,
        depth: usize,
        is_object: bool,
        members: &mut Members,
    ) -> Result<(), Failure> {
        let start = self.at;
        let (name, key_end) = match is_object {
            true => {
                let name = self.key()?;
                let end = self.at;
                self.space();
                if self.bytes.get(self.at) != Some(&b':') {
                    return Err(self.failure("`:`"));
                }
                self.at += 1;
                self.space();
                (Some(name), end)
            }
            false => (None, start),
        };
        let below = self.mode_below(mode, depth, name.as_deref());
        let is_removed = !matches!(mode, Mode::Skip) && matches!(below, Mode::Skip);
        if is_removed {
            self.value(Mode::Skip, depth + 1)?;
            match members.kept_end {
                Some(end) => self.cut(end.max(self.copied), self.at),
                None => {
                    let from = *members.gone_from.get_or_insert(start);
                    self.cut(from.max(self.copied), self.at);
                }
            }
            return Ok(());
        }
        if members.kept_end.is_none() && members.gone_from.is_some() {
            self.cut(self.copied, start);
        }
        if let (Some(name), false, true) = (&name, matches!(mode, Mode::Skip), self.options.keys)
            && let Some(redacted) = self.options.patterns.redact(name)?
        {
            self.splice(start, key_end, &redacted);
        }
        self.value(below, depth + 1)?;
        members.kept_end = Some(self.at);
        Ok(())
    }

    fn mode_below(&self, mode: Mode<'o>, depth: usize, name: Option<&str>) -> Mode<'o> {
        let Mode::Look(fields) = mode else {
            return mode;
        };
        let mut below = 0;
        // Most values are on the way to no field.
        if fields == 0 {
            return Mode::Look(0);
        }
        for (index, rule) in self.options.fields.iter().enumerate() {
            if fields >> index & 1 == 0 || !rule.path.leads(depth, name) {
                continue;
            }
            if rule.path.ends_at(depth) {
                return match rule.removes() {
                    true => Mode::Skip,
                    false => Mode::Apply(rule),
                };
            }
            below |= 1 << index;
        }
        Mode::Look(below)
    }

    fn key(&mut self) -> Result<Cow<'t, str>, Failure> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return Err(self.failure("a name in quotes"));
        }
        self.content()
    }

    /// Passes a string, and gives what it says.
    fn content(&mut self) -> Result<Cow<'t, str>, Failure> {
        let (content, end) =
            string::read(self.text, self.at).map_err(|(at, expected)| Failure {
                code: Code::BadJson,
                at,
                expected,
            })?;
        self.at = end;
        Ok(content)
    }

    fn string(&mut self, mode: Mode<'o>) -> Result<(), Failure> {
        let start = self.at;
        let content = self.content()?;
        match mode {
            Mode::Skip => {}
            Mode::Look(_) => {
                if let Some(redacted) = self.options.patterns.redact(&content)? {
                    self.splice(start, self.at, &redacted);
                }
            }
            Mode::Apply(rule) => self.apply(rule, start, &content)?,
        }
        Ok(())
    }

    /// Writes what a field rule makes of a text. The patterns look at that, too: a mask keeps some of it.
    fn apply(&mut self, rule: &FieldRule, start: usize, content: &str) -> Result<(), Failure> {
        let patterns = &self.options.patterns;
        let mut written = String::new();
        rule.action
            .write(&mut written, content, content, patterns.keyed.as_ref());
        let redacted = match rule.keeps_some() {
            true => patterns.redact(&written)?,
            false => None,
        };
        self.splice(start, self.at, redacted.as_deref().unwrap_or(&written));
        Ok(())
    }

    fn word(&mut self, word: &'static str, mode: Mode<'o>) -> Result<(), Failure> {
        let start = self.at;
        if !self.text[start..].starts_with(word) {
            return Err(self.failure("a JSON value"));
        }
        self.at += word.len();
        match mode {
            Mode::Apply(rule) => self.apply(rule, start, word),
            Mode::Look(_) | Mode::Skip => Ok(()),
        }
    }

    fn number(&mut self, mode: Mode<'o>) -> Result<(), Failure> {
        let start = self.at;
        self.pass_number()?;
        let number = &self.text[start..self.at];
        match mode {
            Mode::Skip => Ok(()),
            Mode::Apply(rule) => self.apply(rule, start, number),
            Mode::Look(_) => {
                let Some(action) = self.options.patterns.card() else {
                    return Ok(());
                };
                let digits = find::digits_of_number(number);
                if let Some(digits) = digits.filter(|digits| find::is_card(digits)) {
                    let mut written = String::new();
                    let keyed = self.options.patterns.keyed.as_ref();
                    action.write(&mut written, &digits, &digits, keyed);
                    self.splice(start, self.at, &written);
                }
                Ok(())
            }
        }
    }

    fn pass_number(&mut self) -> Result<(), Failure> {
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Failure> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        match self.at > start {
            true => Ok(()),
            false => Err(self.failure("a digit")),
        }
    }

    fn cut(&mut self, start: usize, end: usize) {
        self.out.push_str(&self.text[self.copied..start]);
        self.copied = end;
        self.changed = true;
    }

    /// Puts a string in place of a part of the text.
    fn splice(&mut self, start: usize, end: usize, content: &str) {
        self.cut(start, end);
        string::write(&mut self.out, content);
    }
}
