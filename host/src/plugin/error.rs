//! What can go wrong with a plugin: before it serves (`Error`) and in a call (`CallError`).

use std::path::PathBuf;

use crate::record::{Condition, Postponement, Report};

/// Why a plugin cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine itself does not start.
    #[error("the WebAssembly engine cannot start: {text}")]
    Engine {
        /// What it said.
        text: String,
    },
    /// No such file, or not readable.
    #[error("plugin `{}` cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something else than WebAssembly.
    #[error(
        "plugin `{origin}` is no WebAssembly: it begins with `{begins}`, expected a component's binary \
         (`.wasm` from a build with `--target wasm32-wasip2`)"
    )]
    NotWasm {
        /// The file.
        origin: String,
        /// Its first bytes, printable.
        begins: String,
    },
    /// A module, not a component.
    #[error("plugin `{origin}` is a core module, not a component; build it with `--target wasm32-wasip2`")]
    CoreModule {
        /// The file.
        origin: String,
    },
    /// Broken, or uses what the engine does not do.
    #[error("plugin `{origin}` does not compile: {text}")]
    Compile {
        /// The file.
        origin: String,
        /// What the compiler said.
        text: String,
    },
    /// A component for something else.
    #[error("plugin `{origin}` is no transform: expected exports `{expected}`, found {found}")]
    NoContract {
        /// The file.
        origin: String,
        /// What a transform exports.
        expected: String,
        /// What this component exports.
        found: String,
    },
    /// A transform for another host.
    #[error(
        "plugin `{origin}` is of another version of the contract: expected `{expected}`, found {found}; \
         build it again from this host's `wit` folder"
    )]
    ContractVersion {
        /// The file.
        origin: String,
        /// What this host calls.
        expected: String,
        /// What this component exports.
        found: String,
    },
    /// It wants what this host does not have.
    #[error("plugin `{origin}` imports what this host does not offer: {names}")]
    UnknownImports {
        /// The file.
        origin: String,
        /// The names, quoted.
        names: String,
    },
    /// It fits by name and not by type.
    #[error("plugin `{origin}` does not fit the contract: {text}")]
    Link {
        /// The file.
        origin: String,
        /// What the linker said.
        text: String,
    },
    /// Something that is granted is not there.
    #[error("the grant `{grant}` can't be given: {text}")]
    Grant {
        /// The transform.
        transform: String,
        /// The grant's name, without a value.
        grant: String,
        /// What is missing.
        text: String,
    },
    /// An instance could not be made, described or configured.
    #[error("the plugin fails to {step}: {text}")]
    Start {
        /// The transform.
        transform: String,
        /// Instantiate, describe or configure.
        step: &'static str,
        /// What happened.
        text: String,
    },
    /// The plugin does not want this configuration.
    #[error("the plugin refuses its config: {text}")]
    Refused {
        /// The transform.
        transform: String,
        /// The plugin's own words.
        text: String,
    },
}

/// Why a call has no outcome. Which of them leave a dead instance says `kills`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The guest trapped: panic, exit, exhausted stack, or another instruction that cannot go on.
    #[error("{message}")]
    Trap {
        /// What the engine said.
        message: String,
        /// Functions, innermost first, one a line; empty where there are none.
        backtrace: String,
        /// The last of what the plugin logged or printed in this call.
        output: String,
    },
    /// The guest ran longer than it may.
    #[error("the call took longer than its limit of {limit_ms} ms")]
    Timeout {
        /// The limit.
        limit_ms: u64,
        /// Where it was, innermost first.
        backtrace: String,
        /// The last of what the plugin logged or printed in this call.
        output: String,
    },
    /// The guest wanted more memory than it may have, and gave up.
    #[error("the plugin ran out of its {limit_bytes} bytes of memory")]
    OutOfMemory {
        /// The limit.
        limit_bytes: u64,
        /// Where it was, innermost first.
        backtrace: String,
        /// The last of what the plugin logged or printed in this call.
        output: String,
    },
    /// Not one outcome a message.
    #[error("the plugin gave {got} outcomes for {expected} messages")]
    WrongCount {
        /// Messages in the call.
        expected: usize,
        /// Outcomes that came back.
        got: usize,
    },
    /// The answer breaks a rule of the contract.
    #[error("the plugin's answer breaks the contract: {}, expected {expected}, found {found}", place(field, *position))]
    BadResponse {
        /// Which list of the answer.
        field: &'static str,
        /// Which of its entries; `None`: the list as a whole.
        position: Option<usize>,
        /// What the contract says.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// More bytes came back than a call may give.
    #[error("the plugin gave more than the {limit_bytes} bytes that one call may give")]
    OutputTooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// The plugin asks for the same call later.
    #[error("the plugin asks for the call again later: {}: {}", .0.code, .0.reason)]
    Retry(Postponement),
    /// The plugin says that no call can succeed.
    #[error("the plugin gave up: {0}")]
    Fatal(String),
}

impl CallError {
    /// The code of the dead letter of a record that is to blame.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Trap { .. } => "PluginTrap",
            Self::Timeout { .. } => "PluginTimeout",
            Self::OutOfMemory { .. } => "PluginOutOfMemory",
            Self::WrongCount { .. } => "WrongCount",
            Self::BadResponse { .. } => "BadResponse",
            Self::OutputTooLarge { .. } => "OutputTooLarge",
            Self::Retry(_) => "PluginRetry",
            Self::Fatal(_) => "PluginFatal",
        }
    }

    /// What kind of failure of a record it is.
    #[must_use]
    pub fn condition(&self) -> Condition {
        match self {
            Self::Trap { .. } => Condition::Trap,
            Self::Timeout { .. } => Condition::Timeout,
            Self::OutOfMemory { .. } => Condition::OutOfMemory,
            Self::WrongCount { .. } | Self::BadResponse { .. } => Condition::BadResponse,
            Self::OutputTooLarge { .. } => Condition::OutputTooLarge,
            Self::Retry(_) => Condition::RetryAttemptsExhausted,
            Self::Fatal(_) => Condition::Fatal,
        }
    }

    /// What the plugin left behind, where there is anything.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        match self {
            Self::Trap { backtrace, output, .. }
            | Self::Timeout { backtrace, output, .. }
            | Self::OutOfMemory { backtrace, output, .. } => {
                let report = Report { backtrace: backtrace.clone(), log: output.clone() };
                (report != Report::default()).then_some(report)
            }
            Self::WrongCount { .. }
            | Self::BadResponse { .. }
            | Self::OutputTooLarge { .. }
            | Self::Retry(_)
            | Self::Fatal(_) => None,
        }
    }

    /// The error with what the plugin left behind, for a person.
    #[must_use]
    pub fn in_full(&self) -> String {
        let report = self.report().unwrap_or_default();
        format!("{self}{}", with_details(&report.backtrace, &report.log))
    }

    /// Whether the instance must not be called again: it is dead, or cannot be trusted to be whole.
    #[must_use]
    pub fn kills(&self) -> bool {
        match self {
            Self::Trap { .. } | Self::Timeout { .. } | Self::OutOfMemory { .. } => true,
            // The results were being read when the limit was passed: the guest never got to free them.
            Self::OutputTooLarge { .. } => true,
            // It lost count of its messages, or worse, so that nothing it holds is sure.
            Self::WrongCount { .. } | Self::BadResponse { .. } => true,
            Self::Retry(_) | Self::Fatal(_) => false,
        }
    }
}

fn place(field: &str, position: Option<usize>) -> String {
    match position {
        Some(position) => format!("`{field}` at position {position}"),
        None => format!("`{field}`"),
    }
}

fn with_details(backtrace: &str, output: &str) -> String {
    let mut text = String::new();
    if !backtrace.is_empty() {
        text.push_str("\nbacktrace, innermost first:\n");
        text.push_str(backtrace);
    }
    if !output.is_empty() {
        text.push_str("\nlast output:\n");
        text.push_str(output);
    }
    text
}
