//! A folder of this machine as a store.
//!
//! Owns the promise that what a call said is done outlives a loss of power: files are synced before they
//! are named, folders after. The file operations are in `files`, the sorted listing in `walk`. Every call
//! runs on a blocking thread; one that is dropped runs on to its end.
//!
//! Invariant: a name never shows a part of a file, for bytes get their name by a link or a rename.

mod files;
mod walk;

use std::fmt::Display;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use self::files::Temporary;
use super::path::{fault, prefix_fault};
use super::{Created, Error, ErrorKind, Labels, Listed, Result, Store, Upload};

/// Time after which a call is given up: a disk that is slower hangs (a network file system that is away).
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// A folder. Takes no labels.
#[derive(Debug)]
pub(super) struct Local {
    root: Arc<Path>,
    place: String,
}

impl Local {
    /// Opens a folder, which is made where it is missing.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let failed = |error: io::Error| {
            let kind = kind(&error);
            Error::new(kind, "open", "", &format!("file://{}", folder.display()), error)
        };
        files::ensure_folder(folder).map_err(failed)?;
        let root = folder.canonicalize().map_err(failed)?;
        let place = format!("file://{}", root.display());
        Ok(Self { root: root.into(), place })
    }

    fn file(&self, operation: &'static str, path: &str) -> Result<PathBuf> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let fault = match fault(path) {
            None if files::is_temporary(name) => Some("names that begin with `.tmp#` are taken"),
            other => other,
        };
        match fault {
            Some(why) => Err(Error::new(ErrorKind::Refused, operation, path, &self.place, why)),
            None => Ok(self.root.join(path)),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        path: &str,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        run(&self.place, operation, path, work).await
    }
}

async fn run<T: Send + 'static>(
    place: &str,
    operation: &'static str,
    path: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let unknown = |why: &dyn Display| Error::new(ErrorKind::Unknown, operation, path, place, why.to_string());
    match tokio::time::timeout(CALL_TIMEOUT, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(Ok(value))) => Ok(value),
        Ok(Ok(Err(error))) => Err(Error::new(kind(&error), operation, path, place, error)),
        Ok(Err(panicked)) => Err(unknown(&panicked)),
        Err(elapsed) => Err(unknown(&elapsed)),
    }
}

/// What an error says about what happened. `files` hands out errors of other kinds than
/// [`io::ErrorKind::Other`] only where nothing did.
fn kind(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        io::ErrorKind::InvalidInput
        | io::ErrorKind::InvalidFilename
        | io::ErrorKind::Unsupported
        | io::ErrorKind::CrossesDevices
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory => ErrorKind::Refused,
        _ => ErrorKind::Unknown,
    }
}

#[async_trait]
impl Store for Local {
    fn place(&self) -> &str {
        &self.place
    }

    fn domain(&self) -> &str {
        &self.place
    }

    async fn create(&self, path: &str, bytes: Bytes) -> Result<Created> {
        let file = self.file("create", path)?;
        self.run("create", path, move || files::create(&file, &bytes)).await
    }

    async fn put(&self, path: &str, bytes: Bytes, _labels: &Labels) -> Result<()> {
        let file = self.file("put", path)?;
        self.run("put", path, move || files::replace(&file, &bytes)).await
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        let file = self.file("get", path)?;
        self.run("get", path, move || files::read(&file)).await
    }

    async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Option<Bytes>> {
        let file = self.file("get", path)?;
        self.run("get", path, move || files::read_range(&file, &range)).await
    }

    async fn head(&self, path: &str) -> Result<Option<u64>> {
        let file = self.file("head", path)?;
        self.run("head", path, move || files::length(&file)).await
    }

    async fn upload(&self, path: &str, _labels: &Labels) -> Result<Box<dyn Upload>> {
        let target = self.file("upload", path)?;
        let begun = target.clone();
        let temporary = self.run("upload", path, move || Temporary::beside(&begun)).await?;
        let place = self.place.clone();
        let state = State::Open(temporary);
        Ok(Box::new(LocalUpload { place, path: path.to_owned(), target, written: 0, state }))
    }

    async fn publish(&self, from: &str, to: &str) -> Result<()> {
        let source = self.file("publish", from)?;
        let target = self.file("publish", to)?;
        self.run("publish", from, move || files::publish(&source, &target)).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let file = self.file("delete", path)?;
        self.run("delete", path, move || files::delete(&file)).await
    }

    async fn list_after(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        if let Some(why) = prefix_fault(prefix) {
            return Err(Error::new(ErrorKind::Refused, "list", prefix, &self.place, why));
        }
        let root = Arc::clone(&self.root);
        let (folder, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.run("list", prefix, move || walk::list(&root, &folder, after.as_deref(), limit)).await
    }
}

#[derive(Debug)]
enum State {
    Open(Temporary),
    Named,
    Aborted,
}

/// An upload: a temporary file beside the target, which takes its name at the end.
#[derive(Debug)]
struct LocalUpload {
    place: String,
    path: String,
    target: PathBuf,
    written: u64,
    state: State,
}

impl LocalUpload {
    fn refused(&self, operation: &'static str, why: &str) -> Error {
        Error::new(ErrorKind::Refused, operation, &self.path, &self.place, why)
    }

    fn file(&self, operation: &'static str) -> Result<Arc<File>> {
        match &self.state {
            State::Open(temporary) => Ok(temporary.file()),
            State::Named => Err(self.refused(operation, "the upload is finished")),
            State::Aborted => Err(self.refused(operation, "the upload was given up")),
        }
    }
}

#[async_trait]
impl Upload for LocalUpload {
    async fn part(&mut self, bytes: Bytes) -> Result<()> {
        use std::os::unix::fs::FileExt;
        let file = self.file("upload part of")?;
        if bytes.is_empty() {
            return Err(self.refused("upload part of", "a part holds at least one byte"));
        }
        let (length, at) = (bytes.len() as u64, self.written);
        let write = move || file.write_all_at(&bytes, at).map_err(files::doubtful);
        run(&self.place, "upload part of", &self.path, write).await?;
        self.written += length;
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        if matches!(self.state, State::Named) {
            return Ok(());
        }
        let file = self.file("finish")?;
        if self.written == 0 {
            return Err(self.refused("finish", "an object has at least one part"));
        }
        let State::Open(temporary) = &self.state else { return Ok(()) };
        let (source, target, length) = (temporary.path().to_owned(), self.target.clone(), self.written);
        let name = move || {
            file.set_len(length)?;
            file.sync_all()?;
            files::rename(&source, &target)
        };
        run(&self.place, "finish", &self.path, name).await?;
        if let State::Open(temporary) = std::mem::replace(&mut self.state, State::Named) {
            temporary.forget();
        }
        Ok(())
    }

    async fn abort(&mut self) -> Result<()> {
        if let State::Open(temporary) = std::mem::replace(&mut self.state, State::Aborted) {
            let remove = move || {
                drop(temporary);
                Ok(())
            };
            run(&self.place, "abort upload of", &self.path, remove).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Local) {
        let folder = tempfile::tempdir().unwrap();
        let store = Local::open(&folder.path().join("made/here")).unwrap();
        (folder, store)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn no_temporary_file_is_left_by_anything_that_ends() {
        let (_folder, store) = store();
        let labels = Labels::default();
        store.create("a/new", Bytes::from("1")).await.unwrap();
        store.create("a/new", Bytes::from("2")).await.unwrap();
        store.put("a/put", Bytes::from("3"), &labels).await.unwrap();
        let mut upload = store.upload("a/kept", &labels).await.unwrap();
        upload.part(Bytes::from("4")).await.unwrap();
        upload.finish().await.unwrap();
        upload.finish().await.unwrap();
        let mut given_up = store.upload("a/given-up", &labels).await.unwrap();
        given_up.part(Bytes::from("5")).await.unwrap();
        given_up.abort().await.unwrap();
        drop(store.upload("a/dropped", &labels).await.unwrap());
        assert_eq!(names(&store.root.join("a")), ["kept", "new", "put"]);
    }

    #[tokio::test]
    async fn a_temporary_file_of_a_killed_writer_is_hidden_and_swept_when_old() {
        let (_folder, store) = store();
        store.create("a/b", Bytes::from("1")).await.unwrap();
        let left = store.root.join("a/.tmp#0123456789abcdef");
        std::fs::write(&left, "half").unwrap();
        assert_eq!(store.list_after("", None, 10).await.unwrap().len(), 1);
        assert!(left.exists(), "a young one may belong to a living writer");
        let old = std::time::SystemTime::now() - Duration::from_secs(2 * 3600);
        File::options().write(true).open(&left).unwrap().set_modified(old).unwrap();
        assert_eq!(store.list_after("", None, 10).await.unwrap().len(), 1);
        assert!(!left.exists());
    }

    #[tokio::test]
    async fn the_root_cannot_be_left() {
        let (folder, store) = store();
        std::fs::write(folder.path().join("secret"), "x").unwrap();
        for path in ["../../secret", "a/../../../secret", "/etc/passwd", ".tmp#0123456789abcdef"] {
            let error = store.get(path).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Refused, "{path}");
        }
        assert!(store.list_after("..", None, 10).await.is_err());
    }

    #[tokio::test]
    async fn publishing_what_was_published_says_not_found_while_the_target_stays() {
        let (_folder, store) = store();
        store.put("staging/x", Bytes::from("body"), &Labels::default()).await.unwrap();
        store.publish("staging/x", "lake/deep/x").await.unwrap();
        let again = store.publish("staging/x", "lake/deep/x").await.unwrap_err();
        assert_eq!(again.kind, ErrorKind::NotFound);
        assert_eq!(store.head("lake/deep/x").await.unwrap(), Some(4));
        assert_eq!(store.head("staging/x").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_folder_is_no_object() {
        let (_folder, store) = store();
        store.create("a/b/c", Bytes::from("1")).await.unwrap();
        assert_eq!(store.head("a/b").await.unwrap(), None);
        assert_eq!(store.get("a/b").await.unwrap(), None);
        assert_eq!(store.head("a/b/c/d").await.unwrap(), None);
        assert_eq!(store.create("a/b/c/d", Bytes::from("1")).await.unwrap_err().kind, ErrorKind::Refused);
    }
}
