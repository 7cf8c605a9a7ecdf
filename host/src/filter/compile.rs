//! Patterns, read: what is asked of a record.
//!
//! Owns the keys at the top of a pattern. Invariant: a rule that was made asks nothing that a record can't
//! answer.

use super::error::{Error, Path, shown};
use super::leaf::{self, Kind};
use super::matcher::Leaf;
use super::paths::{Condition, Paths, Rule, branches, no_list};
use super::tree::{self, Tree};

/// Patterns of a filter at the most, as in AWS with a raised quota.
pub const PATTERNS_MAX: usize = 10;

/// Characters of a pattern at the most, as in AWS.
pub const PATTERN_CHARACTERS_MAX: usize = 4096;

/// What a pattern may ask about, for messages.
const KEYS: &str = "known: `value`, `key`, `headers`, `topic`, `partition`, `offset`, `timestamp`, `$or`";

/// Which JSON text of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Key,
    Value,
}

/// What is asked of a record.
#[derive(Clone, Debug)]
pub(super) enum Fact {
    Topic(Leaf),
    Partition(Leaf),
    Offset(Leaf),
    Timestamp(Leaf),
    /// A header by its name.
    Header(Box<[u8]>, Leaf),
    /// All of the key or value, as it is.
    Text(Side, Leaf),
    /// Something inside of the key or value.
    Json(Side, Condition),
}

/// All patterns.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) rule: Rule<Fact>,
    pub(super) key: Paths,
    pub(super) value: Paths,
}

/// Reads patterns.
pub(super) fn compile(patterns: &[&str]) -> Result<Compiled, Error> {
    if patterns.is_empty() {
        return Path::Pattern(0).wrong(
            "expected at least one pattern, found none",
            "a filter without patterns matches nothing: remove it",
        );
    }
    if patterns.len() > PATTERNS_MAX {
        let message = format!("expected at most {PATTERNS_MAX} patterns, found {}", patterns.len());
        return Path::Pattern(PATTERNS_MAX).wrong(message, "put several into one by `$or`");
    }
    let mut compiler = Compiler { key: Paths::default(), value: Paths::default() };
    let mut rules = Vec::with_capacity(patterns.len());
    for (nth, text) in patterns.iter().enumerate() {
        rules.push(compiler.pattern(text, &Path::Pattern(nth))?);
    }
    let Compiler { mut key, mut value } = compiler;
    key.finish();
    value.finish();
    Ok(Compiled { rule: Rule::Any(rules), key, value })
}

struct Compiler {
    key: Paths,
    value: Paths,
}

impl Compiler {
    fn pattern(&mut self, text: &str, path: &Path<'_>) -> Result<Rule<Fact>, Error> {
        let length = text.chars().count();
        if length > PATTERN_CHARACTERS_MAX {
            let message = format!("expected at most {PATTERN_CHARACTERS_MAX} characters, found {length}");
            return path.wrong(message, "split the pattern, or filter in a transform");
        }
        let tree = tree::parse(text, path)?;
        let Tree::Object(members) = &tree else {
            return path.expected("an object", &tree, "write it like `{\"value\": {\"status\": [500]}}`");
        };
        self.members(members, path)
    }

    fn members(&mut self, members: &[(String, Tree)], path: &Path<'_>) -> Result<Rule<Fact>, Error> {
        if members.is_empty() {
            return path.wrong(
                "expected at least one key, found an empty object",
                format!("it would match every record; {KEYS}"),
            );
        }
        let mut rules = Vec::with_capacity(members.len());
        for (name, tree) in members {
            rules.push(self.member(name, tree, &path.member(name))?);
        }
        Ok(Rule::All(rules))
    }

    fn member(&mut self, name: &str, tree: &Tree, path: &Path<'_>) -> Result<Rule<Fact>, Error> {
        let fact = match name {
            "$or" => {
                let mut any = Vec::new();
                for (nth, branch) in branches(tree, path)?.into_iter().enumerate() {
                    any.push(self.members(branch, &path.element(nth))?);
                }
                return Ok(Rule::Any(any));
            }
            "headers" => return headers(tree, path),
            "value" => self.content(Side::Value, tree, path)?,
            "key" => self.content(Side::Key, tree, path)?,
            "topic" => Fact::Topic(list(tree, Kind::Text, path)?),
            "partition" => Fact::Partition(list(tree, Kind::Number, path)?),
            "offset" => Fact::Offset(list(tree, Kind::Number, path)?),
            "timestamp" => Fact::Timestamp(list(tree, Kind::Number, path)?),
            _ => {
                let hint = match name {
                    "data" | "body" => format!("did you mean `value`? {KEYS}"),
                    _ => format!("fields of a JSON value stand in `value`: `{{\"value\": {{…}}}}`; {KEYS}"),
                };
                return path.wrong(format!("expected a part of a record, found `{}`", shown(name)), hint);
            }
        };
        Ok(Rule::Atom(fact))
    }

    fn content(&mut self, side: Side, tree: &Tree, path: &Path<'_>) -> Result<Fact, Error> {
        let paths = match side {
            Side::Key => &mut self.key,
            Side::Value => &mut self.value,
        };
        match tree {
            Tree::List(elements) => Ok(Fact::Text(side, leaf::parse(elements, Kind::Any, path)?)),
            Tree::Object(members) => Ok(Fact::Json(side, paths.add_object(0, members, path)?)),
            other => no_list(other, path),
        }
    }
}

fn headers(tree: &Tree, path: &Path<'_>) -> Result<Rule<Fact>, Error> {
    let Tree::Object(members) = tree else {
        return path.expected(
            "an object of headers by name",
            tree,
            "write it like `{\"headers\": {\"type\": [\"order\"]}}`",
        );
    };
    header_rule(members, path)
}

fn header_rule(members: &[(String, Tree)], path: &Path<'_>) -> Result<Rule<Fact>, Error> {
    if members.is_empty() {
        return path.wrong(
            "expected the name of a header, found an empty object",
            "remove it, or name a header: `{\"type\": [\"order\"]}`",
        );
    }
    let mut rules = Vec::with_capacity(members.len());
    for (name, tree) in members {
        let within = path.member(name);
        if name == "$or" {
            let mut any = Vec::new();
            for (nth, branch) in branches(tree, &within)?.into_iter().enumerate() {
                any.push(header_rule(branch, &within.element(nth))?);
            }
            rules.push(Rule::Any(any));
        } else {
            let leaf = list(tree, Kind::Any, &within)?;
            rules.push(Rule::Atom(Fact::Header(name.as_bytes().into(), leaf)));
        }
    }
    Ok(Rule::All(rules))
}

fn list(tree: &Tree, kind: Kind, path: &Path<'_>) -> Result<Leaf, Error> {
    match tree {
        Tree::List(elements) => leaf::parse(elements, kind, path),
        other => path.expected(
            "a list of values",
            other,
            "values and operators stand in a list: `[3]` or `[{\"exists\": true}]`",
        ),
    }
}
