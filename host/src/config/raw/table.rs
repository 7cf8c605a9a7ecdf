//! A table whose keys are known: typed getters with units, bounds and suggestions.

use std::time::Duration;

use super::item::{Entries, Item, Value};
use super::suggest::{closest, listed};
use crate::config::error::{Problems, Wrong, shown};
use crate::config::units;

/// Every table and its keys: what is refused as unknown, and what is suggested instead.
const TABLES: [(&str, &[&str]); 16] = [
    (
        "",
        &[
            "version",
            "name",
            "source",
            "batch",
            "cut",
            "filter",
            "transforms",
            "sinks",
            "dead_letter",
            "ledger",
            "swap",
            "host",
        ],
    ),
    ("source", &["type", "brokers", "topics", "group", "start", "properties", "partitions", "feed"]),
    ("source.feed", &["file", "generate", "records", "seed"]),
    ("batch", &["size", "records", "window"]),
    ("cut", &["interval", "size", "records", "min_size", "max_interval"]),
    ("filter", &["patterns", "not_json"]),
    (
        "transforms",
        &[
            "name",
            "plugin",
            "build",
            "config",
            "limits",
            "grants",
            "retries",
            "max_record_age",
            "on_error",
            "on_fatal",
            "circuit_breaker",
        ],
    ),
    ("transforms.circuit_breaker", &["max_failures", "records", "window", "pause"]),
    ("transforms.build", &["command", "dir"]),
    ("transforms.limits", &["memory", "timeout", "output", "table_elements", "instances", "log_lines"]),
    ("transforms.grants", &["clock", "random", "env", "files", "network"]),
    ("sinks.NAME", &["type", "url", "options", "prefix", "format", "compression", "buffer", "default"]),
    ("sinks.NAME.buffer", &["size"]),
    ("swap", &["watch", "probe", "prove", "rollback"]),
    ("swap.rollback", &["batches", "window", "records", "failed", "dropped", "time"]),
    ("host", &["memory", "threads", "cache", "control", "control_token"]),
];

/// Keys of the tables that say where something is kept.
const PLACES: [(&str, &[&str]); 2] =
    [("dead_letter", &["url", "options", "topic"]), ("ledger", &["url", "options", "shared"])];

/// Keys of a kept configuration, which has fewer.
const KEPT: [(&str, &[&str]); 2] = [
    ("kept", &["version", "name", "cut", "filter", "transforms", "sinks", "dead_letter"]),
    (
        "kept transforms",
        &[
            "name",
            "config",
            "limits",
            "grants",
            "retries",
            "max_record_age",
            "on_error",
            "on_fatal",
            "circuit_breaker",
        ],
    ),
];

/// An open table.
pub(super) struct Table<'a> {
    pub(super) item: &'a Item,
    entries: &'a Entries,
    problems: &'a Problems<'a>,
}

/// The least and the greatest value that a key takes, with the reason for each.
pub(super) struct Bounds<T> {
    pub(super) least: T,
    pub(super) why_least: &'static str,
    pub(super) most: T,
    pub(super) why_most: &'static str,
}

impl<'a> Table<'a> {
    /// Opens a table of a kind (a name of `TABLES`, `PLACES` or `KEPT`), and notes keys that it doesn't have.
    pub(super) fn open(item: &'a Item, kind: &str, problems: &'a Problems<'a>) -> Option<Self> {
        let table = Self::open_free(item, problems)?;
        let known = keys(kind);
        for (key, entry) in table.entries {
            if !known.contains(&key.as_str()) {
                problems.add(entry.key_at, &entry.item.path, unknown_key(key, kind, known));
            }
        }
        Some(table)
    }

    /// Opens a table whose keys the user chooses.
    pub(super) fn open_free(item: &'a Item, problems: &'a Problems<'a>) -> Option<Self> {
        match &item.value {
            Value::Table(entries) => Some(Self { item, entries, problems }),
            _ => item.expected(problems, "a table", &format!("[{}]", item.path)),
        }
    }

    /// All entries: key, its place, value.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, usize, &'a Item)> + use<'a> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), entry.key_at, &entry.item))
    }

    /// A value that need not be there.
    pub(super) fn get(&self, key: &str) -> Option<&'a Item> {
        self.entries.get(key).map(|entry| &entry.item)
    }

    /// A value that must be there.
    pub(super) fn need(&self, key: &str, example: &str) -> Option<&'a Item> {
        let found = self.get(key);
        if found.is_none() {
            let wrong = Wrong::new(format!("`{key}` is missing"));
            self.item.wrong(self.problems, wrong.hint(format!("add `{example}`")));
        }
        found
    }

    /// The value at a path of keys, or as far as there are values.
    pub(super) fn find(&self, path: &[&str]) -> &'a Item {
        let mut item = self.item;
        for key in path {
            let Value::Table(entries) = &item.value else { break };
            let Some(entry) = entries.get(*key) else { break };
            item = &entry.item;
        }
        item
    }

    /// Notes a problem of a key that is there.
    pub(super) fn wrong(&self, key: &str, wrong: Wrong) {
        match self.get(key) {
            Some(item) => item.wrong(self.problems, wrong),
            None => self.item.wrong(self.problems, wrong),
        }
    }

    /// Refuses keys that mean nothing beside the value of another one.
    pub(super) fn only_with(&self, keys: &[&str], condition: &str) {
        for key in keys {
            if let Some(entry) = self.entries.get(*key) {
                let wrong = Wrong::new(format!("has a meaning only with `{condition}`"));
                self.problems.add(entry.key_at, &entry.item.path, wrong.hint("remove it"));
            }
        }
    }

    /// A size with a unit.
    pub(super) fn size(&self, key: &str, bounds: &Bounds<u64>) -> Option<u64> {
        let item = self.get(key)?;
        if let Value::Integer(number) = item.value {
            let hint = format!("write a unit, such as `{key} = \"64MiB\"`, or `\"{number}B\"` for bytes");
            item.wrong(self.problems, Wrong::new(format!("{number} has no unit")).hint(hint));
            return None;
        }
        let text = item.text(self.problems, &format!("{key} = \"64MiB\""))?;
        self.bounded(item, item.noted(self.problems, text, units::size)?, bounds, |size| {
            units::show_size(*size)
        })
    }

    /// A duration with a unit.
    pub(super) fn duration(&self, key: &str, bounds: &Bounds<Duration>) -> Option<Duration> {
        let item = self.get(key)?;
        if let Value::Integer(number) = item.value {
            let hint = format!("write a unit, such as `{key} = \"{number}s\"` or `\"{number}ms\"`");
            item.wrong(self.problems, Wrong::new(format!("{number} has no unit")).hint(hint));
            return None;
        }
        let text = item.text(self.problems, &format!("{key} = \"30s\""))?;
        self.bounded(item, item.noted(self.problems, text, units::duration)?, bounds, |time| {
            units::show_duration(*time)
        })
    }

    /// A count.
    pub(super) fn count(&self, key: &str, bounds: &Bounds<u64>) -> Option<u64> {
        let item = self.get(key)?;
        let Value::Integer(number) = item.value else {
            return item.expected(self.problems, "a whole number", &format!("{key} = 10_000"));
        };
        let Ok(number) = u64::try_from(number) else {
            item.wrong(self.problems, Wrong::new("is negative").hint(format!("at least {}", bounds.least)));
            return None;
        };
        self.bounded(item, number, bounds, u64::to_string)
    }

    /// True or false.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        let item = self.get(key)?;
        match item.value {
            Value::Boolean(flag) => Some(flag),
            _ => item.expected(self.problems, "true or false, without quotes", &format!("{key} = true")),
        }
    }

    /// One of some words.
    pub(super) fn choice<T: Clone>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let item = self.get(key)?;
        let names = || choices.iter().map(|(name, _)| *name);
        let text = item.text(self.problems, &format!("{key} = \"{}\"", names().next().unwrap_or("")))?;
        let chosen = choices.iter().find(|(name, _)| *name == text.value);
        if chosen.is_none() {
            let what = if key == "generate" { "generator" } else { key };
            let wrong = Wrong::new(format!("unknown {what} `{}`", shown(&text.written)));
            let hint = match closest(&text.written, names()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("known: {}", listed(names())),
            };
            item.wrong(self.problems, wrong.hint(hint));
        }
        chosen.map(|(_, choice)| choice.clone())
    }

    fn bounded<T: PartialOrd>(
        &self,
        item: &Item,
        value: T,
        bounds: &Bounds<T>,
        show: impl Fn(&T) -> String,
    ) -> Option<T> {
        let wrong = if value < bounds.least {
            format!("{} is too little: at least {}, {}", show(&value), show(&bounds.least), bounds.why_least)
        } else if value > bounds.most {
            format!("{} is too much: at most {}, {}", show(&value), show(&bounds.most), bounds.why_most)
        } else {
            return Some(value);
        };
        item.wrong(self.problems, Wrong::new(wrong));
        None
    }
}

fn keys(kind: &str) -> &'static [&'static str] {
    TABLES.iter().chain(&PLACES).chain(&KEPT).find(|(name, _)| *name == kind).map_or(&[], |(_, keys)| keys)
}

fn unknown_key(key: &str, kind: &str, known: &[&'static str]) -> Wrong {
    let wrong = Wrong::new("unknown key");
    if let Some(name) = closest(key, known.iter().copied()) {
        return wrong.hint(format!("did you mean `{name}`?"));
    }
    // `interval` in a sink's buffer, `topics` at the top: the right word in the wrong table.
    let elsewhere = TABLES.iter().filter(|(name, keys)| *name != kind && keys.contains(&key));
    let elsewhere: Vec<_> = elsewhere.map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
    match elsewhere.as_slice() {
        [table] => {
            wrong.hint(format!("`{key}` belongs to `{table}`; known here: {}", listed(known.iter().copied())))
        }
        _ => wrong.hint(format!("known here: {}", listed(known.iter().copied()))),
    }
}
