//! `[host]`: facts about the process, and who may talk to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::Path;

use super::expand::absolute;
use super::item::Item;
use super::table::{Bounds, Table};
use crate::config::Secret;
use crate::config::error::{Problems, Wrong, shown};
use crate::config::model::{ControlAddress, Host};

const MEMORY: Bounds<u64> = Bounds {
    least: 64 << 20,
    why_least: "what the host needs for itself and a few partitions",
    most: 1 << 44,
    why_most: "more than any machine has",
};

const THREADS: Bounds<u64> = Bounds {
    least: 1,
    why_least: "or no transform would run",
    most: 1024,
    why_most: "since threads beyond the cores only take turns",
};

/// Fits a small container.
pub(in crate::config) const DEFAULT_MEMORY: u64 = 1 << 30;
/// Reached from this machine only.
const DEFAULT_CONTROL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7464);

/// Characters of a token at the least: fewer can be guessed over a network.
const TOKEN_LEAST: usize = 16;
/// And at the most: it travels in a header of each request.
const TOKEN_MOST: usize = 1_024;

const CONTROL: &str = "control = \"127.0.0.1:7464\"";
const TOKEN: &str = "control_token = \"${VANNE_CONTROL_TOKEN}\"";

/// Reads `[host]`.
pub(super) fn read(item: Option<&Item>, folder: &Path, problems: &Problems<'_>) -> Option<Host> {
    let default = ControlAddress { address: DEFAULT_CONTROL, explicit: false };
    let Some(item) = item else {
        return Some(Host {
            memory: DEFAULT_MEMORY,
            threads: None,
            cache: None,
            control: Some(default),
            control_token: None,
        });
    };
    let table = Table::open(item, "host", problems)?;
    let cache = table.get("cache").and_then(|item| item.filled(problems, "cache = \"/var/cache/vanne\""));
    let threads = table.count("threads", &THREADS).and_then(|threads| u32::try_from(threads).ok());
    let control = match table.get("control") {
        Some(item) => item
            .filled(problems, CONTROL)
            .and_then(|text| item.noted(problems, text, control))
            .map(|address| address.map(|address| ControlAddress { address, explicit: true })),
        None => Some(Some(default)),
    };
    let control_token = match table.get("control_token") {
        Some(item) => token(item, problems).map(Some),
        None => Some(None),
    };
    let host = Host {
        memory: table.size("memory", &MEMORY).unwrap_or(DEFAULT_MEMORY),
        threads: threads.and_then(NonZeroU32::new),
        cache: cache.map(|text| absolute(folder, Path::new(&text.value))),
        control: control?,
        control_token: control_token?,
    };
    check_token(&host, &table);
    Some(host)
}

/// `127.0.0.1:7464`, `[::1]:7464`, `localhost:7464`; `off` is no address.
fn control(text: &str) -> Result<Option<SocketAddr>, Wrong> {
    if text == "off" {
        return Ok(None);
    }
    let local = text.strip_prefix("localhost:").map(|port| format!("{}:{port}", Ipv4Addr::LOCALHOST));
    local.as_deref().unwrap_or(text).parse().map(Some).map_err(|_| {
        let wrong = Wrong::new(format!("`{}` is not an address to listen on", shown(text)));
        wrong.hint("write an IP address and a port, such as `127.0.0.1:7464` or `[::]:7464`, or `off`")
    })
}

/// A text of which nothing is shown, not even as it is written.
fn token(item: &Item, problems: &Problems<'_>) -> Option<Secret> {
    let text = item.secret(problems, TOKEN)?;
    let wrong = if !text.value.bytes().all(|byte| byte.is_ascii_graphic()) {
        Wrong::new("a token has only visible ASCII characters: it travels in a header")
    } else if text.value.len() < TOKEN_LEAST {
        Wrong::new(format!("a token has at least {TOKEN_LEAST} characters, or it can be guessed"))
    } else if text.value.len() > TOKEN_MOST {
        Wrong::new(format!("a token has at most {TOKEN_MOST} characters"))
    } else {
        return Some(Secret::new(text.value.clone()));
    };
    item.wrong(problems, wrong.hint("make one with `openssl rand -hex 32`, say"));
    None
}

/// Whoever can reach the control API can change what runs.
fn check_token(host: &Host, table: &Table<'_>) {
    if let Some(control) = host.control.filter(|control| !control.is_loopback())
        && host.control_token.is_none()
    {
        let address = control.address;
        let wrong = Wrong::new(format!("`{address}` can be reached from elsewhere, and there is no token"));
        table.wrong("control", wrong.hint(format!("add `{TOKEN}`, or write `{CONTROL}`")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_addresses_are_numbers() {
        let read = |text| control(text).map(|address| address.map(|address| address.to_string()));
        assert_eq!(read("off"), Ok(None));
        assert_eq!(read("127.0.0.1:7464"), Ok(Some("127.0.0.1:7464".into())));
        assert_eq!(read("localhost:0"), Ok(Some("127.0.0.1:0".into())));
        assert_eq!(read("[::]:7464"), Ok(Some("[::]:7464".into())));
        for wrong in ["", "on", "127.0.0.1", ":7464", "7464", "example.com:7464", "127.0.0.1:65536"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_this_machine_reaches_a_loopback_address() {
        let loopback = |text: &str| {
            let address = text.parse().expect("an address");
            ControlAddress { address, explicit: true }.is_loopback()
        };
        assert!(loopback("127.0.0.1:1") && loopback("127.9.9.9:1") && loopback("[::1]:1"));
        assert!(loopback("[::ffff:127.0.0.1]:1"));
        assert!(!loopback("0.0.0.0:1") && !loopback("[::]:1") && !loopback("192.0.2.1:1"));
    }
}
