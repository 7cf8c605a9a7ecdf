//! `grants` of a transform: what it may reach beyond its records.
//!
//! Invariant: what is read names one thing each, exactly: a variable, a folder, a host with a port. There
//! is no pattern that could let in more than a reader of the file thinks of.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::item::{Item, Value};
use super::table::Table;
use super::transforms::file;
use crate::config::error::{Problems, Wrong, shown};
use crate::config::model::{Grants, Peer};

/// Entries of a list at the most: each instance looks through them.
const MOST: usize = 64;
/// Characters of a path or a name: more is a mistake. A host's name has at most 253.
const LONGEST: usize = 253;

const ENV: &str = "env = [\"REGION\"]";
const FILES: &str = "files = { \"/geo\" = \"geo-data\" }";
const NETWORK: &str = "network = [\"api.example.com:443\"]";

/// Reads the table.
pub(super) fn read(item: Option<&Item>, folder: &Path, problems: &Problems<'_>) -> Option<Grants> {
    let Some(item) = item else { return Some(Grants::default()) };
    let table = Table::open(item, "transforms.grants", problems)?;
    let env = list(table.get("env"), ENV, variable, problems);
    let network = list(table.get("network"), NETWORK, peer, problems);
    let files = table.get("files").map_or(Some(BTreeMap::new()), |item| files(item, folder, problems));
    Some(Grants {
        clock: table.flag("clock").unwrap_or_default(),
        random: table.flag("random").unwrap_or_default(),
        env: env?,
        files: files?,
        network: network?,
    })
}

/// A list of texts, none twice.
fn list<T: PartialEq>(
    item: Option<&Item>,
    example: &str,
    read: impl Fn(&str) -> Result<T, Wrong>,
    problems: &Problems<'_>,
) -> Option<Vec<T>> {
    let Some(item) = item else { return Some(Vec::new()) };
    let Value::Array(items) = &item.value else { return item.expected(problems, "a list", example) };
    if items.len() > MOST {
        item.wrong(problems, Wrong::new(format!("{} entries are too many: at most {MOST}", items.len())));
        return None;
    }
    let mut found: Vec<Option<T>> = Vec::with_capacity(items.len());
    for item in items {
        let read = item.filled(problems, example).and_then(|text| item.noted(problems, text, &read));
        if read.is_some() && found.contains(&read) {
            item.wrong(problems, Wrong::new("stands in the list already").hint("remove it"));
        }
        found.push(read);
    }
    found.into_iter().collect()
}

/// The name of an environment variable.
fn variable(name: &str) -> Result<String, Wrong> {
    let hint = "give the variable's name; its value is taken from the host's environment at start";
    if name.contains('=') {
        return Err(Wrong::new("an environment variable's name has no `=`").hint(hint));
    }
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let fine = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !first || !fine || name.len() > LONGEST {
        return Err(Wrong::new(format!("`{}` names no environment variable", shown(name))).hint(hint));
    }
    Ok(name.to_owned())
}

/// The folders by the paths at which the plugin sees them.
fn files(item: &Item, folder: &Path, problems: &Problems<'_>) -> Option<BTreeMap<String, PathBuf>> {
    let table = match &item.value {
        Value::Table(_) => Table::open_free(item, problems)?,
        _ => return item.expected(problems, "a table", FILES),
    };
    let mut files = BTreeMap::new();
    let mut fine = true;
    for (path, at, item) in table.entries() {
        let wrong = match guest_path(path) {
            Err(wrong) => Some(wrong),
            Ok(()) => nested(path, files.keys().map(String::as_str)),
        };
        if let Some(wrong) = wrong {
            problems.add(at, &item.path, wrong);
            fine = false;
        }
        match file(item, FILES, folder, problems) {
            Some(host) => drop(files.insert(path.to_owned(), host)),
            None => fine = false,
        }
    }
    if files.len() > MOST {
        item.wrong(problems, Wrong::new(format!("{} folders are too many: at most {MOST}", files.len())));
        return None;
    }
    fine.then_some(files)
}

/// A path such as `/geo`, in the one way to write it.
fn guest_path(path: &str) -> Result<(), Wrong> {
    let hint = "the key is the path that the plugin sees, such as `/geo`; the value is the host's folder";
    if !path.starts_with('/') {
        return Err(Wrong::new(format!("`{}` is not absolute", shown(path))).hint(hint));
    }
    if path == "/" {
        return Err(Wrong::new("`/` would be all that the plugin sees").hint(hint));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(Wrong::new(format!("`{}` has a `..` in it", shown(path))).hint(hint));
    }
    let parts = path.split('/').skip(1);
    let plain = |part: &str| !part.is_empty() && part != "." && !part.chars().any(char::is_control);
    if path.len() > LONGEST || !parts.clone().all(plain) {
        let wrong = Wrong::new(format!("`{}` is no plain path", shown(path)));
        return Err(wrong.hint("write it without `.`, empty parts and a `/` at its end"));
    }
    Ok(())
}

/// Refuses a path inside of another one: which of the two folders would be seen there?
fn nested<'a>(path: &str, mut others: impl Iterator<Item = &'a str>) -> Option<Wrong> {
    let inside = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let other = others.find(|other| inside(path, other) || inside(other, path))?;
    let wrong = Wrong::new(format!("`{}` and `{}` lie inside each other", shown(other), shown(path)));
    Some(wrong.hint("let the plugin see each folder at a path of its own"))
}

/// `api.example.com:443`, `192.0.2.7:8080`, `[::1]:8080`.
fn peer(text: &str) -> Result<Peer, Wrong> {
    const HINT: &str = "write one host and its port, like `api.example.com:443` or `[::1]:8080`";
    if let Some((scheme, _)) = text.split_once("://") {
        let wrong = Wrong::new(format!("is an address with `{}://`, not a host and a port", shown(scheme)));
        return Err(wrong.hint(HINT));
    }
    if text.contains('*') {
        return Err(Wrong::new("has a wildcard: each host is granted by its name").hint(HINT));
    }
    let no_port = || Wrong::new(format!("`{}` has no port", shown(text))).hint(HINT);
    let (host, port) = text.rsplit_once(':').ok_or_else(no_port)?;
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = match bare {
        Some(bare) => match bare.parse::<Ipv6Addr>() {
            Ok(address) => address.to_string(),
            Err(_) => return Err(Wrong::new(format!("`{}` is no IPv6 address", shown(bare))).hint(HINT)),
        },
        None if host.contains(':') => {
            return Err(Wrong::new("an IPv6 address stands in brackets").hint(HINT));
        }
        None => host_name(host).ok_or_else(|| {
            Wrong::new(format!("`{}` is no host name and no address", shown(host))).hint(HINT)
        })?,
    };
    match port.parse() {
        Ok(0) => Err(Wrong::new("port 0 is no port of a peer").hint(HINT)),
        Ok(port) if port.to_string().len() == text.len() - text.rfind(':').map_or(0, |at| at + 1) => {
            Ok(Peer { host, port })
        }
        _ => {
            Err(Wrong::new(format!("`{}` is no port", shown(port)))
                .hint("a port is a number from 1 to 65535"))
        }
    }
}

/// A host's name in lower case, or an IPv4 address.
fn host_name(host: &str) -> Option<String> {
    let label = |label: &str| {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && label.chars().all(fine)
    };
    if host.len() > LONGEST || !host.split('.').all(label) {
        return None;
    }
    // As browsers read them: a last part that is a number makes the whole an IPv4 address.
    let last = host.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let numeric = last.chars().all(|c| c.is_ascii_digit()) || last.starts_with("0x");
    let address = host.parse::<Ipv4Addr>().is_ok();
    (address || !numeric).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn peers_are_one_host_and_one_port() {
        let read = |text: &str| peer(text).map(|peer| peer.to_string()).map_err(|wrong| wrong.message);
        for (text, shown) in [
            ("API.example.com:443", "api.example.com:443"),
            ("localhost:1", "localhost:1"),
            ("192.0.2.7:65535", "192.0.2.7:65535"),
            ("[::1]:8080", "[::1]:8080"),
            ("[2001:DB8:0::1]:8080", "[2001:db8::1]:8080"),
        ] {
            assert_eq!(read(text), Ok(shown.to_owned()));
        }
        for text in [
            "api.example.com",
            "api.example.com:0",
            "api.example.com:65536",
            "api.example.com:+1",
            ":443",
            "api.example.com:",
            "*:443",
            "*.example.com:443",
            "https://api.example.com",
            "::1:8080",
            "[::1]",
            "[127.0.0.1]:1",
            "a b:1",
            "192.0.2:1",
            "0x7f.1:1",
            "a.0x1:1",
            "a..b:1",
            "user@host:1",
            "host:1/path",
            "host:01",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_of_the_plugin_have_one_spelling() {
        for path in ["/geo", "/geo/v2", "/a.b"] {
            assert!(guest_path(path).is_ok(), "{path}");
        }
        for path in ["geo", "", "/", "/geo/", "/geo/../etc", "/..", "//geo", "/./geo", "/geo\n"] {
            assert!(guest_path(path).is_err(), "{path}");
        }
        let nested = |path, other: &str| nested(path, [other].into_iter()).is_some();
        assert!(nested("/geo", "/geo/v2") && nested("/geo/v2", "/geo") && nested("/a", "/a"));
        assert!(!nested("/geo2", "/geo") && !nested("/geo", "/geo2"));
    }

    #[test]
    fn names_of_variables_are_plain() {
        for name in ["REGION", "_x", "A1"] {
            assert!(variable(name).is_ok(), "{name}");
        }
        for name in ["A=B", "", "1A", "A-B", "ä", "A B", "*"] {
            assert!(variable(name).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_peer_reads_its_own_text(text in "[a-zA-Z0-9.:\\[\\]*/_-]{0,24}") {
            if let Ok(read) = peer(&text) {
                prop_assert!(read.port != 0);
                let again = peer(&read.to_string()).map_err(|wrong| wrong.message);
                prop_assert_eq!(again, Ok(read));
            }
        }
    }
}
