//! Writes the object, flattened where that is asked for.
//!
//! Invariant: what is written is one JSON object on one line, in UTF-8, and no two fields of an object that
//! was taken apart have one name.

use json_text::{Kind, Value, quoted};

use crate::failure::{Code, Failure};
use crate::options::Options;
use crate::tree::{Body, Id, ROOT, Source, Text, Texts, Tree, Work};

/// How many bytes the names that flattening makes may have: far more than any table's, and little enough
/// for a plugin's memory.
const NAMES_MAX: usize = 16 << 20;

/// Appends the object to `out`.
pub(crate) fn object(
    options: &Options,
    work: &mut Work,
    input: &str,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let Work {
        tree,
        scratch,
        parsed,
        flat,
        names,
        prefix,
        meant_prefix,
        ..
    } = work;
    prefix.clear();
    meant_prefix.clear();
    let mut writer = Writer {
        tree,
        texts: Texts {
            input,
            scratch,
            parsed,
            fixed: &options.fixed,
            flat: &[],
        },
        flat,
        names,
        out,
        separator: &options.separator,
        meant_separator: options
            .flatten
            .as_ref()
            .map_or(&[], |flatten| flatten.separator.as_bytes()),
        prefix,
        meant_prefix,
        written: 0,
    };
    match &options.flatten {
        Some(flatten) => writer.flattened(flatten.depth.unwrap_or(u32::MAX)),
        None => writer.value(ROOT),
    }
}

struct Writer<'a> {
    tree: &'a Tree,
    texts: Texts<'a>,
    /// What the names that flattening makes mean.
    flat: &'a mut Vec<u8>,
    names: &'a mut Vec<Text>,
    out: &'a mut Vec<u8>,
    separator: &'a [u8],
    meant_separator: &'a [u8],
    /// The names on the way to the field, as they are written and as they are meant.
    prefix: &'a mut Vec<u8>,
    meant_prefix: &'a mut Vec<u8>,
    /// Bytes of names that flattening made.
    written: usize,
}

impl Writer<'_> {
    fn value(&mut self, id: Id) -> Result<(), Failure> {
        match self.tree.body(id) {
            Body::Leaf(text, kind, is_plain) => {
                self.leaf(text, kind, is_plain);
                Ok(())
            }
            Body::Object => self.object(id),
            Body::Array => self.array(id),
        }
    }

    fn leaf(&mut self, text: Text, kind: Kind, is_plain: bool) {
        let raw = self.texts.get(text);
        match std::str::from_utf8(raw) {
            Ok(raw) if !is_plain => {
                let value = Value {
                    kind,
                    raw,
                    start: 0,
                    is_plain,
                };
                value.write_into(self.out);
            }
            _ => self.out.extend_from_slice(raw),
        }
    }

    fn object(&mut self, id: Id) -> Result<(), Failure> {
        let first_name = self.names.len();
        let tree = self.tree;
        let mut separator = b'{';
        for child in tree.children(id) {
            let name = tree.name(child);
            self.names.push(name.meant);
            self.out.push(separator);
            separator = b',';
            self.out.push(b'"');
            self.out.extend_from_slice(self.texts.get(name.raw));
            self.out.extend_from_slice(b"\":");
            self.value(child)?;
        }
        self.close(separator);
        differ(&mut self.names[first_name..], &self.texts)?;
        self.names.truncate(first_name);
        Ok(())
    }

    fn close(&mut self, separator: u8) {
        if separator == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
    }

    fn array(&mut self, id: Id) -> Result<(), Failure> {
        let tree = self.tree;
        self.out.push(b'[');
        for (at, child) in tree.children(id).enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            self.value(child)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn flattened(&mut self, depth: u32) -> Result<(), Failure> {
        let mut separator = b'{';
        self.fields(ROOT, depth, &mut separator)?;
        self.close(separator);
        let texts = Texts {
            flat: self.flat,
            ..self.texts
        };
        differ(self.names, &texts)
    }

    /// Writes what is in `id`, `depth` levels of it joined with the names on the way.
    fn fields(&mut self, id: Id, depth: u32, separator: &mut u8) -> Result<(), Failure> {
        let tree = self.tree;
        for child in tree.children(id) {
            let name = tree.name(child);
            let (raw, meant) = (self.texts.get(name.raw), self.texts.get(name.meant));
            let is_joined = depth > 0 && !tree.is_childless(child);
            let long = self.prefix.len() + raw.len();
            if long > NAMES_MAX - self.written.min(NAMES_MAX) {
                return Err(Failure::new(
                    Code::TooLarge,
                    format!("flattening makes names of more than {NAMES_MAX} bytes together"),
                ));
            }
            if is_joined {
                let (prefix, meant_prefix) = (self.prefix.len(), self.meant_prefix.len());
                self.prefix.extend_from_slice(raw);
                self.prefix.extend_from_slice(self.separator);
                self.meant_prefix.extend_from_slice(meant);
                self.meant_prefix.extend_from_slice(self.meant_separator);
                self.fields(child, depth - 1, separator)?;
                self.prefix.truncate(prefix);
                self.meant_prefix.truncate(meant_prefix);
                continue;
            }
            self.written += long;
            self.name(raw, meant, separator);
            self.value(child)?;
        }
        Ok(())
    }

    fn name(&mut self, raw: &[u8], meant: &[u8], separator: &mut u8) {
        let start = self.flat.len();
        self.flat.extend_from_slice(self.meant_prefix);
        self.flat.extend_from_slice(meant);
        let text = Text::new(Source::Flat, start, self.flat.len());
        self.names.push(text);
        self.out.push(*separator);
        *separator = b',';
        self.out.push(b'"');
        self.out.extend_from_slice(self.prefix);
        self.out.extend_from_slice(raw);
        self.out.extend_from_slice(b"\":");
    }
}

/// Makes sure that no two names are the same.
fn differ(names: &mut [Text], texts: &Texts<'_>) -> Result<(), Failure> {
    names.sort_unstable_by(|one, other| texts.get(*one).cmp(texts.get(*other)));
    let twice = names
        .windows(2)
        .map(|pair| (texts.get(pair[0]), texts.get(pair[1])))
        .find(|(one, other)| one == other);
    match twice {
        None => Ok(()),
        Some((name, _)) => {
            let detail = format!(
                "an object would have two fields of the name {}",
                quoted(name)
            );
            Err(Failure::new(Code::DuplicateName, detail))
        }
    }
}
