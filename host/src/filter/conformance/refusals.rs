//! Patterns that are refused, each at its place.

use super::*;

/// Patterns that are refused: the pattern, and the message without its hint.
const REFUSED: &[(&str, &str)] = &[
    ("{}", "`patterns[0]`: expected at least one key, found an empty object"),
    ("[1]", "`patterns[0]`: expected an object, found a list"),
    ("5", "`patterns[0]`: expected an object, found the number `5`"),
    ("{\"a\": [1]}", "`patterns[0].a`: expected a part of a record, found `a`"),
    ("{\"data\": {\"a\": [1]}}", "`patterns[0].data`: expected a part of a record, found `data`"),
    (r#"{"value": 5}"#, "`patterns[0].value`: expected a list of values or an object, found the number `5`"),
    (r#"{"value": "x"}"#, "`patterns[0].value`: expected a list of values or an object, found the text `x`"),
    (r#"{"value": {}}"#, "`patterns[0].value`: expected at least one key, found an empty object"),
    (r#"{"value": []}"#, "`patterns[0].value`: expected at least one value in the list, found an empty list"),
    (
        r#"{"value": {"a": 5}}"#,
        "`patterns[0].value.a`: expected a list of values or an object, found the number `5`",
    ),
    (
        r#"{"value": {"a": {"prefix": "x"}}}"#,
        "`patterns[0].value.a.prefix`: expected a list of values or an object, found the text `x`",
    ),
    (r#"{"value": {"a": [[1]]}}"#, "`patterns[0].value.a[0]`: expected a value or an operator, found a list"),
    (
        r#"{"value": {"a": [{}]}}"#,
        "`patterns[0].value.a[0]`: expected one operator in the object, found 0 names",
    ),
    (
        r#"{"value": {"a": [{"prefix": "x", "suffix": "y"}]}}"#,
        "`patterns[0].value.a[0]`: expected one operator in the object, found 2 names",
    ),
    (
        r#"{"value": {"a": [1, {"regex": "x"}]}}"#,
        "`patterns[0].value.a[1].regex`: expected an operator, found `regex`",
    ),
    (
        r#"{"value": {"a b": [{"prefix": 5}]}}"#,
        "`patterns[0].value.\"a b\"[0].prefix`: expected a text, found the number `5`",
    ),
    (
        r#"{"value": {"a": [{"prefix": {"x": "y"}}]}}"#,
        "`patterns[0].value.a[0].prefix.x`: expected `equals-ignore-case`, found `x`",
    ),
    (
        r#"{"value": {"a": [{"suffix": {"equals-ignore-case": 1}}]}}"#,
        "`patterns[0].value.a[0].suffix.equals-ignore-case`: expected a text, found the number `1`",
    ),
    (
        r#"{"value": {"a": [{"equals-ignore-case": ["x"]}]}}"#,
        "`patterns[0].value.a[0].equals-ignore-case`: expected a text, found a list",
    ),
    (
        r#"{"value": {"a": [{"wildcard": "a**b"}]}}"#,
        "`patterns[0].value.a[0].wildcard`: expected a wildcard, found two stars in a row",
    ),
    (
        r#"{"value": {"a": [{"wildcard": "a\\b"}]}}"#,
        "`patterns[0].value.a[0].wildcard`: expected a wildcard, found a `\\` before something else than `*` and `\\`",
    ),
    (
        r#"{"value": {"a": [{"cidr": "10.0.0.0"}]}}"#,
        "`patterns[0].value.a[0].cidr`: expected a block of addresses, found `10.0.0.0`",
    ),
    (
        r#"{"value": {"a": [{"cidr": "10.0.0.0/33"}]}}"#,
        "`patterns[0].value.a[0].cidr`: expected a block of addresses, found `10.0.0.0/33`",
    ),
    (
        r#"{"value": {"a": [{"exists": "yes"}]}}"#,
        "`patterns[0].value.a[0].exists`: expected `true` or `false`, found the text `yes`",
    ),
    (
        r#"{"value": {"a": [{"numeric": 5}]}}"#,
        "`patterns[0].value.a[0].numeric`: expected a list, found the number `5`",
    ),
    (
        r#"{"value": {"a": [{"numeric": [">"]}]}}"#,
        "`patterns[0].value.a[0].numeric`: expected one comparison and its number, or two of them, found 1 elements",
    ),
    (
        r#"{"value": {"a": [{"numeric": ["!=", 5]}]}}"#,
        "`patterns[0].value.a[0].numeric[0]`: expected `=`, `<`, `<=`, `>` or `>=`, found the text `!=`",
    ),
    (
        r#"{"value": {"a": [{"numeric": [">", "5"]}]}}"#,
        "`patterns[0].value.a[0].numeric[1]`: expected a number, found the text `5`",
    ),
    (
        r#"{"value": {"a": [{"numeric": [">", 0, "<", true]}]}}"#,
        "`patterns[0].value.a[0].numeric[3]`: expected a number, found `true`",
    ),
    (
        r#"{"value": {"a": [{"numeric": ["<", 5, ">", 0]}]}}"#,
        "`patterns[0].value.a[0].numeric`: expected a range: first `>` or `>=`, then `<` or `<=`",
    ),
    (
        r#"{"value": {"a": [{"numeric": [">", 5, "<", 5.0]}]}}"#,
        "`patterns[0].value.a[0].numeric`: expected a lower bound below the upper one",
    ),
    (
        r#"{"value": {"a": [{"anything-but": []}]}}"#,
        "`patterns[0].value.a[0].anything-but`: expected a text, a number, a list of texts or of numbers, or one operator, found an empty list",
    ),
    (
        r#"{"value": {"a": [{"anything-but": null}]}}"#,
        "`patterns[0].value.a[0].anything-but`: expected a text, a number, a list of texts or of numbers, or one operator, found `null`",
    ),
    (
        r#"{"value": {"a": [{"anything-but": ["x", 5]}]}}"#,
        "`patterns[0].value.a[0].anything-but[1]`: expected a text, found the number `5`",
    ),
    (
        r#"{"value": {"a": [{"anything-but": {"numeric": [">", 5]}}]}}"#,
        "`patterns[0].value.a[0].anything-but.numeric`: expected an operator that `anything-but` takes, found `numeric`",
    ),
    (
        r#"{"value": {"a": [{"anything-but": {"prefix": ["x", ""]}}]}}"#,
        "`patterns[0].value.a[0].anything-but.prefix[1]`: expected a text that is not empty, found an empty one",
    ),
    (
        r#"{"value": {"$or": {"a": [1]}}}"#,
        "`patterns[0].value.$or`: expected a list of patterns, found an object",
    ),
    (
        r#"{"value": {"$or": [{"a": [1]}]}}"#,
        "`patterns[0].value.$or`: expected at least two patterns, found 1",
    ),
    (
        r#"{"value": {"$or": [{"a": [1]}, 5]}}"#,
        "`patterns[0].value.$or[1]`: expected a pattern, found the number `5`",
    ),
    (
        r#"{"value": {"$or": [{"a": [1]}, {"prefix": "x"}]}}"#,
        "`patterns[0].value.$or[1].prefix`: expected a key, found the operator `prefix`",
    ),
    (
        r#"{"$or": [{"partition": [1]}, {}]}"#,
        "`patterns[0].$or[1]`: expected at least one key, found an empty object",
    ),
    (r#"{"headers": ["x"]}"#, "`patterns[0].headers`: expected an object of headers by name, found a list"),
    (
        r#"{"headers": {"x": {"y": [1]}}}"#,
        "`patterns[0].headers.x`: expected a list of values, found an object",
    ),
    (r#"{"headers": {}}"#, "`patterns[0].headers`: expected the name of a header, found an empty object"),
    (r#"{"partition": 3}"#, "`patterns[0].partition`: expected a list of values, found the number `3`"),
    (r#"{"partition": ["3"]}"#, "`patterns[0].partition[0]`: expected a number or an operator on numbers"),
    (
        r#"{"offset": [1, {"prefix": "3"}]}"#,
        "`patterns[0].offset[1]`: expected a number or an operator on numbers",
    ),
    (
        r#"{"timestamp": [{"anything-but": "x"}]}"#,
        "`patterns[0].timestamp[0]`: expected a number or an operator on numbers",
    ),
    (r#"{"topic": [5]}"#, "`patterns[0].topic[0]`: expected a text or an operator on texts"),
    (r#"{"topic": [null]}"#, "`patterns[0].topic[0]`: expected a text or an operator on texts"),
    (r#"{"value": {"a": [1]}, "value": {"b": [1]}}"#, "`patterns[0].value`: the name `value` stands twice"),
];

#[test]
fn invalid_patterns_are_refused_at_their_place() {
    for (pattern, expected) in REFUSED {
        let error = Filter::parse(&[pattern]).expect_err(pattern);
        let shown = error.to_string();
        assert!(shown.starts_with(expected), "{pattern}\nexpected {expected}\nfound    {shown}");
        assert!(error.hint.len() > 10 && !error.hint.ends_with('.'), "{shown}");
    }
}

#[test]
fn limits_are_those_of_aws() {
    let refusal = |patterns: &[&str]| Filter::parse(patterns).expect_err("too much").to_string();
    assert!(refusal(&[]).starts_with("`patterns[0]`: expected at least one pattern, found none"));
    let pattern = r#"{"partition": [1]}"#;
    assert!(Filter::parse(&[pattern; 10]).is_ok());
    assert!(refusal(&[pattern; 11]).starts_with("`patterns[10]`: expected at most 10 patterns, found 11"));
    let of_length = |length: usize| format!("{{\"topic\": [\"{}\"]}}", "ä".repeat(length - 15));
    assert!(Filter::parse(&[&of_length(4096)]).is_ok());
    let long = of_length(4097);
    let expected = "`patterns[1]`: expected at most 4096 characters, found 4097";
    assert!(refusal(&[pattern, &long]).starts_with(expected), "{}", refusal(&[pattern, &long]));
    // As many keys as fit one pattern, ten times: refused and not slow.
    let keys: Vec<_> = (0..340).map(|nth| format!("\"{nth}\":[1]")).collect();
    let many = format!("{{\"value\":{{{}}}}}", keys.join(","));
    assert!(Filter::parse(&[&many]).is_ok());
    assert!(refusal(&[many.as_str(); 10]).contains("too many keys in all patterns together"));
}
