//! `[sinks.NAME]`, `[dead_letter]` and `[ledger]`: where things go.

use std::collections::BTreeMap;
use std::path::Path;

use super::Outside;
use super::item::{Item, Value};
use super::pipeline::check_name;
use super::source;
use super::table::{Bounds, Table};
use crate::config::Secret;
use crate::config::error::{Problems, Wrong};
use crate::config::kept::plain_option;
use crate::config::location;
use crate::config::model::{
    Broker, Compression, DeadLetter, Format, Ledger, Location, ObjectSink, Sink, Source,
};
use crate::config::prefix;

const BUFFER: Bounds<u64> = Bounds {
    least: 1 << 10,
    why_least: "or objects are nothing but requests",
    most: 5 << 30,
    why_most: "the largest object that S3 copies in one request",
};

/// What query engines like to read: S3's readers work in parts of 8 to 128 MiB.
pub(in crate::config) const DEFAULT_BUFFER: u64 = 64 << 20;

/// Sinks of a pipeline at the most: each has a buffer in every partition.
const MOST: usize = 32;

const FORMATS: [(&str, Format); 2] = [("json-lines", Format::JsonLines), ("raw", Format::Raw)];

const COMPRESSIONS: [(&str, Compression); 3] =
    [("zstd", Compression::Zstd), ("gzip", Compression::Gzip), ("none", Compression::None)];

/// Options that would take back what the host rests on, with the reason.
const RESERVED: [(&str, &str); 5] = [
    ("conditional_put", "exactly-once rests on create-only puts, which are always on"),
    ("copy_if_not_exists", "the host publishes by plain copies and checks them itself"),
    ("bucket", "`url` names the bucket"),
    ("bucket_name", "`url` names the bucket"),
    ("container_name", "`url` names the container"),
];

/// Reads `[sinks]`.
pub(super) fn read(
    item: Option<&Item>,
    outside: &Outside<'_>,
    problems: &Problems<'_>,
) -> Option<BTreeMap<String, Sink>> {
    let table = Table::open_free(item?, problems)?;
    if table.entries().next().is_none() {
        table.item.wrong(problems, Wrong::new("there is no sink").hint("add a table such as `[sinks.lake]`"));
        return None;
    }
    if table.entries().count() > MOST {
        let wrong = Wrong::new(format!("{} sinks are too many: at most {MOST}", table.entries().count()));
        table.item.wrong(problems, wrong.hint("spread them over several pipelines"));
        return None;
    }
    let sinks: Vec<_> = table
        .entries()
        .map(|(name, key_at, item)| {
            let named = check_name(name).map_err(|wrong| problems.add(key_at, &item.path, wrong));
            let own = outside.own.and_then(|own| own.sinks.get(name));
            let sink =
                sink(item, Place::new(outside, own.map(|Sink::ObjectStore(sink)| &sink.location)), problems);
            Some((named.map(|()| name.to_owned()).ok()?, sink?))
        })
        .collect();
    sinks.into_iter().collect()
}

fn sink(item: &Item, place: Place<'_>, problems: &Problems<'_>) -> Option<Sink> {
    // Which keys a sink has depends on its type: without one, none can be called unknown.
    let types = [("object-store", ())];
    let Value::Table(_) = item.value else {
        return item.expected(problems, "a table with a name", "[sinks.lake]");
    };
    let free = Table::open_free(item, problems)?;
    free.need("type", "type = \"object-store\"")?;
    free.choice("type", &types)?;
    let table = Table::open(item, "sinks.NAME", problems)?;
    let location = location(&table, place, problems);
    let prefix = match table.get("prefix") {
        Some(item) => prefix(item, problems),
        None => Some(prefix::default()),
    };
    let format = table.choice("format", &FORMATS).unwrap_or(Format::JsonLines);
    let compression = table.choice("compression", &COMPRESSIONS).unwrap_or(Compression::Zstd);
    let buffer = table.get("buffer").and_then(|item| Table::open(item, "sinks.NAME.buffer", problems));
    let buffer_bytes = buffer.and_then(|table| table.size("size", &BUFFER)).unwrap_or(DEFAULT_BUFFER);
    let default = table.flag("default").unwrap_or(true);
    let location = location?;
    if location::within_vanne(&location.url) {
        let wrong = Wrong::new("`_vanne/` is the ledger's own folder");
        table.wrong("url", wrong.hint("choose a place beside it"));
    }
    Some(Sink::ObjectStore(ObjectSink {
        location,
        prefix: prefix?,
        format,
        compression,
        buffer_bytes,
        default,
    }))
}

fn prefix(item: &Item, problems: &Problems<'_>) -> Option<crate::config::model::Prefix> {
    let text = item.text(problems, "prefix = \"!{timestamp:yyyy/MM/dd/HH}/\"")?;
    item.noted(problems, text, prefix::parse)
}

/// What reading a location needs from outside of its table.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// Where relative paths start.
    folder: &'a Path,
    /// The options of the same place in this host's own file, where the text is a kept configuration:
    /// those that were withheld from it.
    own: Option<&'a BTreeMap<String, Secret>>,
    /// Whether the text is a kept configuration.
    is_kept: bool,
}

impl<'a> Place<'a> {
    fn new(outside: &Outside<'a>, own: Option<&'a Location>) -> Self {
        Self { folder: outside.folder, own: own.map(|own| &own.options), is_kept: outside.own.is_some() }
    }
}

/// Reads `url` and `options`.
fn location(table: &Table<'_>, place: Place<'_>, problems: &Problems<'_>) -> Option<Location> {
    let example = "url = \"s3://bucket/path\"";
    let options = match table.get("options") {
        Some(item) => options(item, place, problems),
        None => Some(BTreeMap::new()),
    };
    let url = table.need("url", example)?;
    let text = url.filled(problems, example)?;
    let url = url.noted(problems, text, |text| location::parse(text, place.folder))?;
    let options = options?;
    if url.scheme() == "file" && !options.is_empty() {
        let wrong = Wrong::new("a local folder takes no options");
        table.wrong("options", wrong.hint("remove `options`, or write the `url` of a bucket"));
    }
    Some(Location { url, options })
}

fn options(item: &Item, place: Place<'_>, problems: &Problems<'_>) -> Option<BTreeMap<String, Secret>> {
    let table = Table::open_free(item, problems)?;
    let mut options = BTreeMap::new();
    for (name, key_at, item) in table.entries() {
        let plain = plain_option(name);
        if let Some((_, reason)) = RESERVED.iter().find(|(reserved, _)| *reserved == plain) {
            let wrong = Wrong::new(format!("this option is the host's own: {reason}"));
            problems.add(key_at, &item.path, wrong.hint("remove it"));
        }
        let value = match (&item.value, place.is_kept) {
            (Value::Withheld, true) => withheld(item, name, place.own, problems),
            _ => scalar(item, problems),
        };
        if let Some(value) = value {
            options.insert(name.to_owned(), value);
        }
    }
    Some(options)
}

/// The value of this host's own option of that name, whatever way its name is written.
fn withheld(
    item: &Item,
    name: &str,
    own: Option<&BTreeMap<String, Secret>>,
    problems: &Problems<'_>,
) -> Option<Secret> {
    let alike = |(other, _): &(&String, &Secret)| plain_option(other) == plain_option(name);
    let found = own.and_then(|own| own.get_key_value(name).or_else(|| own.iter().find(alike)));
    if found.is_none() {
        let wrong =
            Wrong::new("was withheld from the ledger, and this host's own file has no such option here");
        item.wrong(
            problems,
            wrong.hint("write it into this host's file, or as a reference, such as `\"${NAME}\"`, into the file that made the revision"),
        );
    }
    found.map(|(_, value)| value.clone())
}

/// A text, number or flag as a text that is never shown.
pub(super) fn scalar(item: &Item, problems: &Problems<'_>) -> Option<Secret> {
    let text = match &item.value {
        Value::Text(text) if text.value.contains('\0') => {
            item.wrong(problems, Wrong::new("has a zero character in it"));
            return None;
        }
        Value::Text(text) => text.value.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        _ => return item.expected(problems, "text, a number, true or false", "name = \"value\""),
    };
    Some(Secret::new(text))
}

/// Reads `[dead_letter]`.
pub(super) fn dead_letter(item: &Item, outside: &Outside<'_>, problems: &Problems<'_>) -> Option<DeadLetter> {
    let table = Table::open(item, "dead_letter", problems)?;
    let topic = match table.get("topic") {
        Some(item) => {
            let text = item.filled(problems, "topic = \"access-logs.dead\"");
            text.and_then(|text| item.noted(problems, text, source::topic)).map(Some)
        }
        None => Some(None),
    };
    // A topic alone leaves the objects where they are by default.
    let has_place = ["url", "options"].iter().any(|key| table.get(key).is_some());
    let location = match has_place || table.get("topic").is_none() {
        true => {
            let own = outside.own.and_then(|own| own.dead_letter.location.as_ref());
            Some(location(&table, Place::new(outside, own), problems)?)
        }
        false => None,
    };
    if location.as_ref().is_some_and(|location| location::within_vanne(&location.url)) {
        let wrong = Wrong::new("`_vanne/` is the ledger's own folder");
        table.wrong("url", wrong.hint("choose a place beside it"));
    }
    Some(DeadLetter { location, topic: topic? })
}

/// What must hold between the topic of dead letters and the source.
pub(super) fn check_dead_letter_topic(
    dead_letter: &DeadLetter,
    source: &Source,
    top: &Table<'_>,
    problems: &Problems<'_>,
) {
    let Some(topic) = &dead_letter.topic else { return };
    let item = top.find(&["dead_letter", "topic"]);
    if source.topics.contains(topic) {
        let wrong = Wrong::new(format!("`{topic}` is in `source.topics`: dead letters would be read again"));
        item.wrong(problems, wrong.hint(format!("choose another topic, such as `{topic}.dead`")));
    }
    if let Broker::Embedded { .. } = source.broker {
        let wrong = Wrong::new("the embedded broker ends with the run, and its topics with it");
        item.wrong(problems, wrong.hint("remove `topic`, or write `source.type = \"kafka\"`"));
    }
}

/// Reads `[ledger]`.
pub(super) fn ledger(item: &Item, outside: &Outside<'_>, problems: &Problems<'_>) -> Option<Ledger> {
    let table = Table::open(item, "ledger", problems)?;
    let location = location(&table, Place::new(outside, None), problems)?;
    let shared = table.flag("shared").unwrap_or(false);
    if shared && location.url.scheme() != "file" {
        let wrong = Wrong::new("`shared` is for a ledger in a local folder that several machines see");
        table.wrong("shared", wrong.hint("remove it: a bucket is always shared"));
    }
    Some(Ledger { location, shared })
}

/// What must hold between the places of a pipeline.
pub(super) fn check_places(
    sinks: &BTreeMap<String, Sink>,
    dead_letter: Option<&Location>,
    ledger: Option<&Ledger>,
    top: &Table<'_>,
    problems: &Problems<'_>,
) {
    let sinks: Vec<_> = sinks.iter().map(|(name, Sink::ObjectStore(sink))| (name, sink)).collect();
    for (nth, (name, sink)) in sinks.iter().enumerate() {
        let same = |other: &ObjectSink| {
            let (one, two) = (other.prefix.folder(), sink.prefix.folder());
            same_place(&other.location, &sink.location) && (one.starts_with(two) || two.starts_with(one))
        };
        if let Some((other, _)) = sinks[..nth].iter().find(|(_, other)| same(other)) {
            let wrong =
                format!("`sinks.{other}` and `sinks.{name}` have the same `url` and no folders of their own");
            let hint = "nobody could tell their objects apart: change a `url`, or begin each `prefix` with another folder";
            top.find(&["sinks", name, "url"]).wrong(problems, Wrong::new(wrong).hint(hint));
        }
        if dead_letter.is_some_and(|dead| same_place(dead, &sink.location)) {
            let wrong = format!("`dead_letter.url` and `sinks.{name}.url` are the same place");
            let hint = "readers of the sink would read dead letters: change one of them";
            top.find(&["dead_letter", "url"]).wrong(problems, Wrong::new(wrong).hint(hint));
        }
    }
    let Some(((first, first_sink), others)) = sinks.split_first() else { return };
    let bucket = location::bucket(&first_sink.location);
    let elsewhere = others.iter().find(|(_, sink)| location::bucket(&sink.location) != bucket);
    if let (None, Some((other, _))) = (ledger, elsewhere) {
        let wrong =
            format!("`[ledger]` is missing: `sinks.{first}` and `sinks.{other}` are in different places");
        let hint = "one ledger serves them all: add `[ledger]` with a `url`, such as `s3://bucket/_vanne`";
        top.find(&["sinks", other, "url"]).wrong(problems, Wrong::new(wrong).hint(hint));
    }
}

fn same_place(one: &Location, other: &Location) -> bool {
    one.url == other.url && location::bucket(one) == location::bucket(other)
}
