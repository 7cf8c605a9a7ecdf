//! `[[transforms]]`: which components run, in which order, with what.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Number, Value as Json};

use super::Outside;
use super::expand::absolute;
use super::item::{Entries, Item, Value};
use super::pipeline::name;
use super::table::Table;
use super::{grants, limits, policy};
use crate::config::error::{Problems, Wrong, shown};
use crate::config::model::{Batch, Build, Host, Transform};
use crate::config::units::show_size;

/// Transforms of a pipeline at the most: each has an instance in every partition.
const MOST: usize = 32;

/// Reads the list.
pub(super) fn read(
    item: Option<&Item>,
    outside: &Outside<'_>,
    problems: &Problems<'_>,
) -> Option<Vec<Transform>> {
    let Some(item) = item else { return Some(Vec::new()) };
    let Value::Array(items) = &item.value else {
        return item.expected(problems, "a list of tables", "[[transforms]]");
    };
    if items.len() > MOST {
        item.wrong(problems, Wrong::new(format!("{} transforms are too many: at most {MOST}", items.len())));
        return None;
    }
    let transforms: Vec<_> = items.iter().map(|item| transform(item, outside, problems)).collect();
    let mut names = BTreeSet::new();
    for (transform, item) in transforms.iter().zip(items) {
        if let Some(transform) = transform.as_ref().filter(|found| !names.insert(found.name.clone())) {
            let earlier = transforms.iter().flatten().position(|other| other.name == transform.name);
            let wrong = Wrong::new(format!("has the name of transforms[{}]", earlier.unwrap_or(0)));
            item.wrong(problems, wrong.hint("give each transform a name of its own"));
        }
    }
    transforms.into_iter().collect()
}

fn transform(item: &Item, outside: &Outside<'_>, problems: &Problems<'_>) -> Option<Transform> {
    let kind = if outside.own.is_some() { "kept transforms" } else { "transforms" };
    let table = Table::open(item, kind, problems)?;
    let name = table.need("name", "name = \"parse\"").and_then(|item| name(item, problems));
    let (plugin, build) = match outside.own {
        Some(own) => {
            let own = own.transforms.iter().find(|own| Some(&own.name) == name.as_ref());
            let (plugin, build) = own.map(|own| (own.plugin.clone(), own.build.clone())).unwrap_or_default();
            (Some(plugin), build)
        }
        None => component(&table, outside.folder, problems)?,
    };
    let config = match table.get("config") {
        Some(item) => config(item, problems)?,
        None => "{}".into(),
    };
    let limits = limits::read(table.get("limits"), problems);
    let grants = grants::read(table.get("grants"), outside.folder, problems);
    let policy = policy::read(&table, problems);
    Some(Transform {
        name: name?,
        plugin: plugin?,
        build,
        config,
        limits: limits?,
        grants: grants?,
        policy: policy?,
    })
}

/// Where the component is, and how it is made.
fn component(
    table: &Table<'_>,
    folder: &Path,
    problems: &Problems<'_>,
) -> Option<(Option<PathBuf>, Option<Build>)> {
    let example = "plugin = \"plugins/parse.wasm\"";
    let plugin = table.need("plugin", example).and_then(|item| file(item, example, folder, problems));
    let build = match table.get("build") {
        Some(item) => Some(build(item, folder, problems)?),
        None => None,
    };
    Some((plugin, build))
}

/// A path that may be relative, and is not an address.
pub(super) fn file(item: &Item, example: &str, folder: &Path, problems: &Problems<'_>) -> Option<PathBuf> {
    let text = item.filled(problems, example)?;
    if let Some((scheme, _)) = text.written.split_once("://") {
        let wrong = Wrong::new(format!("unknown kind of address `{}://`", shown(scheme)));
        item.wrong(problems, wrong.hint("known: the path of a file"));
        return None;
    }
    Some(absolute(folder, Path::new(&text.value)))
}

fn build(item: &Item, folder: &Path, problems: &Problems<'_>) -> Option<Build> {
    let table = Table::open(item, "transforms.build", problems)?;
    let example = "command = \"cargo build --release --target wasm32-wasip2\"";
    let command = table.need("command", example).and_then(|item| item.filled(problems, example));
    let dir = match table.get("dir") {
        Some(item) => file(item, "dir = \"plugins/parse\"", folder, problems),
        None => Some(folder.to_path_buf()),
    };
    Some(Build { command: command?.value.clone(), dir: dir? })
}

/// The table as JSON text.
fn config(item: &Item, problems: &Problems<'_>) -> Option<String> {
    match &item.value {
        Value::Table(entries) => Some(Json::Object(object(entries, problems)).to_string()),
        _ => item.expected(problems, "a table", "config = { key = \"value\" }"),
    }
}

fn object(entries: &Entries, problems: &Problems<'_>) -> Map<String, Json> {
    entries.iter().map(|(key, entry)| (key.clone(), json(&entry.item, problems))).collect()
}

pub(super) fn json(item: &Item, problems: &Problems<'_>) -> Json {
    match &item.value {
        Value::Text(text) => Json::String(text.value.clone()),
        Value::Time(time) => Json::String(time.clone()),
        Value::Integer(number) => Json::from(*number),
        Value::Float(number) => Number::from_f64(*number).map_or_else(
            || {
                item.wrong(problems, Wrong::new("JSON has no such number").hint("write a finite number"));
                Json::Null
            },
            Json::Number,
        ),
        Value::Boolean(flag) => Json::Bool(*flag),
        Value::Array(items) => items.iter().map(|item| json(item, problems)).collect(),
        Value::Table(entries) => Json::Object(object(entries, problems)),
        Value::Withheld => item.expected(problems, "a value", "key = \"value\"").unwrap_or(Json::Null),
        Value::Broken => Json::Null,
    }
}

/// Refuses limits that can't hold a batch, or that the process can't give.
pub(super) fn check_memory(
    transforms: &[Transform],
    batch: &Batch,
    host: &Host,
    item: &Item,
    problems: &Problems<'_>,
) {
    let Value::Array(items) = &item.value else { return };
    for (transform, item) in transforms.iter().zip(items) {
        let Some(table) = Table::open_free(item, problems) else { return };
        let item = table.find(&["limits", "memory"]);
        let (memory, batch) = (transform.limits.memory as u64, batch.bytes.get() as u64);
        let memory_shown = show_size(memory);
        if memory < batch.saturating_mul(4) {
            let wrong = Wrong::new(format!(
                "`limits.memory` ({memory_shown}) is less than four times `batch.size` ({})",
                show_size(batch)
            ));
            item.wrong(problems, wrong.hint("a guest holds a batch, its parsed form and its result"));
        }
        if memory > host.memory {
            let wrong = Wrong::new(format!(
                "`limits.memory` ({memory_shown}) is more than `host.memory` ({})",
                show_size(host.memory)
            ));
            item.wrong(problems, wrong.hint("lower `limits.memory`, or raise `host.memory`"));
        }
    }
}
