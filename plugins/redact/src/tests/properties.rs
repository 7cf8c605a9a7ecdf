//! What holds for any value: a second finder, which shares nothing with the plugin, finds nothing.

use super::*;

/// Finders that share nothing with the plugin's: no more than what the kinds surely are.
struct Judge {
    email: Regex,
    ipv4: Regex,
    word: Regex,
}

impl Judge {
    fn new() -> Self {
        Self {
            email: Regex::new(r"[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
                .unwrap(),
            ipv4: Regex::new(r"(^|[^0-9.])([0-9]{1,3}(?:\.[0-9]{1,3}){3})($|[^0-9.])").unwrap(),
            word: Regex::new(r"[0-9A-Fa-f:]+").unwrap(),
        }
    }

    fn finds(&self, text: &str) -> Option<String> {
        let email = self.email.find(text).map(|found| found.as_str());
        let ipv4 = || {
            self.ipv4
                .captures(text)
                .and_then(|found| found.get(2))
                .map(|found| found.as_str())
        };
        let ipv4 =
            || ipv4().filter(|found| found.split('.').all(|part| part.parse::<u8>().is_ok()));
        let is_v6 = |word: &&str| {
            word.parse::<Ipv6Addr>().is_ok() && word.bytes().any(|byte| byte.is_ascii_digit())
        };
        let ipv6 = || {
            self.word
                .find_iter(text)
                .map(|found| found.as_str())
                .find(is_v6)
        };
        // Digests are no cards, as the README says.
        let is_digest = |word: &&str| {
            word.len() >= 32
                && word.bytes().all(|byte| byte.is_ascii_hexdigit())
                && word.bytes().any(|byte| byte.is_ascii_alphabetic())
        };
        let is_card = |digits: &&str| {
            (13..=19).contains(&digits.len()) && !digits.starts_with(['0', '1']) && luhn(digits)
        };
        let card = || {
            text.split(|character: char| !character.is_ascii_alphanumeric())
                .filter(|word| !is_digest(word))
                .flat_map(|word| word.split(|character: char| !character.is_ascii_digit()))
                .find(is_card)
        };
        email
            .or_else(ipv4)
            .or_else(ipv6)
            .or_else(card)
            .map(str::to_owned)
    }
}

/// As its standard has it: from the right, each second digit doubled, digits added.
fn luhn(digits: &str) -> bool {
    let digits = digits.chars().rev().filter_map(|digit| digit.to_digit(10));
    let doubled = |(place, digit): (usize, u32)| if place % 2 == 1 { digit * 2 } else { digit };
    digits
        .enumerate()
        .map(doubled)
        .map(|value| value / 10 + value % 10)
        .sum::<u32>()
        % 10
        == 0
}

/// Texts full of what is looked for, glued together by what may hide it.
fn texts() -> impl Strategy<Value = String> {
    let card = "[2-9][0-9]{11,17}".prop_map(|digits| {
        (0..10)
            .map(|check| format!("{digits}{check}"))
            .find(|card| luhn(card))
            .unwrap()
    });
    let piece = prop_oneof![
        "[a-z.]{0,4}@[a-z-]{1,4}\\.[a-z]{1,3}",
        card.clone(),
        card.prop_map(|card| card.chars().map(|digit| format!("{digit} ")).collect()),
        any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).to_string()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).to_string()),
        any::<u16>().prop_map(|bits| Ipv6Addr::from_bits(u128::from(bits) << 112 | 1).to_string()),
        "[@.:%0-9a-f -]{0,8}",
        "\\PC{0,4}",
        Just("%40".to_owned()),
        Just("\"\\u0040\n".to_owned()),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// All rules mask, or replace, or hash.
fn uniform(action: &str) -> Harness<Redact> {
    let rule = |kind| format!(r#"{{"pattern": "{kind}", {action}}}"#);
    let key = match action.contains("hash") {
        true => format!(r#", "key": "{KEY}""#),
        false => String::new(),
    };
    let rules = ["email", "card", "ipv4", "ipv6"].map(rule).join(",");
    plugin(&rules, &format!(r#", "format": "text"{key}"#))
}

const ACTIONS: [&str; 4] = [
    r#""action": "mask""#,
    r#""action": "mask", "keep_last": 4, "with": "X""#,
    r#""action": "replace", "with": """#,
    r#""action": "hash", "encoding": "base64url""#,
];

fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(elements) => elements.iter().for_each(|element| strings(element, found)),
        Value::Object(members) => members.values().for_each(|member| strings(member, found)),
        _ => {}
    }
}

/// JSON with everything in it, as text with some of its characters escaped.
fn documents() -> impl Strategy<Value = (Value, String)> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        texts().prop_map(Value::from),
        Just(json!(4_111_111_111_111_111_u64)),
    ];
    let tree = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[abc]", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    (tree, any::<bool>(), any::<bool>()).prop_map(|(tree, pretty, escaped)| {
        let text = match pretty {
            true => serde_json::to_string_pretty(&tree).unwrap(),
            false => tree.to_string(),
        };
        let text = if escaped {
            text.replace('@', "\\u0040")
        } else {
            text
        };
        (tree, text)
    })
}

proptest! {
    #[test]
    fn any_bytes_have_an_outcome(value: Vec<u8>) {
        let plugin = plugin(ALL, "");
        match plugin.one(&Record::value(&value)) {
            Reply::Forward | Reply::Replace(Some(_), _) => {}
            other => prop_assert!(matches!(other, Reply::Fail(..))),
        }
    }

    #[test]
    fn what_looks_like_json_has_an_outcome(value in "[\\[\\]{}\",:\\\\u0-9.eE+-truefalsn @]{0,40}") {
        for format in ["json", "auto", "text"] {
            let plugin = plugin(ALL, &format!(r#", "format": "{format}""#));
            let reply = plugin.one(&Record::value(&value));
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&value).is_ok();
            match reply {
                Reply::Fail(code, _) => prop_assert!(code == "BadJson" && !is_json && format != "text", "{code} {format}"),
                Reply::Forward => prop_assert!(is_json || format != "json"),
                Reply::Replace(Some(value), _) if is_json && format == "json" =>
                    prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&value).is_ok()),
                Reply::Replace(Some(_), _) => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    #[test]
    fn nothing_is_left_in_a_text(text in texts()) {
        let judge = Judge::new();
        for action in ACTIONS {
            let plugin = uniform(action);
            let left = match plugin.one(&Record::value(&text)) {
                Reply::Forward => text.clone(),
                Reply::Replace(Some(value), _) => String::from_utf8(value).unwrap(),
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            };
            prop_assert_eq!(judge.finds(&left), None, "{} of {:?} left {:?}", action, &text, left);
            // What is redacted is left alone the next time.
            prop_assert_eq!(plugin.one(&Record::value(&left)), Reply::Forward);
        }
    }

    #[test]
    fn nothing_is_left_in_json_and_its_shape_stays((tree, text) in documents()) {
        let judge = Judge::new();
        let plugin = plugin(ALL, r#", "format": "json""#);
        let left = match plugin.one(&Record::value(&text)) {
            Reply::Forward => text.clone(),
            Reply::Replace(Some(value), _) => String::from_utf8(value).unwrap(),
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        let value: Value = serde_json::from_str(&left).unwrap();
        let mut found = Vec::new();
        strings(&value, &mut found);
        for string in found {
            prop_assert_eq!(judge.finds(&string), None, "{}", string);
        }
        prop_assert!(!left.contains("4111111111111111"));
        let (mut before, mut after) = (tree, value);
        blank(&mut before);
        blank(&mut after);
        prop_assert_eq!(before, after);
    }

    #[test]
    fn removing_leaves_json_without_the_field((tree, text) in documents()) {
        let plugin = plugin(r#"{"field": "a", "action": "remove"}, {"field": "*.b", "action": "remove"}"#, r#", "format": "json""#);
        let left = match plugin.one(&Record::value(&text)) {
            Reply::Forward => text.clone(),
            Reply::Replace(Some(value), _) => String::from_utf8(value).unwrap(),
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        let mut expected = tree;
        if let Value::Object(members) = &mut expected {
            members.remove("a");
        }
        let inner: Vec<&mut Value> = match &mut expected {
            Value::Object(members) => members.values_mut().collect(),
            Value::Array(elements) => elements.iter_mut().collect(),
            _ => Vec::new(),
        };
        for value in inner {
            if let Value::Object(members) = value {
                members.remove("b");
            }
        }
        prop_assert_eq!(serde_json::from_str::<Value>(&left).unwrap(), expected);
    }
}

/// Takes away what redacting may change: strings, and numbers that are cards.
fn blank(value: &mut Value) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(blank),
        Value::Object(members) => members.values_mut().for_each(blank),
        Value::String(_) => *value = Value::Null,
        Value::Number(number)
            if crate::find::is_card(number.to_string().trim_start_matches('-')) =>
        {
            *value = Value::Null
        }
        _ => {}
    }
}
