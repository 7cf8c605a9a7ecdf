//! From a validated configuration to a pipeline that is ready to run.
//!
//! Owns the order of starting, and every refusal that needs the network. Invariant: until `prepare`
//! returns nothing is read from the stream; what it writes (ledger, claims, starts, a probe) any number
//! of hosts may write at once.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::context::{Context, TAKE_OVERS};
use super::cpu::CpuPool;
use super::ends::Ends;
use super::feed::Feed;
use super::letters::LetterTopic;
use super::memory::Memory;
use super::progress::Progress;
use super::publish::EntryPublisher;
use super::supervisor::{Summary, Supervisor};
use super::target::Targets;
use super::topics::{self, Asker};
use super::{Error, Stats, code};
use crate::batch::{CutPolicy, Sinks};
use crate::clock::Random;
use crate::config::{self, Broker};
use crate::record::TopicPartition;
use crate::source::Event;
use crate::source::kafka::{Consumer, EmbeddedBroker, Options, Queries};
use crate::store::PART_BYTES;

/// Events of the source that may wait: a rebalance is one event whatever its size.
const EVENTS: usize = 64;

/// Threads for transforms that may wait: each holds one while it waits.
const THREADS_THAT_WAIT: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not 0");

/// How a run is to go.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// End when every partition has reached the end that it has at start.
    pub until_end: bool,
    /// Show no progress.
    pub quiet: bool,
}

/// A pipeline that is ready to run.
#[derive(Debug)]
pub struct Prepared {
    context: Arc<Context>,
    events: mpsc::Receiver<Event>,
    ends: Option<Ends>,
    feed: Option<Feed>,
    options: RunOptions,
}

/// Opens, checks and claims everything that a pipeline names, and joins the group.
///
/// # Errors
/// The first thing that can't be used; nothing has been read then.
pub async fn prepare(mut config: config::Pipeline, options: RunOptions) -> Result<Prepared, Error> {
    let random = Random::from_system()?;
    let embedded = start_embedded(&mut config)?;
    let memory = Memory::new(config.host.memory);
    let targets = Targets::open(&config).await?;
    let ledger = targets.open_ledger(&config).await?;
    let transforms = code::load(&config)?;
    let brokers = brokers(&config, embedded.as_ref());
    let asker = Asker::new(Queries::new(&config.source, &brokers)?, embedded.is_some());
    let stats = Arc::new(Stats::default());
    let letters = LetterTopic::open(&config, &brokers, &asker, targets.letter_store(), Arc::clone(&stats));
    let letters = letters.await?;
    let topics = topics::begin(&config, &ledger, &targets, &asker).await?;
    let ends = match (options.until_end, &embedded) {
        (true, None) => Some(Ends::new(asker.ends(&topics).await?)),
        _ => None,
    };
    let (sender, events) = mpsc::channel(EVENTS);
    let source_memory = usize::try_from(memory.source()).unwrap_or(usize::MAX);
    let feed = embedded.as_ref().map(|broker| Feed::start(&config, broker)).transpose()?;
    let taken_in = feed.as_ref().map(Feed::hook);
    let source_options = Options { batch: config.batch.clone(), memory: source_memory, taken_in };
    let source = Consumer::spawn(&config.source, &brokers, source_options, sender)?;
    let threads = config.host.threads.and_then(|threads| NonZeroUsize::try_from(threads).ok());
    let may_block = transforms.may_block();
    let context = Context {
        sinks: Sinks::new(targets.specs(), PART_BYTES, &config.digest),
        cut_policy: CutPolicy::new(&config.cut),
        provenance: code::provenance(&transforms),
        transforms,
        cpu: CpuPool::start("cpu", threads)?,
        aside: CpuPool::start("aside", if may_block { Some(THREADS_THAT_WAIT) } else { threads })?,
        publisher: EntryPublisher { objects: targets.publisher(CancellationToken::new()), letters },
        targets,
        ledger,
        topics,
        source,
        asker,
        embedded,
        random,
        stats,
        instances: Arc::new(Semaphore::new(memory.instances())),
        uploads: Semaphore::new(memory.uploads()),
        memory,
        take_overs: Semaphore::new(TAKE_OVERS),
        epochs: AtomicU64::new(0),
        config,
    };
    Ok(Prepared { context: Arc::new(context), events, ends, feed, options })
}

/// Starts the broker in this process, where the pipeline asks for it, and gives its output a folder of
/// its own: its offsets begin at 0 every time.
fn start_embedded(config: &mut config::Pipeline) -> Result<Option<EmbeddedBroker>, Error> {
    let Broker::Embedded { partitions, .. } = config.source.broker else { return Ok(None) };
    let broker = EmbeddedBroker::start()?;
    for topic in &config.source.topics {
        broker.create_topic(topic, partitions)?;
    }
    let run = super::target::run_id()?;
    super::target::separate_run(config, &run);
    Ok(Some(broker))
}

fn brokers(config: &config::Pipeline, embedded: Option<&EmbeddedBroker>) -> String {
    match (&config.source.broker, embedded) {
        (Broker::Kafka { brokers }, _) => brokers.clone(),
        (Broker::Embedded { .. }, Some(broker)) => broker.bootstrap().to_owned(),
        (Broker::Embedded { .. }, None) => String::new(),
    }
}

impl Prepared {
    /// Where the sinks' objects go, by name, for people.
    #[must_use]
    pub fn places(&self) -> BTreeMap<String, String> {
        self.context.targets.places()
    }

    /// Runs until `stop` ends, or every partition has reached its end. Whoever notifies `resume` makes lanes
    /// that a circuit breaker holds try again at once.
    ///
    /// # Errors
    /// The source failed as a whole. A lane that halts is no error but part of the summary.
    pub async fn run(self, stop: impl Future<Output = ()>, resume: &Notify) -> Result<Summary, Error> {
        let progress = Progress::new(self.options.quiet);
        let until_end = self.options.until_end;
        let Self { context, events, ends, feed, .. } = self;
        Supervisor::new(context, events, ends, feed, until_end, progress).run(stop, resume).await
    }
}

/// The end of each partition.
pub(super) type EndOffsets = HashMap<TopicPartition, u64>;
