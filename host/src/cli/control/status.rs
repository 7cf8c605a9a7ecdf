//! `host status`.

use clap::Args;

use super::revisions::{mode_text, transforms};
use super::table::{Align, Table, clean};
use super::{Connection, Session};
use crate::cli::exit::{Exit, print};
use crate::control::client::Error;
use crate::control::model::{LaneStatus, PipelineStatus, Pipelines, RolloutStatus, VersionStatus};

const AFTER_HELP: &str = "\
Examples:
  host status                       every pipeline of the host on this machine
  host status access-logs           its versions, and its lanes on this host
  host --json status access-logs
  VANNE_CONTROL_TOKEN=… host status --control https://lake.example:7464";

/// Arguments of `host status`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(in crate::cli) struct Arguments {
    /// The pipeline's name; all of them if it is left out.
    pipeline: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Shows the status.
pub(super) async fn run(arguments: Arguments, json: bool) -> Result<Exit, Error> {
    let session = Session::open(&arguments.connection, json)?;
    let Some(name) = &arguments.pipeline else {
        session.show(&session.client.pipelines().await?, all);
        return Ok(Exit::Done);
    };
    session.show(&session.client.pipeline(name).await?, one);
    if !json {
        let answer = session.client.lanes(name).await?;
        if !answer.value.lanes.is_empty() {
            print(&format!("\n{}", lanes(&answer.value.lanes).trim_end()));
        }
    }
    Ok(Exit::Done)
}

fn all(pipelines: &Pipelines) -> String {
    if pipelines.pipelines.is_empty() {
        return String::from("this host runs no pipeline");
    }
    let mut table = Table::new(&[
        ("pipeline", Align::Left),
        ("state", Align::Left),
        ("revision", Align::Right),
        ("lanes", Align::Right),
        ("held", Align::Right),
        ("halted", Align::Right),
        ("transforms", Align::Left),
        ("candidate", Align::Left),
    ]);
    for pipeline in &pipelines.pipelines {
        table.row([
            pipeline.name.clone(),
            String::from(pipeline.state.name()),
            pipeline.revision.to_string(),
            pipeline.lanes.to_string(),
            pipeline.held_lanes.to_string(),
            pipeline.halted_lanes.to_string(),
            transforms(&pipeline.transforms),
            pipeline.rollout.as_ref().map_or_else(|| String::from("-"), rollout),
        ]);
    }
    table.text()
}

fn rollout(rollout: &RolloutStatus) -> String {
    let RolloutStatus { mode, share_percent, by, promote_after, transforms: candidates, .. } = rollout;
    format!("{} {}", mode_text(*mode, *share_percent, *by, *promote_after), transforms(candidates))
}

fn one(pipeline: &PipelineStatus) -> String {
    let PipelineStatus { name, state, revision, lanes, held_lanes, halted_lanes, .. } = pipeline;
    let mut text = format!("{name}: {}, revision {revision}\n", state.name());
    let mut line = |label: &str, value: &str| text += &format!("  {label:<11}{}\n", clean(value));
    if let Some(why) = &pipeline.why {
        line("why", why);
    }
    line("config", &pipeline.config_digest);
    for transform in &pipeline.transforms {
        line("transform", &transforms(std::slice::from_ref(transform)));
    }
    line("lanes", &format!("{lanes}, {held_lanes} held, {halted_lanes} halted"));
    let versions = match &pipeline.rollout {
        None => vec![("stable", &pipeline.version)],
        Some(running) => {
            line("candidate", &rollout(running));
            if let Some(comparison) = &running.comparison {
                let trust = if running.reliable { "" } else { " (unreliable: a plugin is not `pure`)" };
                line("compared", &format!("{comparison}{trust}"));
            }
            vec![("stable", &running.stable), ("candidate", &running.candidate)]
        }
    };
    format!("{text}\n{}", numbers(&versions))
}

fn numbers(versions: &[(&str, &VersionStatus)]) -> String {
    let mut table = Table::new(&[
        ("version", Align::Left),
        ("batches", Align::Right),
        ("records", Align::Right),
        ("failed", Align::Right),
        ("dropped", Align::Right),
        ("outputs", Align::Right),
        ("failed outputs", Align::Right),
        ("bytes", Align::Right),
        ("a batch", Align::Right),
    ]);
    for (name, version) in versions {
        table.row([
            String::from(*name),
            version.batches.to_string(),
            version.records.to_string(),
            version.failed.to_string(),
            version.dropped.to_string(),
            version.outputs.to_string(),
            version.failed_outputs.to_string(),
            version.output_bytes.to_string(),
            format!("{:.2} ms", version.mean_batch_ms),
        ]);
    }
    table.text()
}

fn lanes(lanes: &[LaneStatus]) -> String {
    let mut table = Table::new(&[
        ("topic", Align::Left),
        ("partition", Align::Right),
        ("state", Align::Left),
        ("position", Align::Right),
        ("committed", Align::Right),
        ("revision", Align::Right),
    ]);
    for lane in lanes {
        table.row([
            lane.topic.clone(),
            lane.partition.to_string(),
            String::from(lane.state.name()),
            lane.position.to_string(),
            lane.committed.to_string(),
            lane.revision.to_string(),
        ]);
    }
    table.text()
}
