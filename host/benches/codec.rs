//! What a record costs between the source and the store: filling an arena, checking and encoding a
//! line, compressing an object, and all of it through a range.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use host::batch::{OpenRange, Part, SinkSpec, Sinks, Worked};
use host::clock::Random;
use host::codec::{compress, encode_line};
use host::config::{Compression, Format};
use host::record::{
    Arena, Batch, Epoch, NewRecord, OffsetRange, Output, OutputSource, TopicPartition, Transformed, Variant,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Records of one batch: about 1 MiB.
const RECORDS: usize = 870;

/// Parts of an upload.
const PART_BYTES: usize = 5 << 20;

/// A log event of about 1.2 KB, as services write them: short fields, a nested object, a stack trace
/// with escapes.
fn event(random: &Random, nth: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "checkout",
        "inventory",
        "payment",
        "gateway",
        "session",
        "timeout",
        "retry",
        "upstream",
        "cache",
        "shard",
        "replica",
        "tenant",
        "request",
        "response",
        "deadline",
        "queue",
    ];
    let word = || WORDS[usize::try_from(random.next_u64() % 16).unwrap_or(0)];
    let sentence = |words: usize| (0..words).map(|_| word()).collect::<Vec<_>>().join(" ");
    let number = |below: u64| random.next_u64() % below;
    let trace: Vec<_> = (0..5)
        .map(|_| format!("\\tat com.example.{}.{}({}.java:{})", word(), word(), word(), number(900)))
        .collect();
    let tags: Vec<_> = (0..6).map(|_| format!("\"{}-{}\"", word(), number(100))).collect();
    format!(
        concat!(
            "{{\"timestamp\":\"2026-11-24T11:{:02}:{:02}.{:03}Z\",\"sequence\":{},\"level\":\"error\",",
            "\"service\":\"{}\",\"host\":\"ip-10-0-{}-{}\",\"trace_id\":\"{:016x}{:016x}\",",
            "\"duration_ms\":{}.{},\"sampled\":true,\"parent\":null,\"message\":\"{}\",",
            "\"http\":{{\"method\":\"POST\",\"path\":\"/v1/{}/{}\",\"status\":{},\"bytes\":{},",
            "\"agent\":\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\"}},",
            "\"tags\":[{}],\"stack\":\"java.lang.IllegalStateException: {}\\n{}\"}}"
        ),
        number(60),
        number(60),
        number(1000),
        nth,
        word(),
        number(256),
        number(256),
        random.next_u64(),
        random.next_u64(),
        number(5000),
        number(1000),
        sentence(24),
        word(),
        number(1_000_000),
        200 + number(300),
        number(100_000),
        tags.join(","),
        sentence(6),
        trace.join("\\n"),
    )
    .into_bytes()
}

fn events() -> Vec<Vec<u8>> {
    let random = Random::seeded(7);
    (0..RECORDS).map(|nth| event(&random, nth)).collect()
}

fn total(events: &[Vec<u8>]) -> u64 {
    events.iter().map(|event| event.len() as u64).sum()
}

fn fill(arena: &mut Arena, events: &[Vec<u8>], start: u64) {
    for (offset, event) in (start..).zip(events) {
        let record = NewRecord {
            key: Some(b"customer-4711"),
            value: Some(event),
            timestamp_ms: 1_764_000_000_000,
            offset,
            index: 0,
        };
        assert!(arena.push(record, [(&b"source"[..], Some(&b"bench"[..]))]));
    }
}

fn lines(criterion: &mut Criterion) {
    let events = events();
    let mut group = criterion.benchmark_group("line");
    group.throughput(Throughput::Bytes(total(&events)));
    let mut out = Vec::with_capacity(2 << 20);
    for (name, format) in [("raw", Format::Raw), ("json-lines", Format::JsonLines)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                for event in &events {
                    encode_line(format, Some(black_box(event)), &mut out).expect("the events are JSON");
                }
            });
        });
    }
    group.bench_function("serde_json, checking only", |bencher| {
        bencher.iter(|| {
            for event in &events {
                let checked: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(black_box(event));
                assert!(checked.is_ok());
            }
        });
    });
    group.finish();
}

fn compression(criterion: &mut Criterion) {
    let plain = events().join(&b'\n');
    let mut group = criterion.benchmark_group("compress");
    group.throughput(Throughput::Bytes(plain.len() as u64));
    group.sample_size(20);
    for (name, compression) in [("gzip", Compression::Gzip), ("zstd", Compression::Zstd)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || plain.clone(),
                |plain| compress(compression, plain),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn arena(criterion: &mut Criterion) {
    let events = events();
    let mut group = criterion.benchmark_group("arena");
    group.throughput(Throughput::Bytes(total(&events)));
    let mut arena = Arena::default();
    group.bench_function("fill", |bencher| {
        bencher.iter(|| {
            arena.clear();
            fill(&mut arena, black_box(&events), 0);
        });
    });
    group.finish();
}

fn batch(events: &[Vec<u8>], start: u64) -> Batch {
    let mut records = Arena::default();
    fill(&mut records, events, start);
    let origin = TopicPartition { topic: Arc::from("bench"), partition: 0 };
    let range = OffsetRange { start, end: start + events.len() as u64 };
    Batch { origin, epoch: Epoch(1), range, records }
}

fn forwarded() -> Transformed {
    let inputs = 0..u32::try_from(RECORDS).unwrap_or(u32::MAX);
    let output = |input| Output { input, index: 0, source: OutputSource::Input, annotation: None };
    Transformed { outputs: inputs.map(output).collect(), ..Transformed::default() }
}

fn sinks(compression: Compression) -> Arc<Sinks> {
    let spec = SinkSpec {
        name: Arc::from("lake"),
        format: Format::JsonLines,
        compression,
        buffer_bytes: 64 << 20,
        default: true,
    };
    Sinks::new(vec![spec], PART_BYTES, "")
}

/// Sixteen batches a range, so that objects stream; worked as a lane does.
fn ranges(criterion: &mut Criterion) {
    let events = events();
    let batches: Vec<_> = (0..16).map(|nth| batch(&events, nth * RECORDS as u64)).collect();
    let transformed = forwarded();
    let mut group = criterion.benchmark_group("range of 16 MB");
    group.throughput(Throughput::Bytes(total(&events) * 16));
    group.sample_size(10);
    for (name, compression) in
        [("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)]
    {
        let mut range = OpenRange::new(sinks(compression), 0);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                range.restart(0);
                for batch in &batches {
                    take_in(&mut range, batch, &transformed);
                    while let Some(chunk) = range.next_chunk() {
                        black_box(chunk);
                    }
                }
                range.cut()
            });
        });
    }
    group.finish();
}

fn take_in(range: &mut OpenRange, batch: &Batch, transformed: &Transformed) {
    let part = Part { variant: Variant::Stable, transformed, transforms: &[] };
    let worked = Worked { batch, from: 0, rest: None, parts: &[part], now_ms: 0 };
    range.take_in(&worked).expect("every record is forwarded");
}

criterion_group!(benches, lines, compression, arena, ranges);
criterion_main!(benches);
