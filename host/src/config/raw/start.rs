//! `source.start`: where a topic begins that has no chain.

use std::collections::BTreeMap;

use super::item::{Item, Value};
use super::source::ANY;
use super::suggest::closest;
use super::table::Table;
use crate::config::error::{Problems, Wrong, shown};
use crate::config::model::Start;

/// Reads `start`; offsets may name only `topics`.
pub(super) fn read(item: &Item, topics: Option<&[String]>, problems: &Problems<'_>) -> Option<Start> {
    const EXAMPLE: &str = "start = \"earliest\"";
    let text = match &item.value {
        Value::Table(_) => return offsets(item, topics, problems),
        Value::Time(time) => return start_time(time).map_err(|wrong| item.wrong(problems, wrong)).ok(),
        _ => item.text(problems, EXAMPLE)?,
    };
    item.noted(problems, text, |text| match text {
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        _ if text.starts_with(|c: char| c.is_ascii_digit()) => start_time(text),
        _ => {
            let wrong = Wrong::new(format!("unknown start `{}`", shown(text)));
            Err(match closest(text, ["earliest", "latest"]) {
                Some(name) => wrong.hint(format!("did you mean `{name}`?")),
                None => wrong.hint(
                    "known: `earliest`, `latest`, a time like `2026-11-24T00:00:00Z`, or `{ topic = { 0 = 1234 } }`",
                ),
            })
        }
    })
}

fn start_time(text: &str) -> Result<Start, Wrong> {
    let time: Result<jiff::Timestamp, _> = text.trim().parse();
    match time.map(jiff::Timestamp::as_millisecond) {
        Ok(ms) if ms >= 0 => Ok(Start::Time(ms)),
        Ok(_) => Err(Wrong::new("is before 1970").hint("write `earliest` for the oldest record")),
        Err(_) => {
            let wrong = Wrong::new(format!("`{}` is not a point in time", shown(text)));
            Err(wrong.hint("write date, time and zone, such as `2026-11-24T00:00:00Z`"))
        }
    }
}

fn offsets(item: &Item, topics: Option<&[String]>, problems: &Problems<'_>) -> Option<Start> {
    let table = Table::open_free(item, problems)?;
    let mut starts = BTreeMap::new();
    for (name, key_at, partitions) in table.entries() {
        if topics.is_some_and(|topics| !topics.iter().any(|topic| topic == name)) {
            let wrong = Wrong::new(format!("`{}` is not one of `source.topics`", shown(name)));
            let known = topics.unwrap_or_default().iter().map(String::as_str);
            let hint = closest(name, known).map(|name| format!("did you mean `{name}`?"));
            problems.add(
                key_at,
                &partitions.path,
                wrong.hint(hint.unwrap_or_else(|| "add it there, or remove it here".into())),
            );
        }
        starts.insert(name.to_owned(), partition_offsets(partitions, problems)?);
    }
    Some(Start::Offsets(starts))
}

fn partition_offsets(item: &Item, problems: &Problems<'_>) -> Option<BTreeMap<i32, u64>> {
    let Value::Table(_) = item.value else {
        return item.expected(problems, "a table of partitions", "{ 0 = 1234, 1 = 0 }");
    };
    let table = Table::open_free(item, problems)?;
    let mut offsets = BTreeMap::new();
    for (key, key_at, item) in table.entries() {
        let partition = key.parse::<i32>().ok().filter(|number| *number >= 0 && number.to_string() == key);
        let Some(partition) = partition else {
            let wrong = Wrong::new(format!("`{}` is not the number of a partition", shown(key)));
            problems.add(key_at, &item.path, wrong.hint("write it like `{ 0 = 1234 }`"));
            continue;
        };
        if let Some(offset) = table.count(key, &ANY) {
            offsets.insert(partition, offset);
        }
    }
    Some(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_zone() {
        let ms = |text| match start_time(text) {
            Ok(Start::Time(ms)) => Some(ms),
            _ => None,
        };
        assert_eq!(ms("1970-01-01T00:00:01Z"), Some(1_000));
        assert_eq!(ms("2026-11-24T01:00:00+01:00"), ms("2026-11-24T00:00:00Z"));
        for wrong in ["2026-11-24", "2026-11-24T00:00:00", "1969-01-01T00:00:00Z", "2026-13-01T00:00:00Z"] {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
    }
}
