//! `[source]`: which stream, from where on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::expand::absolute;
use super::item::{Item, Value};
use super::table::{Bounds, Table};
use super::{properties, start};
use crate::config::error::{Problems, Wrong, shown};
use crate::config::model::{Broker, Feed, FeedFrom, Source, Start};

const PARTITIONS: Bounds<u64> = Bounds {
    least: 1,
    why_least: "or there is nowhere to put a record",
    most: 64,
    why_most: "since the embedded broker keeps 5 MiB of each in memory",
};

const RECORDS: Bounds<u64> = Bounds {
    least: 1,
    why_least: "or nothing is fed",
    most: i64::MAX as u64,
    why_most: "the greatest offset",
};

/// Any whole number that is not negative.
pub(super) const ANY: Bounds<u64> = Bounds { least: 0, why_least: "", most: u64::MAX, why_most: "" };

/// As many as a small laptop has cores.
pub(in crate::config) const DEFAULT_PARTITIONS: i32 = 4;

/// Topics of a pipeline at the most: their metadata is asked for in one request.
const TOPICS: usize = 1_000;

/// Reads the table.
pub(super) fn read(
    item: &Item,
    default_group: Option<&str>,
    folder: &Path,
    problems: &Problems<'_>,
) -> Option<Source> {
    let table = Table::open(item, "source", problems)?;
    table.need("type", "type = \"kafka\"");
    let embedded = table.choice("type", &[("kafka", false), ("embedded", true)]);
    let topics = topics(&table, problems);
    let group = match table.get("group") {
        Some(item) => group(item, problems),
        None => default_group.map(str::to_owned),
    };
    let start = match table.get("start") {
        Some(item) => start::read(item, topics.as_deref(), problems),
        None => Some(Start::Earliest),
    };
    let properties = match table.get("properties") {
        Some(item) => properties::read(item, problems),
        None => Some(BTreeMap::new()),
    };
    let broker = match embedded? {
        true => embedded_broker(&table, folder, problems),
        false => {
            table.only_with(&["feed", "partitions"], "type = \"embedded\"");
            kafka(&table, problems)
        }
    };
    Some(Source { broker: broker?, topics: topics?, group: group?, start: start?, properties: properties? })
}

fn kafka(table: &Table<'_>, problems: &Problems<'_>) -> Option<Broker> {
    let example = "brokers = \"127.0.0.1:9092\"";
    let item = table.need("brokers", example)?;
    let parts: Vec<(&Item, _)> = match &item.value {
        Value::Array(items) => {
            let texts: Option<Vec<_>> =
                items.iter().map(|item| Some((item, item.filled(problems, "\"127.0.0.1:9092\"")?))).collect();
            texts?
        }
        _ => vec![(item, item.filled(problems, example)?)],
    };
    let split = parts.into_iter().map(|(item, text)| {
        item.noted(problems, text, |text| {
            text.split(',').map(|one| broker(one.trim())).collect::<Result<Vec<_>, _>>()
        })
    });
    let brokers: Vec<String> = split.collect::<Option<Vec<_>>>()?.concat();
    if brokers.is_empty() {
        item.wrong(problems, Wrong::new("names no broker").hint(format!("write it like `{example}`")));
        return None;
    }
    Some(Broker::Kafka { brokers: brokers.join(",") })
}

/// `host:port`, also `[::1]:9092`; the port is 9092 where none is written, as in librdkafka.
fn broker(text: &str) -> Result<String, Wrong> {
    let wrong = || {
        let wrong = Wrong::new(format!("`{}` is not the address of a broker", shown(text)));
        wrong.hint("write `host:port`, such as `127.0.0.1:9092`")
    };
    if text.contains("://") {
        return Err(wrong().hint("write `host:port`, and how to speak as `properties.\"security.protocol\"`"));
    }
    let bracket = text.rfind(']').unwrap_or(0);
    let (host, port) = match text[bracket..].rfind(':') {
        Some(at) => (&text[..bracket + at], text[bracket + at + 1..].parse::<u16>().map_err(|_| wrong())?),
        None => (text, 9092),
    };
    let named = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let numbered = |host: &str| host.parse::<std::net::Ipv6Addr>().is_ok();
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let fine = bracketed.map_or(!host.is_empty() && host.chars().all(named), numbered);
    if !fine || port == 0 {
        return Err(wrong());
    }
    Ok(format!("{host}:{port}"))
}

fn embedded_broker(table: &Table<'_>, folder: &Path, problems: &Problems<'_>) -> Option<Broker> {
    table.only_with(&["brokers"], "type = \"kafka\"");
    let partitions = table.count("partitions", &PARTITIONS).and_then(|number| i32::try_from(number).ok());
    let item = table.need("feed", "feed = { file = \"access.log\" }")?;
    let feed_table = Table::open(item, "source.feed", problems)?;
    let records = feed_table.count("records", &RECORDS);
    let seed = feed_table.count("seed", &ANY);
    let from = match (feed_table.get("file"), feed_table.get("generate")) {
        (Some(item), None) => {
            feed_table.only_with(&["seed"], "generate = \"access-log\"");
            let text = item.filled(problems, "file = \"access.log\"")?;
            match text.value.as_str() {
                "-" => FeedFrom::Standard,
                path => FeedFrom::File(absolute(folder, Path::new(path))),
            }
        }
        (None, Some(_)) => {
            if feed_table.get("records").is_none() {
                let wrong = Wrong::new("a generator has no end of its own");
                feed_table.wrong("generate", wrong.hint("add `records = 100_000`"));
            }
            feed_table.choice("generate", &[("access-log", FeedFrom::AccessLog)])?
        }
        (Some(_), Some(_)) => {
            let wrong = Wrong::new("`file` and `generate` are both there");
            feed_table.wrong("generate", wrong.hint("keep one of them"));
            return None;
        }
        (None, None) => {
            let wrong = Wrong::new("says nothing about where records come from");
            item.wrong(
                problems,
                wrong.hint("add `file = \"access.log\"`, `file = \"-\"` or `generate = \"access-log\"`"),
            );
            return None;
        }
    };
    let feed = Feed { from, records, seed: seed.unwrap_or(0) };
    Some(Broker::Embedded { partitions: partitions.unwrap_or(DEFAULT_PARTITIONS), feed })
}

fn topics(table: &Table<'_>, problems: &Problems<'_>) -> Option<Vec<String>> {
    let example = "topics = [\"access-logs\"]";
    let item = table.need("topics", example)?;
    let Value::Array(items) = &item.value else {
        return item.expected(problems, "a list of topics", example);
    };
    if items.is_empty() || items.len() > TOPICS {
        let wrong = Wrong::new(format!("expected 1 to {TOPICS} topics, found {}", items.len()));
        item.wrong(problems, wrong.hint(format!("write it like `{example}`")));
        return None;
    }
    let mut seen = BTreeSet::new();
    let topic = |item: &Item| {
        let text = item.filled(problems, "\"access-logs\"")?;
        let topic = item.noted(problems, text, topic)?;
        if !seen.insert(topic.clone()) {
            item.wrong(problems, Wrong::new("this topic is already in the list").hint("remove it"));
        }
        Some(topic)
    };
    let topics: Vec<_> = items.iter().map(topic).collect();
    topics.into_iter().collect()
}

/// A topic by Kafka's own rules.
pub(super) fn topic(text: &str) -> Result<String, Wrong> {
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.len() <= 249 && !matches!(text, "." | ".." | "_vanne") && text.chars().all(named) {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("`{}` is not the name of a topic", shown(text)));
    Err(match text.starts_with('^') {
        true => wrong.hint("topics are listed one by one: no patterns"),
        false => wrong.hint("Kafka takes at most 249 letters, digits, `.`, `_` and `-`"),
    })
}

fn group(item: &Item, problems: &Problems<'_>) -> Option<String> {
    let text = item.filled(problems, "group = \"access-logs\"")?;
    item.noted(problems, text, |text| {
        if text.len() <= 255 && !text.chars().any(char::is_control) {
            return Ok(text.to_owned());
        }
        Err(Wrong::new("not the name of a group").hint("write at most 255 bytes, without control characters"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_have_a_host_and_a_port() {
        let read = |text| broker(text).map_err(|wrong| wrong.message);
        assert_eq!(read("127.0.0.1:9092"), Ok("127.0.0.1:9092".into()));
        assert_eq!(read("kafka-0.kafka.svc"), Ok("kafka-0.kafka.svc:9092".into()));
        assert_eq!(read("[::1]:9094"), Ok("[::1]:9094".into()));
        assert_eq!(read("[::1]"), Ok("[::1]:9092".into()));
        for wrong in
            ["", ":9092", "a:0", "a:65536", "a:b", "SSL://a:1", "[::1:9092", "a b:1", "::1", "ä:1", "a]:1"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
