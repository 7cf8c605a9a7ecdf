//! What a call of a plugin costs, in each world of the contract: `identity`, 1,000 records of 1 KiB, beside
//! copying their values.

#![allow(missing_docs, reason = "a bench")]

#[path = "../tests/common/guests.rs"]
mod guests;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use host::clock::Moment;
use host::config::{Grants, Limits, Policy};
use host::plugin::{Engine, Plugin, Spec};
use host::record::{Arena, Batch, Epoch, NewRecord, OffsetRange, TopicPartition};
use host::transform::Chain;

/// What the binary runs with: with another allocator the figures would be another's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RECORDS: u64 = 1_000;
const VALUE_BYTES: usize = 1_024;

fn batch() -> Batch {
    let origin = TopicPartition { topic: Arc::from("bench"), partition: 0 };
    let value = vec![b'x'; VALUE_BYTES];
    let mut records = Arena::default();
    for offset in 0..RECORDS {
        let key = b"fifteen bytes !";
        let record = NewRecord { key: Some(key), value: Some(&value), timestamp_ms: 0, offset, index: 0 };
        assert!(records.push(record, []));
    }
    Batch { origin, epoch: Epoch(1), range: OffsetRange { start: 0, end: RECORDS }, records }
}

fn plugin_call(criterion: &mut Criterion) {
    let engine = Engine::new(None).expect("the engine starts");
    let limits = Limits { timeout: Duration::from_secs(30), ..Limits::default() };
    let batch = batch();
    let mut group = criterion.benchmark_group("plugin");
    group.throughput(Throughput::Elements(RECORDS));
    group.bench_function("copy", |bencher| {
        let mut copy = Vec::with_capacity(RECORDS as usize * VALUE_BYTES);
        bencher.iter(|| {
            copy.clear();
            batch.records.iter().for_each(|record| copy.extend_from_slice(record.value.unwrap_or_default()));
            black_box(copy.len())
        });
    });
    for (world, guest) in [("columnar", "identity"), ("ergonomic", "identity-ergonomic")] {
        for by in ["forward", "read-forward", "replace", "emit"] {
            let config = format!(r#"{{"by": "{by}"}}"#);
            let grants = &Grants::default();
            let spec = Spec { pipeline: "bench", transform: by, config: &config, limits: &limits, grants };
            let plugin = Plugin::load(&engine, &guests::guest(guest), spec).expect("the guest loads");
            let mut lane = Chain::new(vec![(plugin, Policy::default())]).lane(batch.origin.clone());
            group.bench_function(format!("{world} {by}"), |bencher| {
                bencher.iter(|| {
                    let result = lane.process(&batch, 0, Moment::now()).expect("it gives all back");
                    assert_eq!(result.outputs.len() as u64, RECORDS);
                    // As the pipeline does once it has taken them in.
                    lane.recycle(result);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, plugin_call);
criterion_main!(benches);
