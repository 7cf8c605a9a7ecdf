//! From a validated configuration to a pipeline that is ready to run.
//!
//! Owns the order of starting, and every refusal that needs the network. Invariant: until `prepare`
//! returns nothing is read from the stream; what it writes (ledger, claims, starts, a probe) any number
//! of hosts may write at once.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::context::{Context, TAKE_OVERS};
use super::cpu::Pools;
use super::ends::Ends;
use super::feed::Feed;
use super::memory::Memory;
use super::operator::{ORDERS, Operator, Order, Phase};
use super::progress::Progress;
use super::revisions::{Keeper, Loader, Shapes};
use super::roster::Roster;
use super::supervisor::{Summary, Supervisor};
use super::target::Targets;
use super::topics::{self, Asker};
use super::{Error, Stats};
use crate::clock::Random;
use crate::config::{self, Broker, Swap};
use crate::record::TopicPartition;
use crate::source::Event;
use crate::source::kafka::{Consumer, EmbeddedBroker, Options, Queries};

/// Events of the source that may wait: a rebalance is one event whatever its size.
const EVENTS: usize = 64;

/// How a run is to go.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// End when every partition has reached the end that it has at start.
    pub until_end: bool,
    /// Show no progress.
    pub quiet: bool,
    /// The caller watches the files and tells the operator, whatever `[swap] watch` says.
    pub unwatched: bool,
}

/// A pipeline that is ready to run.
#[derive(Debug)]
pub struct Prepared {
    context: Arc<Context>,
    events: mpsc::Receiver<Event>,
    ends: Option<Ends>,
    feed: Option<Feed>,
    options: RunOptions,
    keeper: Keeper,
    operator: Operator,
    orders: mpsc::Receiver<Order>,
}

/// Opens, checks and claims everything that a pipeline names, and joins the group.
///
/// # Errors
/// The first thing that can't be used; nothing has been read then.
pub async fn prepare(mut config: config::Pipeline, options: RunOptions) -> Result<Prepared, Error> {
    let random = Random::from_system()?;
    let (embedded, run) = start_embedded(&mut config)?.unzip();
    let memory = Memory::new(config.host.memory);
    let ledger = Targets::open(&config).await?.open_ledger(&config).await?;
    let brokers = brokers(&config, embedded.as_ref());
    let asker = Asker::new(Queries::new(&config.source, &brokers)?, embedded.is_some());
    let stats = Arc::new(Stats::default());
    let loader = Loader::new(&config, run, &ledger, (&brokers, &asker), &stats)?;
    let swap = Swap { watch: config.swap.watch && !options.unwatched, ..config.swap.clone() };
    let (shapes, notices) = Shapes::begin(loader, &swap).await?;
    let topics = topics::begin(&config, &ledger, &shapes.shape().delivery.targets, &asker).await?;
    shapes.know_topics(topics.values().map(|topic| topic.identity.clone()).collect());
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
    let context = Arc::new(Context {
        shapes: Arc::clone(&shapes),
        roster: Roster::default(),
        phase: Phase::default(),
        pools: Pools::start(threads)?,
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
        own: config,
    });
    let (order, orders) = mpsc::channel(ORDERS);
    let operator = Operator::new(Arc::clone(&context), order);
    Ok(Prepared {
        context,
        events,
        ends,
        feed,
        options,
        keeper: Keeper::new(shapes, notices),
        operator,
        orders,
    })
}

/// Starts the broker in this process, where the pipeline asks for it, and gives its output a folder of
/// its own, which it returns as well: its offsets begin at 0 every time.
fn start_embedded(config: &mut config::Pipeline) -> Result<Option<(EmbeddedBroker, String)>, Error> {
    let Broker::Embedded { partitions, .. } = config.source.broker else { return Ok(None) };
    let broker = EmbeddedBroker::start()?;
    for topic in &config.source.topics {
        broker.create_topic(topic, partitions)?;
    }
    let run = super::target::run_id()?;
    super::target::separate_run(config, &run);
    Ok(Some((broker, run)))
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
        self.context.shapes.shape().delivery.targets.places()
    }

    /// The counters of the run, which go on counting while it runs.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.context.stats)
    }

    /// How the pipeline is operated while it runs.
    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator.clone()
    }

    /// Runs until `stop` ends, the operator drains it, or every partition has reached its end.
    ///
    /// # Errors
    /// The source failed as a whole. A lane that halts is no error but part of the summary.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<Summary, Error> {
        let progress = Progress::new(self.options.quiet);
        let until_end = self.options.until_end;
        let Self { context, events, ends, feed, keeper, orders, .. } = self;
        let kept = AbortOnDropHandle::new(tokio::spawn(keeper.run()));
        let supervisor = Supervisor::new(context, events, ends, feed, until_end, progress);
        let summary = supervisor.run(stop, orders).await;
        drop(kept);
        summary
    }
}

/// The end of each partition.
pub(super) type EndOffsets = HashMap<TopicPartition, u64>;
