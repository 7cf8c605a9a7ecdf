//! The kept configuration as text: one spelling of each meaning.
//!
//! Owns order, quotes, numbers, and which keys are kept. Invariant: files that differ only in the order of
//! keys, comments, the form of tables, quotes or the spelling of numbers give the same bytes, and what is
//! given reads back as the same tree; `${}` stands as it was written, so that nothing expanded gets in.

use std::fmt::Write as _;

use super::item::{Document, Entries, Item, Value};
use crate::config::kept::{WITHHELD, is_harmless, is_reference};

/// Tables that are kept, in the order of the text. `transforms` is a list of tables, `sinks` a table of them.
const TABLES: [&str; 5] = ["cut", "filter", "transforms", "sinks", "dead_letter"];

/// Keys that are kept at the top.
const TOP: [&str; 2] = ["version", "name"];

/// Keys of a transform that are facts of one host: where it finds its component, and how to make it.
const OF_ONE_HOST: [&str; 2] = ["plugin", "build"];

/// Writes what is kept of a file. What is broken in it is written as empty: it is a problem already.
pub(super) fn text(document: &Document) -> String {
    let mut text = String::new();
    let Value::Table(top) = &document.top.value else { return text };
    for key in TOP {
        if let Some(entry) = top.get(key) {
            pair(&mut text, key, &entry.item);
        }
    }
    for key in TABLES {
        match (key, top.get(key).map(|entry| &entry.item.value)) {
            ("transforms", Some(Value::Array(items))) => {
                for item in items {
                    table(&mut text, "[[transforms]]", item);
                }
            }
            ("sinks", Some(Value::Table(sinks))) => {
                for (name, entry) in sinks {
                    let header = format!("[sinks.{}]", quoted_key(name));
                    table(&mut text, &header, &entry.item);
                }
            }
            (_, Some(_)) => table(&mut text, &format!("[{key}]"), &top[key].item),
            (_, None) => {}
        }
    }
    text
}

/// A header, and the kept keys of its table, a line each.
fn table(text: &mut String, header: &str, item: &Item) {
    let Value::Table(entries) = &item.value else { return };
    text.push('\n');
    text.push_str(header);
    text.push('\n');
    let is_transform = header == "[[transforms]]";
    let has_options = header == "[dead_letter]" || header.starts_with("[sinks.");
    for (key, entry) in entries {
        match &entry.item.value {
            _ if is_transform && OF_ONE_HOST.contains(&key.as_str()) => {}
            Value::Table(options) if has_options && key == "options" => {
                text.push_str("options = ");
                inline_table(text, options, option);
                text.push('\n');
            }
            _ => pair(text, key, &entry.item),
        }
    }
}

fn pair(text: &mut String, key: &str, item: &Item) {
    text.push_str(&quoted_key(key));
    text.push_str(" = ");
    inline(text, item);
    text.push('\n');
}

/// The value of an option, or the mark that it was withheld.
fn option(text: &mut String, name: &str, item: &Item) {
    let is_kept = match &item.value {
        Value::Text(value) => is_reference(&value.written) || is_harmless(name, &value.written),
        // Numbers and flags have nothing in them that makes a harmless name dangerous.
        _ => is_harmless(name, ""),
    };
    match is_kept {
        true => inline(text, item),
        false => string(text, WITHHELD),
    }
}

fn inline(text: &mut String, item: &Item) {
    match &item.value {
        Value::Text(value) => string(text, &value.written),
        Value::Integer(number) => text.push_str(&number.to_string()),
        Value::Float(number) => float(text, *number),
        Value::Boolean(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Value::Time(time) => text.push_str(time),
        Value::Array(items) => {
            text.push('[');
            for (nth, item) in items.iter().enumerate() {
                text.push_str(if nth > 0 { ", " } else { "" });
                inline(text, item);
            }
            text.push(']');
        }
        Value::Table(entries) => inline_table(text, entries, |text, _, item| inline(text, item)),
        Value::Withheld => string(text, WITHHELD),
        Value::Broken => string(text, ""),
    }
}

fn inline_table(text: &mut String, entries: &Entries, value: impl Fn(&mut String, &str, &Item)) {
    if entries.is_empty() {
        text.push_str("{}");
        return;
    }
    text.push_str("{ ");
    for (nth, (key, entry)) in entries.iter().enumerate() {
        text.push_str(if nth > 0 { ", " } else { "" });
        text.push_str(&quoted_key(key));
        text.push_str(" = ");
        value(text, key, &entry.item);
    }
    text.push_str(" }");
}

/// The shortest digits that read back as the same number; always with a point or an exponent.
fn float(text: &mut String, number: f64) {
    match number.is_nan() {
        true => text.push_str("nan"),
        false => text.push_str(&format!("{number:?}")),
    }
}

fn quoted_key(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !key.is_empty() && key.chars().all(bare) {
        return key.to_owned();
    }
    let mut quoted = String::new();
    string(&mut quoted, key);
    quoted
}

fn string(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            // Writing into a text can't fail.
            c if c.is_control() => drop(write!(text, "\\u{:04X}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
}
