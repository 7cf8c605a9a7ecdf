//! The plugin as a whole: payloads in, records, drops and failures out.

use std::io::Write;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::{Value, json};
use vanne_plugin::testing::{Harness, Record, Reply};

use crate::CloudwatchLogs;

mod failures;

/// The payload that AWS shows in its guide to subscriptions: three events whose messages look like JSON,
/// and are cut off.
const DATA: &str = r#"{
    "owner": "111111111111",
    "logGroup": "CloudTrail/logs",
    "logStream": "111111111111_CloudTrail/logs_us-east-1",
    "subscriptionFilters": [
        "Destination"
    ],
    "messageType": "DATA_MESSAGE",
    "logEvents": [
        {
            "id": "31953106606966983378809025079804211143289615424298221568",
            "timestamp": 1432826855000,
            "message": "{\"eventVersion\":\"1.03\",\"userIdentity\":{\"type\":\"Root\"}"
        },
        {
            "id": "31953106606966983378809025079804211143289615424298221569",
            "timestamp": 1432826855000,
            "message": "{\"eventVersion\":\"1.03\",\"userIdentity\":{\"type\":\"Root\"}"
        },
        {
            "id": "31953106606966983378809025079804211143289615424298221570",
            "timestamp": 1432826855000,
            "message": "{\"eventVersion\":\"1.03\",\"userIdentity\":{\"type\":\"Root\"}"
        }
    ]
}"#;

/// What CloudWatch Logs sends to see whether the destination is there.
const CONTROL: &str = r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1432826855000,"message":"CWL CONTROL MESSAGE: Checking health of destination Kinesis stream."}]}"#;

fn plugin(config: &str) -> Harness<CloudwatchLogs> {
    Harness::new(config).unwrap()
}

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// A data message of these events.
fn data(events: &str) -> String {
    format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","subscriptionFilters":["f"],"logEvents":[{events}]}}"#
    )
}

fn event(message: &str) -> String {
    json!({"id": "e", "timestamp": 0, "message": message}).to_string()
}

/// The records and failures of a value.
fn emitted(
    plugin: &Harness<CloudwatchLogs>,
    value: impl AsRef<[u8]>,
) -> (Vec<Record>, Vec<(String, String)>) {
    match plugin.one(&Record::value(value)) {
        Reply::Emit(records, failures) => (records, failures),
        other => panic!("records were expected, and not {other:?}"),
    }
}

fn values(plugin: &Harness<CloudwatchLogs>, value: impl AsRef<[u8]>) -> Vec<String> {
    let (records, failures) = emitted(plugin, value);
    assert_eq!(failures, []);
    let value = |record: Record| String::from_utf8(record.value.unwrap()).unwrap();
    records.into_iter().map(value).collect()
}

fn failure(value: impl AsRef<[u8]>) -> String {
    match plugin("").one(&Record::value(value)) {
        Reply::Fail(code, detail) => format!("{code}: {detail}"),
        other => panic!("a failure was expected, and not {other:?}"),
    }
}

#[test]
fn it_reads_what_it_needs_and_is_pure() {
    for (config, key, headers) in [
        ("", true, false),
        (r#"{"key": "id"}"#, false, false),
        (r#"{"key": "none", "keep_headers": true}"#, false, true),
    ] {
        let plugin = plugin(config);
        let plan = plugin.plan();
        assert!(plan.reads_value(), "{config}");
        assert_eq!(
            (plan.reads_key(), plan.reads_headers()),
            (key, headers),
            "{config}"
        );
        assert_eq!(plan.traits(), ["pure"]);
    }
}

#[test]
fn the_documented_payload_becomes_three_records() {
    let values = values(&plugin(""), gzip(DATA));
    let line = |id: &str| {
        [
            r#"{"id":"3195310660696698337880902507980421114328961542429822157"#,
            r#"","timestamp":"2015-05-28T15:27:35.000Z","message":"{\"eventVersion\":\"1.03\",\"userIdentity\":{\"type\":\"Root\"}","owner":"111111111111","logGroup":"CloudTrail/logs","logStream":"111111111111_CloudTrail/logs_us-east-1"}"#,
        ]
        .join(id)
        .replace("22157X", "221568")
        .replace("22157Y", "221569")
    };
    assert_eq!(values, [line("X"), line("Y"), line("0")]);
    let (records, _) = emitted(&plugin(r#"{"key": "id"}"#), gzip(DATA));
    assert_eq!(
        records[1].key.as_deref(),
        Some(&b"31953106606966983378809025079804211143289615424298221569"[..])
    );
}

#[test]
fn every_way_to_pack_a_payload_is_seen() {
    let plugin = plugin(r#"{"fields": ["id"]}"#);
    let expected = vec![
        r#"{"id":"31953106606966983378809025079804211143289615424298221568"}"#.to_owned(),
        r#"{"id":"31953106606966983378809025079804211143289615424298221569"}"#.to_owned(),
        r#"{"id":"31953106606966983378809025079804211143289615424298221570"}"#.to_owned(),
    ];
    let packed = gzip(DATA);
    let encoded = BASE64_STANDARD.encode(&packed);
    let lines: Vec<&[u8]> = encoded.as_bytes().chunks(76).collect();
    for (way, value) in [
        ("gzip", packed.clone()),
        ("JSON", DATA.into()),
        ("JSON after a newline", format!("\n {DATA}\n").into()),
        ("base64 of gzip", encoded.clone().into()),
        ("base64 of gzip, in lines", lines.join(&b"\r\n"[..])),
        (
            "base64 without padding, for URLs",
            BASE64_URL_SAFE_NO_PAD.encode(&packed).into(),
        ),
        ("base64 of JSON", BASE64_STANDARD.encode(DATA).into()),
        (
            "the event of a Lambda function",
            json!({"awslogs": {"data": encoded}}).to_string().into(),
        ),
    ] {
        assert_eq!(values(&plugin, value), expected, "{way}");
    }
}

#[test]
fn the_readme_s_example_is_true() {
    let readme = include_str!("../README.md");
    let blocks: Vec<&str> = readme.split("```").skip(1).step_by(2).collect();
    let [before, after] = [blocks[0], blocks[1]].map(|block| block["json\n".len()..].trim_end());
    let plugin = plugin(r#"{"parse_message": true, "key": "log-stream"}"#);
    assert_eq!(values(&plugin, gzip(before)).join("\n"), after);
}

#[test]
fn several_payloads_of_a_record_are_taken_in_their_order() {
    let plugin = plugin(r#"{"fields": ["message"]}"#);
    let (one, two) = (
        data(&event("1")),
        data(&format!("{},{}", event("2"), event("3"))),
    );
    let expected = [
        r#"{"message":"1"}"#,
        r#"{"message":"2"}"#,
        r#"{"message":"3"}"#,
    ];
    for value in [
        [gzip(&one), gzip(CONTROL), gzip(&two)].concat(),
        gzip(format!("{one}{CONTROL}\n{two}\n")),
        format!("{one}{two}").into_bytes(),
        // One payload in two members.
        [gzip(&one[..50]), gzip([&one[50..], &two].concat())].concat(),
    ] {
        assert_eq!(values(&plugin, value), expected);
    }
}

#[test]
fn control_messages_and_empty_payloads_are_dropped() {
    for value in [
        gzip(CONTROL),
        CONTROL.into(),
        gzip(data("")),
        gzip(r#"{"messageType":"CONTROL_MESSAGE"}"#),
        gzip([CONTROL, CONTROL].concat()),
    ] {
        assert_eq!(plugin("").one(&Record::value(value)), Reply::Drop);
    }
}

#[test]
fn messages_are_nested_where_that_is_asked_for() {
    let plugin = plugin(r#"{"fields": ["message"], "parse_message": true}"#);
    for (message, expected) in [
        (
            r#"{"level": "info", "n": 1.50}"#,
            r#"{"message":{"level":"info","n":1.50}}"#,
        ),
        (" \n[1, \"a b\"]\n", r#"{"message":[1,"a b"]}"#),
        (
            r#"{"a": {"b": ["é", "\u00e9"]}}"#,
            r#"{"message":{"a":{"b":["é","\u00e9"]}}}"#,
        ),
        (r#"{"a": 1"#, r#"{"message":"{\"a\": 1"}"#),
        (r#"{"a": 1} b"#, r#"{"message":"{\"a\": 1} b"}"#),
        ("[info] x", r#"{"message":"[info] x"}"#),
        (
            "START RequestId: x\n",
            r#"{"message":"START RequestId: x\n"}"#,
        ),
        ("7", r#"{"message":"7"}"#),
        ("null", r#"{"message":"null"}"#),
        ("", r#"{"message":""}"#),
        (
            r#"{"a": "\ud800"}"#,
            r#"{"message":"{\"a\": \"\\ud800\"}"}"#,
        ),
    ] {
        assert_eq!(
            values(&plugin, data(&event(message))),
            [expected],
            "{message}"
        );
    }
    let deep = |levels| "[".repeat(levels) + &"]".repeat(levels);
    let nested = format!(r#"{{"message":{}}}"#, deep(100));
    assert_eq!(values(&plugin, data(&event(&deep(100)))), [nested]);
    let text = format!(r#"{{"message":"{}"}}"#, deep(101));
    assert_eq!(values(&plugin, data(&event(&deep(101)))), [text]);
    let text = self::plugin(r#"{"fields": ["message"]}"#);
    assert_eq!(
        values(&text, data(&event(r#"{"a":1}"#))),
        [r#"{"message":"{\"a\":1}"}"#]
    );
}

#[test]
fn fields_are_chosen_and_renamed() {
    let with = data(
        r#"{"id":"\u0065","timestamp":1,"message":"m","extractedFields":{"ip": "10.0.0.1", "n": null},"more":[1]}"#,
    );
    let without = data(&event("m"));
    for (config, value, expected) in [
        (
            "",
            &with,
            r#"{"id":"\u0065","timestamp":"1970-01-01T00:00:00.001Z","message":"m","extractedFields":{"ip":"10.0.0.1","n":null},"owner":"1","logGroup":"g","logStream":"s"}"#,
        ),
        (
            "",
            &without,
            r#"{"id":"e","timestamp":"1970-01-01T00:00:00.000Z","message":"m","owner":"1","logGroup":"g","logStream":"s"}"#,
        ),
        (
            r#"{"fields": ["extractedFields", "subscriptionFilters"]}"#,
            &without,
            r#"{"extractedFields":null,"subscriptionFilters":["f"]}"#,
        ),
        (
            r#"{"fields": ["timestamp", "logGroup"], "time": "epoch-ms", "rename": {"timestamp": "@time\"", "logGroup": "log_group"}}"#,
            &with,
            r#"{"@time\"":1,"log_group":"g"}"#,
        ),
    ] {
        assert_eq!(values(&plugin(config), value), [expected], "{config}");
    }
}

#[test]
fn keys_and_headers_are_as_configured() {
    let value = data(&event("m")).replace(r#""g""#, r#""/aws/\u006cambda""#);
    let record = Record {
        key: Some(b"k".to_vec()),
        headers: vec![
            ("h".to_owned(), Some(b"v".to_vec())),
            ("n".to_owned(), None),
        ],
        ..Record::value(value)
    };
    let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    for (config, key, headers) in [
        ("", Some("k"), vec![]),
        (r#"{"key": "log-group"}"#, Some("/aws/lambda"), vec![]),
        (r#"{"key": "log-stream"}"#, Some("s"), vec![]),
        (r#"{"key": "id"}"#, Some("e"), vec![]),
        (
            r#"{"key": "none", "keep_headers": true}"#,
            None,
            vec![header("h", "v"), ("n".to_owned(), None)],
        ),
        (
            r#"{"key": "none", "headers": ["logGroup", "id"], "rename": {"logGroup": "group"}}"#,
            None,
            vec![header("group", "/aws/lambda"), header("id", "e")],
        ),
    ] {
        let reply = plugin(config).one(&record);
        let Reply::Emit(records, _) = reply else {
            panic!("a record was expected, and not {reply:?}");
        };
        assert_eq!(
            records[0].key.as_deref(),
            key.map(str::as_bytes),
            "{config}"
        );
        assert_eq!(records[0].headers, headers, "{config}");
    }
}

/// Payloads of any events, good and bad.
fn payloads() -> impl Strategy<Value = (Vec<Option<String>>, String)> {
    let event = prop_oneof![
        4 => any::<String>().prop_map(|message| (Some(message.clone()), event(&message))),
        1 => "[a-z]{0,4}".prop_map(|text| (None, json!({"id": text, "timestamp": text}).to_string())),
        1 => Just((None, "[{\"a\":\"]}\"}]".to_owned())),
    ];
    proptest::collection::vec(event, 0..8).prop_map(|events| {
        let (messages, events): (Vec<_>, Vec<_>) = events.into_iter().unzip();
        (messages, data(&events.join(" ,\n")))
    })
}

fn check_any(value: &[u8]) -> Result<(), TestCaseError> {
    for config in [
        "",
        r#"{"parse_message": true, "max_bytes": 2000, "key": "id", "headers": ["id"]}"#,
    ] {
        match plugin(config).one(&Record::value(value)) {
            Reply::Emit(records, failures) => {
                prop_assert!(records.len() + failures.len() > 0);
                for record in records {
                    let value = record.value.unwrap();
                    prop_assert!(
                        serde_json::from_slice::<Value>(&value)
                            .is_ok_and(|value| value.is_object())
                    );
                    prop_assert!(!value.contains(&b'\n'));
                }
            }
            Reply::Fail(..) | Reply::Drop => {}
            other => prop_assert!(false, "{:?}", other),
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_have_an_outcome(value: Vec<u8>) {
        check_any(&value)?;
        check_any(&gzip(&value))?;
        check_any(&[&[0x1f, 0x8b, 8][..], &value].concat())?;
    }

    #[test]
    fn damaged_payloads_have_an_outcome(at in any::<prop::sample::Index>(), gone in 0..9_usize, put in "[\\[\\]{}\",:\\\\a0 ]{0,4}") {
        let mut text = DATA.as_bytes().to_vec();
        let at = at.index(text.len());
        text.splice(at..(at + gone).min(text.len()), put.bytes());
        check_any(&text)?;
        check_any(&gzip(&text))?;
        let mut packed = gzip(DATA);
        let at = at % packed.len();
        packed.splice(at..(at + gone).min(packed.len()), put.bytes());
        check_any(&packed)?;
    }

    #[test]
    fn each_event_becomes_one_record_or_one_failure((messages, payload) in payloads(), parts in 1..4_usize) {
        let plugin = plugin("");
        let value: Vec<u8> = std::iter::repeat_n(gzip(&payload), parts).flatten().collect();
        let good: Vec<&String> = messages.iter().flatten().collect();
        match plugin.one(&Record::value(value)) {
            Reply::Emit(records, failures) => {
                prop_assert_eq!(failures.len(), (messages.len() - good.len()) * parts);
                prop_assert_eq!(records.len(), good.len() * parts);
                for (record, message) in records.iter().zip(good.iter().cycle()) {
                    let value: Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
                    prop_assert_eq!(value["message"].as_str(), Some(message.as_str()));
                }
            }
            other => prop_assert!(other == Reply::Drop && messages.is_empty(), "{:?}", other),
        }
    }
}
