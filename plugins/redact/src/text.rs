//! Redacting a text: what all patterns find in it, as one set of places, and the text without them.
//!
//! Owns how places that overlap become one, and the second look. Invariant: what is given out holds
//! nothing that a built-in kind of the configuration finds.

use crate::action::Action;
use crate::failure::{Code, Failure};
use crate::find::Kind;
use crate::keyed::Keyed;

/// How often a text is looked at. Each pass takes away more than it leaves, so that two are nearly always
/// enough; the number bounds what a made-up text can cost.
const PASSES: usize = 8;

/// A kind to look for, and what to do with it.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) kind: Kind,
    pub(crate) action: Action,
}

/// All patterns, in the order of the configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patterns {
    pub(crate) list: Vec<Pattern>,
    pub(crate) keyed: Option<Keyed>,
}

/// Places that overlap, as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    start: usize,
    end: usize,
    /// The first of the patterns that found any of them.
    pattern: usize,
}

impl Patterns {
    /// The text without what the patterns find, `None` if they find nothing.
    pub(crate) fn redact(&self, text: &str) -> Result<Option<String>, Failure> {
        let first = self.places(text, |_| true);
        if first.is_empty() {
            return Ok(None);
        }
        let mut redacted = self.written(text, &first);
        // Own patterns are not looked for again: what stands in for their matches may well match.
        for _ in 1..PASSES {
            let places = self.places(&redacted, Kind::is_built_in);
            if places.is_empty() {
                return Ok(Some(redacted));
            }
            redacted = self.written(&redacted, &places);
        }
        Err(Failure {
            code: Code::StillFound,
            at: first[0].start,
            expected: "a text in which nothing personal is left after eight passes",
        })
    }

    /// Whether a built-in kind finds something.
    pub(crate) fn has_built_in_match(&self, text: &str) -> bool {
        !self.places(text, Kind::is_built_in).is_empty()
    }

    /// What is to be done with card numbers.
    pub(crate) fn card(&self) -> Option<&Action> {
        let mut patterns = self.list.iter();
        patterns
            .find(|pattern| matches!(pattern.kind, Kind::Card))
            .map(|pattern| &pattern.action)
    }

    fn places(&self, text: &str, wanted: impl Fn(&Kind) -> bool) -> Vec<Place> {
        let mut places = Vec::new();
        let patterns = self.list.iter().enumerate();
        for (pattern, Pattern { kind, .. }) in patterns.filter(|(_, one)| wanted(&one.kind)) {
            kind.find(text, |start, end| {
                places.push(Place {
                    start,
                    end,
                    pattern,
                })
            });
        }
        places.sort_unstable_by_key(|place| (place.start, place.pattern));
        places.dedup_by(|next, kept| {
            let overlaps = next.start < kept.end;
            if overlaps {
                kept.end = kept.end.max(next.end);
                kept.pattern = kept.pattern.min(next.pattern);
            }
            overlaps
        });
        places
    }

    fn written(&self, text: &str, places: &[Place]) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for place in places {
            out.push_str(&text[from..place.start]);
            let Pattern { kind, action } = &self.list[place.pattern];
            let found = &text[place.start..place.end];
            match (kind, action) {
                // One card has one hash, whether or not it was written in groups.
                (Kind::Card, Action::Hash { .. }) => {
                    let digits = found.chars().filter(char::is_ascii_digit);
                    let digits: String = digits.collect();
                    action.write(&mut out, found, &digits, self.keyed.as_ref());
                }
                _ => action.write(&mut out, found, found, self.keyed.as_ref()),
            }
            from = place.end;
        }
        out.push_str(&text[from..]);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(kinds: &[(Kind, &str)]) -> Patterns {
        let pattern = |(kind, with): &(Kind, &str)| Pattern {
            kind: kind.clone(),
            action: Action::Replace((*with).to_owned()),
        };
        Patterns {
            list: kinds.iter().map(pattern).collect(),
            keyed: None,
        }
    }

    #[test]
    fn places_that_overlap_become_one_of_the_first_pattern() {
        let word = |regex| Kind::Regex(regex_lite::Regex::new(regex).unwrap());
        let patterns = patterns(&[
            (Kind::Email, "<e>"),
            (word("id [a-z]+"), "<i>"),
            (Kind::Ipv4, "<4>"),
        ]);
        for (text, expected) in [
            ("nothing here", None),
            ("id joe@example.com.", Some("<e>.")),
            ("a@b.co@c.de", Some("<e>")),
            ("id abc 10.0.0.1", Some("<i> <4>")),
            ("10.0.0.1,10.0.0.2", Some("<4>,<4>")),
            ("é joe@example.com é", Some("é <e> é")),
        ] {
            assert_eq!(
                patterns.redact(text),
                Ok(expected.map(str::to_owned)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_a_replacement_makes_of_its_surroundings_is_seen() {
        let patterns = patterns(&[
            (Kind::Regex(regex_lite::Regex::new("-+").unwrap()), "."),
            (Kind::Ipv4, "x"),
        ]);
        assert_eq!(patterns.redact("10--0--0--1"), Ok(Some("x".to_owned())));
    }

    #[test]
    fn a_text_that_never_gets_clean_is_no_result() {
        // The configuration refuses such a replacement.
        let patterns = patterns(&[(Kind::Ipv4, "10.0.0.1")]);
        assert_eq!(
            patterns
                .redact("a 10.0.0.2")
                .map_err(|failure| (failure.code, failure.at)),
            Err((Code::StillFound, 2))
        );
    }
}
