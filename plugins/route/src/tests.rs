//! The plugin as a whole: records in, routes or failures out.

use proptest::prelude::*;
use vanne_plugin::testing::{Added, Harness, Record, Reply};

use crate::{Code, Route};

const LEVELS: &str = r#"{
    "field": "level",
    "routes": {"error": ["alerts", "lake"], "info": "lake", "debug": "drop", "secret": "fail", "keep": "forward", "200": "ok", "true": "yes", "": "none"},
    "rules": [
        {"equals_ignore_case": "WARN", "to": "lake"},
        {"prefix": "audit.", "to": ["audit"]},
        {"at_least": 500, "below": 600, "to": "alerts"},
        {"prefix": "x", "to": "drop"}
    ],
    "default": ["rest"],
    "missing": "odd"
}"#;

const TENANTS: &str = r#"{"field": "user.tenant", "default": "forward", "partition_keys": {"tenant": "user.tenant", "kind": "kind"}}"#;

fn plugin(config: &str) -> Harness<Route> {
    Harness::new(config).expect(config)
}

fn routed(sinks: &[&str]) -> Reply {
    Reply::Annotate(Added {
        routes: sinks.iter().map(ToString::to_string).collect(),
        ..Added::default()
    })
}

fn keyed(keys: &[(&str, &str)]) -> Reply {
    let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
    Reply::Annotate(Added {
        partition_keys: keys.iter().map(owned).collect(),
        ..Added::default()
    })
}

fn failed(reply: Reply) -> (String, String) {
    match reply {
        Reply::Fail(code, detail) => (code, detail),
        other => panic!("a failure was expected, and not {other:?}"),
    }
}

fn header(name: &str, value: Option<&str>) -> (String, Option<Vec<u8>>) {
    (name.to_owned(), value.map(Into::into))
}

#[test]
fn only_what_decides_is_read() {
    for (config, parts) in [
        (
            r#"{"field": "a", "routes": {"x": "s"}}"#,
            [false, true, false],
        ),
        (
            r#"{"field": "key", "routes": {"x": "s"}}"#,
            [true, false, false],
        ),
        (
            r#"{"field": "value:key", "routes": {"x": "s"}}"#,
            [false, true, false],
        ),
        (
            r#"{"field": "header:h", "routes": {"x": "s"}}"#,
            [false, false, true],
        ),
        (
            r#"{"field": "header:h", "partition_keys": {"t": "key", "u": "a.b"}}"#,
            [true, true, true],
        ),
    ] {
        let plugin = plugin(config);
        let plan = plugin.plan();
        let reads = [plan.reads_key(), plan.reads_value(), plan.reads_headers()];
        assert_eq!(reads, parts, "{config}");
        assert_eq!(plan.traits(), ["pure"]);
    }
}

#[test]
fn records_are_routed_by_a_field() {
    let plugin = plugin(LEVELS);
    for (value, expected) in [
        (r#"{"level":"error"}"#, routed(&["alerts", "lake"])),
        (
            r#"{"a":[{"level":"info"}],"level":"error","b":{"level":"info"}}"#,
            routed(&["alerts", "lake"]),
        ),
        (r#"{ "level" : "info" }"#, routed(&["lake"])),
        (r#"{"\u006cevel":"inf\u006f"}"#, routed(&["lake"])),
        (r#"{"level":"debug"}"#, Reply::Drop),
        (r#"{"level":"keep"}"#, Reply::Forward),
        (r#"{"level":200}"#, routed(&["ok"])),
        (r#"{"level":"200"}"#, routed(&["ok"])),
        (r#"{"level":200.0}"#, routed(&["rest"])),
        (r#"{"level":true}"#, routed(&["yes"])),
        (r#"{"level":""}"#, routed(&["none"])),
        (r#"{"level":"warn"}"#, routed(&["lake"])),
        (r#"{"level":"audit.login"}"#, routed(&["audit"])),
        (r#"{"level":503}"#, routed(&["alerts"])),
        (r#"{"level":"503"}"#, routed(&["alerts"])),
        (r#"{"level":600}"#, routed(&["rest"])),
        (r#"{"level":"xyz"}"#, Reply::Drop),
        (r#"{"level":"Error"}"#, routed(&["rest"])),
        (r#"{"level":"\ud800"}"#, routed(&["rest"])),
        (r#"{"level":null}"#, routed(&["odd"])),
        ("{}", routed(&["odd"])),
        (r#"{"other":{"level":"info"}}"#, routed(&["odd"])),
    ] {
        assert_eq!(plugin.one(&Record::value(value)), expected, "{value}");
    }
    assert_eq!(plugin.one(&Record::tombstone()), routed(&["odd"]));
}

#[test]
fn nested_fields_and_names_with_dots_are_found() {
    for (field, value, found) in [
        ("a.b", r#"{"a":{"b":"x"}}"#, true),
        ("a.b", r#"{"a.b":"x"}"#, false),
        ("a\\\\.b", r#"{"a.b":"x"}"#, true),
        ("a.b", r#"{"a":[{"b":"x"}]}"#, false),
        ("a.b", r#"{"a":"b"}"#, false),
        ("value:header:h", r#"{"header:h":"x"}"#, true),
        ("value:key", r#"{"key":"x"}"#, true),
    ] {
        let config =
            format!(r#"{{"field": "{field}", "routes": {{"x": "s"}}, "default": "drop"}}"#);
        let expected = if found { routed(&["s"]) } else { Reply::Drop };
        assert_eq!(
            plugin(&config).one(&Record::value(value)),
            expected,
            "{config} {value}"
        );
    }
}

#[test]
fn records_are_routed_by_key_and_by_header() {
    let by_key = plugin(
        r#"{"field": "key", "routes": {"eu": "europe"}, "default": "drop", "missing": "fail"}"#,
    );
    let key = |key: &[u8]| Record {
        key: Some(key.to_vec()),
        ..Record::value(b"\xff no JSON")
    };
    assert_eq!(by_key.one(&key(b"eu")), routed(&["europe"]));
    assert_eq!(by_key.one(&key(b"us")), Reply::Drop);
    let (code, detail) = failed(by_key.one(&Record::value("")));
    assert_eq!(
        (code.as_str(), detail.as_str()),
        ("MissingField", "the key is not there")
    );
    let (code, detail) = failed(by_key.one(&key(b"e\xff")));
    assert_eq!(code, "NotUtf8");
    assert_eq!(detail, "the key: expected UTF-8, found none at byte 2");

    let by_header = plugin(
        r#"{"field": "header:region", "routes": {"eu": "europe"}, "default": "drop", "missing": "lake"}"#,
    );
    for (headers, expected) in [
        (vec![header("region", Some("eu"))], routed(&["europe"])),
        (
            vec![header("region", Some("us")), header("region", Some("eu"))],
            routed(&["europe"]),
        ),
        (
            vec![header("region", Some("eu")), header("region", Some("us"))],
            Reply::Drop,
        ),
        (vec![header("Region", Some("eu"))], routed(&["lake"])),
        (vec![header("region", None)], routed(&["lake"])),
        (vec![], routed(&["lake"])),
    ] {
        let record = Record {
            headers: headers.clone(),
            ..Record::tombstone()
        };
        assert_eq!(by_header.one(&record), expected, "{headers:?}");
    }
}

#[test]
fn partition_keys_are_made_of_fields_keys_and_headers() {
    let tenants = plugin(TENANTS);
    for (value, keys) in [
        (
            r#"{"user":{"tenant":"acme","id":1},"kind":7}"#,
            [("kind", "7"), ("tenant", "acme")],
        ),
        (
            r#"{"kind":"a.b","user":{"tenant":"A-1_"}}"#,
            [("kind", "a.b"), ("tenant", "A-1_")],
        ),
        (
            r#"{"kind":false,"user":{"tenant":"\u0061"}}"#,
            [("kind", "false"), ("tenant", "a")],
        ),
    ] {
        assert_eq!(tenants.one(&Record::value(value)), keyed(&keys), "{value}");
    }
    let mending = plugin(
        r#"{"field": "a", "routes": {"1": "s", "2": "drop"}, "default": "forward",
            "partition_keys": {"t": "a.b", "k": "key"}, "partition_default": "none", "partition_unsafe": "replace"}"#,
    );
    let with_key = Record {
        key: Some("../é".into()),
        ..Record::value(r#"{"a":1}"#)
    };
    let both = Reply::Annotate(Added {
        routes: vec!["s".to_owned()],
        partition_keys: vec![
            ("k".to_owned(), "_.__".to_owned()),
            ("t".to_owned(), "none".to_owned()),
        ],
        headers: Vec::new(),
    });
    assert_eq!(mending.one(&with_key), both);
    // What is dropped needs no key, and a field may hold another.
    assert_eq!(mending.one(&Record::value(r#"{"a":2}"#)), Reply::Drop);
    let (code, _) = failed(mending.one(&Record::value(r#"{"a":{"b":"x"}}"#)));
    assert_eq!(code, "NotAScalar");
}

const FAILURES: &[(&str, &str, Code, &str)] = &[
    (
        LEVELS,
        "{\"level\":\"info\"",
        Code::InvalidJson,
        "byte 16: expected `,` or `}`, found the end of the text",
    ),
    (
        LEVELS,
        "{\"level\":\"info\"} x",
        Code::InvalidJson,
        "byte 18: expected nothing after the value, found `x`",
    ),
    (
        LEVELS,
        "{\"level\":\"info\",\"a\":[1,]}",
        Code::InvalidJson,
        "byte 24: expected a value, found `]}`",
    ),
    (
        LEVELS,
        "",
        Code::InvalidJson,
        "byte 1: expected a value, found the end of the text",
    ),
    (
        LEVELS,
        " [1] ",
        Code::NotAnObject,
        "expected a JSON object, found an array `[1]`",
    ),
    (
        LEVELS,
        "\"error\"",
        Code::NotAnObject,
        "expected a JSON object, found a string `\\\"error\\\"`",
    ),
    (
        LEVELS,
        r#"{"level":"info","level":"debug"}"#,
        Code::DuplicateName,
        "an object has two fields of the name `level`",
    ),
    (
        TENANTS,
        r#"{"user":{"tenant":"a"},"user":1}"#,
        Code::DuplicateName,
        "an object has two fields of the name `user`",
    ),
    (
        LEVELS,
        r#"{"level":["info"]}"#,
        Code::NotAScalar,
        "the field `level`: expected a string, a number or a boolean, found an array",
    ),
    (
        LEVELS,
        r#"{"level":"secret"}"#,
        Code::Refused,
        "the field `level` is `secret`, which the configuration refuses",
    ),
    (
        r#"{"field": "level", "routes": {"a": "b"}}"#,
        r#"{"level":"c"}"#,
        Code::NoRoute,
        "the field `level` is `c`, which no route or rule is for",
    ),
    (
        r#"{"field": "a.b", "routes": {"a": "b"}}"#,
        "{}",
        Code::MissingField,
        "the field `a.b` is not there",
    ),
    (
        TENANTS,
        r#"{"user":{"tenant":"a"}}"#,
        Code::MissingPartitionKey,
        "partition key `kind`: the field `kind` is not there",
    ),
    (
        TENANTS,
        r#"{"user":{"tenant":"../a"},"kind":1}"#,
        Code::BadPartitionKey,
        "partition key `tenant`: expected ASCII letters, digits, `-`, `_` and `.`, and no `.` at the begin, found `../a`",
    ),
];

#[test]
fn each_failure_has_its_code_and_says_what_was_found() {
    let deep = format!(r#"{{"a":{}"#, "[".repeat(1_000_000));
    let long = format!(r#"{{"user":{{"tenant":"{}"}},"kind":1}}"#, "x".repeat(129));
    let others = [
        (
            LEVELS,
            deep.as_str(),
            Code::TooDeep,
            "byte 132: expected objects and arrays nested 127 deep at most",
        ),
        (
            TENANTS,
            long.as_str(),
            Code::BadPartitionKey,
            "partition key `tenant`: expected 128 bytes at most, found `xxx",
        ),
    ];
    for (config, value, code, detail) in FAILURES.iter().copied().chain(others) {
        let (found, said) = failed(plugin(config).one(&Record::value(value)));
        assert_eq!(found, code.as_str(), "{value}: {said}");
        assert!(
            said.starts_with(detail),
            "{value}\n  gave     {said}\n  expected {detail}"
        );
    }
    let (code, detail) = failed(plugin(LEVELS).one(&Record::value(b"{\"level\":\"\xff\"}")));
    assert_eq!(code, "NotUtf8");
    assert!(
        detail.starts_with("byte 11: expected UTF-8, found "),
        "{detail}"
    );
}

#[test]
fn a_record_leaves_nothing_for_the_next() {
    let plugin = plugin(TENANTS);
    let values = [
        r#"{"user":{"tenant":"a"},"kind":1}"#,
        "{",
        "{}",
        r#"{"user":{"tenant":"b"}}"#,
    ];
    let mut records: Vec<Record> = values.iter().map(Record::value).collect();
    records.push(Record::tombstone());
    let together = plugin.batch(&records).unwrap();
    let alone: Vec<Reply> = records.iter().map(|record| plugin.one(record)).collect();
    assert_eq!(together, alone);
    assert_eq!(failed(together[4].clone()).0, "MissingPartitionKey");
}

#[test]
fn the_example_of_the_readme_holds() {
    let readme = include_str!("../README.md");
    let config = r#"{
        "field": "level",
        "routes": {"error": ["alerts", "lake"], "info": "lake", "debug": "drop"},
        "rules": [{"equals_ignore_case": "warn", "to": "lake"}, {"prefix": "audit.", "to": "audit"}],
        "default": "lake",
        "partition_keys": {"tenant": "user.tenant"},
        "partition_default": "unknown"
    }"#;
    let example = r#"{"level":"error","user":{"tenant":"acme","id":7},"text":"disk full"}"#;
    assert!(readme.contains(example));
    let expected = Reply::Annotate(Added {
        routes: vec!["alerts".to_owned(), "lake".to_owned()],
        partition_keys: vec![("tenant".to_owned(), "acme".to_owned())],
        headers: Vec::new(),
    });
    assert_eq!(plugin(config).one(&Record::value(example)), expected);
}

proptest! {
    #[test]
    fn any_bytes_give_one_outcome(value: Vec<u8>, key: Vec<u8>) {
        let by_key = r#"{"field": "key", "rules": [{"prefix": "a", "to": "s"}], "default": "forward", "partition_keys": {"k": "key"}}"#;
        for config in [LEVELS, TENANTS, by_key] {
            let record = Record { key: Some(key.clone()), ..Record::value(&value) };
            let replies = plugin(config).batch(std::slice::from_ref(&record)).unwrap();
            prop_assert_eq!(replies.len(), 1);
            prop_assert!(matches!(replies[0], Reply::Annotate(_) | Reply::Fail(..)), "{:?}", replies);
        }
    }

    #[test]
    fn what_is_almost_json_is_routed_or_fails(
        at in 0..40_usize, gone in 0..4_usize, put in r#"[\[\]{},:"a-z0-9.\-\\ ]{0,5}"#,
    ) {
        let mut text = r#"{"a":[1],"level":"info","user":{"tenant":"x"},"kind":"\u0061"}"#.to_owned();
        text.replace_range(at..at + gone, &put);
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        for config in [LEVELS, TENANTS] {
            match plugin(config).one(&Record::value(&text)) {
                Reply::Fail(..) => {}
                other => prop_assert!(is_json && matches!(other, Reply::Annotate(_) | Reply::Drop), "{:?}", other),
            }
        }
    }

    #[test]
    fn any_level_goes_where_a_plain_reading_says(level in "[a-z]{0,6}|error|info|WARN|5[0-9]{2}|audit\\.[a-z]|x.{0,3}") {
        let value = serde_json::json!({ "noise": { "level": "info" }, "level": &level }).to_string();
        let expected = match level.as_str() {
            "error" => routed(&["alerts", "lake"]),
            "info" => routed(&["lake"]),
            "debug" => Reply::Drop,
            "keep" => Reply::Forward,
            "true" => routed(&["yes"]),
            "" => routed(&["none"]),
            other if other.eq_ignore_ascii_case("warn") => routed(&["lake"]),
            other if other.starts_with("audit.") => routed(&["audit"]),
            other if other.parse::<u32>().is_ok() => routed(&["alerts"]),
            other if other.starts_with('x') => Reply::Drop,
            _ => routed(&["rest"]),
        };
        prop_assume!(level != "secret");
        prop_assert_eq!(plugin(LEVELS).one(&Record::value(value)), expected);
    }
}
