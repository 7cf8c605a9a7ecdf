//! `host plugin`: what can be told of a plugin's file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::exit::{Exit, print, say_refused};
use crate::config::{self, Grants, Limits, Transform, show_duration, show_size};
use crate::pipeline::{self, Subject, chain_text};
use crate::plugin::{Inspection, Reads};

const AFTER_HELP: &str = "\
Examples:
  host plugin inspect plugin.wasm
  host plugin inspect plugin.wasm --config '{\"keep_status\": [\"2xx\"]}'
  host plugin inspect plugin.wasm --config @config.json
  host plugin inspect plugin.wasm --pipeline pipeline.toml     with that pipeline's config, limits and grants
  host --json plugin inspect plugin.wasm

Exit codes: 0 this host would run it, 1 it would not.";

/// Bytes of a configuration's file at the most, as of pipeline.toml.
const CONFIG_BYTES: u64 = 256 << 10;

/// Arguments of `host plugin`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell who a plugin is, what it imports, what it would be granted, what it costs, and whether this
    /// host would run it.
    #[command(after_help = AFTER_HELP)]
    Inspect(Inspect),
}

#[derive(Debug, Args)]
struct Inspect {
    /// The component's file.
    file: PathBuf,
    /// The plugin's configuration: JSON, or `@` and the path of a file with JSON.
    #[arg(long, default_value = "{}", value_name = "JSON|@FILE", conflicts_with = "pipeline")]
    config: String,
    /// A pipeline: its config, limits and grants for this plugin are used.
    #[arg(long)]
    pipeline: Option<PathBuf>,
    /// Which of the pipeline's transforms; needed where it does not follow from the file.
    #[arg(long, requires = "pipeline", value_name = "NAME")]
    transform: Option<String>,
}

/// Looks into a plugin.
pub(super) fn run(arguments: Arguments, json: bool) -> Exit {
    let Command::Inspect(inspect) = arguments.command;
    let inspected = subject(&inspect).and_then(|subject| {
        let inspection = pipeline::inspect(&inspect.file, &subject).map_err(|error| chain_text(&error))?;
        Ok((subject, inspection))
    });
    let (subject, inspection) = match inspected {
        Ok(inspected) => inspected,
        Err(text) => {
            say_refused(&text);
            return Exit::Refused;
        }
    };
    if json {
        print(&as_json(&subject, &inspection).to_string());
    } else {
        print(as_text(&subject, &inspection).trim_end());
    }
    match &inspection.refusal {
        None => Exit::Done,
        Some(error) => {
            say_refused(&chain_text(error));
            Exit::Refused
        }
    }
}

/// What the plugin is tried under.
fn subject(inspect: &Inspect) -> Result<Subject, String> {
    let Some(path) = &inspect.pipeline else {
        return Ok(Subject {
            pipeline: String::from("inspect"),
            transform: String::from("inspect"),
            config: plugin_config(&inspect.config)?,
            limits: Limits::default(),
            grants: Grants::default(),
            cache: None,
        });
    };
    let pipeline = config::load(path).map_err(|error| error.to_string())?;
    let transform = chosen(&pipeline.transforms, inspect)?.clone();
    Ok(Subject {
        pipeline: pipeline.name,
        transform: transform.name,
        config: transform.config,
        limits: transform.limits,
        grants: transform.grants,
        cache: pipeline.host.cache,
    })
}

/// The transform that is named, or the only one that is this file, or the only one.
fn chosen<'a>(transforms: &'a [Transform], inspect: &Inspect) -> Result<&'a Transform, String> {
    let same_file = |transform: &&Transform| {
        let place = |path: &Path| std::fs::canonicalize(path).ok();
        place(&transform.plugin).is_some_and(|plugin| place(&inspect.file) == Some(plugin))
    };
    let found: Vec<_> = match &inspect.transform {
        Some(name) => transforms.iter().filter(|transform| transform.name == *name).collect(),
        None => match transforms.iter().filter(same_file).collect::<Vec<_>>() {
            same if same.is_empty() => transforms.iter().collect(),
            same => same,
        },
    };
    if let [transform] = found[..] {
        return Ok(transform);
    }
    let names: Vec<_> = transforms.iter().map(|transform| format!("`{}`", transform.name)).collect();
    let names = if names.is_empty() { String::from("none") } else { names.join(", ") };
    Err(format!("which transform of the pipeline is meant does not show; give `--transform` one of: {names}"))
}

fn plugin_config(text: &str) -> Result<String, String> {
    let text = match text.strip_prefix('@') {
        None => text.to_owned(),
        Some(path) => {
            let unreadable =
                |error: std::io::Error| format!("the config file `{path}` can't be read: {error}");
            if std::fs::metadata(path).map_err(unreadable)?.len() > CONFIG_BYTES {
                return Err(format!("the config file `{path}` is larger than {} KiB", CONFIG_BYTES >> 10));
            }
            std::fs::read_to_string(path).map_err(unreadable)?
        }
    };
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(serde_json::Value::Object(_)) => Ok(text),
        Ok(_) => Err(String::from("`--config` is no JSON object; write it like `--config '{\"key\": 1}'`")),
        // The text may hold a secret, so that only the place is told.
        Err(error) => Err(format!(
            "`--config` is no JSON at line {}, column {}; write it like `--config '{{\"key\": 1}}'`",
            error.line(),
            error.column()
        )),
    }
}

fn names(reads: Reads) -> Vec<&'static str> {
    let parts = [(reads.key, "key"), (reads.value, "value"), (reads.headers, "headers")];
    parts.into_iter().filter(|(read, _)| *read).map(|(_, name)| name).collect()
}

fn as_text(subject: &Subject, inspection: &Inspection) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        // Writing to a text can't fail.
        writeln!(text, "{label:<11}{value}").ok();
    };
    let list = |names: &[&str]| if names.is_empty() { String::from("nothing") } else { names.join(", ") };
    let worlds = list(&inspection.worlds);
    if let Some(info) = &inspection.info {
        line("plugin", &format!("{} {}", info.name, info.version));
    }
    line("digest", inspection.digest.as_str());
    line("size", &format!("{} bytes", inspection.bytes));
    let is_ours = !inspection.contract.is_empty();
    let contract = || format!("vanne:transform {}", inspection.contract_versions());
    line("contract", &if is_ours { contract() } else { String::from("none that this host knows") });
    line("world", if inspection.worlds.is_empty() { "none" } else { &worlds });
    if let Some(reads) = inspection.reads {
        line("reads", &list(&names(reads)));
        line("traits", &list(&inspection.traits.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    let width = inspection.imports.iter().map(|import| import.name.len()).max().unwrap_or_default();
    for (nth, import) in inspection.imports.iter().enumerate() {
        let answer = import.answer.unwrap_or("UNKNOWN to this host");
        line(if nth == 0 { "imports" } else { "" }, &format!("{:<width$}  {answer}", import.name));
    }
    let granted = subject.grants.names();
    line("granted", &list(&granted.iter().map(String::as_str).collect::<Vec<_>>()));
    line("limits", &limits(&subject.limits));
    if inspection.figures.compile.is_some() {
        line("costs", &figures(inspection));
    }
    line("verdict", if inspection.refusal.is_none() { "this host would run it" } else { "refused" });
    text
}

fn limits(limits: &Limits) -> String {
    let Limits { memory, timeout, output, table_elements, instances, log_lines } = limits;
    format!(
        "memory {}, timeout {}, output {}, table_elements {table_elements}, instances {instances}, \
         log_lines {log_lines}",
        show_size(*memory as u64),
        show_duration(*timeout),
        show_size(*output as u64)
    )
}

fn figures(inspection: &Inspection) -> String {
    let shown = |time: Option<Duration>| {
        time.map_or_else(|| String::from("unknown"), |time| format!("{:.2} ms", time.as_secs_f64() * 1e3))
    };
    let figures = &inspection.figures;
    let (compile, load) = (shown(figures.compile), shown(figures.load));
    let instance = match (figures.instance_p50, figures.instance_p99) {
        (Some(p50), Some(p99)) => {
            format!(
                "instance p50 {}, p99 {} ({} made)",
                shown(Some(p50)),
                shown(Some(p99)),
                figures.instances
            )
        }
        _ => String::from("no instance made"),
    };
    format!("compile {compile}, load from the cache {load}, {instance}")
}

fn as_json(subject: &Subject, inspection: &Inspection) -> serde_json::Value {
    let imports: Vec<_> =
        inspection.imports.iter().map(|it| json!({ "name": it.name, "answer": it.answer })).collect();
    let Limits { memory, timeout, output, table_elements, instances, log_lines } = &subject.limits;
    let microseconds = |time: Option<Duration>| time.map(|time| time.as_micros());
    let figures = &inspection.figures;
    json!({
        "name": inspection.info.as_ref().map(|info| &info.name),
        "version": inspection.info.as_ref().map(|info| &info.version),
        "digest": inspection.digest.as_str(),
        "bytes": inspection.bytes,
        "contract": inspection.contract,
        "worlds": inspection.worlds,
        "reads": inspection.reads.map(names),
        "traits": inspection.traits,
        "imports": imports,
        "grants": subject.grants.names(),
        "limits": {
            "memory_bytes": memory, "timeout_ms": timeout.as_millis(), "output_bytes": output,
            "table_elements": table_elements, "instances": instances, "log_lines": log_lines,
        },
        "compile_us": microseconds(figures.compile),
        "load_us": microseconds(figures.load),
        "instance_p50_us": microseconds(figures.instance_p50),
        "instance_p99_us": microseconds(figures.instance_p99),
        "instances_made": figures.instances,
        "runs": inspection.refusal.is_none(),
        "refusal": inspection.refusal.as_ref().map(|error| chain_text(error)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_is_an_object_and_not_shown_where_it_is_wrong() {
        assert_eq!(plugin_config("{\"a\": 1}"), Ok(String::from("{\"a\": 1}")));
        for text in ["", "[]", "7", "{\"token\": \"hunter2\",}"] {
            let error = plugin_config(text).expect_err("no object");
            assert!(error.contains("--config") && !error.contains("hunter2"), "{error}");
        }
        assert!(
            plugin_config("@/nowhere/config.json").is_err_and(|error| error.contains("/nowhere/config.json"))
        );
    }
}
