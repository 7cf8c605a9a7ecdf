//! The configuration as it is written. What it means together is the business of `options`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// The configuration as it is written; the README explains each key.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is routed by: a path in the JSON value, `key`, or `header:NAME`.
    pub field: String,
    /// Where a record goes whose field is exactly this.
    #[serde(default)]
    pub routes: BTreeMap<String, Target>,
    /// Where a record goes that no route is for: the first rule that holds.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Where a record goes that no route or rule is for.
    #[serde(default)]
    pub default: Target,
    /// Where a record goes that lacks the field; where this is left out, what `default` says.
    #[serde(default)]
    pub missing: Option<Target>,
    /// Partition keys, and what they are made of.
    #[serde(default)]
    pub partition_keys: BTreeMap<String, String>,
    /// What a partition key is that there is nothing to make of.
    #[serde(default)]
    pub partition_default: Option<String>,
    /// What becomes of a partition key that is no name of a folder.
    #[serde(default)]
    pub partition_unsafe: Option<Unsafe>,
}

/// A rule: one condition, and where to.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The field is this, whatever the case of its ASCII letters.
    #[serde(default)]
    pub equals_ignore_case: Option<String>,
    /// The field begins with this.
    #[serde(default)]
    pub prefix: Option<String>,
    /// The field is a number, and not below this.
    #[serde(default)]
    pub at_least: Option<f64>,
    /// The field is a number below this.
    #[serde(default)]
    pub below: Option<f64>,
    /// Where the record goes.
    pub to: Target,
}

/// Where a record goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Target {
    /// To these sinks.
    Sinks(Vec<String>),
    /// On, with the routes that it has.
    Forward,
    /// Nowhere: it is filtered out.
    Drop,
    /// To the dead letters.
    #[default]
    Fail,
}

/// What becomes of a partition key that is no name of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unsafe {
    /// The record fails.
    #[default]
    Fail,
    /// What makes it none is replaced by `_`.
    Replace,
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TargetVisitor)
    }
}

struct TargetVisitor;

impl<'de> Visitor<'de> for TargetVisitor {
    type Value = Target;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a sink, a list of names, \"forward\", \"drop\" or \"fail\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Target, E> {
        match text {
            "forward" => Ok(Target::Forward),
            "drop" => Ok(Target::Drop),
            "fail" => Ok(Target::Fail),
            _ => sinks(vec![text.to_owned()]),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Target, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = elements.next_element()? {
            names.push(name);
        }
        sinks(names)
    }
}

/// Checks the names of sinks.
fn sinks<E: Error>(names: Vec<String>) -> Result<Target, E> {
    if names.is_empty() {
        return Err(E::custom(
            "the list is empty; name a sink, or write \"forward\", \"drop\" or \"fail\"",
        ));
    }
    for (at, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(E::custom("the name of a sink is empty"));
        }
        if names[..at].contains(name) {
            return Err(E::custom(format!("the sink `{name}` stands there twice")));
        }
    }
    Ok(Target::Sinks(names))
}
