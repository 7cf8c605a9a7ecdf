//! Noticing that files change.
//!
//! Owns what was seen of each file: time, length, and where its name leads. Looks instead of being told by the
//! system, for that works on every file system, and with files that are replaced, linked or mounted anew.
//! Invariant: a file that is being written is not a change until it stands still for a look.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What a look at a file shows; `None`: there is none.
type Seen = Option<(SystemTime, u64, u64)>;

/// Files that are watched.
#[derive(Debug)]
pub(crate) struct Files {
    known: BTreeMap<PathBuf, Seen>,
    /// How those looked that are changing.
    moving: BTreeMap<PathBuf, Seen>,
    /// One has changed that has not been told, since others are still changing.
    changed: bool,
}

impl Files {
    /// As they are now.
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        let known = paths.into_iter().map(|path| (path.clone(), look(&path))).collect();
        Self { known, moving: BTreeMap::new(), changed: false }
    }

    /// Watches these instead; what is watched already counts as it was known.
    pub(crate) fn watch(&mut self, paths: Vec<PathBuf>) {
        let known = std::mem::take(&mut self.known);
        let seen = |path: PathBuf| {
            let seen = known.get(&path).copied().unwrap_or_else(|| look(&path));
            (path, seen)
        };
        self.known = paths.into_iter().map(seen).collect();
        self.moving.retain(|path, _| self.known.contains_key(path));
    }

    /// Whether at least one of them has changed and stands still again. A file that is gone is waited for.
    pub(crate) fn have_changed(&mut self) -> bool {
        for (path, known) in &mut self.known {
            let now = look(path);
            if now.is_none() || now == *known {
                self.moving.remove(path);
                continue;
            }
            if self.moving.insert(path.clone(), now) == Some(now) {
                self.moving.remove(path);
                *known = now;
                self.changed = true;
            }
        }
        self.moving.is_empty() && std::mem::take(&mut self.changed)
    }
}

fn look(path: &Path) -> Seen {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_and_only_when_it_is_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a");
        fs::write(&file, "1").expect("writes");
        let mut files = Files::new(vec![file.clone(), folder.path().join("never")]);
        assert!(!files.have_changed());
        fs::write(&file, "12").expect("writes");
        assert!(!files.have_changed(), "it may still be written");
        fs::write(&file, "123").expect("writes");
        assert!(!files.have_changed());
        assert!(files.have_changed());
        assert!(!files.have_changed());
        fs::remove_file(&file).expect("removes");
        assert!(!files.have_changed(), "it is waited for");
        fs::write(&file, "1234").expect("writes");
        assert!(!files.have_changed());
        assert!(files.have_changed());
    }

    #[test]
    fn files_that_change_together_are_told_together() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        fs::write(&one, "1").expect("writes");
        fs::write(&other, "1").expect("writes");
        let mut files = Files::new(vec![one.clone(), other.clone()]);
        fs::write(&one, "12").expect("writes");
        assert!(!files.have_changed());
        fs::write(&other, "12").expect("writes");
        assert!(!files.have_changed(), "the other one may still be written");
        assert!(files.have_changed());
        assert!(!files.have_changed());
    }

    #[test]
    fn other_files_take_the_place_of_those_that_were_watched() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        fs::write(&one, "1").expect("writes");
        fs::write(&other, "1").expect("writes");
        let mut files = Files::new(vec![one.clone()]);
        files.watch(vec![other.clone()]);
        fs::write(&one, "12").expect("writes");
        assert!(!files.have_changed() && !files.have_changed());
        fs::write(&other, "12").expect("writes");
        assert!(!files.have_changed() && files.have_changed());
    }
}
