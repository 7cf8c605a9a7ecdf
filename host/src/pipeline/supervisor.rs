//! The group's side of the pipeline: lanes come with assignments, drain with revocations, and all end
//! with the process.
//!
//! Owns the set of lanes, answers to the source's events, and the phases of shutdown: stop intake, drain
//! every lane under one deadline, give partitions back, leave the group. Does not touch records.
//!
//! Invariant: partitions are given back only after their lanes have ended; nothing is committed for a
//! partition that was lost.

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::build::EndOffsets;
use super::context::Context;
use super::ends::Ends;
use super::feed::{self, Feed};
use super::lane::{self, Control, Ended, Hint};
use super::operator::Order;
use super::progress::Progress;
use super::{Error, Stats};
use crate::record::{CutCause, TopicPartition};
use crate::source::{Command, Event, kafka};

/// How long lanes may drain when the group wants partitions back: well within Kafka's default
/// `max.poll.interval.ms` and short enough that the other members do not wait long.
const REVOKE_DEADLINE: Duration = Duration::from_secs(10);

/// What a lane gets beyond its deadline, before it is ended from outside: it may be waiting for a plugin or a store
/// that keeps no deadline.
const GRACE: Duration = Duration::from_secs(1);

/// How long lanes may drain when the process stops: with the 5 s that the source may need to leave the
/// group 25 s, for Kubernetes kills after 30.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(20);

/// How long lanes wait for a look at newer revisions before they begin.
const LOOK_FOR_REVISIONS: Duration = Duration::from_secs(3);

/// How long a lane may keep the supervisor waiting with an order.
const TELL: Duration = Duration::from_secs(1);

const TICK: Duration = Duration::from_millis(250);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything taken in is delivered and committed.
    Drained,
    /// At least one lane halted; its records are still in Kafka.
    Halted,
    /// The deadline passed before all lanes had drained; what was not committed comes again.
    DeadlinePassed,
}

/// What a run did.
#[derive(Debug)]
pub struct Summary {
    /// How it ended.
    pub outcome: Outcome,
    /// Its counters.
    pub stats: Arc<Stats>,
    /// Why lanes halted, a line each, at most [`HALTS_KEPT`].
    pub halts: Vec<String>,
}

/// Reasons for halted lanes that a summary keeps.
pub(super) const HALTS_KEPT: usize = 20;

/// A rebalance that waits for lanes to drain.
struct Revocation {
    all: Vec<TopicPartition>,
    waiting: BTreeSet<TopicPartition>,
    deadline: Instant,
}

/// The running pipeline.
pub(super) struct Supervisor {
    context: Arc<Context>,
    events: mpsc::Receiver<Event>,
    lanes: HashMap<TopicPartition, lane::Handle>,
    tasks: JoinSet<(TopicPartition, Result<Ended, lane::Error>)>,
    revocations: Vec<Revocation>,
    ends: Option<Ends>,
    feed: Option<Feed>,
    until_end: bool,
    progress: Progress,
    /// Partitions that this process holds and does not work any more.
    halted: BTreeSet<TopicPartition>,
    halts: Vec<String>,
    timed_out: bool,
    /// A lane's failure, or an order, stops the others too.
    stopping: bool,
    /// Lanes are told to take nothing in.
    is_paused: bool,
}

impl Supervisor {
    pub(super) fn new(
        context: Arc<Context>,
        events: mpsc::Receiver<Event>,
        ends: Option<Ends>,
        feed: Option<Feed>,
        until_end: bool,
        progress: Progress,
    ) -> Self {
        Self {
            context,
            events,
            lanes: HashMap::new(),
            tasks: JoinSet::new(),
            revocations: Vec::new(),
            ends,
            feed,
            until_end,
            progress,
            halted: BTreeSet::new(),
            halts: Vec::new(),
            timed_out: false,
            stopping: false,
            is_paused: false,
        }
    }

    /// Runs until `stop` or an order says so, all partitions have reached their ends, or the source fails.
    pub(super) async fn run(
        mut self,
        stop: impl Future<Output = ()>,
        mut orders: mpsc::Receiver<Order>,
    ) -> Result<Summary, Error> {
        tokio::pin!(stop);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => {
                    self.shut_down(CutCause::Shutdown).await;
                    break;
                }
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => self.lane_ended(ended).await,
                event = self.events.recv() => {
                    if let Err(error) = self.on_event(event).await {
                        return self.fail(error).await;
                    }
                }
                fed = feed::ended(&mut self.feed) => match fed {
                    Ok(ends) => self.fed(ends).await,
                    Err(error) => return self.fail(error).await,
                },
                Some(order) = orders.recv() => self.obey(order).await,
                _ = tick.tick() => self.on_tick().await,
            }
            if self.stopping {
                self.shut_down(CutCause::Shutdown).await;
                break;
            }
            if self.is_done() {
                self.shut_down(CutCause::End).await;
                break;
            }
        }
        Ok(self.summary())
    }

    /// Ends the run by an error of the source or the feed. What was taken in can still be delivered: the
    /// ledger needs no broker.
    async fn fail(mut self, error: Error) -> Result<Summary, Error> {
        self.shut_down(CutCause::Shutdown).await;
        Err(error)
    }

    async fn on_event(&mut self, event: Option<Event>) -> Result<(), Error> {
        match event {
            Some(Event::Assigned(partitions)) => self.assign(partitions).await,
            Some(Event::Revoked(partitions)) => self.revoke(partitions).await,
            Some(Event::Lost(partitions)) => self.lose(partitions).await,
            Some(Event::OutOfRange { partition, offset }) => {
                tracing::warn!(lane = %partition, offset, "the broker has nothing at this offset");
                if let Some(lane) = self.lanes.get(&partition) {
                    let _repeats_may_be_dropped = lane.control.try_send(Control::OutOfRange);
                }
            }
            Some(Event::Fatal(error)) => return Err(Error::Source(error)),
            None => return Err(Error::SourceGone),
        }
        Ok(())
    }

    /// Starts a lane for each partition that is not running yet.
    async fn assign(&mut self, partitions: Vec<TopicPartition>) {
        tracing::info!(partitions = partitions.len(), "assigned");
        let partitions = self.refuse_changed_topics(partitions).await;
        self.look_for_revisions().await;
        let commits = self.context.committed(&partitions).await;
        if let Err(error) = &commits {
            tracing::warn!(%error, "the group's commits can't be read yet; each lane asks for its own");
        }
        for partition in partitions {
            if self.lanes.contains_key(&partition) {
                continue;
            }
            let until = self.ends.as_ref().and_then(|ends| ends.of(&partition));
            let hint = match &commits {
                Ok(commits) => Hint::Known(commits.get(&partition).cloned()),
                Err(_) => Hint::ToBeAsked,
            };
            let (handle, lane) = lane::start(Arc::clone(&self.context), partition.clone(), hint, until);
            if self.is_paused {
                let _there_is_room_in_a_new_lane = handle.control.try_send(Control::Pause(true));
            }
            self.progress.add(&partition, &handle.facts, until);
            self.lanes.insert(partition.clone(), handle);
            // A panic is a bug, and costs one lane: its partition must be given back when the group wants it.
            let lane = AssertUnwindSafe(lane).catch_unwind();
            self.tasks.spawn(async move {
                let ended = lane.await;
                (partition, ended.unwrap_or_else(|_| Err(lane::Error::TaskLost(String::from("it panicked")))))
            });
        }
    }

    /// Lanes that come begin with the newest revision; one that is missed here is found soon.
    async fn look_for_revisions(&self) {
        match tokio::time::timeout(LOOK_FOR_REVISIONS, self.context.shapes.follow()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = %super::error::chain_text(&error), "the ledger can't be asked for newer revisions");
            }
            Err(_) => tracing::warn!("looking for newer revisions takes long; lanes begin meanwhile"),
        }
    }

    /// Halts the lanes of topics that are gone, or others by now: their chains say nothing about the logs that are there.
    async fn refuse_changed_topics(&mut self, mut partitions: Vec<TopicPartition>) -> Vec<TopicPartition> {
        let topics: BTreeSet<_> = partitions.iter().map(|partition| Arc::clone(&partition.topic)).collect();
        for topic in topics {
            let Err(error) = self.context.check_topic(&topic).await else { continue };
            if let lane::Error::Source(error) = &error
                && !matches!(error, kafka::Error::TopicMissing { .. })
            {
                tracing::warn!(%topic, %error, "could not ask whether the topic was made again");
                continue;
            }
            for partition in partitions.extract_if(.., |partition| partition.topic == topic) {
                self.halt(&partition, &error).await;
            }
        }
        partitions
    }

    async fn revoke(&mut self, partitions: Vec<TopicPartition>) {
        tracing::info!(
            partitions = partitions.len(),
            "the group wants partitions back; draining their lanes"
        );
        self.halted.retain(|partition| !partitions.contains(partition));
        let deadline = Instant::now() + REVOKE_DEADLINE;
        let mut waiting = BTreeSet::new();
        for partition in &partitions {
            if self.lanes.contains_key(partition) {
                self.drain(partition, CutCause::Revoke, deadline).await;
                waiting.insert(partition.clone());
            }
        }
        self.revocations.push(Revocation { all: partitions, waiting, deadline });
        self.answer_revocations().await;
    }

    async fn drain(&self, partition: &TopicPartition, cause: CutCause, deadline: Instant) {
        if let Some(lane) = self.lanes.get(partition) {
            let told = lane.control.send(Control::Drain { cause, deadline });
            let _lane_may_have_ended = tokio::time::timeout_at(deadline, told).await;
        }
    }

    async fn lose(&mut self, partitions: Vec<TopicPartition>) {
        tracing::warn!(
            partitions = partitions.len(),
            "partitions were lost; their lanes end without a commit"
        );
        self.halted.retain(|partition| !partitions.contains(partition));
        let mut waiting = BTreeSet::new();
        for partition in &partitions {
            if let Some(lane) = self.lanes.get(partition) {
                lane.abandon.cancel();
                waiting.insert(partition.clone());
            }
        }
        self.revocations.push(Revocation { all: partitions, waiting, deadline: Instant::now() });
        self.answer_revocations().await;
    }

    /// Gives back the partitions of each revocation whose lanes have all ended.
    async fn answer_revocations(&mut self) {
        let (done, waiting) =
            std::mem::take(&mut self.revocations).into_iter().partition(|it| it.waiting.is_empty());
        self.revocations = waiting;
        let done: Vec<Revocation> = done;
        for revocation in done {
            revocation.all.iter().for_each(|partition| self.context.roster.leave(partition));
            self.context.tell(Command::Unassign { partitions: revocation.all }).await;
        }
    }

    /// Ends lanes that did not keep the deadline of a revocation: the whole group waits for the answer.
    fn abandon_late(&self) {
        let now = Instant::now();
        for late in self.revocations.iter().filter(|revocation| revocation.deadline + GRACE <= now) {
            late.waiting
                .iter()
                .filter_map(|partition| self.lanes.get(partition))
                .for_each(|lane| lane.abandon.cancel());
        }
    }

    async fn lane_ended(
        &mut self,
        ended: Result<(TopicPartition, Result<Ended, lane::Error>), tokio::task::JoinError>,
    ) {
        let (partition, result) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(%error, "a lane ended without a word; this is a bug");
                self.halts.push(error.to_string());
                return;
            }
        };
        self.lanes.remove(&partition);
        self.progress.remove(&partition);
        if result.is_ok() {
            self.context.roster.leave(&partition);
        }
        match result {
            Ok(Ended::Reached) => {
                if let Some(ends) = &mut self.ends {
                    ends.reached(&partition);
                }
            }
            // A drain for the group that was too slow is no fault of the end that comes later.
            Ok(Ended::TimedOut) => self.timed_out |= !self.is_revoked(&partition),
            Ok(Ended::Drained | Ended::Abandoned) => {}
            Err(error) => {
                self.stopping |= error.stops_pipeline();
                self.halt(&partition, &error).await;
            }
        }
        for revocation in &mut self.revocations {
            revocation.waiting.remove(&partition);
        }
        self.answer_revocations().await;
    }

    fn is_revoked(&self, partition: &TopicPartition) -> bool {
        self.revocations.iter().any(|revocation| revocation.waiting.contains(partition))
    }

    async fn halt(&mut self, partition: &TopicPartition, error: &lane::Error) {
        let reason = super::error::chain_text(error);
        tracing::error!(lane = %partition, error = %reason,
            "the lane halted; its records stay in Kafka");
        Stats::add(&self.context.stats.halted, 1);
        self.context.tell(Command::Stop { partition: partition.clone() }).await;
        self.halted.insert(partition.clone());
        self.context.roster.halted(partition);
        if self.halts.len() < HALTS_KEPT {
            self.halts.push(format!("{partition}: {reason}"));
        }
        if let Some(ends) = &mut self.ends {
            ends.reached(partition);
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::TryHeld => self.resume(),
            Order::Drain => {
                tracing::info!("told to drain");
                self.stopping = true;
            }
            Order::Pause(pause) => {
                tracing::info!(pause, lanes = self.lanes.len(), "told to pause, or to go on");
                self.is_paused = pause;
                for lane in self.lanes.values() {
                    // A lane reads its orders before all else; one that does not come to it has ended, or will.
                    let told = lane.control.send(Control::Pause(pause));
                    let _lane_may_have_ended = tokio::time::timeout(TELL, told).await;
                }
            }
        }
    }

    /// Makes lanes that a circuit breaker holds try again at once.
    fn resume(&self) {
        tracing::info!(held = Stats::get(&self.context.stats.held_lanes), "held lanes try again now");
        for lane in self.lanes.values() {
            let _a_busy_lane_is_not_held = lane.control.try_send(Control::Resume);
        }
    }

    /// The embedded broker has got all that it will get: now its partitions have ends.
    async fn fed(&mut self, ends: EndOffsets) {
        if !self.until_end {
            return;
        }
        for (partition, lane) in &self.lanes {
            let until = ends.get(partition).copied().unwrap_or(0);
            let _lane_may_have_ended = lane.control.send(Control::Until(until)).await;
        }
        self.ends = Some(Ends::new(ends));
    }

    async fn on_tick(&mut self) {
        self.progress.show(&self.context.stats);
        self.abandon_late();
        if let Some(ends) = &mut self.ends {
            ends.look_at_others(&self.context, &self.lanes).await;
        }
    }

    fn is_done(&self) -> bool {
        let all_halted = !self.halted.is_empty() && self.lanes.is_empty() && self.ends.is_none();
        let all_reached = self.ends.as_ref().is_some_and(|ends| ends.all_reached()) && self.lanes.is_empty();
        // Nobody takes an embedded lane over, and a feeder that waits for it never ends.
        let is_lost = self.context.embedded.is_some() && !self.halted.is_empty();
        all_halted || all_reached || is_lost
    }

    /// Drains every lane under one deadline, gives all partitions back and leaves the group.
    async fn shut_down(&mut self, cause: CutCause) {
        self.context.phase.is_draining.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + SHUTDOWN_DEADLINE;
        let partitions: Vec<_> = self.lanes.keys().cloned().collect();
        if !partitions.is_empty() {
            tracing::info!(lanes = partitions.len(), "draining");
        }
        for partition in &partitions {
            self.drain(partition, cause, deadline).await;
        }
        while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, self.tasks.join_next()).await {
            self.lane_ended(ended).await;
        }
        if !self.tasks.is_empty() {
            self.timed_out = true;
            self.lanes.values().for_each(|lane| lane.abandon.cancel());
            self.tasks.abort_all();
        }
        self.progress.end();
        self.context.close_source().await;
    }

    fn summary(self) -> Summary {
        let outcome = if !self.halts.is_empty() {
            Outcome::Halted
        } else if self.timed_out {
            Outcome::DeadlinePassed
        } else {
            Outcome::Drained
        };
        Summary { outcome, stats: Arc::clone(&self.context.stats), halts: self.halts }
    }
}
