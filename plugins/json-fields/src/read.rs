//! Takes the object apart as far as the configuration needs it, and leaves out what does not pass.
//!
//! Selects, drops and casts on the way. Invariant: the whole value has been passed as JSON when it ends
//! well; what is not taken apart is one text.

use std::io::Write;

use json_text::{Cursor, Kind, Str, Value, quoted};

use crate::cast::{Casted, cast};
use crate::config::OnCastError;
use crate::failure::{Code, Failure, Stop};
use crate::options::{Options, Rule, Set, null};
use crate::tree::{Body, Id, Name, ROOT, Source, Text, Work};

/// Reads the value of a record.
pub(crate) fn object(options: &Options, work: &mut Work, input: &str) -> Result<(), Stop> {
    let mut cursor = Cursor::new(input);
    let kind = cursor.kind()?;
    if kind != Kind::Object {
        let value = cursor.value()?;
        cursor.finish()?;
        let found = quoted(value.raw.as_bytes());
        let detail = format!("expected a JSON object, found {} {found}", kind.name());
        return Err(Failure::new(Code::NotAnObject, detail).into());
    }
    let mut reader = Reader {
        options,
        work,
        source: Source::Input,
        base: 0,
    };
    cursor.enter()?;
    reader.members(&mut cursor, ROOT, Some(0), !options.selects)?;
    cursor.finish()?;
    Ok(())
}

/// The body of a constant, for the field `id`, which is emptied.
pub(crate) fn constant(
    options: &Options,
    work: &mut Work,
    id: Id,
    set: &Set,
) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(&options.fixed[set.start..set.end]);
    let mut reader = Reader {
        options,
        work,
        source: Source::Fixed,
        base: set.start,
    };
    // A configuration was JSON to begin with, so that a failure is about the number of fields.
    let read = reader.value(&mut Cursor::new(&text), id, None, true);
    read.map_err(|stop| stop.into_failure(text.as_bytes()))
}

struct Reader<'a> {
    options: &'a Options,
    work: &'a mut Work,
    /// Where the text lies that is being read, and how much stands before it there.
    source: Source,
    base: usize,
}

impl Reader<'_> {
    /// Reads the members of an object that was entered; says whether there were any.
    fn members(
        &mut self,
        cursor: &mut Cursor<'_>,
        parent: Id,
        branch: Option<usize>,
        keeps: bool,
    ) -> Result<bool, Stop> {
        let mut is_first = true;
        while let Some(name) = cursor.member(is_first)? {
            is_first = false;
            let branch = branch.and_then(|at| self.options.paths.child(at, name));
            self.member(cursor, parent, name, branch, keeps)?;
        }
        Ok(!is_first)
    }

    fn member(
        &mut self,
        cursor: &mut Cursor<'_>,
        parent: Id,
        name: Str<'_>,
        branch: Option<usize>,
        keeps: bool,
    ) -> Result<(), Stop> {
        let rule = branch.map_or(Rule::default(), |branch| self.options.rules[branch]);
        let keeps = keeps || rule.is_selected;
        // What does not pass itself may hold what does.
        let may_hold = !keeps && self.goes_on(branch) && cursor.kind()? == Kind::Object;
        if rule.is_dropped || !(keeps || may_hold) {
            cursor.value()?;
            return Ok(());
        }
        if let (Some(branch), true) = (branch, keeps) {
            self.work.seen[branch] = true;
        }
        let name = self.name(name);
        let id = self
            .work
            .tree
            .append(parent, name, Body::Leaf(null(), Kind::Null, true))?;
        match rule.cast {
            Some(_) => self.cast(cursor, id, branch, &rule)?,
            None => self.value(cursor, id, branch, keeps)?,
        }
        if let Some(name) = rule.new_name {
            self.work.tree.rename(id, name);
        }
        if let Some(place) = rule.new_place {
            self.work.moved.push((id, place));
        }
        Ok(())
    }

    fn goes_on(&self, branch: Option<usize>) -> bool {
        branch.is_some_and(|branch| !self.options.paths.is_leaf(branch))
    }

    /// Reads the value of the field `id`. An object of which nothing passes goes.
    fn value(
        &mut self,
        cursor: &mut Cursor<'_>,
        id: Id,
        branch: Option<usize>,
        keeps: bool,
    ) -> Result<(), Stop> {
        let flatten = self.options.flatten.as_ref();
        let kind = cursor.kind()?;
        match kind {
            Kind::Object if flatten.is_some() || self.goes_on(branch) => {
                self.work.tree.replace(id, Body::Object);
                cursor.enter()?;
                let had_members = self.members(cursor, id, branch, keeps)?;
                if self.work.tree.is_childless(id) && (had_members || !keeps) {
                    self.work.tree.unlink(id);
                }
            }
            Kind::Array if flatten.is_some_and(|flatten| flatten.arrays) => {
                self.work.tree.replace(id, Body::Array);
                cursor.enter()?;
                self.elements(cursor, id)?;
            }
            _ => {
                let value = cursor.value()?;
                let body = self.leaf(value);
                self.work.tree.replace(id, body);
            }
        }
        Ok(())
    }

    fn elements(&mut self, cursor: &mut Cursor<'_>, parent: Id) -> Result<(), Stop> {
        let mut count = 0_usize;
        while cursor.element(count == 0)? {
            let start = self.work.scratch.len();
            // A buffer takes all that is written.
            _ = write!(self.work.scratch, "{count}");
            let text = Text::new(Source::Scratch, start, self.work.scratch.len());
            let name = Name {
                raw: text,
                meant: text,
            };
            let body = Body::Leaf(null(), Kind::Null, true);
            let id = self.work.tree.append(parent, name, body)?;
            self.value(cursor, id, None, true)?;
            count += 1;
        }
        Ok(())
    }

    fn cast(
        &mut self,
        cursor: &mut Cursor<'_>,
        id: Id,
        branch: Option<usize>,
        rule: &Rule,
    ) -> Result<(), Stop> {
        let Some(to) = rule.cast else {
            return Ok(());
        };
        let mut ahead = cursor.clone();
        let value = ahead.value()?;
        let work = &mut *self.work;
        let (start, depth) = (work.scratch.len(), ahead.depth());
        let parsed_start = work.parsed.len();
        match cast(to, value, depth, &mut work.scratch, &mut work.parsed) {
            Some(Casted::Same) => return self.value(cursor, id, branch, true),
            Some(Casted::Written(kind)) => {
                let text = Text::new(Source::Scratch, start, work.scratch.len());
                work.tree.replace(id, Body::Leaf(text, kind, true));
            }
            Some(Casted::Parsed(_)) => self.parsed(id, parsed_start, depth)?,
            None => {
                work.scratch.truncate(start);
                match self.options.on_cast_error {
                    OnCastError::Keep => return self.value(cursor, id, branch, true),
                    OnCastError::Null => {}
                    OnCastError::Fail => return Err(self.bad_cast(branch, to, value).into()),
                }
            }
        }
        *cursor = ahead;
        Ok(())
    }

    fn bad_cast(
        &self,
        branch: Option<usize>,
        to: crate::config::Cast,
        value: Value<'_>,
    ) -> Failure {
        let mut wanted = self.options.wanted.iter();
        let wanted = wanted.find(|wanted| Some(wanted.branch) == branch);
        let detail = format!(
            "field `{}`: expected {}, found {} {}",
            wanted.map_or("", |wanted| &wanted.shown),
            to.expected(),
            value.kind.name(),
            quoted(value.raw.as_bytes())
        );
        Failure::new(Code::BadCast, detail)
    }

    /// Reads a value from the buffer of strings that are JSON, where it is known to be well formed.
    fn parsed(&mut self, id: Id, start: usize, depth: usize) -> Result<(), Stop> {
        let buffer = std::mem::take(&mut self.work.parsed);
        let text = String::from_utf8_lossy(&buffer[start..]);
        let mut reader = Reader {
            options: self.options,
            work: &mut *self.work,
            source: Source::Parsed,
            base: start,
        };
        let read = reader.value(&mut Cursor::within(&text, depth), id, None, true);
        drop(text);
        self.work.parsed = buffer;
        read
    }

    fn leaf(&self, value: Value<'_>) -> Body {
        let text = self.text(value.start, value.raw.len());
        let is_nested = matches!(value.kind, Kind::Object | Kind::Array);
        Body::Leaf(text, value.kind, value.is_plain || !is_nested)
    }

    fn text(&self, start: usize, length: usize) -> Text {
        let start = self.base + start;
        Text::new(self.source, start, start + length)
    }

    fn name(&mut self, name: Str<'_>) -> Name {
        let raw = self.text(name.start(), name.raw().len());
        if name.is_plain() {
            return Name { raw, meant: raw };
        }
        let start = self.work.scratch.len();
        name.read_into(&mut self.work.scratch);
        let meant = Text::new(Source::Scratch, start, self.work.scratch.len());
        Name { raw, meant }
    }
}
