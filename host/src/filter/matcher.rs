//! What a pattern's list asks of one value.
//!
//! Invariant: strings, numbers, `true`, `false` and `null` are told apart where the data tells them apart;
//! an untyped text (a whole value, a key, a header) is whatever the pattern takes it for.

use std::cmp::Ordering;

use super::number::Number;
use super::text::TextMatcher;

/// A value that has no values inside.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scalar<'a> {
    Null,
    Boolean(bool),
    Number(Number<'a>),
    Text(&'a [u8]),
    /// Bytes without a type.
    Untyped(&'a [u8]),
}

/// The list of a pattern: one of them must match.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaf {
    pub(super) matchers: Vec<Matcher>,
    /// Whether nothing at all matches too: `{"exists": false}`.
    pub(super) absent: bool,
}

impl Leaf {
    pub(super) fn matches(&self, scalar: Scalar<'_>) -> bool {
        self.matchers.iter().any(|matcher| matcher.matches(scalar))
    }
}

/// One question about a value that is there.
#[derive(Clone, Debug)]
pub(super) enum Matcher {
    Null,
    Boolean(bool),
    Number(Constant),
    Numeric(Vec<(Comparison, Constant)>),
    Text(TextMatcher),
    /// None of these.
    AnythingBut(Vec<Matcher>),
    Exists,
}

impl Matcher {
    pub(super) fn matches(&self, scalar: Scalar<'_>) -> bool {
        match self {
            Self::Exists => true,
            Self::AnythingBut(excluded) => !excluded.iter().any(|matcher| matcher.matches(scalar)),
            Self::Null => matches!(scalar, Scalar::Null | Scalar::Untyped(b"null")),
            Self::Boolean(expected) => match scalar {
                Scalar::Boolean(found) => found == *expected,
                Scalar::Untyped(text) => text == if *expected { &b"true"[..] } else { b"false" },
                _ => false,
            },
            Self::Number(expected) => {
                number(scalar).is_some_and(|found| found.compare(expected.number()).is_eq())
            }
            Self::Numeric(bounds) => number(scalar).is_some_and(|found| {
                bounds.iter().all(|(comparison, bound)| comparison.holds(found.compare(bound.number())))
            }),
            Self::Text(matcher) => match scalar {
                Scalar::Text(text) | Scalar::Untyped(text) => matcher.matches(text),
                _ => false,
            },
        }
    }
}

fn number(scalar: Scalar<'_>) -> Option<Number<'_>> {
    match scalar {
        Scalar::Number(number) => Some(number),
        Scalar::Untyped(text) => Number::parse(text),
        _ => None,
    }
}

/// How a number stands to a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Comparison {
    /// The one of these characters.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "=" => Self::Equal,
            "<" => Self::Less,
            "<=" => Self::AtMost,
            ">" => Self::Greater,
            ">=" => Self::AtLeast,
            _ => return None,
        })
    }

    pub(super) fn is_lower_bound(self) -> bool {
        matches!(self, Self::Greater | Self::AtLeast)
    }

    pub(super) fn is_upper_bound(self) -> bool {
        matches!(self, Self::Less | Self::AtMost)
    }

    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}

/// A number of a pattern.
#[derive(Clone, Debug)]
pub(super) struct Constant {
    /// As written, checked to be a number.
    text: Box<str>,
    /// The same, where it fits.
    whole: Option<i64>,
}

impl Constant {
    pub(super) fn new(text: &str) -> Option<Self> {
        let whole = match Number::parse(text.as_bytes())? {
            Number::Whole(whole) => Some(whole),
            Number::Wide(_) => None,
        };
        Some(Self { text: text.into(), whole })
    }

    pub(super) fn number(&self) -> Number<'_> {
        match self.whole {
            Some(whole) => Number::Whole(whole),
            None => Number::parse(self.text.as_bytes()).expect("`new` has read the same text as a number"),
        }
    }
}
