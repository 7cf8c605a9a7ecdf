//! Puts fields where they shall stand: what is renamed into another object, what is missing, what is set.
//!
//! Invariant: an object is made where one is needed on the way, and one from which the last field was taken
//! goes.

use json_text::Kind;

use crate::config::Missing;
use crate::failure::{Code, Failure};
use crate::options::{Options, Place, null};
use crate::read;
use crate::tree::{Body, Id, Name, ROOT, Texts, Work};

/// Moves fields, then adds those that are missing, then those that are set.
pub(crate) fn apply(options: &Options, work: &mut Work, input: &str) -> Result<(), Failure> {
    let mut shaper = Shaper {
        options,
        work,
        input,
    };
    shaper.rename()?;
    shaper.missing()?;
    shaper.set()
}

struct Shaper<'a> {
    options: &'a Options,
    work: &'a mut Work,
    input: &'a str,
}

impl Shaper<'_> {
    fn rename(&mut self) -> Result<(), Failure> {
        let moved = std::mem::take(&mut self.work.moved);
        let moving = self.move_all(&moved);
        self.work.moved = moved;
        moving
    }

    /// All leave before the first arrives, so that fields can change places.
    fn move_all(&mut self, moved: &[(Id, usize)]) -> Result<(), Failure> {
        self.work.left.clear();
        for (id, _) in moved {
            let parent = self.work.tree.unlink(*id);
            // One that was not linked is an object of which nothing passed.
            self.work.left.push(parent.unwrap_or(*id));
        }
        for (at, (id, place)) in moved.iter().enumerate() {
            if self.work.left[at] != *id {
                let place = &self.options.places[*place];
                let parent = self.parent(place)?.ok_or_else(|| no_place(place))?;
                self.work.tree.rename(*id, place.name);
                self.work.tree.link(parent, *id);
            }
        }
        for at in 0..moved.len() {
            self.prune(self.work.left[at]);
        }
        Ok(())
    }

    /// Takes out an object that has nothing left, and those around it that then have nothing left.
    fn prune(&mut self, id: Id) {
        let mut at = id;
        while at != ROOT && self.work.tree.is_childless(at) {
            match self.work.tree.unlink(at) {
                Some(parent) => at = parent,
                None => return,
            }
        }
    }

    fn missing(&mut self) -> Result<(), Failure> {
        let options = self.options;
        if options.missing == Missing::Skip {
            return Ok(());
        }
        for wanted in &options.wanted {
            if self.work.seen[wanted.branch] {
                continue;
            }
            if options.missing == Missing::Fail {
                let detail = format!("the field `{}` is not there", wanted.shown);
                return Err(Failure::new(Code::MissingField, detail));
            }
            // Where something else stands on the way, there is no place for a null, and no need.
            if let Some(parent) = self.parent(&wanted.place)? {
                let null = Body::Leaf(null(), Kind::Null, true);
                self.work.tree.append(parent, wanted.place.name, null)?;
            }
        }
        Ok(())
    }

    fn set(&mut self) -> Result<(), Failure> {
        let options = self.options;
        for set in &options.sets {
            let parent = self
                .parent(&set.place)?
                .ok_or_else(|| no_place(&set.place))?;
            let name = set.place.name;
            let id = match self.find(parent, name) {
                Some(id) => id,
                None => self.work.tree.append(parent, name, Body::Object)?,
            };
            read::constant(options, self.work, id, set)?;
        }
        Ok(())
    }

    /// The object around a place, made if need be; `None` where something that is no object has its name.
    fn parent(&mut self, place: &Place) -> Result<Option<Id>, Failure> {
        let mut at = ROOT;
        for name in &place.parents {
            at = match self.find(at, *name) {
                Some(id) if self.work.tree.body(id) == Body::Object => id,
                Some(_) => return Ok(None),
                None => self.work.tree.append(at, *name, Body::Object)?,
            };
        }
        Ok(Some(at))
    }

    fn find(&self, parent: Id, name: Name) -> Option<Id> {
        let texts = Texts {
            input: self.input,
            scratch: &self.work.scratch,
            parsed: &self.work.parsed,
            fixed: &self.options.fixed,
            flat: &[],
        };
        let tree = &self.work.tree;
        let mut children = tree.children(parent);
        children.find(|id| texts.get(tree.name(*id).meant) == texts.get(name.meant))
    }
}

fn no_place(place: &Place) -> Failure {
    let detail = format!(
        "the field `{}` has no place: what shall hold it is there, and is no object",
        place.shown
    );
    Failure::new(Code::NoPlace, detail)
}
