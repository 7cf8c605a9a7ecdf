//! Reading a plugin's configuration: JSON text to the author's type, with errors that name the key.
//!
//! Invariant: a key that the author's type does not know is refused, however the type was written.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The configuration of a plugin that has no options: any key is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Reads a configuration. An empty text is `{}`.
pub(crate) fn read<C: DeserializeOwned>(text: &str) -> Result<C, String> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    let mut json = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let mut unknown = Vec::new();
    let mut note = |path: serde_ignored::Path<'_>| unknown.push(format!("`{path}`"));
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let read = C::deserialize(serde_ignored::Deserializer::new(tracked, &mut note));
    let config = read.map_err(|error| located(&track.path().to_string(), &error.to_string()))?;
    json.end()
        .map_err(|error| located(".", &error.to_string()))?;
    match unknown.as_slice() {
        [] => Ok(config),
        [key] => Err(format!("config has the unknown key {key}; remove it")),
        keys => Err(format!(
            "config has the unknown keys {}; remove them",
            keys.join(", ")
        )),
    }
}

/// `path` is `.` where the whole text is meant.
fn located(path: &str, error: &str) -> String {
    match path {
        "." => format!("config: {error}"),
        _ => format!("config key `{path}`: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Lax {
        depth: u8,
        nested: Nested,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Nested {
        names: Vec<String>,
    }

    #[test]
    fn an_empty_text_is_an_empty_object() {
        assert_eq!(read::<Lax>(" \n"), Ok(Lax::default()));
        assert_eq!(read::<NoConfig>(""), Ok(NoConfig {}));
    }

    #[test]
    fn unknown_keys_are_refused_even_where_the_type_ignores_them() {
        let error = read::<Lax>(r#"{"depth": 1, "nested": {"nmes": []}, "x": 1}"#).unwrap_err();
        assert_eq!(
            error,
            "config has the unknown keys `nested.nmes`, `x`; remove them"
        );
    }

    #[test]
    fn a_type_that_denies_them_lists_what_there_is() {
        let error = read::<NoConfig>(r#"{"x": 1}"#).unwrap_err();
        assert!(
            error.starts_with("config key `x`: unknown field `x`, there are no fields"),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_value_is_found_by_its_key() {
        let error = read::<Lax>(r#"{"nested": {"names": ["a", 7]}}"#).unwrap_err();
        assert!(
            error.starts_with("config key `nested.names[1]`: invalid type: integer `7`"),
            "{error}"
        );
    }

    #[test]
    fn text_that_is_no_json_object_is_refused() {
        for text in ["{", "[]x", "null", "7", "{} {}", "{\"depth\": 1}x"] {
            assert!(read::<Lax>(text).is_err(), "{text}");
        }
    }
}
