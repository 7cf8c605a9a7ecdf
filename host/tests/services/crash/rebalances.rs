//! Rebalances and nothing worse: hosts join and leave in good order, about every second, under load.

use std::time::{Duration, Instant};

use super::dice::Dice;
use super::load::{self, Load, Pace};
use super::scene::{DRAIN, Place, Scene, small_cuts};
use crate::support::host::Host;
use crate::support::kafka::Message;
use crate::support::reader::{Reader, Watch};
use crate::support::stores::Kind;

const PARTITIONS: i32 = 6;

/// How long hosts come and go.
const LASTS: Duration = Duration::from_secs(20);

/// Hosts that are there at the most, those that drain not counted.
const HOSTS_MOST: usize = 3;

/// A drain that nothing hinders is over long before the deadline of a stop.
const DRAIN_EXPECTED: Duration = Duration::from_secs(10);

#[test]
fn hosts_come_and_go() {
    come_and_go("rebalances", "cooperative-sticky");
}

#[test]
fn hosts_come_and_go_where_each_change_takes_all_partitions() {
    come_and_go("rebalances-eager", "range");
}

fn come_and_go(name: &'static str, strategy: &str) {
    let mut dice = Dice::for_test(name);
    let scene = Scene::new(name, Place::shared(Kind::Minio), PARTITIONS, &dice, |pipeline| {
        small_cuts(pipeline).property("partition.assignment.strategy", strategy)
    });
    let pace = Pace { burst: (20, 160), pause: (20, 60) };
    let make = |partition, number| Message::numbered(partition, number, 250);
    let load = Load::start(&scene.topic, load::none(PARTITIONS), pace, make, dice.fork());
    let watch = Watch::start(Reader::at(&scene.lake), Duration::from_millis(400), dice.draw());

    let begun = Instant::now();
    let mut hosts = vec![scene.host()];
    let mut draining: Vec<(Host, Instant)> = Vec::new();
    let mut drains = Vec::new();
    while begun.elapsed() < LASTS {
        let leaves = hosts.len() == HOSTS_MOST || (hosts.len() > 1 && dice.within(0..2) == 0);
        if leaves {
            let nth = usize::try_from(dice.within(0..hosts.len() as u64)).expect("a host");
            let host = hosts.swap_remove(nth);
            host.terminate();
            draining.push((host, Instant::now()));
        } else {
            hosts.push(scene.host());
        }
        let next = Instant::now() + dice.milliseconds(100..1500);
        while Instant::now() < next {
            std::thread::sleep(Duration::from_millis(10));
            reap(&mut draining, &mut drains);
        }
        let alive = hosts.iter_mut().all(Host::is_running);
        assert!(alive, "a host ended by itself: {:?}", hosts.iter().map(Host::stderr).collect::<Vec<_>>());
    }
    for host in hosts {
        host.terminate();
        draining.push((host, Instant::now()));
    }
    while !draining.is_empty() {
        std::thread::sleep(Duration::from_millis(10));
        reap(&mut draining, &mut drains);
    }
    let counts = load.finish();
    let looks = watch.finish();
    drains.sort();
    scene.say(&format!("{} drains, {drains:.1?}; {looks} looks", drains.len()));
    scene.assert_delivered(&counts, |look| look.assert_exactly_once(&counts));
    scene.say(&format!("{} records exactly once", counts.values().sum::<u64>()));
    let slowest = drains.last().copied().unwrap_or_default();
    assert!(slowest < DRAIN_EXPECTED, "the slowest drain took {slowest:?}");
}

/// Notes which of them have ended, all with exit code 0 and in time.
fn reap(draining: &mut Vec<(Host, Instant)>, drains: &mut Vec<Duration>) {
    draining.retain_mut(|(host, since)| {
        if host.is_running() && since.elapsed() < DRAIN {
            return true;
        }
        host.expect_exit(Duration::ZERO, 0);
        drains.push(since.elapsed());
        false
    });
}
