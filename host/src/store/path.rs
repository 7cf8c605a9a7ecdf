//! Which paths every store takes, so that a name that works in one works in all.

/// S3's bound on a key, the tightest of the stores.
const PATH_BYTES_MAX: usize = 1024;

/// Says what is wrong with the path of an object; `None` where nothing is.
pub(super) fn fault(path: &str) -> Option<&'static str> {
    if path.len() > PATH_BYTES_MAX {
        return Some("a path has at most 1,024 bytes");
    }
    if path.chars().any(|letter| letter.is_control() || letter == '\\') {
        return Some("a path holds no control characters and no backslash");
    }
    path.split('/').find_map(|segment| match segment {
        "" => Some("a path neither starts nor ends with `/`, and its parts are not empty"),
        "." | ".." => Some("no part of a path is `.` or `..`"),
        _ => None,
    })
}

/// The same for a folder to list; the empty one is the root.
pub(super) fn prefix_fault(prefix: &str) -> Option<&'static str> {
    if prefix.is_empty() { None } else { fault(prefix) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_root_or_differ_between_stores_are_refused() {
        for path in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\\b", "a\0b", "a\nb"] {
            assert!(fault(path).is_some(), "{path:?}");
        }
        assert!(fault(&"a".repeat(1025)).is_some());
        for path in ["a", "a/b.json", "a=1/b%20c", "a b/ü/@+~#", "..a/b..", "...", "%2E%2E/a"] {
            assert!(fault(path).is_none(), "{path:?}");
        }
        assert!(prefix_fault("").is_none() && prefix_fault("a/").is_some());
    }
}
