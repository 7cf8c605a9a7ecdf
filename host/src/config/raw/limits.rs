//! `limits` of a transform: how much of the machine its instances and calls may take.

use std::time::Duration;

use super::item::Item;
use super::table::{Bounds, Table};
use crate::config::error::Problems;
use crate::config::model::Limits;

const MEMORY: Bounds<u64> = Bounds {
    least: 1 << 20,
    why_least: "since a guest's stack alone is often that large",
    most: 4 << 30,
    why_most: "all that a 32-bit guest can address",
};

const TIMEOUT: Bounds<Duration> = Bounds {
    least: Duration::from_millis(10),
    why_least: "the step at which running guests are looked at",
    most: Duration::from_secs(300),
    why_most: "since a partition stands still while a guest hangs",
};

const OUTPUT: Bounds<u64> = Bounds {
    least: 64 << 10,
    why_least: "since the answer for a few hundred records is often that large",
    most: 2 << 30,
    why_most: "half of what a 32-bit guest can address",
};

const TABLE_ELEMENTS: Bounds<u64> = Bounds {
    least: 1_000,
    why_least: "since every compiled program has functions in its tables",
    most: 10_000_000,
    why_most: "since each takes eight bytes of the host's memory in every partition",
};

const INSTANCES: Bounds<u64> = Bounds {
    least: 1,
    why_least: "the component itself",
    most: 1_000,
    why_most: "since each costs time whenever an instance is made",
};

const LOG_LINES: Bounds<u64> =
    Bounds { least: 0, why_least: "none", most: 10_000, why_most: "or one plugin can fill the log's disk" };

/// Reads the table.
pub(super) fn read(item: Option<&Item>, problems: &Problems<'_>) -> Option<Limits> {
    let default = Limits::default();
    let Some(item) = item else { return Some(default) };
    let table = Table::open(item, "transforms.limits", problems)?;
    let size = |key, bounds, default| table.size(key, bounds).map_or(default, whole);
    let count = |key, bounds, default| table.count(key, bounds).map_or(default, whole);
    let log_lines = table.count("log_lines", &LOG_LINES).and_then(|lines| u32::try_from(lines).ok());
    Some(Limits {
        memory: size("memory", &MEMORY, default.memory),
        timeout: table.duration("timeout", &TIMEOUT).unwrap_or(default.timeout),
        output: size("output", &OUTPUT, default.output),
        table_elements: count("table_elements", &TABLE_ELEMENTS, default.table_elements),
        instances: count("instances", &INSTANCES, default.instances),
        log_lines: log_lines.unwrap_or(default.log_lines),
    })
}

/// On a 32-bit host 4 GiB can't be counted; the greatest number that can is as good.
fn whole(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
