//! Looking into a plugin's file, alone or as a pipeline would run it.

use std::path::{Path, PathBuf};

use super::code::Engines;
use crate::config::{Grants, Limits};
use crate::plugin::{self, Inspection, Spec};

/// What a plugin is tried under.
#[derive(Debug)]
pub struct Subject {
    /// The pipeline's name.
    pub pipeline: String,
    /// The transform's name.
    pub transform: String,
    /// JSON text for `configure`.
    pub config: String,
    /// What an instance may use.
    pub limits: Limits,
    /// What an instance may reach.
    pub grants: Grants,
    /// Folder of the component cache; `None`: the user's cache folder.
    pub cache: Option<PathBuf>,
}

/// Looks into a component's file. It may take seconds of CPU.
///
/// # Errors
/// Where the file cannot be read, or the engine does not start.
pub fn inspect(path: &Path, subject: &Subject) -> Result<Inspection, plugin::Error> {
    let engine = Engines::new(subject.cache.clone()).get()?;
    let spec = Spec {
        pipeline: &subject.pipeline,
        transform: &subject.transform,
        config: &subject.config,
        limits: &subject.limits,
        grants: &subject.grants,
    };
    plugin::inspect(&engine, path, spec)
}
