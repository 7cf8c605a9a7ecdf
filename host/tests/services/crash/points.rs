//! Every named crash point: a host dies there under load, and the next one makes good.

use std::time::Duration;

use super::chains::Listing;
use super::dice::Dice;
use super::load::{self, Counts, DELIVERY, Load, Make, Pace};
use super::scene::{Place, Scene, small_cuts};
use crate::support::host::{Host, Launch, Pipeline};
use crate::support::kafka::Message;
use crate::support::reader::{Reader, Watch};
use crate::support::stores::Kind;

const PARTITIONS: i32 = 2;

/// One way of cutting and staging.
struct Variant {
    name: &'static str,
    place: fn() -> Place<'static>,
    adjust: fn(Pipeline) -> Pipeline,
    make: Make,
    /// Records that each partition has for a host to die over, at the least.
    records: u64,
    pace: Pace,
    /// Points that its hosts never pass, each with the reason.
    unreachable: &'static [(&'static str, &'static str)],
}

#[test]
fn every_crash_point_of_cuts_that_travel_in_their_entries() {
    every_point(&Variant {
        name: "points-inline",
        place: || Place::Folder,
        adjust: small_cuts,
        make: |partition, number| Message::numbered(partition, number, 250),
        records: 600,
        pace: Pace { burst: (20, 100), pause: (20, 60) },
        unreachable: &[
            ("stage:part-uploaded", "cuts below 256 KiB are not staged"),
            ("stage:finished", "cuts below 256 KiB are not staged"),
        ],
    });
}

#[test]
fn every_crash_point_of_cuts_that_are_staged_in_parts() {
    every_point(&Variant {
        name: "points-staged",
        place: || Place::shared(Kind::Minio),
        adjust: large_cuts,
        make: |partition, number| Message::numbered(partition, number, 8_000),
        records: 1_300,
        pace: Pace { burst: (10, 30), pause: (50, 150) },
        unreachable: &[],
    });
}

/// Cuts of 9.6 MB in objects of 7 MiB: the first goes in two parts, the second in one PUT.
fn large_cuts(pipeline: Pipeline) -> Pipeline {
    pipeline
        .set("cut.records", "1200")
        .set("cut.interval", r#""2s""#)
        .set("sinks.lake.compression", r#""none""#)
        .set("sinks.lake.buffer", r#"{ size = "7MiB" }"#)
}

fn every_point(variant: &Variant) {
    let mut dice = Dice::for_test(variant.name);
    let scene = Scene::new(variant.name, (variant.place)(), PARTITIONS, &dice, variant.adjust);
    let watch = Watch::start(Reader::at(&scene.lake), Duration::from_millis(500), dice.draw());
    let mut survivor =
        Survivor { scene: &scene, variant, reader: Reader::at(&scene.lake), counts: load::none(PARTITIONS) };
    for point in host::crash::POINTS {
        let reason = variant.unreachable.iter().find(|(name, _)| *name == point).map(|(_, reason)| reason);
        if let Some(reason) = reason {
            // That it is not passed is as much a claim as that another one is.
            survivor.passes_by(point, &mut dice);
            scene.say(&format!("{point} is not passed: {reason}"));
            continue;
        }
        for nth in 1..=2 {
            survivor.dies_at(point, nth, &mut dice);
            scene.say(&format!("{point}, time {nth}: {} records", survivor.counts.values().sum::<u64>()));
        }
    }
    let (looks, counts) = (watch.finish(), survivor.counts);
    scene.assert_delivered(&counts, |look| look.assert_exactly_once(&counts));
    scene.say(&format!("{looks} looks in between, nothing twice"));
}

/// Hosts that die one after the other on one chain.
struct Survivor<'a> {
    scene: &'a Scene,
    variant: &'a Variant,
    reader: Reader,
    counts: Counts,
}

impl Survivor<'_> {
    /// A host under load dies at a point, and one that comes after it makes good.
    fn dies_at(&mut self, point: &str, nth: u32, dice: &mut Dice) {
        self.under_load(point, nth, dice, |host| host.expect_crash(DELIVERY));
        self.reader.look().assert_sound();
        let before = Listing::of(self.scene);
        self.scene.run_to_the_end();
        Listing::of(self.scene).assert_clean_since(&before);
        self.reader.look().assert_exactly_once(&self.counts);
    }

    /// A host under load gets to its end, for it never passes the point.
    fn passes_by(&mut self, point: &str, dice: &mut Dice) {
        self.under_load(point, 1, dice, |host| host.expect_exit(DELIVERY, 0));
    }

    fn under_load(&mut self, point: &str, nth: u32, dice: &mut Dice, ends: impl FnOnce(&mut Host)) {
        let Self { scene, variant, .. } = *self;
        load::add(&scene.topic, &mut self.counts, variant.records, variant.make);
        let load = Load::start(&scene.topic, self.counts.clone(), variant.pace, variant.make, dice.fork());
        let mut host = Launch::run_until_end(&scene.pipeline).crash_at(point, nth).start();
        ends(&mut host);
        self.counts = load.finish();
    }
}
