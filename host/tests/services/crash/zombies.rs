//! A writer that stood still at a named point while another one took its partitions, and does not know it.

use std::time::Duration;

use super::chains::Listing;
use super::dice::Dice;
use super::load::{self, DELIVERY, Load, Pace};
use super::scene::{DRAIN, Place, Scene, staged_cuts};
use crate::support::host::Launch;
use crate::support::kafka::Message;
use crate::support::reader::{Reader, Watch};
use crate::support::stores::Kind;
use crate::support::until;

const PARTITIONS: i32 = 2;

const PACE: Pace = Pace { burst: (50, 150), pause: (20, 60) };

/// Passed only at the end of a host, once for each partition.
const CLOSED: &str = "lane:closed";

/// How long a zombie and its heir write beside each other.
const BESIDE: Duration = Duration::from_millis(800);

#[test]
fn zombies_at_every_point_over_minio() {
    at_every_point("zombies-minio", Place::shared(Kind::Minio));
}

#[test]
fn zombies_at_every_point_over_a_folder() {
    at_every_point("zombies-folder", Place::Folder);
}

fn at_every_point(name: &'static str, place: Place<'_>) {
    let mut dice = Dice::for_test(name);
    let scene = Scene::new(name, place, PARTITIONS, &dice, staged_cuts);
    let watch = Watch::start(Reader::at(&scene.lake), Duration::from_millis(400), dice.draw());
    let load = Load::start(&scene.topic, load::none(PARTITIONS), PACE, large, dice.fork());
    for point in host::crash::POINTS {
        let passed_most = if point == CLOSED || point == "lane:taken-over" {
            u64::from(PARTITIONS.unsigned_abs())
        } else {
            3
        };
        rises_at(&scene, point, dice.within(1..passed_most + 1));
    }
    let (counts, looks) = (load.finish(), watch.finish());
    scene.assert_delivered(&counts, |look| look.assert_exactly_once(&counts));
    scene.say(&format!(
        "{} records exactly once, {looks} looks, {} entries adopted",
        counts.values().sum::<u64>(),
        scene.logged("another writer owns this range")
    ));
}

/// One host stops at a point, another one goes on in its place, and then the first one wakes.
fn rises_at(scene: &Scene, point: &str, nth: u64) {
    let goes_on_after =
        |before: &Listing| until(DELIVERY, || Listing::of(scene).is_beyond(before, PARTITIONS));
    let mut zombie = Launch::run(&scene.pipeline).pause_at(point, nth).start();
    if point == CLOSED {
        assert!(goes_on_after(&Listing::of(scene)), "the host did nothing; it said:\n{}", zombie.stderr());
        zombie.terminate();
    }
    let stopped = until(DELIVERY, || zombie.is_paused());
    assert!(stopped, "the host did not pass {point} {nth} times; it said:\n{}", zombie.stderr());
    let before = Listing::of(scene);
    let mut heir = scene.host();
    assert!(goes_on_after(&before), "nobody went on after {point}; the heir said:\n{}", heir.stderr());
    zombie.resume();
    std::thread::sleep(BESIDE);
    if point != CLOSED {
        zombie.terminate();
    }
    zombie.expect_exit(DRAIN, 0);
    heir.terminate();
    heir.expect_exit(DRAIN, 0);
    scene.say(&format!("{point}: a zombie rose, and nothing came of it"));
}

fn large(partition: i32, number: u64) -> Message {
    Message::numbered(partition, number, 2500)
}
