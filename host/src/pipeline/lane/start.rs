//! How a lane begins, and how it finds its feet when the broker has nothing at its position.
//!
//! Owns take-over: the chain's tail, its last entry published, the first offset to read. Invariant: no
//! offset is read before the entry in front of it is known to be published.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::commit::{self, commit_offset};
use super::work::Work;
use super::{CONTROL_MESSAGES, Control, Ended, Error, Handle, Lane};
use crate::clock;
use crate::crash;
use crate::ledger::{Chain, Commit, Tail};
use crate::pipeline::Stats;
use crate::pipeline::context::Context;
use crate::pipeline::error::chain_text;
use crate::pipeline::names::Names;
use crate::pipeline::roster::Facts;
use crate::record::{CutCause, OffsetRange, TopicPartition};
use crate::retry::Backoff;
use crate::source::kafka::Watermarks;
use crate::source::{self, Command};

/// How long a lane waits before it asks the broker for the same again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// How long a take-over may keep others from beginning theirs.
const PERMIT_HOLD: Duration = Duration::from_secs(10);

/// What the group committed for a partition, as far as it is known when its lane begins.
#[derive(Clone, Debug)]
pub(in crate::pipeline) enum Hint {
    /// This, or nothing.
    Known(Option<Commit>),
    /// The broker did not answer: the lane asks again.
    ToBeAsked,
}

/// Makes a lane: its handle, and the future that is its life.
pub(in crate::pipeline) fn start(
    context: Arc<Context>,
    origin: TopicPartition,
    hint: Hint,
    until: Option<u64>,
) -> (Handle, impl Future<Output = Result<Ended, Error>> + Send) {
    let (sender, control) = mpsc::channel(CONTROL_MESSAGES);
    let abandon = CancellationToken::new();
    let facts = context.roster.enter(&origin);
    let handle = Handle { control: sender, abandon: abandon.clone(), facts: Arc::clone(&facts) };
    let life = async move {
        tokio::select! {
            biased;
            () = abandon.cancelled() => Ok(Ended::Abandoned),
            ended = live(context, origin, hint, until, control, facts) => ended,
        }
    };
    (handle, life)
}

async fn live(
    context: Arc<Context>,
    origin: TopicPartition,
    hint: Hint,
    until: Option<u64>,
    mut control: mpsc::Receiver<Control>,
    facts: Arc<Facts>,
) -> Result<Ended, Error> {
    let begin = Lane::begin(context, origin, hint, until, facts);
    let mut told = Told::default();
    let taken_over = tokio::select! {
        biased;
        // Nothing is taken in yet, so there is nothing to deliver.
        () = drain_asked(&mut control, &mut told) => return Ok(Ended::Drained),
        lane = begin => lane,
    };
    let mut lane = taken_over?;
    lane.control = control;
    lane.until = told.until.or(lane.until);
    lane.is_paused = told.pause;
    lane.work().await
}

/// What a lane was told before it had begun.
#[derive(Debug, Default)]
struct Told {
    until: Option<u64>,
    pause: bool,
}

/// Ends when the lane is to drain before it has begun; takes note of what else it is told meanwhile.
async fn drain_asked(control: &mut mpsc::Receiver<Control>, told: &mut Told) {
    loop {
        match control.recv().await {
            Some(Control::OutOfRange | Control::Resume) => {}
            Some(Control::Until(end)) => told.until = Some(end),
            Some(Control::Pause(pause)) => told.pause = pause,
            Some(Control::Drain { .. }) | None => return,
        }
    }
}

impl Lane {
    async fn begin(
        context: Arc<Context>,
        origin: TopicPartition,
        mut hint: Hint,
        until: Option<u64>,
        facts: Arc<Facts>,
    ) -> Result<Self, Error> {
        let chain = Arc::new(context.chain(&origin)?);
        let tail = take_over_in_turn(&context, &chain, &origin, &mut hint).await?;
        crash::point("lane:taken-over");
        let shapes = context.shapes.watch();
        let shape = context.shapes.shape();
        if tail.last.as_ref().is_some_and(|last| shape.made(&last.entry)) {
            shape.stable.chain.prove();
        }
        let start = tail.end;
        let names = Names::draw(&origin, &context.staging_lane(&origin)?, start)?;
        let (intake, outlet) = source::intake();
        let epoch = context.next_epoch();
        facts.position.store(start, Ordering::Relaxed);
        tracing::debug!(lane = %origin, start, "taken over");
        context.memory.enter();
        let (_, control) = mpsc::channel(1);
        let mut lane = Self {
            work: Some(Work::new(&shape, &origin, start)),
            pressure: context.memory.watch(),
            shape,
            shapes,
            wanted: None,
            first: None,
            looking: None,
            switched: None,
            is_unproven: false,
            is_unable: false,
            is_paused: false,
            taken_at: None,
            names,
            chain,
            epoch,
            tail,
            position: start,
            facts,
            outlet,
            cut_off: false,
            control,
            outbox: VecDeque::new(),
            stager: None,
            committing: None,
            cut_wanted: None,
            waiting: None,
            until,
            held: 0,
            last_settled: Instant::now(),
            context,
        };
        // Even a lane that is at its end: the group waits for an answer to each partition that it gave.
        lane.context.tell(Command::Assign { partition: origin, start, epoch, intake }).await;
        lane.commit_what_others_could_not(&hint).await;
        lane.look_at_shapes();
        lane.follow_revision().await?;
        Ok(lane)
    }

    /// A rebalance may refuse the last commit of a partition's owner: without this it would stay missing
    /// until more records come, and lag would be shown where there is none.
    async fn commit_what_others_could_not(&mut self, hint: &Hint) {
        let Some(last) = &self.tail.last else { return };
        if !matches!(hint, Hint::Known(Some(known)) if *known == self.chain.commit(last)) {
            commit_offset(&self.context, &self.chain, &self.names, last).await;
        }
    }

    /// The broker has nothing at the lane's position: records were lost to retention, or the log was cut
    /// off, or the position was only just right.
    pub(super) async fn out_of_range(&mut self) -> Result<(), Error> {
        if let Err(error) = self.find_feet().await {
            if !error.may_pass() {
                return Err(error);
            }
            tracing::warn!(lane = %self.names.origin, error = %chain_text(&error),
                "the broker can't be asked about the partition yet");
            // The seek makes the source say again that there is nothing, if that is still so.
            tokio::time::sleep(ASK_AGAIN).await;
            return self.rewind(self.range().start()).await;
        }
        Ok(())
    }

    async fn find_feet(&mut self) -> Result<(), Error> {
        let log = self.look_at_log().await?;
        if self.position < log.low {
            return self.record_gap(log.low).await;
        }
        // A leader that was behind for a moment: ask again, not at once.
        tokio::time::sleep(ASK_AGAIN).await;
        self.rewind(self.range().start()).await
    }

    /// The ends of the partition's log, once it is known to be the one that the chain is about.
    pub(super) async fn look_at_log(&mut self) -> Result<Watermarks, Error> {
        let origin = self.names.origin.clone();
        self.context.check_topic(&origin.topic).await?;
        let log = self.context.watermarks(&origin).await?;
        if self.position > log.high {
            return Err(Error::Truncated { lane: origin, high: log.high, end: self.tail.end });
        }
        Ok(log)
    }

    /// Offsets up to `low` are gone: says so in the chain and goes on there.
    async fn record_gap(&mut self, low: u64) -> Result<(), Error> {
        if !self.range().is_empty() {
            self.cut_wanted = Some(CutCause::Gap);
        }
        while self.committing.is_some() || self.cut_wanted.is_some() {
            if self.committing.is_none() {
                self.cut().await?;
            }
            if self.committing.is_some() {
                let settled = commit::settled(&mut self.committing).await?;
                self.settle(settled).await?;
            }
        }
        let lost = OffsetRange { start: self.tail.end, end: low };
        if lost.offsets() == 0 {
            return self.rewind(self.tail.end).await;
        }
        tracing::error!(lane = %self.names.origin, first = lost.start, end = lost.end, offsets = lost.offsets(),
            "records were lost to retention before this pipeline read them; the chain records the gap");
        Stats::add(&self.context.stats.gap_offsets, lost.offsets());
        self.work.as_mut().expect("no job is running").range.skip_to(low, clock::now_ms());
        self.position = low;
        self.cut_wanted = Some(CutCause::Gap);
        self.cut().await?;
        if self.committing.is_some() {
            let settled = commit::settled(&mut self.committing).await?;
            self.settle(settled).await?;
        }
        self.rewind(self.tail.end).await
    }
}

/// Takes a chain over while not too many others are.
async fn take_over_in_turn(
    context: &Arc<Context>,
    chain: &Chain,
    origin: &TopicPartition,
    hint: &mut Hint,
) -> Result<Tail, Error> {
    let permit = context.take_overs.acquire().await;
    let taking_over = take_over(context, chain, origin, hint);
    tokio::pin!(taking_over);
    if let Ok(tail) = tokio::time::timeout(PERMIT_HOLD, &mut taking_over).await {
        return tail;
    }
    // What this one waits for (a topic of dead letters, say) must not keep the others from beginning.
    drop(permit);
    taking_over.await
}

/// The chain's tail with its last entry published; waits for a store that is away.
async fn take_over(
    context: &Arc<Context>,
    chain: &Chain,
    origin: &TopicPartition,
    hint: &mut Hint,
) -> Result<Tail, Error> {
    let mut backoff = Backoff::for_services();
    loop {
        let error = match try_take_over(context, chain, origin, hint).await {
            Ok(tail) => return Ok(tail),
            Err(error) if error.may_pass() => error,
            Err(error) => return Err(error),
        };
        let wait = backoff.next_wait(&context.random);
        tracing::warn!(lane = %origin, error = %chain_text(&error), ?wait,
            "the chain can't be taken over yet");
        tokio::time::sleep(wait).await;
    }
}

async fn try_take_over(
    context: &Arc<Context>,
    chain: &Chain,
    origin: &TopicPartition,
    hint: &mut Hint,
) -> Result<Tail, Error> {
    if let Hint::ToBeAsked = hint {
        let asked = std::slice::from_ref(origin);
        *hint = Hint::Known(context.committed(asked).await?.remove(origin));
    }
    let commit = match hint {
        Hint::Known(commit) => commit.as_ref(),
        Hint::ToBeAsked => None,
    };
    if let Some(tail) = chain.take_over(commit, &*context.shapes).await? {
        context.shapes.shape().delivery.targets.collect_garbage(chain, &tail).await;
        return Ok(tail);
    }
    let earliest = context.watermarks(origin).await?.low;
    Ok(chain.begin(earliest).await?)
}
