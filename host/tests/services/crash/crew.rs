//! Hosts of one group that are killed, paused and drained at random, and replaced at once.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::dice::Dice;
use super::scene::DRAIN;
use crate::support::host::{Host, Launch};

/// How long a pause lasts, in milliseconds: longer than a session, so that the group gives the paused host's partitions
/// to another one, and the paused host does not know.
const PAUSE: std::ops::Range<u64> = 1200..3000;

#[derive(Clone, Copy, Debug)]
enum State {
    Running,
    PausedUntil(Instant),
    DrainingSince(Instant),
}

struct Member {
    pipeline: PathBuf,
    host: Host,
    state: State,
}

impl Member {
    fn new(pipeline: PathBuf) -> Self {
        Self { host: Launch::run(&pipeline).start(), pipeline, state: State::Running }
    }

    fn replace(&mut self) {
        *self = Self::new(self.pipeline.clone());
    }
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) kills: u32,
    pub(super) pauses: u32,
    pub(super) drains: u32,
    pub(super) slowest_drain: Duration,
}

/// The hosts.
pub(super) struct Crew {
    members: Vec<Member>,
    pub(super) tally: Tally,
}

impl Crew {
    /// One host for each pipeline file.
    pub(super) fn new(pipelines: &[PathBuf]) -> Self {
        let members = pipelines.iter().map(|pipeline| Member::new(pipeline.clone())).collect();
        Self { members, tally: Tally::default() }
    }

    /// Wakes whose pause is over, and replaces who has ended: killed by us, or drained as it was told to.
    pub(super) fn look_after(&mut self) {
        for member in &mut self.members {
            match member.state {
                State::Running => {
                    assert!(
                        member.host.is_running(),
                        "a host ended by itself; it said:\n{}",
                        member.host.stderr()
                    );
                }
                State::PausedUntil(time) if time <= Instant::now() => {
                    member.host.resume();
                    member.state = State::Running;
                }
                State::PausedUntil(_) => {}
                State::DrainingSince(since) if !member.host.is_running() || since.elapsed() > DRAIN => {
                    member.host.expect_exit(Duration::ZERO, 0);
                    self.tally.slowest_drain = self.tally.slowest_drain.max(since.elapsed());
                    member.replace();
                }
                State::DrainingSince(_) => {}
            }
        }
    }

    /// Something bad happens to one of them, whatever it is doing.
    pub(super) fn strike(&mut self, dice: &mut Dice) {
        let nth = usize::try_from(dice.within(0..self.members.len() as u64)).expect("a member");
        let member = &mut self.members[nth];
        match (dice.within(0..4), member.state) {
            (0, State::Running) => {
                member.host.pause();
                member.state = State::PausedUntil(Instant::now() + dice.milliseconds(PAUSE));
                self.tally.pauses += 1;
            }
            (1, State::Running) => {
                member.host.terminate();
                member.state = State::DrainingSince(Instant::now());
                self.tally.drains += 1;
            }
            _ => {
                member.host.kill();
                member.replace();
                self.tally.kills += 1;
            }
        }
    }

    /// All of them die, and nobody replaces them.
    pub(super) fn end(mut self) -> Tally {
        for member in &mut self.members {
            member.host.kill();
            self.tally.kills += 1;
        }
        self.tally
    }
}
