//! The object as far as it is taken apart: fields that know their text, and can be moved.
//!
//! Owns the links between fields and the buffers that their texts lie in. Invariant: a linked node's parent
//! is an object or an array, and children are in the order in which they will be written.

use json_text::Kind;

use crate::failure::{Code, Failure};

/// The number of a node.
pub(crate) type Id = u32;

/// No node.
const NONE: Id = Id::MAX;

/// The whole object; it is always there.
pub(crate) const ROOT: Id = 0;

/// How many fields of one record may be taken apart: far more than tables have columns, and about 8 MB.
pub(crate) const FIELDS_MAX: usize = 100_000;

/// Where a text lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the record's value.
    Input,
    /// Among what was made for this record.
    Scratch,
    /// Among the strings of this record that are JSON themselves.
    Parsed,
    /// Among the texts of the configuration.
    Fixed,
    /// Among the names that flattening made.
    Flat,
}

/// A text in one of the buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text {
    source: Source,
    start: u32,
    end: u32,
}

impl Text {
    pub(crate) fn new(source: Source, start: usize, end: usize) -> Self {
        // Every buffer is bounded far below 4 GiB, or checked to be (the record's value).
        let place = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            source,
            start: place(start),
            end: place(end),
        }
    }
}

/// The buffers that texts lie in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Texts<'a> {
    pub(crate) input: &'a str,
    pub(crate) scratch: &'a [u8],
    pub(crate) parsed: &'a [u8],
    pub(crate) fixed: &'a [u8],
    pub(crate) flat: &'a [u8],
}

impl<'a> Texts<'a> {
    pub(crate) fn get(&self, text: Text) -> &'a [u8] {
        let buffer = match text.source {
            Source::Input => self.input.as_bytes(),
            Source::Scratch => self.scratch,
            Source::Parsed => self.parsed,
            Source::Fixed => self.fixed,
            Source::Flat => self.flat,
        };
        let range = text.start as usize..text.end as usize;
        buffer.get(range).unwrap_or_default()
    }
}

/// The name of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    /// As it stands between the quotes.
    pub(crate) raw: Text,
    /// What it means.
    pub(crate) meant: Text,
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// Its text; whether that is free of white space outside of strings.
    Leaf(Text, Kind, bool),
    /// An object that was taken apart.
    Object,
    /// An array that was taken apart.
    Array,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    name: Name,
    body: Body,
    parent: Id,
    previous: Id,
    next: Id,
    first: Id,
    last: Id,
}

/// The fields of one record.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    fn clear(&mut self) {
        self.nodes.clear();
        let nothing = Text::new(Source::Fixed, 0, 0);
        self.nodes.push(Node {
            name: Name {
                raw: nothing,
                meant: nothing,
            },
            body: Body::Object,
            parent: NONE,
            previous: NONE,
            next: NONE,
            first: NONE,
            last: NONE,
        });
    }

    /// Adds a field at the end of `parent`.
    pub(crate) fn append(&mut self, parent: Id, name: Name, body: Body) -> Result<Id, Failure> {
        if self.nodes.len() > FIELDS_MAX {
            return Err(Failure::new(
                Code::TooLarge,
                format!("more than {FIELDS_MAX} fields would have to be taken apart"),
            ));
        }
        // `FIELDS_MAX` is below it.
        let id = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        self.nodes.push(Node {
            name,
            body,
            parent: NONE,
            previous: NONE,
            next: NONE,
            first: NONE,
            last: NONE,
        });
        self.link(parent, id);
        Ok(id)
    }

    /// Puts a field that stands nowhere at the end of `parent`.
    pub(crate) fn link(&mut self, parent: Id, id: Id) {
        let last = self.node(parent).last;
        self.node_mut(parent).last = id;
        match last {
            NONE => self.node_mut(parent).first = id,
            _ => self.node_mut(last).next = id,
        }
        let node = self.node_mut(id);
        node.parent = parent;
        node.previous = last;
        node.next = NONE;
    }

    /// Takes a field, with all that it holds, out of its parent, which is given back.
    pub(crate) fn unlink(&mut self, id: Id) -> Option<Id> {
        let Node {
            parent,
            previous,
            next,
            ..
        } = *self.node(id);
        if parent == NONE {
            return None;
        }
        match previous {
            NONE => self.node_mut(parent).first = next,
            _ => self.node_mut(previous).next = next,
        }
        match next {
            NONE => self.node_mut(parent).last = previous,
            _ => self.node_mut(next).previous = previous,
        }
        self.node_mut(id).parent = NONE;
        Some(parent)
    }

    /// Gives a field another value, in place of all that it held.
    pub(crate) fn replace(&mut self, id: Id, body: Body) {
        let node = self.node_mut(id);
        node.body = body;
        node.first = NONE;
        node.last = NONE;
    }

    pub(crate) fn rename(&mut self, id: Id, name: Name) {
        self.node_mut(id).name = name;
    }

    pub(crate) fn name(&self, id: Id) -> Name {
        self.node(id).name
    }

    pub(crate) fn body(&self, id: Id) -> Body {
        self.node(id).body
    }

    pub(crate) fn is_childless(&self, id: Id) -> bool {
        self.node(id).first == NONE
    }

    pub(crate) fn children(&self, id: Id) -> impl Iterator<Item = Id> + '_ {
        let some = |id: Id| (id != NONE).then_some(id);
        std::iter::successors(some(self.node(id).first), move |id| {
            some(self.node(*id).next)
        })
    }

    fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    fn node_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id as usize]
    }
}

/// What one record needs while it is rewritten. All of it is used again for the next.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) tree: Tree,
    pub(crate) scratch: Vec<u8>,
    pub(crate) parsed: Vec<u8>,
    pub(crate) flat: Vec<u8>,
    /// By branch of the paths: whether the record has the field.
    pub(crate) seen: Vec<bool>,
    /// Fields that leave the object that they stand in, and the numbers of their rules.
    pub(crate) moved: Vec<(Id, usize)>,
    /// Objects that fields were taken from.
    pub(crate) left: Vec<Id>,
    /// Names that have to differ.
    pub(crate) names: Vec<Text>,
    /// The names on the way to a field that is being flattened, as they are written and as they are meant.
    pub(crate) prefix: Vec<u8>,
    pub(crate) meant_prefix: Vec<u8>,
}

impl Work {
    /// Makes ready for a record.
    pub(crate) fn clear(&mut self, branches: usize) {
        self.tree.clear();
        self.scratch.clear();
        self.parsed.clear();
        self.flat.clear();
        self.seen.clear();
        self.seen.resize(branches, false);
        self.moved.clear();
        self.left.clear();
        self.names.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_linked_and_unlinked_in_order() {
        let mut tree = Tree::default();
        tree.clear();
        let text = Text::new(Source::Input, 0, 0);
        let name = Name {
            raw: text,
            meant: text,
        };
        let ids: Vec<Id> = (0..4)
            .map(|_| tree.append(ROOT, name, Body::Object).unwrap())
            .collect();
        let children = |tree: &Tree, id| tree.children(id).collect::<Vec<_>>();
        assert_eq!(children(&tree, ROOT), ids);
        assert_eq!(tree.unlink(ids[1]), Some(ROOT));
        assert_eq!(tree.unlink(ids[1]), None);
        assert_eq!(tree.unlink(ids[3]), Some(ROOT));
        tree.link(ROOT, ids[1]);
        assert_eq!(children(&tree, ROOT), [ids[0], ids[2], ids[1]]);
        tree.unlink(ids[0]);
        tree.link(ids[1], ids[0]);
        assert_eq!(children(&tree, ROOT), [ids[2], ids[1]]);
        assert_eq!(children(&tree, ids[1]), [ids[0]]);
        tree.replace(ids[1], Body::Array);
        assert!(tree.is_childless(ids[1]));
    }
}
