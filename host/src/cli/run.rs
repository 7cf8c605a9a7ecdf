//! `host run`, and what `host dev` does alike.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::build::build_plugins;
use super::exit::{Exit, print, refusal, say_refused};
use super::report::Report;
use super::serve::{self, Serving};
use super::{RunArguments, signals};
use crate::config;
use crate::pipeline::{self, Operator, Outcome, Prepared, RunOptions};

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
    let options = RunOptions { until_end: arguments.until_end, quiet: json, unwatched: false };
    match Ready::prepare(pipeline, options).await? {
        Some(ready) => Ok(ready.run(json).await),
        None => Ok(Exit::Done),
    }
}

/// A pipeline that can run, with all that a host has beside it.
#[derive(Debug)]
pub(super) struct Ready {
    name: String,
    places: BTreeMap<String, String>,
    prepared: Prepared,
    operator: Operator,
    serving: Option<Serving>,
    stop: CancellationToken,
    begun: Instant,
}

impl Ready {
    /// Catches signals, prepares the pipeline and serves its control API; `None`: a signal came meanwhile.
    ///
    /// # Errors
    /// Why it can't run, and what to do.
    pub(super) async fn prepare(
        pipeline: config::Pipeline,
        options: RunOptions,
    ) -> Result<Option<Self>, String> {
        let name = pipeline.name.clone();
        let host = pipeline.host.clone();
        let unheard = |error| format!("signals can't be caught: {error}");
        let stop = signals::listen().map_err(unheard)?;
        let begun = Instant::now();
        let prepared = tokio::select! {
            prepared = Box::pin(pipeline::prepare(pipeline, options)) => prepared.map_err(|error| refusal(&error))?,
            () = stop.cancelled() => return Ok(None),
        };
        let places = prepared.places();
        let operator = prepared.operator();
        signals::operate(&operator).map_err(unheard)?;
        let serving = serve::start(&host, &operator).await?;
        Ok(Some(Self { name, places, prepared, operator, serving, stop, begun }))
    }

    /// How it is operated.
    pub(super) fn operator(&self) -> &Operator {
        &self.operator
    }

    /// Runs it to its end, and prints what it did.
    pub(super) async fn run(self, json: bool) -> Exit {
        let Self { name, places, prepared, operator: _, serving, stop, begun } = self;
        tracing::info!(pipeline = %name, "running; Ctrl-C drains, a second one ends at once");
        let ran = prepared.run(stop.cancelled()).await;
        if let Some(serving) = serving {
            serving.end().await;
        }
        let summary = match ran {
            Ok(summary) => summary,
            Err(error) => {
                say_refused(&refusal(&error));
                return Exit::Halted;
            }
        };
        let report = Report::new(&name, places, &summary, begun.elapsed());
        if json {
            print(&serde_json::to_string(&report).unwrap_or_default());
        } else {
            print(&report.text());
        }
        match summary.outcome {
            Outcome::Drained => Exit::Done,
            Outcome::Halted => Exit::Halted,
            Outcome::DeadlinePassed => Exit::DeadlinePassed,
        }
    }
}
