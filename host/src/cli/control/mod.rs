//! Commands that talk to a running host over its control API.
//!
//! Each asks one thing, prints what is answered and decides the exit code; what an operation does is the
//! running host's.

mod lifecycle;
mod report;
mod revisions;
mod rollout;
mod status;
mod swap;
mod table;
mod values;

use clap::{Args, Subcommand};

use super::exit::{Exit, print, say_refused};
use crate::config::Secret;
use crate::control::Client;
use crate::control::client::{Answer, DEFAULT_URL, Error};

/// Where the token is; never an argument, which every user of the machine can read.
const TOKEN: &str = "VANNE_CONTROL_TOKEN";

/// Commands that talk to a running host.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the pipelines of a running host, or one of them with its lanes.
    Status(status::Arguments),
    /// Swap a transform's code in a running pipeline.
    Swap(swap::Arguments),
    /// Make the candidate of a rollout the stable version.
    Promote(rollout::Arguments),
    /// Give the candidate of a rollout up.
    Abort(rollout::Arguments),
    /// Change the share of a running rollout.
    Weights(rollout::WeightsArguments),
    /// Go back to an older revision.
    Rollback(revisions::RollbackArguments),
    /// List the revisions of a pipeline.
    Revisions(revisions::Arguments),
    /// Let a running pipeline read its file again, all or nothing.
    Reload(rollout::ReloadArguments),
    /// Let a running pipeline stop reading.
    Pause(lifecycle::Arguments),
    /// End a pause.
    Resume(lifecycle::Arguments),
    /// Let a running pipeline deliver what is buffered and end.
    Drain(lifecycle::Arguments),
}

/// Which host is meant.
#[derive(Debug, Args)]
struct Connection {
    /// Address of the host's control API; its token is read from VANNE_CONTROL_TOKEN.
    #[arg(long, value_name = "URL", env = "VANNE_CONTROL", hide_env_values = true, default_value = DEFAULT_URL)]
    control: String,
}

/// A host that is talked to, and how answers are printed.
#[derive(Debug)]
struct Session {
    client: Client,
    json: bool,
}

impl Session {
    fn open(connection: &Connection, json: bool) -> Result<Self, Error> {
        let token = match std::env::var(TOKEN) {
            Ok(token) if token.is_empty() => None,
            Ok(token) => Some(Secret::new(token)),
            Err(std::env::VarError::NotPresent) => None,
            Err(std::env::VarError::NotUnicode(_)) => return Err(Error::Token),
        };
        Ok(Self { client: Client::new(&connection.control, token.as_ref())?, json })
    }

    /// Prints an answer: its JSON, or its text for people.
    fn show<T>(&self, answer: &Answer<T>, text: impl FnOnce(&T) -> String) {
        if self.json {
            print(answer.json.trim_end());
        } else {
            print(text(&answer.value).trim_end());
        }
    }
}

/// Carries out a command.
pub(super) async fn run(command: Command, json: bool) -> Exit {
    let done = match command {
        Command::Status(arguments) => status::run(arguments, json).await,
        Command::Swap(arguments) => swap::run(arguments, json).await,
        Command::Promote(arguments) => rollout::promote(arguments, json).await,
        Command::Abort(arguments) => rollout::abort(arguments, json).await,
        Command::Weights(arguments) => rollout::weights(arguments, json).await,
        Command::Rollback(arguments) => revisions::rollback(arguments, json).await,
        Command::Revisions(arguments) => revisions::run(arguments, json).await,
        Command::Reload(arguments) => rollout::reload(arguments, json).await,
        Command::Pause(arguments) => lifecycle::pause(arguments, json).await,
        Command::Resume(arguments) => lifecycle::resume(arguments, json).await,
        Command::Drain(arguments) => lifecycle::drain(arguments, json).await,
    };
    done.unwrap_or_else(|error| said(&error))
}

/// Says why something was not done. A change that was not answered in time may have been made.
fn said(error: &Error) -> Exit {
    let text = crate::pipeline::chain_text(error);
    say_refused(&match error.hint() {
        Some(hint) => format!("{}\nhint: {}", table::clean(&text), table::clean(&hint)),
        None => table::clean(&text),
    });
    match error {
        Error::Refused { status: 504, .. } => Exit::Pending,
        _ => Exit::Refused,
    }
}
