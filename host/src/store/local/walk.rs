//! The files under a folder in order of their paths, as an object store lists them.
//!
//! Owns the order: a folder sorts as its name with a `/`, so that walking the tree gives the order of
//! the whole paths (`a-b` before `a/b`). Skips what no store would list: links, temporary files, names
//! that are not UTF-8.

use std::fs;
use std::io;
use std::path::Path;

use super::files;
use crate::clock;
use crate::store::Listed;

/// Age at which a temporary file is removed: no writer takes so long between its first byte and its name.
/// One that does (paused for an hour) loses its file and is told so, never its data.
const SWEEP_AGE_MS: i64 = 3_600_000;

/// Up to `limit` files under `prefix` whose path is greater than `after`.
pub(super) fn list(root: &Path, prefix: &str, after: Option<&str>, limit: usize) -> io::Result<Vec<Listed>> {
    let mut listing = Listing { after: after.unwrap_or_default(), limit, found: Vec::new() };
    let (folder, base) = if prefix.is_empty() {
        (root.to_owned(), String::new())
    } else {
        (root.join(prefix), format!("{prefix}/"))
    };
    listing.visit(&folder, &base)?;
    Ok(listing.found)
}

struct Listing<'a> {
    after: &'a str,
    limit: usize,
    found: Vec<Listed>,
}

impl Listing<'_> {
    fn visit(&mut self, folder: &Path, base: &str) -> io::Result<()> {
        for name in names(folder, base, self.after)? {
            if self.found.len() >= self.limit {
                return Ok(());
            }
            let path = format!("{base}{name}");
            if name.ends_with('/') {
                self.visit(&folder.join(&name), &path)?;
            } else if let Some(bytes) = files::length(&folder.join(&name))? {
                self.found.push(Listed { path, bytes });
            }
        }
        Ok(())
    }
}

/// Names in a folder that lead to paths after `after`, sorted; those of folders end in `/`.
fn names(folder: &Path, base: &str, after: &str) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(mut name) = entry.file_name().into_string() else { continue };
        let kind = entry.file_type()?;
        if files::is_temporary(&name) {
            sweep(&entry);
            continue;
        }
        if kind.is_dir() {
            name.push('/');
        } else if !kind.is_file() {
            continue;
        }
        if leads_past(&format!("{base}{name}"), after) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether a file at `path`, or some file under it where it ends in `/`, can be greater than `after`.
fn leads_past(path: &str, after: &str) -> bool {
    path > after || (path.ends_with('/') && after.starts_with(path))
}

fn sweep(entry: &fs::DirEntry) {
    let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) else { return };
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let modified_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    if clock::now_ms().saturating_sub(modified_ms) < SWEEP_AGE_MS {
        return;
    }
    match files::delete(&entry.path()) {
        Ok(()) => tracing::debug!(path = %entry.path().display(), "swept a temporary file"),
        Err(error) => tracing::debug!(path = %entry.path().display(), %error, "can't sweep a temporary file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn walking_gives_what_sorting_whole_paths_gives(
            paths in proptest::collection::btree_set("[a-c]{1,2}(/[-.a0]x{0,1}){0,2}", 0..12),
            after in proptest::option::of("[a-c]{0,2}(/[-.a0]x{0,1}){0,2}"),
            limit in 0_usize..15,
        ) {
            let root = tempfile::tempdir().unwrap();
            let mut made = std::collections::BTreeSet::new();
            for path in &paths {
                let file = root.path().join(path);
                let free = !path.contains("/./") && !path.ends_with("/.") && !path.contains("/-./");
                if free && fs::create_dir_all(file.parent().unwrap()).is_ok() && fs::write(&file, "x").is_ok() {
                    made.insert(path.clone());
                }
            }
            let expected: Vec<_> =
                made.into_iter().filter(|path| after.as_ref().is_none_or(|after| path > after)).take(limit).collect();
            let listed = list(root.path(), "", after.as_deref(), limit).unwrap();
            let found: Vec<_> = listed.into_iter().map(|object| object.path).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
