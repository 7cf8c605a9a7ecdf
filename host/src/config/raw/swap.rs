//! `[swap]`: how new versions are taken in, tried and watched.

use std::time::Duration;

use super::item::{Item, Value};
use super::table::{Bounds, Table};
use crate::config::error::{Problems, Wrong};
use crate::config::model::{RollbackLimits, Swap};
use crate::config::share;

const PROBE: Bounds<u64> = Bounds {
    least: 0,
    why_least: "none",
    most: 10_000,
    why_most: "since they are kept in memory, and trying them takes time",
};

const PROVE: Bounds<Duration> = Bounds {
    least: Duration::from_millis(100),
    why_least: "since every cut costs a partition several requests to the store",
    most: Duration::from_secs(3600),
    why_most: "or nobody waits for the proof",
};

const BATCHES: Bounds<u64> = Bounds {
    least: 1,
    why_least: "or nothing is watched; write `rollback = \"off\"` for that",
    most: 1_000_000,
    why_most: "or old versions come back long after anybody thinks of them",
};

const WINDOW: Bounds<Duration> = Bounds {
    least: Duration::from_secs(1),
    why_least: "or hardly a batch fits into it",
    most: Duration::from_secs(24 * 3600),
    why_most: "or old versions come back long after anybody thinks of them",
};

const RECORDS: Bounds<u64> = Bounds {
    least: 1,
    why_least: "or it judges before there is anything to judge",
    most: 1_000_000_000,
    why_most: "or it never judges; write `rollback = \"off\"` for that",
};

/// The word for a limit that is not there.
const OFF: &str = "off";

const ROLLBACK: &str = "rollback = { failed = \"5%\" }";

/// Reads the table.
pub(super) fn read(item: Option<&Item>, problems: &Problems<'_>) -> Option<Swap> {
    let default = Swap::default();
    let Some(item) = item else { return Some(default) };
    let table = Table::open(item, "swap", problems)?;
    let probe = table.count("probe", &PROBE).and_then(|records| u32::try_from(records).ok());
    let rollback = match table.get("rollback") {
        Some(item) => rollback(item, problems),
        None => Some(default.rollback),
    };
    Some(Swap {
        watch: table.flag("watch").unwrap_or(default.watch),
        probe: probe.unwrap_or(default.probe),
        prove: table.duration("prove", &PROVE).unwrap_or(default.prove),
        rollback: rollback?,
    })
}

/// `off`, or a table of limits.
fn rollback(item: &Item, problems: &Problems<'_>) -> Option<Option<RollbackLimits>> {
    let table = match &item.value {
        Value::Text(text) if text.value == OFF => return Some(None),
        Value::Table(_) => Table::open(item, "swap.rollback", problems)?,
        _ => return item.expected(problems, "a table, or `\"off\"`", ROLLBACK),
    };
    let default = RollbackLimits::default();
    let failed = limit(&table, "failed", "failed = \"5%\"", default.failed, share::share, problems);
    let dropped = limit(&table, "dropped", "dropped = \"50%\"", default.dropped, share::share, problems);
    let time = limit(&table, "time", "time = \"3x\"", default.time, share::factor, problems);
    let limits = RollbackLimits {
        batches: table.count("batches", &BATCHES).unwrap_or(default.batches),
        window: table.duration("window", &WINDOW).unwrap_or(default.window),
        records: table.count("records", &RECORDS).unwrap_or(default.records),
        failed: failed?,
        dropped: dropped?,
        time: time?,
    };
    if limits.failed.is_none() && limits.dropped.is_none() && limits.time.is_none() {
        let wrong = Wrong::new("has no limit, so nothing would be taken back");
        item.wrong(problems, wrong.hint("write `rollback = \"off\"`, or one of `failed`, `dropped`, `time`"));
    }
    Some(Some(limits))
}

/// A limit, or `off`; not there, the default.
fn limit<T>(
    table: &Table<'_>,
    key: &str,
    example: &str,
    default: Option<T>,
    read: fn(&str) -> Result<T, Wrong>,
    problems: &Problems<'_>,
) -> Option<Option<T>> {
    let Some(item) = table.get(key) else { return Some(default) };
    let text = item.filled(problems, example)?;
    item.noted(problems, text, |text| match text {
        OFF => Ok(None),
        _ => read(text).map(Some),
    })
}
