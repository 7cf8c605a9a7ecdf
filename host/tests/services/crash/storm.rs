//! Kill storms: two hosts in one group all the time, each killed, paused or drained every moment.

use std::time::{Duration, Instant};

use super::chains::Chains;
use super::crew::Crew;
use super::dice::Dice;
use super::load::{self, Counts, Load, Make, Pace};
use super::scene::{Place, Scene, small_cuts};
use crate::support::kafka::Message;
use crate::support::reader::{Reader, Watch};
use crate::support::stores::Kind;

/// How many SIGKILLs there are over all storms.
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
    storm("storm-minio", Place::Store(Kind::Minio));
}

#[test]
fn a_storm_over_versitygw() {
    storm("storm-versitygw", Place::Store(Kind::Versitygw));
}

#[test]
fn a_storm_over_a_folder() {
    storm("storm-folder", Place::Folder);
}

fn storm(name: &'static str, place: Place) {
    let mut dice = Dice::for_test(name);
    let scene = Scene::new(name, place, PARTITIONS, &dice, small_cuts);
    let counts = rage(&scene, kills().div_ceil(STORMS), &mut dice, plain);
    let chains = scene.assert_delivered(&counts, |look| look.assert_exactly_once(&counts));
    let produced: u64 = counts.values().sum();
    let sums = chains.sums();
    assert_eq!((sums.read, sums.kept, sums.written), (produced, produced, produced));
    scene.say(&format!("{produced} records exactly once, in {} entries", chains.entries().len()));
}

/// The kills of all storms, from the environment.
pub(super) fn kills() -> u32 {
    let given = std::env::var(KILLS).ok().map(|text| text.parse().expect("`VANNE_KILLS` is a number"));
    given.unwrap_or(KILLS_DEFAULT)
}

/// A storm with so many kills, under load and under a reader's eyes. Answers what was produced.
pub(super) fn rage(scene: &Scene, kills: u32, dice: &mut Dice, make: Make) -> Counts {
    let load = Load::start(&scene.topic, load::none(PARTITIONS), PACE, make, dice.fork());
    let watch = Watch::start(Reader::at(&scene.lake), Duration::from_millis(400), dice.draw());
    let mut crew = Crew::new(scene, 2);
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
        "{tally:?}; {looks} looks, {entries} entries, {} records",
        counts.values().sum::<u64>()
    ));
    assert!(entries > tally.kills as usize, "the hosts got something done between two strikes");
    counts
}

fn plain(partition: i32, number: u64) -> Message {
    Message::numbered(partition, number, 250)
}
