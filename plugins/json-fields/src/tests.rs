//! The plugin as a whole: values in, objects or failures out.

use proptest::prelude::*;
use serde_json::{Map, Value};
use vanne_plugin::testing::{Harness, Record, Reply};

use crate::JsonFields;
use crate::tree::FIELDS_MAX;

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
fn fields_are_selected() {
    check(&[
        (
            r#"{"select": ["a"]}"#,
            r#"{"b":1,"a":2,"c":3}"#,
            r#"{"a":2}"#,
        ),
        (
            r#"{"select": ["c", "a"]}"#,
            r#"{"a":1,"b":2,"c":3}"#,
            r#"{"a":1,"c":3}"#,
        ),
        (
            r#"{"select": ["u.id"]}"#,
            r#"{"u":{"name":"x","id":7},"v":1}"#,
            r#"{"u":{"id":7}}"#,
        ),
        (
            r#"{"select": ["u"]}"#,
            r#"{"u":{"name":"x","id":{ }}}"#,
            r#"{"u":{"name":"x","id":{}}}"#,
        ),
        (
            r#"{"select": ["u.id", "u.a.b"]}"#,
            r#"{"u":{"a":{"c":1},"id":7}}"#,
            r#"{"u":{"id":7}}"#,
        ),
        (r#"{"select": ["u.id"]}"#, r#"{"u":{}}"#, "{}"),
        (r#"{"select": ["u.id"]}"#, r#"{"u":[{"id":1}]}"#, "{}"),
        (r#"{"select": ["u.id"]}"#, r#"{"u":"id"}"#, "{}"),
        (r#"{"select": ["a"]}"#, r#"{"\u0061":1}"#, r#"{"\u0061":1}"#),
        (
            r#"{"select": ["a\\.b"]}"#,
            r#"{"a.b":1,"a":{"b":2}}"#,
            r#"{"a.b":1}"#,
        ),
        (
            r#"{"select": ["a\\\\"]}"#,
            r#"{"a\\":1,"a":2}"#,
            r#"{"a\\":1}"#,
        ),
        (
            r#"{"select": ["a"]}"#,
            r#"{"b":{"a":1},"a":null}"#,
            r#"{"a":null}"#,
        ),
    ]);
}

#[test]
fn fields_are_dropped() {
    check(&[
        (
            r#"{"drop": ["a"]}"#,
            r#"{"b":1,"a":2,"c":3}"#,
            r#"{"b":1,"c":3}"#,
        ),
        (
            r#"{"drop": ["u.key"]}"#,
            r#"{"u":{"key":1,"id":2}}"#,
            r#"{"u":{"id":2}}"#,
        ),
        (
            r#"{"drop": ["u.key"]}"#,
            r#"{"u":{"key":1},"a":{}}"#,
            r#"{"a":{}}"#,
        ),
        (r#"{"drop": ["u.key"]}"#, r#"{"u":{}}"#, r#"{"u":{}}"#),
        (r#"{"drop": ["u.key"]}"#, r#"{"u":null}"#, r#"{"u":null}"#),
        (
            r#"{"drop": ["a.b.c"]}"#,
            r#"{"a":{"b":{"c":1}},"d":0}"#,
            r#"{"d":0}"#,
        ),
        (
            r#"{"select": ["u"], "drop": ["u.key"]}"#,
            r#"{"u":{"key":1,"id":2},"a":3}"#,
            r#"{"u":{"id":2}}"#,
        ),
        (r#"{"drop": ["a"]}"#, r#"{"a":1,"a":2}"#, "{}"),
    ]);
}

#[test]
fn fields_are_cast() {
    check(&[
        (
            r#"{"cast": {"a": "integer"}}"#,
            r#"{"a":"42","b":"42"}"#,
            r#"{"a":42,"b":"42"}"#,
        ),
        (
            r#"{"cast": {"u.age": "integer"}}"#,
            r#"{"u":{"age":1.20e1}}"#,
            r#"{"u":{"age":12}}"#,
        ),
        (
            r#"{"cast": {"a": "number"}}"#,
            r#"{"a":"1.50"}"#,
            r#"{"a":1.50}"#,
        ),
        (
            r#"{"cast": {"a": "string"}}"#,
            r#"{"a":1.50}"#,
            r#"{"a":"1.50"}"#,
        ),
        (
            r#"{"cast": {"a": "string"}}"#,
            r#"{"a":{ "b": [1] }}"#,
            r#"{"a":"{\"b\":[1]}"}"#,
        ),
        (
            r#"{"cast": {"a": "boolean"}}"#,
            r#"{"a":"True"}"#,
            r#"{"a":true}"#,
        ),
        (
            r#"{"cast": {"a": "timestamp-ms"}}"#,
            r#"{"a":"2024-02-29T23:59:59.5Z"}"#,
            r#"{"a":1709251199500}"#,
        ),
        (
            r#"{"cast": {"a": "json"}}"#,
            r#"{"a":"{\"b\": 1.0}"}"#,
            r#"{"a":{"b":1.0}}"#,
        ),
        (
            r#"{"cast": {"a": "json"}}"#,
            r#"{"a":{ "b": 1 }}"#,
            r#"{"a":{"b":1}}"#,
        ),
        (
            r#"{"cast": {"a": "integer"}}"#,
            r#"{"a":null}"#,
            r#"{"a":null}"#,
        ),
        (r#"{"cast": {"a": "integer"}}"#, r#"{"b":1}"#, r#"{"b":1}"#),
        (
            r#"{"cast": {"a": "integer"}, "on_cast_error": "null"}"#,
            r#"{"a":"x","b":1}"#,
            r#"{"a":null,"b":1}"#,
        ),
        (
            r#"{"cast": {"a": "integer"}, "on_cast_error": "keep"}"#,
            r#"{"a":[ 1 ]}"#,
            r#"{"a":[1]}"#,
        ),
        (
            r#"{"cast": {"a": "integer"}, "on_cast_error": "keep", "flatten": {}}"#,
            r#"{"a":{"b":1,"c":{}}}"#,
            r#"{"a.b":1,"a.c":{}}"#,
        ),
        (
            r#"{"cast": {"a": "json", "b": "json"}, "flatten": {}}"#,
            r#"{"a":"{\"x\":{\"\\u0079\":1}}","b":"{\"\\n\":[ 2 ]}"}"#,
            r#"{"a.x.\u0079":1,"b.\n":[2]}"#,
        ),
    ]);
}

#[test]
fn fields_are_renamed_and_moved() {
    check(&[
        (
            r#"{"rename": {"a": "x"}}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"x":1,"b":2}"#,
        ),
        (
            r#"{"rename": {"u.id": "u.key"}}"#,
            r#"{"u":{"id":1,"n":2}}"#,
            r#"{"u":{"key":1,"n":2}}"#,
        ),
        (
            r#"{"rename": {"u.id": "id"}}"#,
            r#"{"u":{"id":1,"n":2},"b":3}"#,
            r#"{"u":{"n":2},"b":3,"id":1}"#,
        ),
        (
            r#"{"rename": {"u.id": "id"}}"#,
            r#"{"u":{"id":1},"b":3}"#,
            r#"{"b":3,"id":1}"#,
        ),
        (
            r#"{"rename": {"a.b.c": "c"}}"#,
            r#"{"a":{"b":{"c":1}}}"#,
            r#"{"c":1}"#,
        ),
        (
            r#"{"rename": {"a": "u.a"}}"#,
            r#"{"a":1,"u":{"b":2}}"#,
            r#"{"u":{"b":2,"a":1}}"#,
        ),
        (
            r#"{"rename": {"a": "u.v.a"}}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"b":2,"u":{"v":{"a":1}}}"#,
        ),
        (
            r#"{"rename": {"a": "a.b"}}"#,
            r#"{"a":1}"#,
            r#"{"a":{"b":1}}"#,
        ),
        (
            r#"{"rename": {"a.b": "a"}}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":1}"#,
        ),
        (
            r#"{"rename": {"a": "b", "b": "a"}}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"b":1,"a":2}"#,
        ),
        (
            r#"{"rename": {"u.a": "v.a", "v.a": "u.a"}}"#,
            r#"{"u":{"a":1},"v":{"a":2}}"#,
            r#"{"u":{"a":2},"v":{"a":1}}"#,
        ),
        (
            r#"{"rename": {"a": "b"}, "drop": ["b"]}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"b":1}"#,
        ),
        (
            r#"{"rename": {"a": "x\\.y"}}"#,
            r#"{"a":1}"#,
            r#"{"x.y":1}"#,
        ),
        (
            r#"{"rename": {"a": "x\"y\n"}}"#,
            r#"{"a":1}"#,
            r#"{"x\"y\n":1}"#,
        ),
        (
            r#"{"rename": {"a": "x"}, "cast": {"a": "string"}}"#,
            r#"{"a":1}"#,
            r#"{"x":"1"}"#,
        ),
        (
            r#"{"rename": {"u": "v"}, "cast": {"u.a": "string"}, "drop": ["u.b"]}"#,
            r#"{"u":{"a":1,"b":2}}"#,
            r#"{"v":{"a":"1"}}"#,
        ),
        (
            r#"{"select": ["u.id"], "rename": {"u.id": "id"}}"#,
            r#"{"u":{"id":1,"n":2}}"#,
            r#"{"id":1}"#,
        ),
        (
            r#"{"select": ["a"], "rename": {"a": "u.a"}}"#,
            r#"{"a":1,"u":{"b":2}}"#,
            r#"{"u":{"a":1}}"#,
        ),
        (r#"{"rename": {"a": "x"}}"#, r#"{"b":1}"#, r#"{"b":1}"#),
        (
            r#"{"rename": {"u": "w.u"}, "drop": ["u.b"]}"#,
            r#"{"u":{"b":1},"c":2}"#,
            r#"{"c":2}"#,
        ),
    ]);
}

#[test]
fn fields_are_set() {
    check(&[
        (r#"{"set": {"v": 1}}"#, r#"{"a":1}"#, r#"{"a":1,"v":1}"#),
        (
            r#"{"set": {"a": "x"}}"#,
            r#"{"a":{"b":[1]},"c":2}"#,
            r#"{"a":"x","c":2}"#,
        ),
        (
            r#"{"set": {"m.env": "prod"}}"#,
            r#"{"m":{"b":1}}"#,
            r#"{"m":{"b":1,"env":"prod"}}"#,
        ),
        (
            r#"{"set": {"m.env": "prod", "m.n": null}}"#,
            "{}",
            r#"{"m":{"env":"prod","n":null}}"#,
        ),
        (
            r#"{"set": {"m": {"b": [1, 2.5], "a": "\""}}}"#,
            "{}",
            r#"{"m":{"b":[1,2.5],"a":"\""}}"#,
        ),
        (
            r#"{"set": {"m": {"b": {"c": 1}}}, "flatten": {"separator": "_"}}"#,
            "{}",
            r#"{"m_b_c":1}"#,
        ),
        (
            r#"{"set": {"a": 1}, "rename": {"a": "b"}}"#,
            r#"{"a":0}"#,
            r#"{"b":0,"a":1}"#,
        ),
        (
            r#"{"select": ["a"], "set": {"v": true}}"#,
            r#"{"a":0,"v":1}"#,
            r#"{"a":0,"v":true}"#,
        ),
        (
            r#"{"drop": ["a"], "set": {"a.b": {}}}"#,
            r#"{"a":0}"#,
            r#"{"a":{"b":{}}}"#,
        ),
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
fn each_failure_has_its_code_and_says_what_was_found() {
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(127), "]".repeat(127));
    for (config, value, code, detail) in [
        (
            "{}",
            "",
            "InvalidJson",
            "byte 1: expected a value, found the end of the text",
        ),
        (
            "{}",
            "{\"a\":1",
            "InvalidJson",
            "byte 7: expected `,` or `}`, found the end of the text",
        ),
        (
            "{}",
            "{\"a\":01}",
            "InvalidJson",
            "byte 7: expected `,` or `}`, found `1}`",
        ),
        (
            "{}",
            "{} {}",
            "InvalidJson",
            "byte 4: expected nothing after the value, found `{}`",
        ),
        (
            r#"{"select": ["b"]}"#,
            "{\"a\":[1,]}",
            "InvalidJson",
            "byte 9: expected a value, found `]}`",
        ),
        (
            "{}",
            "[1",
            "InvalidJson",
            "byte 3: expected `,` or `]`, found the end of the text",
        ),
        (
            "{}",
            "[1]",
            "NotAnObject",
            "expected a JSON object, found an array `[1]`",
        ),
        (
            "{}",
            "null",
            "NotAnObject",
            "expected a JSON object, found null `null`",
        ),
        (
            "{}",
            "\"a\"",
            "NotAnObject",
            "expected a JSON object, found a string `\\\"a\\\"`",
        ),
        (
            "{}",
            &deep,
            "TooDeep",
            "byte 132: expected objects and arrays nested 127 deep at most, found `[1]]]]",
        ),
        (
            r#"{"cast": {"u.a": "integer"}}"#,
            r#"{"u":{"a":"x"}}"#,
            "BadCast",
            "field `u.a`: expected an integer from -2^63 to 2^64 - 1, found a string `\\\"x\\\"`",
        ),
        (
            r#"{"cast": {"a": "json"}}"#,
            r#"{"a":"{"}"#,
            "BadCast",
            "field `a`: expected a string that is JSON",
        ),
        (
            "{}",
            r#"{"a":1,"\u0061":2}"#,
            "DuplicateName",
            "an object would have two fields of the name `a`",
        ),
        (
            r#"{"rename": {"a": "b"}}"#,
            r#"{"a":1,"b":2}"#,
            "DuplicateName",
            "an object would have two fields of the name `b`",
        ),
        (
            r#"{"rename": {"a": "u.b"}}"#,
            r#"{"a":1,"u":{"b":2}}"#,
            "DuplicateName",
            "an object would have two",
        ),
        (
            r#"{"set": {"a": 1}}"#,
            r#"{"a":1,"a":2}"#,
            "DuplicateName",
            "an object would have two",
        ),
        (
            r#"{"flatten": {}}"#,
            r#"{"a.b":1,"a":{"b":2}}"#,
            "DuplicateName",
            "an object would have two fields of the name `a.b`",
        ),
        (
            r#"{"flatten": {"depth": 1}}"#,
            r#"{"a":{"b":{"c":1,"c":2}}}"#,
            "DuplicateName",
            "an object would have two",
        ),
        (
            r#"{"rename": {"a": "u.b"}}"#,
            r#"{"a":1,"u":null}"#,
            "NoPlace",
            "the field `u.b` has no place",
        ),
        (
            r#"{"set": {"u.b": 1}}"#,
            r#"{"u":[]}"#,
            "NoPlace",
            "the field `u.b` has no place",
        ),
    ] {
        let (found, said) = failure(config, value);
        assert_eq!(found, code, "{config} {value}: {said}");
        assert!(
            said.starts_with(detail),
            "{config} {value}\n  gave     {said}\n  expected {detail}"
        );
    }
    let (code, detail) = failure("{}", b"{\"a\":\"\xff\"}");
    assert_eq!(code, "NotUtf8");
    assert!(
        detail.starts_with("byte 7: expected UTF-8, found "),
        "{detail}"
    );
}

#[test]
fn hostile_values_cost_no_stack_and_bounded_memory() {
    for open in ["[", "{\"a\":", "{\"a\":["] {
        let value = format!("{{\"x\":{}", open.repeat(200_000));
        for config in [
            "{}",
            r#"{"flatten": {"arrays": true}}"#,
            r#"{"drop": ["x.a.a.a"]}"#,
        ] {
            assert_eq!(failure(config, &value).0, "TooDeep");
        }
    }
    let deepest = format!("{}1{}", r#"{"a":"#.repeat(127), "}".repeat(127));
    assert_eq!(rewritten("{}", &deepest), deepest);
    let flat = rewritten(r#"{"flatten": {}}"#, &deepest);
    assert_eq!(flat, format!("{{\"{}a\":1}}", "a.".repeat(126)));
    let fields: Vec<String> = (0..=FIELDS_MAX).map(|at| format!("\"{at}\":0")).collect();
    let object = |count: usize| format!("{{{}}}", fields[..count].join(","));
    let most = object(FIELDS_MAX);
    assert_eq!(rewritten("{}", &most), most);
    assert_eq!(failure("{}", object(FIELDS_MAX + 1)).0, "TooLarge");
    // What is not taken apart is not counted.
    let inner = format!("{{\"a\":{}}}", object(FIELDS_MAX + 1));
    assert_eq!(rewritten("{}", &inner), inner);
    let long = format!("{{\"{}\":{}}}", "x".repeat(1_000_000), object(1_000));
    let (code, detail) = failure(r#"{"flatten": {}}"#, &long);
    assert_eq!(code, "TooLarge");
    assert!(
        detail.starts_with("flattening makes names of more than"),
        "{detail}"
    );
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

/// Configurations that between them do everything.
const CONFIGS: [&str; 5] = [
    "{}",
    r#"{"flatten": {"arrays": true}}"#,
    r#"{"select": ["a", "b.c"], "cast": {"a": "integer", "b.c": "json"}, "on_cast_error": "keep", "flatten": {"depth": 1}}"#,
    r#"{"drop": ["a.b"], "rename": {"b": "c.d", "a.c": "e"}, "set": {"c.x": [1]}, "missing": "null"}"#,
    r#"{"cast": {"a": "string", "b": "boolean", "c": "timestamp-ms", "d": "number"}, "on_cast_error": "null"}"#,
];

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c.\"\\\\é]{0,3}".prop_map(Value::from),
        Just(Value::from("{\"a\":[1]}")),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-e]", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-e]", json(), 0..5)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// What flattening means, in another way.
fn flattened(value: &Value) -> Map<String, Value> {
    let mut flat = Map::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let inner = flattened(value);
        if inner.is_empty() {
            flat.insert(name.clone(), value.clone());
        }
        flat.extend(
            inner
                .into_iter()
                .map(|(rest, value)| (format!("{name}.{rest}"), value)),
        );
    }
    flat
}

proptest! {
    #[test]
    fn any_bytes_give_one_outcome(value: Vec<u8>) {
        for config in CONFIGS {
            match plugin(config).one(&Record::value(&value)) {
                Reply::Replace(Some(object), _) => prop_assert!(serde_json::from_slice::<Value>(&object).is_ok()),
                other => prop_assert!(matches!(other, Reply::Fail(..))),
            }
        }
    }

    #[test]
    fn what_is_almost_json_gives_an_object_or_a_failure(
        value in object(), at in 0..80_usize, gone in 0..3_usize, put in r#"[\[\]{},:"0-9a-e.\-\\ ]{0,4}"#,
    ) {
        let mut text = value.to_string();
        let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let end = (at..=(at + gone).min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        text.replace_range(at..end, &put);
        for config in CONFIGS {
            match plugin(config).one(&Record::value(&text)) {
                Reply::Replace(Some(object), _) => {
                    prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&object).is_ok());
                    prop_assert_eq!(object.first(), Some(&b'{'));
                    prop_assert!(!object.contains(&b'\n'));
                }
                other => prop_assert!(matches!(other, Reply::Fail(..)), "{:?}", other),
            }
        }
    }

    #[test]
    fn objects_pass_unchanged_where_nothing_is_asked(value in object(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        prop_assert_eq!(rewritten("{}", &text), value.to_string());
        prop_assert_eq!(rewritten(r#"{"drop": ["x.y"], "select": ["a", "b", "c", "d", "e", "x"]}"#, &text), value.to_string());
    }

    #[test]
    fn flattening_means_what_another_way_gives(value in object()) {
        let flat: Value = serde_json::from_str(&rewritten(r#"{"flatten": {}}"#, &value.to_string())).unwrap();
        prop_assert_eq!(flat, Value::Object(flattened(&value)));
    }

    #[test]
    fn selected_and_dropped_are_everything(value in object()) {
        let selected = rewritten(r#"{"select": ["a", "b.c"]}"#, &value.to_string());
        let dropped = rewritten(r#"{"drop": ["a", "b.c"]}"#, &value.to_string());
        let [selected, dropped]: [Value; 2] = [selected, dropped].map(|text| serde_json::from_str(&text).unwrap());
        let mut both = dropped;
        for (name, field) in selected.as_object().into_iter().flatten() {
            match both.get_mut(name) {
                Some(Value::Object(members)) => members.extend(field.as_object().cloned().unwrap_or_default()),
                _ => both[name] = field.clone(),
            }
        }
        prop_assert_eq!(both, value);
    }
}
