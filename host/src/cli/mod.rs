//! The command line: `host run`, `host validate`, `host ledger`, `host plugin`, `host bench`.
//!
//! Owns arguments, what is printed, and exit codes. Does not know how anything is done. Invariant: data
//! goes to standard output, everything else to standard error; secrets are never arguments.

mod bench;
mod build;
mod exit;
mod ledger;
mod plugin;
mod report;
mod run;
mod signals;
mod usage;
mod validate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

const AFTER_HELP: &str = "\
Examples:
  host run pipeline.toml                    until Ctrl-C or SIGTERM, then drain
  host run --until-end pipeline.toml        up to the ends that the partitions have now
  host validate --connect pipeline.toml     look at broker, topics, bucket and plugin as well
  host plugin inspect plugin.wasm           who it is, what it imports, whether it would run
  host ledger new-chain --at committed pipeline.toml

Exit codes: 0 done or drained, 1 refused (configuration, or what it names), 2 a lane halted,
3 the deadline passed before everything had drained.";

/// Kafka partitions through WebAssembly transforms into objects, exactly once.
#[derive(Debug, Parser)]
#[command(name = "host", version, about, after_help = AFTER_HELP)]
struct Arguments {
    /// Log lines, and results on standard output, as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a pipeline.
    Run(RunArguments),
    /// Say what is wrong with a pipeline's file, without touching the network.
    Validate(ValidateArguments),
    /// Decide what the ledger can't decide by itself.
    Ledger(ledger::Arguments),
    /// Look into a plugin.
    Plugin(plugin::Arguments),
    /// Fill a topic with made-up records, run the pipeline over them, and print what it cost.
    Bench(bench::Arguments),
}

/// Arguments of `host run`.
#[derive(Debug, Args)]
struct RunArguments {
    /// The pipeline's file.
    pipeline: PathBuf,
    /// End when every partition has reached the end that it has now, and all is published.
    #[arg(long)]
    until_end: bool,
    /// Build each transform's plugin first, by its `build` command.
    #[arg(long)]
    build: bool,
}

/// Arguments of `host validate`.
#[derive(Debug, Args)]
struct ValidateArguments {
    /// The pipeline's file.
    pipeline: PathBuf,
    /// Also ask the broker, the topics, the stores and the plugins.
    #[arg(long)]
    connect: bool,
}

/// Parses the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => return exit::answered(&answer),
    };
    let form = if arguments.json { crate::telemetry::LogForm::Json } else { crate::telemetry::LogForm::Text };
    crate::telemetry::start(form);
    let json = arguments.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::refused(&format!("the system gives no threads: {error}")),
    };
    let exit = runtime.block_on(async move {
        match arguments.command {
            Command::Run(run) => run::run(run, json).await,
            Command::Validate(validate) => validate::validate(validate, json).await,
            Command::Ledger(ledger) => ledger::run(ledger, json).await,
            Command::Plugin(plugin) => plugin::run(plugin, json),
            Command::Bench(bench) => bench::run(bench, json).await,
        }
    });
    // A blocking call to a broker that is away must not keep the process: what matters has ended.
    runtime.shutdown_background();
    exit.into()
}
