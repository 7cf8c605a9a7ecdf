//! A pattern's JSON as a tree that keeps what a pattern needs: numbers as they are written.
//!
//! Invariant: no name stands twice in an object, and nothing is nested deeper than [`DEPTH_MAX`], so that
//! whatever walks a tree may recurse.

use super::error::{Error, Path, shown};
use crate::codec::{self, Scanner, unescape};

/// How deep a pattern may nest: real ones stay below ten.
pub(super) const DEPTH_MAX: usize = 64;

/// A part of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    Null,
    Boolean(bool),
    /// As written.
    Number(String),
    Text(String),
    List(Vec<Tree>),
    /// In the order of the pattern.
    Object(Vec<(String, Tree)>),
}

/// Reads a pattern's text.
pub(super) fn parse(text: &str, path: &Path<'_>) -> Result<Tree, Error> {
    let not_json = |error: codec::NotJson, path: &Path<'_>| {
        path.wrong(
            error.to_string(),
            "a pattern is a JSON object, such as `{\"value\": {\"status\": [500]}}`",
        )
    };
    // The grammar first: what is wrong with a broken text is not where it nests or repeats itself.
    let checked = Scanner::new(text.as_bytes()).and_then(|mut scanner| {
        scanner.pass_value(0)?;
        scanner.finish()
    });
    if let Err(error) = checked {
        return not_json(error, path);
    }
    let read = Scanner::new(text.as_bytes()).map(|scanner| Reader { scanner }.value(path, 0));
    match read {
        Ok(Ok(tree)) => Ok(tree),
        Ok(Err(Wrong::Refused(error))) => Err(error),
        Ok(Err(Wrong::Syntax(error))) | Err(error) => not_json(error, path),
    }
}

enum Wrong {
    Syntax(codec::NotJson),
    Refused(Error),
}

impl From<codec::NotJson> for Wrong {
    fn from(error: codec::NotJson) -> Self {
        Self::Syntax(error)
    }
}

struct Reader<'a> {
    scanner: Scanner<'a>,
}

impl Reader<'_> {
    fn value(&mut self, path: &Path<'_>, depth: usize) -> Result<Tree, Wrong> {
        if depth > DEPTH_MAX {
            let message = format!("nested deeper than {DEPTH_MAX}");
            return path.wrong(message, "flatten the pattern").map_err(Wrong::Refused);
        }
        let byte = self.scanner.skip_space();
        let start = self.scanner.at;
        Ok(match byte {
            Some(b'{') => Tree::Object(self.members(path, depth)?),
            Some(b'[') => Tree::List(self.elements(path, depth)?),
            Some(b'"') => Tree::Text(self.text()?),
            Some(b't') => Tree::Boolean(self.literal(b"true", true)?),
            Some(b'f') => Tree::Boolean(self.literal(b"false", false)?),
            Some(b'n') => self.literal(b"null", Tree::Null)?,
            _ => {
                self.scanner.number()?;
                let digits = &self.scanner.bytes[start..self.scanner.at];
                Tree::Number(String::from_utf8_lossy(digits).into_owned())
            }
        })
    }

    fn literal<T>(&mut self, word: &[u8], value: T) -> Result<T, Wrong> {
        self.scanner.literal(word)?;
        Ok(value)
    }

    fn text(&mut self) -> Result<String, Wrong> {
        let start = self.scanner.at + 1;
        self.scanner.string()?;
        let mut plain = Vec::new();
        unescape(&self.scanner.bytes[start..self.scanner.at - 1], &mut plain);
        Ok(String::from_utf8_lossy(&plain).into_owned())
    }

    /// Passes the opening of a list or object, or the comma before another value; false at its end.
    fn another(&mut self, close: u8) -> bool {
        let byte = self.scanner.skip_space();
        self.scanner.at += 1;
        if byte == Some(close) {
            return false;
        }
        let found = self.scanner.skip_space() != Some(close);
        self.scanner.at += usize::from(!found);
        found
    }

    fn elements(&mut self, path: &Path<'_>, depth: usize) -> Result<Vec<Tree>, Wrong> {
        let mut elements = Vec::new();
        while self.another(b']') {
            elements.push(self.value(&path.element(elements.len()), depth + 1)?);
        }
        Ok(elements)
    }

    fn members(&mut self, path: &Path<'_>, depth: usize) -> Result<Vec<(String, Tree)>, Wrong> {
        let mut members: Vec<(String, Tree)> = Vec::new();
        while self.another(b'}') {
            let name = self.text()?;
            self.scanner.skip_space();
            self.scanner.at += 1;
            if members.iter().any(|(other, _)| *other == name) {
                let message = format!("the name `{}` stands twice", shown(&name));
                let hint = "put both lists into one, or use `$or`";
                return path.member(&name).wrong(message, hint).map_err(Wrong::Refused);
            }
            let value = self.value(&path.member(&name), depth + 1)?;
            members.push((name, value));
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_as_written_and_strings_are_read() {
        let text = r#" { "a\u0062": [ 1.50e3, "x\n\"", null, true, false, [ ], { } ] , "b":{"c":[-0]}} "#;
        let tree = parse(text, &Path::Pattern(0)).expect("a pattern");
        let expected = "Object([(\"ab\", List([Number(\"1.50e3\"), Text(\"x\\n\\\"\"), Null, Boolean(true), \
                        Boolean(false), List([]), Object([])])), (\"b\", Object([(\"c\", List([Number(\"-0\")]))]))])";
        assert_eq!(format!("{tree:?}"), expected);
    }

    #[test]
    fn traps_are_refused_where_they_stand() {
        let deep = format!("{}1{}", "{\"a\":[".repeat(40), "]}".repeat(40));
        for (text, path, message) in [
            ("{\"a\": {\"b\": [1], \"b\": [2]}}", ".a.b", "the name `b` stands twice"),
            ("{\"a\" [1]}", "", "not JSON at byte 5: expected `:`"),
            ("{\"a\": [1]} x", "", "not JSON at byte 11: more after the end of the text"),
            ("", "", "not JSON at byte 0: the text ends where a value is expected"),
            (&deep, &format!("{}.a", ".a[0]".repeat(32)), "nested deeper than 64"),
            (&"[".repeat(600), "", "not JSON at byte 512: nested deeper than 512"),
        ] {
            let error = parse(text, &Path::Pattern(3)).expect_err("a trap");
            assert_eq!((error.pattern, error.path.as_str(), error.message.as_str()), (3, path, message));
        }
    }
}
