//! The loop of the poll thread: commands, windows, room, then events; again.
//!
//! Owns the table of partitions and the order of what happens to them. Invariant: each turn ends within
//! [`POLL_MAX`] and some calls into librdkafka's main thread, whatever lanes, stores and the reader of
//! the events do.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::super::native::{Kind, Message, Place, Poller};
use super::super::{Error, error};
use super::assignment::Assignment;
use super::commits::Commits;
use super::partition::Limits;
use super::table::Table;
use super::{Context, Options, POLL_MAX, log};
use crate::record::TopicPartition;
use crate::source::pool::ArenaPool;
use crate::source::{Command, Event, kafka};

/// Events handled before commands and windows are looked at again: some milliseconds' worth.
const EVENTS_PER_TURN: usize = 1_000;

/// How soon the room of a full lane is looked at again.
const ROOM_WAIT: Duration = Duration::from_millis(5);

/// How long outstanding commits may take at the end.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// How long leaving the group may take at the end.
pub(super) const LEAVE_MAX: Duration = Duration::from_secs(3);

/// The poll thread.
pub(super) struct Worker {
    poller: Poller<Context>,
    state: State,
}

/// All of it but the consumer, which events borrow.
struct State {
    commands: Receiver<Command>,
    events: mpsc::Sender<Event>,
    /// What the reader of the events had no room for. Bounded by the protocol: a partition is given once,
    /// taken once and lost once until the reader answers, and the rest is told once.
    waiting_events: VecDeque<Event>,
    assignment: Assignment,
    commits: Commits,
    table: Table,
    brokers: String,
    /// Told that the client can't go on.
    failed: bool,
    /// Was given something by the group, so that its credentials were good once.
    joined: bool,
    closing: bool,
}

impl Worker {
    pub(super) fn new(
        poller: Poller<Context>,
        brokers: String,
        options: &Options,
        commands: Receiver<Command>,
        events: mpsc::Sender<Event>,
        pool: Arc<ArenaPool>,
    ) -> Self {
        let limits = Limits { bytes: options.batch.bytes.get(), records: options.batch.records.get() };
        let table =
            Table::new(limits, options.batch.window, options.memory / 2, pool, options.taken_in.clone());
        let state = State {
            commands,
            events,
            waiting_events: VecDeque::new(),
            assignment: Assignment::default(),
            commits: Commits::default(),
            table,
            brokers,
            failed: false,
            joined: false,
            closing: false,
        };
        Self { poller, state }
    }

    /// Polls until it is told to close, or nobody is left to talk to.
    pub(super) fn run(mut self) {
        while !self.state.closing {
            self.turn();
        }
        self.flush_commits();
        self.leave();
    }

    fn turn(&mut self) {
        let Self { poller, state } = self;
        let consumer = poller.consumer();
        state.take_commands(consumer);
        let now = Instant::now();
        state.serve(consumer, now);
        let mut timeout = state.poll_wait(now);
        for _ in 0..EVENTS_PER_TURN {
            let Some(mut event) = poller.poll(timeout) else { break };
            timeout = Duration::ZERO;
            if event.is_message() {
                if let Some(message) = event.message() {
                    state.take_record(consumer, &message);
                }
            } else {
                state.take_event(consumer, event.kind());
            }
        }
    }

    /// Sends what is to be committed and waits for the answers. Whoever could answer the group is gone, so that from
    /// here on it is answered at once.
    fn flush_commits(&mut self) {
        let Self { poller, state } = self;
        let deadline = Instant::now() + FLUSH_MAX;
        state.give_back(poller.consumer(), state.assignment.unanswered());
        while !state.commits.is_done() && Instant::now() < deadline {
            state.commits.serve(poller.consumer(), Instant::now());
            if let Some(event) = poller.poll(ROOM_WAIT) {
                state.answer_at_once(poller.consumer(), event.kind());
            }
        }
        if !state.commits.is_done() {
            tracing::warn!("offsets were not committed before the end; the ledger has them");
        }
    }

    /// Leaves the group, so that the others need not wait for this member's session to end.
    fn leave(self) {
        let Self { poller, mut state } = self;
        if let Err(error) = poller.consumer().close_queue() {
            tracing::warn!(%error, "the group can't be left in order");
        }
        let deadline = Instant::now() + LEAVE_MAX;
        while !poller.consumer().closed() && Instant::now() < deadline {
            if let Some(event) = poller.poll(ROOM_WAIT) {
                state.answer_at_once(poller.consumer(), event.kind());
            }
        }
        if !poller.consumer().closed() {
            tracing::warn!("the group was not left in time; its other members wait for the session's end");
            // Its destructor would wait for the broker without a bound, and the process is about to end.
            std::mem::forget(poller);
        }
    }
}

impl State {
    fn take_commands(&mut self, consumer: &BaseConsumer<Context>) {
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.take_command(consumer, command),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.closing = true;
                    return;
                }
            }
        }
    }

    fn take_command(&mut self, consumer: &BaseConsumer<Context>, command: Command) {
        match command {
            Command::Assign { partition, start, epoch, intake } => {
                if !self.assignment.owns(&partition) {
                    tracing::debug!(%partition, "a start for a partition that is not owned any more");
                } else if self.assignment.is_assigned(&partition) {
                    self.table.set(partition.clone(), start, epoch, intake);
                    self.seek(consumer, &partition, start);
                } else {
                    self.table.set(partition.clone(), start, epoch, intake);
                    self.assignment.start(partition, start, Instant::now());
                }
            }
            Command::Seek { partition, offset, epoch } => {
                if self.assignment.owns(&partition) && self.table.restart(&partition, offset, epoch) {
                    self.seek(consumer, &partition, offset);
                }
            }
            Command::Stop { partition } => self.table.stop(consumer, &partition),
            Command::Unassign { partitions } => self.give_back(consumer, partitions),
            Command::Commit { partition, offset, metadata } => {
                if self.assignment.may_commit(&partition) {
                    self.commits.add(partition, offset, metadata);
                }
            }
            Command::Close => self.closing = true,
        }
    }

    /// Moves librdkafka; the table has moved already, so that nothing older is taken in.
    fn seek(&mut self, consumer: &BaseConsumer<Context>, partition: &TopicPartition, offset: u64) {
        if self.assignment.move_start(partition, offset) {
            return;
        }
        if !seek_now(consumer, partition, offset)
            && !self.assignment.reassign(consumer, partition, offset, Instant::now())
        {
            self.table.reassign_later(partition);
        }
        self.table.resume_if_paused(consumer, partition);
    }

    fn give_back(&mut self, consumer: &BaseConsumer<Context>, partitions: Vec<TopicPartition>) {
        // The group may give them to another member as soon as it has the answer.
        self.commits.send(consumer, Instant::now());
        for partition in self.assignment.given_back(consumer, partitions.clone()) {
            self.table.pause(consumer, &partition);
        }
        for partition in partitions {
            if !self.assignment.owns(&partition) {
                // A failed commit must not be tried again over the next owner's.
                self.commits.forget(&partition);
                self.table.remove(&partition);
            }
        }
    }

    /// Answers the group without asking anybody: a question without an answer would keep this member in it.
    fn answer_at_once(&mut self, consumer: &BaseConsumer<Context>, kind: Kind) {
        match kind {
            Kind::Assigned(places) => self.assignment.given(consumer, &partitions_of(&places)),
            Kind::Revoked(places) => {
                let partitions = partitions_of(&places);
                self.assignment.revoked(consumer, &partitions);
                self.give_back(consumer, partitions);
            }
            Kind::Committed { result, places } => self.commits.answered(result, &places, Instant::now()),
            Kind::Log { level, facility, message } => log(level, &facility, &message),
            Kind::Error { .. } | Kind::Message | Kind::Other => {}
        }
    }

    /// What is due, whether or not an event comes.
    fn serve(&mut self, consumer: &BaseConsumer<Context>, now: Instant) {
        let table = &self.table;
        let started = self.assignment.serve(consumer, now, |partition| table.position(partition));
        self.table.note_running(&started);
        for (partition, offset) in self.table.take_reassigns() {
            if !self.assignment.reassign(consumer, &partition, offset, now) {
                self.table.reassign_later(&partition);
            }
        }
        self.commits.serve(consumer, now);
        let lost = self.assignment.lost_meanwhile(consumer);
        if !lost.is_empty() {
            self.tell_lost(lost);
        }
        self.table.serve(consumer, now, self.assignment.owned_count());
        self.send_events();
    }

    fn poll_wait(&self, now: Instant) -> Duration {
        let bound =
            if self.table.waits_for_room() || !self.waiting_events.is_empty() { ROOM_WAIT } else { POLL_MAX };
        self.table.next_window().map_or(bound, |window| bound.min(window.saturating_duration_since(now)))
    }

    fn send_events(&mut self) {
        while let Some(event) = self.waiting_events.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.waiting_events.push_front(event);
                    return;
                }
                Err(TrySendError::Closed(_)) => {
                    self.closing = true;
                    return;
                }
            }
        }
    }

    fn tell(&mut self, event: Event) {
        self.waiting_events.push_back(event);
        self.send_events();
    }

    fn tell_lost(&mut self, partitions: Vec<TopicPartition>) {
        for partition in &partitions {
            self.commits.forget(partition);
            self.table.halt(partition);
        }
        self.tell(Event::Lost(partitions));
    }

    fn take_record(&mut self, consumer: &BaseConsumer<Context>, message: &Message<'_>) {
        self.table.take_record(consumer, message);
    }

    fn take_event(&mut self, consumer: &BaseConsumer<Context>, kind: Kind) {
        match kind {
            Kind::Assigned(places) => {
                let partitions = partitions_of(&places);
                self.joined = true;
                self.assignment.given(consumer, &partitions);
                tracing::info!(partitions = partitions.len(), "partitions given by the group");
                if !partitions.is_empty() {
                    self.tell(Event::Assigned(partitions));
                }
            }
            Kind::Revoked(places) => self.take_revocation(consumer, partitions_of(&places)),
            Kind::Committed { result, places } => {
                self.commits.answered(result, &places, Instant::now());
            }
            Kind::Error { code, reason, fatal, place } => self.take_error(code, reason, fatal, place),
            Kind::Log { level, facility, message } => log(level, &facility, &message),
            Kind::Message | Kind::Other => {}
        }
    }

    fn take_revocation(&mut self, consumer: &BaseConsumer<Context>, mut partitions: Vec<TopicPartition>) {
        let all = partitions.clone();
        partitions.retain(|partition| self.assignment.owns(partition));
        let lost = self.assignment.revoked(consumer, &all);
        tracing::info!(partitions = all.len(), lost, "partitions taken by the group");
        for partition in &partitions {
            self.table.halt(partition);
        }
        if partitions.is_empty() {
            return;
        }
        if lost {
            self.tell_lost(partitions);
        } else {
            self.tell(Event::Revoked(partitions));
        }
    }

    fn take_error(&mut self, code: RDKafkaErrorCode, reason: String, fatal: bool, place: Option<Place>) {
        use RDKafkaErrorCode as Code;
        match (code, place) {
            (Code::PartitionEOF, Some(place)) => {
                if let Ok(offset) = u64::try_from(place.offset) {
                    self.table.reach(place.topic.as_bytes(), place.partition, offset);
                }
            }
            (Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation, Some(place)) => {
                self.take_out_of_range(&place, &reason);
            }
            _ if fatal => {
                let failure = Error::Fatal { code: format!("{code:?}"), reason };
                self.fail(failure);
            }
            _ if error::is_denied(code) && !self.joined => {
                let brokers = self.brokers.clone();
                self.fail(Error::Denied { brokers, operation: "consume", reason });
            }
            _ => tracing::warn!(?code, reason, "kafka consumer error"),
        }
    }

    fn take_out_of_range(&mut self, place: &Place, reason: &str) {
        let partition = partition_of(place);
        let Some(position) = self.table.position(&partition) else { return };
        // A negative offset is librdkafka's "unknown"; a lower one is from before a seek.
        let offset = u64::try_from(place.offset).unwrap_or(position);
        if offset < position || !self.assignment.owns(&partition) {
            return;
        }
        tracing::warn!(%partition, offset, reason, "the position is outside the partition's log");
        self.tell(Event::OutOfRange { partition, offset });
    }

    fn fail(&mut self, failure: kafka::Error) {
        if !self.failed {
            self.failed = true;
            self.tell(Event::Fatal(failure));
        }
    }
}

/// Moves a fetcher; false where it has none that runs.
fn seek_now(consumer: &BaseConsumer<Context>, partition: &TopicPartition, offset: u64) -> bool {
    /// A round trip to librdkafka's main thread, which answers without asking a broker.
    const SEEK_MAX: Duration = Duration::from_secs(1);
    let list = super::assignment::list_at([(partition, &offset)]);
    match consumer.seek_partitions(list, SEEK_MAX) {
        Ok(answer) => answer.elements().iter().all(|element| element.error().is_ok()),
        Err(error) => {
            tracing::warn!(%error, %partition, "the partition can't be sought");
            false
        }
    }
}

fn partition_of(place: &Place) -> TopicPartition {
    TopicPartition { topic: place.topic.as_str().into(), partition: place.partition }
}

fn partitions_of(places: &[Place]) -> Vec<TopicPartition> {
    places.iter().map(partition_of).collect()
}
