//! Configurations that are refused, and by which words.

use vanne_plugin::testing::Harness;

use crate::JsonFields;

const MISTAKES: &[(&str, &str)] = &[
    (
        r#"{"selct": []}"#,
        "config key `selct`: unknown field `selct`, expected one of `select`,",
    ),
    (
        r#"{"select": "a"}"#,
        "config key `select`: invalid type: string \"a\", expected a sequence",
    ),
    (
        r#"{"select": []}"#,
        "config key `select`: the list is empty",
    ),
    (
        r#"{"select": ["a", "b..c"]}"#,
        "config key `select[1]`: the path `b..c` has an empty name",
    ),
    (
        r#"{"select": ["a\\b"]}"#,
        "config key `select[0]`: the path `a\\b` has a backslash that escapes nothing",
    ),
    (
        r#"{"select": ["a", "a"]}"#,
        "config key `select`: `a` stands there twice",
    ),
    (
        r#"{"select": ["a.b", "a"]}"#,
        "config key `select`: `a.b` and `a` lie within each other",
    ),
    (
        r#"{"drop": ["a", "a.b"]}"#,
        "config key `drop`: `a` and `a.b` lie within each other",
    ),
    (
        r#"{"drop": ["a", "a"]}"#,
        "config key `drop`: `a` stands there twice",
    ),
    (
        r#"{"select": ["a"], "drop": ["a"]}"#,
        "config key `drop`: `a` is dropped, but `select` names `a`",
    ),
    (
        r#"{"select": ["a.b"], "drop": ["a"]}"#,
        "config key `drop`: `a` is dropped, but `select` names `a.b`",
    ),
    (
        r#"{"select": ["a"], "drop": ["b"]}"#,
        "config key `drop`: `b` is not within what `select` names",
    ),
    (
        r#"{"cast": {"a": "int"}}"#,
        "config key `cast.a`: unknown variant `int`, expected one of `integer`,",
    ),
    (
        r#"{"cast": {"": "integer"}}"#,
        "config key `cast`: the path `` has an empty name",
    ),
    (
        r#"{"cast": {"a": "json", "a.b": "integer"}}"#,
        "config key `cast`: `a` and `a.b` lie within each other",
    ),
    (
        r#"{"select": ["a"], "cast": {"b": "integer"}}"#,
        "config key `cast.b`: `b` is not within what `select`",
    ),
    (
        r#"{"drop": ["a"], "cast": {"a.b": "integer"}}"#,
        "config key `cast.a.b`: `a` is dropped",
    ),
    (
        r#"{"cast": {"a": "json"}, "drop": ["a.b"]}"#,
        "config key `drop`: `a.b` is within `a`, which is cast as a",
    ),
    (
        r#"{"cast": {"a": "json"}, "rename": {"a.b": "b"}}"#,
        "config key `rename`: `a.b` is within `a`, which is",
    ),
    (
        r#"{"cast": {"a": "json"}, "rename": {"b": "a.b"}}"#,
        "config key `rename`: `a.b` is within `a`, which is",
    ),
    (
        r#"{"cast": {"a": "string"}, "set": {"a.b": 1}}"#,
        "config key `set`: `a.b` is within `a`, which is cast as a",
    ),
    (
        r#"{"rename": {"a": "b."}}"#,
        "config key `rename.a`: the path `b.` has an empty name",
    ),
    (
        r#"{"rename": {".a": "b"}}"#,
        "config key `rename`: the path `.a` has an empty name",
    ),
    (
        r#"{"rename": {"a": "a"}}"#,
        "config key `rename.a`: there is a field `a` already",
    ),
    (
        r#"{"rename": {"a": "x", "b": "x"}}"#,
        "config key `rename.b`: `rename.a` makes a field `x` too",
    ),
    (
        r#"{"rename": {"a": "x", "b": "x.y"}}"#,
        "config key `rename.b`: `x.y` and `x` of `rename.a` lie within",
    ),
    (
        r#"{"rename": {"a": "x", "a.b": "y"}}"#,
        "config key `rename`: `a` and `a.b` lie within each other",
    ),
    (
        r#"{"select": ["a"], "rename": {"b": "c"}}"#,
        "config key `rename.b`: `b` is not within what `select` names",
    ),
    (
        r#"{"select": ["a", "b"], "rename": {"a": "b"}}"#,
        "config key `rename.a`: there is a field `b` already",
    ),
    (
        r#"{"drop": ["a"], "rename": {"a": "b"}}"#,
        "config key `rename.a`: `a` is dropped",
    ),
    (
        r#"{"rename": {"a": "x"}, "set": {"x": 1}}"#,
        "config key `set.x`: `rename.a` makes a field `x` too",
    ),
    (
        r#"{"set": {"a": 1, "a.b": 1}}"#,
        "config key `set.a.b`: `a.b` and `a` of `set.a` lie within each other",
    ),
    (
        r#"{"flatten": {"separator": ""}}"#,
        "config key `flatten.separator`: it is empty",
    ),
    (
        r#"{"flatten": {"depth": 0}}"#,
        "config key `flatten.depth`: expected 1 or more, found 0",
    ),
    (
        r#"{"flatten": {"sep": "_"}}"#,
        "config key `flatten.sep`: unknown field `sep`, expected one of",
    ),
    (
        r#"{"missing": "fail"}"#,
        "config key `missing`: no field is named that could be missing",
    ),
    (
        r#"{"missing": "error", "select": ["a"]}"#,
        "config key `missing`: unknown variant `error`, expected one of",
    ),
    (
        r#"{"on_cast_error": "null"}"#,
        "config key `on_cast_error`: nothing is cast",
    ),
    (
        r#"{"tombstone": "keep"}"#,
        "config key `tombstone`: unknown variant `keep`, expected one of `forward`,",
    ),
];

#[test]
fn mistakes_are_refused_by_their_key() {
    for &(config, expected) in MISTAKES {
        let error = Harness::<JsonFields>::new(config)
            .map(|_| ())
            .expect_err(config);
        assert!(
            error.starts_with(expected),
            "{config}\n  gave     {error}\n  expected {expected}"
        );
    }
}

#[test]
fn what_only_looks_like_a_contradiction_is_taken() {
    for config in [
        "",
        r#"{"select": ["a"], "drop": ["a.b"], "cast": {"a.c": "integer"}, "rename": {"a": "x"}}"#,
        r#"{"rename": {"a": "b", "b": "a"}}"#,
        r#"{"rename": {"a": "a.b"}}"#,
        r#"{"rename": {"a.b": "a"}}"#,
        r#"{"select": ["a", "ab"], "drop": ["a.c", "ab.c"]}"#,
        r#"{"cast": {"a": "json"}, "rename": {"a": "b"}, "set": {"a": 1}}"#,
        r#"{"flatten": {}}"#,
    ] {
        assert!(Harness::<JsonFields>::new(config).is_ok(), "{config}");
    }
}
