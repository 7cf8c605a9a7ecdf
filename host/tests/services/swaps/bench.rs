//! `host bench --swaps`: the numbers themselves are of an idle machine and an optimised build; here it has to measure.

use std::time::Duration;

use serde_json::Value;

use super::stage::{FIRST, Stage};
use crate::crash::dice::Dice;
use crate::stamps::{Mode, stamped};
use crate::support::host::{Host, Launch};

/// How long a bench may take here: builds may run beside it.
const BENCH: Duration = Duration::from_secs(240);

const PARTITIONS: u64 = 4;

#[test]
fn a_bench_of_swaps_measures_every_lane_and_the_throughput_around() {
    let mut bench = start("bench-swaps", "3", "600000");
    bench.host.expect_exit(BENCH, 0);
    let figures: Value = serde_json::from_str(&bench.host.stdout()).expect("JSON");
    let swaps = &figures["swaps"];
    assert_eq!(swaps["swaps"], 3, "{figures}");
    // A lane that has no records has no pause either, and who puts them in decides where they go.
    let pauses = swaps["pauses"].as_u64().expect("a number");
    assert!((3..=3 * PARTITIONS).contains(&pauses), "{figures}");
    let number = |pointer: &str| {
        swaps.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {pointer}: {figures}"))
    };
    let ranks = ["p50", "p90", "p99", "max"].map(|rank| number(&format!("/pause_ms/{rank}")));
    assert!(ranks[0] > 0.0 && ranks.is_sorted(), "{figures}");
    assert!(number("/staged_wait_ms/max") >= 0.0 && number("/records_per_second") > 0.0, "{figures}");
    assert!(number("/around_a_swap/measured") >= 2.0, "{figures}");
    assert!(number("/around_a_swap/lowest") > 0.0, "no swap stops the stream for a second: {figures}");
}

#[test]
fn a_bench_of_swaps_that_runs_out_of_records_says_so() {
    let mut bench = start("bench-short", "50", "2000");
    bench.host.expect_exit(BENCH, 1);
    let said = bench.host.stderr();
    assert!(said.contains("lasted for 0 of 50 swaps; give more of them"), "{said}");
}

/// A bench, and what it runs over.
struct Bench {
    host: Host,
    _stage: Stage,
}

/// Begins a bench between two versions, slow ones, so that few records last for a while.
fn start(name: &'static str, swaps: &str, records: &str) -> Bench {
    let dice = Dice::for_test(name);
    let mut stage = Stage::new(name, 4, 0, &dice, |pipeline| {
        pipeline.set("swap.prove", r#""100ms""#).set("batch.records", "200")
    });
    stage.make("stamp.wasm", &stamped(FIRST, Mode::Slow), FIRST);
    let other = stage.version(2, Mode::Slow).to_string_lossy().into_owned();
    let pipeline = stage.scene.pipeline.to_string_lossy().into_owned();
    let arguments =
        ["bench", "--json", "--bytes", "120", "--records", records, "--swaps", swaps, "--with", &other];
    let host = Launch::command(stage.folder(), &arguments).argument(&pipeline).start();
    Bench { host, _stage: stage }
}
