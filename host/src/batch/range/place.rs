//! Where an output goes, and what is written where it can't.
//!
//! Owns routing and dead letters of an open range. Invariant: what is meant for a sink is written there
//! or is a dead letter of it, in the object of the variant that made it.

use std::sync::Arc;

use super::sink::slot;
use super::{OpenRange, Part, Worked};
use crate::batch::bury::{Trouble, unknown_route};
use crate::batch::{Error, ObjectBuffer, Original, SinkSpec};
use crate::codec;
use crate::record::{Condition, Failed, Output, Variant};

impl OpenRange {
    /// Writes an output into its sinks. False where no sink takes it.
    pub(super) fn place(
        &mut self,
        worked: &Worked<'_>,
        part: &Part<'_>,
        sinks: &[SinkSpec],
        output: &Output,
    ) -> Result<bool, Error> {
        let annotation = part.transformed.annotation(output);
        let routes = annotation.map_or(&[][..], |annotation| &annotation.routes);
        let mut is_placed = false;
        if routes.is_empty() {
            for (sink, _) in sinks.iter().enumerate().filter(|(_, spec)| spec.default) {
                self.deliver(worked, part, sink, output)?;
                is_placed = true;
            }
            return Ok(is_placed);
        }
        for (nth, route) in routes.iter().enumerate() {
            let is_repeated = routes[..nth].contains(route);
            match sinks.iter().position(|spec| *spec.name == **route) {
                _ if is_repeated => {}
                Some(sink) => self.deliver(worked, part, sink, output)?,
                None => {
                    self.unplaced += 1;
                    let failure = unknown_route(route, sinks);
                    let condition = Condition::UnknownRoute;
                    let trouble = Trouble::at_sink(worked, part, output, route, condition, &failure);
                    self.bury(worked, part, trouble)?;
                }
            }
        }
        Ok(true)
    }

    fn deliver(
        &mut self,
        worked: &Worked<'_>,
        part: &Part<'_>,
        sink: usize,
        output: &Output,
    ) -> Result<(), Error> {
        let record = part.transformed.record(&worked.batch.records, output);
        let appended = self.buffer(sink, part.variant).append(&record);
        match appended {
            Ok(()) => self.after_append(sink, part.variant, record.offset, worked.now_ms),
            Err(failure) => {
                self.sinks[sink].failed += 1;
                let name = Arc::clone(&self.plan.specs()[sink].name);
                let condition = Condition::SinkRefused;
                let trouble = Trouble::at_sink(worked, part, output, &name, condition, &failure);
                self.bury(worked, part, trouble)
            }
        }
    }

    /// The open object of a sink and variant.
    fn buffer(&mut self, sink: usize, variant: Variant) -> &mut ObjectBuffer {
        self.sinks[sink].buffer(variant, &self.plan.specs()[sink], self.plan.parts())
    }

    fn after_append(&mut self, sink: usize, variant: Variant, offset: u64, now_ms: i64) -> Result<(), Error> {
        self.first_buffered_ms.get_or_insert(now_ms);
        let state = &mut self.sinks[sink];
        let encoded_bytes = state.appended(variant);
        if self.plan.has_candidate() {
            let other = self.last_offsets[1 - slot(variant)];
            self.runs += u64::from(state.note_run(variant, offset, other));
        }
        let encoded_bytes = encoded_bytes.map_err(|source| self.lost(sink, variant, source))?;
        let is_full = encoded_bytes >= self.plan.specs()[sink].buffer_bytes;
        if is_full { self.close(sink, variant) } else { Ok(()) }
    }

    /// Ends the open object of a sink and variant, where there is one with records.
    pub(super) fn close(&mut self, sink: usize, variant: Variant) -> Result<(), Error> {
        let number = self.sinks[sink].number(variant);
        let name = &self.plan.specs()[sink].name;
        let closed = self.sinks[sink].close(variant, name, self.plan.part_bytes());
        closed.map_err(|source| Error::Encode { sink: name.to_string(), number, source })
    }

    fn lost(&self, sink: usize, variant: Variant, source: codec::Error) -> Error {
        let number = self.sinks[sink].number(variant);
        Error::Encode { sink: self.plan.specs()[sink].name.to_string(), number, source }
    }

    /// Writes the dead letter of what the transforms report.
    pub(super) fn bury_reported(
        &mut self,
        worked: &Worked<'_>,
        part: &Part<'_>,
        failed: &Failed,
    ) -> Result<(), Error> {
        self.bury(worked, part, Trouble::reported(worked, part, failed))
    }

    /// Writes a dead letter. The record stands in the first letter of its offset only, so that many
    /// outputs that fail do not write it many times; but in each object again, so that an object can be
    /// understood alone. All letters of an offset go into objects of one variant.
    fn bury<'a>(&mut self, worked: &Worked<'a>, part: &Part<'a>, trouble: Trouble<'a>) -> Result<(), Error> {
        let plan = Arc::clone(&self.plan);
        let sink = plan.dead_letters();
        let is_open = self.sinks[sink].is_open(part.variant);
        let mut letter = trouble.letter(worked, part, plan.config_digest(part.variant));
        let (offset, timestamp_ms) = (letter.offset, letter.timestamp_ms());
        match self.buried {
            Some((before, index)) if is_open && before == offset => {
                letter.original = Original::AtIndex(index)
            }
            _ => self.buried = letter.index.map(|index| (offset, index)),
        }
        let mut line = Vec::with_capacity(letter.bytes_hint());
        letter.write_line(&mut line);
        self.buffer(sink, part.variant).append_line(&line, offset, timestamp_ms);
        self.after_append(sink, part.variant, offset, worked.now_ms)
    }
}
