//! Two versions of a lane's transforms side by side.
//!
//! Owns which records go to which version, that both end at the same record, and what happens when the
//! candidate cannot go on. Invariant: each input up to that record has its fate in exactly one part, and
//! nothing that a candidate does stops the stable version or changes what it makes of a record.
//!
//! What a lane's means of waiting mean with two versions:
//! - The filter is the stable version's, and works once; what it keeps back belongs to the stable part. (A
//!   shadow is compared as a whole, so that it has its own filter.)
//! - Each version has its own *pace*. That of the stable version bounds the stretch of inputs, as ever. That
//!   of a candidate bounds its own inputs within the stretch, so that a call of it that took too long makes
//!   the candidate's next call smaller, and the stretch ends where it stops; a good call at a time it grows.
//! - A version that *ends early* (a wish, a time-out, a record that stops the pipeline) ends both. The
//!   candidate runs first and the stable version only up to the candidate's end; where that ends
//!   even before, the candidate's results behind it are taken back, and its wish with them.
//! - *Breakers*, retries and instances are each version's own. A candidate whose breaker opens is lost: its
//!   lane goes on with the stable version alone, and is never held for it.

use std::error::Error as _;
use std::ops::Range;
use std::time::Duration;

use super::chain::{LaneChain, Sieved, Stop};
use super::compare::Comparison;
use super::fate::cut;
use super::numbers::{Accounts, VersionNumbers};
use super::scope::Scope;
use super::sieve::{Filtered, as_it_is, forward};
use super::split::Split;
use crate::clock::{self, Moment};
use crate::record::{Arena, Batch, Condition, Rest, Transformed, Variant, Wait};

/// A shadow that takes too long holds its lane up though its output is thrown away: it is given up after so
/// many batches in a row in which it did. One record that hangs does so in one.
const SHADOW_TIMEOUTS: u32 = 3;

/// What a candidate is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Some of the records, and what it makes of them is delivered.
    Share(Split),
    /// All of the records besides, and what it makes of them is compared and thrown away.
    Shadow,
}

/// One lane's stable version, and maybe a candidate.
#[derive(Debug)]
pub struct LaneVersions {
    stable: LaneChain,
    candidate: Option<Candidate>,
    /// Why the candidate was lost, until a batch has results that say so.
    lost: Option<String>,
}

#[derive(Debug)]
struct Candidate {
    lane: LaneChain,
    mode: Mode,
    /// Batches in a row in which a call took too long.
    timeouts: u32,
}

/// What came of a batch.
#[derive(Debug, Default)]
pub struct Processed {
    /// What the stable version made of its inputs; `None` where it had none.
    pub stable: Option<Transformed>,
    /// What a candidate with a share made of its inputs; `None` where it had none.
    pub candidate: Option<Transformed>,
    /// Where both end, if before the batch does; each part says the same.
    pub rest: Option<Rest>,
    /// Numbers of the stable version and of the candidate.
    pub tallies: [VersionNumbers; 2],
    /// A shadow's results beside the stable ones.
    pub compared: Option<Comparison>,
    /// Why the lane goes on without its candidate from this batch on.
    pub lost: Option<String>,
}

impl Processed {
    /// The results, by version.
    pub fn parts(&self) -> impl Iterator<Item = (Variant, &Transformed)> {
        let stable = self.stable.iter().map(|results| (Variant::Stable, results));
        stable.chain(self.candidate.iter().map(|results| (Variant::Candidate, results)))
    }

    /// The first input without results; `count` are the records of the batch.
    #[must_use]
    pub fn until(&self, count: u32) -> u32 {
        self.rest.as_ref().map_or(count, |rest| rest.from)
    }
}

/// A stretch of a batch that is to be processed.
struct Go<'a> {
    batch: &'a Batch,
    inputs: Range<u32>,
    now: Moment,
}

impl Go<'_> {
    fn records(&self) -> &Arena {
        &self.batch.records
    }

    /// Where results end.
    fn until(&self, results: &Transformed) -> u32 {
        results.rest.as_ref().map_or(self.inputs.end, |rest| rest.from)
    }
}

/// Results, and how long they took.
struct Ran {
    results: Transformed,
    busy: Duration,
}

impl LaneVersions {
    /// A lane with these chains; both are of the same partition.
    #[must_use]
    pub fn new(stable: LaneChain, candidate: Option<(LaneChain, Mode)>) -> Self {
        let candidate = candidate.map(|(lane, mode)| Candidate { lane, mode, timeouts: 0 });
        Self { stable, candidate, lost: None }
    }

    /// Passes the records of a batch from `from` on through the transforms, or as many of them as are
    /// wise to try at once; [`Processed::rest`] says what is left.
    ///
    /// # Errors
    /// See [`Stop`], which is the stable version's; nothing of what was passed stands then.
    pub fn process(&mut self, batch: &Batch, from: u32, now: Moment) -> Result<Processed, Stop> {
        let inputs = self.stable.take(&batch.records, from);
        let Sieved { passed, filtered } = self.stable.sieve(batch, inputs.clone());
        let go = Go { batch, inputs, now };
        let mut processed = match self.mode() {
            None => self.alone(&go, passed)?,
            Some(Mode::Share(split)) => self.share(&go, passed, split)?,
            Some(Mode::Shadow) => {
                let mut processed = self.alone(&go, passed)?;
                self.shadow(&go, &mut processed);
                processed
            }
        };
        self.stable.note(&batch.records, &go.inputs, filtered);
        processed.lost = self.lost.take();
        Ok(processed)
    }

    /// What the candidate is given; `None`: there is none, or it was lost.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        self.candidate.as_ref().map(|candidate| candidate.mode)
    }

    /// Takes results back that nobody needs any more, to use their memory again.
    pub fn recycle(&self, processed: Processed) {
        let Processed { stable, candidate, .. } = processed;
        stable.into_iter().chain(candidate).for_each(|results| self.stable.recycle(results));
    }

    /// What the filter kept from the transforms in the last batch that had results.
    #[must_use]
    pub fn filtered(&self) -> Filtered {
        self.stable.filtered()
    }

    /// Whether a call may hold its thread while it waits.
    #[must_use]
    pub fn may_block(&self) -> bool {
        self.lanes().any(LaneChain::may_block)
    }

    /// Whether calls took too long lately, so that the lane should not hold up others.
    #[must_use]
    pub fn is_slowed(&self) -> bool {
        self.lanes().any(LaneChain::is_slowed)
    }

    /// Linear memory of the lane's instances. It never shrinks until they are released.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.lanes().map(LaneChain::memory_bytes).sum()
    }

    /// Drops the instances, to save memory; the next batch makes new ones.
    pub fn release(&mut self) {
        self.stable.release();
        if let Some(candidate) = &mut self.candidate {
            candidate.lane.release();
        }
    }

    /// Makes the instances that are not there, so that the next batch finds them.
    ///
    /// # Errors
    /// Where one of the stable version cannot be made. (A candidate's is tried again by its first batch,
    /// which says what became of it.)
    pub fn warm(&mut self) -> Result<(), Stop> {
        if let Some(candidate) = &mut self.candidate
            && let Err(stop) = candidate.lane.warm()
        {
            tracing::debug!(error = %text(&stop), "an instance of a candidate cannot be made ahead");
        }
        self.stable.warm()
    }

    fn lanes(&self) -> impl Iterator<Item = &LaneChain> {
        std::iter::once(&self.stable).chain(self.candidate.as_ref().map(|candidate| &candidate.lane))
    }

    /// Everything through the stable version.
    fn alone(&mut self, go: &Go<'_>, passed: Option<Transformed>) -> Result<Processed, Stop> {
        let passed_on = passed.as_ref().map_or(go.inputs.len(), |passed| passed.outputs.len());
        let Ran { results, busy } = run(&mut self.stable, go, &Scope::All(go.inputs.clone()), passed)?;
        let stretch = go.inputs.start..go.until(&results);
        let reached = match stretch == go.inputs {
            true => passed_on as u64,
            false => self.stable.reaching(go.batch, stretch.clone()),
        };
        let accounts = Accounts { inputs: stretch.len() as u64, reached };
        let tally = VersionNumbers::of(go.records(), &results, accounts, busy);
        let rest = results.rest.clone();
        let tallies = [tally, VersionNumbers::default()];
        Ok(Processed { stable: Some(results), rest, tallies, ..Processed::default() })
    }

    /// Each input through one of the two.
    fn share(&mut self, go: &Go<'_>, passed: Option<Transformed>, split: Split) -> Result<Processed, Stop> {
        let whole = split.takes_batch(go.batch);
        if whole == Some(false) {
            return self.alone(go, passed);
        }
        let mut passed = passed.unwrap_or_else(|| forward(go.inputs.clone(), go.records().len()));
        let inputs = passed.outputs.iter().map(|output| output.input);
        let takes = |input: &u32| whole.unwrap_or_else(|| split.takes_record(go.records(), *input as usize));
        let taken: Vec<u32> = inputs.filter(takes).collect();
        let Some(candidate) = self.candidate.as_mut().filter(|_| !taken.is_empty()) else {
            return self.alone(go, Some(passed));
        };
        let ran = match candidate.run(go, &taken, passed.rest.clone()) {
            Ok(ran) => ran,
            Err(stop) => {
                self.lose(text(&stop));
                return self.alone(go, Some(passed));
            }
        };
        let mut of_candidate = taken.iter().peekable();
        passed.outputs.retain(|output| of_candidate.next_if(|input| **input == output.input).is_none());
        self.rest_of(go, passed, &taken, ran)
    }

    /// The inputs that the candidate has not `taken` through the stable version, up to the candidate's end;
    /// then both to one end.
    fn rest_of(
        &mut self,
        go: &Go<'_>,
        mut passed: Transformed,
        taken: &[u32],
        candidate: Ran,
    ) -> Result<Processed, Stop> {
        let Ran { results: mut theirs, busy: their_busy } = candidate;
        let (scope, their_scope) = (Scope::Without(go.inputs.clone(), taken), Scope::Only(taken));
        let their_end = go.until(&theirs);
        if let Some(rest) = theirs.rest.clone().filter(|rest| rest.from < go.inputs.end) {
            cut(&mut passed, &scope, rest);
        }
        let mut processed = Processed { rest: theirs.rest.clone(), ..Processed::default() };
        let mut end = their_end;
        if scope.before(their_end) > 0 {
            let passed_on = passed.outputs.len() as u64;
            let ran = run(&mut self.stable, go, &scope, Some(passed));
            let Ran { results, busy } = ran.inspect_err(|_| self.take_back(go, &theirs))?;
            end = go.until(&results);
            let reached = match end == their_end {
                true => passed_on,
                false => self.stable.reaching(go.batch, go.inputs.start..end) - their_scope.before(end),
            };
            let accounts = Accounts { inputs: scope.before(end), reached };
            processed.tallies[0] = VersionNumbers::of(go.records(), &results, accounts, busy);
            processed.rest.clone_from(&results.rest);
            processed.stable = Some(results);
        }
        if let Some(rest) = processed.rest.clone().filter(|rest| rest.from < their_end) {
            self.take_back(go, &theirs);
            cut(&mut theirs, &their_scope, rest);
        }
        let inputs = their_scope.before(end);
        if inputs > 0 {
            let accounts = Accounts { inputs, reached: inputs };
            processed.tallies[1] = VersionNumbers::of(go.records(), &theirs, accounts, their_busy);
            processed.candidate = Some(theirs);
        } else {
            self.stable.recycle(theirs);
        }
        Ok(processed)
    }

    /// The candidate's results do not stand up to where they ended.
    fn take_back(&mut self, go: &Go<'_>, results: &Transformed) {
        if let (Some(candidate), Some(rest)) = (&mut self.candidate, &results.rest) {
            candidate.lane.take_back(go.records(), rest);
        }
    }

    /// What the stable version has results for through the candidate too, to compare.
    fn shadow(&mut self, go: &Go<'_>, processed: &mut Processed) {
        let is_pure = self.lanes().all(LaneChain::is_pure);
        let (Some(shadow), Some(stable)) = (&mut self.candidate, &processed.stable) else { return };
        let stretch = go.inputs.start..go.until(stable);
        if stretch.is_empty() {
            return;
        }
        match shadow.compare(go, stretch.clone(), stable) {
            Ok((compared, tally)) => {
                processed.compared = Some(Comparison { unreliable: !is_pure, ..compared });
                processed.tallies[1] = tally;
                let timeouts = shadow.timeouts;
                if timeouts >= SHADOW_TIMEOUTS {
                    self.lose(format!("calls of the shadow took too long in {timeouts} batches in a row"));
                }
            }
            Err(stop) => {
                let not_compared = stretch.len() as u64;
                processed.compared = Some(Comparison { not_compared, ..Comparison::default() });
                self.lose(text(&stop));
            }
        }
    }

    /// Goes on without the candidate, whose instances go with it.
    fn lose(&mut self, why: String) {
        self.candidate = None;
        self.lost = Some(why);
    }
}

impl Candidate {
    /// Runs the inputs that it has `taken`, or as many as are wise; `rest` is where the stretch ends.
    fn run(&mut self, go: &Go<'_>, taken: &[u32], rest: Option<Rest>) -> Result<Ran, Stop> {
        let (given, left) = taken.split_at(self.lane.take_of(taken.len()));
        let rest = left.first().map(|input| Rest { from: *input, wait: Wait::Not }).or(rest);
        let outputs = given.iter().map(|input| as_it_is(*input)).collect();
        let selected = Transformed { outputs, rest, ..Transformed::default() };
        run(&mut self.lane, go, &Scope::Only(given), Some(selected))
    }

    /// Runs a stretch that the stable version has results for, and compares.
    fn compare(
        &mut self,
        go: &Go<'_>,
        stretch: Range<u32>,
        stable: &Transformed,
    ) -> Result<(Comparison, VersionNumbers), Stop> {
        let Range { start, end } = stretch;
        let most = u32::try_from(self.lane.take_of(stretch.len())).unwrap_or(u32::MAX);
        let inputs = start..start.saturating_add(most).min(end);
        let Sieved { passed, .. } = self.lane.sieve(go.batch, inputs.clone());
        let Ran { results, busy } = run(&mut self.lane, go, &Scope::All(inputs.clone()), passed)?;
        let done = start..results.rest.as_ref().map_or(inputs.end, |rest| rest.from);
        let mut failures = results.failed.iter().chain(&results.partial);
        let timed_out = failures.any(|failed| failed.condition == Condition::Timeout);
        self.timeouts = if timed_out || self.lane.has_timed_out() { self.timeouts + 1 } else { 0 };
        let mut compared = Comparison::of(go.records(), done.clone(), stable, &results);
        compared.not_compared += u64::from(end - done.end);
        let accounts = Accounts { inputs: done.len() as u64, reached: self.lane.reaching(go.batch, done) };
        let tally = VersionNumbers::of(go.records(), &results, accounts, busy);
        self.lane.recycle(results);
        Ok((compared, tally))
    }
}

fn run(
    lane: &mut LaneChain,
    go: &Go<'_>,
    scope: &Scope<'_>,
    previous: Option<Transformed>,
) -> Result<Ran, Stop> {
    let began = clock::running();
    let results = lane.run(go.records(), scope, previous, go.now)?;
    Ok(Ran { results, busy: clock::running().saturating_sub(began) })
}

/// A stop with its causes.
pub(super) fn text(stop: &Stop) -> String {
    let mut text = stop.to_string();
    let mut source = stop.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
