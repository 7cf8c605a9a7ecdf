//! What holds for any value.

use super::*;

/// Configurations that between them do everything.
const CONFIGS: [&str; 5] = [
    "{}",
    r#"{"flatten": {"arrays": true}}"#,
    r#"{"select": ["a", "b.c"], "cast": {"a": "integer", "b.c": "json"}, "on_cast_error": "keep", "flatten": {"depth": 1}}"#,
    r#"{"drop": ["a.b"], "rename": {"b": "c.d", "a.c": "e"}, "set": {"c.x": [1]}, "missing": "null"}"#,
    r#"{"cast": {"a": "string", "b": "boolean", "c": "timestamp-ms", "d": "number"}, "on_cast_error": "null"}"#,
];

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c.\"\\\\é]{0,3}".prop_map(Value::from),
        Just(Value::from("{\"a\":[1]}")),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-e]", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-e]", json(), 0..5)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// What flattening means, in another way.
fn flattened(value: &Value) -> Map<String, Value> {
    let mut flat = Map::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let inner = flattened(value);
        if inner.is_empty() {
            flat.insert(name.clone(), value.clone());
        }
        flat.extend(
            inner
                .into_iter()
                .map(|(rest, value)| (format!("{name}.{rest}"), value)),
        );
    }
    flat
}

proptest! {
    #[test]
    fn any_bytes_give_one_outcome(value: Vec<u8>) {
        for config in CONFIGS {
            match plugin(config).one(&Record::value(&value)) {
                Reply::Replace(Some(object), _) => prop_assert!(serde_json::from_slice::<Value>(&object).is_ok()),
                other => prop_assert!(matches!(other, Reply::Fail(..))),
            }
        }
    }

    #[test]
    fn what_is_almost_json_gives_an_object_or_a_failure(
        value in object(), at in 0..80_usize, gone in 0..3_usize, put in r#"[\[\]{},:"0-9a-e.\-\\ ]{0,4}"#,
    ) {
        let mut text = value.to_string();
        let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let end = (at..=(at + gone).min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        text.replace_range(at..end, &put);
        for config in CONFIGS {
            match plugin(config).one(&Record::value(&text)) {
                Reply::Replace(Some(object), _) => {
                    prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&object).is_ok());
                    prop_assert_eq!(object.first(), Some(&b'{'));
                    prop_assert!(!object.contains(&b'\n'));
                }
                other => prop_assert!(matches!(other, Reply::Fail(..)), "{:?}", other),
            }
        }
    }

    #[test]
    fn objects_pass_unchanged_where_nothing_is_asked(value in object(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        prop_assert_eq!(rewritten("{}", &text), value.to_string());
        prop_assert_eq!(rewritten(r#"{"drop": ["x.y"], "select": ["a", "b", "c", "d", "e", "x"]}"#, &text), value.to_string());
    }

    #[test]
    fn flattening_means_what_another_way_gives(value in object()) {
        let flat: Value = serde_json::from_str(&rewritten(r#"{"flatten": {}}"#, &value.to_string())).unwrap();
        prop_assert_eq!(flat, Value::Object(flattened(&value)));
    }

    #[test]
    fn selected_and_dropped_are_everything(value in object()) {
        let selected = rewritten(r#"{"select": ["a", "b.c"]}"#, &value.to_string());
        let dropped = rewritten(r#"{"drop": ["a", "b.c"]}"#, &value.to_string());
        let [selected, dropped]: [Value; 2] = [selected, dropped].map(|text| serde_json::from_str(&text).unwrap());
        let mut both = dropped;
        for (name, field) in selected.as_object().into_iter().flatten() {
            match both.get_mut(name) {
                Some(Value::Object(members)) => members.extend(field.as_object().cloned().unwrap_or_default()),
                _ => both[name] = field.clone(),
            }
        }
        prop_assert_eq!(both, value);
    }
}
