//! What a chain needs of the code of a transform.
//!
//! Owns the seam between the chain and plugins, so that its tests can put doubles there.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::instances::{Call, Make};
use crate::plugin::{CallError, Error, Inputs, Instance, Plugin, Verdict};
use crate::record::TopicPartition;

/// The trait of a plugin whose outcome depends on the record and its configuration alone.
const PURE: &str = "pure";

/// The code of a transform: a plugin, or its double in a test.
pub(super) trait Code: fmt::Debug + Send + Sync {
    /// The transform's name.
    fn transform(&self) -> &str;

    /// Time limit of a call.
    fn limit(&self) -> Duration;

    /// See [`super::Chain::may_block`].
    fn may_block(&self) -> bool;

    /// See [`super::Chain::is_pure`].
    fn is_pure(&self) -> bool;

    /// Makes an instance for a lane.
    fn make(&self, origin: &TopicPartition) -> Result<Box<dyn Call>, Error>;
}

impl Code for Plugin {
    fn transform(&self) -> &str {
        self.transform()
    }

    fn limit(&self) -> Duration {
        self.timeout()
    }

    fn may_block(&self) -> bool {
        self.may_block()
    }

    fn is_pure(&self) -> bool {
        self.traits().iter().any(|name| name == PURE)
    }

    fn make(&self, origin: &TopicPartition) -> Result<Box<dyn Call>, Error> {
        Ok(Box::new(self.instantiate(origin)?))
    }
}

/// Instances of some code for a lane.
pub(super) struct Fresh<'a> {
    pub(super) code: &'a dyn Code,
    pub(super) origin: &'a TopicPartition,
}

impl Make for Fresh<'_> {
    fn make(&self) -> Result<Box<dyn Call>, Error> {
        self.code.make(self.origin)
    }
}

impl Call for Instance {
    fn process(
        &mut self,
        inputs: &Inputs<'_>,
        range: Range<usize>,
        attempt: u32,
        take: &mut dyn FnMut(Verdict<'_>),
    ) -> Result<(), CallError> {
        Self::process(self, inputs, range, attempt, take)
    }

    fn memory_bytes(&self) -> usize {
        Self::memory_bytes(self)
    }
}
