//! pipeline.toml: text to validated facts.
//!
//! Owns the keys that people type, their units and defaults, and the errors that say which line is
//! wrong. Reads the file, the environment and the secret files that it names, and nothing else: no
//! network, no plugin, no store. Invariant: what it returns needs no further check to be run, but for
//! the files that [`check_files`] looks for once plugins are built.

mod check;
mod error;
mod kept;
mod location;
mod model;
mod plan;
mod prefix;
mod raw;
mod secret;
mod share;
mod summary;
mod units;

use std::io::Read as _;
use std::path::Path;

pub use check::check_files;
pub use error::{Error, Position, Problem};
pub use kept::Kept;
pub use location::address;
pub use model::*;
pub use plan::{Action, Plan, Step, plan};
pub use secret::Secret;
pub use share::{Factor, Share};
pub use summary::summary;
pub use units::{show_duration, show_size};

/// Bytes of a file at the most: people write kilobytes, and everything that is built from a file is
/// bounded by its length.
const FILE_BYTES: u64 = 256 << 10;

/// Reads a file, with the process's environment.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path) -> Result<Pipeline, Error> {
    let file = path.display().to_string();
    let unreadable = |error: std::io::Error| {
        let hint = "name a pipeline.toml that exists and may be read";
        Error::of_file(&file, format!("can't be read: {error}"), hint)
    };
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path).map_err(unreadable)?;
    opened.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        // Where the bound cut a character in two, the bound is the problem.
        Err(error) if bytes.len() as u64 <= FILE_BYTES => return Err(not_text(&file, &bytes, error)),
        Err(_) => return Err(too_long(&file)),
    };
    let absolute = std::path::absolute(path).map_err(unreadable)?;
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    let pipeline = parse(text, folder, &file, &|name| std::env::var(name).ok())?;
    Ok(Pipeline { file: Some(absolute), ..pipeline })
}

/// Reads a text, called `name` in errors, whose relative paths start at `folder` (an absolute path), with
/// the environment that `env` knows.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(
    text: &str,
    folder: &Path,
    name: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Pipeline, Error> {
    if text.len() as u64 > FILE_BYTES {
        return Err(too_long(name));
    }
    raw::read(text, name, &raw::Outside { folder, environment: env, own: None })
}

fn too_long(file: &str) -> Error {
    let message = format!("is larger than {}", units::show_size(FILE_BYTES));
    Error::of_file(file, message, "a pipeline.toml is written by hand: is this the right file?")
}

fn not_text(file: &str, bytes: &[u8], error: std::str::Utf8Error) -> Error {
    let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
    let problems = error::Problems::new(&before);
    problems.add(before.len(), "", error::Wrong::new("not UTF-8").hint("save the file as UTF-8"));
    problems.into_error(file)
}
