//! The command line: `host run`, `host dev`, `host validate`, `host explain`, `host ledger`, `host plugin`,
//! `host bench`, and the commands that talk to a running host (`control`).
//!
//! Owns arguments, what is printed, and exit codes. Does not know how anything is done. Invariant: data
//! goes to standard output, everything else to standard error; secrets are never arguments.

mod bench;
mod build;
mod control;
mod dev;
mod exit;
mod explain;
mod ledger;
mod plugin;
mod report;
mod run;
mod serve;
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
  host dev pipeline.toml                    run it, and take each edit of a plugin's source in
  host validate --connect pipeline.toml     look at broker, topics, bucket and plugin as well
  host explain s3://lake/OBJECT             offsets, plugins and revision that made an object
  host plugin inspect plugin.wasm           who it is, what it imports, whether it would run
  host ledger new-chain --at committed pipeline.toml
  host status                               what the host that runs on this machine is doing
  host swap access-logs/parse new.wasm      new code into a running pipeline

Exit codes: 0 done or drained, 1 refused (configuration, or what it names), 2 a lane halted,
3 the deadline passed before everything had drained, 4 a change is made, but not every partition has
shown it in time.";

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
    /// Run a pipeline while its plugins are written: build, run, watch, and take each edit in.
    Dev(DevArguments),
    /// Say what is wrong with a pipeline's file, without touching the network.
    Validate(ValidateArguments),
    /// Say where an object comes from and what made it: its entry in the ledger.
    Explain(explain::Arguments),
    /// Decide what the ledger can't decide by itself.
    Ledger(ledger::Arguments),
    /// Look into a plugin.
    Plugin(plugin::Arguments),
    /// Fill a topic with made-up records, run the pipeline over them, and print what it cost.
    Bench(bench::Arguments),
    #[command(flatten)]
    Control(control::Command),
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

const DEV_AFTER_HELP: &str = "\
The folder of each build (`dir`) is watched, with all below it but `target`, `node_modules` and what is hidden. After
an edit the transform's command is run; what it built goes into the running pipeline at each lane's next batch. Then
the new version's first outputs on the last real records are printed, and their difference from the old one's. A
build that fails, and a component that is refused, change nothing. pipeline.toml is taken in as well.

Example:
  host dev examples/quickstart/pipeline.toml
  (edit the plugin's source)
  parse: built in 2.1 s, live as revision 4 after 0.3 s";

/// Arguments of `host dev`.
#[derive(Debug, Args)]
#[command(after_help = DEV_AFTER_HELP)]
struct DevArguments {
    /// The pipeline's file; each transform that is written has a `build` command in it.
    pipeline: PathBuf,
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
            Command::Dev(dev) => dev::dev(dev, json).await,
            Command::Validate(validate) => validate::validate(validate, json).await,
            Command::Explain(explain) => explain::run(explain, json).await,
            Command::Ledger(ledger) => ledger::run(ledger, json).await,
            Command::Plugin(plugin) => plugin::run(plugin, json),
            Command::Bench(bench) => bench::run(bench, json).await,
            Command::Control(command) => control::run(command, json).await,
        }
    });
    // A blocking call to a broker that is away must not keep the process: what matters has ended.
    runtime.shutdown_background();
    exit.into()
}
