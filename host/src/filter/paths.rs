//! The places inside a JSON text that patterns look at, as a trie of names with rules at its nodes.
//!
//! Owns the rules' form and the numbering of what can be found out about a text. Invariant: an object's
//! scope holds every bit that is found inside of it, so that clearing the scope begins another object.

use super::error::{Error, Path};
use super::leaf::{self, Kind, OPERATORS};
use super::matcher::Leaf;
use super::tree::Tree;

/// Things that can be found out about one text; more would be a program and not a filter.
pub(super) const BITS_MAX: usize = 512;

/// Which things were found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits([u64; BITS_MAX / 64]);

impl Bits {
    pub(super) fn get(&self, bit: usize) -> bool {
        self.0[bit / 64] >> (bit % 64) & 1 == 1
    }

    pub(super) fn set(&mut self, bit: usize) {
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    pub(super) fn clear(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= !other);
    }

    fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
    }

    pub(super) fn has_all(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).all(|(word, other)| other & !word == 0)
    }
}

/// All, or one, of some things.
#[derive(Clone, Debug)]
pub(super) enum Rule<A> {
    All(Vec<Rule<A>>),
    Any(Vec<Rule<A>>),
    Atom(A),
}

impl<A> Rule<A> {
    /// Whether it holds, as far as the atoms are known.
    pub(super) fn truth(&self, atom: &dyn Fn(&A) -> Option<bool>) -> Option<bool> {
        let (rules, decisive) = match self {
            Self::Atom(of) => return atom(of),
            Self::All(rules) => (rules, false),
            Self::Any(rules) => (rules, true),
        };
        let mut unknown = false;
        for rule in rules {
            match rule.truth(atom) {
                Some(truth) if truth == decisive => return Some(decisive),
                Some(_) => {}
                None => unknown = true,
            }
        }
        if unknown { None } else { Some(!decisive) }
    }

    /// Whether it holds.
    pub(super) fn holds(&self, atom: &impl Fn(&A) -> bool) -> bool {
        match self {
            Self::Atom(of) => atom(of),
            Self::All(rules) => rules.iter().all(|rule| rule.holds(atom)),
            Self::Any(rules) => rules.iter().any(|rule| rule.holds(atom)),
        }
    }
}

/// What a rule asks: that something was found, or that there was nothing to be found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition {
    pub(super) hit: usize,
    /// Holds too while this bit is not set: nothing stands there.
    pub(super) unless_seen: Option<usize>,
}

impl Condition {
    /// Whether it holds once all of the object was read.
    pub(super) fn holds(&self, bits: &Bits) -> bool {
        bits.get(self.hit) || self.unless_seen.is_some_and(|seen| !bits.get(seen))
    }
}

/// A place: what is asked of the values there, and the places inside of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// By name, in order.
    children: Vec<(Box<[u8]>, usize)>,
    pub(super) leaves: Vec<(Leaf, usize)>,
    pub(super) objects: Vec<(Rule<Condition>, usize)>,
    /// Set by any value without values inside.
    pub(super) seen_scalar: Option<usize>,
    /// Set by any object.
    pub(super) seen_object: Option<usize>,
    /// The bits of this place.
    pub(super) own: Bits,
    /// The bits of all places inside of it.
    pub(super) scope: Bits,
}

impl Node {
    /// The place of this name inside.
    pub(super) fn child(&self, name: &[u8]) -> Option<usize> {
        /// Comparing a few names one by one beats halving.
        const FEW: usize = 8;
        if self.children.len() <= FEW {
            return self.children.iter().find(|(child, _)| **child == *name).map(|(_, node)| *node);
        }
        let at = self.children.binary_search_by(|(child, _)| (**child).cmp(name)).ok()?;
        Some(self.children[at].1)
    }
}

/// All places; the first is the text itself.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    pub(super) nodes: Vec<Node>,
    bits: usize,
}

impl Default for Paths {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], bits: 0 }
    }
}

impl Paths {
    /// Whether any pattern looks into this text.
    pub(super) fn is_empty(&self) -> bool {
        self.bits == 0
    }

    /// Adds an object pattern at a place.
    pub(super) fn add_object(
        &mut self,
        node: usize,
        members: &[(String, Tree)],
        path: &Path<'_>,
    ) -> Result<Condition, Error> {
        let rule = self.rule(node, members, path)?;
        let hit = self.bit(node, path)?;
        let absent = rule.holds(&|condition: &Condition| condition.unless_seen.is_some());
        self.nodes[node].objects.push((rule, hit));
        let unless_seen = match (absent, self.nodes[node].seen_object) {
            (false, _) => None,
            (true, Some(seen)) => Some(seen),
            (true, None) => Some(self.bit(node, path)?),
        };
        self.nodes[node].seen_object = self.nodes[node].seen_object.or(unless_seen);
        Ok(Condition { hit, unless_seen })
    }

    fn rule(
        &mut self,
        node: usize,
        members: &[(String, Tree)],
        path: &Path<'_>,
    ) -> Result<Rule<Condition>, Error> {
        if members.is_empty() {
            return path.wrong(
                "expected at least one key, found an empty object",
                "remove it, or name a field: `{\"status\": [{\"exists\": true}]}`",
            );
        }
        let mut rules = Vec::with_capacity(members.len());
        for (name, tree) in members {
            let within = path.member(name);
            rules.push(match (name.as_str(), tree) {
                ("$or", tree) => {
                    let mut any = Vec::new();
                    for (nth, branch) in branches(tree, &within)?.into_iter().enumerate() {
                        any.push(self.rule(node, branch, &within.element(nth))?);
                    }
                    Rule::Any(any)
                }
                (_, Tree::List(elements)) => Rule::Atom(self.add_leaf(node, name, elements, &within)?),
                (_, Tree::Object(members)) => {
                    let child = self.child(node, name);
                    Rule::Atom(self.add_object(child, members, &within)?)
                }
                (_, other) => return no_list(other, &within),
            });
        }
        Ok(Rule::All(rules))
    }

    fn add_leaf(
        &mut self,
        node: usize,
        name: &str,
        elements: &[Tree],
        path: &Path<'_>,
    ) -> Result<Condition, Error> {
        let leaf = leaf::parse(elements, Kind::Any, path)?;
        let child = self.child(node, name);
        let hit = self.bit(child, path)?;
        let unless_seen = match (leaf.absent, self.nodes[child].seen_scalar) {
            (false, _) => None,
            (true, Some(seen)) => Some(seen),
            (true, None) => Some(self.bit(child, path)?),
        };
        self.nodes[child].seen_scalar = self.nodes[child].seen_scalar.or(unless_seen);
        self.nodes[child].leaves.push((leaf, hit));
        Ok(Condition { hit, unless_seen })
    }

    fn child(&mut self, node: usize, name: &str) -> usize {
        let found = self.nodes[node].children.binary_search_by(|(child, _)| (**child).cmp(name.as_bytes()));
        match found {
            Ok(at) => self.nodes[node].children[at].1,
            Err(at) => {
                let child = self.nodes.len();
                self.nodes.push(Node::default());
                self.nodes[node].children.insert(at, (name.as_bytes().into(), child));
                child
            }
        }
    }

    /// A bit of this place's own.
    fn bit(&mut self, node: usize, path: &Path<'_>) -> Result<usize, Error> {
        let bit = self.bits;
        if bit >= BITS_MAX {
            return path.wrong(
                "too many keys in all patterns together: 512 fit, and one with `{\"exists\": false}` counts twice",
                "keep a list of values in one key, or filter in a transform",
            );
        }
        self.bits += 1;
        self.nodes[node].own.set(bit);
        Ok(bit)
    }

    /// Gathers the scopes, once all patterns are added.
    pub(super) fn finish(&mut self) {
        // Children come after their parents.
        for node in (0..self.nodes.len()).rev() {
            let mut scope = Bits::default();
            for (_, child) in &self.nodes[node].children {
                scope.add(&self.nodes[*child].own);
                scope.add(&self.nodes[*child].scope);
            }
            self.nodes[node].scope = scope;
        }
    }
}

/// The patterns of an `$or`.
pub(super) fn branches<'t>(tree: &'t Tree, path: &Path<'_>) -> Result<Vec<&'t [(String, Tree)]>, Error> {
    const EXAMPLE: &str = "write `\"$or\": [{\"a\": [1]}, {\"b\": [2]}]`";
    let Tree::List(elements) = tree else { return path.expected("a list of patterns", tree, EXAMPLE) };
    if elements.len() < 2 {
        return path.wrong(format!("expected at least two patterns, found {}", elements.len()), EXAMPLE);
    }
    let mut branches = Vec::with_capacity(elements.len());
    for (nth, element) in elements.iter().enumerate() {
        let path = path.element(nth);
        let Tree::Object(members) = element else {
            return path.expected("a pattern", element, EXAMPLE);
        };
        if let Some((name, _)) = members.iter().find(|(name, _)| OPERATORS.contains(&name.as_str())) {
            let message = format!("expected a key, found the operator `{name}`");
            return path.member(name).wrong(
                message,
                format!("an operator stands in the list of a key: `{{\"a\": [{{\"{name}\": …}}]}}`"),
            );
        }
        branches.push(members.as_slice());
    }
    Ok(branches)
}

/// The error for a key whose value is neither list nor object.
pub(super) fn no_list<T>(found: &Tree, path: &Path<'_>) -> Result<T, Error> {
    path.expected(
        "a list of values or an object",
        found,
        "values and operators stand in a list: `[500]` or `[{\"prefix\": \"5\"}]`",
    )
}
