//! Where things are kept: `s3://bucket/path`, `gs://…`, `az://…`, `abfss://…`, `file:///…`, or a plain path.
//!
//! Owns the forms of addresses. Invariant: an address that passed has no password, no query, and a clean
//! path without a `/` at its end; a plain path has become a `file://` url.

use std::path::Path;

use url::Url;

use super::error::{Wrong, shown};
use super::model::{Location, Pipeline, Sink};
use super::prefix::check_characters;
use super::raw::{absolute, closest};

/// Schemes that stores are known for.
const SCHEMES: [&str; 6] = ["s3", "gs", "az", "abfs", "abfss", "file"];

/// Reads an address; relative paths start at `folder`.
pub(super) fn parse(text: &str, folder: &Path) -> Result<Url, Wrong> {
    let Some((scheme, rest)) = text.split_once("://") else { return local(text, folder) };
    if !SCHEMES.contains(&scheme) {
        let wrong = Wrong::new(format!("unknown kind of address `{}://`", shown(scheme)));
        return Err(wrong.hint(match closest(scheme, SCHEMES) {
            _ if matches!(scheme, "http" | "https") => {
                "write `s3://bucket/path`, and the server's address as `options.endpoint`".into()
            }
            Some(name) => format!("did you mean `{name}://`?"),
            None => {
                "known: `s3://`, `gs://`, `az://`, `abfs://`, `abfss://`, `file://`, or a plain path".into()
            }
        }));
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    if user.is_some_and(|user| user.contains(':') || !scheme.starts_with("abfs")) {
        // Not shown: it is a password.
        let wrong = Wrong::new("an address with a user or password in it is printed in logs");
        return Err(wrong.hint("put credentials into `options`, as `\"${NAME}\"` or `\"${file:/path}\"`"));
    }
    if rest.contains(['?', '#']) {
        let wrong = Wrong::new("an address has no `?` and no `#`");
        return Err(wrong.hint("put what stands there into `options`"));
    }
    match scheme {
        "file" => file(rest, folder),
        _ => remote(text, scheme, authority, rest),
    }
}

/// Reads an address that a person typed, of a place or of an object; relative paths start at `folder`.
///
/// # Errors
/// What is wrong with it, and what to write instead.
pub fn address(text: &str, folder: &Path) -> Result<Url, String> {
    parse(text, folder).map_err(|wrong| match wrong.hint {
        Some(hint) => format!("{}; {hint}", wrong.message),
        None => wrong.message,
    })
}

fn remote(text: &str, scheme: &str, authority: &str, rest: &str) -> Result<Url, Wrong> {
    let bucket = authority.split('@').next().unwrap_or_default();
    let what = if matches!(scheme, "s3" | "gs") { "bucket" } else { "container" };
    if bucket.is_empty() {
        return Err(Wrong::new(format!("names no {what}")).hint(format!("write `{scheme}://{what}/path`")));
    }
    if authority.contains(':') {
        let wrong = Wrong::new(format!("`{}` is not the name of a {what}", shown(authority)));
        return Err(wrong.hint("put the server's address into `options.endpoint`"));
    }
    if authority.matches('@').count() > 1 {
        let wrong = Wrong::new(format!("`{}` has more than one `@`", shown(authority)));
        return Err(wrong.hint(format!("write `{scheme}://container@account/path`")));
    }
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(fine) {
        let wrong = Wrong::new(format!("`{}` is not the name of a {what}", shown(bucket)));
        return Err(wrong.hint("a name has 3 to 63 lower case letters, digits, `-`, `.` and `_`"));
    }
    let path = rest.strip_prefix(authority).unwrap_or_default().trim_matches('/');
    check_characters(path)?;
    if path.split('/').any(|segment| matches!(segment, "." | "..")) || path.contains("//") {
        return Err(Wrong::new("the path of an address has no empty folder names, no `.` and no `..`"));
    }
    let clean = if path.is_empty() { String::new() } else { format!("/{path}") };
    Url::parse(&format!("{scheme}://{authority}{clean}"))
        .map_err(|error| Wrong::new(format!("`{}` is not an address: {error}", shown(text))))
}

fn file(rest: &str, folder: &Path) -> Result<Url, Wrong> {
    let path = rest.strip_prefix("localhost").filter(|rest| rest.starts_with('/')).unwrap_or(rest);
    if !path.starts_with('/') {
        let wrong = Wrong::new("a `file://` address starts with three slashes, or names no file here");
        return Err(wrong.hint("write `file:///folder`, or a plain path, which may be relative"));
    }
    let url = Url::parse(&format!("file://{path}"));
    let path = url.ok().and_then(|url| url.to_file_path().ok());
    let path = path.ok_or_else(|| Wrong::new("not a `file://` address").hint("write `file:///folder`"))?;
    folder_url(&path, folder)
}

fn local(text: &str, folder: &Path) -> Result<Url, Wrong> {
    let scheme = text.split_once(':').map_or("", |(before, _)| before);
    if SCHEMES.contains(&scheme) {
        let wrong = Wrong::new(format!("`{scheme}:` without two slashes"));
        return Err(wrong.hint(format!("write `{scheme}://`, or `./{scheme}:` for a folder of that name")));
    }
    if text == "~" || text.starts_with("~/") {
        return Err(Wrong::new("`~` is not put in here").hint("write `${HOME}/…`"));
    }
    if text.trim().is_empty() {
        return Err(Wrong::new("names no place").hint("write `s3://bucket/path` or the path of a folder"));
    }
    folder_url(Path::new(text), folder)
}

fn folder_url(path: &Path, folder: &Path) -> Result<Url, Wrong> {
    let path = absolute(folder, path);
    if path.parent().is_none() {
        let wrong = Wrong::new("the root of the file system is no place for output");
        return Err(wrong.hint("write the path of a folder"));
    }
    // A path with zero characters can't be opened, and has no place in a message either.
    if path.to_string_lossy().contains('\0') {
        return Err(Wrong::new("has a zero character in it"));
    }
    Url::from_file_path(&path).map_err(|()| Wrong::new("not an absolute path"))
}

impl Pipeline {
    /// Where the ledger is: as written, or `_vanne` at the root of the sinks' one bucket, or inside their
    /// one folder. There is always one in a pipeline that was read.
    #[must_use]
    pub fn ledger_location(&self) -> Option<Location> {
        if let Some(ledger) = &self.ledger {
            return Some(ledger.location.clone());
        }
        let Sink::ObjectStore(sink) = self.sinks.values().next()?;
        let mut location = sink.location.clone();
        match location.url.scheme() {
            "file" => push(&mut location.url, &["_vanne"]),
            _ => location.url.set_path("/_vanne"),
        }
        Some(location)
    }

    /// Where dead letters go: as written, or `dead/<pipeline>` beside `_vanne`. There is always a place in
    /// a pipeline that was read.
    #[must_use]
    pub fn dead_letter_location(&self) -> Option<Location> {
        if self.dead_letter.location.is_some() {
            return self.dead_letter.location.clone();
        }
        let mut location = self.ledger_location()?;
        if let Ok(mut segments) = location.url.path_segments_mut() {
            segments.pop();
        }
        push(&mut location.url, &["dead", &self.name]);
        Some(location)
    }
}

/// Appends folders. Addresses that were read have a path, as all of their schemes do.
fn push(url: &mut Url, folders: &[&str]) {
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(folders);
    }
}

/// What two places that one ledger can serve have in common: a bucket at its endpoint; a local folder is
/// one of its own.
pub(super) fn bucket(location: &Location) -> String {
    let url = &location.url;
    if url.scheme() == "file" {
        return url.to_string();
    }
    let tells = |name: &str| name.contains("endpoint") || name.contains("account_name");
    let told = location.options.iter().filter(|(name, _)| tells(name));
    let told: String = told.map(|(_, value)| format!(" {}", value.reveal().trim_end_matches('/'))).collect();
    format!("{}://{}@{}{told}", url.scheme(), url.username(), url.host_str().unwrap_or_default())
}

/// Whether a place lies within the ledger's own folder.
pub(super) fn within_vanne(url: &Url) -> bool {
    match url.scheme() {
        "file" => url.path_segments().is_some_and(|mut segments| segments.any(|name| name == "_vanne")),
        _ => url.path().trim_start_matches('/').split('/').next() == Some("_vanne"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<String, String> {
        parse(text, Path::new("/etc/vanne")).map(|url| url.to_string()).map_err(|wrong| wrong.message)
    }

    #[test]
    fn addresses_become_one_form() {
        for (written, meant) in [
            ("s3://lake/access/", "s3://lake/access"),
            ("s3://lake", "s3://lake"),
            ("gs://lake/a/b", "gs://lake/a/b"),
            ("abfss://data@account.dfs.core.windows.net/x", "abfss://data@account.dfs.core.windows.net/x"),
            ("out/x", "file:///etc/vanne/out/x"),
            ("../out", "file:///etc/out"),
            ("/data/my lake", "file:///data/my%20lake"),
            ("file:///data/a%20b/", "file:///data/a%20b"),
            ("file://localhost/data", "file:///data"),
        ] {
            assert_eq!(read(written).as_deref(), Ok(meant), "{written}");
        }
    }

    #[test]
    fn what_names_no_place_is_refused() {
        for wrong in [
            "",
            "/",
            "s3://",
            "s3:///x",
            "s3:lake",
            "http://host/x",
            "s3a://lake",
            "s3://lake:9000/x",
            "s3://LAKE/x",
            "s3://lake/../x",
            "s3://lake/a//b",
            "s3://lake/a?b=c",
            "file://host/x",
            "~/lake",
            "s3://la/x",
            "ftp://a/b",
            "abfs://aaa@@a",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn passwords_are_refused_and_not_shown() {
        for text in [
            "s3://key:hunter2@lake/x",
            "s3://hunter2@lake",
            "abfss://c:hunter2@account/x",
            "gs://a:hunter2@b@c",
        ] {
            assert!(read(text).is_err_and(|message| !message.contains("hunter2")), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_address_that_passed_passes_again(text in "(s3://|gs://|az://|abfs://|file://|)[a-z/._@:?%-]{0,30}") {
            if let Ok(url) = read(&text) {
                prop_assert_eq!(read(&url), Ok(url));
            }
        }
    }
}
