//! The storm with a transform in the way: dropped, failed, one record made into several, and each of it exactly once.

use std::collections::{BTreeMap, BTreeSet};

use super::dice::Dice;
use super::load::Counts;
use super::scene::{Place, Scene, small_cuts};
use super::storm::{kills, rage};
use crate::guests::guest;
use crate::support::kafka::Message;
use crate::support::reader::json_lines;
use crate::support::stores::Kind;

/// Beside those of the storms without a transform.
const SHARE: u32 = 3;

/// What becomes of a record, by the last digit of its number.
enum Fate {
    Dropped,
    Dead,
    Several(u32),
    Forwarded,
}

fn fate(number: u64) -> Fate {
    match number % 10 {
        0 | 5 => Fate::Dropped,
        1 => Fate::Dead,
        2 => Fate::Several(3),
        _ => Fate::Forwarded,
    }
}

/// The record, which says to the plugin what to do with it.
fn commanding(partition: i32, number: u64) -> Message {
    let object = Message::numbered(partition, number, 250).value.unwrap_or_default();
    let command = match fate(number) {
        Fate::Dropped => "drop ".to_owned(),
        Fate::Dead => "fail Odd ".to_owned(),
        Fate::Several(count) => format!("number {count} "),
        Fate::Forwarded => String::new(),
    };
    Message::new(partition, [command.into_bytes(), object].concat())
}

#[test]
fn a_storm_with_a_transform() {
    let name = "storm-transform";
    let mut dice = Dice::for_test(name);
    let component = guest("test-guest");
    let transform =
        format!("[[transforms]]\nname = \"test\"\nplugin = {:?}\n", component.display().to_string());
    let scene = Scene::new(name, Place::Store(Kind::Minio), 4, &dice, |pipeline| {
        small_cuts(pipeline).append(&transform)
    });
    let counts = rage(&scene, kills().div_ceil(SHARE), &mut dice, commanding);
    let chains = scene.assert_delivered(&counts, |look| look.assert_exactly(&expected(&counts)));
    let letters = assert_dead_once(&scene, &counts);

    let produced: u64 = counts.values().sum();
    let dropped =
        numbers(&counts).filter(|(_, number)| matches!(fate(*number), Fate::Dropped)).count() as u64;
    let sums = chains.sums();
    assert_eq!((sums.read, sums.dropped, sums.dead), (produced, dropped, letters));
    assert_eq!(sums.kept, produced - dropped - letters);
    assert_eq!((sums.written, sums.failed), (scene.look().records() as u64, 0));
    scene.say(&format!("{produced} records: {sums:?}"));
}

fn numbers(counts: &Counts) -> impl Iterator<Item = (i32, u64)> {
    counts.iter().flat_map(|(partition, count)| (0..*count).map(move |number| (*partition, number)))
}

/// The numbers and output indexes that the lake has to hold.
fn expected(counts: &Counts) -> BTreeMap<i32, BTreeSet<(u64, u32)>> {
    let mut expected = BTreeMap::<i32, BTreeSet<_>>::new();
    for (partition, number) in numbers(counts) {
        let outputs = match fate(number) {
            Fate::Dropped | Fate::Dead => 0,
            Fate::Several(count) => count,
            Fate::Forwarded => 1,
        };
        expected.entry(partition).or_default().extend((0..outputs).map(|index| (number, index)));
    }
    expected
}

/// Each record that failed is a dead letter once, with all of it. Answers how many there are.
fn assert_dead_once(scene: &Scene, counts: &Counts) -> u64 {
    let failed = numbers(counts).filter(|(_, number)| matches!(fate(*number), Fate::Dead));
    let mut missing: BTreeSet<_> = failed.collect();
    let count = missing.len() as u64;
    for letter in json_lines(&scene.root.under(&format!("dead/{}", scene.topic))) {
        let partition = letter["partition"].as_i64().and_then(|it| i32::try_from(it).ok());
        // The topic holds nothing but these records, so that a record's number is its offset.
        let record = (partition.expect("a partition"), letter["offset"].as_u64().expect("an offset"));
        assert!(missing.remove(&record), "a dead letter too much: {letter}");
        let value = commanding(record.0, record.1).value.unwrap_or_default();
        assert_eq!(letter["value"].as_str().map(str::as_bytes), Some(&*value), "the letter holds its record");
        assert_eq!(letter["code"], "Odd");
    }
    assert!(missing.is_empty(), "without a dead letter: {missing:?}");
    count
}
