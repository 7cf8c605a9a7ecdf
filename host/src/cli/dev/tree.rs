//! Noticing that a folder of source files changes.
//!
//! Owns what was seen of each file below it. Looks instead of being told by the system, for that works on every
//! file system. Invariant: files that are being written are not a change until all stand still for a look, or
//! have moved for too long; the work of a look is bounded, and what was left out is said.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files that are watched at the most.
const FILES_MAX: usize = 20_000;
/// Folders inside folders.
const DEPTH_MAX: usize = 32;
/// Looks for which a change waits for all files to stand still.
const MOVING_MAX: u32 = 25;
/// A larger file is known by its time and length only.
const READ_MAX: u64 = 1 << 20;
/// Bytes that one look reads at the most.
const READ_ALL_MAX: u64 = 64 << 20;
/// Folders of what is made, not written; hidden ones are passed over as well.
const PASSED_OVER: [&str; 2] = ["target", "node_modules"];

/// What a look shows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    bytes: u64,
    inode: u64,
}

/// What is known of a file.
#[derive(Clone, Copy, Debug)]
struct Known {
    stamp: Stamp,
    /// Of its content, where that was read.
    hash: Option<u64>,
}

type Look = BTreeMap<PathBuf, Stamp>;

/// A folder that is watched.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    /// Files and folders that are none of the source.
    skipped: Vec<PathBuf>,
    known: BTreeMap<PathBuf, Known>,
    /// The last look, where it showed a change; and for how many looks files have been moving.
    moving: Option<(Look, u32)>,
    is_warned: bool,
}

impl Tree {
    /// As it is now.
    pub(super) fn new(root: &Path, skipped: Vec<PathBuf>) -> Self {
        let mut tree =
            Self { root: root.to_owned(), skipped, known: BTreeMap::new(), moving: None, is_warned: false };
        tree.accept();
        tree
    }

    /// Other things in it are none of the source from now on.
    pub(super) fn skip(&mut self, skipped: Vec<PathBuf>) {
        if skipped != self.skipped {
            self.skipped = skipped;
            self.accept();
        }
    }

    /// The first file that is new, gone or another one, once all stand still.
    pub(super) fn changed(&mut self) -> Option<PathBuf> {
        let now = self.look();
        let Some(first) = self.difference(&now) else {
            self.moving = None;
            return None;
        };
        let (before, looks) = self.moving.take().unzip();
        let looks = looks.unwrap_or(0) + 1;
        if before.as_ref() != Some(&now) && looks < MOVING_MAX {
            self.moving = Some((now, looks));
            return None;
        }
        self.know(now);
        Some(first)
    }

    /// After a build: a file that it wrote again with the same content has not changed. The first one that
    /// has, and which the next looks tell.
    pub(super) fn settle(&mut self) -> Option<PathBuf> {
        self.moving = None;
        let now = self.look();
        let mut budget = READ_ALL_MAX;
        for (path, known) in &mut self.known {
            let Some(stamp) = now.get(path).filter(|stamp| **stamp != known.stamp) else { continue };
            if known.hash.is_some() && known.hash == hash(&self.root.join(path), stamp, &mut budget) {
                known.stamp = *stamp;
            }
        }
        self.difference(&now)
    }

    /// Takes everything as it is now.
    pub(super) fn accept(&mut self) {
        self.moving = None;
        let now = self.look();
        self.know(now);
    }

    fn know(&mut self, now: Look) {
        let (mut before, mut budget) = (std::mem::take(&mut self.known), READ_ALL_MAX);
        for (path, stamp) in now {
            let known = match before.remove(&path).filter(|known| known.stamp == stamp) {
                Some(known) => known,
                None => Known { stamp, hash: hash(&self.root.join(&path), &stamp, &mut budget) },
            };
            self.known.insert(path, known);
        }
    }

    fn difference(&self, now: &Look) -> Option<PathBuf> {
        let is_other = |(path, stamp): &(&PathBuf, &Stamp)| {
            self.known.get(*path).is_none_or(|known| known.stamp != **stamp)
        };
        let other = now.iter().find(is_other).map(|(path, _)| path);
        other.or_else(|| self.known.keys().find(|path| !now.contains_key(*path))).cloned()
    }

    /// All files, by their paths below the root.
    fn look(&mut self) -> Look {
        let root = fs::canonicalize(&self.root).unwrap_or_else(|_| self.root.clone());
        let skipped: Vec<_> = self.skipped.iter().map(|path| real(path)).collect();
        let (mut found, mut is_whole) = (Look::new(), true);
        let mut folders = vec![(root.clone(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            for path in entries(&folder) {
                if skipped.contains(&path) || is_passed_over(&path) {
                    continue;
                }
                // A link to a folder is not followed, one to a file is.
                let Ok(itself) = fs::symlink_metadata(&path) else { continue };
                if itself.is_dir() && depth < DEPTH_MAX {
                    folders.push((path, depth + 1));
                } else if itself.is_dir() {
                    is_whole = false;
                } else if let Some(stamp) = fs::metadata(&path).ok().as_ref().and_then(stamp) {
                    is_whole &= found.len() < FILES_MAX;
                    if is_whole && let Ok(path) = path.strip_prefix(&root) {
                        found.insert(path.to_owned(), stamp);
                    }
                }
            }
            if found.len() >= FILES_MAX && !is_whole {
                break;
            }
        }
        self.warn_unless(is_whole);
        found
    }

    fn warn_unless(&mut self, is_whole: bool) {
        if !is_whole && !self.is_warned {
            self.is_warned = true;
            tracing::warn!(folder = %self.root.display(), files = FILES_MAX, depth = DEPTH_MAX,
                "the build's folder holds more files, or deeper folders, than are watched: not every edit is \
                 noticed; let `build.dir` name a smaller one");
        }
    }
}

/// Sorted, so that a bound leaves out the same files at each look.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).take(FILES_MAX + 1).collect();
    paths.sort();
    paths
}

fn is_passed_over(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    // What editors leave beside a file ends so.
    name.starts_with(b".") || name.ends_with(b"~") || PASSED_OVER.iter().any(|it| it.as_bytes() == name)
}

fn stamp(metadata: &Metadata) -> Option<Stamp> {
    let modified = metadata.modified().ok()?;
    metadata.is_file().then(|| Stamp { modified, bytes: metadata.len(), inode: metadata.ino() })
}

/// A path without links and `..`, also of a file that is not there yet.
fn real(path: &Path) -> PathBuf {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return path.to_owned() };
    fs::canonicalize(folder).map_or_else(|_| path.to_owned(), |folder| folder.join(name))
}

/// Of a file's content, within a budget.
fn hash(path: &Path, stamp: &Stamp, budget: &mut u64) -> Option<u64> {
    if stamp.bytes > READ_MAX.min(*budget) {
        return None;
    }
    *budget -= stamp.bytes;
    let mut content = Vec::new();
    fs::File::open(path).ok()?.take(READ_MAX).read_to_end(&mut content).ok()?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&content);
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        write(&folder, "src/lib.rs", "1");
        write(&folder, "src/deep/er/a.rs", "1");
        folder
    }

    fn write(folder: &tempfile::TempDir, name: &str, text: &str) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a folder can be made");
        fs::write(path, text).expect("writes");
    }

    fn found(tree: &mut Tree) -> Option<String> {
        tree.changed().map(|path| path.display().to_string())
    }

    #[test]
    fn a_change_is_told_once_and_only_when_it_is_over() {
        let folder = folder();
        let mut tree = Tree::new(folder.path(), Vec::new());
        assert_eq!(found(&mut tree), None);
        write(&folder, "src/lib.rs", "12");
        assert_eq!(found(&mut tree), None, "it may still be written");
        write(&folder, "src/deep/er/a.rs", "12");
        assert_eq!(found(&mut tree), None, "another one is");
        assert_eq!(found(&mut tree).as_deref(), Some("src/deep/er/a.rs"));
        assert_eq!(found(&mut tree), None);
    }

    #[test]
    fn new_files_and_those_that_are_gone_are_changes() {
        let folder = folder();
        let mut tree = Tree::new(folder.path(), Vec::new());
        write(&folder, "src/new.rs", "");
        assert_eq!((found(&mut tree), found(&mut tree).as_deref()), (None, Some("src/new.rs")));
        fs::remove_dir_all(folder.path().join("src/deep")).expect("removes");
        assert_eq!((found(&mut tree), found(&mut tree).as_deref()), (None, Some("src/deep/er/a.rs")));
        assert_eq!((found(&mut tree), found(&mut tree)), (None, None));
    }

    #[test]
    fn what_never_stands_still_is_a_change_after_a_while() {
        let folder = folder();
        let mut tree = Tree::new(folder.path(), Vec::new());
        let told = (1..=MOVING_MAX + 5).find(|nth| {
            write(&folder, "src/lib.rs", &"x".repeat(*nth as usize + 1));
            tree.changed().is_some()
        });
        assert_eq!(told, Some(MOVING_MAX));
    }

    #[test]
    fn what_is_made_or_hidden_or_named_is_passed_over() {
        let folder = folder();
        let skipped = vec![folder.path().join("src/../made.wasm"), folder.path().join("out")];
        let mut tree = Tree::new(&folder.path().join("src/.."), skipped);
        let others =
            ["target/a", "node_modules/a", ".git/a", ".hidden", "src/lib.rs~", "made.wasm", "out/a/b"];
        for name in others {
            write(&folder, name, "1");
        }
        assert_eq!((found(&mut tree), found(&mut tree)), (None, None));
        write(&folder, "seen", "1");
        assert_eq!((found(&mut tree), found(&mut tree).as_deref()), (None, Some("seen")));
    }

    #[test]
    fn links_to_folders_are_not_followed() {
        let folder = folder();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("src/loop")).expect("links");
        let other = tempfile::tempdir().expect("a folder");
        write(&other, "a.rs", "1");
        std::os::unix::fs::symlink(other.path().join("a.rs"), folder.path().join("a.rs")).expect("links");
        let mut tree = Tree::new(folder.path(), Vec::new());
        assert_eq!(tree.known.len(), 3);
        write(&other, "a.rs", "12");
        assert_eq!((found(&mut tree), found(&mut tree).as_deref()), (None, Some("a.rs")));
    }

    #[test]
    fn what_a_build_writes_again_is_no_change_and_an_edit_meanwhile_is_one() {
        let folder = folder();
        write(&folder, "generated.rs", "same");
        let mut tree = Tree::new(folder.path(), Vec::new());
        fs::remove_file(folder.path().join("generated.rs")).expect("removes");
        write(&folder, "generated.rs", "same");
        assert_eq!(tree.settle(), None);
        assert_eq!((found(&mut tree), found(&mut tree)), (None, None));

        write(&folder, "generated.rs", "other");
        write(&folder, "src/lib.rs", "1");
        assert_eq!(tree.settle(), Some(PathBuf::from("generated.rs")));
        assert_eq!((found(&mut tree), found(&mut tree).as_deref()), (None, Some("generated.rs")));
        write(&folder, "generated.rs", "others");
        tree.accept();
        assert_eq!((found(&mut tree), found(&mut tree)), (None, None));
    }

    #[test]
    fn depth_is_bounded_and_said() {
        let folder = folder();
        let deep = |levels: usize| format!("{}/a", vec!["d"; levels].join("/"));
        write(&folder, &deep(DEPTH_MAX), "1");
        let mut tree = Tree::new(folder.path(), Vec::new());
        assert_eq!((tree.known.len(), tree.is_warned), (3, false));
        write(&folder, &deep(DEPTH_MAX + 1), "1");
        assert_eq!((found(&mut tree), tree.is_warned), (None, true));
    }
}
