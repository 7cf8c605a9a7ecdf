//! What a [`Store`] promises, as a suite that every implementation and every server passes.
//!
//! Each check panics with what was expected. Leaves its objects under `root`, which must be fresh.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;

use super::{Created, ErrorKind, Labels, Listed, PART_BYTES, Store};

/// Rounds of the race, and writers in each.
const ROUNDS: usize = 5;
const WRITERS: usize = 20;

/// Runs every check under the folder `root`.
pub async fn run(store: Arc<dyn Store>, root: &str) {
    create_only(&store, root).await;
    one_winner(&store, root).await;
    put_get_head(&store, root).await;
    delete_nothing(&store, root).await;
    upload_three_parts(&store, root).await;
    upload_one_short_part(&store, root).await;
    upload_aborted(&store, root).await;
    publish(&store, root).await;
    list(&store, root).await;
    list_only_below(&store, root).await;
    odd_names(&store, root).await;
    bad_paths(&store, root).await;
}

fn labels() -> Labels {
    let metadata = vec![("topic", String::from("access-logs")), ("first-offset", String::from("7"))];
    Labels { content_type: Some("application/x-ndjson"), content_encoding: None, metadata }
}

async fn body(store: &Arc<dyn Store>, path: &str) -> Option<Bytes> {
    store.get(path).await.expect("get succeeds")
}

async fn length(store: &Arc<dyn Store>, path: &str) -> Option<u64> {
    store.head(path).await.expect("head succeeds")
}

async fn put(store: &Arc<dyn Store>, path: &str, bytes: impl Into<Bytes>) {
    store.put(path, bytes.into(), &labels()).await.expect("put succeeds");
}

async fn create_only(store: &Arc<dyn Store>, root: &str) {
    let path = format!("{root}/create/once.json");
    let first = store.create(&path, Bytes::from("first")).await.expect("create succeeds");
    assert_eq!(first, Created::Created);
    let second = store.create(&path, Bytes::from("second")).await.expect("a second create is no error");
    assert_eq!(second, Created::Exists);
    assert_eq!(body(store, &path).await.as_deref(), Some(b"first".as_slice()), "the first stays");
    let empty = format!("{root}/create/empty");
    assert_eq!(store.create(&empty, Bytes::new()).await.expect("create of nothing"), Created::Created);
    assert_eq!(length(store, &empty).await, Some(0));
}

async fn one_winner(store: &Arc<dyn Store>, root: &str) {
    for round in 0..ROUNDS {
        let path = format!("{root}/race/{round}.json");
        let writers = (0..WRITERS).map(|writer| {
            let (store, path) = (Arc::clone(store), path.clone());
            tokio::spawn(async move { store.create(&path, Bytes::from(format!("writer {writer}"))).await })
        });
        let mut winners = Vec::new();
        for (writer, answer) in join_all(writers).await.into_iter().enumerate() {
            let created = answer.expect("no panic").expect("create succeeds");
            if created == Created::Created {
                winners.push(writer);
            }
        }
        assert_eq!(winners.len(), 1, "one of {WRITERS} creates at once wins: {winners:?}");
        let expected = format!("writer {}", winners[0]);
        assert_eq!(
            body(store, &path).await.as_deref(),
            Some(expected.as_bytes()),
            "the body is the winner's"
        );
    }
}

async fn put_get_head(store: &Arc<dyn Store>, root: &str) {
    let path = format!("{root}/put/object.jsonl");
    assert_eq!(body(store, &path).await, None, "nothing there");
    assert_eq!(length(store, &path).await, None);
    assert_eq!(store.get_range(&path, 0..1).await.expect("absence is no error"), None);
    put(store, &path, "0123456789").await;
    assert_eq!(body(store, &path).await.as_deref(), Some(b"0123456789".as_slice()));
    assert_eq!(length(store, &path).await, Some(10));
    let some = store.get_range(&path, 2..5).await.expect("get_range succeeds");
    assert_eq!(some.as_deref(), Some(b"234".as_slice()));
    assert!(store.get_range(&path, 3..3).await.is_err(), "an empty range is refused");
    put(store, &path, "shorter").await;
    assert_eq!(length(store, &path).await, Some(7), "a put replaces");
    assert_eq!(store.create(&path, Bytes::from("x")).await.expect("create succeeds"), Created::Exists);
}

async fn delete_nothing(store: &Arc<dyn Store>, root: &str) {
    let path = format!("{root}/delete/object");
    store.delete(&path).await.expect("deleting nothing is fine");
    put(store, &path, "x").await;
    store.delete(&path).await.expect("delete succeeds");
    store.delete(&path).await.expect("deleting again is fine");
    assert_eq!(length(store, &path).await, None);
    assert_eq!(store.create(&path, Bytes::from("y")).await.expect("create succeeds"), Created::Created);
}

async fn upload_three_parts(store: &Arc<dyn Store>, root: &str) {
    let path = format!("{root}/upload/three.staged");
    let parts = [vec![b'a'; PART_BYTES], vec![b'b'; PART_BYTES], vec![b'c'; 1000]].map(Bytes::from);
    let mut upload = store.upload(&path, &labels()).await.expect("an upload begins");
    for part in &parts {
        upload.part(part.clone()).await.expect("a part is taken");
        assert_eq!(length(store, &path).await, None, "nothing is visible before the end");
    }
    let listed = store.list_after(&format!("{root}/upload"), None, 10).await.expect("list succeeds");
    assert_eq!(listed, [], "nothing is listed before the end");
    upload.finish().await.expect("an upload ends");
    assert_eq!(length(store, &path).await, Some(2 * PART_BYTES as u64 + 1000));
    let seam = PART_BYTES as u64 - 1..PART_BYTES as u64 + 1;
    let across = store.get_range(&path, seam).await.expect("get_range succeeds");
    assert_eq!(across.as_deref(), Some(b"ab".as_slice()), "parts lie in order");
    assert_eq!(body(store, &path).await.map(|bytes| bytes == parts.concat()), Some(true));
}

async fn upload_one_short_part(store: &Arc<dyn Store>, root: &str) {
    let path = format!("{root}/upload-short/one");
    let mut upload = store.upload(&path, &labels()).await.expect("an upload begins");
    assert!(upload.part(Bytes::new()).await.is_err(), "an empty part is refused");
    upload.part(Bytes::from("short")).await.expect("a part is taken");
    upload.finish().await.expect("an upload ends");
    assert_eq!(body(store, &path).await.as_deref(), Some(b"short".as_slice()));
    let mut none = store.upload(&path, &labels()).await.expect("an upload begins");
    assert!(none.finish().await.is_err(), "an upload without parts is refused");
    none.abort().await.expect("it can be given up");
}

async fn upload_aborted(store: &Arc<dyn Store>, root: &str) {
    let path = format!("{root}/upload-aborted/x");
    let mut upload = store.upload(&path, &labels()).await.expect("an upload begins");
    upload.part(Bytes::from("x")).await.expect("a part is taken");
    upload.abort().await.expect("abort succeeds");
    assert_eq!(length(store, &path).await, None);
    assert_eq!(store.list_after(&format!("{root}/upload-aborted"), None, 10).await.expect("list"), []);
}

async fn publish(store: &Arc<dyn Store>, root: &str) {
    let (from, to) = (format!("{root}/staging/x.staged"), format!("{root}/lake/a=1/x.jsonl"));
    let missing = store.publish(&from, &to).await.expect_err("nothing is staged");
    assert_eq!(missing.kind, ErrorKind::NotFound, "{missing:?}");
    assert_eq!(length(store, &to).await, None);
    put(store, &from, "body").await;
    store.publish(&from, &to).await.expect("publish succeeds");
    assert_eq!(body(store, &to).await.as_deref(), Some(b"body".as_slice()));
    // A folder moves, the others copy: either way head on the target is the proof.
    match store.publish(&from, &to).await {
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind, ErrorKind::NotFound, "{error:?}"),
    }
    assert_eq!(length(store, &to).await, Some(4), "publishing again changes nothing");
    store.delete(&from).await.expect("what was staged can be dropped");
    assert_eq!(length(store, &to).await, Some(4));
}

fn paths(listed: &[Listed]) -> Vec<&str> {
    listed.iter().map(|object| object.path.as_str()).collect()
}

async fn list(store: &Arc<dyn Store>, root: &str) {
    let folder = format!("{root}/list");
    assert_eq!(store.list_after(&folder, None, 10).await.expect("an empty folder lists"), []);
    let names =
        ["0/00000000000000000000.json", "0/00000000000009999999.json", "10/00000000000010000000.json"];
    let all: Vec<_> = names.iter().map(|name| format!("{folder}/{name}")).collect();
    for path in all.iter().rev() {
        store.create(path, Bytes::from("12345")).await.expect("create succeeds");
    }
    let whole = store.list_after(&folder, None, 10).await.expect("list succeeds");
    assert_eq!(paths(&whole), all);
    assert!(whole.iter().all(|object| object.bytes == 5), "{whole:?}");
    let rest = store.list_after(&folder, Some(&all[0]), 10).await.expect("list succeeds");
    assert_eq!(paths(&rest), all[1..], "the start is exclusive");
    let before = all[1].trim_end_matches(".json");
    let from_name = store.list_after(&folder, Some(before), 10).await.expect("list succeeds");
    assert_eq!(paths(&from_name), all[1..], "a start that is no object");
    let last = store.list_after(&folder, Some(&all[2]), 10).await.expect("list succeeds");
    assert_eq!(last, [], "nothing after the last");
    assert_eq!(store.list_after(&folder, None, 0).await.expect("list succeeds"), []);
    let mut paged = Vec::new();
    while let Some(object) = {
        let after = paged.last().map(|object: &Listed| object.path.clone());
        store.list_after(&folder, after.as_deref(), 1).await.expect("list succeeds").pop()
    } {
        paged.push(object);
    }
    assert_eq!(paged, whole, "one at a time");
}

async fn list_only_below(store: &Arc<dyn Store>, root: &str) {
    // Not `a` itself: a folder can't hold it beside `a/x`, and MinIO hides what is below it.
    for name in ["a/x", "a-b/x", "a.json", "a/y/z", "ab/x"] {
        let path = format!("{root}/below/{name}");
        store.create(&path, Bytes::from("1")).await.expect("create succeeds");
    }
    let below = store.list_after(&format!("{root}/below/a"), None, 10).await.expect("list succeeds");
    assert_eq!(paths(&below), [format!("{root}/below/a/x"), format!("{root}/below/a/y/z")]);
}

async fn odd_names(store: &Arc<dyn Store>, root: &str) {
    let folder = format!("{root}/odd");
    let names = [
        "topic=a b/x.jsonl",
        "topic@AAAA_-id/1.json",
        "100%/x",
        "100%25/x",
        "a+b/x+y",
        "größe/日本.jsonl",
        "quote'(1)/&x;,$",
        "..a/b..",
        "tilde~/#hash/?x",
    ];
    for name in names {
        let path = format!("{folder}/{name}");
        assert_eq!(store.create(&path, Bytes::from(name)).await.expect(name), Created::Created, "{name}");
        assert_eq!(body(store, &path).await.as_deref(), Some(name.as_bytes()), "{name}");
        let moved = format!("{root}/odd-moved/{name}");
        let staged = format!("{root}/odd-staged/{name}");
        put(store, &staged, name).await;
        store.publish(&staged, &moved).await.expect(name);
        assert_eq!(body(store, &moved).await.as_deref(), Some(name.as_bytes()), "{name}");
    }
    let listed = store.list_after(&folder, None, 100).await.expect("list succeeds");
    let expected: BTreeSet<_> = names.iter().map(|name| format!("{folder}/{name}")).collect();
    assert_eq!(paths(&listed), expected.iter().map(String::as_str).collect::<Vec<_>>());
}

async fn bad_paths(store: &Arc<dyn Store>, root: &str) {
    for path in ["", "/a", "a/", "a//b", "a/../b", "..", "a\nb"] {
        let path = if path.is_empty() { String::new() } else { format!("{root}/{path}") };
        let error = store.create(&path, Bytes::from("x")).await.expect_err("a bad path is refused");
        assert_eq!(error.kind, ErrorKind::Refused, "{path:?}");
        assert_eq!(store.get(&path).await.expect_err("refused").kind, ErrorKind::Refused, "{path:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::faults::Faulty;
    use crate::store::local::Local;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn memory_keeps_the_contract() {
        run(crate::store::memory(), "suite").await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_folder_keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        run(Arc::new(Local::open(folder.path()).unwrap()), "suite").await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn the_fault_wrapper_without_a_plan_keeps_the_contract() {
        run(Faulty::new(crate::store::memory(), 1), "suite").await;
    }
}
