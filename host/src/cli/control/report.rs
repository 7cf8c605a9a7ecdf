//! What a change did, for people.

use std::time::Duration;

use super::Session;
use super::table::{Align, Table, clean};
use crate::cli::exit::{Exit, say_refused};
use crate::config::show_duration;
use crate::control::client::{Answer, Error};
use crate::control::model::{Boundary, PartitionBoundary, SwapReport};

/// Prints the report and says how the command ends.
pub(super) fn finish(
    session: &Session,
    pipeline: &str,
    wait: Duration,
    answer: Result<Answer<SwapReport>, Error>,
) -> Result<Exit, Error> {
    let answer = answer?;
    session.show(&answer, |report| text(pipeline, report));
    let report = &answer.value;
    if report.complete {
        return Ok(Exit::Done);
    }
    say_refused(&format!(
        "{} of {} partitions have not shown revision {} within {}\nhint: the change is made, and they follow at \
         their next batch; is every host of the group running? the command may be given again",
        count(report, Boundary::Pending),
        report.partitions.len(),
        report.revision,
        show_duration(wait),
    ));
    Ok(Exit::Pending)
}

fn count(report: &SwapReport, state: Boundary) -> usize {
    report.partitions.iter().filter(|partition| partition.state == state).count()
}

/// The report without a final newline.
fn text(pipeline: &str, report: &SwapReport) -> String {
    let mut text = if report.changed {
        format!("{pipeline}: revision {}, before it {}\n", report.revision, report.from_revision)
    } else {
        format!("{pipeline}: nothing changed, revision {} stands\n", report.revision)
    };
    for line in &report.what {
        text += &format!("  {}\n", clean(line));
    }
    if let Some(probe) = &report.probe {
        let failed = if probe.failed == 0 { String::from("none") } else { probe.failed.to_string() };
        text += &format!("  tried on {} kept records: {failed} failed that did not before\n", probe.records);
        for line in &probe.lines {
            text += &format!("    {}\n", clean(line));
        }
    }
    if !report.partitions.is_empty() {
        text += &format!("\n{}\n{}\n", boundaries(&report.partitions), summary(report));
    }
    text
}

fn boundaries(partitions: &[PartitionBoundary]) -> String {
    let mut table = Table::new(&[
        ("topic", Align::Left),
        ("partition", Align::Right),
        ("last old", Align::Right),
        ("first new", Align::Right),
        ("pause", Align::Right),
        ("waited", Align::Right),
    ]);
    let number = |offset: Option<u64>| offset.map_or_else(|| String::from("-"), |offset| offset.to_string());
    let time = |ms: Option<f64>| ms.map_or_else(|| String::from("-"), ms_text);
    for boundary in partitions {
        let place = (boundary.topic.clone(), boundary.partition.to_string());
        match boundary.state {
            Boundary::Swapped => table.row([
                place.0,
                place.1,
                number(boundary.last_old),
                number(boundary.first_new),
                time(boundary.pause_ms),
                time(boundary.waited_ms),
            ]),
            Boundary::Idle => {
                table.row([place.0, place.1, format!("idle, new from {}", number(boundary.first_new))]);
            }
            Boundary::Pending => table.row([place.0, place.1, String::from("pending")]),
        }
    }
    table.text()
}

/// One line: how many, the pause, and apart from it the wait.
fn summary(report: &SwapReport) -> String {
    let swapped = count(report, Boundary::Swapped);
    let mut text = format!("{swapped} of {} partitions swapped", report.partitions.len());
    for (state, name) in [(Boundary::Idle, "idle"), (Boundary::Pending, "pending")] {
        match count(report, state) {
            0 => {}
            some => text += &format!(", {some} {name}"),
        }
    }
    if let Some(pause) = report.pause_ms {
        let (p50, p99, max) = (ms_text(pause.p50), ms_text(pause.p99), ms_text(pause.max));
        text += &format!("; pause p50 {p50}, p99 {p99}, max {max}");
    }
    let waits = report.partitions.iter().filter_map(|partition| partition.waited_ms);
    if let Some(longest) = waits.max_by(f64::total_cmp) {
        text += &format!("; waited for a staged cut {} at the most", ms_text(longest));
    }
    text
}

fn ms_text(ms: f64) -> String {
    format!("{ms:.1} ms")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::model::{PauseStatus, ProbeReport};

    fn partition(partition: i32, state: Boundary) -> PartitionBoundary {
        let topic = String::from("access-logs");
        PartitionBoundary {
            topic,
            partition,
            state,
            last_old: None,
            first_new: None,
            entry: None,
            pause_ms: None,
            waited_ms: None,
        }
    }

    #[test]
    fn a_swap_reads_as_a_table_and_a_line() {
        let swapped = PartitionBoundary {
            last_old: Some(12_345),
            first_new: Some(12_346),
            entry: Some(12_346),
            pause_ms: Some(3.12),
            waited_ms: Some(41.0),
            ..partition(0, Boundary::Swapped)
        };
        let elsewhere =
            PartitionBoundary { first_new: Some(9), entry: Some(9), ..partition(10, Boundary::Swapped) };
        let idle = PartitionBoundary { first_new: Some(88), ..partition(11, Boundary::Idle) };
        let report = SwapReport {
            revision: 7,
            from_revision: 6,
            changed: true,
            what: vec![String::from("transform `parse`: swap at next cut")],
            probe: Some(ProbeReport { records: 100, failed: 0, lines: Vec::new() }),
            partitions: vec![swapped, elsewhere, idle, partition(12, Boundary::Pending)],
            pause_ms: PauseStatus::of(vec![3.12]),
            complete: false,
        };
        assert_eq!(
            text("logs", &report),
            "logs: revision 7, before it 6\n  transform `parse`: swap at next cut\n  \
             tried on 100 kept records: none failed that did not before\n\n\
             topic        partition  last old  first new   pause   waited\n\
             access-logs          0     12345      12346  3.1 ms  41.0 ms\n\
             access-logs         10         -          9       -        -\n\
             access-logs         11  idle, new from 88\n\
             access-logs         12  pending\n\n\
             2 of 4 partitions swapped, 1 idle, 1 pending; pause p50 3.1 ms, p99 3.1 ms, max 3.1 ms; \
             waited for a staged cut 41.0 ms at the most\n"
        );
    }

    #[test]
    fn nothing_that_changed_is_said_so() {
        let report = SwapReport { revision: 6, from_revision: 6, complete: true, ..SwapReport::default() };
        assert_eq!(text("logs", &report), "logs: nothing changed, revision 6 stands\n");
    }
}
