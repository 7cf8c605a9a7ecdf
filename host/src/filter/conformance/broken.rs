//! What is not JSON, told from what does not match.

use super::*;

const BROKEN: &[(&str, &[u8], &str)] = &[
    (r#"{"value": {"a": [1]}}"#, b"plain", "the value is not JSON at byte 0: expected a value"),
    (
        r#"{"value": {"a": [1]}}"#,
        b"",
        "the value is not JSON at byte 0: the text ends where a value is expected",
    ),
    (
        r#"{"value": {"a": [1]}}"#,
        b"{\"a\": 2} x",
        "the value is not JSON at byte 9: more after the end of the text",
    ),
    (
        r#"{"value": {"a": [1]}}"#,
        b"{\"a\": 2, \"b\": \xff}",
        "the value is not JSON at byte 14: bytes that are not UTF-8",
    ),
    (r#"{"value": {"a": [1]}}"#, b"{\"a\": [2}", "the value is not JSON at byte 8: expected `,` or `]`"),
    (
        r#"{"value": {"a": [1]}}"#,
        b"{\"a\": 2,}",
        "the value is not JSON at byte 8: expected the name of a member, in quotes",
    ),
    (r#"{"value": {"a": [1]}}"#, b"{\"a\": 01}", "the value is not JSON at byte 7: expected `,` or `}`"),
    (
        r#"{"value": {"a": {"b": [{"exists": false}]}}}"#,
        b"{\"a\"",
        "the value is not JSON at byte 4: expected `:`",
    ),
    // Not asked, or certain before.
    (r#"{"value": {"a": [1]}}"#, b"{\"a\": 1, here it ends", "match"),
    (r#"{"value": {"a": [1]}, "partition": [9]}"#, b"plain", "no match"),
    (
        r#"{"value": {"a": [1]}, "topic": ["orders"]}"#,
        b"plain",
        "the value is not JSON at byte 0: expected a value",
    ),
    (r#"{"$or": [{"value": {"a": [1]}}, {"partition": [3]}]}"#, b"plain", "match"),
    (r#"{"$or": [{"value": {"a": [1]}}, {"value": ["plain"]}]}"#, b"plain", "match"),
    (
        r#"{"key": {"a": [1]}, "value": {"a": [1]}}"#,
        b"{\"a\": 1}",
        "the key is not JSON at byte 0: expected a value",
    ),
    (r#"{"$or": [{"key": {"a": [1]}}, {"value": {"a": [1]}}]}"#, b"{\"a\": 1}", "match"),
];

#[test]
fn what_is_not_json_is_told_from_what_does_not_match() {
    let deep = format!("{{\"b\": {}", "[".repeat(100_000));
    let just = format!("{{\"b\": {}{}}}", "[".repeat(511), "]".repeat(511));
    let more = format!("{{\"a\": {}{}}}", "[".repeat(512), "]".repeat(512));
    let others = [
        (
            r#"{"value": {"a": [1]}}"#,
            deep.as_bytes(),
            "the value is not JSON at byte 517: nested deeper than 512",
        ),
        (
            r#"{"value": {"a": [1]}}"#,
            more.as_bytes(),
            "the value is not JSON at byte 517: nested deeper than 512",
        ),
        (r#"{"value": {"a": [1]}}"#, just.as_bytes(), "no match"),
    ];
    for (pattern, value, expected) in BROKEN.iter().copied().chain(others) {
        let found = match verdict(pattern, Some(b"k"), Some(value), &[]) {
            Verdict::Match => "match".to_owned(),
            Verdict::NoMatch => "no match".to_owned(),
            Verdict::NotJson(why) => why.to_string(),
        };
        assert_eq!(
            found,
            expected,
            "{pattern} on {}",
            String::from_utf8_lossy(&value[..value.len().min(60)])
        );
    }
    // A tombstone has nothing inside, which is not the same as broken.
    assert_eq!(verdict(r#"{"value": {"a": [1]}}"#, None, None, &[]), Verdict::NoMatch);
    assert_eq!(verdict(r#"{"value": {"a": [{"exists": false}]}}"#, None, None, &[]), Verdict::Match);
}
