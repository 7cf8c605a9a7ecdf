//! Whether the files that a pipeline names are there: apart from parsing, since `--build` makes plugins.

use std::path::Path;

use super::error::{Error, Problem, shown};
use super::model::{Broker, FeedFrom, Pipeline};

/// Looks for each transform's component and for the file that is fed; opens none of them.
///
/// # Errors
/// Every file that is not there, by its key.
pub fn check_files(pipeline: &Pipeline) -> Result<(), Error> {
    let mut problems = Vec::new();
    // Without a path the component is the ledger's.
    let named = pipeline.transforms.iter().enumerate().filter(|(_, it)| !it.plugin.as_os_str().is_empty());
    for (nth, transform) in named {
        let hint = match &transform.build {
            Some(build) => format!("`--build` makes it by `{}`", shown(&build.command)),
            None => "build the plugin, or correct the path".into(),
        };
        problems.extend(missing(&transform.plugin, format!("transforms[{nth}].plugin"), hint));
    }
    if let Broker::Embedded { feed, .. } = &pipeline.source.broker
        && let FeedFrom::File(path) = &feed.from
    {
        problems.extend(missing(path, "source.feed.file".into(), "correct the path".into()));
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Error { file: pipeline.name.clone(), problems }),
    }
}

fn missing(path: &Path, key: String, hint: String) -> Option<Problem> {
    let what = match std::fs::metadata(path) {
        // A feed may also be a pipe or a device.
        Ok(metadata) if !metadata.is_dir() => return None,
        Ok(_) => "is a folder".to_owned(),
        Err(error) => format!("can't be read: {error}"),
    };
    let message = format!("the file `{}` {what}", shown(&path.to_string_lossy()));
    Some(Problem { position: None, key, message, hint: Some(hint) })
}
