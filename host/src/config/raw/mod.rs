//! pipeline.toml as it is typed: tables, keys and values with their places.
//!
//! Owns reading: syntax, `${}`, which keys a table has, types, units and bounds. One module a table; each
//! turns its table into a type of `model` and notes what is wrong instead of stopping at it, which is
//! why this is a reader of our own and not a serde derive: those end at the first error. Invariant:
//! every key of the file is read by a table that knows it, or is a problem.

mod canonical;
mod cut;
mod expand;
mod filter;
mod grants;
mod host;
mod item;
mod limits;
mod pipeline;
mod policy;
mod properties;
mod sinks;
mod source;
mod start;
mod suggest;
mod swap;
mod table;
mod transforms;

use std::path::Path;

pub(super) use expand::absolute;
pub(super) use suggest::closest;

/// What holds where nothing is written.
pub(super) mod defaults {
    pub(in crate::config) use super::cut::{
        DEFAULT_BATCH_RECORDS as BATCH_RECORDS, DEFAULT_BATCH_SIZE as BATCH_SIZE,
        DEFAULT_BATCH_WINDOW as BATCH_WINDOW, DEFAULT_INTERVAL as INTERVAL,
        DEFAULT_MAX_INTERVAL as MAX_INTERVAL, DEFAULT_MIN_SIZE as MIN_SIZE,
    };
    pub(in crate::config) use super::host::DEFAULT_MEMORY as MEMORY;
    pub(in crate::config) use super::sinks::DEFAULT_BUFFER as BUFFER;
    pub(in crate::config) use super::source::DEFAULT_PARTITIONS as PARTITIONS;
}

use super::error::{Error, Problems, Wrong};
use super::kept::{KEPT_BYTES, Kept};
use super::model::Pipeline;
use item::Document;

/// What reading a file needs from outside of it.
pub(super) struct Outside<'a> {
    /// Where relative paths start; absolute.
    pub(super) folder: &'a Path,
    /// Environment variables.
    pub(super) environment: &'a dyn Fn(&str) -> Option<String>,
    /// The pipeline of this host's own file, where the text is a kept configuration: what is not kept.
    pub(super) own: Option<&'a Pipeline>,
}

/// Syntax errors that are shown: the parser recovers, and its later errors are often echoes.
const SYNTAX_ERRORS: usize = 3;

/// Reads a whole file, or a kept configuration.
pub(super) fn read(text: &str, file: &str, outside: &Outside<'_>) -> Result<Pipeline, Error> {
    let problems = Problems::new(text);
    let (document, errors) = toml::de::DeTable::parse_recoverable(text);
    for error in errors.iter().take(SYNTAX_ERRORS) {
        let at = error.span().map_or(0, |span| span.start);
        problems.add(at, "", Wrong::new(format!("not TOML: {}", error.message().replace('\n', ", "))));
    }
    if !errors.is_empty() {
        return Err(problems.into_error(file));
    }
    let document = Document::new(&document, outside, &problems);
    let kept = match outside.own {
        // As it was written, by whichever host: its digest is what revisions and entries name.
        Some(_) => text.to_owned(),
        None => canonical::text(&document),
    };
    if kept.len() as u64 > KEPT_BYTES {
        let wrong = Wrong::new("has too many values that grow when they are written out for the ledger");
        problems.add(0, "", wrong.hint("is this the right file? shorten lists of numbers and long texts"));
    }
    let pipeline = pipeline::read(&document, outside, Kept::new(kept), &problems);
    match pipeline {
        Some(pipeline) if problems.is_empty() => Ok(pipeline),
        _ => Err(problems.into_error(file)),
    }
}

/// The one spelling of a text that is TOML.
#[cfg(test)]
pub(super) fn canonical(text: &str, outside: &Outside<'_>) -> String {
    let problems = Problems::new(text);
    let (document, errors) = toml::de::DeTable::parse_recoverable(text);
    assert!(errors.is_empty(), "{errors:?}");
    canonical::text(&Document::new(&document, outside, &problems))
}
