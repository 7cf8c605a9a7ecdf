//! `host explain`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::exit::{Exit, print, say_refused};
use crate::config;
use crate::pipeline::{self, Explanation, Presence, chain_text};
use crate::record::OffsetRun;

/// Offset runs that people are shown; JSON has all of them.
const RUNS_SHOWN: usize = 12;

/// Arguments of `host explain`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The object: `s3://bucket/path`, `gs://…`, `az://…`, `file:///…`, or the path of a file.
    object: String,
    /// The pipeline's file, which says where the ledger is and how to open its stores. Without it: the
    /// nearest ledger above a file, else `_vanne` in the bucket, opened as the environment says.
    #[arg(long)]
    pipeline: Option<PathBuf>,
}

/// Says where an object comes from and what made it.
pub(super) async fn run(arguments: Arguments, json: bool) -> Exit {
    let config = match arguments.pipeline.as_deref().map(config::load).transpose() {
        Ok(config) => config,
        Err(error) => {
            say_refused(&error.to_string());
            return Exit::Refused;
        }
    };
    match pipeline::explain(&arguments.object, config).await {
        Ok(explanation) => {
            if json {
                print(&form(&explanation).to_string());
            } else {
                print(text(&explanation).trim_end());
            }
            match presence_refusal(&explanation) {
                None => Exit::Done,
                Some(why) => {
                    say_refused(&why);
                    Exit::Refused
                }
            }
        }
        Err(error) => {
            let hint = error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            say_refused(&format!("{}{hint}", chain_text(&error)));
            Exit::Refused
        }
    }
}

/// Bytes that are not those of the entry are no success.
fn presence_refusal(explanation: &Explanation) -> Option<String> {
    let Presence::OtherLength { bytes } = explanation.presence else { return None };
    let (address, expected) = (&explanation.address, explanation.object.bytes);
    Some(format!("`{address}` has {bytes} bytes, and its entry says {expected}: it was replaced"))
}

/// The JSON form; its names are stable.
fn form(explanation: &Explanation) -> Value {
    let Explanation { address, sink, object, entry, entry_at, entry_digest, revision, config_at, presence } =
        explanation;
    json!({
        "object": address, "presence": presence, "sink": sink, "path": object.path,
        "bytes": object.bytes, "crc64nvme": object.crc64nvme, "records": object.records,
        "first_offset": object.first_offset, "last_offset": object.last_offset, "runs": object.runs,
        "variant": object.variant, "transforms": explanation.transforms(),
        "config_digest": explanation.config_digest(), "config_at": config_at,
        "revision": entry.revision, "revision_document": revision,
        "pipeline": entry.pipeline, "topic": entry.topic, "topic_id": entry.topic_id,
        "partition": entry.partition, "start": entry.start, "end": entry.end, "nonce": entry.nonce,
        "cause": entry.cause, "cut_at": entry.cut_at, "host_version": entry.host_version,
        "entry": entry_at, "entry_digest": entry_digest,
    })
}

/// The explanation for people.
fn text(explanation: &Explanation) -> String {
    let Explanation { object, entry, .. } = explanation;
    let mut text = format!("{}\n", explanation.address);
    let mut line = |name: &str, value: &str| {
        let _infallible = writeln!(text, "  {name:<12} {value}");
    };
    line("object", &presence(explanation));
    line("checksum", &format!("crc64nvme {}", object.crc64nvme));
    line("sink", &explanation.sink);
    line("pipeline", &entry.pipeline);
    line("topic", &format!("{} (id {})", entry.topic, entry.topic_id));
    line("partition", &entry.partition.to_string());
    line("offsets", &format!("{} to {}", object.first_offset, object.last_offset));
    if !object.runs.is_empty() {
        line("runs", &runs(&object.runs));
    }
    line("records", &object.records.to_string());
    if !object.variant.is_stable() {
        line("version", "the candidate of its revision");
    }
    if explanation.transforms().is_empty() {
        line("transforms", "none");
    }
    for (number, transform) in explanation.transforms().iter().enumerate() {
        let name = if number == 0 { "transforms" } else { "" };
        line(name, &format!("{}: {} {}", transform.name, transform.plugin, transform.version));
        line("", &format!("  component {}", transform.digest));
        let grants = transform.grants.join(", ");
        line("", &format!("  granted {}", if grants.is_empty() { "nothing" } else { &grants }));
    }
    line("config", explanation.config_digest());
    if let Some(at) = &explanation.config_at {
        line("", &format!("kept as {at}"));
    }
    line("revision", &revision(explanation));
    line("range", &range(explanation));
    line("cut", &format!("at {}, cause: {}", entry.cut_at, word(&entry.cause)));
    line("written by", &format!("host {}, attempt {}", entry.host_version, entry.nonce));
    line("entry", &explanation.entry_at);
    text
}

fn presence(explanation: &Explanation) -> String {
    let bytes = explanation.object.bytes;
    match &explanation.presence {
        Presence::InPlace => format!("in place, {bytes} bytes as its entry says"),
        Presence::Absent => {
            format!("not there ({bytes} bytes were committed): removed, or not published yet")
        }
        Presence::OtherLength { bytes: found } => format!("REPLACED: {found} bytes, not {bytes}"),
        Presence::Unknown { why } => format!("not known to be there: {why}"),
    }
}

fn revision(explanation: &Explanation) -> String {
    let number = explanation.entry.revision;
    let Some(revision) = &explanation.revision else {
        return if number == 0 {
            String::from("none")
        } else {
            format!("{number}, which is not in the ledger")
        };
    };
    let of = revision.of.map(|of| format!(" to {of}")).unwrap_or_default();
    let why = revision.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let (cause, made_at, made_by) = (word(&revision.cause), &revision.made_at, &revision.made_by);
    format!("{number}, by {cause}{of} at {made_at} on {made_by}{why}")
}

fn range(explanation: &Explanation) -> String {
    let entry = &explanation.entry;
    format!(
        "{} to {}: {} read, {} dropped, {} dead, {} kept",
        entry.start,
        entry.end.saturating_sub(1),
        entry.read,
        entry.dropped,
        entry.dead,
        entry.kept
    )
}

fn runs(runs: &[OffsetRun]) -> String {
    let one = |run: &OffsetRun| {
        if run.first == run.last { run.first.to_string() } else { format!("{}-{}", run.first, run.last) }
    };
    let shown = runs.iter().take(RUNS_SHOWN).map(one).collect::<Vec<_>>().join(", ");
    match runs.len().saturating_sub(RUNS_SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more (all with `--json`)"),
    }
}

/// The ledger's word for a cause.
fn word(cause: &impl serde::Serialize) -> String {
    match serde_json::to_value(cause) {
        Ok(Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::CutCause;

    #[test]
    fn runs_are_short_and_causes_are_the_ledgers_words() {
        let run = |first, last| OffsetRun { first, last };
        assert_eq!(runs(&[run(1, 4), run(7, 7)]), "1-4, 7");
        let many: Vec<_> = (0..20).map(|nth| run(nth * 2, nth * 2)).collect();
        assert!(runs(&many).ends_with("22 and 8 more (all with `--json`)"), "{}", runs(&many));
        assert_eq!(word(&CutCause::Shutdown), "shutdown");
    }
}
