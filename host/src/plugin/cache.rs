//! Compiled plugins on disk, so that a second start compiles nothing.
//!
//! Owns one private folder. Machine code is trusted, so that whoever can write there owns the process:
//! the folder must be ours and closed to everybody else, and so must a file in it, which is used only if
//! the digest in front of it fits what was read and the key that was asked for: an artefact under another
//! one's name is foreign. Invariant: a missing, torn or foreign file costs a
//! compilation, never more.

use std::cmp::Reverse;
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use crate::clock;

const SUFFIX: &str = "cwasm";
const DIGEST_BYTES: usize = 32;
/// Files kept: more than the plugins of one host, a few versions back.
const FILES_MAX: usize = 64;
/// Bytes kept: some thirty Python plugins, or a thousand in Rust.
const BYTES_MAX: u64 = 1 << 30;

/// A private folder of compiled plugins.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    files_max: usize,
    bytes_max: u64,
}

impl Cache {
    /// Opens the folder, and makes it where it is missing.
    ///
    /// # Errors
    /// Where it cannot be made or written, belongs to somebody else, or is open to others.
    pub fn open(folder: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let metadata = std::fs::symlink_metadata(folder)?;
        if !metadata.is_dir() {
            return Err(io::Error::other(format!("`{}` is not a folder", folder.display())));
        }
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let text = format!("`{}` is open to others (mode {mode:o}), expected 700", folder.display());
            return Err(io::Error::other(text));
        }
        let cache = Self { folder: folder.to_owned(), files_max: FILES_MAX, bytes_max: BYTES_MAX };
        // The owner of a file that we make is us: there is no other safe way to ask who we are.
        let (probe, file) = cache.temporary()?;
        let ours = file.metadata()?.uid();
        std::fs::remove_file(probe)?;
        if metadata.uid() != ours {
            let text = format!("`{}` belongs to user {}, expected {ours}", folder.display(), metadata.uid());
            return Err(io::Error::other(text));
        }
        Ok(cache)
    }

    /// Opens the folder, or warns and does without.
    #[must_use]
    pub fn open_or_warn(folder: &Path) -> Option<Self> {
        Self::open(folder)
            .inspect_err(|error| tracing::warn!(%error, "compiled plugins are not kept on disk"))
            .ok()
    }

    /// The component of that key, where there is a sound file of it.
    pub(super) fn load(&self, engine: &wasmtime::Engine, key: &str) -> Option<Component> {
        let path = self.path(key);
        let file = read_private(&path)?;
        let Some(artefact) = verified(key, &file) else {
            tracing::warn!(path = %path.display(), "a compiled plugin is damaged; compiling it again");
            return None;
        };
        match deserialize(engine, artefact) {
            Ok(component) => {
                // Only the order of removal depends on it.
                File::open(&path).and_then(|file| file.set_modified(SystemTime::now())).ok();
                Some(component)
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a compiled plugin does not fit; compiling it again");
                None
            }
        }
    }

    /// Keeps an artefact. What goes wrong is said in the log: the next start compiles again.
    pub(super) fn store(&self, key: &str, artefact: &[u8]) {
        let result = self.write(key, artefact).and_then(|()| self.tidy());
        if let Err(error) = result {
            tracing::warn!(folder = %self.folder.display(), %error, "a compiled plugin cannot be kept");
        }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.{SUFFIX}"))
    }

    fn temporary(&self) -> io::Result<(PathBuf, File)> {
        let path = self.folder.join(format!("{}.tmp", clock::unique_id()?));
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok((path, file))
    }

    fn write(&self, key: &str, artefact: &[u8]) -> io::Result<()> {
        let (temporary, mut file) = self.temporary()?;
        let written = file
            .write_all(&sealed(key, artefact))
            .and_then(|()| file.write_all(artefact))
            .and_then(|()| std::fs::rename(&temporary, self.path(key)));
        if written.is_err() {
            // The first error is the one to report.
            std::fs::remove_file(&temporary).ok();
        }
        written
    }

    /// Removes the files used longest ago, until the rest is within bounds. Left-over temporary files
    /// count and go the same way.
    fn tidy(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for file in std::fs::read_dir(&self.folder)? {
            let file = file?;
            // Another process may remove it in between.
            let Ok(metadata) = file.metadata() else { continue };
            files.push((metadata.modified()?, metadata.len(), file.path()));
        }
        files.sort_by_key(|(modified, _, _)| Reverse(*modified));
        let mut bytes = 0;
        for (position, (_, length, path)) in files.iter().enumerate() {
            bytes += length;
            if position >= self.files_max || bytes > self.bytes_max {
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// A file's bytes, unless others could have written them, or it leads elsewhere.
fn read_private(path: &Path) -> Option<Vec<u8>> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    let folder = std::fs::symlink_metadata(path.parent()?).ok()?;
    let private = metadata.is_file() && metadata.mode() & 0o077 == 0 && metadata.uid() == folder.uid();
    if !private {
        tracing::warn!(path = %path.display(), "a compiled plugin is open to others; compiling it again");
        return None;
    }
    std::fs::read(path).ok()
}

/// The digest of an artefact under its key, which has no zero byte.
fn sealed(key: &str, artefact: &[u8]) -> [u8; DIGEST_BYTES] {
    let digest = Sha256::new().chain_update(key).chain_update([0]).chain_update(artefact);
    digest.finalize().into()
}

fn verified<'a>(key: &str, file: &'a [u8]) -> Option<&'a [u8]> {
    let (digest, artefact) = file.split_at_checked(DIGEST_BYTES)?;
    (sealed(key, artefact) == digest).then_some(artefact)
}

/// Sound because of what this module guarantees: the bytes came from a folder that only this user can
/// write, and are, by their digest, what this host wrote there. Wasmtime itself refuses another version
/// and other settings. The bytes are in memory already, so that nobody changes them in between.
#[allow(unsafe_code, reason = "machine code is trusted; see above for why it may be")]
fn deserialize(engine: &wasmtime::Engine, artefact: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `artefact` is the unchanged output of `Component::serialize`, as above.
    unsafe { Component::deserialize(engine, artefact) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn opened() -> (tempfile::TempDir, Cache) {
        let parent = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&parent.path().join("deep/cache")).expect("a new folder is private");
        (parent, cache)
    }

    fn names(cache: &Cache) -> Vec<String> {
        let files = std::fs::read_dir(&cache.folder).expect("readable");
        let mut names: Vec<_> =
            files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_open_to_others_is_refused() {
        let (_parent, cache) = opened();
        std::fs::set_permissions(&cache.folder, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let error = Cache::open(&cache.folder).expect_err("open to others");
        assert!(error.to_string().contains("755"), "{error}");
    }

    #[test]
    fn a_symbolic_link_is_refused() {
        let (parent, cache) = opened();
        let link = parent.path().join("link");
        std::os::unix::fs::symlink(&cache.folder, &link).expect("a link");
        assert!(Cache::open(&link).is_err());
    }

    #[test]
    fn only_what_was_written_whole_is_verified() {
        let (_parent, cache) = opened();
        cache.store("a", b"artefact");
        let mut file = std::fs::read(cache.path("a")).expect("written");
        assert_eq!(verified("a", &file), Some(b"artefact".as_slice()));
        // Under another key it is foreign, however whole.
        assert_eq!(verified("b", &file), None);
        assert_eq!(verified("a", &file[..file.len() - 1]), None);
        assert_eq!(verified("a", &file[..10]), None);
        file[DIGEST_BYTES] ^= 1;
        assert_eq!(verified("a", &file), None);
        assert_eq!(names(&cache), ["a.cwasm"]);
    }

    #[test]
    fn a_file_that_others_can_write_or_that_is_a_link_is_not_read() {
        let (parent, cache) = opened();
        cache.store("a", b"artefact");
        let path = cache.path("a");
        assert!(read_private(&path).is_some());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o620)).expect("chmod");
        assert!(read_private(&path).is_none());
        // It is replaced by a private one, not written into.
        cache.store("a", b"artefact");
        assert!(read_private(&path).is_some());
        let elsewhere = parent.path().join("elsewhere");
        std::fs::rename(&path, &elsewhere).expect("moved");
        std::os::unix::fs::symlink(&elsewhere, &path).expect("a link");
        assert!(read_private(&path).is_none());
    }

    #[test]
    fn writers_at_once_leave_one_whole_file() {
        let (_parent, cache) = opened();
        let artefacts: Vec<_> = (0..4_u8).map(|byte| vec![byte; 1 << 20]).collect();
        std::thread::scope(|scope| {
            for artefact in &artefacts {
                scope.spawn(|| (0..20).for_each(|_| cache.store("a", artefact)));
            }
            scope.spawn(|| {
                for _ in 0..50 {
                    let file = read_private(&cache.path("a")).unwrap_or_default();
                    assert!(file.is_empty() || verified("a", &file).is_some(), "a torn file");
                }
            });
        });
        let file = read_private(&cache.path("a")).expect("written");
        assert!(artefacts.iter().any(|artefact| verified("a", &file) == Some(&**artefact)));
        assert_eq!(names(&cache), ["a.cwasm"]);
    }

    #[test]
    fn the_files_used_longest_ago_go_first() {
        let (_parent, mut cache) = opened();
        cache.files_max = 2;
        for (age, key) in ["a", "b", "c"].iter().enumerate() {
            cache.write(key, b"x").expect("written");
            let time = SystemTime::now() - Duration::from_secs(100 - age as u64);
            File::open(cache.path(key)).and_then(|file| file.set_modified(time)).expect("touched");
        }
        cache.tidy().expect("tidied");
        assert_eq!(names(&cache), ["b.cwasm", "c.cwasm"]);
        cache.bytes_max = DIGEST_BYTES as u64 + 1;
        cache.tidy().expect("tidied");
        assert_eq!(names(&cache), ["c.cwasm"]);
    }
}
