//! `source.properties`: what librdkafka is told, but for what the host's guarantees rest on.

use std::collections::BTreeMap;

use super::item::{Item, Value};
use super::sinks::scalar;
use super::table::Table;
use crate::config::Secret;
use crate::config::error::{Problems, Wrong};

/// librdkafka properties that are the host's own: name, why, and what to write instead.
const RESERVED: [(&str, &str, &str); 12] = [
    ("group.id", "the group is part of the pipeline's identity", "write `source.group`"),
    ("bootstrap.servers", "the brokers have a key of their own", "write `source.brokers`"),
    ("metadata.broker.list", "the brokers have a key of their own", "write `source.brokers`"),
    ("enable.auto.commit", "offsets are committed once their objects are published", "remove it"),
    ("auto.commit.enable", "offsets are committed once their objects are published", "remove it"),
    ("auto.commit.interval.ms", "offsets are committed once their objects are published", "remove it"),
    ("enable.auto.offset.store", "offsets are committed once their objects are published", "remove it"),
    ("offset.store.method", "offsets are committed once their objects are published", "remove it"),
    ("auto.offset.reset", "an offset that is lost must stop the partition", "write `source.start`"),
    ("isolation.level", "aborted transactions must never be delivered", "remove it"),
    ("enable.partition.eof", "positions rest on it", "remove it"),
    (
        "test.mock.num.brokers",
        "the embedded broker has a type of its own",
        "write `source.type = \"embedded\"`",
    ),
];

/// Reads properties; `security.protocol` without quotes is a table in a table, and means the same.
pub(super) fn read(item: &Item, problems: &Problems<'_>) -> Option<BTreeMap<String, Secret>> {
    let mut properties = BTreeMap::new();
    add_properties(item, "", problems, &mut properties)?;
    Some(properties)
}

fn add_properties(
    item: &Item,
    outer: &str,
    problems: &Problems<'_>,
    properties: &mut BTreeMap<String, Secret>,
) -> Option<()> {
    let table = Table::open_free(item, problems)?;
    for (key, key_at, item) in table.entries() {
        let name = if outer.is_empty() { key.to_owned() } else { format!("{outer}.{key}") };
        if matches!(item.value, Value::Table(_)) {
            add_properties(item, &name, problems, properties)?;
            continue;
        }
        if let Some(wrong) = reserved(&name) {
            problems.add(key_at, &item.path, wrong);
        }
        if let Some(value) = scalar(item, problems)
            && properties.insert(name, value).is_some()
        {
            problems.add(key_at, &item.path, Wrong::new("this property is written twice").hint("remove one"));
        }
    }
    Some(())
}

fn reserved(name: &str) -> Option<Wrong> {
    let (reason, instead) = match name.strip_prefix("queued.") {
        Some(_) => ("it is set from the memory budget", "write `host.memory`"),
        None => {
            RESERVED.iter().find(|(known, ..)| *known == name).map(|(_, why, instead)| (*why, *instead))?
        }
    };
    Some(Wrong::new(format!("`{name}` is the host's own property: {reason}")).hint(instead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_properties_say_what_to_write() {
        assert!(reserved("group.id").is_some_and(|wrong| wrong.hint == Some("write `source.group`".into())));
        assert!(reserved("queued.min.messages").is_some());
        assert!(reserved("security.protocol").is_none());
    }
}
