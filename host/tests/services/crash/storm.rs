//! Kill storms: two hosts in one group all the time, each killed, paused or drained every moment.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::chains::Chains;
use super::crew::Crew;
use super::dice::Dice;
use super::load::{self, Counts, Load, Make, Pace};
use super::scene::{Place, Scene, staged_cuts};
use crate::support::kafka::Message;
use crate::support::process::Signal;
use crate::support::reader::{Reader, Watch};
use crate::support::stores::{Kind, Store};

/// How many SIGKILLs there are over the three plain storms.
const KILLS: &str = "VANNE_KILLS";
const KILLS_DEFAULT: u32 = 30;
const STORMS: u32 = 3;

const PARTITIONS: i32 = 4;

/// Some 1,500 records a second.
const PACE: Pace = Pace { burst: (20, 160), pause: (20, 90) };

/// Milliseconds between two strikes: a host takes about a second to come up, so that some die before they have begun and
/// some in full swing.
const STRIKES: std::ops::Range<u64> = 100..2200;

#[test]
fn a_storm_over_minio() {
    storm("storm-minio", Place::shared(Kind::Minio));
}

#[test]
fn a_storm_over_versitygw() {
    storm("storm-versitygw", Place::shared(Kind::Versitygw));
}

#[test]
fn a_storm_over_a_folder() {
    storm("storm-folder", Place::Folder);
}

/// Hosts of two groups, so that both have every partition all the time and neither ever learns of the other but by the
/// ledger: what a host is that Kafka took its partitions from and that has not heard of it yet, for as long as it lasts.
#[test]
fn a_storm_of_two_groups_that_each_own_everything() {
    let name = "storm-groups";
    let mut dice = Dice::for_test(name);
    let scene = Scene::new(name, Place::shared(Kind::Minio), PARTITIONS, &dice, staged_cuts);
    let pipelines = [scene.pipeline.clone(), scene.pipeline_of_group("the-others")];
    let counts = rage_with(&scene, &pipelines, kills().div_ceil(STORMS), &mut dice, mixed);
    judge(&scene, &counts);
    let adopted = scene.logged("another writer owns this range");
    assert!(adopted > 0, "two writers of one chain get into each other's way");
}

#[test]
fn a_storm_over_a_store_that_hangs() {
    let name = "storm-hangs";
    let mut dice = Dice::for_test(name);
    let store = Store::start(Kind::Minio);
    let scene = Scene::new(name, Place::Store(&store), PARTITIONS, &dice, staged_cuts);
    let mut hangs = dice.fork();
    let counts = std::thread::scope(|scope| {
        let raging = Raging::default();
        let told = raging.0.clone();
        let server = store.server();
        scope.spawn(move || {
            while !told.load(Ordering::Relaxed) {
                std::thread::sleep(hangs.milliseconds(500..3000));
                server.signal(Signal::Stop);
                std::thread::sleep(hangs.milliseconds(200..HANG_MOST));
                server.signal(Signal::Continue);
            }
        });
        rage(&scene, kills().div_ceil(STORMS), &mut dice, mixed)
    });
    judge(&scene, &counts);
}

/// Longest hang, in milliseconds: what was sent before it lands after it, whether or not the sender still lives.
const HANG_MOST: u64 = 3000;

/// Says that it is over, however it ends.
#[derive(Default)]
struct Raging(Arc<AtomicBool>);

impl Drop for Raging {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn storm(name: &'static str, place: Place<'_>) {
    let mut dice = Dice::for_test(name);
    let scene = Scene::new(name, place, PARTITIONS, &dice, staged_cuts);
    let counts = rage(&scene, kills().div_ceil(STORMS), &mut dice, mixed);
    judge(&scene, &counts);
}

fn judge(scene: &Scene, counts: &Counts) {
    let chains = scene.assert_delivered(counts, |look| look.assert_exactly_once(counts));
    let produced: u64 = counts.values().sum();
    let sums = chains.sums();
    assert_eq!((sums.read, sums.kept, sums.written), (produced, produced, produced));
    scene.say(&format!("{produced} records exactly once, in {} entries", chains.entries().len()));
}

/// The kills of the plain storms together, from the environment.
pub(super) fn kills() -> u32 {
    let given = std::env::var(KILLS).ok().map(|text| text.parse().expect("`VANNE_KILLS` is a number"));
    given.unwrap_or(KILLS_DEFAULT)
}

/// A storm with so many kills, under load and under a reader's eyes. Answers what was produced.
pub(super) fn rage(scene: &Scene, kills: u32, dice: &mut Dice, make: Make) -> Counts {
    rage_with(scene, &[scene.pipeline.clone(), scene.pipeline.clone()], kills, dice, make)
}

fn rage_with(scene: &Scene, pipelines: &[PathBuf], kills: u32, dice: &mut Dice, make: Make) -> Counts {
    let load = Load::start(&scene.topic, load::none(PARTITIONS), PACE, make, dice.fork());
    let watch = Watch::start(Reader::at(&scene.lake), Duration::from_millis(400), dice.draw());
    let mut crew = Crew::new(pipelines);
    let mut next = Instant::now() + dice.milliseconds(STRIKES);
    // The last ones come at the end.
    while crew.tally.kills + 2 < kills {
        std::thread::sleep(Duration::from_millis(10));
        crew.look_after();
        if Instant::now() >= next {
            crew.strike(dice);
            next = Instant::now() + dice.milliseconds(STRIKES);
            scene.say(&format!("{:?}", crew.tally));
        }
    }
    let tally = crew.end();
    let counts = load.finish();
    let looks = watch.finish();
    let entries = Chains::read(scene).entries().len();
    scene.say(&format!(
        "{tally:?}; {looks} looks, {entries} entries, {} records, {} times a partition lost, {} entries adopted",
        counts.values().sum::<u64>(),
        scene.logged("partitions were lost"),
        scene.logged("another writer owns this range")
    ));
    assert!(entries > tally.kills as usize, "the hosts got something done between two strikes");
    counts
}

/// Small and large records in turns, so that some cuts travel in their entries and others are staged.
fn mixed(partition: i32, number: u64) -> Message {
    Message::numbered(partition, number, if (number / 500).is_multiple_of(2) { 250 } else { 2500 })
}
