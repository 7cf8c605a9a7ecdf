//! What it costs to decide a record of about 1.2 KB.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use host::filter::{Filter, Verdict};
use host::record::{Arena, NewRecord, TopicPartition};

/// A log event as services write them: short fields, a nested object in the middle, a stack trace with
/// escapes at the end.
fn event(status: u32) -> String {
    let trace: Vec<_> = (0..7)
        .map(|nth| format!("\\tat com.example.checkout.payment.Gateway{nth}.call(Gateway{nth}.java:{nth}42)"))
        .collect();
    format!(
        concat!(
            "{{\"timestamp\":\"2026-11-24T11:12:13.456Z\",\"sequence\":123456789,\"level\":\"error\",",
            "\"service\":\"checkout\",\"host\":\"ip-10-0-12-34\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",",
            "\"duration_ms\":12.75,\"sampled\":true,\"parent\":null,\"message\":\"upstream gateway timed out\",",
            "\"http\":{{\"method\":\"POST\",\"path\":\"/v1/payment/session\",\"status\":{},\"bytes\":5321,",
            "\"agent\":\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\"}},",
            "\"tags\":[\"shard-12\",\"replica-7\",\"tenant-99\",\"queue-3\"],",
            "\"stack\":\"java.lang.IllegalStateException: deadline\\n{}\"}}"
        ),
        status,
        trace.join("\\n")
    )
}

fn decide(criterion: &mut Criterion) {
    let origin = TopicPartition { topic: "access-logs".into(), partition: 3 };
    let mut group = criterion.benchmark_group("filter");
    for (name, pattern, status, expected) in [
        (
            "numeric_match",
            r#"{"value": {"http": {"status": [{"numeric": [">=", 500]}]}}}"#,
            503,
            Verdict::Match,
        ),
        (
            "numeric_no_match",
            r#"{"value": {"http": {"status": [{"numeric": [">=", 500]}]}}}"#,
            200,
            Verdict::NoMatch,
        ),
        ("text_no_match", r#"{"value": [{"prefix": "GET "}]}"#, 200, Verdict::NoMatch),
        ("partition_no_match", r#"{"value": {"level": ["error"]}, "partition": [4]}"#, 200, Verdict::NoMatch),
    ] {
        let filter = Filter::parse(&[pattern]).expect("a pattern");
        let mut arena = Arena::default();
        let value = event(status);
        assert!(arena.push(NewRecord { value: Some(value.as_bytes()), ..NewRecord::default() }, []));
        let record = arena.record(0);
        assert_eq!(filter.matches(&record, &origin), expected);
        group.throughput(Throughput::Bytes(value.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(filter.matches(black_box(&record), &origin)));
        });
    }
    group.finish();
}

criterion_group!(benches, decide);
criterion_main!(benches);
