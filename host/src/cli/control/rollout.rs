//! `host promote`, `host abort`, `host weights`, `host reload`.

use std::time::Duration;

use clap::Args;

use super::swap::By;
use super::values::{milliseconds, share, wait};
use super::{Connection, Session, report};
use crate::cli::exit::Exit;
use crate::control::client::Error;
use crate::control::model::{ReloadOptions, ShareBy, WaitOptions, WeightsOptions};

const AFTER_HELP: &str = "\
Examples:
  host swap access-logs/parse new.wasm --share 10%
  host status access-logs           each version's records, failures and times apart
  host promote access-logs          or `host abort access-logs`

Exit codes: 0 done, 1 refused (all goes on as before), 4 made, but not every partition has shown it.";

const WEIGHTS_AFTER_HELP: &str = "\
Examples:
  host weights access-logs --share 25%
  host weights access-logs --share 50% --by keys

Exit codes: 0 done, 1 refused (all goes on as before), 4 made, but not every partition has shown it.";

const RELOAD_AFTER_HELP: &str = "\
Examples:
  host reload access-logs

Printed is what changes, part by part; a file that is refused leaves everything running as it was.
The host does the same by itself when the file changes (`[swap] watch`), and on SIGHUP.

Exit codes: 0 done, 1 refused (all goes on as before), 4 made, but not every partition has shown it.";

/// Arguments of `host promote` and `host abort`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    change: Change,
}

/// Arguments of `host reload`.
#[derive(Debug, Args)]
#[command(after_help = RELOAD_AFTER_HELP)]
pub(in crate::cli) struct ReloadArguments {
    #[command(flatten)]
    change: Change,
}

/// Arguments of `host weights`.
#[derive(Debug, Args)]
#[command(after_help = WEIGHTS_AFTER_HELP)]
pub(in crate::cli) struct WeightsArguments {
    /// How much goes to the candidate.
    #[arg(long, value_parser = share, value_name = "PERCENT")]
    share: f64,
    /// What it is a share of; as it was if it is left out.
    #[arg(long, value_enum)]
    by: Option<By>,
    #[command(flatten)]
    change: Change,
}

/// What every change of a pipeline needs.
#[derive(Debug, Args)]
pub(super) struct Change {
    /// The pipeline's name.
    pub(super) pipeline: String,
    /// How long to wait until every partition has shown it.
    #[arg(long, value_parser = wait, default_value = "30s", value_name = "TIME")]
    pub(super) timeout: Duration,
    #[command(flatten)]
    connection: Connection,
}

impl Change {
    pub(super) fn open(&self, json: bool) -> Result<Session, Error> {
        Session::open(&self.connection, json)
    }

    fn options(&self) -> WaitOptions {
        WaitOptions { timeout_ms: milliseconds(self.timeout) }
    }
}

/// Promotes.
pub(super) async fn promote(Arguments { change }: Arguments, json: bool) -> Result<Exit, Error> {
    let session = change.open(json)?;
    let answer = session.client.promote(&change.pipeline, change.options()).await;
    report::finish(&session, &change.pipeline, change.timeout, answer)
}

/// Aborts.
pub(super) async fn abort(Arguments { change }: Arguments, json: bool) -> Result<Exit, Error> {
    let session = change.open(json)?;
    let answer = session.client.abort(&change.pipeline, change.options()).await;
    report::finish(&session, &change.pipeline, change.timeout, answer)
}

/// Reloads.
pub(super) async fn reload(ReloadArguments { change }: ReloadArguments, json: bool) -> Result<Exit, Error> {
    let session = change.open(json)?;
    let options = ReloadOptions { timeout_ms: milliseconds(change.timeout) };
    let answer = session.client.reload(&change.pipeline, options).await;
    report::finish(&session, &change.pipeline, change.timeout, answer)
}

/// Changes the weights.
pub(super) async fn weights(arguments: WeightsArguments, json: bool) -> Result<Exit, Error> {
    let WeightsArguments { share, by, change } = arguments;
    let session = change.open(json)?;
    let options = WeightsOptions {
        share_percent: share,
        by: by.map(ShareBy::from),
        timeout_ms: milliseconds(change.timeout),
    };
    let answer = session.client.weights(&change.pipeline, options).await;
    report::finish(&session, &change.pipeline, change.timeout, answer)
}
