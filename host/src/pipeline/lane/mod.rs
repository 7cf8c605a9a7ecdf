//! A lane: one assigned partition, from its first batch to its last entry.
//!
//! Owns the partition's position, its open range, its cuts and its epochs. Does not know other lanes,
//! the group, or the process's end; `supervisor` tells it to drain. Parts: `work` (what runs on the CPU
//! pool), `stager` (bytes to the store while the range is open), `commit` (entry, publish, offset),
//! `switch` (another revision), `drain` (the end).
//!
//! Invariant: everything that a lane has taken in since the end of its last published entry is in its
//! open range or in the one cut that is being committed; an epoch that is over can add to neither.

mod commit;
mod drain;
mod entry;
mod error;
mod stager;
mod start;
mod switch;
mod waiting;
mod work;

pub(in crate::pipeline) use error::Error;
pub(in crate::pipeline) use start::{Hint, start};

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::commit::{Committing, Ending, Settled};
use self::stager::{Place, Stager};
use self::switch::{Switched, Wanted};
use self::waiting::Waiting;
use self::work::Work;
use super::Stats;
use super::context::Context;
use super::cpu::{Pool, Turn};
use super::names::Names;
use super::revisions::{Current, Shape};
use super::roster::{Activity, Facts};
use crate::batch::{Chunk, OpenRange};
use crate::clock;
use crate::ledger::{Chain, Tail};
use crate::record::{Batch, CutCause, Epoch};
use crate::source::{Command, Outlet};

/// What the supervisor tells a lane.
#[derive(Clone, Copy, Debug)]
pub(super) enum Control {
    /// Take nothing more in, deliver what is there, close the chain, and end.
    Drain {
        /// What to write as the cause of the last cut.
        cause: CutCause,
        /// When to give up.
        deadline: Instant,
    },
    /// The broker has nothing at the lane's position.
    OutOfRange,
    /// The lane is done once it has delivered everything before this offset.
    Until(u64),
    /// A held lane tries again now.
    Resume,
    /// Deliver what is there, and take nothing more in until told otherwise; or go on.
    Pause(bool),
}

/// How a lane ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Everything up to its end is published and committed.
    Reached,
    /// Drained in time.
    Drained,
    /// The deadline came first; what was not committed comes again.
    TimedOut,
    /// The partition was lost, or the process gave up.
    Abandoned,
}

/// What others may know of a lane, and how they reach it.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    /// Takes [`Control`] messages.
    pub(super) control: mpsc::Sender<Control>,
    /// Ends the lane where it stands, committing nothing more.
    pub(super) abandon: CancellationToken,
    /// What others see of it.
    pub(super) facts: Arc<Facts>,
}

/// Messages that may wait for a lane: one drain, one out-of-range report, and slack for repeats.
const CONTROL_MESSAGES: usize = 8;

/// The running lane.
pub(super) struct Lane {
    context: Arc<Context>,
    shape: Arc<Shape>,
    shapes: watch::Receiver<Current>,
    wanted: Option<Wanted>,
    switched: Option<Switched>,
    /// The shape has come while the lane ran, and no range of it has been cut.
    is_unproven: bool,
    /// There is a newer revision than this host can run.
    is_unable: bool,
    is_paused: bool,
    /// When the last batch was taken from the source.
    taken_at: Option<Instant>,
    names: Names,
    chain: Arc<Chain>,
    epoch: Epoch,
    tail: Tail,
    work: Option<Box<Work>>,
    position: u64,
    facts: Arc<Facts>,
    outlet: Outlet,
    /// The source let go of the intake: the partition is about to be taken away.
    cut_off: bool,
    control: mpsc::Receiver<Control>,
    pressure: watch::Receiver<u64>,
    outbox: std::collections::VecDeque<Chunk>,
    stager: Option<Stager>,
    committing: Option<Committing>,
    cut_wanted: Option<CutCause>,
    /// A batch that is to begin a range, and that no newer revision can have come before.
    first: Option<Batch>,
    /// It is being looked whether there is a newer one.
    looking: Option<AbortOnDropHandle<()>>,
    waiting: Option<Waiting>,
    until: Option<u64>,
    held: u64,
    last_settled: Instant,
}

/// What happens next to a lane.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
enum Next {
    Control(Control),
    Settled(Result<Settled, Error>),
    Staged(Result<(), Error>),
    Timer,
    Pressure,
    Shapes,
    Looked,
    First,
    Batch(Option<Batch>),
}

impl Lane {
    /// Works until the partition's end, a drain, or an error that halts it.
    async fn work(&mut self) -> Result<Ended, Error> {
        loop {
            if self.has_reached_end() {
                return self.finish().await;
            }
            self.switch_if_wanted().await?;
            self.show();
            match self.next().await {
                Next::Control(Control::Drain { cause, deadline }) => {
                    return self.drain(cause, deadline).await;
                }
                Next::Control(Control::OutOfRange) => self.out_of_range().await?,
                Next::Control(Control::Until(end)) => self.until = Some(end),
                Next::Control(Control::Resume) => self.resume(),
                Next::Control(Control::Pause(pause)) => self.pause(pause),
                Next::Settled(settled) => self.settle(settled?).await?,
                Next::Staged(sent) => sent?,
                Next::Timer => self.timer().await?,
                Next::Pressure => self.cut_wanted = self.cut_wanted.or(Some(CutCause::Memory)),
                Next::Shapes => self.look_at_shapes(),
                Next::Looked => self.look_at_shapes(),
                Next::First => self.take_first().await?,
                Next::Batch(Some(batch)) if self.range().is_empty() => self.look_before(batch),
                Next::Batch(Some(batch)) => self.take_batch(batch).await?,
                // The group may take the partition back while the lane begins: the order to drain is on its way.
                Next::Batch(None) => self.cut_off = true,
            }
            self.want_cut_if_due();
            // A switch ends the range by itself.
            if self.cut_wanted.is_some() && self.committing.is_none() && self.wanted.is_none() {
                self.cut().await?;
            }
        }
    }

    /// Shows others what the lane is doing.
    fn show(&self) {
        let is_held = self.waiting.as_ref().is_some_and(|waiting| waiting.is_held);
        self.facts.set_activity(match (self.is_at_rest(), is_held) {
            (true, _) => Activity::AtRest,
            (false, true) => Activity::Held,
            (false, false) => Activity::Working,
        });
        self.facts.committed.store(self.tail.end, Ordering::Relaxed);
        self.facts.revision.store(self.shape.revision, Ordering::Relaxed);
    }

    /// Waits for what happens next. Orders first, then what frees resources, then time, then new input.
    async fn next(&mut self) -> Next {
        let takes_input = self.has_room() && self.waiting.is_none() && !self.cut_off && !self.is_at_rest();
        let knows_newest = self.looking.is_none() && self.wanted.is_none();
        let takes_first = takes_input && self.first.is_some() && knows_newest;
        let takes_batch = takes_input && self.first.is_none();
        let wake = self.next_wake();
        let held = self.held;
        let stager = self.stager.as_mut().filter(|_| !self.outbox.is_empty());
        tokio::select! {
            biased;
            Some(control) = self.control.recv() => Next::Control(control),
            settled = commit::settled(&mut self.committing) => Next::Settled(settled),
            sent = stager::send_first(stager, &mut self.outbox) => Next::Staged(sent),
            Ok(()) = self.shapes.changed() => Next::Shapes,
            () = switch::looked(&mut self.looking) => Next::Looked,
            () = sleep_until(wake) => Next::Timer,
            () = over_threshold(&mut self.pressure, held) => Next::Pressure,
            () = std::future::ready(()), if takes_first => Next::First,
            batch = self.outlet.next(), if takes_batch => Next::Batch(batch),
        }
    }

    /// When the lane has to look up although nothing came.
    fn next_wake(&self) -> Option<Instant> {
        let goes_on = self.has_room() && !self.is_at_rest();
        let again = self.waiting.as_ref().filter(|_| goes_on).map(|waiting| waiting.wake);
        let cut = if self.cut_wanted.is_some() {
            None
        } else {
            self.next_cut_ms().map(|at_ms| {
                let wait = u64::try_from(at_ms.saturating_sub(clock::now_ms())).unwrap_or(0);
                Instant::now() + Duration::from_millis(wait)
            })
        };
        let idle_close = self.may_close().then(|| self.last_settled + self.shape.config.cut.max_interval);
        again.into_iter().chain(cut).chain(idle_close).min()
    }

    /// When the open range is due by time, by the clock of records.
    fn next_cut_ms(&self) -> Option<i64> {
        let state = self.range().state();
        let due = self.shape.cut_policy.next_deadline(&state);
        // The first range under another revision shows soon where that began.
        let prove = i64::try_from(self.context.shapes.prove_after().as_millis()).unwrap_or(i64::MAX);
        let proof =
            state.first_passed_ms.filter(|_| self.is_unproven).map(|first| first.saturating_add(prove));
        due.into_iter().chain(proof).min()
    }

    /// Whether what a batch becomes may be added.
    fn has_room(&self) -> bool {
        self.outbox.is_empty() && self.cut_wanted.is_none()
    }

    /// A timer rang: a waiting batch comes again, or an idle chain is closed.
    async fn timer(&mut self) -> Result<(), Error> {
        let goes_on = self.has_room() && !self.is_at_rest();
        if goes_on && self.waiting.as_ref().is_some_and(|waiting| waiting.wake <= Instant::now()) {
            let Some(Waiting { batch, from, .. }) = self.wait_for(None) else { return Ok(()) };
            return self.take_in(batch, from).await;
        }
        let idle_since = self.last_settled + self.shape.config.cut.max_interval;
        if self.may_close() && idle_since <= Instant::now() {
            self.close().await?;
        }
        Ok(())
    }

    /// A held lane tries again at once.
    fn resume(&mut self) {
        if let Some(waiting) = self.waiting.as_mut().filter(|waiting| waiting.is_held) {
            waiting.wake = Instant::now();
        }
    }

    /// Stands still after what is there is delivered, or goes on.
    fn pause(&mut self, pause: bool) {
        self.is_paused = pause;
        if pause && !self.range().is_empty() {
            self.cut_wanted = self.cut_wanted.or(Some(CutCause::Pause));
        }
    }

    /// Puts what waits in the place of what waited, and counts the lanes that are held.
    fn wait_for(&mut self, waiting: Option<Waiting>) -> Option<Waiting> {
        let is_held = |waiting: &Option<Waiting>| waiting.as_ref().is_some_and(|waiting| waiting.is_held);
        let before = std::mem::replace(&mut self.waiting, waiting);
        Stats::add(&self.context.stats.holds, u64::from(is_held(&self.waiting)));
        let held = &self.context.stats.held_lanes;
        match (is_held(&before), is_held(&self.waiting)) {
            (false, true) => Stats::add(held, 1),
            (true, false) => Stats::subtract(held, 1),
            _ => {}
        }
        before
    }

    /// Takes a batch from the source.
    async fn take_batch(&mut self, batch: Batch) -> Result<(), Error> {
        if batch.epoch != self.epoch {
            return Ok(());
        }
        if batch.range.start != self.position {
            tracing::error!(lane = %self.names.origin, expected = self.position, got = batch.range.start,
                "the source skipped or repeated offsets; the lane goes back to what it expects");
            return self.rewind(self.range().start()).await;
        }
        self.taken_at = Some(Instant::now());
        self.take_in(batch, 0).await
    }

    /// Runs a batch, from the input `from` on, through the transforms into the open range.
    async fn take_in(&mut self, batch: Batch, from: u32) -> Result<(), Error> {
        let context = Arc::clone(&self.context);
        let (pool, turn) = (self.pool_of(self.shape.may_block()), self.turn());
        let taken = self.run_work(pool, turn, move |work| work.take_in(&context, batch, from)).await?;
        let taken = match taken {
            Err(error) if error.stops_pipeline() => return self.deliver_before(error).await,
            taken => taken?,
        };
        self.note_pause(taken.last_call, taken.began);
        Stats::add(&self.context.stats.taken_in, taken.records);
        self.position = self.range().position();
        self.facts.position.store(self.position, Ordering::Relaxed);
        self.outbox.extend(taken.chunks);
        self.wait_for(taken.waiting);
        if !self.outbox.is_empty() && self.stager.is_none() {
            let (context, shape) = (Arc::clone(&self.context), Arc::clone(&self.shape));
            let place = Place { context, shape, names: self.names.clone() };
            self.stager = Some(Stager::start(place));
        }
        self.note_held();
        Ok(())
    }

    /// Where the transforms are called: where they must not hold up other lanes, if they may wait or took too
    /// long lately.
    fn pool_of(&self, may_block: bool) -> Pool {
        let is_slowed = self.work.as_ref().is_some_and(|work| work.is_slowed());
        match (may_block, is_slowed) {
            (true, _) => Pool::Waiting,
            (false, true) => Pool::Aside,
            (false, false) => Pool::Cpu,
        }
    }

    /// The first call after a switch goes before other lanes' work: it ends the lane's standing still.
    fn turn(&self) -> Turn {
        if self.switched.is_some() { Turn::Urgent } else { Turn::InOrder }
    }

    /// Does CPU work on a pool; the lane waits without a thread.
    async fn run_work<T: Send + 'static>(
        &mut self,
        pool: Pool,
        turn: Turn,
        job: impl FnOnce(&mut Work) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let mut work = self.work.take().expect("a job gives the work back before the next one");
        let done = self.context.pools.run(pool, turn, move || {
            let result = job(&mut work);
            (work, result)
        });
        let (work, result) = done.await?;
        self.work = Some(work);
        Ok(result)
    }

    fn note_held(&mut self) {
        let held = self.range().held_bytes() as u64;
        self.context.memory.change(self.held, held);
        self.held = held;
    }

    fn want_cut_if_due(&mut self) {
        if self.cut_wanted.is_some() || self.range().is_empty() {
            return;
        }
        let is_at_end = self.until.is_some_and(|until| self.position >= until);
        let is_pressed = self.held > 0 && self.held >= *self.pressure.borrow();
        let now_ms = clock::now_ms();
        let due = self.range().due(&self.shape.cut_policy, now_ms);
        let is_proof_due = self.is_unproven && self.next_cut_ms().is_some_and(|at_ms| at_ms <= now_ms);
        self.cut_wanted = due
            .or_else(|| is_proof_due.then_some(CutCause::Swap))
            .or_else(|| is_at_end.then_some(CutCause::End))
            .or_else(|| is_pressed.then_some(CutCause::Memory));
    }

    /// Ends the open range and begins to commit it. Only called while no other cut is under way.
    async fn cut(&mut self) -> Result<(), Error> {
        let Some(cause) = self.cut_wanted.take() else { return Ok(()) };
        if self.range().is_empty() {
            return Ok(());
        }
        let closed = self.run_work(Pool::Cpu, Turn::InOrder, Work::cut).await??;
        self.take_ahead();
        self.is_unproven = false;
        self.commit(cause, Ending::Closed(closed))
    }

    /// Begins to commit what the lane's shape made of a range that has ended at the position.
    fn commit(&mut self, cause: CutCause, ending: Ending) -> Result<(), Error> {
        let next = Names::draw(&self.names.origin, self.names.lane(), self.position)?;
        self.note_held();
        let cut = commit::Cut {
            context: Arc::clone(&self.context),
            shape: Arc::clone(&self.shape),
            chain: Arc::clone(&self.chain),
            tail: self.tail.clone(),
            names: std::mem::replace(&mut self.names, next),
            cause,
            stager: self.stager.take(),
            outbox: std::mem::take(&mut self.outbox),
        };
        self.committing = Some(Committing::start(cut, ending));
        Ok(())
    }

    /// Takes note of how a cut ended.
    async fn settle(&mut self, settled: Settled) -> Result<(), Error> {
        self.last_settled = Instant::now();
        match settled {
            Settled::Committed(tail) => {
                self.tail = tail;
                Ok(())
            }
            Settled::Adopted(tail) => {
                Stats::add(&self.context.stats.adopted, 1);
                tracing::warn!(lane = %self.names.origin, end = tail.end,
                    "another writer owns this range; its entry is published and adopted");
                self.tail = tail;
                self.rewind(self.tail.end).await?;
                self.follow_revision().await
            }
            Settled::Again => {
                tracing::warn!(lane = %self.names.origin, start = self.tail.end,
                    "staged bytes were lost before they were committed; the range is made again");
                self.rewind(self.tail.end).await
            }
        }
    }

    /// A new epoch that begins at `offset`: nothing taken in since then survives, a cut staged ahead
    /// included. Only called while no cut is under way, or for the start of the open range.
    async fn rewind(&mut self, offset: u64) -> Result<(), Error> {
        if self.context.embedded.is_some() {
            return Err(Error::EmbeddedRewind { lane: self.names.origin.clone(), offset });
        }
        self.epoch = self.context.next_epoch();
        self.outbox.clear();
        (self.first, self.looking) = (None, None);
        self.cut_wanted = None;
        self.wait_for(None);
        self.stager = None;
        self.names = Names::draw(&self.names.origin, self.names.lane(), offset)?;
        self.work.as_mut().expect("no job is running").range.restart(offset);
        self.position = offset;
        self.facts.position.store(offset, Ordering::Relaxed);
        self.note_held();
        let partition = self.names.origin.clone();
        self.context.tell(Command::Seek { partition, offset, epoch: self.epoch }).await;
        Ok(())
    }

    fn range(&self) -> &OpenRange {
        &self.work.as_ref().expect("no job is running").range
    }

    fn has_reached_end(&self) -> bool {
        self.committing.is_none() && self.until.is_some_and(|until| self.tail.end >= until)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.wait_for(None);
        self.context.memory.leave(self.held);
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Ends when the process wants memory back from lanes that hold as much as this one.
async fn over_threshold(pressure: &mut watch::Receiver<u64>, held: u64) {
    loop {
        if pressure.changed().await.is_err() {
            return std::future::pending().await;
        }
        if held > 0 && held >= *pressure.borrow_and_update() {
            return;
        }
    }
}
