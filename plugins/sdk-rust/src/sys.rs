//! What a plugin may ask of its host: the log, and facts about where it runs.
//!
//! Built for the machine there is no host; the two doubles behind [`crate::testing`] stand in for it.

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Each step; only for whoever debugs the plugin itself.
    Trace,
    /// What helps to understand one record's way.
    Debug,
    /// What an operator likes to see once in a while.
    Info,
    /// Something is off, and the plugin went on.
    Warn,
    /// Something failed.
    Error,
}

/// Writes one line to the host's log, which adds pipeline, transform, topic and partition, filters by
/// level and limits the rate. The macros [`info!`](crate::info) and its sisters format the text.
pub fn log(level: Level, text: &str) {
    host::log(level, text);
}

/// A fact of the host by its name, `None` where this host has no such fact.
pub fn context(name: &str) -> Option<String> {
    host::context(name)
}

/// Logs each step; only for whoever debugs the plugin itself.
#[macro_export]
macro_rules! trace {
    ($($argument:tt)+) => {
        $crate::log($crate::Level::Trace, &::std::format!($($argument)+))
    };
}

/// Logs what helps to understand one record's way.
#[macro_export]
macro_rules! debug {
    ($($argument:tt)+) => {
        $crate::log($crate::Level::Debug, &::std::format!($($argument)+))
    };
}

/// Logs what an operator likes to see once in a while.
#[macro_export]
macro_rules! info {
    ($($argument:tt)+) => {
        $crate::log($crate::Level::Info, &::std::format!($($argument)+))
    };
}

/// Logs that something is off, and the plugin went on.
#[macro_export]
macro_rules! warn {
    ($($argument:tt)+) => {
        $crate::log($crate::Level::Warn, &::std::format!($($argument)+))
    };
}

/// Logs that something failed.
#[macro_export]
macro_rules! error {
    ($($argument:tt)+) => {
        $crate::log($crate::Level::Error, &::std::format!($($argument)+))
    };
}

#[cfg(target_family = "wasm")]
mod host {
    use super::Level;
    use crate::bindings::vanne::transform::{context, log as contract};

    pub(super) fn log(level: Level, text: &str) {
        let level = match level {
            Level::Trace => contract::Level::Trace,
            Level::Debug => contract::Level::Debug,
            Level::Info => contract::Level::Info,
            Level::Warn => contract::Level::Warn,
            Level::Error => contract::Level::Error,
        };
        contract::write(level, text);
    }

    pub(super) fn context(name: &str) -> Option<String> {
        context::get(name)
    }
}

#[cfg(not(target_family = "wasm"))]
pub(crate) mod host {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::Level;

    thread_local! {
        static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
        static FACTS: RefCell<BTreeMap<String, String>> = const { RefCell::new(BTreeMap::new()) };
    }

    pub(super) fn log(level: Level, text: &str) {
        LINES.with_borrow_mut(|lines| lines.push((level, text.to_owned())));
    }

    pub(super) fn context(name: &str) -> Option<String> {
        FACTS.with_borrow(|facts| facts.get(name).cloned())
    }

    pub(crate) fn take_lines() -> Vec<(Level, String)> {
        LINES.take()
    }

    pub(crate) fn put_lines(lines: Vec<(Level, String)>) {
        LINES.replace(lines);
    }

    pub(crate) fn set_fact(name: &str, value: &str) {
        FACTS.with_borrow_mut(|facts| facts.insert(name.to_owned(), value.to_owned()));
    }
}
