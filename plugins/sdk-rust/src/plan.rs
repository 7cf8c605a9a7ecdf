//! What a plugin says about itself once it is configured.

use crate::bindings::vanne::transform::types;

/// The trait by which a plugin promises that an outcome depends on nothing but its message and the
/// configuration: no clock, no randomness, no memory of other messages.
pub const PURE: &str = "pure";

/// Which parts of a message a plugin reads, and what it promises.
///
/// ```
/// use vanne_plugin::Plan;
/// let plan = Plan::reading_nothing().value().pure();
/// # assert!(plan.reads_value() && !plan.reads_key());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Plan {
    reads: types::Fields,
    traits: Vec<String>,
}

impl Plan {
    /// Reads key, value and headers.
    pub fn reading_everything() -> Self {
        Self {
            reads: types::Fields::all(),
            traits: Vec::new(),
        }
    }

    /// Reads no part that costs anything: offset, timestamp, routes and the like always come.
    pub fn reading_nothing() -> Self {
        Self {
            reads: types::Fields::empty(),
            traits: Vec::new(),
        }
    }

    /// Reads the key.
    pub fn key(mut self) -> Self {
        self.reads |= types::Fields::KEY;
        self
    }

    /// Reads the value.
    pub fn value(mut self) -> Self {
        self.reads |= types::Fields::VALUE;
        self
    }

    /// Reads the headers.
    pub fn headers(mut self) -> Self {
        self.reads |= types::Fields::HEADERS;
        self
    }

    /// Promises [`PURE`].
    pub fn pure(self) -> Self {
        self.promise(PURE)
    }

    /// Promises something by name. Hosts ignore what they do not know.
    pub fn promise(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if !self.traits.contains(&name) {
            self.traits.push(name);
        }
        self
    }

    /// Whether the key is read.
    pub fn reads_key(&self) -> bool {
        self.reads.contains(types::Fields::KEY)
    }

    /// Whether the value is read.
    pub fn reads_value(&self) -> bool {
        self.reads.contains(types::Fields::VALUE)
    }

    /// Whether the headers are read.
    pub fn reads_headers(&self) -> bool {
        self.reads.contains(types::Fields::HEADERS)
    }

    /// The promises.
    pub fn traits(&self) -> &[String] {
        &self.traits
    }

    pub(crate) fn into_contract(self) -> types::Plan {
        types::Plan {
            reads: self.reads,
            traits: self.traits,
        }
    }

    pub(crate) fn from_contract(plan: types::Plan) -> Self {
        Self {
            reads: plan.reads,
            traits: plan.traits,
        }
    }
}
