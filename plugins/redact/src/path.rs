//! Where a field is: `user.email`, `users.*.email`, `labels.a\.b`.
//!
//! Invariant: a path has at least one step and at most [`STEPS_MAX`].

/// Deeper fields than JSON may be nested here can't be met.
const STEPS_MAX: usize = 64;

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// The member of this name.
    Name(String),
    /// Each element of an array, each member of an object.
    Any,
}

/// The steps to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path(Vec<Step>);

impl Path {
    /// Reads a path. A backslash takes the character after it as it is; errors say what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut name = String::new();
        let mut escaped = false;
        let mut characters = text.chars();
        loop {
            match characters.next() {
                Some('\\') => {
                    escaped = true;
                    name.push(characters.next().ok_or("ends within an escape")?);
                }
                Some('.') | None if name.is_empty() => {
                    return Err("has a step without a name".to_owned());
                }
                character @ (Some('.') | None) => {
                    let name = std::mem::take(&mut name);
                    steps.push(match name == "*" && !std::mem::take(&mut escaped) {
                        true => Step::Any,
                        false => Step::Name(name),
                    });
                    if character.is_none() {
                        break;
                    }
                }
                Some(character) => name.push(character),
            }
        }
        match steps.len() {
            1..=STEPS_MAX => Ok(Self(steps)),
            count => Err(format!("has {count} steps; {STEPS_MAX} is the most")),
        }
    }

    /// Whether the step at this depth leads to a member of that name, or, without a name, to an element.
    pub(crate) fn leads(&self, depth: usize, name: Option<&str>) -> bool {
        match (self.0.get(depth), name) {
            (Some(Step::Any), _) => true,
            (Some(Step::Name(expected)), Some(name)) => expected == name,
            _ => false,
        }
    }

    /// Whether the step at this depth is the last.
    pub(crate) fn ends_at(&self, depth: usize) -> bool {
        self.0.len() == depth + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_step_by_step() {
        let name = |name: &str| Step::Name(name.to_owned());
        for (text, expected) in [
            ("email", vec![name("email")]),
            ("user.email", vec![name("user"), name("email")]),
            (
                "users.*.email",
                vec![name("users"), Step::Any, name("email")],
            ),
            (r"a\.b.\*.c\\", vec![name("a.b"), name("*"), name("c\\")]),
            ("*", vec![Step::Any]),
            ("a b.**", vec![name("a b"), name("**")]),
        ] {
            assert_eq!(Path::parse(text), Ok(Path(expected)), "{text}");
        }
        for text in ["", ".", "a.", ".a", "a..b", "a\\", &"a.".repeat(80)] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_star_leads_to_elements() {
        let path = Path::parse("a.*.b").unwrap();
        assert!(path.leads(0, Some("a")) && !path.leads(0, Some("b")) && !path.leads(0, None));
        assert!(path.leads(1, None) && path.leads(1, Some("x")) && !path.leads(3, Some("b")));
        assert!(path.ends_at(2) && !path.ends_at(1));
    }
}
