//! A constant of the configuration, as the JSON text that it becomes.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Any JSON value, written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constant(String);

impl Constant {
    /// The value as JSON, on one line.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }

    fn string(text: &str) -> String {
        let mut out = Vec::with_capacity(text.len() + 2);
        out.push(b'"');
        json_text::escape(&mut out, text);
        out.push(b'"');
        // Escaping a text gives text.
        String::from_utf8_lossy(&out).into_owned()
    }
}

impl<'de> Deserialize<'de> for Constant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Constant)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<String, E> {
        Ok("null".to_owned())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<String, E> {
        match value.is_finite() {
            // Unlike the plain form, this one writes `1.0` and `1e300`.
            true => Ok(format!("{value:?}")),
            false => Err(E::custom("expected a number that JSON has")),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<String, E> {
        Ok(Constant::string(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<String, A::Error> {
        let mut text = String::from("[");
        while let Some(Constant(element)) = elements.next_element()? {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&element);
        }
        text.push(']');
        Ok(text)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<String, A::Error> {
        let mut text = String::from("{");
        while let Some((name, Constant(value))) = members.next_entry::<String, Constant>()? {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&Constant::string(&name));
            text.push(':');
            text.push_str(&value);
        }
        text.push('}');
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn constants_are_written_as_json() {
        for text in [
            "null",
            "true",
            "-7",
            "18446744073709551615",
            "1.0",
            "1e300",
            r#""a \"b\" \\ é\n""#,
            "[]",
            "{}",
            r#"[1,["x",null],{"b":{},"a":[false]}]"#,
        ] {
            let constant: Constant = serde_json::from_str(text).unwrap();
            assert_eq!(constant.as_json(), text);
        }
    }

    proptest! {
        #[test]
        fn any_text_and_number_mean_the_same(text: String, quarters: i32, whole: i64) {
            let value = serde_json::json!({ &text: [&text, f64::from(quarters) / 4.0, whole] });
            let constant: Constant = serde_json::from_str(&value.to_string()).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(constant.as_json()).unwrap(), value);
        }
    }
}
