//! A short account of a pipeline for a person: what will be read, run and written.
//!
//! Invariant: shows no secret, and no value of `options`, `properties` or a transform's `config`.

use std::fmt::{self, Display};

use super::error::shown;
use super::model::{
    Batch, Broker, Compression, Cut, FeedFrom, Filter, Format, Grants, Host, Limits, Location, NotJson,
    ObjectSink, OnError, OnFatal, Pipeline, Policy, RollbackLimits, Sink, Source, Start, Swap, Transform,
};
use super::raw::defaults;
use super::units::{show_duration, show_size};

/// What the pipeline does, a line a fact; values that are as if nothing was written are marked.
#[must_use]
pub fn summary(pipeline: &Pipeline) -> String {
    Summary(pipeline).to_string()
}

struct Summary<'a>(&'a Pipeline);

impl Display for Summary<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pipeline = self.0;
        writeln!(formatter, "pipeline  {}", pipeline.name)?;
        write_source(formatter, pipeline)?;
        write_batch(formatter, &pipeline.batch)?;
        write_cut(formatter, &pipeline.cut)?;
        if let Some(filter) = &pipeline.filter {
            write_filter(formatter, filter)?;
        }
        if pipeline.transforms.is_empty() {
            writeln!(formatter, "run       nothing: records pass unchanged")?;
        }
        for transform in &pipeline.transforms {
            write_transform(formatter, transform)?;
        }
        for (name, Sink::ObjectStore(sink)) in &pipeline.sinks {
            write_sink(formatter, name, sink)?;
        }
        write_places(formatter, pipeline)?;
        write_swap(formatter, &pipeline.swap)?;
        write_host(formatter, &pipeline.host)
    }
}

/// ` (default)` after a value that is the default.
fn marked<T: PartialEq>(value: &T, default: &T, shown: impl Display) -> String {
    if value == default { format!("{shown} (default)") } else { shown.to_string() }
}

fn write_source(formatter: &mut fmt::Formatter<'_>, pipeline: &Pipeline) -> fmt::Result {
    let source = &pipeline.source;
    match &source.broker {
        Broker::Kafka { brokers } => writeln!(formatter, "read      kafka at {brokers}")?,
        Broker::Embedded { partitions, feed } => {
            let partitions = marked(partitions, &defaults::PARTITIONS, partitions);
            writeln!(formatter, "read      a broker in this process; partitions {partitions}")?;
            let most = feed.records.map_or_else(|| "all".into(), |records| format!("at most {records}"));
            let from = match &feed.from {
                FeedFrom::File(path) => format!("{most} lines of {}", path.display()),
                FeedFrom::Standard => format!("{most} lines of standard input"),
                FeedFrom::AccessLog => format!("{most} made-up access-log lines, seed {}", feed.seed),
            };
            writeln!(formatter, "          fed with {from}")?;
        }
    }
    writeln!(formatter, "          topics {}", source.topics.join(", "))?;
    writeln!(formatter, "          group {}", marked(&source.group, &pipeline.name, &source.group))?;
    writeln!(formatter, "          start {}", start(source))?;
    if !source.properties.is_empty() {
        let names: Vec<_> = source.properties.keys().map(String::as_str).collect();
        writeln!(formatter, "          properties {}", names.join(", "))?;
    }
    Ok(())
}

fn start(source: &Source) -> String {
    match &source.start {
        Start::Earliest => "earliest (default)".into(),
        Start::Latest => "latest".into(),
        Start::Time(ms) => crate::clock::rfc3339(*ms),
        Start::Offsets(topics) => {
            let topic = |(topic, offsets): (&String, &std::collections::BTreeMap<i32, u64>)| {
                let offsets: Vec<_> =
                    offsets.iter().map(|(partition, offset)| format!("{partition}@{offset}")).collect();
                format!("{topic} {}", offsets.join(" "))
            };
            topics.iter().map(topic).collect::<Vec<_>>().join(", ")
        }
    }
}

fn write_batch(formatter: &mut fmt::Formatter<'_>, batch: &Batch) -> fmt::Result {
    let bytes = batch.bytes.get() as u64;
    let records = batch.records.get() as u64;
    writeln!(
        formatter,
        "batch     size {}, records {}, window {}",
        marked(&bytes, &defaults::BATCH_SIZE, show_size(bytes)),
        marked(&records, &defaults::BATCH_RECORDS, records),
        marked(&batch.window, &defaults::BATCH_WINDOW, show_duration(batch.window)),
    )
}

fn write_cut(formatter: &mut fmt::Formatter<'_>, cut: &Cut) -> fmt::Result {
    let bound = |bound: Option<String>| bound.unwrap_or_else(|| "no bound (default)".into());
    writeln!(
        formatter,
        "cut       interval {}, size {}, records {}, min_size {}, max_interval {}",
        marked(&cut.interval, &defaults::INTERVAL, show_duration(cut.interval)),
        bound(cut.size.map(show_size)),
        bound(cut.records.map(|records| records.to_string())),
        marked(&cut.min_size, &defaults::MIN_SIZE, show_size(cut.min_size)),
        marked(&cut.max_interval, &defaults::MAX_INTERVAL, show_duration(cut.max_interval)),
    )
}

fn write_filter(formatter: &mut fmt::Formatter<'_>, filter: &Filter) -> fmt::Result {
    for (nth, pattern) in filter.patterns.iter().enumerate() {
        let label = if nth == 0 { "take      only" } else { "          or" };
        writeln!(formatter, "{label} {}", shown(pattern))?;
    }
    let not_json = match filter.not_json {
        NotJson::Drop => "drop",
        NotJson::DeadLetter => "dead-letter",
    };
    writeln!(formatter, "          not_json {}", marked(&filter.not_json, &NotJson::Drop, not_json))
}

fn write_transform(formatter: &mut fmt::Formatter<'_>, transform: &Transform) -> fmt::Result {
    let plugin = match transform.plugin.as_os_str().is_empty() {
        true => "its component in the ledger".into(),
        false => transform.plugin.display().to_string(),
    };
    writeln!(formatter, "run       {}: {plugin}", transform.name)?;
    write_limits(formatter, &transform.limits)?;
    if transform.grants != Grants::default() {
        writeln!(formatter, "          granted {}", transform.grants.names().join(", "))?;
    }
    write_policy(formatter, &transform.policy)?;
    match &transform.build {
        Some(build) => {
            writeln!(formatter, "          built by `{}` in {}", build.command, build.dir.display())
        }
        None => Ok(()),
    }
}

fn write_limits(formatter: &mut fmt::Formatter<'_>, limits: &Limits) -> fmt::Result {
    let default = Limits::default();
    let bytes = |bytes: usize| show_size(bytes as u64);
    write!(
        formatter,
        "          limits memory {}, timeout {}",
        marked(&limits.memory, &default.memory, bytes(limits.memory)),
        marked(&limits.timeout, &default.timeout, show_duration(limits.timeout)),
    )?;
    // The rest is seldom written, so that it is shown only where it is.
    let rest = [
        ("output", limits.output != default.output, bytes(limits.output)),
        (
            "table_elements",
            limits.table_elements != default.table_elements,
            limits.table_elements.to_string(),
        ),
        ("instances", limits.instances != default.instances, limits.instances.to_string()),
        ("log_lines", limits.log_lines != default.log_lines, limits.log_lines.to_string()),
    ];
    for (name, written, value) in rest {
        if written {
            write!(formatter, ", {name} {value}")?;
        }
    }
    writeln!(formatter)
}

fn write_policy(formatter: &mut fmt::Formatter<'_>, policy: &Policy) -> fmt::Result {
    let default = Policy::default();
    let retries = policy.retries.map_or_else(|| "without end".into(), |retries| retries.to_string());
    let age = policy.max_record_age.map_or_else(|| "any age".into(), show_duration);
    let on_error = match policy.on_error {
        OnError::DeadLetter => "dead-letter",
        OnError::Drop => "drop",
        OnError::Stop => "stop",
    };
    let on_fatal = match policy.on_fatal {
        OnFatal::Bisect => "bisect",
        OnFatal::Stop => "stop",
    };
    let breaker = policy.circuit_breaker.as_ref().map_or_else(
        || "never held".into(),
        |breaker| {
            format!(
                "held for {} when {}% of {} records fail in {}",
                show_duration(breaker.pause),
                breaker.max_failures_percent,
                breaker.records,
                show_duration(breaker.window)
            )
        },
    );
    writeln!(
        formatter,
        "          retries {}, {}, on_error {}, on_fatal {}, {}",
        marked(&policy.retries, &default.retries, retries),
        marked(&policy.max_record_age, &default.max_record_age, age),
        marked(&policy.on_error, &default.on_error, on_error),
        marked(&policy.on_fatal, &default.on_fatal, on_fatal),
        marked(&policy.circuit_breaker, &default.circuit_breaker, breaker),
    )
}

fn write_sink(formatter: &mut fmt::Formatter<'_>, name: &str, sink: &ObjectSink) -> fmt::Result {
    writeln!(formatter, "write     {name}: {}", location(&sink.location))?;
    let format = match sink.format {
        Format::Raw => "raw",
        Format::JsonLines => "json-lines",
    };
    let compression = match sink.compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
    };
    let prefix = match sink.prefix.parts.is_empty() {
        true => "none".into(),
        false => marked(&sink.prefix, &super::prefix::default(), &sink.prefix),
    };
    writeln!(
        formatter,
        "          prefix {}, format {}, compression {}, buffer {}",
        prefix,
        marked(&sink.format, &Format::JsonLines, format),
        marked(&sink.compression, &Compression::Zstd, compression),
        marked(&sink.buffer_bytes, &defaults::BUFFER, show_size(sink.buffer_bytes)),
    )?;
    if sink.default { Ok(()) } else { writeln!(formatter, "          only records that are routed to it") }
}

fn location(location: &Location) -> String {
    if location.options.is_empty() {
        return location.url.to_string();
    }
    let names: Vec<_> = location.options.keys().map(String::as_str).collect();
    format!("{} with {}", location.url, names.join(", "))
}

fn write_places(formatter: &mut fmt::Formatter<'_>, pipeline: &Pipeline) -> fmt::Result {
    match (&pipeline.ledger, pipeline.ledger_location()) {
        (Some(ledger), _) => {
            let shared = if ledger.shared { ", shared by several machines" } else { "" };
            writeln!(formatter, "ledger    {}{shared}", location(&ledger.location))?;
        }
        (None, Some(place)) => writeln!(formatter, "ledger    {} (default)", location(&place))?,
        (None, None) => {}
    }
    match (&pipeline.dead_letter.location, pipeline.dead_letter_location()) {
        (Some(place), _) => writeln!(formatter, "dead      {}", location(place))?,
        (None, Some(place)) => writeln!(formatter, "dead      {} (default)", location(&place))?,
        (None, None) => {}
    }
    match &pipeline.dead_letter.topic {
        Some(topic) => writeln!(formatter, "          topic {topic} as well, at least once"),
        None => Ok(()),
    }
}

fn write_swap(formatter: &mut fmt::Formatter<'_>, swap: &Swap) -> fmt::Result {
    let default = Swap::default();
    let watch = if swap.watch { "changed files" } else { "no files" };
    writeln!(
        formatter,
        "swap      watch {}, probe {}, prove {}",
        marked(&swap.watch, &default.watch, watch),
        marked(&swap.probe, &default.probe, swap.probe),
        marked(&swap.prove, &default.prove, show_duration(swap.prove)),
    )?;
    let rollback = swap.rollback.as_ref().map_or_else(|| "off".into(), rollback);
    writeln!(formatter, "          rollback {}", marked(&swap.rollback, &default.rollback, rollback))
}

fn rollback(limits: &RollbackLimits) -> String {
    let failed = limits.failed.map(|share| format!("failed over {share}"));
    let dropped = limits.dropped.map(|share| format!("dropped over {share}"));
    let time = limits.time.map(|factor| format!("time over {factor}"));
    let limits_shown: Vec<_> = [failed, dropped, time].into_iter().flatten().collect();
    format!(
        "by {} within {} batches or {}, from {} records on",
        limits_shown.join(", "),
        limits.batches,
        show_duration(limits.window),
        limits.records,
    )
}

fn write_host(formatter: &mut fmt::Formatter<'_>, host: &Host) -> fmt::Result {
    let threads =
        host.threads.map_or_else(|| "as many as cores (default)".into(), |threads| threads.to_string());
    let cache = host
        .cache
        .as_ref()
        .map_or_else(|| "the user's (default)".into(), |cache| cache.display().to_string());
    let memory = marked(&host.memory, &defaults::MEMORY, show_size(host.memory));
    let token = if host.control_token.is_some() { ", by a token" } else { "" };
    let control = match &host.control {
        Some(control) if control.explicit => format!("{}{token}", control.address),
        Some(control) => format!("{} (default){token}", control.address),
        None => "off".into(),
    };
    writeln!(formatter, "host      memory {memory}, threads {threads}, cache {cache}")?;
    writeln!(formatter, "          control {control}")
}
