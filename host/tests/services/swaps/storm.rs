//! The storm of swaps: a new version every moment, through either of two hosts in one group, under load, while hosts die
//! or stand still on the version before.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::judge::Versions;
use super::stage::{DONE, FIRST, PENDING, Stage, keyed};
use crate::crash::dice::Dice;
use crate::crash::load::{self, Load, Pace};
use crate::stamps::Mode;
use crate::support::host::Host;
use crate::support::reader::{Reader, Watch};

/// How many swaps have to succeed.
const SWAPS: &str = "VANNE_SWAPS";
const SWAPS_DEFAULT: u32 = 12;

const PARTITIONS: i32 = 4;
const HOSTS: usize = 2;

/// Some 1,000 records a second.
const PACE: Pace = Pace { burst: (20, 120), pause: (30, 100) };

/// Milliseconds between two strikes: a swap takes a second or so, so that some are struck and some are not.
const STRIKES: std::ops::Range<u64> = 1500..5000;

/// How long a host stands still, in milliseconds: longer than a session, so that its partitions are given away, and a
/// swap may come meanwhile.
const STILL: std::ops::Range<u64> = 1500..4000;

/// How long a swap waits for its partitions: those of a host that stands still are not waited for.
const TIMEOUT: &str = "6s";

/// How long the storm may take for a swap, on the average.
const EACH: Duration = Duration::from_secs(30);

#[test]
fn a_storm_of_swaps_through_either_of_two_hosts() {
    let name = "storm-swaps";
    let mut dice = Dice::for_test(name);
    let mut stage = Stage::new(name, PARTITIONS, HOSTS, &dice, |pipeline| pipeline);
    let load = Load::start(&stage.scene.topic, load::none(PARTITIONS), PACE, keyed, dice.fork());
    let watch = Watch::start(Reader::at(&stage.scene.lake), Duration::from_millis(600), dice.draw());
    let tally = Storm::new(&mut stage, dice).rage(swaps());
    let (counts, looks) = (load.finish(), watch.finish());
    let versions = stage.judge(&counts);
    let lost = counts.values().sum::<u64>() - versions.records.values().sum::<u64>();
    stage.scene.say(&format!(
        "{tally:?}; {looks} looks; {} records of {} versions in {} revisions, {} of which have entries",
        versions.stamps.len(),
        versions.records.len(),
        versions.revisions.len(),
        versions.used
    ));
    assert_eq!(lost, 0, "each record has a version");
    assert!(versions.revisions.len() as u64 > u64::from(tally.swaps), "each swap is a revision of its own");
    assert!(versions.records.len() > 2, "records went through several versions: {:?}", versions.records);
    assert_monotonic(&versions);
}

/// How many swaps, from the environment.
fn swaps() -> u32 {
    let given = std::env::var(SWAPS).ok().map(|text| text.parse().expect("`VANNE_SWAPS` is a number"));
    given.unwrap_or(SWAPS_DEFAULT)
}

/// The stamps themselves say that versions follow each other: no record of a partition is of an earlier revision than
/// the one before it. Entries are not asked.
fn assert_monotonic(versions: &Versions) {
    let mut last = BTreeMap::<i32, (u64, u32)>::new();
    for ((partition, number), stamp) in &versions.stamps {
        let now = (versions.since[stamp], *stamp);
        if let Some(before) = last.insert(*partition, now) {
            assert!(
                before.0 <= now.0,
                "record {number} of partition {partition} was made by {} after one of {}",
                now.1,
                before.1
            );
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Up,
    StillUntil(Instant),
}

struct Member {
    host: Host,
    state: State,
    /// How often something was done to it.
    struck: u32,
}

/// What happened.
#[derive(Clone, Debug, Default)]
struct Tally {
    /// Swaps whose command said that they are done.
    swaps: u32,
    /// Of those, reports that had all partitions.
    complete: u32,
    /// Commands that failed, since their host was struck or does not run yet.
    failed: u32,
    kills: u32,
    stills: u32,
}

struct Storm<'a> {
    stage: &'a mut Stage,
    dice: Dice,
    members: Vec<Member>,
    next: Instant,
    tally: Tally,
}

impl<'a> Storm<'a> {
    fn new(stage: &'a mut Stage, dice: Dice) -> Self {
        let up =
            |nth| Member { host: stage.host_with_lanes(nth, lanes_of(nth)), state: State::Up, struck: 0 };
        let members = (0..HOSTS).map(up).collect();
        Self { stage, dice, members, next: Instant::now(), tally: Tally::default() }
    }

    fn rage(mut self, swaps: u32) -> Tally {
        let (begun, mut stamp) = (Instant::now(), FIRST);
        while self.tally.swaps < swaps {
            stamp += 1;
            assert!(begun.elapsed() < EACH * (swaps + 4), "it takes too long: {:?}", self.tally);
            self.swap(stamp);
            self.stage.scene.say(&format!("{:?}", self.tally));
        }
        for member in &mut self.members {
            member.host.kill();
        }
        self.tally
    }

    /// Has a version swapped in, and sees to it that something bad happens meanwhile, or not.
    fn swap(&mut self, stamp: u32) {
        let file = self.stage.version(stamp, Mode::Good).to_string_lossy().into_owned();
        let up: Vec<_> = (0..HOSTS).filter(|nth| self.members[*nth].state == State::Up).collect();
        let nth = match up[..] {
            [] => return self.weather(),
            _ => up[usize::try_from(self.dice.within(0..up.len() as u64)).expect("a member")],
        };
        let struck = self.members[nth].struck;
        let transform = self.stage.transform();
        let mut command = self.stage.start(nth, &["swap", &transform, &file, "--timeout", TIMEOUT, "--json"]);
        let begun = Instant::now();
        while command.is_running() {
            assert!(begun.elapsed() < EACH, "a swap did not end; it said:\n{}", command.stderr());
            self.weather();
        }
        let status = command.wait(Duration::ZERO).expect("it has ended");
        // What stands still is not waited for.
        if matches!(status.code(), Some(DONE | PENDING)) {
            let told = command.stdout();
            let report: serde_json::Value = serde_json::from_str(&told).expect("a report");
            assert_eq!(report["changed"], true, "another component is another revision: {report}");
            self.tally.swaps += 1;
            self.tally.complete += u32::from(report["complete"] == true);
            return;
        }
        // A host that was replaced a moment ago may not listen yet.
        let excused = self.members[nth].struck > struck
            || command.stderr().contains("no host answers")
            || self.members[nth].state != State::Up;
        assert!(
            excused,
            "nobody disturbed host {nth}, and the swap failed, {status}: {}\nthe host said:\n{}",
            command.stderr(),
            self.members[nth].host.stderr()
        );
        self.tally.failed += 1;
    }

    /// Wakes whose time has come, and strikes now and then.
    fn weather(&mut self) {
        std::thread::sleep(Duration::from_millis(10));
        for member in &mut self.members {
            match member.state {
                State::StillUntil(time) if time <= Instant::now() => {
                    member.host.resume();
                    member.state = State::Up;
                }
                State::StillUntil(_) => {}
                State::Up => assert!(
                    member.host.is_running(),
                    "a host ended by itself; it said:\n{}",
                    member.host.stderr()
                ),
            }
        }
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + self.dice.milliseconds(STRIKES);
        let nth = usize::try_from(self.dice.within(0..HOSTS as u64)).expect("a member");
        let member = &mut self.members[nth];
        member.struck += 1;
        // A host that stands still runs the old version when it wakes, if another one has been told to swap.
        if self.dice.within(0..2) == 0 && member.state == State::Up {
            member.host.pause();
            member.state = State::StillUntil(Instant::now() + self.dice.milliseconds(STILL));
            self.tally.stills += 1;
        } else {
            member.host.kill();
            *member = Member { host: self.stage.host(nth), state: State::Up, struck: member.struck };
            self.tally.kills += 1;
        }
    }
}

/// The first host has every lane, until the second one joins and takes half of them.
fn lanes_of(nth: usize) -> u64 {
    u64::from(PARTITIONS.unsigned_abs()) / (nth as u64 + 1)
}
