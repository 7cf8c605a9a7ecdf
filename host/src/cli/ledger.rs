//! `host ledger`: decisions that a person has to take.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, Subcommand};

use super::exit::{Exit, print, refusal, say_refused};
use crate::config;
use crate::pipeline::{self, At};

/// Arguments of `host ledger`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Begin new chains for topics that have none here, at a place that you name.
    ///
    /// For a group with commits but no chain (a ledger that was lost or moved), and for a topic that was
    /// deleted and made again. Topics that have chains are left as they are.
    NewChain {
        /// The pipeline's file.
        pipeline: PathBuf,
        /// `committed` (what the group committed), `earliest`, `latest`, or an offset for every partition.
        #[arg(long)]
        at: At,
    },
    /// Take over the chains of a pipeline that had another name. Stop that pipeline first, for good.
    Adopt {
        /// The pipeline's file.
        pipeline: PathBuf,
        /// The name that the pipeline had.
        #[arg(long)]
        from: String,
    },
    /// Go back to an earlier revision while no host runs. (`host rollback` does it while one does.)
    ///
    /// For a newest revision with which no host starts. Makes a new revision with the content of the old one;
    /// hosts that start run it.
    Rollback {
        /// The pipeline's file.
        pipeline: PathBuf,
        /// Number of the revision.
        #[arg(long)]
        to: u64,
    },
}

/// Carries out a decision.
pub(super) async fn run(arguments: Arguments, json: bool) -> Exit {
    let (path, decision) = match arguments.command {
        Command::NewChain { pipeline, at } => (pipeline, pipeline::Decision::NewChain(at)),
        Command::Adopt { pipeline, from } => (pipeline, pipeline::Decision::Adopt(from)),
        Command::Rollback { pipeline, to } => return roll_back(&pipeline, to, json).await,
    };
    let decided = match config::load(&path) {
        Ok(config) => pipeline::decide(config, decision).await.map_err(|error| refusal(&error)),
        Err(error) => Err(error.to_string()),
    };
    match decided {
        Ok(starts) => {
            for start in starts {
                if json {
                    print(&serde_json::to_string(&start).unwrap_or_default());
                } else {
                    print(&format!("{} (id {}):", start.topic, start.topic_id));
                    for (partition, offset) in &start.partitions {
                        print(&format!("  partition {partition} begins at {offset}"));
                    }
                }
            }
            Exit::Done
        }
        Err(text) => {
            say_refused(&text);
            Exit::Refused
        }
    }
}

async fn roll_back(path: &Path, to: u64, json: bool) -> Exit {
    let made = match config::load(path) {
        Ok(config) => pipeline::roll_back(config, to).await.map_err(|error| refusal(&error)),
        Err(error) => Err(error.to_string()),
    };
    match made {
        Ok(revision) => {
            print(&if json {
                serde_json::json!({ "revision": revision, "of": to }).to_string()
            } else {
                format!("revision {revision} has the content of revision {to} again")
            });
            Exit::Done
        }
        Err(text) => {
            say_refused(&text);
            Exit::Refused
        }
    }
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "committed" => Ok(Self::Committed),
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            number => number
                .parse()
                .map(Self::Offset)
                .map_err(|_| String::from("expected `committed`, `earliest`, `latest` or an offset")),
        }
    }
}
