//! Exit codes, and how a refusal is said.

use std::io::Write;
use std::process::ExitCode;

use crate::pipeline::{self, chain_text};

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done, or drained.
    Done,
    /// 1: the configuration, or something that it names, is refused.
    Refused,
    /// 2: a lane halted.
    Halted,
    /// 3: the deadline passed.
    DeadlinePassed,
    /// 4: a change is made, or may be, and not every partition has shown it in time.
    Pending,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Halted => 2,
            Exit::DeadlinePassed => 3,
            Exit::Pending => 4,
        })
    }
}

/// Prints what clap has to say: help and version are what was asked for; a command line that it does not
/// take is refused (its own exit code would be that of a halted lane).
pub(crate) fn answered(answer: &clap::Error) -> ExitCode {
    let _nobody_may_be_reading = answer.print();
    if answer.use_stderr() { Exit::Refused.into() } else { Exit::Done.into() }
}

/// Says why the command is refused.
pub(crate) fn refused(why: &str) -> ExitCode {
    say_refused(why);
    Exit::Refused.into()
}

/// Writes `error: …` to standard error.
pub(crate) fn say_refused(why: &str) {
    let mut stderr = std::io::stderr().lock();
    let _nobody_may_be_reading = writeln!(stderr, "error: {why}");
}

/// Writes a line of data to standard output.
pub(crate) fn print(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _nobody_may_be_reading = writeln!(stdout, "{line}");
}

/// Why a pipeline can't start or go on, and what to do about it.
pub(crate) fn refusal(error: &pipeline::Error) -> String {
    let text = chain_text(error);
    match error.hint() {
        Some(hint) => format!("{text}\nhint: {hint}"),
        None => text,
    }
}
