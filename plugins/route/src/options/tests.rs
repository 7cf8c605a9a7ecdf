//! Configurations that are refused, and by which words; conditions and what they hold for.

use vanne_plugin::testing::Harness;

use super::Condition;
use crate::Route;

const MISTAKES: &[(&str, &str)] = &[
    ("", "config: missing field `field`"),
    (
        r#"{"field": "a"}"#,
        "config key `routes`: there is nothing to do",
    ),
    (
        r#"{"field": "a", "route": {}}"#,
        "config key `route`: unknown field `route`, expected one of `field`,",
    ),
    (
        r#"{"field": "a..b", "routes": {"x": "s"}}"#,
        "config key `field`: the path `a..b` has an empty name",
    ),
    (
        r#"{"field": "header:", "routes": {"x": "s"}}"#,
        "config key `field`: the name of the header is empty",
    ),
    (
        r#"{"field": "value:", "routes": {"x": "s"}}"#,
        "config key `field`: the path `` has an empty name",
    ),
    (
        r#"{"field": "a", "routes": {"x": []}}"#,
        "config key `routes.x`: the list is empty; name a sink, or write",
    ),
    (
        r#"{"field": "a", "routes": {"x": ["s", "s"]}}"#,
        "config key `routes.x`: the sink `s` stands there twice",
    ),
    (
        r#"{"field": "a", "routes": {"x": ""}}"#,
        "config key `routes.x`: the name of a sink is empty",
    ),
    (
        r#"{"field": "a", "routes": {"x": 7}}"#,
        "config key `routes.x`: invalid type: integer `7`, expected the name of",
    ),
    (
        r#"{"field": "a", "routes": {"x": "s"}, "default": []}"#,
        "config key `default`: the list is empty",
    ),
    (
        r#"{"field": "a", "rules": [{"prefix": "x"}]}"#,
        "config key `rules[0]`: missing field `to`",
    ),
    (
        r#"{"field": "a", "rules": [{"to": "s"}]}"#,
        "config key `rules[0]`: expected one condition: `equals_ignore",
    ),
    (
        r#"{"field": "a", "rules": [{"prefix": "x", "below": 1, "to": "s"}]}"#,
        "config key `rules[0]`: expected one",
    ),
    (
        r#"{"field": "a", "rules": [{"prefix": "", "to": "s"}]}"#,
        "config key `rules[0]`: the `prefix` is empty",
    ),
    (
        r#"{"field": "a", "rules": [{"suffix": "x", "to": "s"}]}"#,
        "config key `rules[0].suffix`: unknown field `suffix`",
    ),
    (
        r#"{"field": "a", "rules": [{"at_least": 5, "below": 5, "to": "s"}]}"#,
        "config key `rules[0]`: no number is at least 5 and below 5",
    ),
    (
        r#"{"field": "a", "rules": [{"prefix": "x", "to": "s"}, {"prefix": "xy", "to": "t"}]}"#,
        "config key `rules[1]`: it never decides, since `rules[0]` holds for all",
    ),
    (
        r#"{"field": "a", "rules": [{"equals_ignore_case": "x", "to": "s"}, {"equals_ignore_case": "X", "to": "t"}]}"#,
        "config key `rules[1]`: it never decides",
    ),
    (
        r#"{"field": "a", "rules": [{"at_least": 1, "to": "s"}, {"at_least": 1, "below": 9, "to": "t"}]}"#,
        "config key `rules[1]`: it never decides",
    ),
    (
        r#"{"field": "a", "partition_keys": {"": "b"}}"#,
        "config key `partition_keys`: the name of a key is empty",
    ),
    (
        r#"{"field": "a", "partition_keys": {"t": ""}}"#,
        "config key `partition_keys.t`: the path `` has an empty",
    ),
    (
        r#"{"field": "a", "routes": {"x": "s"}, "partition_default": "none"}"#,
        "config key `partition_default`: there are no `partition_keys`",
    ),
    (
        r#"{"field": "a", "routes": {"x": "s"}, "partition_unsafe": "replace"}"#,
        "config key `partition_unsafe`: there are no `partition_keys`",
    ),
    (
        r#"{"field": "a", "partition_keys": {"t": "b"}, "partition_default": "a/b"}"#,
        "config key `partition_default`: expected ASCII letters, digits,",
    ),
    (
        r#"{"field": "a", "partition_keys": {"t": "b"}, "partition_unsafe": "drop"}"#,
        "config key `partition_unsafe`: unknown variant `drop`, expected `fail` or `replace`",
    ),
];

#[test]
fn mistakes_are_refused_by_their_key() {
    for &(config, expected) in MISTAKES {
        let error = Harness::<Route>::new(config).map(|_| ()).expect_err(config);
        assert!(
            error.starts_with(expected),
            "{config}\n  gave     {error}\n  expected {expected}"
        );
    }
}

#[test]
fn rules_that_only_overlap_are_taken() {
    for rules in [
        r#"{"prefix": "xy", "to": "s"}, {"prefix": "x", "to": "t"}"#,
        r#"{"at_least": 500, "to": "s"}, {"at_least": 400, "to": "t"}, {"below": 400, "to": "u"}"#,
        r#"{"prefix": "x", "to": "s"}, {"equals_ignore_case": "x", "to": "t"}"#,
    ] {
        let config = format!(r#"{{"field": "a", "rules": [{rules}]}}"#);
        assert!(Harness::<Route>::new(&config).is_ok(), "{config}");
    }
}

#[test]
fn conditions_hold_for_what_they_say() {
    let range = |at_least, below| Condition::Range { at_least, below };
    let equals = Condition::EqualsIgnoreCase("Warn é".to_owned());
    for (condition, text, holds) in [
        (&equals, "WARN é", true),
        (&equals, "warn É", false),
        (&equals, "warn", false),
        (&Condition::Prefix("audit.".to_owned()), "audit.login", true),
        (&Condition::Prefix("audit.".to_owned()), "audit.", true),
        (
            &Condition::Prefix("audit.".to_owned()),
            "Audit.login",
            false,
        ),
        (&range(Some(500.0), Some(600.0)), "500", true),
        (&range(Some(500.0), Some(600.0)), "599.99", true),
        (&range(Some(500.0), Some(600.0)), "6e2", false),
        (&range(Some(500.0), Some(600.0)), "499", false),
        (&range(Some(500.0), None), "1e400", true),
        (&range(Some(500.0), None), "-1e400", false),
        (&range(None, Some(0.0)), "-1e400", true),
        (&range(None, Some(0.0)), "-0", false),
        (&range(None, Some(0.0)), "", false),
        (&range(None, Some(0.0)), "-inf", false),
        (&range(None, Some(0.0)), " -1", false),
        (&range(None, Some(0.0)), "x", false),
    ] {
        assert_eq!(condition.holds(text), holds, "{condition:?} {text}");
    }
}
