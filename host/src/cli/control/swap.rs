//! `host swap`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};

use super::values::{Target, milliseconds, share, wait};
use super::{Connection, Session, report};
use crate::cli::exit::{Exit, say_refused};
use crate::control::COMPONENT_BYTES_MAX;
use crate::control::client::Error;
use crate::control::model::{ShareBy, SwapOptions};

const AFTER_HELP: &str = "\
Examples:
  host swap access-logs/parse new.wasm                 for all records, from the next cut on
  host swap access-logs/parse new.wasm --share 10%     for a tenth of the batches
  host swap access-logs/parse new.wasm --share 10% --by keys
  host swap access-logs/parse new.wasm --shadow        only compare what it would deliver
  host swap access-logs/parse new.wasm --shadow --promote-after 100000

Printed per partition, read back from committed entries: the last offset under the old version and
the first under the new one; and the pause between the last old call and the first new one.

Exit codes: 0 done, 1 refused (the old version goes on), 4 made, but not every partition has shown it.";

/// Arguments of `host swap`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(in crate::cli) struct Arguments {
    /// Which transform of which pipeline.
    #[arg(value_name = "PIPELINE/TRANSFORM")]
    target: Target,
    /// The new component's file.
    component: PathBuf,
    /// Give it only a share of the records, as the candidate beside the stable version.
    #[arg(long, value_parser = share, value_name = "PERCENT")]
    share: Option<f64>,
    /// What it is a share of: whole batches, or keys, where a key is always with the same version.
    #[arg(long, requires = "share", value_enum)]
    by: Option<By>,
    /// Deliver nothing of it: compare what it makes of the same records.
    #[arg(long, conflicts_with = "share")]
    shadow: bool,
    /// Promote the shadow by itself once so many records did not differ.
    #[arg(long, requires = "shadow", value_name = "RECORDS", value_parser = clap::value_parser!(u64).range(1..))]
    promote_after: Option<u64>,
    /// How long to wait until every partition has shown it.
    #[arg(long, value_parser = wait, default_value = "30s", value_name = "TIME")]
    timeout: Duration,
    /// Swap even if the trial on kept records fails.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What a share is a share of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    Batches,
    Keys,
}

impl From<By> for ShareBy {
    fn from(by: By) -> Self {
        match by {
            By::Batches => Self::Batches,
            By::Keys => Self::Keys,
        }
    }
}

/// Swaps.
pub(super) async fn run(arguments: Arguments, json: bool) -> Result<Exit, Error> {
    let session = Session::open(&arguments.connection, json)?;
    let component = match read(&arguments.component).await {
        Ok(component) => component,
        Err(text) => {
            say_refused(&text);
            return Ok(Exit::Refused);
        }
    };
    let options = SwapOptions {
        share_percent: arguments.share,
        by: arguments.by.map(ShareBy::from),
        shadow: arguments.shadow,
        promote_after: arguments.promote_after,
        timeout_ms: milliseconds(arguments.timeout),
        force: arguments.force,
    };
    let Target { pipeline, transform } = &arguments.target;
    let answer = session.client.swap(pipeline, transform, component, &options).await;
    report::finish(&session, pipeline, arguments.timeout, answer)
}

async fn read(path: &Path) -> Result<Bytes, String> {
    let unreadable =
        |error: std::io::Error| format!("the component `{}` can't be read: {error}", path.display());
    let bytes = tokio::fs::metadata(path).await.map_err(unreadable)?.len();
    if bytes > COMPONENT_BYTES_MAX as u64 {
        let most = COMPONENT_BYTES_MAX >> 20;
        return Err(format!("the component `{}` has {bytes} bytes, more than {most} MiB", path.display()));
    }
    tokio::fs::read(path).await.map(Bytes::from).map_err(unreadable)
}
