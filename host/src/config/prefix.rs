//! Prefix expressions: Firehose's notation for what stands before an object's name.
//!
//! Owns the notation; who renders a prefix has the time and the partition. Invariant: whatever record
//! renders it, a parsed prefix is a clean relative path outside `_vanne/`.

use std::fmt::{self, Write as _};

use super::error::{Wrong, shown};
use super::model::{Prefix, PrefixPart, TimePart};
use super::raw::closest;

/// Bytes of a rendered prefix at the most: object names end at 1,024, and the name itself needs room.
const LONGEST: usize = 512;

/// What is before the `:` of an expression.
const NAMESPACES: [&str; 3] = ["timestamp", "topic", "partition"];

/// Letters of a timestamp pattern.
const LETTERS: [(&str, TimePart); 6] = [
    ("yyyy", TimePart::Year),
    ("MM", TimePart::Month),
    ("dd", TimePart::Day),
    ("HH", TimePart::Hour),
    ("mm", TimePart::Minute),
    ("ss", TimePart::Second),
];

/// `!{timestamp:yyyy/MM/dd/HH}/`, as Firehose writes where no prefix is given.
pub(super) fn default() -> Prefix {
    let slash = || TimePart::Text("/".into());
    let pattern =
        vec![TimePart::Year, slash(), TimePart::Month, slash(), TimePart::Day, slash(), TimePart::Hour];
    Prefix { parts: vec![PrefixPart::Timestamp(pattern), PrefixPart::Text("/".into())] }
}

/// Reads a prefix.
pub(super) fn parse(text: &str) -> Result<Prefix, Wrong> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once("!{") {
        push_text(&mut parts, literal)?;
        let end = end_of_expression(after).ok_or_else(|| {
            Wrong::new("an expression has no end").hint("close `!{` with `}`, and quotes inside it with `'`")
        })?;
        parts.push(expression(&after[..end])?);
        rest = &after[end + 1..];
    }
    push_text(&mut parts, rest)?;
    let prefix = Prefix { parts };
    check_path(&prefix)?;
    Ok(prefix)
}

/// Index of the `}` that is not within quotes.
fn end_of_expression(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(at, c)| {
        quoted ^= c == '\'';
        (c == '}' && !quoted).then_some(at)
    })
}

fn push_text(parts: &mut Vec<PrefixPart>, text: &str) -> Result<(), Wrong> {
    check_characters(text)?;
    if !text.is_empty() {
        parts.push(PrefixPart::Text(text.into()));
    }
    Ok(())
}

fn expression(text: &str) -> Result<PrefixPart, Wrong> {
    let (namespace, argument) =
        text.split_once(':').map_or((text, None), |(before, after)| (before, Some(after)));
    match (namespace, argument) {
        ("timestamp", Some(pattern)) if !pattern.is_empty() => timestamp(pattern).map(PrefixPart::Timestamp),
        ("timestamp", _) => {
            Err(Wrong::new("`!{timestamp}` has no pattern").hint("write `!{timestamp:yyyy/MM/dd/HH}`"))
        }
        ("topic", None) => Ok(PrefixPart::Topic),
        ("partition", None) => Ok(PrefixPart::Partition),
        ("topic" | "partition", Some(_)) => {
            Err(Wrong::new(format!("`!{{{namespace}}}` takes nothing after a `:`")))
        }
        _ => {
            let wrong = Wrong::new(format!("unknown expression `!{{{}}}`", shown(text)));
            Err(wrong.hint(match closest(namespace, NAMESPACES) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "known: `!{timestamp:yyyy/MM/dd/HH}`, `!{topic}`, `!{partition}`".into(),
            }))
        }
    }
}

/// Reads a pattern of Java's `DateTimeFormatter`, as much of it as object names need.
fn timestamp(pattern: &str) -> Result<Vec<TimePart>, Wrong> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            let (text, after) = quoted(&rest[1..])?;
            literal += &text;
            rest = after;
        } else if first.is_ascii_alphabetic() {
            let run = rest.len() - rest.trim_start_matches(first).len();
            let (letters, after) = rest.split_at(run);
            if !literal.is_empty() {
                parts.push(TimePart::Text(std::mem::take(&mut literal)));
            }
            let known = LETTERS.iter().find(|(name, _)| *name == letters);
            parts.push(known.map(|(_, part)| part.clone()).ok_or_else(|| unknown_letters(letters))?);
            rest = after;
        } else {
            literal.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    if !literal.is_empty() {
        parts.push(TimePart::Text(literal));
    }
    for part in &parts {
        if let TimePart::Text(text) = part {
            check_characters(text)?;
        }
    }
    Ok(parts)
}

/// The text up to the closing quote, and what follows; `''` is one quote, within and outside of quotes.
fn quoted(text: &str) -> Result<(String, &str), Wrong> {
    if let Some(after) = text.strip_prefix('\'').filter(|after| !after.starts_with('\'')) {
        return Ok(("'".into(), after));
    }
    let mut found = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('\'').ok_or_else(|| {
            Wrong::new("a quote in a timestamp pattern has no end").hint("write `'year='yyyy`")
        })?;
        found += before;
        let Some(next) = after.strip_prefix('\'') else { return Ok((found, after)) };
        found.push('\'');
        rest = next;
    }
}

fn unknown_letters(letters: &str) -> Wrong {
    let wrong = Wrong::new(format!("`{}` is not known in a timestamp pattern", shown(letters)));
    let hint = match letters.as_bytes().first() {
        Some(b'Y') => "`Y` is the year of the week; write `yyyy`",
        Some(b'y' | b'u') => "write `yyyy`",
        Some(b'D') => "`D` is the day of the year; write `dd`",
        Some(b'd') => "write `dd`",
        Some(b'M') => "write `MM` for the month, `mm` for the minute",
        Some(b'm') => "write `mm` for the minute, `MM` for the month",
        Some(b'h' | b'H') => "write `HH`, the hour from 00 to 23",
        Some(b's') => "write `ss`",
        _ => "known: `yyyy`, `MM`, `dd`, `HH`, `mm`, `ss`; put other words in quotes: `'year='yyyy`",
    };
    wrong.hint(hint)
}

/// Characters that stand in an object's name as they are, in every store.
pub(super) fn check_characters(text: &str) -> Result<(), Wrong> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "/_.=!'()@:,+;&-".contains(c);
    match text.chars().find(|c| !fine(*c)) {
        None => Ok(()),
        Some(c) => {
            let wrong = Wrong::new(format!("`{}` can't stand in an object's name", shown(&c.to_string())));
            Err(wrong.hint("use letters, digits and `/_.=!'()@:,+;&-`: stores rewrite anything else"))
        }
    }
}

/// Checks the path that a prefix renders to; expressions render to plain words.
fn check_path(prefix: &Prefix) -> Result<(), Wrong> {
    let sample = sample(prefix);
    if sample.is_empty() {
        return Ok(());
    }
    if sample.len() > LONGEST {
        return Err(Wrong::new(format!("a prefix has at most {LONGEST} characters, this {}", sample.len())));
    }
    if sample.starts_with('/') {
        return Err(Wrong::new("a prefix does not start with `/`").hint("it is relative to `url`"));
    }
    let segments: Vec<&str> = sample.split('/').collect();
    if segments[..segments.len() - 1].iter().any(|segment| segment.is_empty()) {
        return Err(Wrong::new("a prefix has no empty folder names").hint("write one `/`, not two"));
    }
    if segments.iter().any(|segment| matches!(*segment, "." | "..")) {
        return Err(Wrong::new("a prefix has no folders named `.` or `..`"));
    }
    if segments[0] == "_vanne" {
        let wrong = Wrong::new("`_vanne/` is the ledger's own folder");
        return Err(wrong.hint("begin the prefix with another name"));
    }
    if !sample.ends_with(['/', '-', '_', '.']) {
        let wrong = Wrong::new("the name of the object would run on where the prefix ends");
        return Err(wrong.hint("end it with `/`, `-`, `_` or `.`"));
    }
    Ok(())
}

fn sample(prefix: &Prefix) -> String {
    let mut text = String::new();
    for part in &prefix.parts {
        match part {
            PrefixPart::Text(literal) => text += literal,
            PrefixPart::Topic => text += "topic",
            PrefixPart::Partition => text += "0",
            PrefixPart::Timestamp(pattern) => pattern.iter().for_each(|part| match part {
                TimePart::Text(literal) => text += literal,
                TimePart::Year => text += "2026",
                _ => text += "01",
            }),
        }
    }
    text
}

impl fmt::Display for Prefix {
    /// The expression; it parses to an equal prefix.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                PrefixPart::Text(text) => formatter.write_str(text)?,
                PrefixPart::Topic => formatter.write_str("!{topic}")?,
                PrefixPart::Partition => formatter.write_str("!{partition}")?,
                PrefixPart::Timestamp(pattern) => {
                    formatter.write_str("!{timestamp:")?;
                    pattern.iter().try_for_each(|part| write_time_part(formatter, part))?;
                    formatter.write_char('}')?;
                }
            }
        }
        Ok(())
    }
}

fn write_time_part(formatter: &mut fmt::Formatter<'_>, part: &TimePart) -> fmt::Result {
    if let TimePart::Text(text) = part {
        let plain = text.chars().all(|c| !c.is_ascii_alphabetic() && c != '\'');
        return match plain {
            true => formatter.write_str(text),
            false => write!(formatter, "'{}'", text.replace('\'', "''")),
        };
    }
    let letters = LETTERS.iter().find(|(_, known)| known == part).map_or("", |(letters, _)| letters);
    formatter.write_str(letters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown_again(text: &str) -> String {
        parse(text).map_or_else(|wrong| format!("error: {}", wrong.message), |prefix| prefix.to_string())
    }

    #[test]
    fn the_default_is_an_expression_like_any_other() {
        assert_eq!(parse("!{timestamp:yyyy/MM/dd/HH}/"), Ok(default()));
        assert_eq!(default().to_string(), "!{timestamp:yyyy/MM/dd/HH}/");
    }

    #[test]
    fn quotes_are_as_in_java() {
        let prefix = parse("!{timestamp:'year='yyyy'/it''s='MM}/").expect("parses");
        let expected = vec![
            TimePart::Text("year=".into()),
            TimePart::Year,
            TimePart::Text("/it's=".into()),
            TimePart::Month,
        ];
        assert_eq!(prefix.parts[0], PrefixPart::Timestamp(expected));
        assert_eq!(shown_again("!{timestamp:yyyy''MM}/"), "!{timestamp:yyyy''''MM}/");
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for wrong in [
            "/a/",
            "a//b/",
            "../a/",
            "a/../",
            "./",
            "_vanne/x/",
            "!{timestamp:yyyy}",
            "!{timestamp}/",
            "!{when}/",
            "!{timestamp:YYYY}/",
            "!{timestamp:hh}/",
            "!{timestamp:'yyyy}/",
            "!{topic",
            "!{topic:x}/",
            "a b/",
            "ä/",
            "!{timestamp:}/",
            "!{}/",
            "logs",
            "!{timestamp:'../'yyyy}/",
            "a*/",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse(&format!("{}/", "a".repeat(512))).is_err());
    }

    #[test]
    fn what_is_right_is_taken() {
        for right in ["", "logs/", "a/!{topic}/!{partition}/", "!{timestamp:yyyy-MM-dd}_", "_vanned/", "a!/"]
        {
            assert_eq!(shown_again(right), right);
        }
    }

    fn pattern() -> impl Strategy<Value = String> {
        let letters =
            prop::sample::select(vec!["yyyy", "MM", "dd", "HH", "mm", "ss", "-", "'at'", "''", "'='"]);
        prop::collection::vec(letters, 1..8).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn any_pattern_of_known_letters_survives_a_round_trip(pattern in pattern()) {
            // `yyyyyyyy` is one run that no pattern knows.
            if let Ok(prefix) = parse(&format!("x!{{timestamp:{pattern}}}/")) {
                prop_assert_eq!(parse(&prefix.to_string()), Ok(prefix));
            }
        }

        #[test]
        fn any_text_is_refused_or_a_clean_path(text in "[a-z_./!{}:'yMdH -]{0,40}") {
            if let Ok(prefix) = parse(&text) {
                let path = sample(&prefix);
                prop_assert!(!path.starts_with('/') && !path.contains("//") && !path.starts_with("_vanne/"));
                prop_assert!(path.split('/').all(|segment| segment != ".."));
                prop_assert_eq!(parse(&prefix.to_string()), Ok(prefix));
            }
        }
    }
}
