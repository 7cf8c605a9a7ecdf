//! A checker of JSON schemas, of as much of them as the document uses.

use std::collections::BTreeSet;

use serde_json::Value;

/// Checks values against the schemas of a document.
#[derive(Debug)]
pub(crate) struct Checker<'a> {
    document: &'a Value,
    /// `Schema.property` of everything that was met.
    pub(crate) met: BTreeSet<String>,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(document: &'a Value) -> Self {
        Self { document, met: BTreeSet::new() }
    }

    /// What a reference names, or the value itself.
    pub(crate) fn resolve(&self, value: &'a Value) -> &'a Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').expect("references stay in the document");
                let found = self.document.pointer(pointer);
                found.unwrap_or_else(|| panic!("`{reference}` leads nowhere"))
            }
            None => value,
        }
    }

    /// Everything in `value` that `schema` does not allow.
    pub(crate) fn check(&mut self, schema: &'a Value, value: &Value, at: &str) -> Vec<String> {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let name = reference.rsplit('/').next().unwrap_or_default().to_owned();
            return self.check_named(self.resolve(schema), value, at, &name);
        }
        self.check_named(schema, value, at, "")
    }

    fn check_named(&mut self, schema: &'a Value, value: &Value, at: &str, name: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for (keyword, argument) in schema.as_object().expect("a schema is an object") {
            match keyword.as_str() {
                "description" | "format" => {}
                "type" => {
                    if !is_of(value, argument.as_str().expect("a type's name")) {
                        wrong.push(format!("{at}: {value} is no {argument}"));
                    }
                }
                "enum" => {
                    if !argument.as_array().expect("a list").contains(value) {
                        wrong.push(format!("{at}: {value} is none of {argument}"));
                    }
                }
                "minimum" => {
                    if value.as_f64().is_some_and(|number| number < argument.as_f64().expect("a number")) {
                        wrong.push(format!("{at}: {value} is below {argument}"));
                    }
                }
                "required" => {
                    for key in argument.as_array().expect("a list").iter().filter_map(Value::as_str) {
                        if value.get(key).is_none() {
                            wrong.push(format!("{at}: `{key}` is missing"));
                        }
                    }
                }
                "properties" => wrong.extend(self.check_properties(argument, value, at, name)),
                "additionalProperties" => {
                    assert_eq!(argument, &Value::Bool(false), "{at}");
                    let known = |key: &&String| schema["properties"].get(key.as_str()).is_some();
                    let keys = value.as_object().into_iter().flat_map(|object| object.keys());
                    wrong.extend(
                        keys.filter(|key| !known(key)).map(|key| format!("{at}: `{key}` is unknown")),
                    );
                }
                "items" => {
                    for (nth, item) in value.as_array().into_iter().flatten().enumerate() {
                        wrong.extend(self.check(argument, item, &format!("{at}[{nth}]")));
                    }
                }
                "anyOf" => {
                    let options = argument.as_array().expect("a list");
                    let checked: Vec<_> = options.iter().map(|one| self.check(one, value, at)).collect();
                    if checked.iter().all(|wrong| !wrong.is_empty()) {
                        wrong.push(format!("{at}: none of {checked:?}"));
                    }
                }
                unknown => panic!("{at}: this checker does not know `{unknown}`"),
            }
        }
        wrong
    }

    fn check_properties(
        &mut self,
        properties: &'a Value,
        value: &Value,
        at: &str,
        name: &str,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        for (key, schema) in properties.as_object().expect("properties are an object") {
            if let Some(value) = value.get(key) {
                self.met.insert(format!("{name}.{key}"));
                wrong.extend(self.check(schema, value, &format!("{at}.{key}")));
            }
        }
        wrong
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("this checker does not know the type `{unknown}`"),
    }
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let document = serde_json::json!({
        "a": {
            "type": "object", "required": ["name"], "additionalProperties": false,
            "properties": {
                "name": { "type": "string", "enum": ["x", "y"] },
                "many": { "type": "array", "items": { "$ref": "#/count" } },
                "either": { "anyOf": [{ "type": "string" }, { "type": "boolean" }] },
            },
        },
        "count": { "type": "integer", "minimum": 0 },
    });
    let wrong = |value: Value| Checker::new(&document).check(&document["a"], &value, "it").len();
    assert_eq!(wrong(serde_json::json!({ "name": "x", "many": [0, 1], "either": true })), 0);
    for bad in [
        serde_json::json!({}),
        serde_json::json!({ "name": "z" }),
        serde_json::json!({ "name": "x", "other": 1 }),
        serde_json::json!({ "name": "x", "many": [1, -1] }),
        serde_json::json!({ "name": "x", "many": [1, 1.5] }),
        serde_json::json!({ "name": "x", "many": 1 }),
        serde_json::json!({ "name": "x", "either": 1 }),
    ] {
        assert_eq!(wrong(bad.clone()), 1, "{bad}");
    }
    assert!(wrong(serde_json::json!([])) > 0);
}
