//! What a run did, at its end: for people, and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::usage::Usage;
use crate::pipeline::{Outcome, Stats, Summary};
use crate::record::DEAD_LETTER_SINK;

/// The numbers of a run; the names of its JSON form are stable.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pipeline: String,
    outcome: &'static str,
    seconds: f64,
    /// Records of committed ranges.
    records_read: u64,
    records_written: u64,
    records_dropped: u64,
    /// Records that matched no pattern of the filter, counted when they were read.
    records_filtered: u64,
    /// Records that the filter could not look into, counted when they were read.
    records_filtered_not_json: u64,
    dead_letters: u64,
    /// Messages in the topic of dead letters; those that were sent again count again.
    dead_letters_in_topic: u64,
    dead_letters_shortened: u64,
    dead_letters_not_in_topic: u64,
    objects: u64,
    object_bytes: u64,
    dead_letter_objects: u64,
    entries: u64,
    adopted_entries: u64,
    gap_offsets: u64,
    /// How often a circuit breaker held a lane.
    holds: u64,
    cpu_seconds: f64,
    peak_memory_bytes: u64,
    /// Where each sink's objects are.
    places: BTreeMap<String, String>,
    halted_lanes: Vec<String>,
}

impl Report {
    pub(super) fn new(
        pipeline: &str,
        places: BTreeMap<String, String>,
        summary: &Summary,
        elapsed: Duration,
    ) -> Self {
        let stats = &summary.stats;
        let usage = Usage::now();
        Self {
            pipeline: pipeline.to_owned(),
            outcome: match summary.outcome {
                Outcome::Drained => "drained",
                Outcome::Halted => "halted",
                Outcome::DeadlinePassed => "deadline-passed",
            },
            seconds: elapsed.as_secs_f64(),
            records_read: Stats::get(&stats.read),
            records_written: Stats::get(&stats.written),
            records_dropped: Stats::get(&stats.dropped),
            records_filtered: Stats::get(&stats.filtered),
            records_filtered_not_json: Stats::get(&stats.filtered_not_json),
            dead_letters: Stats::get(&stats.dead_letters),
            dead_letters_in_topic: Stats::get(&stats.dead_letters_produced),
            dead_letters_shortened: Stats::get(&stats.dead_letters_shortened),
            dead_letters_not_in_topic: Stats::get(&stats.dead_letters_refused),
            objects: Stats::get(&stats.objects),
            object_bytes: Stats::get(&stats.bytes),
            dead_letter_objects: Stats::get(&stats.dead_letter_objects),
            entries: Stats::get(&stats.entries),
            adopted_entries: Stats::get(&stats.adopted),
            gap_offsets: Stats::get(&stats.gap_offsets),
            holds: Stats::get(&stats.holds),
            cpu_seconds: usage.cpu_seconds,
            peak_memory_bytes: usage.peak_memory_bytes,
            places,
            halted_lanes: summary.halts.clone(),
        }
    }

    /// The report for people, without a final newline.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{}: {} after {:.1} s\n  in             {:>12} records\n  delivered      {:>12} records in {} objects, {}\n  \
             filtered       {:>12} records\n  dead letters   {:>12}{}\n",
            self.pipeline,
            self.outcome.replace('-', " "),
            self.seconds,
            self.records_read,
            self.records_written,
            self.objects,
            bytes_text(self.object_bytes),
            self.records_dropped,
            self.dead_letters,
            if self.dead_letters > 0 {
                format!(" in {} objects", self.dead_letter_objects)
            } else {
                String::new()
            },
        );
        if self.gap_offsets > 0 {
            let _infallible =
                writeln!(text, "  lost           {:>12} offsets to retention", self.gap_offsets);
        }
        if self.records_filtered_not_json > 0 {
            let _infallible = writeln!(
                text,
                "  not JSON       {:>12} records, for the filter",
                self.records_filtered_not_json
            );
        }
        if self.holds > 0 {
            let _infallible =
                writeln!(text, "  held           {:>12} times by a circuit breaker", self.holds);
        }
        for (sink, place) in &self.places {
            let _infallible = writeln!(text, "  {sink:<14} {place}");
        }
        for lane in &self.halted_lanes {
            let _infallible = writeln!(text, "  halted         {lane}");
        }
        text.push_str(&self.how_to_look());
        text
    }

    /// A command that shows the objects, where they lie in folders of this machine.
    fn how_to_look(&self) -> String {
        let sinks = self.places.iter().filter(|(sink, _)| *sink != DEAD_LETTER_SINK);
        let local = sinks.filter_map(|(_, place)| place.strip_prefix("file://")).next();
        match local {
            Some(folder) if self.objects > 0 => format!(
                "\nLook at them (`zstd -dc FILE` or `zcat FILE` shows one; duckdb reads them all, if it is installed):\n  \
                 find {folder} -type f -not -path '*/_vanne/*'\n  \
                 duckdb -c \"select * from '{folder}/2*/**/*.jsonl*' limit 5\""
            ),
            _ => String::new(),
        }
    }
}

fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(bytes_text(0), "0 B");
        assert_eq!(bytes_text(1536), "1.5 KiB");
        assert_eq!(bytes_text(3 << 30), "3.0 GiB");
        assert_eq!(bytes_text(5 << 50), "5120.0 TiB");
    }
}
