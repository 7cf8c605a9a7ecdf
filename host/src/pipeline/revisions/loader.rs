//! From a revision to a shape that lanes can run.
//!
//! Owns what loading needs of the process: the engine, this host's own file, the broker. Invariant: what is
//! loaded has been compiled, configured, opened, probed and claimed; until then nothing that runs is touched.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::blueprint::{Blueprint, Half};
use super::shape::{Candidate, Shape, Version};
use crate::config;
use crate::ledger::{Ledger, Revision, Revisions, RolloutMode, TopicIdentity, TransformEntry};
use crate::pipeline::code::{self, Engines};
use crate::pipeline::delivery::Delivery;
use crate::pipeline::letters::LetterTopic;
use crate::pipeline::target::{self, Targets};
use crate::pipeline::topics::Asker;
use crate::pipeline::{Error, Stats};
use crate::transform::Chain;

/// This host's own file, as it was last taken in.
#[derive(Clone, Debug)]
pub(super) struct Own {
    /// The file and its components.
    pub(super) half: Half,
    /// The folder that this run's output has for itself, where the broker is embedded.
    pub(super) run: Option<String>,
}

/// What is loaded, and not yet a revision.
#[derive(Debug)]
pub(super) struct Loaded {
    config: config::Pipeline,
    delivery: Arc<Delivery>,
    pub(super) stable: Version,
    pub(super) candidate: Option<(Version, RolloutMode)>,
}

/// Loads revisions.
#[derive(Debug)]
pub(in crate::pipeline) struct Loader {
    own: Mutex<Own>,
    engines: Engines,
    ledger: Ledger,
    pub(super) revisions: Revisions,
    brokers: String,
    asker: Asker,
    stats: Arc<Stats>,
    /// Those whose places have to be claimed; known once the first shape is.
    topics: OnceLock<Vec<TopicIdentity>>,
}

impl Loader {
    /// For a host with this file.
    pub(in crate::pipeline) fn new(
        config: &config::Pipeline,
        run: Option<String>,
        ledger: &Ledger,
        (brokers, asker): (&str, &Asker),
        stats: &Arc<Stats>,
    ) -> Result<Self, Error> {
        Ok(Self {
            own: Mutex::new(Own { half: Half::read(config)?, run }),
            engines: Engines::new(config.host.cache.clone()),
            revisions: ledger.revisions(),
            ledger: ledger.clone(),
            brokers: brokers.to_owned(),
            asker: asker.clone(),
            stats: Arc::clone(stats),
            topics: OnceLock::new(),
        })
    }

    /// The topics are known, and the first shape's places are claimed for them.
    pub(super) fn know_topics(&self, topics: Vec<TopicIdentity>) {
        let _known_once = self.topics.set(topics);
    }

    /// This host's own file.
    pub(super) fn own(&self) -> Own {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The file was read again, and holds from now on.
    pub(super) fn set_own(&self, half: Half) {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).half = half;
    }

    /// What a revision in the ledger is made of.
    pub(super) async fn blueprint(&self, revision: &Revision) -> Result<Blueprint, Error> {
        let stable = self.half(&revision.config, &revision.transforms).await?;
        let candidate = match &revision.rollout {
            Some(rollout) => Some((self.half(&rollout.config, &rollout.transforms).await?, rollout.mode)),
            None => None,
        };
        Ok(Blueprint { stable, candidate })
    }

    async fn half(&self, digest: &str, transforms: &[TransformEntry]) -> Result<Half, Error> {
        let config = self.config(digest).await?;
        let mut components = Vec::with_capacity(transforms.len());
        for transform in transforms {
            components.push(self.revisions.component(&transform.digest).await?);
        }
        Ok(Half { config, components })
    }

    /// A kept configuration, on this host.
    pub(super) async fn config(&self, digest: &str) -> Result<config::Pipeline, Error> {
        let own = self.own();
        if own.half.config.kept.digest == digest {
            return Ok(own.half.config);
        }
        let kept = self.revisions.config(digest).await?;
        let mut config = own.half.config.with_kept(&kept)?;
        if let Some(run) = &own.run {
            target::separate_run(&mut config, run);
        }
        Ok(config)
    }

    /// Compiles, configures and opens; what `near` has opened already is taken from there.
    pub(super) async fn load(
        self: &Arc<Self>,
        blueprint: Blueprint,
        near: Option<&Shape>,
    ) -> Result<Loaded, Error> {
        let config = blueprint.stable.config.clone();
        let delivery = self.delivery(&config, near).await?;
        let loader = Arc::clone(self);
        let compiled = tokio::task::spawn_blocking(move || loader.compile(blueprint)).await;
        let (stable, candidate) = match compiled {
            Ok(compiled) => compiled?,
            Err(error) => return Err(Error::System(std::io::Error::other(error))),
        };
        Ok(Loaded { config, delivery, stable, candidate })
    }

    fn compile(&self, blueprint: Blueprint) -> Result<(Version, Option<(Version, RolloutMode)>), Error> {
        let version = |half: &Half| {
            let chain = code::load(&self.engines, &half.config, &half.components)?;
            Ok::<_, Error>(Version::new(chain, &half.config.digest))
        };
        let stable = version(&blueprint.stable)?;
        let candidate = match &blueprint.candidate {
            Some((half, mode)) => Some((version(half)?, *mode)),
            None => None,
        };
        Ok((stable, candidate))
    }

    /// Where a configuration delivers to, opened; the same as before where nothing of it changed.
    pub(super) async fn delivery(
        &self,
        config: &config::Pipeline,
        near: Option<&Shape>,
    ) -> Result<Arc<Delivery>, Error> {
        if let Some(near) = near.filter(|near| delivers_alike(&near.config, config)) {
            return Ok(Arc::clone(&near.delivery));
        }
        let targets = Targets::open(config).await?;
        if let Some(near) = near
            && !near.delivery.targets.has_ledger_of(&targets)
        {
            return Err(Error::LedgerMoves);
        }
        for topic in self.topics.get().into_iter().flatten() {
            targets.claim(&self.ledger, topic).await?;
        }
        let store = targets.letter_store();
        let letters =
            LetterTopic::open(config, &self.brokers, &self.asker, store, Arc::clone(&self.stats)).await?;
        Ok(Arc::new(Delivery::new(targets, letters)))
    }

    /// Writes all that a blueprint's revision names.
    pub(super) async fn keep(&self, blueprint: &Blueprint) -> Result<(), Error> {
        for half in blueprint.halves() {
            self.revisions.keep_config(&half.config.kept.text).await?;
            for component in &half.components {
                self.revisions.keep_component(component.clone()).await?;
            }
        }
        Ok(())
    }
}

/// Whether two configurations deliver to the same places in the same forms.
pub(super) fn delivers_alike(one: &config::Pipeline, other: &config::Pipeline) -> bool {
    one.sinks == other.sinks && one.dead_letter == other.dead_letter
}

impl Loaded {
    /// Says in a draft what the plugins call themselves.
    pub(super) fn name_plugins(&self, draft: &mut Revision) {
        let name = |entries: &mut Vec<TransformEntry>, version: &Version| {
            for (entry, provenance) in entries.iter_mut().zip(&version.provenance) {
                entry.plugin.clone_from(&provenance.plugin);
                entry.version.clone_from(&provenance.version);
            }
        };
        name(&mut draft.transforms, &self.stable);
        if let (Some(rollout), Some((version, _))) = (&mut draft.rollout, &self.candidate) {
            name(&mut rollout.transforms, version);
        }
    }

    /// The version that is new: the candidate, where there is one.
    pub(super) fn newest(&self) -> &Chain {
        &self.candidate.as_ref().map_or(&self.stable, |(version, _)| version).chain
    }

    /// The shape, once its revision stands in the ledger.
    pub(super) fn into_shape(self, document: Revision) -> Arc<Shape> {
        let candidate = self.candidate.map(|(version, mode)| Candidate::new(version, mode));
        Arc::new(Shape::new(document, self.config, self.delivery, self.stable, candidate))
    }
}
