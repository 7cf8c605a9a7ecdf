//! The oracle is judged as well: each thing that it must find, made by hand.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use super::{Look, Reader, Watch};
use crate::support::process::scratch;

/// Objects of a folder: name without its start, and the numbers in it.
fn look(objects: &[(&str, &[u64])]) -> Look {
    let folder = scratch("oracle");
    for (name, numbers) in objects {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("the folder can be made");
        std::fs::write(path, text(numbers)).expect("the folder can be written");
    }
    Reader::folder(folder.path()).look()
}

fn text(numbers: &[u64]) -> String {
    numbers.iter().map(|number| format!("{{\"p\":0,\"n\":{number}}}\n")).collect()
}

fn findings(objects: &[(&str, &[u64])]) -> String {
    look(objects).findings()
}

const FIRST: &str = "a/my-topic.v1-0-00000000000000000000-0-0123456789abcdef.jsonl";
const SECOND: &str = "a/my-topic.v1-0-00000000000000000003-0-fedcba9876543210.jsonl";
const SECOND_PIECE: &str = "a/my-topic.v1-0-00000000000000000000-1-0123456789abcdef.jsonl";
const ELSEWHERE: &str = "b/my-topic.v1-0-00000000000000000000-1-0123456789abcdef.jsonl";

#[test]
fn tiled_objects_are_sound_and_exact() {
    let look = look(&[(FIRST, &[0, 1, 2]), (SECOND, &[3, 4])]);
    look.assert_sound();
    look.assert_exactly_once(&BTreeMap::from([(0, 5)]));
    assert_eq!(look.objects[0].start, Some(0));
    assert_eq!(look.objects[1].start, Some(3));
    assert_eq!(look.objects[0].piece, Some(0));
}

#[test]
fn a_record_in_two_objects_is_found() {
    assert!(findings(&[(FIRST, &[0, 1, 2]), (SECOND, &[2, 3])]).contains("duplicates in partition 0 (1)"));
}

#[test]
fn a_record_twice_in_one_object_is_found() {
    assert!(findings(&[(FIRST, &[0, 1, 1])]).contains("duplicates in partition 0 (1)"));
}

#[test]
fn a_lost_record_is_found_at_the_end_only() {
    let look = look(&[(FIRST, &[0, 2, 5])]);
    look.assert_sound();
    assert_eq!(look.partitions()[&0].gaps(), [1..2, 3..5]);
    let exact = std::panic::catch_unwind(|| look.assert_exactly_once(&BTreeMap::from([(0, 6)])));
    assert!(exact.is_err(), "records 1, 3 and 4 are lost");
}

#[test]
fn a_lost_partition_is_found() {
    let look = look(&[(FIRST, &[0, 1])]);
    look.assert_exactly_once(&BTreeMap::from([(0, 2)]));
    let exact = std::panic::catch_unwind(|| look.assert_exactly_once(&BTreeMap::from([(0, 2), (1, 1)])));
    assert!(exact.is_err(), "partition 1 is lost");
}

#[test]
fn a_record_that_nobody_produced_is_found() {
    let look = look(&[(FIRST, &[0, 1, 2])]);
    let exact = std::panic::catch_unwind(|| look.assert_exactly_once(&BTreeMap::from([(0, 2)])));
    assert!(exact.is_err(), "record 2 was not produced");
}

#[test]
fn disorder_within_an_object_is_found() {
    assert!(findings(&[(FIRST, &[1, 0])]).contains("disorder in partition 0 (1)"));
}

#[test]
fn disorder_across_entries_is_found() {
    assert!(findings(&[(FIRST, &[0, 4]), (SECOND, &[3])]).contains("of a lower start offset"));
}

#[test]
fn pieces_of_an_entry_have_an_order_in_their_folder_only() {
    assert!(findings(&[(FIRST, &[1]), (SECOND_PIECE, &[0])]).contains("does not come before"));
    assert_eq!(findings(&[(FIRST, &[1]), (ELSEWHERE, &[0])]), "");
}

#[test]
fn pieces_of_an_entry_have_an_order_in_their_version_only() {
    let folder = scratch("oracle");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name.rsplit('/').next().unwrap_or(name));
        std::fs::write(path, text).expect("written");
    };
    write(FIRST, "{\"p\":0,\"n\":1,\"stamp\":1}\n");
    write(SECOND_PIECE, "{\"p\":0,\"n\":0,\"stamp\":2}\n");
    let look = Reader::folder(folder.path()).look();
    look.assert_exactly_once(&BTreeMap::from([(0, 2)]));
    assert_eq!(look.objects.iter().map(|object| &*object.stamps).collect::<Vec<_>>(), [[Some(1)], [Some(2)]]);
}

#[test]
fn half_an_object_is_found() {
    let folder = scratch("oracle");
    std::fs::write(folder.path().join(FIRST.replace('/', "-")), "{\"p\":0,\"n\":0}\n{\"p\":0,")
        .expect("written");
    assert!(Reader::folder(folder.path()).look().findings().contains("middle of a line"));
    let zstd = zstd::encode_all(text(&[0, 1, 2]).as_bytes(), 3).expect("bytes");
    std::fs::write(folder.path().join("half.jsonl.zst"), &zstd[..zstd.len() - 4]).expect("written");
    assert!(Reader::folder(folder.path()).look().findings().contains("can't be decompressed"));
}

#[test]
fn objects_that_vanish_or_change_are_found() {
    let folder = scratch("oracle");
    let path = folder.path().join("object.jsonl");
    std::fs::write(&path, text(&[0])).expect("written");
    let mut reader = Reader::folder(folder.path());
    reader.look().assert_sound();
    std::fs::write(&path, text(&[0, 1])).expect("written");
    assert!(reader.look().findings().contains("changed"));
    std::fs::remove_file(&path).expect("removed");
    assert!(reader.look().findings().contains("vanished"));
}

#[test]
fn staged_and_temporary_files_are_no_objects() {
    let folder = scratch("oracle");
    std::fs::create_dir(folder.path().join("_vanne")).expect("made");
    std::fs::write(folder.path().join("_vanne/entry.json"), "{}").expect("written");
    std::fs::write(folder.path().join("object.jsonl#12"), "half").expect("written");
    let look = Reader::folder(folder.path()).look();
    look.assert_exactly_once(&BTreeMap::new());
    assert_eq!(look.temporary, ["object.jsonl#12"]);
}

#[test]
fn a_watch_tells_what_it_found() {
    let folder = scratch("oracle");
    std::fs::write(folder.path().join("one.jsonl"), text(&[0])).expect("written");
    let watch = Watch::start(Reader::folder(folder.path()), Duration::from_millis(1), 7);
    std::thread::sleep(Duration::from_millis(50));
    assert!(watch.finish() > 1, "it looks again and again");
    std::fs::write(folder.path().join("two.jsonl"), text(&[0])).expect("written");
    let watch = Watch::start(Reader::folder(folder.path()), Duration::from_millis(1), 7);
    std::thread::sleep(Duration::from_millis(50));
    assert!(std::panic::catch_unwind(AssertUnwindSafe(|| watch.finish())).is_err(), "a duplicate is found");
}
