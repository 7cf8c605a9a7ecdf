//! The plugin as a whole: lines in, objects or failures out.

use proptest::prelude::*;
use serde_json::{Value, json};
use vanne_plugin::testing::{Harness, Record, Reply};

use crate::AccessLog;

const COMBINED: &str = r#"203.0.113.9 - frank [10/Oct/2000:13:55:36 -0700] "GET /a?b=c HTTP/1.0" 200 2326 "http://example.com/" "Mozilla/5.0 (X11)""#;
const COMMON: &str = r#"203.0.113.9 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 304 -"#;

fn plugin(config: &str) -> Harness<AccessLog> {
    Harness::new(config).unwrap()
}

fn replaced(reply: Reply) -> String {
    match reply {
        Reply::Replace(Some(object), _) => String::from_utf8(object).unwrap(),
        other => panic!("an object was expected, and not {other:?}"),
    }
}

fn object(line: &str) -> Value {
    serde_json::from_str(&replaced(plugin("").one(&Record::value(line)))).unwrap()
}

fn failure(line: impl AsRef<[u8]>) -> (String, String) {
    match plugin("").one(&Record::value(line)) {
        Reply::Fail(code, detail) => (code, detail),
        other => panic!("a failure was expected, and not {other:?}"),
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
fn a_combined_line_becomes_an_object() {
    let written = replaced(plugin("").one(&Record::value(COMBINED)));
    assert_eq!(
        written,
        concat!(
            r#"{"client":"203.0.113.9","identity":null,"user":"frank","time":"2000-10-10T13:55:36-07:00","#,
            r#""method":"GET","path":"/a?b=c","protocol":"HTTP/1.0","status":200,"bytes":2326,"#,
            r#""referrer":"http://example.com/","agent":"Mozilla/5.0 (X11)"}"#
        )
    );
}

#[test]
fn a_common_line_has_the_same_fields() {
    let object = object(&format!("{COMMON}\r\n"));
    for field in ["identity", "user", "bytes", "referrer", "agent"] {
        assert_eq!(object.get(field), Some(&Value::Null), "{field}");
    }
    assert_eq!(object["status"], 304);
    assert_eq!(object.as_object().map(serde_json::Map::len), Some(11));
}

#[test]
fn a_request_that_is_none_is_kept_as_it_was_sent() {
    for (request, expected) in [
        ("-", "-"),
        ("", ""),
        (r"\x16\x03\x01\x02", "\x16\x03\x01\x02"),
        (r"\x80w\x01\x03", r"\x80w\u{1}\u{3}"),
        ("GET /old", "GET /old"),
        (r#"quit \"now\""#, "quit \"now\""),
    ] {
        let object = object(&format!(
            r#"::1 - - [10/Oct/2000:13:55:36 +0000] "{request}" 400 226 "-" "-""#
        ));
        let expected = expected.replace(r"\u{1}", "\x01").replace(r"\u{3}", "\x03");
        assert_eq!(object["request"], expected, "{request}");
        for field in ["method", "path", "protocol", "agent", "referrer"] {
            assert_eq!(object[field], Value::Null, "{request} {field}");
        }
    }
    assert_eq!(object(COMBINED).get("request"), None);
}

#[test]
fn odd_but_real_lines_are_taken() {
    let line = |user: &str, agent: &str| {
        format!(
            r#"a.example - {user} [10/Oct/2000:13:55:36 +0000] "GET /x y HTTP/1.1" 200 1 "" "{agent}""#
        )
    };
    assert_eq!(
        object(&line("John \\\"J\\\" Doe", "a"))["user"],
        "John \"J\" Doe"
    );
    assert_eq!(object(&line("\"\"", "a"))["user"], "");
    assert_eq!(
        object(&line("-", r#"a \"b\" \\ \xd0\xb0 \xe4 é"#))["agent"],
        "a \"b\" \\ а \\xe4 é"
    );
    assert_eq!(object(&line("-", ""))["agent"], "");
    assert_eq!(object(&line("-", ""))["referrer"], "");
    assert_eq!(object(&line("-", ""))["path"], "/x y");
    let unknown = r#"unix: - - [10/Oct/2000:13:55:36 +0000] "-" - 18446744073709551615"#;
    assert_eq!(object(unknown)["status"], Value::Null);
    assert_eq!(object(unknown)["bytes"], u64::MAX);
    assert_eq!(object(&unknown.replace(" - 1", " 000 1"))["status"], 0);
}

#[test]
fn a_line_that_ends_within_the_agent_is_marked() {
    for (cut, agent) in [(1, "Mozilla/5.0 (X11)"), (4, "Mozilla/5.0 (X"), (18, "")] {
        let object = object(&COMBINED[..COMBINED.len() - cut]);
        assert_eq!(
            (&object["agent"], &object["truncated"]),
            (&json!(agent), &json!(true))
        );
    }
    assert_eq!(object(COMBINED).get("truncated"), None);
    assert_eq!(object(COMMON).get("truncated"), None);
}

#[test]
fn fields_are_chosen_ordered_and_renamed() {
    let config = r#"{"fields": ["status", "time", "request", "truncated", "rest"], "rename": {"time": "@\"t"}}"#;
    let plugin = plugin(config);
    let line = format!(r#"{COMBINED} "198.51.100.7" 0.003"#);
    let expected = concat!(
        r#"{"status":200,"@\"t":"2000-10-10T13:55:36-07:00","request":"GET /a?b=c HTTP/1.0","#,
        r#""truncated":false,"rest":"\"198.51.100.7\" 0.003"}"#
    );
    assert_eq!(replaced(plugin.one(&Record::value(line))), expected);
    let without = replaced(plugin.one(&Record::value(COMMON)));
    assert!(
        without.ends_with(r#""truncated":false,"rest":null}"#),
        "{without}"
    );
}

#[test]
fn an_object_can_be_empty_but_stays_one() {
    let plugin = plugin(r#"{"fields": ["agent"], "rename": {"agent": "a"}}"#);
    assert_eq!(
        replaced(plugin.one(&Record::value(COMMON))),
        r#"{"a":null}"#
    );
}

#[test]
fn statuses_that_are_not_wanted_are_dropped_and_bad_lines_still_fail() {
    let plugin = plugin(r#"{"keep_status": ["2xx"], "drop_status": ["204"]}"#);
    assert_eq!(plugin.one(&Record::value(COMMON)), Reply::Drop);
    assert_eq!(
        plugin.one(&Record::value(COMBINED.replace(" 200 ", " 204 "))),
        Reply::Drop
    );
    assert_eq!(
        plugin.one(&Record::value(COMBINED.replace(" 200 ", " - "))),
        Reply::Drop
    );
    assert!(matches!(
        plugin.one(&Record::value(COMBINED)),
        Reply::Replace(..)
    ));
    let bad = format!("{COMMON} x");
    assert!(
        matches!(plugin.one(&Record::value(bad)), Reply::Fail(code, _) if code == "BadReferrer")
    );
}

#[test]
fn each_failure_has_its_code_and_its_place() {
    let time = "[10/Oct/2000:13:55:36 +0000]";
    let found = "column 1: expected a client, and a space, found ` a`";
    assert_eq!(failure(" a"), ("BadClient".to_owned(), found.to_owned()));
    // `¦` marks the place, and is no part of the line.
    for (code, marked) in [
        ("EmptyLine", "¦".to_owned()),
        ("EmptyLine", "¦ \r\n".to_owned()),
        ("BadClient", "¦hello".to_owned()),
        ("BadIdentity", "a ¦b".to_owned()),
        ("BadIdentity", "a ¦ b".to_owned()),
        ("BadUser", r#"{"json": "a ¦b", "x": 1}"#.to_owned()),
        ("BadUser", format!("a - ¦{time}")),
        ("BadTime", "a - - [¦10/Oct/2000]".to_owned()),
        ("BadTime", "a - - [10/Oct/2000:13:55:36 ¦0000] ".to_owned()),
        ("BadTime", "a - - [¦32/Oct/2000:13:55:36 +0000]".to_owned()),
        ("BadTime", "a - - [10/¦Okt/2000:13:55:36 +0000]".to_owned()),
        ("BadTime", "a - - [10/Oct/2000:13:55:36 +0000¦ ]".to_owned()),
        ("BadRequest", format!("a - - {time}¦")),
        ("BadRequest", format!("a - - {time} ¦GET / HTTP/1.1 200 1")),
        (
            "BadRequest",
            format!(r#"a - - {time} "GET / HTTP/1.1 200 1¦"#),
        ),
        (
            "BadRequest",
            format!(r#"a - - {time} "GET / HTTP/1.1\" 200 1¦"#),
        ),
        ("BadStatus", format!(r#"a - - {time} "-"¦200 1"#)),
        ("BadStatus", format!(r#"a - - {time} "-" ¦20 1"#)),
        ("BadStatus", format!(r#"a - - {time} "-" ¦2000 1"#)),
        ("BadStatus", format!(r#"a - - {time} "-" ¦2x0 1"#)),
        ("BadBytes", format!(r#"a - - {time} "-" 200¦"#)),
        ("BadBytes", format!(r#"a - - {time} "-" 200 ¦-1"#)),
        (
            "BadBytes",
            format!(r#"a - - {time} "-" 200 ¦18446744073709551616"#),
        ),
        ("BadReferrer", format!(r#"a - - {time} "-" 200 1 ¦x"#)),
        ("BadReferrer", format!(r#"a - - {time} "-" 200 1 "x¦"#)),
        ("BadAgent", format!(r#"a - - {time} "-" 200 1 "x"¦"#)),
        ("BadAgent", format!(r#"a - - {time} "-" 200 1 "x" ¦y"#)),
        (
            "TrailingData",
            format!(r#"a - - {time} "-" 200 1 "x" "y"¦ z"#),
        ),
        (
            "TrailingData",
            format!(r#"a - - {time} "-" 200 1 "x" "y"¦z"#),
        ),
    ] {
        let column = marked.find('¦').unwrap() + 1;
        let (found, detail) = failure(marked.replace('¦', ""));
        assert_eq!(found, code, "{marked}: {detail}");
        assert!(
            detail.starts_with(&format!("column {column}: expected ")),
            "{marked}: {detail}"
        );
    }
    assert_eq!(failure(b"a - \xff").0, "NotUtf8");
    assert!(
        failure(b"a - \xff")
            .1
            .starts_with("column 5: expected UTF-8, found `\u{fffd}`")
    );
    let null = plugin("").one(&Record::tombstone());
    assert!(matches!(null, Reply::Fail(code, _) if code == "NoValue"));
}

#[test]
fn a_detail_quotes_little_of_a_long_line() {
    let (_, detail) = failure("é".repeat(100_000));
    assert!(detail.len() < 150, "{detail}");
    assert!(detail.ends_with("…`"), "{detail}");
}

/// Writes a text as Apache does.
fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut written, character| {
        match character {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\t' => written.push_str("\\t"),
            ' '..='~' => written.push(character),
            _ => {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    written.push_str(&format!("\\x{byte:02x}"));
                }
            }
        }
        written
    })
}

/// What a field gives back: `-` stands for nothing.
fn read_back(text: &str) -> Value {
    if text == "-" {
        Value::Null
    } else {
        json!(text)
    }
}

proptest! {
    #[test]
    fn any_bytes_give_an_object_or_a_failure(line: Vec<u8>) {
        match plugin("").one(&Record::value(line)) {
            Reply::Replace(Some(object), _) => prop_assert!(serde_json::from_slice::<Value>(&object).is_ok()),
            other => prop_assert!(matches!(other, Reply::Fail(..))),
        }
    }

    #[test]
    fn a_line_with_anything_in_it_gives_an_object_or_a_failure(
        at in 0..COMBINED.len(), gone in 0..4_usize, put in "[\"\\\\x \\[\\]0-9a-f\\PC-]{0,6}",
    ) {
        let mut line = COMBINED.as_bytes().to_vec();
        line.splice(at..(at + gone).min(COMBINED.len()), put.bytes());
        let plugin = plugin(r#"{"fields": ["request", "user", "agent", "rest", "truncated"]}"#);
        match plugin.one(&Record::value(line)) {
            Reply::Replace(Some(object), _) => prop_assert!(serde_json::from_slice::<Value>(&object).is_ok()),
            other => prop_assert!(matches!(other, Reply::Fail(..))),
        }
    }

    #[test]
    fn what_a_server_wrote_is_read_back(
        client in "[!-~&&[^\\\\]]{1,40}",
        user in "[ -~]{0,12}[!-~]",
        path in "/\\PC{0,30}[!-~]",
        status in 0..1000_u16,
        bytes in proptest::option::of(any::<u64>()),
        texts: (String, String),
        day in 1..=28_u8, second in 0..=60_u8,
    ) {
        prop_assume!(!escape(&user).contains(" [") && escape(&user) != "\"\"");
        let (referrer, agent) = texts;
        let size = bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        let line = format!(
            r#"{client} - {} [{day:02}/Feb/2026:23:59:{second:02} +0530] "PURGE {} HTTP/2.0" {status:03} {size} "{}" "{}""#,
            escape(&user), escape(&path), escape(&referrer), escape(&agent),
        );
        let object = object(&line);
        prop_assert_eq!(&object["client"], &json!(client));
        prop_assert_eq!(&object["user"], &read_back(&user));
        prop_assert_eq!(&object["time"], &json!(format!("2026-02-{day:02}T23:59:{second:02}+05:30")));
        prop_assert_eq!(&object["path"], &json!(path));
        prop_assert_eq!(&object["status"], &json!(status));
        prop_assert_eq!(&object["bytes"], &json!(bytes));
        prop_assert_eq!(&object["referrer"], &read_back(&referrer));
        prop_assert_eq!(&object["agent"], &read_back(&agent));
    }
}
