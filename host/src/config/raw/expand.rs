//! `${NAME}` and `${file:/path}` in text values.
//!
//! Invariant: what was put in is not looked at again, and stands in no error.

use std::borrow::Cow;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use super::Outside;
use crate::config::error::{Wrong, shown};

/// Bytes of a secret file at the most: keys and certificates are far smaller, a wrong path often is not.
const SECRET_BYTES: u64 = 64 << 10;

/// A text value, as written and as meant.
#[derive(PartialEq, Eq)]
pub(super) struct Text {
    /// As written: may be shown.
    pub(super) written: String,
    /// Expanded: must not be shown in errors.
    pub(super) value: String,
    /// Whether a secret file is in it.
    pub(super) secret: bool,
}

/// Expands a text.
pub(super) fn expand(written: &str, outside: &Outside<'_>) -> Result<Text, Wrong> {
    let mut value = String::with_capacity(written.len());
    let (mut rest, mut secret) = (written, false);
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            value += before;
            value += "${";
            rest = &from[2..];
            continue;
        }
        value += before;
        let (name, after) = from[2..].split_once('}').ok_or_else(|| {
            Wrong::new("`${` has no closing `}`").hint("write `$${` where these characters are meant")
        })?;
        secret |= name.starts_with("file:");
        value += &lookup(name, outside)?;
        rest = after;
    }
    value += rest;
    Ok(Text { written: written.into(), value, secret })
}

fn lookup(name: &str, outside: &Outside<'_>) -> Result<String, Wrong> {
    if let Some(path) = name.strip_prefix("file:") {
        return secret_file(&absolute(outside.folder, Path::new(path)));
    }
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !first || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        let wrong = Wrong::new(format!("`${{{}}}` names no environment variable", shown(name)));
        return Err(wrong.hint("known: `${NAME}`, `${file:/path}`, and `$${` for the characters themselves"));
    }
    (outside.environment)(name).ok_or_else(|| {
        let wrong = Wrong::new(format!("the environment variable `{}` is not set", shown(name)));
        wrong.hint("set it, or write `$${` where these characters are meant")
    })
}

/// The file's text without the newline that editors leave at its end.
fn secret_file(path: &Path) -> Result<String, Wrong> {
    let wrong = |what: Cow<'_, str>| {
        Wrong::new(format!("the secret file `{}` {what}", shown(&path.to_string_lossy())))
    };
    let unreadable = |error: std::io::Error| wrong(format!("can't be read: {error}").into());
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(wrong("is not a file".into()));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(SECRET_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > SECRET_BYTES {
        return Err(wrong(format!("is larger than {} KiB", SECRET_BYTES >> 10).into()));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8".into()))?;
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    Ok(text)
}

/// A path from the file's folder on, without `.` and `..`, by its letters only: no symbolic link is
/// followed.
pub(in crate::config) fn absolute(folder: &Path, path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in folder.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(written: &str) -> Result<String, String> {
        let environment = |name: &str| match name {
            "USER" => Some("vanne".into()),
            "TRICK" => Some("${USER}".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let outside = Outside { folder: Path::new("/nowhere"), environment: &environment, own: None };
        expand(written, &outside).map(|text| text.value).map_err(|wrong| wrong.message)
    }

    #[test]
    fn variables_are_put_in_once() {
        assert_eq!(value("a-${USER}-b"), Ok("a-vanne-b".into()));
        assert_eq!(value("${USER}${USER}"), Ok("vannevanne".into()));
        assert_eq!(value("${TRICK}"), Ok("${USER}".into()));
        assert_eq!(value("${EMPTY}"), Ok(String::new()));
    }

    #[test]
    fn dollars_escape() {
        assert_eq!(value("$${USER}"), Ok("${USER}".into()));
        assert_eq!(value("$$${USER}"), Ok("$${USER}".into()));
        assert_eq!(value("$5 $$ $USER {}"), Ok("$5 $$ $USER {}".into()));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(value("${NOPE}"), Err("the environment variable `NOPE` is not set".into()));
        assert!(value("${USER").is_err() && value("${}").is_err() && value("${USER:-x}").is_err());
        assert!(value("${file:secret}").is_err_and(|message| message.contains("`/nowhere/secret`")));
    }

    #[test]
    fn secret_files_lose_their_last_newline_and_have_a_bound() {
        let folder = tempfile::tempdir().expect("a folder");
        let outside = Outside { folder: folder.path(), environment: &|_| None, own: None };
        std::fs::write(folder.path().join("key"), "se\ncret\r\n").expect("written");
        let text = expand("<${file:key}>", &outside).map_err(|wrong| wrong.message).expect("expands");
        assert_eq!(text.value, "<se\ncret>");
        assert!(text.secret);
        std::fs::write(folder.path().join("key"), vec![b'a'; (64 << 10) + 1]).expect("written");
        assert!(expand("${file:key}", &outside).is_err());
        assert!(expand("${file:.}", &outside).is_err());
    }

    #[test]
    fn paths_start_at_the_folder() {
        let from = |path| absolute(Path::new("/etc/vanne"), Path::new(path));
        assert_eq!(from("a.wasm"), Path::new("/etc/vanne/a.wasm"));
        assert_eq!(from("../../plugins/./a.wasm"), Path::new("/plugins/a.wasm"));
        assert_eq!(from("/x/../../y"), Path::new("/y"));
    }

    proptest! {
        #[test]
        fn escaped_text_comes_back_as_it_was(text in "[a-z$\\{\\}]{0,30}") {
            // A text that holds `$${` needs its own escape, which doubles each such dollar again.
            prop_assume!(!text.contains("$${"));
            let escaped = text.replace("${", "$${");
            prop_assert_eq!(value(&escaped), Ok(text));
        }

        #[test]
        fn no_text_panics_or_shows_what_is_put_in(text in "[$\\{\\}:a-zA-Zä]{0,30}") {
            let mixed = format!("{text}${{USER}}{text}");
            if let Err(message) = value(&mixed) {
                prop_assert!(!message.contains("vanne"));
            }
        }
    }
}
