//! `host pause`, `host resume`, `host drain`.

use clap::Args;

use super::{Connection, Session};
use crate::cli::exit::Exit;
use crate::control::client::{Answer, Error};
use crate::control::model::PipelineStatus;

const AFTER_HELP: &str = "\
Examples:
  host pause access-logs      nothing is read any more; what is buffered is delivered at once
  host resume access-logs     it goes on; lanes that a circuit breaker holds try again
  host drain access-logs      what is buffered is delivered, then the pipeline ends

Exit codes: 0 ordered, 1 refused.";

/// Arguments of `host pause`, `host resume` and `host drain`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(in crate::cli) struct Arguments {
    /// The pipeline's name.
    pipeline: String,
    #[command(flatten)]
    connection: Connection,
}

/// Pauses.
pub(super) async fn pause(arguments: Arguments, json: bool) -> Result<Exit, Error> {
    let session = Session::open(&arguments.connection, json)?;
    Ok(shown(&session, &session.client.pause(&arguments.pipeline).await?))
}

/// Resumes.
pub(super) async fn resume(arguments: Arguments, json: bool) -> Result<Exit, Error> {
    let session = Session::open(&arguments.connection, json)?;
    Ok(shown(&session, &session.client.resume(&arguments.pipeline).await?))
}

/// Drains.
pub(super) async fn drain(arguments: Arguments, json: bool) -> Result<Exit, Error> {
    let session = Session::open(&arguments.connection, json)?;
    Ok(shown(&session, &session.client.drain(&arguments.pipeline).await?))
}

fn shown(session: &Session, answer: &Answer<PipelineStatus>) -> Exit {
    session.show(answer, |status| format!("{}: {}", status.name, status.state.name()));
    Exit::Done
}
