//! Where two JSON values differ.

use std::fmt::Write as _;

use serde_json::{Number, Value};

use super::Kind;

/// Differences that are looked for in one value: one that has more is another value.
const DIFFERENCES_MAX: usize = 64;
/// Longest path that is built, in bytes.
const PATH_MAX: usize = 500;

/// A place where two values differ.
pub(super) struct Difference<'a> {
    pub(super) kind: Kind,
    pub(super) path: String,
    pub(super) old: Option<&'a Value>,
    pub(super) new: Option<&'a Value>,
}

/// The first differences of two values.
pub(super) fn differences<'a>(old: &'a Value, new: &'a Value) -> Vec<Difference<'a>> {
    let mut walk = Walk { found: Vec::new(), path: String::from("$") };
    walk.values(old, new);
    walk.found
}

struct Walk<'a> {
    found: Vec<Difference<'a>>,
    path: String,
}

impl<'a> Walk<'a> {
    // serde_json reads at most 128 levels, so that this is no deeper.
    fn values(&mut self, old: &'a Value, new: &'a Value) {
        match (old, new) {
            (Value::Object(old), Value::Object(new)) => {
                for (name, value) in old.iter() {
                    self.at(name, |walk| walk.pair(Some(value), new.get(name)));
                }
                for (name, value) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
                    self.at(name, |walk| walk.pair(None, Some(value)));
                }
            }
            (Value::Array(old), Value::Array(new)) => {
                for position in 0..old.len().max(new.len()) {
                    if self.is_full() {
                        return;
                    }
                    self.nth(position, |walk| walk.pair(old.get(position), new.get(position)));
                }
            }
            (Value::Number(one), Value::Number(other)) if is_same(one, other) => {}
            (one, other) if one == other => {}
            (one, other) if is_alike(one, other) => self.found(Kind::Value, Some(old), Some(new)),
            _ => self.found(Kind::Type, Some(old), Some(new)),
        }
    }

    fn pair(&mut self, old: Option<&'a Value>, new: Option<&'a Value>) {
        match (old, new) {
            (Some(old), Some(new)) => self.values(old, new),
            (Some(_), None) => self.found(Kind::Missing, old, None),
            (None, _) => self.found(Kind::Added, None, new),
        }
    }

    fn found(&mut self, kind: Kind, old: Option<&'a Value>, new: Option<&'a Value>) {
        if !self.is_full() {
            self.found.push(Difference { kind, path: self.path.clone(), old, new });
        }
    }

    fn is_full(&self) -> bool {
        self.found.len() >= DIFFERENCES_MAX
    }

    fn at(&mut self, name: &str, look: impl FnOnce(&mut Self)) {
        if self.is_full() {
            return;
        }
        let length = self.path.len();
        let is_plain = |text: &str| {
            let mut bytes = text.bytes();
            bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if length > PATH_MAX {
            // The place is known well enough, and paths stay bounded.
        } else if is_plain(name) {
            self.path.push('.');
            self.path.push_str(name);
        } else {
            let short = super::cut_text(name);
            self.path.push('[');
            self.path.push_str(&Value::from(short).to_string());
            self.path.push(']');
        }
        look(self);
        self.path.truncate(length);
    }

    fn nth(&mut self, position: usize, look: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if length <= PATH_MAX {
            write!(self.path, "[{position}]").expect("a string takes what is written to it");
        }
        look(self);
        self.path.truncate(length);
    }
}

/// Whether numbers are the same, however they are spelt: `1`, `1.0` and `1e0`.
fn is_same(one: &Number, other: &Number) -> bool {
    if one == other {
        return true;
    }
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one.as_f64() == other.as_f64(),
        _ => false,
    }
}

/// A number without a fraction, exactly; `None`: it has one, or is beyond 64 bits, which are all doubles.
fn whole(number: &Number) -> Option<i128> {
    /// 2^64.
    const BEYOND: f64 = 18_446_744_073_709_551_616.0;
    if let Some(whole) = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)) {
        return Some(whole);
    }
    let double = number.as_f64()?;
    // Whole and far within 128 bits: nothing is lost.
    (double.fract() == 0.0 && double.abs() < BEYOND).then_some(double as i128)
}

/// Whether two values that are neither objects nor lists have one JSON type.
fn is_alike(one: &Value, other: &Value) -> bool {
    matches!(
        (one, other),
        (Value::Bool(_), Value::Bool(_))
            | (Value::Number(_), Value::Number(_))
            | (Value::String(_), Value::String(_))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(old: &str, new: &str) -> Vec<String> {
        let value = |text| serde_json::from_str::<Value>(text).expect("JSON");
        let (old, new) = (value(old), value(new));
        let found = differences(&old, &new);
        found.iter().map(|found| format!("{} {}", found.kind, found.path)).collect()
    }

    #[test]
    fn spelling_is_no_difference() {
        for (old, new) in [
            (r#"{"a":1,"b":[true,null]}"#, r#" { "b" : [true, null], "a" : 1.0 } "#),
            ("1", "1e0"),
            ("-0.0", "0"),
            ("0.50", "5e-1"),
            ("1e17", "100000000000000000"),
            ("1e20", "100000000000000000000"),
            (r#""\u00e4""#, r#""ä""#),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            assert_eq!(found(old, new), [""; 0], "{old} and {new}");
        }
    }

    #[test]
    fn differences_have_a_kind_and_a_place() {
        let many: String = (0..10).map(|nth| format!(r#""{nth}":{{"#)).collect::<String>() + "1";
        let (many, end) = (many.replace(":{1", ":1"), "}".repeat(9));
        let table: &[(&str, &str, &[&str])] = &[
            ("1", "2", &["value $"]),
            ("9007199254740993", "9007199254740992", &["value $"]),
            ("9007199254740993", "9007199254740992.0", &["value $"]),
            ("1", "1.5", &["value $"]),
            ("1", r#""1""#, &["type $"]),
            ("null", "false", &["type $"]),
            ("[]", "{}", &["type $"]),
            ("true", "false", &["value $"]),
            (r#"{"user":{"id":1}}"#, r#"{"user":{"id":2}}"#, &["value $.user.id"]),
            (r#"{"a":1,"b":2}"#, r#"{"b":2,"c":3}"#, &["missing $.a", "added $.c"]),
            (r#"{"a":null}"#, "{}", &["missing $.a"]),
            ("[1,2,3]", "[1,5]", &["value $[1]", "missing $[2]"]),
            ("[]", r#"[{"x":1}]"#, &["added $[0]"]),
            (r#"[{"x":1}]"#, r#"[{"x":[]}]"#, &["type $[0].x"]),
            (
                r#"{"a b":1,"":1,"1a":1}"#,
                r#"{"a b":2,"":2,"1a":2}"#,
                &[r#"value $[""]"#, r#"value $["1a"]"#, r#"value $["a b"]"#],
            ),
            (&format!("{{{many}{end}}}"), "{}", &[r#"missing $["0"]"#]),
        ];
        for (old, new, expected) in table {
            assert_eq!(found(old, new), *expected, "{old} and {new}");
        }
    }

    #[test]
    fn differences_and_paths_are_bounded() {
        let list = |item: &str| format!("[{}]", vec![item; 1_000].join(","));
        assert_eq!(found(&list("1"), &list("2")).len(), DIFFERENCES_MAX);
        let deep = |inner: &str| {
            let name = "n".repeat(100);
            format!("{}{inner}{}", format!(r#"{{"{name}":"#).repeat(100), "}".repeat(100))
        };
        let found = found(&deep("1"), &deep("2"));
        assert_eq!(found.len(), 1);
        assert!(found[0].len() < PATH_MAX + 200, "{}", found[0].len());
    }
}
