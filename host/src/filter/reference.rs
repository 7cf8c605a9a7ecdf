//! The streaming matcher against a plain evaluation over a parsed value, on generated patterns and values.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::{Filter, Verdict};
use crate::record::{Arena, NewRecord, TopicPartition};

/// Whether an object pattern matches, by the words of the module's documentation.
fn object_matches(pattern: &Value, values: &[&Value]) -> bool {
    let objects = flat(values).into_iter().filter(|value| value.is_object()).collect::<Vec<_>>();
    let one = |object: &Value| {
        pattern.as_object().is_some_and(|members| {
            members.iter().all(|(name, part)| {
                if name == "$or" {
                    let branches = part.as_array().expect("a list");
                    return branches.iter().any(|branch| object_matches(branch, &[object]));
                }
                let inside: Vec<&Value> = object.get(name).into_iter().collect();
                match part {
                    Value::Array(list) => list_matches(list, &inside),
                    nested => object_matches(nested, &inside),
                }
            })
        })
    };
    match objects.is_empty() {
        true => one(&json!({})),
        false => objects.into_iter().any(one),
    }
}

fn list_matches(list: &[Value], values: &[&Value]) -> bool {
    let scalars: Vec<&Value> = flat(values).into_iter().filter(|value| !value.is_object()).collect();
    list.iter().any(|question| match question.get("exists") {
        Some(Value::Bool(false)) => scalars.is_empty(),
        _ => scalars.iter().any(|scalar| scalar_matches(question, scalar)),
    })
}

/// The elements of arrays, however nested.
fn flat<'v>(values: &[&'v Value]) -> Vec<&'v Value> {
    let mut found = Vec::new();
    for value in values {
        match value {
            Value::Array(elements) => found.extend(flat(&elements.iter().collect::<Vec<_>>())),
            other => found.push(*other),
        }
    }
    found
}

fn equal(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => (left - right).abs() < 1e-9,
        _ => left == right,
    }
}

fn scalar_matches(question: &Value, scalar: &Value) -> bool {
    let Some((name, operand)) = question.as_object().and_then(|members| members.iter().next()) else {
        return equal(question, scalar);
    };
    match (name.as_str(), operand) {
        ("exists", _) => true,
        ("anything-but", Value::Array(excluded)) => !excluded.iter().any(|value| equal(value, scalar)),
        ("anything-but", Value::Object(_)) => !scalar_matches(operand, scalar),
        ("anything-but", value) => !equal(value, scalar),
        ("numeric", Value::Array(parts)) => scalar.as_f64().is_some_and(|number| {
            parts.chunks(2).all(|pair| {
                let bound = pair[1].as_f64().expect("a number");
                match pair[0].as_str().expect("a comparison") {
                    "<" => number < bound,
                    "<=" => number <= bound,
                    ">" => number > bound,
                    ">=" => number >= bound,
                    _ => (number - bound).abs() < 1e-9,
                }
            })
        }),
        (name, operand) => scalar.as_str().is_some_and(|text| {
            let operand = operand.as_str().expect("a text");
            match name {
                "prefix" => text.starts_with(operand),
                "suffix" => text.ends_with(operand),
                "equals-ignore-case" => text.to_lowercase() == operand.to_lowercase(),
                _ => wildcard(operand, text),
            }
        }),
    }
}

/// By trying every place of every star.
fn wildcard(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => (0..=text.len())
            .filter(|at| text.is_char_boundary(*at))
            .any(|at| wildcard(&pattern[1..], &text[at..])),
        Some(c) => text.strip_prefix(c).is_some_and(|text| wildcard(&pattern[c.len_utf8()..], text)),
    }
}

/// Few names and few values, so that patterns and values meet.
fn name() -> impl Strategy<Value = String> {
    select(vec!["a", "b", "c", "é", "a\"b"]).prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    vec(select(vec!["x", "y", "é", "X", "\n", "\"", "\\"]), 0..4).prop_map(|parts| parts.concat())
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-3_i64..4).prop_map(Value::from),
        select(vec![0.5, -0.5, 1.0, 2.5, 1e3]).prop_map(Value::from)
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::from),
        number(),
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            1 => vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => vec((name(), inner), 0..5).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn wild() -> impl Strategy<Value = String> {
    let parts = vec(select(vec!["x", "y", "é", "X"]), 1..4);
    (parts, any::<[bool; 4]>()).prop_map(|(parts, stars)| {
        let star = |nth: usize| if stars[nth] { "*" } else { "" };
        let mut wild = star(0).to_owned();
        for (nth, part) in parts.iter().enumerate() {
            wild += part;
            wild += star(nth + 1);
        }
        wild
    })
}

fn question() -> impl Strategy<Value = Value> {
    let filled = || text().prop_filter("not empty", |text| !text.is_empty());
    prop_oneof![
        3 => scalar(),
        1 => any::<bool>().prop_map(|flag| json!({"exists": flag})),
        1 => text().prop_map(|text| json!({"prefix": text})),
        1 => text().prop_map(|text| json!({"suffix": text})),
        1 => text().prop_map(|text| json!({"equals-ignore-case": text})),
        1 => wild().prop_map(|text| json!({"wildcard": text})),
        1 => (select(vec!["=", "<", "<=", ">", ">="]), number()).prop_map(|(how, bound)| json!({"numeric": [how, bound]})),
        1 => (-3_i64..1, 1_i64..4).prop_map(|(least, most)| json!({"numeric": [">", least, "<=", most]})),
        1 => text().prop_map(|text| json!({"anything-but": text})),
        1 => vec(text(), 1..3).prop_map(|texts| json!({"anything-but": texts})),
        1 => vec(number(), 1..3).prop_map(|numbers| json!({"anything-but": numbers})),
        1 => filled().prop_map(|text| json!({"anything-but": {"prefix": text}})),
        1 => wild().prop_map(|text| json!({"anything-but": {"wildcard": text}})),
    ]
}

fn pattern() -> impl Strategy<Value = Value> {
    let list = vec(question(), 1..3).prop_map(Value::from).boxed();
    let members = |part: BoxedStrategy<Value>| {
        vec((name(), part), 1..4).prop_map(|members| members.into_iter().collect::<Value>()).boxed()
    };
    let object = members(list.clone());
    object.prop_recursive(4, 24, 3, move |inner| {
        let part = prop_oneof![2 => list.clone(), 1 => inner.clone()].boxed();
        let branches = vec(inner, 2..4).prop_map(Value::from);
        (members(part), proptest::option::of(branches)).prop_map(|(mut object, branches)| {
            if let (Some(branches), Some(members)) = (branches, object.as_object_mut()) {
                members.insert("$or".into(), branches);
            }
            object
        })
    })
}

/// A value as text, with escapes and white space that say the same.
fn rendered(value: &Value, salt: u64) -> String {
    let mut text = String::new();
    let mut inside = false;
    let mut before = ' ';
    for (nth, c) in (0_u64..).zip(value.to_string().chars()) {
        let odd = (nth.wrapping_mul(2_654_435_761) ^ salt).is_multiple_of(3);
        match c {
            '"' if before != '\\' => inside = !inside,
            'x' | 'é' | 'a' if inside && odd && before != '\\' => {
                text += &format!("\\u{:04x}", u32::from(c));
                before = c;
                continue;
            }
            _ => {}
        }
        text.push(c);
        if !inside && odd && matches!(c, '[' | ']' | '{' | '}' | ',' | ':') {
            text += " \n";
        }
        // A backslash that is escaped itself escapes nothing.
        before = if c == '\\' && before == '\\' { ' ' } else { c };
    }
    text
}

fn decide(filter: &Filter, value: &[u8]) -> Verdict {
    let mut arena = Arena::default();
    assert!(arena.push(NewRecord { value: Some(value), key: Some(value), ..NewRecord::default() }, []));
    filter.matches(&arena.record(0), &TopicPartition { topic: "t".into(), partition: 0 })
}

/// Or the comparison below would say nothing.
#[test]
fn generated_patterns_match_some_of_the_generated_values() {
    const CASES: usize = 1_000;
    let mut runner = TestRunner::deterministic();
    let matching = (0..CASES).filter(|_| {
        let pair = (pattern(), value()).new_tree(&mut runner).expect("a case").current();
        object_matches(&pair.0, &[&pair.1])
    });
    let matching = matching.count();
    assert!((CASES / 20..CASES * 19 / 20).contains(&matching), "{matching} of {CASES} match");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn one_pass_finds_what_a_plain_evaluation_finds(
        patterns in vec(pattern(), 1..3),
        value in value(),
        salt in any::<u64>(),
    ) {
        let texts: Vec<_> = patterns.iter().map(|pattern| json!({ "value": pattern }).to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let filter = Filter::parse(&texts).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let text = rendered(&value, salt);
        let read = serde_json::from_str::<Value>(&text).ok();
        prop_assert_eq!(read.as_ref(), Some(&value), "{}", text);
        let expected = patterns.iter().any(|pattern| object_matches(pattern, &[&value]));
        let expected = if expected { Verdict::Match } else { Verdict::NoMatch };
        prop_assert_eq!(decide(&filter, text.as_bytes()), expected, "{:?} on {}", texts, text);
    }

    /// Cutting or damaging a value never makes it crash, and never makes a whole value of it.
    #[test]
    fn damaged_values_are_never_a_silent_no(
        pattern in pattern(),
        value in value(),
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
    ) {
        let filter = Filter::parse(&[&json!({ "value": pattern }).to_string()]);
        let filter = filter.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let mut bytes = value.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = with;
        let is_json = std::str::from_utf8(&bytes).is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
        match decide(&filter, &bytes) {
            Verdict::NoMatch => prop_assert!(is_json, "{}", bytes.escape_ascii()),
            Verdict::NotJson(_) => prop_assert!(!is_json, "{}", bytes.escape_ascii()),
            Verdict::Match => {}
        }
    }

    #[test]
    fn noise_does_not_crash(
        pattern in prop_oneof![
            "\\PC{0,40}",
            vec(select(&b"\"\"\\{}[]::,,.-+eE019 $ortuefalsn/*"[..]), 0..40)
                .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        ],
        value in vec(prop_oneof![any::<u8>(), select(&b"\"\"\\{}[]::,,.-+eE019ab"[..])], 0..60),
    ) {
        // Refused or taken, it returns.
        let _refused = Filter::parse(&[&pattern]).is_err();
        let broad = r#"{"$or": [{"value": {"a": [1], "b": {"a": ["x", {"exists": false}]}}}, {"key": {"b": [{"anything-but": 1}]}}, {"value": [{"equals-ignore-case": "é"}, {"cidr": "::/0"}, 5]}]}"#;
        let filter = Filter::parse(&[broad]).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let first = decide(&filter, &value);
        prop_assert_eq!(first, decide(&filter, &value));
    }
}
