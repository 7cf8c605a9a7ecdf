//! `host run`.

use std::time::Instant;

use super::build::build_plugins;
use super::exit::{Exit, print, refusal, say_refused};
use super::report::Report;
use super::{RunArguments, signals};
use crate::config;
use crate::pipeline::{self, Outcome, RunOptions};

/// Runs a pipeline until a signal, or until its end.
pub(super) async fn run(arguments: RunArguments, json: bool) -> Exit {
    match try_run(&arguments, json).await {
        Ok(exit) => exit,
        Err(refusal) => {
            say_refused(&refusal);
            Exit::Refused
        }
    }
}

async fn try_run(arguments: &RunArguments, json: bool) -> Result<Exit, String> {
    let pipeline = config::load(&arguments.pipeline).map_err(|error| error.to_string())?;
    if arguments.build {
        build_plugins(&pipeline).await?;
    }
    config::check_files(&pipeline).map_err(|error| error.to_string())?;
    let name = pipeline.name.clone();
    let options = RunOptions { until_end: arguments.until_end, quiet: json };
    let unheard = |error| format!("signals can't be caught: {error}");
    let stop = signals::listen().map_err(unheard)?;
    let resume = signals::listen_for_resume().map_err(unheard)?;
    let begun = Instant::now();
    let prepared = tokio::select! {
        prepared = pipeline::prepare(pipeline, options) => prepared.map_err(|error| refusal(&error))?,
        () = stop.cancelled() => return Ok(Exit::Done),
    };
    let places = prepared.places();
    tracing::info!(pipeline = %name, "running; Ctrl-C drains, a second one ends at once");
    let summary = match prepared.run(stop.cancelled(), &resume).await {
        Ok(summary) => summary,
        Err(error) => {
            say_refused(&refusal(&error));
            return Ok(Exit::Halted);
        }
    };
    let report = Report::new(&name, places, &summary, begun.elapsed());
    if json {
        print(&serde_json::to_string(&report).unwrap_or_default());
    } else {
        print(&report.text());
    }
    Ok(match summary.outcome {
        Outcome::Drained => Exit::Done,
        Outcome::Halted => Exit::Halted,
        Outcome::DeadlinePassed => Exit::DeadlinePassed,
    })
}
