//! `[filter]`: which records the pipeline takes.
//!
//! Owns the table; the pattern language is `crate::filter`. Invariant: patterns that passed are taken by
//! [`Filter::parse`](crate::filter::Filter::parse), and hold no secret file.

use serde_json::Value as Json;

use super::item::{Item, Value};
use super::table::Table;
use super::transforms::json;
use crate::config::error::{Problems, Wrong, shown};
use crate::config::model::{Filter, NotJson};
use crate::filter::{self, PATTERNS_MAX};

const EXAMPLE: &str = r#"patterns = ['{"value": {"status": [500]}}']"#;

/// What `not_json` can be.
const NOT_JSON: [(&str, NotJson); 2] = [("drop", NotJson::Drop), ("dead-letter", NotJson::DeadLetter)];

/// Reads the table.
pub(super) fn read(item: &Item, problems: &Problems<'_>) -> Option<Filter> {
    let table = Table::open(item, "filter", problems)?;
    let not_json = match table.get("not_json") {
        Some(_) => table.choice("not_json", &NOT_JSON),
        None => Some(NotJson::Drop),
    };
    let patterns = table.need("patterns", EXAMPLE).and_then(|item| patterns(item, problems));
    Some(Filter { patterns: patterns?, not_json: not_json? })
}

fn patterns(item: &Item, problems: &Problems<'_>) -> Option<Vec<String>> {
    let Value::Array(items) = &item.value else {
        return item.expected(problems, "a list of patterns", EXAMPLE);
    };
    if items.is_empty() {
        let wrong = Wrong::new("has no pattern, so nothing would be taken");
        item.wrong(problems, wrong.hint(format!("add one like `{EXAMPLE}`, or remove `[filter]`")));
        return None;
    }
    if items.len() > PATTERNS_MAX {
        let wrong = Wrong::new(format!("{} patterns are too many: at most {PATTERNS_MAX}", items.len()));
        item.wrong(problems, wrong.hint("put several into one by `$or`"));
        return None;
    }
    let patterns: Vec<_> = items.iter().map(|item| pattern(item, problems)).collect();
    let patterns: Vec<String> = patterns.into_iter().collect::<Option<_>>()?;
    // Patterns that are fine one by one can be too many together.
    let texts: Vec<&str> = patterns.iter().map(String::as_str).collect();
    if let Err(error) = filter::Filter::parse(&texts) {
        refuse(items.get(error.pattern).unwrap_or(item), &error, problems);
        return None;
    }
    Some(patterns)
}

/// Reads a pattern: JSON text, or a table that says the same.
fn pattern(item: &Item, problems: &Problems<'_>) -> Option<String> {
    let text = match &item.value {
        Value::Text(_) => item.filled(problems, EXAMPLE)?.value.clone(),
        Value::Table(_) if holds_a_secret(item) => {
            let wrong = Wrong::new("a secret file in a value that is printed in logs");
            item.wrong(problems, wrong.hint("use `${NAME}` in a pattern"));
            return None;
        }
        Value::Table(_) => match json(item, problems) {
            Json::Object(members) => Json::Object(members).to_string(),
            _ => return None,
        },
        _ => return item.expected(problems, "JSON text in quotes, or a table", EXAMPLE),
    };
    match filter::Filter::parse(&[&text]) {
        Ok(_) => Some(text),
        Err(error) => {
            refuse(item, &error, problems);
            None
        }
    }
}

/// Notes a refused pattern under its path; what `${}` became is not shown.
fn refuse(item: &Item, error: &filter::Error, problems: &Problems<'_>) {
    if is_expanded(item) {
        let written = match &item.value {
            Value::Text(text) => format!("`{}`", shown(&text.written)),
            _ => "the pattern".into(),
        };
        let wrong = Wrong::new(format!("{written} is not right once its `${{}}` is put in"));
        return item.wrong(problems, wrong.hint("write the pattern without `${}` to see what is wrong"));
    }
    let wrong = Wrong::new(error.message.clone()).hint(error.hint.clone());
    problems.add(item.at, &format!("{}{}", item.path, error.path), wrong);
}

fn any_text(item: &Item, test: &impl Fn(&super::expand::Text) -> bool) -> bool {
    match &item.value {
        Value::Text(text) => test(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, test)),
        Value::Table(entries) => entries.values().any(|entry| any_text(&entry.item, test)),
        _ => false,
    }
}

fn is_expanded(item: &Item) -> bool {
    any_text(item, &|text| text.written != text.value)
}

fn holds_a_secret(item: &Item) -> bool {
    any_text(item, &|text| text.secret)
}
