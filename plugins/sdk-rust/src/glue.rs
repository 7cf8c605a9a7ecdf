//! What stands between the contract's exports and a [`Transform`]: the one slot that holds it, and the
//! translation of each call.
//!
//! Invariant: nothing is processed by an instance whose last configuration was refused.

use std::cell::{Cell, RefCell};
use std::fmt;

use crate::bindings::columnar::exports::vanne::transform::columnar;
use crate::bindings::vanne::transform::types;
use crate::message::Batch;
use crate::outcome::Outcomes;
use crate::writer::Sizes;
use crate::{Transform, config};

/// Holds the plugin between calls. A component is single threaded and can't be entered while it is in a
/// call, so that the borrow never meets another.
pub struct Slot<T> {
    plugin: RefCell<Option<T>>,
    /// How large the last answer was, which is how large the next will be, more or less.
    sizes: Cell<Sizes>,
}

impl<T> Slot<T> {
    /// A slot without a plugin, until it is configured.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            plugin: RefCell::new(None),
            sizes: Cell::new(Sizes::NONE),
        }
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

/// `lifecycle.describe`.
#[must_use]
pub fn describe(name: &str, version: &str) -> types::PluginInfo {
    types::PluginInfo {
        name: name.to_owned(),
        version: version.to_owned(),
    }
}

/// `lifecycle.configure`.
///
/// # Errors
///
/// The text that refuses the configuration, from reading it or from the plugin.
pub fn configure<T: Transform>(slot: &Slot<T>, text: &str) -> Result<types::Plan, String> {
    slot.plugin.take();
    let plugin = T::configure(config::read(text)?)?;
    let plan = plugin.plan();
    slot.plugin.replace(Some(plugin));
    Ok(plan.into_contract())
}

/// `transformer.process`.
///
/// # Errors
///
/// The plugin's own batch error, or a fatal one where the host never configured it.
pub fn process<T: Transform>(
    slot: &Slot<T>,
    info: &types::BatchInfo,
    messages: &[types::Message],
) -> Result<Vec<types::Outcome>, types::BatchError> {
    let batch = Batch::listed(info, messages);
    let outcomes = outcomes(slot, batch, Outcomes::listed(messages.len()))?;
    Ok(outcomes.into_list())
}

/// `columnar.process`.
///
/// # Errors
///
/// As for [`process`].
pub fn process_columns<T: Transform>(
    slot: &Slot<T>,
    info: &types::BatchInfo,
    batch: &columnar::Batch,
) -> Result<columnar::Results, types::BatchError> {
    let empty = Outcomes::columns(batch.present.len(), slot.sizes.get());
    let results = outcomes(slot, Batch::columns(info, batch), empty)?.into_columns();
    slot.sizes.set(Sizes::of(&results));
    Ok(results)
}

fn outcomes<T: Transform>(
    slot: &Slot<T>,
    batch: Batch<'_>,
    mut outcomes: Outcomes,
) -> Result<Outcomes, types::BatchError> {
    let mut plugin = slot.plugin.borrow_mut();
    let Some(plugin) = plugin.as_mut() else {
        let text = "`process` was called before `configure` succeeded";
        return Err(types::BatchError::Fatal(text.to_owned()));
    };
    plugin
        .process_batch(batch, &mut outcomes)
        .map_err(crate::BatchError::into_contract)?;
    Ok(outcomes)
}
