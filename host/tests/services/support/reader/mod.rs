//! The oracle: a reader as a data engineer would write one. It lists a prefix, reads every object and counts.
//!
//! It uses nothing of the host: the object_store crate for stores, plain file calls for folders, the extension for the
//! compression. Records are JSON lines with the partition `p` and the number `n` that they were produced with, and
//! optionally `i`, which of the outputs of that input it is, and `stamp`, which version of a plugin made it; see
//! [`Message::numbered`](super::kafka::Message::numbered).
//! It ignores `_vanne/`, as every reader may, and nothing else.
//!
//! Invariant: a [`Look`] holds what was visible at some moment between its begin and its end, no more.

mod look;
mod object;
#[cfg(test)]
mod tests;

pub(crate) use look::Look;
pub(crate) use object::{Object, Record, is_temporary};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::location::Location;
use super::wait;
use object::{decompress, parse};

/// Objects read at once.
const READS: usize = 16;

/// What is the same for two looks at an object that nobody touched in between.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    tag: String,
}

enum Source {
    Folder(PathBuf),
    Store(Arc<dyn ObjectStore>),
}

/// Reads one prefix again and again. It remembers what it saw, so that it can tell when an object vanished or changed,
/// and so that a look at a million records costs only what is new.
pub(crate) struct Reader {
    source: Source,
    seen: BTreeMap<String, (Stamp, Arc<Object>)>,
}

impl Reader {
    /// Reads a place of a store or a folder.
    pub(crate) fn at(location: &Location) -> Self {
        match location.local_path() {
            Some(path) => Self::folder(&path),
            None => Self { source: Source::Store(location.store()), seen: BTreeMap::new() },
        }
    }

    /// Reads a local folder.
    pub(crate) fn folder(path: &Path) -> Self {
        Self { source: Source::Folder(path.to_path_buf()), seen: BTreeMap::new() }
    }

    /// Lists, reads what is new, and reports all that is visible.
    pub(crate) fn look(&mut self) -> Look {
        let mut look = Look::default();
        let mut listed = self.list();
        listed.retain(|path, _| {
            let temporary = is_temporary(path);
            if temporary {
                look.temporary.push(path.clone());
            }
            !temporary
        });
        for path in self.seen.keys().filter(|path| !listed.contains_key(*path)) {
            look.broken.push(format!("`{path}` was there and vanished"));
        }
        let is_new =
            |(path, stamp): &(&String, &Stamp)| self.seen.get(*path).is_none_or(|(seen, _)| seen != *stamp);
        let new: Vec<_> = listed.iter().filter(is_new).map(|(path, _)| path.clone()).collect();
        for (path, content) in self.read(&new) {
            match content.and_then(|bytes| parse(&path, &bytes)) {
                Ok(object) => self.remember(&listed[&path], object, &mut look),
                Err(error) => look.broken.push(format!("`{path}` {error}")),
            }
        }
        look.objects =
            listed.keys().filter_map(|path| self.seen.get(path)).map(|(_, object)| object.clone()).collect();
        look
    }

    fn remember(&mut self, stamp: &Stamp, object: Object, look: &mut Look) {
        let known = self.seen.insert(object.path.clone(), (stamp.clone(), Arc::new(object.clone())));
        if let Some((_, before)) = known.filter(|(_, before)| before.records != object.records) {
            look.broken.push(format!(
                "`{}` changed: it had {} records and has {}",
                object.path,
                before.records.len(),
                object.records.len()
            ));
        }
    }

    fn list(&self) -> BTreeMap<String, Stamp> {
        match &self.source {
            Source::Folder(root) => {
                let mut found = BTreeMap::new();
                list_folder(root, root, &mut found);
                found
            }
            Source::Store(store) => wait(async {
                let listing = store.list(None).try_filter(|meta| {
                    let hidden = meta.location.parts().any(|part| part.as_ref() == "_vanne");
                    futures::future::ready(!hidden)
                });
                let stamped = listing.map_ok(|meta| {
                    let tag = meta.e_tag.unwrap_or_default();
                    (meta.location.to_string(), Stamp { size: meta.size, tag })
                });
                stamped.try_collect().await.expect("the store lists")
            }),
        }
    }

    /// The contents, or why there is none.
    fn read(&self, paths: &[String]) -> Vec<(String, Result<Bytes, String>)> {
        match &self.source {
            Source::Folder(root) => {
                let read = |path: &String| std::fs::read(root.join(path)).map(Bytes::from);
                let read = |path: &String| {
                    (path.clone(), read(path).map_err(|error| format!("can't be read: {error}")))
                };
                paths.iter().map(read).collect()
            }
            Source::Store(store) => wait(async {
                let read = paths.iter().cloned().map(|path| async move {
                    let place = object_store::path::Path::from(path.as_str());
                    let content = match store.get(&place).await {
                        Ok(found) => found.bytes().await,
                        Err(error) => Err(error),
                    };
                    (path.clone(), content.map_err(|error| format!("can't be read: {error}")))
                });
                futures::stream::iter(read).buffer_unordered(READS).collect().await
            }),
        }
    }
}

/// All files of a place with their contents, `_vanne/` and what else is there included: for what the oracle must not know
/// of, such as ledger entries and what a killed writer left in staging.
pub(crate) fn everything(location: &Location) -> BTreeMap<String, Bytes> {
    let store = location.store();
    wait(async {
        let listed: Vec<_> = store.list(None).try_collect().await.expect("the place can be listed");
        let mut files = BTreeMap::new();
        for meta in listed {
            // What was removed since the listing is left out.
            if let Ok(found) = store.get(&meta.location).await {
                files.insert(meta.location.to_string(), found.bytes().await.expect("the file can be read"));
            }
        }
        files
    })
}

/// Each line of each object of a place as JSON, whatever it holds: for outputs that are not numbered records, such as
/// dead letters.
pub(crate) fn json_lines(location: &Location) -> Vec<serde_json::Value> {
    let mut values = Vec::new();
    for (path, content) in everything(location) {
        if path.split('/').any(|part| part == "_vanne") || is_temporary(&path) {
            continue;
        }
        let text = decompress(&path, &content)
            .unwrap_or_else(|error| panic!("`{path}` can't be decompressed: {error}"));
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            values.push(
                serde_json::from_slice(line)
                    .unwrap_or_else(|error| panic!("`{path}` has a line that is not JSON: {error}")),
            );
        }
    }
    values
}

/// Looks at random times, on a thread of its own, until it is asked to end.
pub(crate) struct Watch {
    ends: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<usize>,
}

impl Watch {
    /// Looks about every `pace`, at times drawn from the seed.
    pub(crate) fn start(mut reader: Reader, pace: Duration, seed: u64) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let told = ends.clone();
        let thread = std::thread::spawn(move || {
            let mut state = seed | 1;
            let mut looks = 0;
            while !told.load(Ordering::Relaxed) {
                reader.look().assert_sound();
                looks += 1;
                // xorshift: any spread of pauses will do, as long as the seed gives the same again.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                std::thread::sleep(pace.mul_f64((state % 2000) as f64 / 1000.0));
            }
            looks
        });
        Self { ends, thread }
    }

    /// Ends it and answers how often it looked. Panics with what it found, where it found something.
    pub(crate) fn finish(self) -> usize {
        self.ends.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(looks) => looks,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Reads a local listing. What vanishes while it walks was never an object, or is missed at the next look.
fn list_folder(root: &Path, folder: &Path, found: &mut BTreeMap<String, Stamp>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.file_name().is_some_and(|name| name == "_vanne") {
            continue;
        }
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() {
            list_folder(root, &path, found);
            continue;
        }
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let stamp = Stamp { size: metadata.len(), tag: since.as_nanos().to_string() };
        let relative = path.strip_prefix(root).expect("a path below the root");
        found.insert(relative.to_string_lossy().into_owned(), stamp);
    }
}
