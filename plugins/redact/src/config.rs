//! What is looked for, where, and what is done with it.
//!
//! Invariant: in [`Options`] each rule is complete, a rule that hashes has a key, and no replacement is
//! itself found by a pattern.

use regex_lite::{Regex, RegexBuilder};

use crate::action::{Action, KEEP_LAST_MAX};
use crate::find::Kind;
use crate::keyed::{Encoding, Keyed, LENGTH_DEFAULT, Secret};
use crate::path::Path;
use crate::text::{Pattern, Patterns};

/// Each rule by field is a bit of a set; each pattern goes over each text.
const RULES_MAX: usize = 64;

/// The longest pattern that is taken, in bytes.
const REGEX_LENGTH_MAX: usize = 1024;

/// The largest compiled pattern that is taken, in bytes: a counted repetition of another makes one of any
/// size out of a short text, and each step of a search costs by it.
const REGEX_SIZE_MAX: usize = 64 * 1024;

/// How deep a pattern may be nested: compiling it is recursive.
const REGEX_NEST_MAX: u32 = 50;

/// The longest replacement, in bytes.
const WITH_LENGTH_MAX: usize = 256;

/// The configuration as it is written.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What values are.
    #[serde(default)]
    pub format: Format,
    /// What is found and what becomes of it; the first rule that is about something decides.
    pub rules: Vec<Rule>,
    /// The key of hashes.
    #[serde(default)]
    pub key: Option<Secret>,
    /// Whether patterns look at the names of members, too.
    #[serde(default)]
    pub names: bool,
    /// What becomes of a value that is not UTF-8.
    #[serde(default)]
    pub not_utf8: NotUtf8,
}

/// What values are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON where it begins like an object, an array or a string, else text.
    #[default]
    Auto,
    /// One JSON value.
    Json,
    /// Text, whatever it looks like.
    Text,
}

/// What becomes of a value that is not UTF-8.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotUtf8 {
    /// It goes to the dead letters.
    #[default]
    Fail,
    /// Each byte that is part of no character becomes U+FFFD, and the rest is looked at.
    Replace,
}

/// A rule as it is written: one of `pattern`, `regex` and `field`, an action, and what that needs.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// A kind that comes with the plugin.
    pub pattern: Option<BuiltIn>,
    /// A regular expression.
    pub regex: Option<String>,
    /// What the regular expression finds, for messages and as the default of `with`.
    pub name: Option<String>,
    /// Where a field is in a JSON value.
    pub field: Option<String>,
    /// What becomes of it.
    pub action: Option<ActionName>,
    /// The text of `replace`, the character of `mask`.
    pub with: Option<String>,
    /// How many characters at the end a mask keeps.
    pub keep_last: Option<usize>,
    /// How many bytes of a hash are kept.
    pub length: Option<usize>,
    /// How a hash is written.
    pub encoding: Option<Encoding>,
}

/// A kind that comes with the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BuiltIn {
    /// E-mail addresses.
    Email,
    /// Card numbers with a right check digit.
    Card,
    /// IP addresses of version 4.
    Ipv4,
    /// IP addresses of version 6.
    Ipv6,
}

/// What becomes of what a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionName {
    /// Each character becomes another.
    Mask,
    /// A fixed text stands in for it.
    Replace,
    /// A hash under the key stands in for it.
    Hash,
    /// The field goes.
    Remove,
}

/// A rule by field, ready for use.
#[derive(Debug, Clone)]
pub(crate) struct FieldRule {
    pub(crate) path: Path,
    pub(crate) action: Action,
}

impl FieldRule {
    pub(crate) fn removes(&self) -> bool {
        self.action == Action::Remove
    }

    /// Whether some of the field stays.
    pub(crate) fn keeps_some(&self) -> bool {
        matches!(self.action, Action::Mask { keep_last: 1.., .. })
    }
}

/// The configuration, ready for use.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) format: Format,
    pub(crate) patterns: Patterns,
    pub(crate) fields: Vec<FieldRule>,
    pub(crate) keys: bool,
    pub(crate) not_utf8: NotUtf8,
}

impl Options {
    pub(crate) fn new(config: Config) -> Result<Self, String> {
        let count = config.rules.len();
        if !(1..=RULES_MAX).contains(&count) {
            return Err(format!(
                "config key `rules`: expected 1 to {RULES_MAX} rules, found {count}"
            ));
        }
        let keyed = config.key.as_ref().map(Keyed::new).transpose()?;
        let mut options = Self {
            format: config.format,
            patterns: Patterns {
                list: Vec::new(),
                keyed,
            },
            fields: Vec::new(),
            keys: config.names,
            not_utf8: config.not_utf8,
        };
        for (index, rule) in config.rules.iter().enumerate() {
            options
                .add(rule)
                .map_err(|error| format!("config key `rules[{index}]`: {error}"))?;
        }
        options.check_together(&config)?;
        Ok(options)
    }

    /// All rules by field, as a set.
    pub(crate) fn all_fields(&self) -> u64 {
        self.fields.iter().fold(0, |fields, _| fields << 1 | 1)
    }

    fn add(&mut self, rule: &Rule) -> Result<(), String> {
        let action = action(rule, self.patterns.keyed.is_some())?;
        let kind = match (rule.pattern, &rule.regex, &rule.field) {
            (Some(BuiltIn::Email), None, None) => Kind::Email,
            (Some(BuiltIn::Card), None, None) => Kind::Card,
            (Some(BuiltIn::Ipv4), None, None) => Kind::Ipv4,
            (Some(BuiltIn::Ipv6), None, None) => Kind::Ipv6,
            (None, Some(regex), None) => Kind::Regex(compile(regex, rule.name.as_deref())?),
            (None, None, Some(field)) => {
                let path = Path::parse(field)
                    .map_err(|error| format!("the path `{field}` in `field` {error}"))?;
                self.fields.push(FieldRule { path, action });
                return Ok(());
            }
            _ => return Err("expected one of `pattern`, `regex` and `field`".to_owned()),
        };
        self.patterns.list.push(Pattern { kind, action });
        Ok(())
    }

    fn check_together(&self, config: &Config) -> Result<(), String> {
        if config.format == Format::Text && !self.fields.is_empty() {
            return Err(
                "config key `format`: a `text` has no fields, and a rule has `field`; \
                        remove it, or set `json` or `auto`"
                    .to_owned(),
            );
        }
        if config.format == Format::Text && config.names {
            return Err(
                "config key `names`: a `text` has no names; remove it, or set `format`".to_owned(),
            );
        }
        let hashes = |rule: &Rule| rule.action == Some(ActionName::Hash);
        if config.key.is_some() && !config.rules.iter().any(hashes) {
            return Err(
                "config key `key`: no rule has the action `hash`; remove the key".to_owned(),
            );
        }
        for (index, rule) in config.rules.iter().enumerate() {
            let with = rule.with.as_deref().unwrap_or_default();
            if self.patterns.has_built_in_match(with) {
                return Err(format!(
                    "config key `rules[{index}]`: the text `{with}` in `with` is found by a pattern of \
                     these rules itself; take another"
                ));
            }
        }
        Ok(())
    }
}

fn action(rule: &Rule, has_key: bool) -> Result<Action, String> {
    let Some(action) = rule.action else {
        return Err("expected `action`: `mask`, `replace`, `hash` or `remove`".to_owned());
    };
    let only = |has: bool, key: &str, of: &[ActionName]| match has && !of.contains(&action) {
        true => Err(format!("`{key}` has no meaning for this action; remove it")),
        false => Ok(()),
    };
    only(rule.keep_last.is_some(), "keep_last", &[ActionName::Mask])?;
    only(rule.length.is_some(), "length", &[ActionName::Hash])?;
    only(rule.encoding.is_some(), "encoding", &[ActionName::Hash])?;
    let with = rule.with.as_deref();
    only(
        with.is_some(),
        "with",
        &[ActionName::Mask, ActionName::Replace],
    )?;
    if rule.name.is_some() && rule.regex.is_none() {
        return Err("`name` goes with `regex`; remove it".to_owned());
    }
    match action {
        ActionName::Mask => {
            let keep_last = rule.keep_last.unwrap_or(0);
            if keep_last > KEEP_LAST_MAX {
                return Err(format!(
                    "`keep_last` is {keep_last}; {KEEP_LAST_MAX} is the most"
                ));
            }
            let with = mask_character(with.unwrap_or("*"))?;
            Ok(Action::Mask { with, keep_last })
        }
        ActionName::Replace => replacement(rule).map(Action::Replace),
        ActionName::Hash if !has_key => {
            Err("the action `hash` needs the config key `key`".to_owned())
        }
        ActionName::Hash => {
            let length = rule.length.unwrap_or(LENGTH_DEFAULT);
            if !(LENGTH_DEFAULT..=32).contains(&length) {
                return Err(format!(
                    "`length` is {length}; expected {LENGTH_DEFAULT} to 32 bytes"
                ));
            }
            let encoding = rule.encoding.unwrap_or_default();
            Ok(Action::Hash { length, encoding })
        }
        ActionName::Remove if rule.field.is_none() => {
            Err("the action `remove` is for `field`; use `replace` with an empty `with`".to_owned())
        }
        ActionName::Remove => Ok(Action::Remove),
    }
}

/// A character that makes no new address or number of what is beside it.
fn mask_character(with: &str) -> Result<char, String> {
    let mut characters = with.chars();
    match (characters.next(), characters.next()) {
        (Some(one), None)
            if !one.is_numeric()
                && !one.is_control()
                && !one.is_whitespace()
                && !matches!(one, '@' | '.' | ':' | '%' | '-') =>
        {
            Ok(one)
        }
        _ => Err(format!(
            "`with` is `{with}`; a mask takes one character that is no digit, no space, and none of \
             `@`, `.`, `:`, `%` and `-`"
        )),
    }
}

fn replacement(rule: &Rule) -> Result<String, String> {
    let with = match (&rule.with, &rule.name) {
        (Some(with), _) => with.clone(),
        (None, Some(name)) => format!("[{name}]"),
        (None, None) => "[redacted]".to_owned(),
    };
    match with.len() > WITH_LENGTH_MAX {
        true => Err(format!(
            "`with` has {} bytes; {WITH_LENGTH_MAX} is the most",
            with.len()
        )),
        false => Ok(with),
    }
}

fn compile(regex: &str, name: Option<&str>) -> Result<Regex, String> {
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Err("a `regex` needs a `name` that says what it finds".to_owned());
    };
    let refuse = |error: &dyn std::fmt::Display| format!("the regex `{name}` is refused: {error}");
    if regex.len() > REGEX_LENGTH_MAX {
        return Err(refuse(&format!(
            "it has {} bytes; {REGEX_LENGTH_MAX} is the most",
            regex.len()
        )));
    }
    let compiled = RegexBuilder::new(regex)
        .size_limit(REGEX_SIZE_MAX)
        .nest_limit(REGEX_NEST_MAX)
        .build()
        .map_err(|error| refuse(&error))?;
    match compiled.is_match("") {
        true => Err(refuse(&"it matches the empty text, and so everywhere")),
        false => Ok(compiled),
    }
}

#[cfg(test)]
mod tests {
    use crate::Redact;
    use vanne_plugin::testing::Harness;

    fn refused(config: &str) -> String {
        Harness::<Redact>::new(config)
            .map(|_| ())
            .expect_err(config)
    }

    const MISTAKES: &[(&str, &str)] = &[
        ("[]", "config key `rules`: expected 1 to 64 rules, found 0"),
        (
            r#"[{"patern": "email"}]"#,
            "config key `rules[0].patern`: unknown field `patern`",
        ),
        (
            r#"[{"pattern": "mail", "action": "mask"}]"#,
            "config key `rules[0].pattern`: unknown variant `mail`, expected one of `email`,",
        ),
        (
            r#"[{"pattern": "email"}]"#,
            "config key `rules[0]`: expected `action`: `mask`",
        ),
        (
            r#"[{"pattern": "email", "action": "erase"}]"#,
            "config key `rules[0].action`: unknown variant `erase`",
        ),
        (
            r#"[{"action": "mask"}]"#,
            "config key `rules[0]`: expected one of `pattern`",
        ),
        (
            r#"[{"pattern": "email", "field": "a", "action": "mask"}]"#,
            "config key `rules[0]`: expected one of `pattern`",
        ),
        (
            r#"[{"pattern": "email", "action": "remove"}]"#,
            "config key `rules[0]`: the action `remove` is for `field`",
        ),
        (
            r#"[{"pattern": "email", "action": "hash"}]"#,
            "config key `rules[0]`: the action `hash` needs the config key `key`",
        ),
        (
            r#"[{"pattern": "email", "action": "mask", "length": 16}]"#,
            "config key `rules[0]`: `length` has no meaning",
        ),
        (
            r#"[{"pattern": "email", "action": "replace", "keep_last": 4}]"#,
            "config key `rules[0]`: `keep_last` has no meaning",
        ),
        (
            r#"[{"field": "a", "action": "remove", "with": "x"}]"#,
            "config key `rules[0]`: `with` has no meaning",
        ),
        (
            r#"[{"pattern": "email", "action": "mask", "keep_last": 5}]"#,
            "config key `rules[0]`: `keep_last` is 5; 4 is",
        ),
        (
            r#"[{"pattern": "email", "action": "mask", "with": "**"}]"#,
            "config key `rules[0]`: `with` is `**`; a mask takes one",
        ),
        (
            r#"[{"pattern": "email", "action": "mask", "with": "0"}]"#,
            "config key `rules[0]`: `with` is `0`; a mask takes one",
        ),
        (
            r#"[{"pattern": "email", "action": "replace", "with": "no@example.com"}]"#,
            "config key `rules[0]`: the text `no@example.com` in `with`",
        ),
        (
            r#"[{"pattern": "email", "action": "mask", "name": "n"}]"#,
            "config key `rules[0]`: `name` goes with `regex`",
        ),
        (
            r#"[{"regex": "a", "action": "mask"}]"#,
            "config key `rules[0]`: a `regex` needs a `name`",
        ),
        (
            r#"[{"regex": "a(", "name": "n", "action": "mask"}]"#,
            "config key `rules[0]`: the regex `n` is refused: ",
        ),
        (
            r#"[{"regex": "(a)\\1", "name": "n", "action": "mask"}]"#,
            "config key `rules[0]`: the regex `n` is refused: ",
        ),
        (
            r#"[{"regex": "a*", "name": "n", "action": "mask"}]"#,
            "config key `rules[0]`: the regex `n` is refused: it matches the empty",
        ),
        (
            r#"[{"regex": "((a{100}){100}){100}", "name": "n", "action": "mask"}]"#,
            "config key `rules[0]`: the regex `n` is refused: ",
        ),
        (
            r#"[{"field": "a..b", "action": "mask"}]"#,
            "config key `rules[0]`: the path `a..b` in `field` has a step without",
        ),
    ];

    #[test]
    fn mistakes_are_refused_by_their_key() {
        let long = format!(
            r#"[{{"regex": "{}", "name": "n", "action": "mask"}}]"#,
            "a".repeat(1025)
        );
        let many = format!(
            "[{}]",
            vec![r#"{"pattern": "email", "action": "mask"}"#; 65].join(",")
        );
        let others = [
            (
                many.as_str(),
                "config key `rules`: expected 1 to 64 rules, found 65",
            ),
            (
                long.as_str(),
                "config key `rules[0]`: the regex `n` is refused: it has 1025 bytes",
            ),
        ];
        for (rules, expected) in MISTAKES.iter().copied().chain(others) {
            let error = refused(&format!(r#"{{"rules": {rules}}}"#));
            assert!(
                error.starts_with(expected),
                "{rules}\n  gave     {error}\n  expected {expected}"
            );
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let email = r#""rules": [{"pattern": "email", "action": "mask"}]"#;
        let hash = r#""rules": [{"pattern": "email", "action": "hash", "length": 8}]"#;
        let field = r#""rules": [{"field": "a", "action": "mask"}]"#;
        for (config, expected) in [
            (String::new(), "config: missing field `rules`"),
            (
                format!(r#"{{{email}, "key": "0123456789abcdef"}}"#),
                "config key `key`: no rule has",
            ),
            (
                format!(r#"{{{email}, "key": "hunter2"}}"#),
                "config key `key`: expected at least 16 bytes, found 7",
            ),
            (
                format!(r#"{{{hash}, "key": "0123456789abcdef"}}"#),
                "config key `rules[0]`: `length` is 8; expected 16 to 32",
            ),
            (
                format!(r#"{{{field}, "format": "text"}}"#),
                "config key `format`: a `text` has no fields",
            ),
            (
                format!(r#"{{{email}, "format": "text", "names": true}}"#),
                "config key `names`: a `text`",
            ),
            (
                format!(r#"{{{email}, "format": "xml"}}"#),
                "config key `format`: unknown variant `xml`",
            ),
        ] {
            let error = refused(&config);
            assert!(error.starts_with(expected), "{config}\n  gave     {error}");
            assert!(
                !error.contains("hunter2") && !error.contains("0123456789abcdef"),
                "{error}"
            );
        }
    }
}
