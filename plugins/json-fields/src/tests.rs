//! The plugin as a whole: values in, objects or failures out.

use proptest::prelude::*;
use serde_json::{Map, Value};
use vanne_plugin::testing::{Harness, Record, Reply};

use crate::JsonFields;
use crate::tree::FIELDS_MAX;

mod failures;
mod properties;
mod tables;

fn plugin(config: &str) -> Harness<JsonFields> {
    Harness::new(config).expect(config)
}

fn rewritten(config: &str, value: &str) -> String {
    match plugin(config).one(&Record::value(value)) {
        Reply::Replace(Some(object), _) => String::from_utf8(object).unwrap(),
        other => panic!("{config} {value}: an object was expected, and not {other:?}"),
    }
}

fn failure(config: &str, value: impl AsRef<[u8]>) -> (String, String) {
    match plugin(config).one(&Record::value(value)) {
        Reply::Fail(code, detail) => (code, detail),
        other => panic!("{config}: a failure was expected, and not {other:?}"),
    }
}

/// Configuration, value, expected object.
type Row = (&'static str, &'static str, &'static str);

fn check(rows: &[Row]) {
    for (config, value, expected) in rows {
        assert_eq!(&rewritten(config, value), expected, "{config} {value}");
    }
}

#[test]
fn it_reads_the_value_and_is_pure() {
    let plugin = plugin("");
    let plan = plugin.plan();
    assert!(plan.reads_value() && !plan.reads_key() && !plan.reads_headers());
    assert_eq!(plan.traits(), ["pure"]);
}

#[test]
fn values_keep_the_text_that_they_had() {
    const ODD: &str =
        r#"{"n":[1e400,-0,1.500,123456789012345678901234567890,1E+2],"s":"\u00e9\/\ud800","é":""}"#;
    check(&[
        ("{}", ODD, ODD),
        (
            r#"{"drop": ["x"], "cast": {"y": "string"}, "rename": {"z": "x"}}"#,
            ODD,
            ODD,
        ),
        (r#"{"flatten": {}}"#, ODD, ODD),
        ("{}", "{}", "{}"),
        ("{}", " { } \n", "{}"),
        (
            "{}",
            "{ \"b\" : 1.0 ,\n\"a\" : [ 1 , { } ] }",
            r#"{"b":1.0,"a":[1,{}]}"#,
        ),
        ("{}", r#"{"a": " b : \" , "}"#, r#"{"a":" b : \" , "}"#),
        ("{}", r#"{"a\"b":1,"\u0061":2}"#, r#"{"a\"b":1,"\u0061":2}"#),
    ]);
}

#[test]
fn nested_fields_are_flattened() {
    const NESTED: &str = r#"{"a":{"b":{"c":1,"d":[1,{"e":2}]},"f":{}},"g":[],"h":2}"#;
    check(&[
        (
            r#"{"flatten": {}}"#,
            NESTED,
            r#"{"a.b.c":1,"a.b.d":[1,{"e":2}],"a.f":{},"g":[],"h":2}"#,
        ),
        (
            r#"{"flatten": {"depth": 1}}"#,
            NESTED,
            r#"{"a.b":{"c":1,"d":[1,{"e":2}]},"a.f":{},"g":[],"h":2}"#,
        ),
        (
            r#"{"flatten": {"depth": 2, "separator": "__"}}"#,
            NESTED,
            r#"{"a__b__c":1,"a__b__d":[1,{"e":2}],"a__f":{},"g":[],"h":2}"#,
        ),
        (
            r#"{"flatten": {"arrays": true}}"#,
            NESTED,
            r#"{"a.b.c":1,"a.b.d.0":1,"a.b.d.1.e":2,"a.f":{},"g":[],"h":2}"#,
        ),
        (
            r#"{"flatten": {"arrays": true, "depth": 1}}"#,
            r#"{"a":[ 1 ,{ "b":[ 2 ] }]}"#,
            r#"{"a.0":1,"a.1":{"b":[2]}}"#,
        ),
        (
            r#"{"flatten": {"separator": "\""}}"#,
            r#"{"a":{"\u0062":1}}"#,
            r#"{"a\"\u0062":1}"#,
        ),
        (
            r#"{"flatten": {}, "select": ["a.b"]}"#,
            NESTED,
            r#"{"a.b.c":1,"a.b.d":[1,{"e":2}]}"#,
        ),
        (
            r#"{"flatten": {}, "rename": {"a.b": "x"}}"#,
            NESTED,
            r#"{"a.f":{},"g":[],"h":2,"x.c":1,"x.d":[1,{"e":2}]}"#,
        ),
        (
            r#"{"flatten": {"depth": 1}, "rename": {"a.b": "x"}}"#,
            r#"{"a":{"b":{"c":{"d":1}}}}"#,
            r#"{"x.c":{"d":1}}"#,
        ),
    ]);
}

#[test]
fn missing_fields_are_passed_over_made_null_or_fail() {
    let config = |missing: &str, rest: &str| format!(r#"{{"missing": "{missing}", {rest}}}"#);
    for (rest, value, expected) in [
        (
            r#""select": ["a", "u.b"]"#,
            r#"{"a":1}"#,
            r#"{"a":1,"u":{"b":null}}"#,
        ),
        (
            r#""select": ["a", "u.b"]"#,
            r#"{"a":1,"u":{"c":2}}"#,
            r#"{"a":1,"u":{"b":null}}"#,
        ),
        (
            r#""select": ["a", "u.b"]"#,
            r#"{"a":1,"u":5}"#,
            r#"{"a":1,"u":{"b":null}}"#,
        ),
        (
            r#""cast": {"a": "integer"}"#,
            r#"{"b":1}"#,
            r#"{"b":1,"a":null}"#,
        ),
        (
            r#""rename": {"a": "x.y"}"#,
            r#"{"b":1}"#,
            r#"{"b":1,"x":{"y":null}}"#,
        ),
        (
            r#""select": ["a"], "rename": {"a": "x"}"#,
            "{}",
            r#"{"x":null}"#,
        ),
        (
            r#""cast": {"u.a": "integer"}"#,
            r#"{"u":null}"#,
            r#"{"u":null}"#,
        ),
    ] {
        assert_eq!(rewritten(&config("null", rest), value), expected, "{rest}");
        let (code, detail) = failure(&config("fail", rest), value);
        assert_eq!(code, "MissingField", "{rest}");
        assert!(detail.starts_with("the field `"), "{detail}");
    }
    assert_eq!(
        failure(
            &config("fail", r#""select": ["a", "u.b"]"#),
            r#"{"a":null}"#
        )
        .1,
        "the field `u.b` is not there"
    );
    let fails = config("fail", r#""select": ["a"]"#);
    assert_eq!(rewritten(&fails, r#"{"a":null}"#), r#"{"a":null}"#);
    assert_eq!(rewritten(r#"{"select": ["a"]}"#, "{}"), "{}");
}

#[test]
fn null_values_go_on_unless_said_otherwise() {
    for (config, expected) in [
        ("", Reply::Forward),
        (r#"{"tombstone": "forward"}"#, Reply::Forward),
        (r#"{"tombstone": "drop"}"#, Reply::Drop),
        (
            r#"{"tombstone": "fail"}"#,
            Reply::Fail(
                "NoValue".into(),
                "expected a JSON object, found a null value".into(),
            ),
        ),
    ] {
        assert_eq!(plugin(config).one(&Record::tombstone()), expected);
    }
}

#[test]
fn a_record_leaves_nothing_for_the_next() {
    let plugin = plugin(
        r#"{"select": ["a", "u.b"], "cast": {"a": "json"}, "rename": {"u.b": "b"}, "flatten": {}}"#,
    );
    let (first, second) = (r#"{"a":"{\"\\u0078\":[1]}","u":{"b":1}}"#, r#"{"a":2}"#);
    let values = [first, "{", second, r#"{"a":"["}"#, first];
    let records: Vec<Record> = values.iter().map(Record::value).collect();
    let together = plugin.batch(&records).unwrap();
    let alone: Vec<Reply> = records.iter().map(|record| plugin.one(record)).collect();
    assert_eq!(together, alone);
    assert_eq!(together[0], together[4]);
    assert_eq!(together[2], Reply::replaced(r#"{"a":2}"#));
}

#[test]
fn the_example_of_the_readme_holds() {
    let readme = include_str!("../README.md");
    let config = r#"{
        "drop": ["user.password"],
        "cast": {"took": "number", "order.id": "string", "at": "timestamp-ms"},
        "rename": {"at": "at_ms", "user.id": "customer"},
        "set": {"schema": 3},
        "flatten": {"separator": "_"},
        "missing": "null"
    }"#;
    let mut examples = readme.split("```json\n").skip(1);
    let mut example = || {
        examples
            .next()
            .and_then(|rest| rest.split('\n').next())
            .unwrap()
    };
    let (before, after) = (example(), example());
    assert_eq!(rewritten(config, before), after);
}
