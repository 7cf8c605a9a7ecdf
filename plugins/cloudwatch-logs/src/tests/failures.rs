//! What cannot be unpacked or read, and events that fail alone.

use super::*;

const BAD_EVENTS: &[(&str, &str)] = &[
    (
        "7",
        "BadEvent: logEvents[1]: expected `id` to be a text, found none",
    ),
    (
        "{}",
        "BadEvent: logEvents[1]: expected `id` to be a text, found none",
    ),
    (
        r#"{"id":1,"timestamp":1,"message":"m"}"#,
        "BadEvent: logEvents[1]: expected `id` to be a text, found `1`",
    ),
    (
        r#"{"id":"e","timestamp":1}"#,
        "BadEvent: logEvents[1]: expected `message` to be a text, found none",
    ),
    (
        r#"{"id":"e","timestamp":1,"message":{"a":1}}"#,
        "BadEvent: logEvents[1]: expected `message` to be a text, found `{\\\"a\\\":1}`",
    ),
    (
        r#"{"id":"e","timestamp":1,"message":"\ud800"}"#,
        "BadEvent: logEvents[1]: expected `message` to be a text, found `\\\"\\\\ud800\\\"`",
    ),
    (
        r#"{"id":"e","timestamp":1,"message":"m","extractedFields":[]}"#,
        "BadEvent: logEvents[1]: expected `extractedFields` to be an object, found `[]`",
    ),
    (
        r#"{"id":"e","message":"m"}"#,
        "BadTimestamp: logEvents[1]: expected `timestamp` to be milliseconds from 1970 to 9999, found none",
    ),
    (
        r#"{"id":"e","timestamp":"1","message":"m"}"#,
        "BadTimestamp: logEvents[1]: expected `timestamp` to be milliseconds from 1970 to 9999, found `\\\"1\\\"`",
    ),
    (
        r#"{"id":"e","timestamp":-1,"message":"m"}"#,
        "BadTimestamp: logEvents[1]: expected `timestamp` to be milliseconds from 1970 to 9999, found `-1`",
    ),
    (
        r#"{"id":"e","timestamp":1e3,"message":"m"}"#,
        "BadTimestamp: logEvents[1]: expected `timestamp` to be milliseconds from 1970 to 9999, found `1e3`",
    ),
    (
        r#"{"id":"e","timestamp":253402300800000,"message":"m"}"#,
        "BadTimestamp: logEvents[1]: expected `timestamp` to be milliseconds from 1970 to 9999, found `253402300800000`",
    ),
];

#[test]
fn one_bad_event_does_not_hold_up_the_others() {
    let plugin = plugin(r#"{"fields": ["message"]}"#);
    for &(bad, expected) in BAD_EVENTS {
        let value = data(&[event("1"), bad.to_owned(), event("3")].join(","));
        let (records, failures) = emitted(&plugin, gzip(value));
        let values: Vec<_> = records
            .into_iter()
            .map(|record| record.value.unwrap())
            .collect();
        assert_eq!(
            values,
            [br#"{"message":"1"}"#, br#"{"message":"3"}"#],
            "{bad}"
        );
        let failures: Vec<_> = failures
            .into_iter()
            .map(|(code, detail)| format!("{code}: {detail}"))
            .collect();
        assert_eq!(failures, [expected], "{bad}");
    }
    let (records, failures) = emitted(&plugin, gzip(data("null")));
    assert_eq!((records.len(), failures.len()), (0, 1));
}

#[test]
fn a_value_that_can_t_be_unpacked_fails_with_its_code() {
    let packed = gzip(data(&event("m")));
    let mut damaged = packed.clone();
    let middle = damaged.len() - 6;
    damaged[middle] ^= 1;
    let trailing = [&packed[..], b"more"].concat();
    for (value, expected) in [
        (Vec::new(), "UnknownEncoding: expected gzip"),
        (b"hello, world".to_vec(), "UnknownEncoding: expected gzip"),
        (
            BASE64_STANDARD.encode("hello, world").into(),
            "UnknownEncoding: expected gzip",
        ),
        (vec![0xff, 0xfe], "UnknownEncoding: expected gzip"),
        (b"[]".to_vec(), "UnknownEncoding: expected gzip"),
        (packed[..packed.len() - 1].to_vec(), "TruncatedGzip: "),
        (packed[..packed.len() / 2].to_vec(), "TruncatedGzip: "),
        (
            packed[..5].to_vec(),
            "TruncatedGzip: 5 bytes of gzip end after 0 bytes unpacked",
        ),
        (
            BASE64_STANDARD.encode(&packed[..packed.len() / 2]).into(),
            "TruncatedGzip: ",
        ),
        ([&packed[..], &packed[..30]].concat(), "TruncatedGzip: "),
        (damaged, "BadGzip: "),
        (trailing, "TruncatedGzip: "),
        ([&packed[..], &[0; 40]].concat(), "BadGzip: "),
    ] {
        fails(&value, expected);
    }
    let null = plugin("").one(&Record::tombstone());
    assert!(matches!(null, Reply::Fail(code, _) if code == "NoValue"));
}

fn fails(value: &[u8], expected: &str) {
    let failure = failure(value);
    assert!(
        failure.starts_with(expected),
        "{failure}\n  expected {expected}"
    );
}

#[test]
fn a_payload_that_can_t_be_read_fails_with_its_code() {
    let packed = gzip(data(&event("m")));
    for (value, expected) in [
        (
            gzip(b"{\"messageType\":\"\xff\"}"),
            "NotUtf8: byte 16 of the payload",
        ),
        (gzip(""), "BadJson: expected a JSON object, found nothing"),
        (gzip("[]"), "BadJson: expected a JSON object, found `[]`"),
        (
            gzip(&DATA[..300]),
            "BadJson: expected JSON: EOF while parsing",
        ),
        (gzip(format!("{CONTROL}}}")), "BadJson: expected JSON: "),
        (
            gzip("{}"),
            "UnknownMessageType: expected `messageType` to be \"DATA_MESSAGE\" or \"CONTROL_MESSAGE\", found none",
        ),
        (
            gzip(data("").replace("DATA_", "OTHER_")),
            "UnknownMessageType: expected `messageType` to be \"DATA_MESSAGE\" or \"CONTROL_MESSAGE\", found `\\\"OTHER_MESSAGE\\\"`",
        ),
        (
            gzip(r#"{"messageType":"DATA_MESSAGE"}"#),
            "BadPayload: expected `owner` to be a text, found `none`",
        ),
        (
            gzip(data("").replace("\"g\"", "null")),
            "BadPayload: expected `logGroup` to be a text, found `null`",
        ),
        (
            gzip(data("").replace("[]", "{}")),
            "BadPayload: expected `logEvents` to be an array, found `{}`",
        ),
        // What is wrong with the second payload is wrong with the record: no half of it goes on.
        (
            [packed.clone(), gzip("{}")].concat(),
            "UnknownMessageType: ",
        ),
    ] {
        fails(&value, expected);
    }
}

#[test]
fn no_payload_becomes_more_than_the_limit() {
    let small = plugin(r#"{"max_bytes": 1000}"#);
    let code = |plugin: &Harness<CloudwatchLogs>, value: Vec<u8>| match plugin
        .one(&Record::value(value))
    {
        Reply::Fail(code, _) => code,
        Reply::Emit(..) => "emitted".to_owned(),
        other => panic!("{other:?}"),
    };
    let fits = |length| {
        let empty = data(&event("")).len();
        data(&event(&"a".repeat(length - empty)))
    };
    for pack in [
        |text: String| text.into_bytes(),
        |text| gzip(text),
        |text| BASE64_STANDARD.encode(gzip(text)).into(),
    ] {
        assert_eq!(code(&small, pack(fits(1000))), "emitted");
        assert_eq!(code(&small, pack(fits(1001))), "TooLarge");
    }
    // A bomb: 100 MB of zeros in 100 kB. It is left after 32 MiB.
    assert_eq!(code(&plugin(""), gzip(vec![0; 100_000_000])), "TooLarge");
    // Many small events become much more than the payload is.
    let many = data(&vec![event(""); 20].join(","));
    assert!(many.len() < 1000);
    assert_eq!(code(&small, gzip(many)), "TooLarge");
}
