//! `host revisions` and `host rollback`.

use clap::Args;

use super::rollout::Change;
use super::table::{Align, Table};
use super::values::milliseconds;
use super::{Connection, Session, report};
use crate::cli::exit::Exit;
use crate::control::client::Error;
use crate::control::model::{
    RevisionStatus, Revisions, RevisionsOptions, RollbackOptions, RolloutMode, RolloutShort, ShareBy,
    TransformStatus,
};

const AFTER_HELP: &str = "\
Examples:
  host revisions access-logs
  host revisions access-logs --limit 100
  host --json revisions access-logs";

const ROLLBACK_AFTER_HELP: &str = "\
Examples:
  host rollback access-logs            to what was there before
  host rollback access-logs --to 5     to the content of revision 5, under a new number

Exit codes: 0 done, 1 refused (all goes on as before), 4 made, but not every partition has shown it.";

/// Arguments of `host revisions`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(in crate::cli) struct Arguments {
    /// The pipeline's name.
    pipeline: String,
    /// So many at the most, the newest first.
    #[arg(long, default_value_t = 20, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `host rollback`.
#[derive(Debug, Args)]
#[command(after_help = ROLLBACK_AFTER_HELP)]
pub(in crate::cli) struct RollbackArguments {
    /// The revision to go back to; the one before the current one if it is left out.
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
    #[command(flatten)]
    change: Change,
}

/// Lists the revisions.
pub(super) async fn run(arguments: Arguments, json: bool) -> Result<Exit, Error> {
    let session = Session::open(&arguments.connection, json)?;
    let options = RevisionsOptions { limit: usize::from(arguments.limit) };
    let answer = session.client.revisions(&arguments.pipeline, options).await?;
    session.show(&answer, text);
    Ok(Exit::Done)
}

/// Rolls back.
pub(super) async fn rollback(arguments: RollbackArguments, json: bool) -> Result<Exit, Error> {
    let RollbackArguments { to, change } = arguments;
    let session = change.open(json)?;
    let options = RollbackOptions { to, timeout_ms: milliseconds(change.timeout) };
    let answer = session.client.rollback(&change.pipeline, options).await;
    report::finish(&session, &change.pipeline, change.timeout, answer)
}

fn text(revisions: &Revisions) -> String {
    let mut table = Table::new(&[
        ("", Align::Left),
        ("revision", Align::Right),
        ("made at", Align::Left),
        ("cause", Align::Left),
        ("transforms", Align::Left),
        ("candidate", Align::Left),
        ("made by", Align::Left),
        ("why", Align::Left),
    ]);
    for revision in &revisions.revisions {
        let candidate = revision.rollout.as_ref().map_or_else(|| String::from("-"), candidate);
        table.row([
            String::from(if revision.current { "*" } else { "" }),
            revision.revision.to_string(),
            revision.made_at.clone(),
            cause(revision),
            transforms(&revision.transforms),
            candidate,
            revision.made_by.clone(),
            revision.why.clone().unwrap_or_default(),
        ]);
    }
    table.text()
}

fn cause(revision: &RevisionStatus) -> String {
    match revision.of {
        Some(of) => format!("{} to {of}", revision.cause.name()),
        None => String::from(revision.cause.name()),
    }
}

/// `parse 1.2.0 (1f0a9c3d)`: enough of a digest to tell two apart; all of it stands in the JSON.
pub(super) fn transforms(transforms: &[TransformStatus]) -> String {
    let one = |transform: &TransformStatus| {
        let digest = transform.digest.strip_prefix("sha256:").unwrap_or(&transform.digest);
        let short: String = digest.chars().take(8).collect();
        match &transform.version {
            Some(version) => format!("{} {version} ({short})", transform.name),
            None => format!("{} ({short})", transform.name),
        }
    };
    if transforms.is_empty() {
        return String::from("none");
    }
    transforms.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn candidate(rollout: &RolloutShort) -> String {
    let RolloutShort { mode, share_percent, by, promote_after, transforms: candidates } = rollout;
    format!("{} {}", mode_text(*mode, *share_percent, *by, *promote_after), transforms(candidates))
}

/// `10% of keys`, `shadow until 1000 records did not differ`.
pub(super) fn mode_text(
    mode: RolloutMode,
    share_percent: Option<f64>,
    by: Option<ShareBy>,
    promote_after: Option<u64>,
) -> String {
    match (mode, promote_after) {
        (RolloutMode::Share, _) => {
            format!("{}% of {}", share_percent.unwrap_or_default(), by.unwrap_or_default().name())
        }
        (RolloutMode::Shadow, Some(records)) => format!("shadow until {records} records did not differ"),
        (RolloutMode::Shadow, None) => String::from("shadow"),
    }
}
