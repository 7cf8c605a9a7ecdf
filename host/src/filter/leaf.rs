//! A pattern's list of values and operators, read.
//!
//! Owns the operators: their names, what stands in them, what is refused. The rules are those of AWS's
//! event patterns, so that a pattern that is taken here is taken there.

use super::error::{Error, Path, shown};
use super::matcher::{Comparison, Constant, Leaf, Matcher};
use super::text::{Folded, Network, TextMatcher, Wildcard};
use super::tree::Tree;

/// Names of the operators. A branch of `$or` may not use them as names of fields, as in AWS.
pub(super) const OPERATORS: [&str; 8] =
    ["anything-but", "cidr", "equals-ignore-case", "exists", "numeric", "prefix", "suffix", "wildcard"];

/// What can stand in the data where a list is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any JSON value, or a text that may be one.
    Any,
    /// Text only: the topic.
    Text,
    /// Numbers only: the partition, offset and timestamp.
    Number,
}

/// Reads a list.
pub(super) fn parse(elements: &[Tree], kind: Kind, path: &Path<'_>) -> Result<Leaf, Error> {
    if elements.is_empty() {
        return path.wrong(
            "expected at least one value in the list, found an empty list",
            "an empty list matches nothing: remove the key, or write `[{\"exists\": true}]`",
        );
    }
    let mut leaf = Leaf::default();
    for (nth, element) in elements.iter().enumerate() {
        let path = path.element(nth);
        match element {
            Tree::Object(members) => match members.as_slice() {
                [(name, operand)] => operator(name, operand, &path, &mut leaf)?,
                _ => {
                    let found = format!("expected one operator in the object, found {} names", members.len());
                    return path.wrong(
                        found,
                        "write one object an operator: `[{\"prefix\": \"a\"}, {\"suffix\": \"b\"}]`",
                    );
                }
            },
            scalar => leaf.matchers.push(value(scalar, &path)?),
        }
        if let Some(matcher) = leaf.matchers.last() {
            check_kind(matcher, kind, &path)?;
        }
    }
    Ok(leaf)
}

/// A value that must be equal.
fn value(tree: &Tree, path: &Path<'_>) -> Result<Matcher, Error> {
    match tree {
        Tree::Null => Ok(Matcher::Null),
        Tree::Boolean(flag) => Ok(Matcher::Boolean(*flag)),
        Tree::Number(_) => Ok(Matcher::Number(constant(tree, path)?)),
        Tree::Text(text) => Ok(Matcher::Text(TextMatcher::Equals(text.as_bytes().into()))),
        Tree::List(_) | Tree::Object(_) => path.expected(
            "a value or an operator",
            tree,
            "lists are not nested: an element of an array in the data is matched by itself",
        ),
    }
}

fn operator(name: &str, operand: &Tree, path: &Path<'_>, leaf: &mut Leaf) -> Result<(), Error> {
    let within = path.member(name);
    let matcher = match name {
        "exists" => match operand {
            Tree::Boolean(true) => Matcher::Exists,
            Tree::Boolean(false) => {
                leaf.absent = true;
                return Ok(());
            }
            _ => return within.expected("`true` or `false`", operand, "write `{\"exists\": false}`"),
        },
        "anything-but" => Matcher::AnythingBut(anything_but(operand, &within)?),
        "numeric" => Matcher::Numeric(numeric(operand, &within)?),
        _ => Matcher::Text(text_operator(name, operand, path, true)?),
    };
    leaf.matchers.push(matcher);
    Ok(())
}

/// An operator that asks for one text; `prefix` and `suffix` may ignore case where `nested` says so.
fn text_operator(name: &str, operand: &Tree, path: &Path<'_>, nested: bool) -> Result<TextMatcher, Error> {
    let within = path.member(name);
    let example = || format!("write `{{\"{name}\": \"text\"}}`");
    if let (true, "prefix" | "suffix", Tree::Object(members)) = (nested, name, operand) {
        let [(inner, operand)] = members.as_slice() else {
            return within.expected("a text or `{\"equals-ignore-case\": …}`", operand, example());
        };
        if inner != "equals-ignore-case" {
            let message = format!("expected `equals-ignore-case`, found `{}`", shown(inner));
            return within.member(inner).wrong(message, example());
        }
        let Tree::Text(text) = operand else {
            return within.member(inner).expected("a text", operand, "write the text in quotes");
        };
        let folded = Folded::new(text);
        return Ok(if name == "prefix" {
            TextMatcher::PrefixIgnoreCase(folded)
        } else {
            TextMatcher::SuffixIgnoreCase(folded)
        });
    }
    if !OPERATORS.contains(&name) {
        let known: Vec<_> = OPERATORS.iter().map(|name| format!("`{name}`")).collect();
        let hint = format!(
            "known: {}; the fields of a nested object stand outside of a list: `{{\"a\": {{\"b\": [1]}}}}`",
            known.join(", ")
        );
        return within.wrong(format!("expected an operator, found `{}`", shown(name)), hint);
    }
    let Tree::Text(text) = operand else { return within.expected("a text", operand, example()) };
    text_matcher(name, text, &within)
}

fn text_matcher(name: &str, text: &str, within: &Path<'_>) -> Result<TextMatcher, Error> {
    let bytes = || text.as_bytes().into();
    Ok(match name {
        "prefix" => TextMatcher::Prefix(bytes()),
        "suffix" => TextMatcher::Suffix(bytes()),
        "equals-ignore-case" => TextMatcher::EqualsIgnoreCase(Folded::new(text)),
        "wildcard" => match Wildcard::parse(text) {
            Ok(wildcard) => TextMatcher::Wildcard(wildcard),
            Err(what) => {
                let hint = "`*` stands for anything, `\\*` and `\\\\` for the characters themselves";
                return within.wrong(format!("expected a wildcard, found {what}"), hint);
            }
        },
        "cidr" => match Network::parse(text) {
            Some(network) => TextMatcher::Cidr(network),
            None => {
                let message = format!("expected a block of addresses, found `{}`", shown(text));
                return within.wrong(message, "write it like `10.0.0.0/8` or `2001:db8::/32`");
            }
        },
        // The caller knows all other operators.
        _ => TextMatcher::Equals(bytes()),
    })
}

fn anything_but(operand: &Tree, path: &Path<'_>) -> Result<Vec<Matcher>, Error> {
    const EXPECTED: &str = "a text, a number, a list of texts or of numbers, or one operator";
    const EXAMPLE: &str =
        "write `{\"anything-but\": [\"a\", \"b\"]}` or `{\"anything-but\": {\"prefix\": \"a\"}}`";
    match operand {
        Tree::Text(_) | Tree::Number(_) => Ok(vec![value(operand, path)?]),
        Tree::List(elements) if !elements.is_empty() => {
            let first_is_text = matches!(elements[0], Tree::Text(_));
            let mut matchers = Vec::with_capacity(elements.len());
            for (nth, element) in elements.iter().enumerate() {
                let same = match element {
                    Tree::Text(_) => first_is_text,
                    Tree::Number(_) => !first_is_text,
                    _ => false,
                };
                let path = path.element(nth);
                if !same {
                    let expected = if first_is_text { "a text" } else { "a number" };
                    return path.expected(
                        expected,
                        element,
                        "a list in `anything-but` has texts only, or numbers only",
                    );
                }
                matchers.push(value(element, &path)?);
            }
            Ok(matchers)
        }
        Tree::Object(members) => match members.as_slice() {
            [(name, operand)] => anything_but_operator(name, operand, path),
            _ => path.expected(EXPECTED, operand, EXAMPLE),
        },
        _ => path.expected(EXPECTED, operand, EXAMPLE),
    }
}

fn anything_but_operator(name: &str, operand: &Tree, path: &Path<'_>) -> Result<Vec<Matcher>, Error> {
    if !matches!(name, "prefix" | "suffix" | "equals-ignore-case" | "wildcard") {
        let message = format!("expected an operator that `anything-but` takes, found `{}`", shown(name));
        let hint = "known in `anything-but`: `prefix`, `suffix`, `equals-ignore-case`, `wildcard`";
        return path.member(name).wrong(message, hint);
    }
    let within = path.member(name);
    let one = |operand: &Tree, place: &Path<'_>| {
        if matches!(operand, Tree::Text(text) if text.is_empty() && name != "equals-ignore-case") {
            let hint = "every text has the empty one in it, so nothing would match: write a longer text";
            return place.wrong("expected a text that is not empty, found an empty one", hint);
        }
        match operand {
            Tree::Text(text) => Ok(Matcher::Text(text_matcher(name, text, place)?)),
            _ => place.expected("a text", operand, "write the text in quotes"),
        }
    };
    match operand {
        Tree::List(elements) if !elements.is_empty() => {
            elements.iter().enumerate().map(|(nth, element)| one(element, &within.element(nth))).collect()
        }
        Tree::Text(_) => Ok(vec![one(operand, &within)?]),
        _ => within.expected(
            "a text or a list of texts",
            operand,
            format!("write `{{\"anything-but\": {{\"{name}\": \"text\"}}}}`"),
        ),
    }
}

fn numeric(operand: &Tree, path: &Path<'_>) -> Result<Vec<(Comparison, Constant)>, Error> {
    const EXAMPLE: &str = "write `{\"numeric\": [\">\", 0, \"<=\", 5]}`";
    const EXPECTED: &str = "one comparison and its number, or two of them";
    let Tree::List(elements) = operand else { return path.expected("a list", operand, EXAMPLE) };
    if !matches!(elements.len(), 2 | 4) {
        return path.wrong(format!("expected {EXPECTED}, found {} elements", elements.len()), EXAMPLE);
    }
    let mut bounds = Vec::with_capacity(2);
    for (nth, pair) in elements.chunks_exact(2).enumerate() {
        let place = path.element(nth * 2);
        let comparison = match &pair[0] {
            Tree::Text(text) => Comparison::parse(text),
            _ => None,
        };
        let Some(comparison) = comparison else {
            return place.expected("`=`, `<`, `<=`, `>` or `>=`", &pair[0], EXAMPLE);
        };
        bounds.push((comparison, constant(&pair[1], &path.element(nth * 2 + 1))?));
    }
    if let [(lower, least), (upper, most)] = bounds.as_slice() {
        if !lower.is_lower_bound() || !upper.is_upper_bound() {
            return path.wrong("expected a range: first `>` or `>=`, then `<` or `<=`", EXAMPLE);
        }
        if least.number().compare(most.number()).is_ge() {
            return path.wrong(
                "expected a lower bound below the upper one",
                "no number would match: swap the bounds, or write `[\"=\", …]`",
            );
        }
    }
    Ok(bounds)
}

fn constant(tree: &Tree, path: &Path<'_>) -> Result<Constant, Error> {
    let constant = match tree {
        Tree::Number(text) => Constant::new(text),
        _ => None,
    };
    match constant {
        Some(constant) => Ok(constant),
        None => path.expected("a number", tree, "write a number without quotes"),
    }
}

/// Refuses what can never match where only texts or only numbers stand.
fn check_kind(matcher: &Matcher, kind: Kind, path: &Path<'_>) -> Result<(), Error> {
    let inner = match matcher {
        Matcher::AnythingBut(excluded) => excluded.as_slice(),
        other => std::slice::from_ref(other),
    };
    let fits = |matcher: &Matcher| match matcher {
        Matcher::Text(_) => kind != Kind::Number,
        Matcher::Number(_) | Matcher::Numeric(_) => kind != Kind::Text,
        Matcher::Null | Matcher::Boolean(_) => kind == Kind::Any,
        Matcher::Exists | Matcher::AnythingBut(_) => true,
    };
    if inner.iter().all(fits) {
        return Ok(());
    }
    match kind {
        Kind::Number => path.wrong(
            "expected a number or an operator on numbers",
            "this is always a number: write `[3]` or `[{\"numeric\": [\">=\", 3]}]`",
        ),
        _ => path.wrong(
            "expected a text or an operator on texts",
            "this is always a text: write `[\"text\"]` or `[{\"prefix\": \"te\"}]`",
        ),
    }
}
