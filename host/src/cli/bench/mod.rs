//! `host bench`: what a pipeline costs on this machine.

mod alternate;
mod swaps;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use alternate::Alternation;

use super::exit::{Exit, print, refusal, say_refused};
use super::usage::Usage;
use crate::config;
use crate::pipeline::{self, Preload, RunOptions, Stats};

/// Arguments of `host bench`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The pipeline's file: a real Kafka, and a topic that may be filled.
    pipeline: PathBuf,
    /// Records to put into the first topic before the run; 0 runs over what is there.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Bytes of each record: a JSON object.
    #[arg(long, default_value_t = 1200)]
    bytes: usize,
    /// Swap the first transform's component so often under load, and print what that costs. Each swap takes
    /// a second or two, for which there have to be records.
    #[arg(long, value_name = "N", requires = "with")]
    swaps: Option<u16>,
    /// The other component, which the first transform's own takes turns with.
    #[arg(long, value_name = "FILE", requires = "swaps")]
    with: Option<PathBuf>,
}

/// Fills the topic, runs the pipeline over it, and prints what that cost.
pub(super) async fn run(arguments: Arguments, json: bool) -> Exit {
    match try_run(&arguments, json).await {
        Ok(()) => Exit::Done,
        Err(text) => {
            say_refused(&text);
            Exit::Refused
        }
    }
}

async fn try_run(arguments: &Arguments, json: bool) -> Result<(), String> {
    let config = config::load(&arguments.pipeline).map_err(|error| error.to_string())?;
    config::check_files(&config).map_err(|error| error.to_string())?;
    let alternation = match (arguments.swaps, &arguments.with) {
        (Some(swaps), Some(with)) => Some(Alternation::new(&config, with, swaps.into())?),
        _ => None,
    };
    let preload = Preload { records: arguments.records, bytes: arguments.bytes };
    pipeline::preload(&config, preload).await.map_err(|error| refusal(&error))?;
    let options = RunOptions { until_end: true, quiet: json, unwatched: false };
    let before = Usage::now();
    let begun = Instant::now();
    let prepared = pipeline::prepare(config, options).await.map_err(|error| refusal(&error))?;
    let (summary, swaps) = match alternation {
        Some(alternation) => {
            let (summary, swaps) = alternation.run(prepared).await?;
            (summary, Some(swaps))
        }
        None => {
            let summary = prepared.run(std::future::pending()).await;
            (summary.map_err(|error| refusal(&error))?, None)
        }
    };
    let after = Usage::now();
    let figures = Figures {
        swaps,
        records: Stats::get(&summary.stats.read),
        bytes: Stats::get(&summary.stats.bytes),
        seconds: begun.elapsed().as_secs_f64(),
        cpu_seconds: after.cpu_seconds - before.cpu_seconds,
        peak_memory_bytes: after.peak_memory_bytes,
    };
    print(&if json { figures.json() } else { figures.text() });
    Ok(())
}

struct Figures {
    swaps: Option<swaps::Figures>,
    records: u64,
    bytes: u64,
    seconds: f64,
    cpu_seconds: f64,
    peak_memory_bytes: u64,
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
impl Figures {
    fn records_per_second(&self) -> f64 {
        self.records as f64 / self.seconds
    }

    fn cpu_seconds_per_million(&self) -> f64 {
        self.cpu_seconds * 1e6 / (self.records as f64).max(1.0)
    }

    fn megabytes_per_core_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.cpu_seconds.max(0.01)
    }

    fn json(&self) -> String {
        serde_json::json!({
            "records": self.records,
            "object_bytes": self.bytes,
            "seconds": self.seconds,
            "records_per_second": self.records_per_second(),
            "cpu_seconds": self.cpu_seconds,
            "cpu_seconds_per_million_records": self.cpu_seconds_per_million(),
            "object_megabytes_per_cpu_second": self.megabytes_per_core_second(),
            "peak_memory_bytes": self.peak_memory_bytes,
            "swaps": self.swaps,
        })
        .to_string()
    }

    fn text(&self) -> String {
        let figures = format!(
            "records                     {:>12}\nrecords/s                   {:>12.0}\n\
             CPU seconds/million records {:>12.2}\nobject MB/s per core        {:>12.1}\n\
             peak memory, MiB            {:>12.0}",
            self.records,
            self.records_per_second(),
            self.cpu_seconds_per_million(),
            self.megabytes_per_core_second(),
            self.peak_memory_bytes as f64 / (1 << 20) as f64,
        );
        match &self.swaps {
            Some(swaps) => format!("{figures}\n\n{}", swaps.text()),
            None => figures,
        }
    }
}
