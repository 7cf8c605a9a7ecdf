//! What a person sees while a pipeline works.
//!
//! Owns a line on standard error: redrawn on a terminal, a log line every ten seconds elsewhere.
//! Invariant: writes nothing to standard output, and never waits.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::Stats;
use super::roster::Facts;
use crate::record::TopicPartition;

const LOG_EVERY: Duration = Duration::from_secs(10);

/// The progress of all lanes.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    lanes: HashMap<TopicPartition, (Arc<Facts>, Option<u64>)>,
    begun: Instant,
    logged: Instant,
}

impl Progress {
    /// A line on standard error, where that is a terminal and `quiet` is false.
    pub(super) fn new(quiet: bool) -> Self {
        let drawn = !quiet && std::io::stderr().is_terminal();
        let bar = drawn.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar
        });
        Self { bar, lanes: HashMap::new(), begun: Instant::now(), logged: Instant::now() }
    }

    pub(super) fn add(&mut self, lane: &TopicPartition, facts: &Arc<Facts>, until: Option<u64>) {
        self.lanes.insert(lane.clone(), (Arc::clone(facts), until));
    }

    pub(super) fn remove(&mut self, lane: &TopicPartition) {
        self.lanes.remove(lane);
    }

    /// Shows the numbers as they are now.
    pub(super) fn show(&mut self, stats: &Stats) {
        if self.bar.is_none() && self.logged.elapsed() < LOG_EVERY {
            return;
        }
        self.logged = Instant::now();
        let taken = Stats::get(&stats.taken_in);
        let rate = taken / self.begun.elapsed().as_secs().max(1);
        let (objects, dead) = (Stats::get(&stats.objects), Stats::get(&stats.dead_letters));
        let held = Stats::get(&stats.held_lanes);
        match &self.bar {
            Some(bar) => {
                bar.set_message(format!(
                    "{taken} records in ({rate}/s), {} to go, {} delivered in {objects} objects, {dead} dead letters{}",
                    self.to_go().map_or_else(|| String::from("?"), |left| left.to_string()),
                    Stats::get(&stats.written),
                    if held == 0 { String::new() } else { format!(", {held} LANES HELD") },
                ));
                bar.tick();
            }
            None => {
                tracing::info!(
                    taken,
                    rate,
                    lanes = self.lanes.len(),
                    objects,
                    dead_letters = dead,
                    held,
                    "working"
                )
            }
        }
    }

    /// Records up to the ends noted at start; `None` where there is no end.
    fn to_go(&self) -> Option<u64> {
        self.lanes
            .values()
            .map(|(facts, until)| until.map(|end| end.saturating_sub(facts.position.load(Ordering::Relaxed))))
            .sum()
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
