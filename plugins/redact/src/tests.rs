//! The plugin as a whole: values in, values without personal data out.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use regex_lite::Regex;
use serde_json::{Value, json};
use vanne_plugin::testing::{Harness, Record, Reply};

use crate::Redact;

mod properties;

const KEY: &str = "correct horse battery staple";

/// A plugin of these rules, and further keys of the configuration.
fn plugin(rules: &str, further: &str) -> Harness<Redact> {
    Harness::new(&format!(r#"{{"rules": [{rules}]{further}}}"#)).unwrap()
}

/// What becomes of a value, as text: unchanged ones are told apart from those written anew.
fn outcome(plugin: &Harness<Redact>, value: impl AsRef<[u8]>) -> String {
    match plugin.one(&Record::value(value)) {
        Reply::Forward => "unchanged".to_owned(),
        Reply::Replace(Some(value), _) => String::from_utf8(value).unwrap(),
        Reply::Fail(code, detail) => format!("{code}: {detail}"),
        other => panic!("{other:?} is none of its outcomes"),
    }
}

fn check(plugin: &Harness<Redact>, rows: &[(&str, &str)]) {
    for (value, expected) in rows {
        assert_eq!(outcome(plugin, value), *expected, "{value}");
    }
}

const ALL: &str = r#"{"pattern": "email", "action": "replace", "with": "<email>"},
    {"pattern": "card", "action": "mask", "keep_last": 4},
    {"pattern": "ipv4", "action": "replace", "with": "<ip>"},
    {"pattern": "ipv6", "action": "replace", "with": "<ip>"}"#;

#[test]
fn it_reads_the_value_and_is_pure() {
    let plugin = plugin(ALL, "");
    let plan = plugin.plan();
    assert!(plan.reads_value() && !plan.reads_key() && !plan.reads_headers());
    assert_eq!(plan.traits(), ["pure"]);
    assert_eq!(plugin.one(&Record::tombstone()), Reply::Forward);
}

#[test]
fn text_is_redacted_by_pattern() {
    check(
        &plugin(ALL, ""),
        &[
            ("", "unchanged"),
            ("nothing here, order 4111111111111112", "unchanged"),
            (
                "joe@example.com paid with 4111 1111 1111 1111",
                "<email> paid with ***************1111",
            ),
            (
                r#"203.0.113.9 - - [10/Oct/2000:13:55:36 -0700] "GET /?m=joe%40example.com HTTP/1.0" 200 2326"#,
                r#"<ip> - - [10/Oct/2000:13:55:36 -0700] "GET /?m=<email> HTTP/1.0" 200 2326"#,
            ),
            (
                "[info] peer [2001:db8::1]:443 left\n",
                "[info] peer [<ip>]:443 left\n",
            ),
            (
                "joe@10.0.0.1, jane@a.example@10.0.0.1",
                "joe@<ip>, <email>@<ip>",
            ),
            ("4111111111111111", "************1111"),
            (r#""quoted" joe@example.com"#, r#""quoted" <email>"#),
        ],
    );
}

#[test]
fn json_is_redacted_in_its_strings_and_stays_as_it_is_else() {
    check(
        &plugin(ALL, ""),
        &[
            ("{}", "unchanged"),
            (" { \"a\" : [ 1.0e5 , -0, true,null ] }\n", "unchanged"),
            (
                " { \"b\" : 1.50,\t\"a\":\"x joe@example.com\" ,\"b\":1e400 }\n",
                " { \"b\" : 1.50,\t\"a\":\"x <email>\" ,\"b\":1e400 }\n",
            ),
            (r#"{"a":"joe\u0040example.com"}"#, r#"{"a":"<email>"}"#),
            (
                r#"{"a":"\u006aoe@example\u002ecom","b":"\u0041"}"#,
                r#"{"a":"<email>","b":"\u0041"}"#,
            ),
            (
                r#"{"a":"line\njoe@example.com\t\"é\u00e9\ud83d\ude00"}"#,
                "{\"a\":\"line\\n<email>\\t\\\"éé😀\"}",
            ),
            (
                r#"{"card":4111111111111111,"order":4111111111111112,"at":1719922800008}"#,
                r#"{"card":"************1111","order":4111111111111112,"at":1719922800008}"#,
            ),
            (
                r#"[4111111111111111.0,4.111111111111111E15,-4111111111111111]"#,
                r#"["************1111","************1111","************1111"]"#,
            ),
            (r#"{"joe@example.com":1}"#, "unchanged"),
            (
                "\u{feff} {\"a\":\"joe\\u0040example.com\"}",
                "\u{feff} {\"a\":\"<email>\"}",
            ),
            (
                r#"["10.0.0.1",{"b":["::1"]}]"#,
                r#"["<ip>",{"b":["<ip>"]}]"#,
            ),
            (r#""joe\u0040example.com""#, r#""<email>""#),
            (
                r#"{"nested":"{\"mail\":\"joe@example.com\"}"}"#,
                r#"{"nested":"{\"mail\":\"<email>\"}"}"#,
            ),
        ],
    );
    let names = plugin(ALL, r#", "names": true"#);
    check(
        &names,
        &[
            (
                r#"{ "joe\u0040example.com" : 1, "a": "10.0.0.1" }"#,
                r#"{ "<email>" : 1, "a": "<ip>" }"#,
            ),
            (r#"{"a":{"10.0.0.1":{}}}"#, r#"{"a":{"<ip>":{}}}"#),
        ],
    );
}

#[test]
fn fields_are_redacted_by_their_path() {
    let rules = r#"{"field": "user.email", "action": "mask", "keep_last": 2, "with": "~"},
        {"field": "users.*.name", "action": "replace", "with": "someone"},
        {"field": "a\\.b", "action": "remove"},
        {"field": "address", "action": "mask"},
        {"field": "tags.*", "action": "remove"},
        {"field": "secret", "action": "remove"},
        {"field": "secret.x", "action": "mask"}"#;
    check(
        &plugin(rules, ""),
        &[
            (r#"{"email":"joe","user":{"name":"joe"}}"#, "unchanged"),
            (
                r#"{"user":{"email":"joe@x"},"users":7}"#,
                r#"{"user":{"email":"~~~@x"},"users":7}"#,
            ),
            (
                r#"{"us\u0065r":{"emai\u006c":"joe@x"}}"#,
                r#"{"us\u0065r":{"emai\u006c":"~~~@x"}}"#,
            ),
            (
                r#"{"user":{"email":"ab","email":null,"email":1234567}}"#,
                r#"{"user":{"email":"~b","email":null,"email":"~~~~~67"}}"#,
            ),
            (r#"{"user":[{"email":"joe@x"}]}"#, "unchanged"),
            (
                r#"{"users":[{"name":"a","n":1},{"name":["b",{"c":"d"}]}]}"#,
                r#"{"users":[{"name":"someone","n":1},{"name":["someone",{"c":"someone"}]}]}"#,
            ),
            (
                r#"{"users":{"x":{"name":"a"}}}"#,
                r#"{"users":{"x":{"name":"someone"}}}"#,
            ),
            (
                r#"{"address":{"street":"x","no":12,"old":true,"none":null}}"#,
                r#"{"address":{"street":"*","no":"**","old":"****","none":null}}"#,
            ),
            (r#"{"secret":{"x":"y"},"b":1}"#, r#"{"b":1}"#),
            (
                r#"{ "secret" : 1 , "a.b" : 2 , "b" : 3 }"#,
                r#"{ "b" : 3 }"#,
            ),
            (
                r#"{ "b" : 3 , "secret" : 1 , "a.b" : 2 }"#,
                r#"{ "b" : 3 }"#,
            ),
            (
                r#"{"b":3,"secret":1,"c":4,"a.b":2,"d":5}"#,
                r#"{"b":3,"c":4,"d":5}"#,
            ),
            (r#"{ "secret" : 1, "a.b" : [2] }"#, r#"{  }"#),
            (
                r#"{"tags":[1,{"a":"b"},"c"],"x":[]}"#,
                r#"{"tags":[],"x":[]}"#,
            ),
            (r#"{"tags":{"k":1,"l":2}}"#, r#"{"tags":{}}"#),
            (
                r#"{"user":{"email":"joe@x"},"secret":1}"#,
                r#"{"user":{"email":"~~~@x"}}"#,
            ),
            (
                r#"{"secret":1,"user":{"email":"joe@x"}}"#,
                r#"{"user":{"email":"~~~@x"}}"#,
            ),
            ("user.email=joe@example.com", "unchanged"),
        ],
    );
}

#[test]
fn hashes_are_keyed_and_the_same_wherever_a_text_stands() {
    let key = format!(r#", "key": "{KEY}""#);
    let rules = r#"{"pattern": "email", "action": "hash"}, {"field": "mail", "action": "hash"},
        {"pattern": "card", "action": "hash", "encoding": "base64url", "length": 18}"#;
    let one = plugin(rules, &key);
    let hash = outcome(&one, "joe@example.com");
    assert_eq!(hash, "321af89e645aa8fc3e9221f28fbb9a7b");
    assert_eq!(
        outcome(&one, r#"{"mail":"joe@example.com"}"#),
        format!(r#"{{"mail":"{hash}"}}"#)
    );
    assert_eq!(
        outcome(&one, r#"{"other":"<joe\u0040example.com>"}"#),
        format!(r#"{{"other":"<{hash}>"}}"#)
    );
    let card = outcome(&one, "4111111111111111");
    assert_eq!(card.len(), 24);
    assert_eq!(outcome(&one, "4111-1111-1111-1111"), card);
    assert_eq!(
        outcome(&one, r#"[4111111111111111]"#),
        format!(r#"["{card}"]"#)
    );
    let other = plugin(rules, &key.replace("staple", "stable"));
    assert_ne!(outcome(&other, "joe@example.com"), hash);
    assert!(!format!("{one:?}").contains("correct"));
}

#[test]
fn the_readme_s_example_is_true() {
    let readme = include_str!("../README.md");
    let blocks: Vec<&str> = readme.split("```").skip(1).step_by(2).collect();
    let [before, after] = [blocks[0], blocks[1]].map(|block| block["json\n".len()..].trim_end());
    let rules = r#"{"field": "user.born", "action": "remove"}, {"pattern": "email", "action": "hash"},
        {"pattern": "card", "action": "mask", "keep_last": 4}, {"pattern": "ipv4", "action": "replace"},
        {"pattern": "ipv6", "action": "replace"},
        {"name": "ssn", "regex": "\\b\\d{3}-\\d{2}-\\d{4}\\b", "action": "replace", "with": "[ssn]"}"#;
    let plugin = plugin(rules, r#", "key": "0123456789abcdef0123456789abcdef""#);
    assert_eq!(outcome(&plugin, before), after);
}

#[test]
fn own_patterns_are_found() {
    let rules = r#"{"name": "ssn", "regex": "\\b\\d{3}-\\d{2}-\\d{4}\\b", "action": "replace"},
        {"name": "token", "regex": "(?i)token=[^&\\s]+", "action": "replace", "with": "token=x"}"#;
    check(
        &plugin(rules, ""),
        &[
            ("ssn 078-05-1120.", "ssn [ssn]."),
            ("/?Token=abc&b=1", "/?token=x&b=1"),
            (r#"{"a":"t\u006fken=abc\"d e"}"#, r#"{"a":"token=x e"}"#),
            ("1078-05-1120", "unchanged"),
        ],
    );
}

#[test]
fn what_can_t_be_read_fails_and_quotes_nothing() {
    let (auto, json, text) = (
        plugin(ALL, ""),
        plugin(ALL, r#", "format": "json""#),
        plugin(ALL, r#", "format": "text""#),
    );
    for (plugin, value, expected) in [
        (
            &auto,
            &b"ab\xff joe@example.com"[..],
            "NotUtf8: byte 2: expected UTF-8",
        ),
        (
            &auto,
            br#"{"a":"joe@example.com"#,
            "BadJson: byte 21: expected the quote that ends a string",
        ),
        (
            &auto,
            br#"{"a":1}{"b":2}"#,
            "BadJson: byte 7: expected the end after one JSON value",
        ),
        (
            &auto,
            br#"{"a":01}"#,
            "BadJson: byte 6: expected `,` or `}`",
        ),
        (&auto, b"{\"a\" 1}", "BadJson: byte 5: expected `:`"),
        (
            &auto,
            b"{a:1}",
            "BadJson: byte 1: expected a name in quotes",
        ),
        (
            &auto,
            b"{\"a\":1,}",
            "BadJson: byte 7: expected a name in quotes",
        ),
        (&json, b"[1,]", "BadJson: byte 3: expected a JSON value"),
        (&json, b"[1 2]", "BadJson: byte 3: expected `,` or `]`"),
        (&json, b"[-]", "BadJson: byte 2: expected a digit"),
        (&json, b"[1.e5]", "BadJson: byte 3: expected a digit"),
        (&json, b"[tru]", "BadJson: byte 1: expected a JSON value"),
        (&json, b"", "BadJson: byte 0: expected a JSON value"),
        (
            &json,
            b"joe@example.com",
            "BadJson: byte 0: expected a JSON value",
        ),
        (&auto, b"[1,] joe@example.com", "[1,] <email>"),
        (&text, br#"{"a":"joe@example.com"#, r#"{"a":"<email>"#),
    ] {
        assert_eq!(
            outcome(plugin, value),
            expected,
            "{}",
            String::from_utf8_lossy(value)
        );
    }
    let deep = "[".repeat(129) + &"]".repeat(129);
    assert!(outcome(&auto, deep).starts_with("TooDeep: byte 128:"));
    let deep = "[".repeat(128) + &"]".repeat(128);
    assert_eq!(outcome(&auto, deep), "unchanged");
    let field = plugin(r#"{"field": "a", "action": "mask"}"#, "");
    assert!(outcome(&field, "[1,] x").starts_with("BadJson"));
}

#[test]
fn bytes_that_are_no_text_are_replaced_where_that_is_asked_for() {
    let lossy = plugin(ALL, r#", "not_utf8": "replace""#);
    assert_eq!(
        outcome(&lossy, b"\xffjoe@example.com \xfe"),
        "\u{fffd}<email> \u{fffd}"
    );
    assert_eq!(outcome(&lossy, b"a\xff"), "a\u{fffd}");
}
