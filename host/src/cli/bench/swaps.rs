//! What swaps cost: how long lanes stand still, and what becomes of the throughput.
//!
//! Owns the sampling and the sums. Does not know how a swap is done. Invariant: a figure about throughput is
//! made of records that the lanes took in, of a stretch that the samples cover wholly.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::pipeline::Stats;

/// How often the records taken in are looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(50);

/// Half of the stretch around a swap whose throughput is measured.
const HALF_A_SECOND: f64 = 0.5;

/// Looks at the records taken in, again and again, until it is dropped.
#[derive(Debug)]
pub(super) struct Sampler {
    begun: Instant,
    stats: Arc<Stats>,
    samples: Arc<Mutex<Vec<Sample>>>,
    task: tokio::task::JoinHandle<()>,
}

/// How many records were taken in by then.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    /// Seconds since the sampler began.
    at: f64,
    records: u64,
}

impl Sampler {
    /// Looks at these counters.
    pub(super) fn start(stats: Arc<Stats>) -> Self {
        let begun = Instant::now();
        let samples = Arc::new(Mutex::new(Vec::new()));
        let (shared, counted) = (Arc::clone(&samples), Arc::clone(&stats));
        let task = tokio::spawn(async move {
            loop {
                let sample =
                    Sample { at: begun.elapsed().as_secs_f64(), records: Stats::get(&counted.taken_in) };
                shared.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
                tokio::time::sleep(SAMPLE_EVERY).await;
            }
        });
        Self { begun, stats, samples, task }
    }

    /// Records taken in so far.
    pub(super) fn records(&self) -> u64 {
        Stats::get(&self.stats.taken_in)
    }

    /// Seconds since it began.
    pub(super) fn now(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// What the swaps cost, by the samples so far.
    pub(super) fn figures(&self, swaps: &[Swapped]) -> Figures {
        Figures::new(&self.samples.lock().unwrap_or_else(PoisonError::into_inner), swaps)
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One swap.
#[derive(Clone, Debug)]
pub(super) struct Swapped {
    /// When the lanes changed, in the sampler's seconds.
    pub(super) at: f64,
    /// Milliseconds of each lane from the return of its last old call to its first new one.
    pub(super) pauses_ms: Vec<f64>,
    /// Milliseconds that each lane waited for a cut that was staged before.
    pub(super) waits_ms: Vec<f64>,
}

/// Ranks of a number, by nearest rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
struct Ranks {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl Ranks {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let rank = |percent| ranked(&values, percent).unwrap_or_default();
        Self { p50: rank(50), p90: rank(90), p99: rank(99), max: rank(100) }
    }

    fn row(&self, name: &str) -> String {
        format!("{name:<34}{:>9.2}{:>9.2}{:>9.2}{:>9.2}\n", self.p50, self.p90, self.p99, self.max)
    }
}

/// The value that so many percent of the sorted values do not exceed.
fn ranked(sorted: &[f64], percent: usize) -> Option<f64> {
    sorted.get((sorted.len() * percent).div_ceil(100).max(1) - 1).copied()
}

/// What the swaps of a run cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Figures {
    swaps: usize,
    /// Pauses measured: one a lane and swap.
    pauses: usize,
    pause_ms: Ranks,
    staged_wait_ms: Ranks,
    /// Between the first swap and the last.
    records_per_second: f64,
    around_a_swap: Around,
}

/// Records per second in the second around a swap, over all swaps whose second was sampled wholly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
struct Around {
    measured: usize,
    lowest: f64,
    p10: f64,
    p50: f64,
    /// The lowest, divided by the mean.
    lowest_of_mean: f64,
}

impl Figures {
    fn new(samples: &[Sample], swaps: &[Swapped]) -> Self {
        let gather = |of: fn(&Swapped) -> &Vec<f64>| swaps.iter().flat_map(of).copied().collect::<Vec<_>>();
        let pauses = gather(|swap| &swap.pauses_ms);
        let first = swaps.first().map_or(0.0, |swap| swap.at - HALF_A_SECOND);
        let last = swaps.last().map_or(0.0, |swap| swap.at + HALF_A_SECOND);
        let mean = rate(samples, first, last).unwrap_or_default();
        let around = swaps.iter();
        let mut around: Vec<_> = around
            .filter_map(|swap| rate(samples, swap.at - HALF_A_SECOND, swap.at + HALF_A_SECOND))
            .collect();
        around.sort_by(f64::total_cmp);
        let rank = |percent| ranked(&around, percent).unwrap_or_default();
        Self {
            swaps: swaps.len(),
            pauses: pauses.len(),
            pause_ms: Ranks::of(pauses),
            staged_wait_ms: Ranks::of(gather(|swap| &swap.waits_ms)),
            records_per_second: mean,
            around_a_swap: Around {
                measured: around.len(),
                lowest: rank(0),
                p10: rank(10),
                p50: rank(50),
                lowest_of_mean: if mean > 0.0 { rank(0) / mean } else { 0.0 },
            },
        }
    }

    /// The table for people.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{:<34}{:>9}{:>9}{:>9}{:>9}\n",
            format!("{} swaps, {} pauses of lanes", self.swaps, self.pauses),
            "p50",
            "p90",
            "p99",
            "max"
        );
        text += &self.pause_ms.row("pause, ms");
        text += &self.staged_wait_ms.row("wait for a staged cut, ms");
        let around = &self.around_a_swap;
        let _infallible = write!(
            text,
            "\n{:<34}{:>9}{:>9}{:>9}{:>9}\n{:<34}{:>9.0}{:>9.0}{:>9.0}{:>9.0}\n\
             the lowest second around a swap is {:.0} % of the mean",
            "throughput",
            "mean",
            "p50",
            "p10",
            "lowest",
            "records/s, second around a swap",
            self.records_per_second,
            around.p50,
            around.p10,
            around.lowest,
            around.lowest_of_mean * 100.0
        );
        text
    }
}

/// Records per second from one time to another; `None` where the samples do not cover that.
fn rate(samples: &[Sample], from: f64, to: f64) -> Option<f64> {
    (to > from).then_some(())?;
    Some((records_at(samples, to)? - records_at(samples, from)?) / (to - from))
}

/// The records that were taken in by a time between two samples, as if they had come evenly.
#[expect(clippy::cast_precision_loss, reason = "a run has fewer than 2^52 records")]
fn records_at(samples: &[Sample], time: f64) -> Option<f64> {
    let after = samples.partition_point(|sample| sample.at < time);
    let next = samples.get(after)?;
    if next.at <= time {
        return Some(next.records as f64);
    }
    let before = &samples[after.checked_sub(1)?];
    let share = (time - before.at) / (next.at - before.at);
    Some(before.records as f64 + (next.records - before.records) as f64 * share)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Samples every 50 ms for so many seconds, under a rate that depends on the time.
    fn samples(seconds: u32, rate: impl Fn(f64) -> f64) -> Vec<Sample> {
        let mut records = 0.0;
        let sample = |nth: u32| {
            let at = f64::from(nth) / 20.0;
            records += rate(at) / 20.0;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a test's few records"
            )]
            let records = records as u64;
            Sample { at, records }
        };
        (0..=seconds * 20).map(sample).collect()
    }

    fn swap(at: f64, pause: f64) -> Swapped {
        Swapped { at, pauses_ms: vec![pause], waits_ms: vec![pause * 10.0] }
    }

    #[test]
    fn an_even_stream_is_even_around_each_swap() {
        let figures = Figures::new(&samples(10, |_| 1000.0), &[swap(2.0, 1.0), swap(5.01, 3.0)]);
        assert!((figures.records_per_second - 1000.0).abs() < 1.0, "{figures:?}");
        assert!((figures.around_a_swap.lowest_of_mean - 1.0).abs() < 0.01, "{figures:?}");
        assert_eq!((figures.swaps, figures.pauses, figures.around_a_swap.measured), (2, 2, 2));
        assert_eq!(figures.pause_ms, Ranks { p50: 1.0, p90: 3.0, p99: 3.0, max: 3.0 });
        assert_eq!(figures.staged_wait_ms.max, 30.0);
    }

    #[test]
    fn a_swap_that_stops_the_stream_is_found() {
        // Nothing comes for half a second around the second of three swaps.
        let rate = |at: f64| if (4.75..5.25).contains(&at) { 0.0 } else { 1000.0 };
        let figures = Figures::new(&samples(10, rate), &[swap(2.0, 1.0), swap(5.0, 500.0), swap(8.0, 1.0)]);
        let around = figures.around_a_swap;
        assert!((around.lowest - 500.0).abs() < 60.0 && around.p50 > 990.0, "{around:?}");
        assert!(around.lowest_of_mean < 0.6, "{around:?}");
    }

    #[test]
    fn seconds_that_were_not_sampled_wholly_are_not_measured() {
        let figures =
            Figures::new(&samples(4, |_| 1000.0), &[swap(0.2, 1.0), swap(2.0, 1.0), swap(3.9, 1.0)]);
        assert_eq!(figures.around_a_swap.measured, 1);
        assert_eq!(Figures::new(&[], &[]).around_a_swap, Around::default());
    }

    #[test]
    fn the_table_has_every_figure() {
        let text = Figures::new(&samples(10, |_| 1000.0), &[swap(2.0, 1.25), swap(5.0, 3.0)]).text();
        let expected = "\
2 swaps, 2 pauses of lanes              p50      p90      p99      max
pause, ms                              1.25     3.00     3.00     3.00
wait for a staged cut, ms             12.50    30.00    30.00    30.00

throughput                             mean      p50      p10   lowest
records/s, second around a swap        1000     1000     1000     1000
the lowest second around a swap is 100 % of the mean";
        assert_eq!(text, expected);
    }

    proptest! {
        #[test]
        fn ranks_are_values_and_rise(values in prop::collection::vec(0.0..1e6_f64, 1..300)) {
            let ranks = Ranks::of(values.clone());
            let rising = [ranks.p50, ranks.p90, ranks.p99, ranks.max];
            prop_assert!(rising.is_sorted() && rising.iter().all(|rank| values.contains(rank)));
            prop_assert!(values.iter().all(|value| *value <= ranks.max));
            prop_assert!(values.iter().filter(|value| **value <= ranks.p50).count() * 2 >= values.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sampler_counts_what_lanes_take_in() {
        let stats = Arc::new(Stats::default());
        let sampler = Sampler::start(Arc::clone(&stats));
        for _ in 0..3 {
            tokio::time::sleep(SAMPLE_EVERY).await;
            Stats::add(&stats.taken_in, 10);
        }
        tokio::time::sleep(SAMPLE_EVERY).await;
        let samples = sampler.samples.lock().expect("nobody panicked").clone();
        assert!(samples.len() >= 4 && sampler.now() >= 0.0, "{samples:?}");
        assert_eq!((samples[0].records, samples[samples.len() - 1].records), (0, 30), "{samples:?}");
    }
}
