//! One pass over a JSON text that finds out what patterns ask about it.
//!
//! Owns reading: arrays are looked through, a name that repeats counts as one more value, everything
//! nobody asks about is passed over. Invariant: what was passed was checked; the stack is bounded by the
//! depth of the patterns and not by that of the text.

use super::matcher::Scalar;
use super::number::Number;
use super::paths::{Bits, Condition, Node, Paths};
use crate::codec::{DEPTH_MAX, NotJson, Scanner, TOO_DEEP, unescape};

/// Reads `text` until `decided` says that what is found is enough, or to its end.
///
/// Before the end only the bits that are set say something: what is not yet found may still come.
pub(super) fn scan(paths: &Paths, text: &[u8], decided: &dyn Fn(&Bits) -> bool) -> Result<Bits, NotJson> {
    let scanner = Scanner::new(text)?;
    let (bits, scratch) = (Bits::default(), Vec::new());
    let mut scan = Scan { paths, scanner, bits, found: 0, depth: 0, over: false, scratch, decided };
    scan.value(0)?;
    if !scan.over {
        scan.scanner.finish()?;
    }
    Ok(scan.bits)
}

struct Scan<'a> {
    paths: &'a Paths,
    scanner: Scanner<'a>,
    bits: Bits,
    /// Counts what was newly found, so that rules are looked at again only then.
    found: usize,
    depth: usize,
    over: bool,
    /// Strings without their escapes; most have none.
    scratch: Vec<u8>,
    decided: &'a dyn Fn(&Bits) -> bool,
}

impl<'a> Scan<'a> {
    fn node(&self, node: usize) -> &'a Node {
        &self.paths.nodes[node]
    }

    fn value(&mut self, node: usize) -> Result<(), NotJson> {
        if self.bits.has_all(&self.node(node).own) {
            return self.scanner.pass_value(self.depth);
        }
        match self.scanner.skip_space() {
            Some(b'{') => self.object(node),
            Some(b'[') => self.array(node),
            _ => self.scalar(node),
        }
    }

    /// Passes an array and those inside of it, whose elements all stand for the same place.
    fn array(&mut self, node: usize) -> Result<(), NotJson> {
        let outside = self.depth;
        loop {
            match self.scanner.skip_space() {
                Some(b'[') => {
                    self.enter()?;
                    if self.scanner.skip_space() != Some(b']') {
                        continue;
                    }
                    self.leave();
                }
                Some(b'{') => self.object(node)?,
                _ => self.scalar(node)?,
            }
            if self.over || !self.after_element(outside)? {
                return Ok(());
            }
        }
    }

    /// Passes ends of arrays and one comma; false once all arrays since `outside` have ended.
    fn after_element(&mut self, outside: usize) -> Result<bool, NotJson> {
        while self.depth > outside {
            match self.scanner.skip_space() {
                Some(b',') => {
                    self.scanner.at += 1;
                    return Ok(true);
                }
                Some(b']') => self.leave(),
                Some(_) => return Err(self.scanner.wrong("expected `,` or `]`")),
                None => return Err(self.scanner.wrong("the text ends inside an array or object")),
            }
        }
        Ok(false)
    }

    fn object(&mut self, node: usize) -> Result<(), NotJson> {
        let this = self.node(node);
        if this.objects.is_empty() {
            return self.scanner.pass_value(self.depth);
        }
        self.enter()?;
        self.bits.clear(&this.scope);
        let mut ended = self.scanner.skip_space() == Some(b'}');
        while !ended {
            self.member(node, this)?;
            if self.over {
                return Ok(());
            }
            if this.objects.iter().all(|(_, hit)| self.bits.get(*hit)) {
                self.depth -= 1;
                self.scanner.pass_rest_of_object(self.depth)?;
                self.after_object(node, this);
                return Ok(());
            }
            match self.scanner.skip_space() {
                Some(b',') => {
                    self.scanner.at += 1;
                    self.scanner.skip_space();
                }
                Some(b'}') => ended = true,
                Some(_) => return Err(self.scanner.wrong("expected `,` or `}`")),
                None => return Err(self.scanner.wrong("the text ends inside an array or object")),
            }
        }
        self.leave();
        self.after_object(node, this);
        Ok(())
    }

    /// Passes a name and its value.
    fn member(&mut self, node: usize, this: &'a Node) -> Result<(), NotJson> {
        let child = self.name(this)?;
        let Some(child) = child else { return self.scanner.pass_value(self.depth) };
        let before = self.found;
        self.value(child)?;
        if self.found != before && !self.over {
            // What is not there is not yet known: more members may come.
            self.conclude(node, this, |condition, bits| bits.get(condition.hit));
        }
        Ok(())
    }

    fn after_object(&mut self, node: usize, this: &Node) {
        self.conclude(node, this, Condition::holds);
        if let Some(seen) = this.seen_object {
            self.bits.set(seen);
        }
    }

    /// Notes which rules of the object that is being read hold.
    fn conclude(&mut self, node: usize, this: &Node, holds: impl Fn(&Condition, &Bits) -> bool) {
        let before = self.found;
        for (rule, hit) in &this.objects {
            if !self.bits.get(*hit) && rule.holds(&|condition| holds(condition, &self.bits)) {
                self.bits.set(*hit);
                self.found += 1;
            }
        }
        if node == 0 && self.found != before {
            self.over = (self.decided)(&self.bits);
        }
    }

    /// Passes a name and its colon: the place that it names.
    fn name(&mut self, this: &Node) -> Result<Option<usize>, NotJson> {
        if self.scanner.peek() != Some(b'"') {
            return Err(self.scanner.wrong("expected the name of a member, in quotes"));
        }
        let start = self.scanner.at + 1;
        let escaped = self.scanner.string()?;
        let raw = &self.scanner.bytes[start..self.scanner.at - 1];
        if self.scanner.skip_space() != Some(b':') {
            return Err(self.scanner.wrong("expected `:`"));
        }
        self.scanner.at += 1;
        if !escaped {
            return Ok(this.child(raw));
        }
        self.scratch.clear();
        unescape(raw, &mut self.scratch);
        Ok(this.child(&self.scratch))
    }

    /// Passes a value without values inside, and asks the place's questions about it.
    fn scalar(&mut self, node: usize) -> Result<(), NotJson> {
        let this = self.node(node);
        if this.leaves.is_empty() {
            return self.scanner.pass_value(self.depth);
        }
        let byte = self.scanner.skip_space();
        let start = self.scanner.at;
        match byte {
            Some(b'"') => {
                let escaped = self.scanner.string()?;
                let raw = &self.scanner.bytes[start + 1..self.scanner.at - 1];
                if escaped {
                    let mut scratch = std::mem::take(&mut self.scratch);
                    scratch.clear();
                    unescape(raw, &mut scratch);
                    self.ask(this, Scalar::Text(&scratch));
                    self.scratch = scratch;
                } else {
                    self.ask(this, Scalar::Text(raw));
                }
            }
            Some(b'-' | b'0'..=b'9') => {
                self.scanner.number()?;
                let text = &self.scanner.bytes[start..self.scanner.at];
                let number = Number::parse(text).ok_or_else(|| self.scanner.wrong("expected a digit"))?;
                self.ask(this, Scalar::Number(number));
            }
            _ => {
                self.scanner.pass_value(self.depth)?;
                self.ask(
                    this,
                    match byte {
                        Some(b't') => Scalar::Boolean(true),
                        Some(b'f') => Scalar::Boolean(false),
                        _ => Scalar::Null,
                    },
                );
            }
        }
        Ok(())
    }

    fn ask(&mut self, this: &Node, scalar: Scalar<'_>) {
        for (leaf, hit) in &this.leaves {
            if !self.bits.get(*hit) && leaf.matches(scalar) {
                self.bits.set(*hit);
                self.found += 1;
            }
        }
        if let Some(seen) = this.seen_scalar {
            self.bits.set(seen);
        }
    }

    fn enter(&mut self) -> Result<(), NotJson> {
        if self.depth >= DEPTH_MAX {
            return Err(self.scanner.wrong(TOO_DEEP));
        }
        self.depth += 1;
        self.scanner.at += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.scanner.at += 1;
    }
}
