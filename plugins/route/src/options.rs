//! The configuration, checked as a whole and ready for use.
//!
//! Invariant: every route and rule can be reached.

use std::borrow::Cow;
use std::collections::BTreeMap;

use json_text::{is_number, quoted};

use crate::config::{Config, Rule, Target, Unsafe};
use crate::failure::{Code, Failure};
use crate::field::{Finder, Source};
use crate::partition::{check, mended};

/// What a rule asks of a field.
#[derive(Debug, Clone, PartialEq)]
enum Condition {
    EqualsIgnoreCase(String),
    Prefix(String),
    /// A bound that is left out is none, also for numbers too big to be read exactly.
    Range {
        at_least: Option<f64>,
        below: Option<f64>,
    },
}

impl Condition {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::EqualsIgnoreCase(other) => text.eq_ignore_ascii_case(other),
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Range { at_least, below } => {
                let number = is_number(text).then(|| text.parse::<f64>().ok()).flatten();
                number.is_some_and(|number| {
                    at_least.is_none_or(|least| least <= number)
                        && below.is_none_or(|below| number < below)
                })
            }
        }
    }

    /// Whether nothing that `later` holds for gets past this one.
    fn covers(&self, later: &Self) -> bool {
        match (self, later) {
            (Self::EqualsIgnoreCase(one), Self::EqualsIgnoreCase(other)) => {
                one.eq_ignore_ascii_case(other)
            }
            (Self::Prefix(one), Self::Prefix(other)) => other.starts_with(one),
            (
                Self::Range { at_least, below },
                Self::Range {
                    at_least: later_at_least,
                    below: later_below,
                },
            ) => {
                let begins =
                    at_least.is_none_or(|least| later_at_least.is_some_and(|at| least <= at));
                let ends = below.is_none_or(|below| later_below.is_some_and(|at| at <= below));
                begins && ends
            }
            _ => false,
        }
    }
}

/// What led to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Chosen,
    Default,
    Missing,
}

/// The configuration, ready for use.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options {
    pub(crate) field: Source,
    routes: BTreeMap<String, Target>,
    rules: Vec<(Condition, Target)>,
    default: Target,
    missing: Option<Target>,
    pub(crate) partition_keys: Vec<(String, Source)>,
    partition_default: Option<String>,
    partition_unsafe: Unsafe,
}

impl Options {
    pub(crate) fn new(config: Config) -> Result<(Self, Finder), String> {
        if config.routes.is_empty() && config.rules.is_empty() && config.partition_keys.is_empty() {
            return Err(
                "config key `routes`: there is nothing to do; add `routes`, `rules` or `partition_keys`"
                    .to_owned(),
            );
        }
        check_partition(&config)?;
        let mut finder = Finder::default();
        let field = finder
            .source(&config.field)
            .map_err(|error| format!("config key `field`: {error}"))?;
        let mut partition_keys = Vec::new();
        for (name, text) in config.partition_keys {
            let source = finder
                .source(&text)
                .map_err(|error| format!("config key `partition_keys.{name}`: {error}"))?;
            partition_keys.push((name, source));
        }
        let options = Self {
            field,
            routes: config.routes,
            rules: rules(config.rules)?,
            default: config.default,
            missing: config.missing,
            partition_keys,
            partition_default: config.partition_default,
            partition_unsafe: config.partition_unsafe.unwrap_or_default(),
        };
        Ok((options, finder))
    }

    /// Where a record goes by its field.
    pub(crate) fn target(&self, text: Option<&str>) -> (&Target, Why) {
        let Some(text) = text else {
            let target = self.missing.as_ref().unwrap_or(&self.default);
            return (target, Why::Missing);
        };
        if let Some(target) = self.routes.get(text) {
            return (target, Why::Chosen);
        }
        match self.rules.iter().find(|(rule, _)| rule.holds(text)) {
            Some((_, target)) => (target, Why::Chosen),
            None => (&self.default, Why::Default),
        }
    }

    /// The failure of a record whose target is that.
    pub(crate) fn refusal(&self, why: Why, text: Option<&str>) -> Failure {
        let field = &self.field;
        let text = quoted(text.unwrap_or_default().as_bytes());
        match why {
            Why::Missing => Failure::new(Code::MissingField, format!("{field} is not there")),
            Why::Default => Failure::new(
                Code::NoRoute,
                format!("{field} is {text}, which no route or rule is for"),
            ),
            Why::Chosen => Failure::new(
                Code::Refused,
                format!("{field} is {text}, which the configuration refuses"),
            ),
        }
    }

    /// The value of a partition key, of what its source says.
    pub(crate) fn partition_value<'a>(
        &'a self,
        name: &str,
        source: &Source,
        text: Option<&'a str>,
    ) -> Result<Cow<'a, str>, Failure> {
        let Some(text) = text else {
            let default = self.partition_default.as_deref().map(Cow::Borrowed);
            return default.ok_or_else(|| {
                Failure::new(
                    Code::MissingPartitionKey,
                    format!("partition key `{name}`: {source} is not there"),
                )
            });
        };
        let value = match self.partition_unsafe {
            Unsafe::Replace => mended(text),
            Unsafe::Fail => check(text).map(|()| Cow::Borrowed(text)),
        };
        value.map_err(|unfit| {
            Failure::new(
                Code::BadPartitionKey,
                format!(
                    "partition key `{name}`: expected {}, found {}",
                    unfit.expected(),
                    quoted(text.as_bytes())
                ),
            )
        })
    }
}

fn check_partition(config: &Config) -> Result<(), String> {
    if config.partition_keys.contains_key("") {
        return Err("config key `partition_keys`: the name of a key is empty".to_owned());
    }
    if config.partition_keys.is_empty() {
        let keys = [
            ("partition_default", config.partition_default.is_some()),
            ("partition_unsafe", config.partition_unsafe.is_some()),
        ];
        if let Some((key, _)) = keys.iter().find(|(_, is_there)| *is_there) {
            return Err(format!(
                "config key `{key}`: there are no `partition_keys`; add them, or remove the key"
            ));
        }
    }
    match &config.partition_default {
        Some(default) => check(default).map_err(|unfit| {
            format!(
                "config key `partition_default`: expected {}, found `{default}`",
                unfit.expected()
            )
        }),
        None => Ok(()),
    }
}

fn rules(rules: Vec<Rule>) -> Result<Vec<(Condition, Target)>, String> {
    let mut read = Vec::<(Condition, Target)>::new();
    for (at, rule) in rules.into_iter().enumerate() {
        let condition =
            condition(&rule).map_err(|error| format!("config key `rules[{at}]`: {error}"))?;
        if let Some(before) = read
            .iter()
            .position(|(before, _)| before.covers(&condition))
        {
            return Err(format!(
                "config key `rules[{at}]`: it never decides, since `rules[{before}]` holds for all that it \
                 holds for; put it first, or remove it"
            ));
        }
        read.push((condition, rule.to));
    }
    Ok(read)
}

fn condition(rule: &Rule) -> Result<Condition, String> {
    let range = rule.at_least.or(rule.below).is_some();
    match (&rule.equals_ignore_case, &rule.prefix, range) {
        (Some(text), None, false) => Ok(Condition::EqualsIgnoreCase(text.clone())),
        (None, Some(prefix), false) if prefix.is_empty() => {
            Err("the `prefix` is empty and holds for everything; use `default`".to_owned())
        }
        (None, Some(prefix), false) => Ok(Condition::Prefix(prefix.clone())),
        (None, None, true) => {
            let (at_least, below) = (rule.at_least, rule.below);
            match at_least.zip(below).filter(|(least, below)| least >= below) {
                None => Ok(Condition::Range { at_least, below }),
                Some((least, below)) => Err(format!(
                    "no number is at least {least} and below {below}; make `below` the greater one"
                )),
            }
        }
        _ => Err(
            "expected one condition: `equals_ignore_case`, `prefix`, or a range of `at_least`, `below` or both"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests;
