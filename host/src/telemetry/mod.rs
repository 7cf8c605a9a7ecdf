//! Logs: what goes to standard error, in which form.
//!
//! Owns the set-up of `tracing`. Invariant: data goes to standard output, everything else to standard
//! error; colour only on a terminal.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogForm {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged unless `VANNE_LOG` says otherwise: this program's news, and others' warnings.
const DEFAULT_FILTER: &str = "warn,host=info,plugin=info";

/// Sends logs to standard error. `VANNE_LOG` takes the filter syntax of `tracing-subscriber`.
pub fn start(form: LogForm) {
    let filter = EnvFilter::try_from_env("VANNE_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_span_events(FmtSpan::NONE);
    let started = match form {
        LogForm::Text => builder.with_target(false).compact().try_init(),
        LogForm::Json => builder.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logs are set up already");
    }
}
