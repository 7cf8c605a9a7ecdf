//! The pattern language as a table, written from the documentation of AWS's event patterns.

use super::{Filter, Verdict};
use crate::record::{Arena, NewRecord, TopicPartition};

mod broken;
mod refusals;

const YES: bool = true;
const NO: bool = false;

fn origin() -> TopicPartition {
    TopicPartition { topic: "orders".into(), partition: 3 }
}

/// What a filter of one pattern says about a record.
fn verdict(
    pattern: &str,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[(&str, Option<&str>)],
) -> Verdict {
    let filter = Filter::parse(&[pattern]).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    let mut arena = Arena::default();
    let record = NewRecord { key, value, timestamp_ms: 1_700_000_000_000, offset: 42, index: 0 };
    let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.map(str::as_bytes)));
    assert!(arena.push(record, headers));
    filter.matches(&arena.record(0), &origin())
}

/// Patterns of one field `a`: what stands in its list, the value, whether it matches.
const FIELDS: &[(&str, &str, bool)] = &[
    // Equality: strings are strings, numbers are numbers.
    (r#""x""#, r#"{"a": "x"}"#, YES),
    (r#""x""#, r#"{"a": "X"}"#, NO),
    (r#""x""#, r#"{"a": "xy"}"#, NO),
    (r#""x""#, r#"{"b": "x"}"#, NO),
    (r#""x""#, r#"{}"#, NO),
    (r#""x", "y""#, r#"{"a": "y"}"#, YES),
    (r#""x", "y""#, r#"{"a": "z"}"#, NO),
    (r#""x", 5, null, true"#, r#"{"a": 5}"#, YES),
    (r#""x", 5, null, true"#, r#"{"a": null}"#, YES),
    (r#""x", 5, null, true"#, r#"{"a": true}"#, YES),
    (r#""x", 5, null, true"#, r#"{"a": false}"#, NO),
    (r#""5""#, r#"{"a": 5}"#, NO),
    (r#"5"#, r#"{"a": "5"}"#, NO),
    (r#"5"#, r#"{"a": 5}"#, YES),
    (r#"5"#, r#"{"a": 5.0}"#, YES),
    (r#"5"#, r#"{"a": 50e-1}"#, YES),
    (r#"5"#, r#"{"a": 5.000000000000000000001}"#, NO),
    (r#"5"#, r#"{"a": -5}"#, NO),
    (r#"0"#, r#"{"a": -0.0}"#, YES),
    (r#"9007199254740993"#, r#"{"a": 9007199254740992}"#, NO),
    (r#"9007199254740993"#, r#"{"a": 9007199254740993}"#, YES),
    (r#"true"#, r#"{"a": true}"#, YES),
    (r#"true"#, r#"{"a": "true"}"#, NO),
    (r#"false"#, r#"{"a": false}"#, YES),
    (r#"false"#, r#"{"a": 0}"#, NO),
    (r#"false"#, r#"{"a": null}"#, NO),
    // Strings compare decoded.
    (r#""é""#, r#"{"a": "\u00e9"}"#, YES),
    (r#""\u00e9""#, r#"{"a": "é"}"#, YES),
    (r#""😀""#, r#"{"a": "\ud83d\ude00"}"#, YES),
    (r#""a\"b\\c/""#, r#"{"a": "a\"b\\c\/"}"#, YES),
    (r#""\n\t""#, r#"{"a": "\n\t"}"#, YES),
    (r#""x""#, r#"{"\u0061": "x"}"#, YES),
    // Null and the empty string.
    (r#"null"#, r#"{"a": null}"#, YES),
    (r#"null"#, r#"{"a": "null"}"#, NO),
    (r#"null"#, r#"{"a": ""}"#, NO),
    (r#"null"#, r#"{}"#, NO),
    (r#"null"#, r#"{"a": [null]}"#, YES),
    (r#"null"#, r#"{"a": []}"#, NO),
    (r#""""#, r#"{"a": ""}"#, YES),
    (r#""""#, r#"{"a": null}"#, NO),
    (r#""""#, r#"{"a": " "}"#, NO),
    (r#""""#, r#"{}"#, NO),
    // Arrays in the data: any element.
    (r#""x""#, r#"{"a": ["w", "x"]}"#, YES),
    (r#""x""#, r#"{"a": ["w", "y"]}"#, NO),
    (r#""x""#, r#"{"a": [["w"], [["x"]]]}"#, YES),
    (r#""x""#, r#"{"a": [{"x": 1}, "x"]}"#, YES),
    (r#""x""#, r#"{"a": [{"a": "x"}]}"#, NO),
    (r#""x""#, r#"{"a": {"a": "x"}}"#, NO),
    (r#""x""#, r#"{"b": {"a": "x"}}"#, NO),
    (r#""x""#, r#"[{"a": "w"}, {"a": "x"}]"#, YES),
    (r#""x""#, r#""x""#, NO),
    // A name that repeats stands for both values.
    (r#""x""#, r#"{"a": "x", "a": "y"}"#, YES),
    (r#""x""#, r#"{"a": "y", "a": "x"}"#, YES),
    // prefix
    (r#"{"prefix": "eu-"}"#, r#"{"a": "eu-central-1"}"#, YES),
    (r#"{"prefix": "eu-"}"#, r#"{"a": "eu-"}"#, YES),
    (r#"{"prefix": "eu-"}"#, r#"{"a": "EU-"}"#, NO),
    (r#"{"prefix": "eu-"}"#, r#"{"a": "eu"}"#, NO),
    (r#"{"prefix": "5"}"#, r#"{"a": 50}"#, NO),
    (r#"{"prefix": "n"}"#, r#"{"a": null}"#, NO),
    (r#"{"prefix": "eu-"}"#, r#"{}"#, NO),
    (r#"{"prefix": "eu-"}"#, r#"{"a": ["us-1", "eu-1"]}"#, YES),
    (r#"{"prefix": ""}"#, r#"{"a": "any"}"#, YES),
    (r#"{"prefix": ""}"#, r#"{"a": 1}"#, NO),
    (r#"{"prefix": "ü"}"#, r#"{"a": "\u00fcber"}"#, YES),
    (r#"{"prefix": {"equals-ignore-case": "EventB"}}"#, r#"{"a": "eventbridge"}"#, YES),
    (r#"{"prefix": {"equals-ignore-case": "eventb"}}"#, r#"{"a": "EVENT"}"#, NO),
    (r#"{"prefix": {"equals-ignore-case": "Ä"}}"#, r#"{"a": "äpfel"}"#, YES),
    (r#"{"prefix": {"equals-ignore-case": "a"}}"#, r#"{"a": 1}"#, NO),
    // suffix
    (r#"{"suffix": ".png"}"#, r#"{"a": "dir/cat.png"}"#, YES),
    (r#"{"suffix": ".png"}"#, r#"{"a": "cat.png.bak"}"#, NO),
    (r#"{"suffix": ".png"}"#, r#"{"a": "cat.PNG"}"#, NO),
    (r#"{"suffix": "0"}"#, r#"{"a": 10}"#, NO),
    (r#"{"suffix": ".png"}"#, r#"{"a": null}"#, NO),
    (r#"{"suffix": ".png"}"#, r#"{}"#, NO),
    (r#"{"suffix": ".png"}"#, r#"{"a": ["a.gif", "b.png"]}"#, YES),
    (r#"{"suffix": {"equals-ignore-case": ".PNG"}}"#, r#"{"a": "cat.pNg"}"#, YES),
    (r#"{"suffix": {"equals-ignore-case": ".png"}}"#, r#"{"a": "png"}"#, NO),
    (r#"{"suffix": {"equals-ignore-case": "É"}}"#, r#"{"a": "café"}"#, YES),
    // equals-ignore-case
    (r#"{"equals-ignore-case": "alice"}"#, r#"{"a": "ALICE"}"#, YES),
    (r#"{"equals-ignore-case": "ALICE"}"#, r#"{"a": "alice"}"#, YES),
    (r#"{"equals-ignore-case": "alice"}"#, r#"{"a": "alicia"}"#, NO),
    (r#"{"equals-ignore-case": "STRAßE"}"#, r#"{"a": "straße"}"#, YES),
    (r#"{"equals-ignore-case": "strasse"}"#, r#"{"a": "straße"}"#, NO),
    (r#"{"equals-ignore-case": "ŽLUŤ"}"#, r#"{"a": "\u017elu\u0165"}"#, YES),
    (r#"{"equals-ignore-case": "true"}"#, r#"{"a": true}"#, NO),
    (r#"{"equals-ignore-case": "null"}"#, r#"{"a": null}"#, NO),
    (r#"{"equals-ignore-case": "alice"}"#, r#"{}"#, NO),
    (r#"{"equals-ignore-case": "alice"}"#, r#"{"a": ["bob", "Alice"]}"#, YES),
    // wildcard
    (r#"{"wildcard": "dir/*.png"}"#, r#"{"a": "dir/a/b.png"}"#, YES),
    (r#"{"wildcard": "dir/*.png"}"#, r#"{"a": "dir/.png"}"#, YES),
    (r#"{"wildcard": "dir/*.png"}"#, r#"{"a": "dir.png"}"#, NO),
    (r#"{"wildcard": "*"}"#, r#"{"a": ""}"#, YES),
    (r#"{"wildcard": "*"}"#, r#"{"a": 5}"#, NO),
    (r#"{"wildcard": "*/lib/*"}"#, r#"{"a": "/usr/lib/x"}"#, YES),
    (r#"{"wildcard": "*/lib/*"}"#, r#"{"a": "/usr/lib"}"#, NO),
    (r#"{"wildcard": "a*a"}"#, r#"{"a": "a"}"#, NO),
    (r#"{"wildcard": "a*ab*b"}"#, r#"{"a": "aabb"}"#, YES),
    (r#"{"wildcard": "a*ab*b"}"#, r#"{"a": "aab"}"#, NO),
    (r#"{"wildcard": "plain"}"#, r#"{"a": "plain"}"#, YES),
    (r#"{"wildcard": "plain"}"#, r#"{"a": "plainer"}"#, NO),
    (r#"{"wildcard": "a\\*b"}"#, r#"{"a": "a*b"}"#, YES),
    (r#"{"wildcard": "a\\*b"}"#, r#"{"a": "axb"}"#, NO),
    (r#"{"wildcard": "a\\\\*"}"#, r#"{"a": "a\\z"}"#, YES),
    (r#"{"wildcard": "x*"}"#, r#"{"a": null}"#, NO),
    (r#"{"wildcard": "x*"}"#, r#"{}"#, NO),
    // cidr
    (r#"{"cidr": "10.0.0.0/24"}"#, r#"{"a": "10.0.0.33"}"#, YES),
    (r#"{"cidr": "10.0.0.0/24"}"#, r#"{"a": "10.0.1.33"}"#, NO),
    (r#"{"cidr": "10.0.0.0/24"}"#, r#"{"a": "not an address"}"#, NO),
    (r#"{"cidr": "0.0.0.0/0"}"#, r#"{"a": "255.1.2.3"}"#, YES),
    (r#"{"cidr": "10.1.2.3/32"}"#, r#"{"a": "10.1.2.3"}"#, YES),
    (r#"{"cidr": "10.1.2.3/32"}"#, r#"{"a": "10.1.2.2"}"#, NO),
    (r#"{"cidr": "2001:db8::/32"}"#, r#"{"a": "2001:0db8:ffff::1"}"#, YES),
    (r#"{"cidr": "2001:db8::/32"}"#, r#"{"a": "2001:db9::1"}"#, NO),
    (r#"{"cidr": "::/0"}"#, r#"{"a": "10.0.0.1"}"#, NO),
    (r#"{"cidr": "10.0.0.0/8"}"#, r#"{"a": 10}"#, NO),
    (r#"{"cidr": "10.0.0.0/8"}"#, r#"{"a": null}"#, NO),
    (r#"{"cidr": "10.0.0.0/8"}"#, r#"{}"#, NO),
    (r#"{"cidr": "10.0.0.0/8"}"#, r#"{"a": ["192.168.0.1", "10.9.9.9"]}"#, YES),
    // numeric
    (r#"{"numeric": ["=", 301.8]}"#, r#"{"a": 3.018e2}"#, YES),
    (r#"{"numeric": ["=", 100]}"#, r#"{"a": 100.00}"#, YES),
    (r#"{"numeric": ["=", 100]}"#, r#"{"a": 100.01}"#, NO),
    (r#"{"numeric": [">", 10]}"#, r#"{"a": 11}"#, YES),
    (r#"{"numeric": [">", 10]}"#, r#"{"a": 10}"#, NO),
    (r#"{"numeric": [">=", 10]}"#, r#"{"a": 10}"#, YES),
    (r#"{"numeric": [">=", 10]}"#, r#"{"a": 9.999999}"#, NO),
    (r#"{"numeric": ["<", 10]}"#, r#"{"a": -1e300}"#, YES),
    (r#"{"numeric": ["<", 10]}"#, r#"{"a": 10}"#, NO),
    (r#"{"numeric": ["<=", 10]}"#, r#"{"a": 10}"#, YES),
    (r#"{"numeric": ["<=", 10]}"#, r#"{"a": 10.000001}"#, NO),
    (r#"{"numeric": [">", 10, "<=", 20]}"#, r#"{"a": 20}"#, YES),
    (r#"{"numeric": [">", 10, "<=", 20]}"#, r#"{"a": 10}"#, NO),
    (r#"{"numeric": [">", 10, "<=", 20]}"#, r#"{"a": 20.5}"#, NO),
    (r#"{"numeric": [">=", -0.5, "<", 0.5]}"#, r#"{"a": -0.5}"#, YES),
    (r#"{"numeric": [">=", -0.5, "<", 0.5]}"#, r#"{"a": 0.5}"#, NO),
    (r#"{"numeric": [">", 5000000000]}"#, r#"{"a": 5000000000.000001}"#, YES),
    (r#"{"numeric": [">", 1e400]}"#, r#"{"a": 1e401}"#, YES),
    (r#"{"numeric": [">", 10]}"#, r#"{"a": "11"}"#, NO),
    (r#"{"numeric": [">", 10]}"#, r#"{"a": null}"#, NO),
    (r#"{"numeric": ["<", 10]}"#, r#"{"a": false}"#, NO),
    (r#"{"numeric": ["<", 10]}"#, r#"{}"#, NO),
    (r#"{"numeric": [">", 10]}"#, r#"{"a": [1, 11]}"#, YES),
    (r#"{"numeric": [">", 10, "<", 20]}"#, r#"{"a": [5, 25]}"#, NO),
    (r#"{"numeric": ["<", 5]}, {"numeric": [">", 10]}"#, r#"{"a": 11}"#, YES),
    (r#"{"numeric": ["<", 5]}, {"numeric": [">", 10]}"#, r#"{"a": 7}"#, NO),
    // anything-but
    (r#"{"anything-but": "x"}"#, r#"{"a": "y"}"#, YES),
    (r#"{"anything-but": "x"}"#, r#"{"a": "x"}"#, NO),
    (r#"{"anything-but": "x"}"#, r#"{"a": 5}"#, YES),
    (r#"{"anything-but": "x"}"#, r#"{"a": null}"#, YES),
    (r#"{"anything-but": "x"}"#, r#"{}"#, NO),
    (r#"{"anything-but": "x"}"#, r#"{"a": {"b": 1}}"#, NO),
    (r#"{"anything-but": "x"}"#, r#"{"a": []}"#, NO),
    (r#"{"anything-but": "x"}"#, r#"{"a": ["x", "y"]}"#, YES),
    (r#"{"anything-but": "x"}"#, r#"{"a": ["x", "x"]}"#, NO),
    (r#"{"anything-but": 123}"#, r#"{"a": 123.0}"#, NO),
    (r#"{"anything-but": 123}"#, r#"{"a": 124}"#, YES),
    (r#"{"anything-but": 123}"#, r#"{"a": "123"}"#, YES),
    (r#"{"anything-but": ["x", "y"]}"#, r#"{"a": "y"}"#, NO),
    (r#"{"anything-but": ["x", "y"]}"#, r#"{"a": "z"}"#, YES),
    (r#"{"anything-but": [100, 200]}"#, r#"{"a": 200}"#, NO),
    (r#"{"anything-but": [100, 200]}"#, r#"{"a": 300}"#, YES),
    (r#"{"anything-but": {"prefix": "us-"}}"#, r#"{"a": "eu-1"}"#, YES),
    (r#"{"anything-but": {"prefix": "us-"}}"#, r#"{"a": "us-1"}"#, NO),
    (r#"{"anything-but": {"prefix": "us-"}}"#, r#"{"a": 1}"#, YES),
    (r#"{"anything-but": {"prefix": ["us-", "eu-"]}}"#, r#"{"a": "eu-1"}"#, NO),
    (r#"{"anything-but": {"prefix": ["us-", "eu-"]}}"#, r#"{"a": "ap-1"}"#, YES),
    (r#"{"anything-but": {"suffix": ".png"}}"#, r#"{"a": "a.gif"}"#, YES),
    (r#"{"anything-but": {"suffix": ".png"}}"#, r#"{"a": "a.png"}"#, NO),
    (r#"{"anything-but": {"suffix": [".png", ".gif"]}}"#, r#"{"a": "a.gif"}"#, NO),
    (r#"{"anything-but": {"equals-ignore-case": "init"}}"#, r#"{"a": "INIT"}"#, NO),
    (r#"{"anything-but": {"equals-ignore-case": "init"}}"#, r#"{"a": "inits"}"#, YES),
    (r#"{"anything-but": {"equals-ignore-case": ["a", "b"]}}"#, r#"{"a": "B"}"#, NO),
    (r#"{"anything-but": {"wildcard": "*/lib/*"}}"#, r#"{"a": "/usr/lib/x"}"#, NO),
    (r#"{"anything-but": {"wildcard": "*/lib/*"}}"#, r#"{"a": "/usr/bin/x"}"#, YES),
    (r#"{"anything-but": {"wildcard": ["*.a", "*.b"]}}"#, r#"{"a": "x.b"}"#, NO),
    // exists
    (r#"{"exists": true}"#, r#"{"a": "x"}"#, YES),
    (r#"{"exists": true}"#, r#"{"a": null}"#, YES),
    (r#"{"exists": true}"#, r#"{"a": false}"#, YES),
    (r#"{"exists": true}"#, r#"{"a": ""}"#, YES),
    (r#"{"exists": true}"#, r#"{"a": [1]}"#, YES),
    (r#"{"exists": true}"#, r#"{"a": []}"#, NO),
    (r#"{"exists": true}"#, r#"{"a": {"b": 1}}"#, NO),
    (r#"{"exists": true}"#, r#"{}"#, NO),
    (r#"{"exists": false}"#, r#"{}"#, YES),
    (r#"{"exists": false}"#, r#"{"b": 1}"#, YES),
    (r#"{"exists": false}"#, r#"{"a": 1}"#, NO),
    (r#"{"exists": false}"#, r#"{"a": null}"#, NO),
    (r#"{"exists": false}"#, r#"{"a": {"b": 1}}"#, YES),
    (r#"{"exists": false}"#, r#"{"a": []}"#, YES),
    (r#"{"exists": false}"#, r#"{"a": [[], {"b": 1}]}"#, YES),
    (r#"{"exists": false}"#, r#"{"a": [[], 1]}"#, NO),
    (r#"{"exists": false}"#, r#"5"#, YES),
    (r#"null, {"exists": false}"#, r#"{}"#, YES),
    (r#"null, {"exists": false}"#, r#"{"a": null}"#, YES),
    (r#"null, {"exists": false}"#, r#"{"a": 1}"#, NO),
    (r#"{"exists": true}, {"exists": false}"#, r#"{"a": 1}"#, YES),
];

/// Whole patterns of the value.
const OBJECTS: &[(&str, &str, bool)] = &[
    // AND between keys.
    (r#"{"a": [1], "b": [2]}"#, r#"{"a": 1, "b": 2}"#, YES),
    (r#"{"a": [1], "b": [2]}"#, r#"{"b": 2, "a": 1, "c": 3}"#, YES),
    (r#"{"a": [1], "b": [2]}"#, r#"{"a": 1, "b": 3}"#, NO),
    (r#"{"a": [1], "b": [2]}"#, r#"{"a": 1}"#, NO),
    // Nested keys.
    (r#"{"a": {"b": {"c": [1]}}}"#, r#"{"a": {"b": {"c": 1}}}"#, YES),
    (r#"{"a": {"b": {"c": [1]}}}"#, r#"{"a": {"c": 1}}"#, NO),
    (r#"{"a": {"b": {"c": [1]}}}"#, r#"{"a": {"b": 1}}"#, NO),
    (r#"{"a": {"b": {"c": [1]}}}"#, r#"{"a": {"b": {"c": [[1]]}}}"#, YES),
    (r#"{"a.b": [1]}"#, r#"{"a.b": 1}"#, YES),
    (r#"{"a.b": [1]}"#, r#"{"a": {"b": 1}}"#, NO),
    (r#"{"": [1]}"#, r#"{"": 1}"#, YES),
    // Absence in nested keys.
    (r#"{"a": {"b": [{"exists": false}]}}"#, r#"{}"#, YES),
    (r#"{"a": {"b": [{"exists": false}]}}"#, r#"{"a": 1}"#, YES),
    (r#"{"a": {"b": [{"exists": false}]}}"#, r#"{"a": {}}"#, YES),
    (r#"{"a": {"b": [{"exists": false}]}}"#, r#"{"a": {"b": 1}}"#, NO),
    (r#"{"a": {"b": [{"exists": false}]}, "c": [1]}"#, r#"{"a": {"b": 1}, "c": 1}"#, NO),
    (r#"{"a": {"b": [{"exists": false}], "c": [1]}}"#, r#"{"a": {"c": 1}}"#, YES),
    (r#"{"a": {"b": [{"exists": false}], "c": [1]}}"#, r#"{"a": {"c": 1, "b": 2}}"#, NO),
    (r#"{"a": {"b": [{"exists": false}], "c": [1]}}"#, r#"{}"#, NO),
    // Arrays of objects: one element matches as a whole.
    (r#"{"e": {"f": ["Anna"]}}"#, r#"{"e": [{"f": "John"}, {"f": "Anna"}]}"#, YES),
    (
        r#"{"e": {"f": ["Anna"], "l": ["Smith"]}}"#,
        r#"{"e": [{"f": "John", "l": "Doe"}, {"f": "Anna", "l": "Smith"}]}"#,
        YES,
    ),
    (
        r#"{"e": {"f": ["Anna"], "l": ["Jones"]}}"#,
        r#"{"e": [{"f": "Anna", "l": "Smith"}, {"f": "Peter", "l": "Jones"}]}"#,
        NO,
    ),
    (
        r#"{"e": {"f": ["Anna"], "l": ["Smith"]}}"#,
        r#"{"e": [[{"f": "John"}], [{"f": "Anna", "l": "Smith"}]]}"#,
        YES,
    ),
    (r#"{"e": {"f": ["Anna"], "l": ["Smith"]}}"#, r#"{"e": [{"f": "Anna"}, {"l": "Smith"}]}"#, NO),
    (r#"{"e": {"f": [{"exists": false}]}}"#, r#"{"e": [{"f": 1}, {"g": 1}]}"#, YES),
    (r#"{"e": {"f": [{"exists": false}]}}"#, r#"{"e": [{"f": 1}, {"f": 2}]}"#, NO),
    (
        r#"{"e": {"x": {"y": [1], "z": [2]}}}"#,
        r#"{"e": [{"x": {"y": 1}}, {"x": [{"y": 1, "z": 3}, {"y": 1, "z": 2}]}]}"#,
        YES,
    ),
    (r#"{"e": {"x": {"y": [1], "z": [2]}}}"#, r#"{"e": [{"x": {"y": 1}}, {"x": {"z": 2}}]}"#, NO),
    (r#"{"e": {"x": [1]}}"#, r#"{"e": {"x": 2}, "e": {"x": 1}}"#, YES),
    // $or
    (r#"{"$or": [{"a": [1]}, {"b": [2]}]}"#, r#"{"a": 1}"#, YES),
    (r#"{"$or": [{"a": [1]}, {"b": [2]}]}"#, r#"{"b": 2}"#, YES),
    (r#"{"$or": [{"a": [1]}, {"b": [2]}]}"#, r#"{"a": 2, "b": 1}"#, NO),
    (r#"{"c": [3], "$or": [{"a": [1]}, {"b": [2]}]}"#, r#"{"a": 1}"#, NO),
    (r#"{"c": [3], "$or": [{"a": [1]}, {"b": [2]}]}"#, r#"{"b": 2, "c": 3}"#, YES),
    (r#"{"$or": [{"a": [1], "b": [2]}, {"c": [3]}]}"#, r#"{"a": 1, "b": 3}"#, NO),
    (r#"{"$or": [{"a": [1], "b": [2]}, {"c": [3]}]}"#, r#"{"a": 1, "b": 2}"#, YES),
    (r#"{"d": {"$or": [{"a": [1]}, {"b": [2]}]}}"#, r#"{"d": {"b": 2}}"#, YES),
    (r#"{"d": {"$or": [{"a": [1]}, {"b": [2]}]}}"#, r#"{"b": 2}"#, NO),
    (r#"{"d": {"$or": [{"a": [1]}, {"b": [2]}], "c": [3]}}"#, r#"{"d": [{"a": 1}, {"c": 3}]}"#, NO),
    (r#"{"d": {"$or": [{"a": [1]}, {"b": [2]}], "c": [3]}}"#, r#"{"d": [{"a": 1}, {"b": 2, "c": 3}]}"#, YES),
    (r#"{"$or": [{"a": [1]}, {"$or": [{"b": [2]}, {"c": [3]}]}]}"#, r#"{"c": 3}"#, YES),
    (r#"{"$or": [{"a": [1]}, {"a": {"b": [2]}}]}"#, r#"{"a": {"b": 2}}"#, YES),
    (r#"{"$or": [{"a": [{"exists": false}]}, {"b": [2]}]}"#, r#"{"a": 1, "b": 3}"#, NO),
    (r#"{"$or": [{"a": [{"exists": false}]}, {"b": [2]}]}"#, r#"{"b": 3}"#, YES),
];

/// Values that are taken as they are: what stands in the list, the value, whether it matches.
const TEXTS: &[(&str, Option<&str>, bool)] = &[
    (r#""error""#, Some("error"), YES),
    (r#""error""#, Some("error "), NO),
    (r#""error""#, Some("\"error\""), NO),
    (r#"{"prefix": "GET "}"#, Some("GET /a HTTP/1.1"), YES),
    (r#"{"suffix": "1.1"}"#, Some("GET /a HTTP/1.1"), YES),
    (r#"{"wildcard": "* /admin/*"}"#, Some("GET /admin/x"), YES),
    (r#"{"equals-ignore-case": "PING"}"#, Some("ping"), YES),
    (r#"{"anything-but": ["error"]}"#, Some("error"), NO),
    (r#"{"anything-but": ["error"]}"#, Some("fine"), YES),
    (r#"{"anything-but": ["error"]}"#, None, NO),
    (r#"5"#, Some("5"), YES),
    (r#"5"#, Some("5.0"), YES),
    (r#"5"#, Some(" 5"), NO),
    (r#""5""#, Some("5"), YES),
    (r#"{"numeric": [">=", 500]}"#, Some("503"), YES),
    (r#"{"numeric": [">=", 500]}"#, Some("x503"), NO),
    (r#"{"anything-but": 5}"#, Some("5"), NO),
    (r#"true"#, Some("true"), YES),
    (r#"null"#, Some("null"), YES),
    (r#"null"#, None, YES),
    (r#"null"#, Some(""), NO),
    (r#""""#, Some(""), YES),
    (r#""""#, None, NO),
    (r#"{"exists": true}"#, Some(""), YES),
    (r#"{"exists": true}"#, None, NO),
    (r#"{"exists": false}"#, None, YES),
    (r#"{"exists": false}"#, Some(""), NO),
];

#[test]
fn fields_of_a_json_value() {
    let rows = FIELDS.iter().map(|(list, value, expected)| (format!("{{\"a\": [{list}]}}"), value, expected));
    let rows =
        rows.chain(OBJECTS.iter().map(|(object, value, expected)| ((*object).to_owned(), value, expected)));
    let mut count = 0;
    for (object, value, expected) in rows {
        let expected = if *expected { Verdict::Match } else { Verdict::NoMatch };
        let found = verdict(&format!("{{\"value\": {object}}}"), None, Some(value.as_bytes()), &[]);
        assert_eq!(found, expected, "{object} on the value {value}");
        let found = verdict(&format!("{{\"key\": {object}}}"), Some(value.as_bytes()), None, &[]);
        assert_eq!(found, expected, "{object} on the key {value}");
        count += 1;
    }
    assert!(count >= 200, "only {count} rows");
}

#[test]
fn texts_as_they_are() {
    for (list, text, expected) in TEXTS {
        let expected = if *expected { Verdict::Match } else { Verdict::NoMatch };
        let bytes = text.map(str::as_bytes);
        let found = verdict(&format!("{{\"value\": [{list}]}}"), None, bytes, &[]);
        assert_eq!(found, expected, "[{list}] on the value {text:?}");
        let found = verdict(&format!("{{\"key\": [{list}]}}"), bytes, Some(b"not JSON"), &[]);
        assert_eq!(found, expected, "[{list}] on the key {text:?}");
        if let Some(text) = text {
            let found =
                verdict(&format!("{{\"headers\": {{\"h\": [{list}]}}}}"), None, None, &[("h", Some(text))]);
            assert_eq!(found, expected, "[{list}] on the header {text:?}");
        }
    }
    assert_eq!(verdict(r#"{"value": [{"prefix": "a"}]}"#, None, Some(b"a\xff"), &[]), Verdict::Match);
    assert_eq!(
        verdict(r#"{"value": [{"equals-ignore-case": "a"}]}"#, None, Some(b"a\xff"), &[]),
        Verdict::NoMatch
    );
}

#[test]
fn headers_topic_partition_offset_and_timestamp() {
    let headers: &[(&str, Option<&str>)] =
        &[("type", Some("order")), ("type", Some("refund")), ("empty", None), ("Trace", Some("7"))];
    for (pattern, expected) in [
        (r#"{"headers": {"type": ["order"]}}"#, YES),
        (r#"{"headers": {"type": ["refund"]}}"#, YES),
        (r#"{"headers": {"type": ["x"]}}"#, NO),
        (r#"{"headers": {"Type": ["order"]}}"#, NO),
        (r#"{"headers": {"type": ["order"], "Trace": [7]}}"#, YES),
        (r#"{"headers": {"type": ["order"], "Trace": [8]}}"#, NO),
        (r#"{"headers": {"empty": [null]}}"#, YES),
        (r#"{"headers": {"empty": [""]}}"#, NO),
        (r#"{"headers": {"empty": [{"exists": true}]}}"#, YES),
        (r#"{"headers": {"empty": [{"exists": false}]}}"#, NO),
        (r#"{"headers": {"none": [{"exists": false}]}}"#, YES),
        (r#"{"headers": {"none": [{"exists": true}]}}"#, NO),
        (r#"{"headers": {"none": [null]}}"#, NO),
        (r#"{"headers": {"none": [{"anything-but": "x"}]}}"#, NO),
        (r#"{"headers": {"type": [{"anything-but": "order"}]}}"#, YES),
        (r#"{"headers": {"$or": [{"none": [1]}, {"Trace": [{"prefix": "7"}]}]}}"#, YES),
        (r#"{"topic": ["orders"]}"#, YES),
        (r#"{"topic": [{"prefix": "ord"}]}"#, YES),
        (r#"{"topic": [{"anything-but": {"suffix": "s"}}]}"#, NO),
        (r#"{"partition": [3]}"#, YES),
        (r#"{"partition": [{"numeric": [">", 3]}]}"#, NO),
        (r#"{"partition": [{"anything-but": [1, 2]}]}"#, YES),
        (r#"{"offset": [{"numeric": [">=", 42]}]}"#, YES),
        (r#"{"offset": [{"numeric": ["<", 42]}]}"#, NO),
        (r#"{"timestamp": [{"numeric": [">=", 1700000000000]}]}"#, YES),
        (r#"{"timestamp": [{"numeric": ["<", 1.7e12]}]}"#, NO),
        (r#"{"timestamp": [{"exists": true}]}"#, YES),
        (r#"{"topic": ["orders"], "partition": [4]}"#, NO),
        (r#"{"$or": [{"topic": ["x"]}, {"partition": [3]}]}"#, YES),
        (r#"{"offset": [42], "$or": [{"topic": ["x"]}, {"partition": [4]}]}"#, NO),
    ] {
        let expected = if expected { Verdict::Match } else { Verdict::NoMatch };
        assert_eq!(verdict(pattern, None, None, headers), expected, "{pattern}");
    }
}

#[test]
fn a_record_without_a_timestamp_has_none_to_compare() {
    let mut arena = Arena::default();
    assert!(arena.push(NewRecord { timestamp_ms: -1, ..NewRecord::default() }, []));
    let says =
        |pattern: &str| Filter::parse(&[pattern]).expect("a pattern").matches(&arena.record(0), &origin());
    assert_eq!(says(r#"{"timestamp": [{"exists": false}]}"#), Verdict::Match);
    assert_eq!(says(r#"{"timestamp": [{"numeric": ["<", 5]}]}"#), Verdict::NoMatch);
}

#[test]
fn one_of_several_patterns_is_enough() {
    let patterns = [r#"{"value": {"a": [1]}}"#, r#"{"partition": [3], "value": {"b": {"c": [2]}}}"#];
    let filter = Filter::parse(&patterns).expect("patterns");
    let mut arena = Arena::default();
    for value in [r#"{"a": 1}"#, r#"{"b": {"c": 2}}"#, r#"{"b": {"c": 1}}"#, "x", r#"{"b": {"a": 1}}"#] {
        assert!(arena.push(NewRecord { value: Some(value.as_bytes()), ..NewRecord::default() }, []));
    }
    let mut verdicts = vec![Verdict::Match; 9];
    filter.select(&arena, 0..5, &origin(), &mut verdicts);
    let short = |verdict: &Verdict| match verdict {
        Verdict::Match => 'm',
        Verdict::NoMatch => '-',
        Verdict::NotJson(_) => 'x',
    };
    assert_eq!(verdicts.iter().map(short).collect::<String>(), "mm-x-");
    filter.select(&arena, 1..3, &origin(), &mut verdicts);
    assert_eq!(verdicts.iter().map(short).collect::<String>(), "m-");
}
