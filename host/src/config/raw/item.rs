//! The parsed file as a tree in which every key and value knows its place and its path.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Outside;
use super::expand::{Text, expand};
use crate::config::error::{Problems, Wrong, shown};
use crate::config::kept::WITHHELD;

/// The whole file: its top table.
pub(super) struct Document {
    pub(super) top: Item,
}

/// A value, where it stands, and what it is called.
pub(super) struct Item {
    /// Byte of the file at which it starts.
    pub(super) at: usize,
    /// Such as `sinks.lake.prefix`.
    pub(super) path: String,
    pub(super) value: Value,
}

/// A value.
pub(super) enum Value {
    Text(Text),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// As written: what is read from it decides whether it will do.
    Time(String),
    Array(Vec<Item>),
    Table(Entries),
    /// A value that a kept configuration does not hold.
    Withheld,
    /// Already a problem; whoever wants it stays silent.
    Broken,
}

/// The entries of a table.
pub(super) type Entries = BTreeMap<String, Entry>;

/// A key's place and its value.
pub(super) struct Entry {
    pub(super) key_at: usize,
    pub(super) item: Item,
}

impl Document {
    /// Takes over a parsed file and expands its text values.
    pub(super) fn new(top: &Spanned<DeTable<'_>>, outside: &Outside<'_>, problems: &Problems<'_>) -> Self {
        let entries = entries(top.get_ref(), "", outside, problems);
        Self { top: Item { at: 0, path: String::new(), value: Value::Table(entries) } }
    }
}

fn entries(table: &DeTable<'_>, path: &str, outside: &Outside<'_>, problems: &Problems<'_>) -> Entries {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let name: &str = std::borrow::Cow::as_ref(key.get_ref());
        let item = item(value, join(path, name), outside, problems);
        (name.to_owned(), Entry { key_at: key.span().start, item })
    };
    table.iter().map(entry).collect()
}

fn item(value: &Spanned<DeValue<'_>>, path: String, outside: &Outside<'_>, problems: &Problems<'_>) -> Item {
    let at = value.span().start;
    let broken = |wrong| {
        problems.add(at, &path, wrong);
        Value::Broken
    };
    let read = match value.get_ref() {
        DeValue::String(text) if *text == WITHHELD => Value::Withheld,
        DeValue::String(text) => expand(text, outside).map_or_else(broken, Value::Text),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).map_or_else(
            |_| broken(Wrong::new("the number is too large").hint("numbers have at most 18 digits")),
            Value::Integer,
        ),
        DeValue::Float(number) => {
            number.as_str().parse().map_or_else(|_| broken(Wrong::new("not a number")), Value::Float)
        }
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(time) => Value::Time(time.to_string()),
        DeValue::Array(values) => {
            let nth = |(nth, value)| item(value, format!("{path}[{nth}]"), outside, problems);
            Value::Array(values.iter().enumerate().map(nth).collect())
        }
        DeValue::Table(table) => Value::Table(entries(table, &path, outside, problems)),
    };
    Item { at, path, value: read }
}

/// A key path, with quotes where TOML needs them.
pub(super) fn join(path: &str, key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let key = match !key.is_empty() && key.len() <= 80 && key.chars().all(bare) {
        true => key.to_owned(),
        false => format!("\"{}\"", shown(key)),
    };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

impl Item {
    /// Notes what is wrong with this value.
    pub(super) fn wrong(&self, problems: &Problems<'_>, wrong: Wrong) {
        problems.add(self.at, &self.path, wrong);
    }

    /// Notes that this value is of another type than expected. The value is not shown: it may be a
    /// secret in the wrong place.
    pub(super) fn expected<T>(&self, problems: &Problems<'_>, expected: &str, example: &str) -> Option<T> {
        let found = match &self.value {
            Value::Text(_) => "text",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number with a fraction",
            Value::Boolean(_) => "true or false",
            Value::Time(_) => "a date or time",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
            Value::Withheld => {
                let wrong = Wrong::new("stands for a value that was withheld from the ledger");
                self.wrong(
                    problems,
                    wrong.hint("write the value, best as `\"${NAME}\"` or `\"${file:/path}\"`"),
                );
                return None;
            }
            Value::Broken => return None,
        };
        let wrong = Wrong::new(format!("expected {expected}, found {found}"));
        self.wrong(problems, wrong.hint(format!("write it like `{example}`")));
        None
    }

    /// A text with all that was expanded, for values that are never shown.
    pub(super) fn secret(&self, problems: &Problems<'_>, example: &str) -> Option<&Text> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => self.expected(problems, "text in quotes", example),
        }
    }

    /// A text that may be shown, so no secret file in it.
    pub(super) fn text(&self, problems: &Problems<'_>, example: &str) -> Option<&Text> {
        let text = self.secret(problems, example)?;
        if text.secret {
            let wrong = Wrong::new("a secret file in a value that is printed in logs");
            self.wrong(
                problems,
                wrong.hint("use `${NAME}` here; `${file:}` is for `options`, `properties`, `control_token` and a transform's `config`"),
            );
            return None;
        }
        Some(text)
    }

    /// A text that says something.
    pub(super) fn filled(&self, problems: &Problems<'_>, example: &str) -> Option<&Text> {
        let text = self.text(problems, example)?;
        if text.value.trim().is_empty() {
            self.wrong(problems, Wrong::new("is empty").hint(format!("write it like `{example}`")));
            return None;
        }
        if text.value.contains('\0') {
            self.wrong(problems, Wrong::new("has a zero character in it"));
            return None;
        }
        Some(text)
    }

    /// What `read` makes of a text of this item, or its error, noted; where something was put into the
    /// text the error does not show it.
    pub(super) fn noted<T>(
        &self,
        problems: &Problems<'_>,
        text: &Text,
        read: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let expanded = text.written != text.value;
        let without_value = |wrong: Wrong| Wrong {
            message: format!("`{}` is not right once its `${{}}` is put in", shown(&text.written)),
            hint: wrong.hint,
        };
        read(&text.value)
            .map_err(|wrong| self.wrong(problems, if expanded { without_value(wrong) } else { wrong }))
            .ok()
    }
}
