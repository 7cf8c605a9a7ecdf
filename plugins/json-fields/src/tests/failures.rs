//! What cannot be rewritten: codes, details, hostile values.

use super::*;

const FAILURES: &[(&str, &str, &str, &str)] = &[
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
];

#[test]
fn each_failure_has_its_code_and_says_what_was_found() {
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(127), "]".repeat(127));
    let others = [(
        "{}",
        deep.as_str(),
        "TooDeep",
        "byte 132: expected objects and arrays nested 127 deep at most, found `[1]]]]",
    )];
    for (config, value, code, detail) in FAILURES.iter().copied().chain(others) {
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
