//! Parts of a JSON text that is known to be valid, as they stand in it: nothing is decoded that is only
//! passed on, and a part that is wrong in itself leaves the others alone.
//!
//! Invariant: for valid JSON each part that is given is valid JSON; for anything else there is no panic.

/// The members of an object: name and value, both as they stand. None if it is no object.
pub(crate) fn members(object: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut parts = Parts::of(object, b'{');
    std::iter::from_fn(move || {
        let name = parts.next_until(b':')?;
        Some((name, parts.next_until(b',')?))
    })
}

/// The elements of an array. None if it is no array.
pub(crate) fn elements(array: &str) -> impl Iterator<Item = &str> {
    let mut parts = Parts::of(array, b'[');
    std::iter::from_fn(move || parts.next_until(b','))
}

struct Parts<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str, open: u8) -> Self {
        let trimmed = text.trim_ascii();
        let is_filled = trimmed.as_bytes().first() == Some(&open)
            && !trimmed[1..].trim_ascii_start().starts_with(['}', ']']);
        let text = if is_filled { trimmed } else { "" };
        Self { text, at: 1 }
    }

    /// The part before the next `mark` of this level, or before the end.
    fn next_until(&mut self, mark: u8) -> Option<&'t str> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut depth = 0_usize;
        let mut at = start;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => at = string_end(bytes, at),
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth > 0 => depth -= 1,
                b'}' | b']' => break,
                _ if *byte == mark && depth == 0 => break,
                _ => {}
            }
            at += 1;
        }
        // Past the last part there is no mark and no end.
        bytes.get(at)?;
        let part = self.text.get(start..at)?;
        self.at = at + 1;
        Some(part.trim_ascii())
    }
}

/// Where the quote is that ends the string that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => break,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

/// How deep a value is nested.
pub(crate) fn depth(value: &str) -> usize {
    let bytes = value.as_bytes();
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
        at += 1;
    }
    deepest
}

/// Appends a JSON value without the space between its parts, so that it stands on one line.
pub(crate) fn push_compact(out: &mut String, value: &str) {
    let bytes = value.as_bytes();
    let mut from = 0;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at),
            b' ' | b'\t' | b'\n' | b'\r' => {
                out.push_str(&value[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    out.push_str(value.get(from..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_are_given_as_they_stand() {
        let object = " { \"a\" : 1 , \"b,:}\\\"\" : [ 1, {\"c\":\"]\"} ] ,\"d\":\"x\\\\\" } ";
        let found: Vec<_> = members(object).collect();
        assert_eq!(
            found,
            [
                ("\"a\"", "1"),
                ("\"b,:}\\\"\"", "[ 1, {\"c\":\"]\"} ]"),
                ("\"d\"", "\"x\\\\\"")
            ]
        );
        let found: Vec<_> = elements("[ 1 ,\"a,b\",[2,3],{\"c\":[4,5]}\n]").collect();
        assert_eq!(found, ["1", "\"a,b\"", "[2,3]", "{\"c\":[4,5]}"]);
        for empty in ["{}", " { } ", "[]", "7", "\"{\"", "", "["] {
            assert_eq!(members(empty).count(), 0, "{empty}");
        }
        for empty in ["[]", "[ ]", "{\"a\":1}", "null"] {
            assert_eq!(elements(empty).count(), 0, "{empty}");
        }
    }

    #[test]
    fn depth_is_that_of_the_deepest_part() {
        for (value, expected) in [
            ("7", 0),
            ("[]", 1),
            ("[\"[[\\\"[\",{\"a\":[]},[]]", 3),
            ("]]]", 0),
        ] {
            assert_eq!(depth(value), expected, "{value}");
        }
    }

    #[test]
    fn space_goes_but_not_within_strings() {
        let mut out = String::new();
        push_compact(&mut out, "{ \"a b\\\" \" :\n[ 1,\t\"é  \" ]\r\n}");
        assert_eq!(out, "{\"a b\\\" \":[1,\"é  \"]}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}\",:\\\\a é]{0,20}") {
            let _ = members(&text).count() + elements(&text).count();
            push_compact(&mut String::new(), &text);
            prop_assert!(depth(&text) <= text.len());
        }
    }
}
