//! Durable operations on single files.
//!
//! Invariant: an error after the point where others can see the result has the kind
//! [`io::ErrorKind::Other`], which says that it may have happened.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::clock;
use crate::store::Created;

/// With a dot first: they lie beside the objects, a killed process leaves them half written, and most readers of a
/// folder pass over names that begin so.
const TEMPORARY_PREFIX: &str = ".tmp#";

/// Whether a file name is one of [`Temporary`].
pub(super) fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY_PREFIX)
}

/// Turns an error into one that says that it may have happened.
pub(super) fn doubtful(error: io::Error) -> io::Error {
    io::Error::other(error)
}

/// A file without a name that counts, removed when dropped.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
    file: Arc<File>,
}

impl Temporary {
    /// Makes one in the folder of `target`, hence on its file system.
    pub(super) fn beside(target: &Path) -> io::Result<Self> {
        let folder = parent(target)?;
        let path = folder.join(format!("{TEMPORARY_PREFIX}{}", clock::unique_id()?));
        let open = || OpenOptions::new().write(true).create_new(true).open(&path);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                ensure_folder(folder)?;
                open()?
            }
            other => other?,
        };
        Ok(Self { path, file: Arc::new(file) })
    }

    /// One that holds `bytes`, on disk.
    fn holding(target: &Path, bytes: &[u8]) -> io::Result<Self> {
        let temporary = Self::beside(target)?;
        let mut file = temporary.file.as_ref();
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(temporary)
    }

    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the file, which has another name by now.
    pub(super) fn forget(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.path.as_os_str().is_empty() {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(path = %self.path.display(), %error, "a temporary file stays until it is swept");
        }
    }
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path has no folder"))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes a folder and those above it, and sees to it that they stay.
pub(super) fn ensure_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = parent(folder)?;
    let made = match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            ensure_folder(above)?;
            fs::create_dir(folder)
        }
        other => other,
    };
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !folder.is_dir() => Err(error),
        _ => sync_folder(above),
    }
}

/// Gives `bytes` the name `target` unless that is taken: a hard link, which has one winner.
pub(super) fn create(target: &Path, bytes: &[u8]) -> io::Result<Created> {
    let temporary = Temporary::holding(target, bytes)?;
    let created = match fs::hard_link(temporary.path(), target) {
        Ok(()) => Created::Created,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Created::Exists,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(doubtful(error)),
        Err(error) => {
            let why = format!("{error}; the ledger needs a file system with hard links");
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
    };
    sync_folder(parent(target)?).map_err(doubtful)?;
    Ok(created)
}

/// Gives `bytes` the name `target`, whoever had it.
pub(super) fn replace(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = Temporary::holding(target, bytes)?;
    fs::rename(temporary.path(), target)?;
    temporary.forget();
    sync_folder(parent(target)?).map_err(doubtful)
}

/// Renames a synced file within one folder. Repeatable once it has succeeded.
pub(super) fn rename(source: &Path, target: &Path) -> io::Result<()> {
    match fs::rename(source, target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(doubtful(error)),
        other => other?,
    }
    sync_folder(parent(target)?).map_err(doubtful)
}

/// Renames a synced file to a place in another folder, which is made where it is missing.
pub(super) fn publish(source: &Path, target: &Path) -> io::Result<()> {
    if length(source)?.is_none() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "there is no staged file"));
    }
    let folder = parent(target)?;
    ensure_folder(folder)?;
    fs::rename(source, target)?;
    sync_folder(folder).and_then(|()| sync_folder(parent(source)?)).map_err(doubtful)
}

/// Removes a file; none there is fine. Not synced: one that comes back is removed again.
pub(super) fn delete(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if !is_missing(&error) => Err(error),
        _ => Ok(()),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(file.metadata()?.is_file().then_some(file)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The file's length; `None` where there is no file.
pub(super) fn length(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The whole file.
pub(super) fn read(path: &Path) -> io::Result<Option<Bytes>> {
    let Some(mut file) = open(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Some(bytes.into()))
}

/// Some bytes of the file.
pub(super) fn read_range(path: &Path, range: &Range<u64>) -> io::Result<Option<Bytes>> {
    let Some(mut file) = open(path)? else { return Ok(None) };
    let held = file.metadata()?.len();
    if range.start >= range.end || range.end > held {
        let why = format!("range {}..{} is empty or leaves the file's {held} bytes", range.start, range.end);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.seek(SeekFrom::Start(range.start))?;
    file.read_exact(&mut bytes)?;
    Ok(Some(bytes.into()))
}
