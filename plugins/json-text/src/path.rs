//! Which field is meant: paths such as `user.id`, and many of them at once.

use std::fmt;

use crate::string::Str;

/// The names that lead to a field through objects, from the outermost. There is one at least, and none is
/// empty.
///
/// Written with dots between them. A dot inside of a name is `\.`, a backslash `\\`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Vec<String>);

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    ///
    /// A name is empty, or a backslash stands before anything but a dot or a backslash.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut names = Vec::new();
        let mut name = String::new();
        let mut characters = text.chars();
        loop {
            match characters.next() {
                Some('\\') => match characters.next() {
                    Some(escaped @ ('.' | '\\')) => name.push(escaped),
                    _ => {
                        return Err(format!(
                            "the path `{text}` has a backslash that escapes nothing; write `\\\\` for a \
                             backslash, `\\.` for a dot in a name"
                        ));
                    }
                },
                Some(character) if character != '.' => name.push(character),
                _ if name.is_empty() => {
                    return Err(format!(
                        "the path `{text}` has an empty name; write `\\.` for a dot in a name"
                    ));
                }
                Some(_) => names.push(std::mem::take(&mut name)),
                None => {
                    names.push(name);
                    return Ok(Self(names));
                }
            }
        }
    }

    /// The names, from the outermost.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The name of the field itself.
    #[must_use]
    pub fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// The names of the objects around the field.
    #[must_use]
    pub fn parents(&self) -> &[String] {
        self.0.split_last().map_or(&[], |(_, parents)| parents)
    }

    /// Whether this field is `other`, or lies within it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            let name = name.replace('\\', "\\\\").replace('.', "\\.");
            write!(f, "{dot}{name}")?;
        }
        Ok(())
    }
}

/// Many paths, to be followed side by side. Each name on the way is a branch with a number; the root, which
/// stands for the whole text, is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTree {
    branches: Vec<Branch>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Branch {
    name: String,
    grown: Vec<usize>,
}

impl Default for PathTree {
    fn default() -> Self {
        Self::new()
    }
}

impl PathTree {
    /// No path yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            branches: vec![Branch::default()],
        }
    }

    /// Adds the way through these names; gives the branch that the last is.
    pub fn insert(&mut self, names: &[String]) -> usize {
        names.iter().fold(0, |at, name| {
            let known = self.find(at, |known| known == name);
            known.unwrap_or_else(|| self.grow(at, name))
        })
    }

    /// The branch of that name, if a path goes on there from the branch `at`.
    #[must_use]
    pub fn child(&self, at: usize, name: Str<'_>) -> Option<usize> {
        self.find(at, |known| name.means(known))
    }

    /// Whether no path goes on from the branch `at`.
    #[must_use]
    pub fn is_leaf(&self, at: usize) -> bool {
        self.branches
            .get(at)
            .is_none_or(|branch| branch.grown.is_empty())
    }

    /// How many branches there are, the root included: their numbers are below.
    #[must_use]
    pub fn branches(&self) -> usize {
        self.branches.len()
    }

    fn find(&self, at: usize, is_it: impl Fn(&str) -> bool) -> Option<usize> {
        let mut grown = self.branches.get(at)?.grown.iter().copied();
        grown.find(|branch| is_it(&self.branches[*branch].name))
    }

    fn grow(&mut self, at: usize, name: &str) -> usize {
        let branch = self.branches.len();
        self.branches.push(Branch {
            name: name.to_owned(),
            grown: Vec::new(),
        });
        self.branches[at].grown.push(branch);
        branch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_read() {
        for (text, names) in [
            ("a", vec!["a"]),
            ("a.b.c", vec!["a", "b", "c"]),
            (r"a\.b.c", vec!["a.b", "c"]),
            (r"a\\.b", vec!["a\\", "b"]),
            ("é x.@", vec!["é x", "@"]),
        ] {
            let path = Path::parse(text).unwrap();
            assert_eq!(path.names(), names, "{text}");
            assert_eq!(path.to_string(), text);
        }
        for text in ["", ".", "a.", ".a", "a..b"] {
            let error = Path::parse(text).unwrap_err();
            assert!(error.contains("has an empty name"), "{text}: {error}");
        }
        for text in ["\\", "a\\", "\\a", "a.\\n"] {
            let error = Path::parse(text).unwrap_err();
            assert!(error.contains("escapes nothing"), "{text}: {error}");
        }
    }

    #[test]
    fn a_field_lies_within_what_its_path_begins_with() {
        let path = |text| Path::parse(text).unwrap();
        assert!(path("a.b").is_within(&path("a")));
        assert!(path("a").is_within(&path("a")));
        assert!(!path("a").is_within(&path("a.b")));
        assert!(!path("ab").is_within(&path("a")));
        assert_eq!((path("a.b").last(), path("a.b").parents().len()), ("b", 1));
    }

    #[test]
    fn many_paths_are_followed_side_by_side() {
        let mut tree = PathTree::new();
        let mut insert = |text| tree.insert(Path::parse(text).unwrap().names());
        let (name, id, level) = (insert("user.name"), insert("user.id"), insert("level"));
        assert_eq!(insert("user.id"), id);
        let string = |raw: &'static str| Str {
            raw,
            is_plain: !raw.contains('\\'),
            start: 0,
        };
        let user = tree.child(0, string("user")).unwrap();
        assert_eq!(tree.child(user, string("name")), Some(name));
        assert_eq!(tree.child(user, string(r"\u0069d")), Some(id));
        assert_eq!(tree.child(0, string("level")), Some(level));
        assert_eq!(tree.child(0, string("id")), None);
        assert!(tree.is_leaf(id) && !tree.is_leaf(user) && !tree.is_leaf(0));
        assert_eq!(tree.branches(), 5);
    }

    proptest! {
        #[test]
        fn any_names_make_a_path_that_reads_back(names in prop::collection::vec(".{1,8}", 1..5)) {
            let path = Path(names);
            prop_assert_eq!(Path::parse(&path.to_string()), Ok(path));
        }

        #[test]
        fn any_text_is_a_path_or_refused(text: String) {
            if let Ok(path) = Path::parse(&text) {
                prop_assert_eq!(path.to_string(), text);
            }
        }
    }
}
